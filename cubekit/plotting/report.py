"""A page about a cube that can be sent around: words, numbers and pictures."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.arguments import require_dataarray
from cubekit.axis import Axis
from cubekit.plotting.quicklook import is_plane, quicklook, sample
from cubekit.plotting.sampling import thinned
from cubekit.summary import describe, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["report"]

_STATISTICS = ("missing", "least", "mean", "spread", "largest")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76em; margin: 2em auto;
  padding: 0 1em; color: #222; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
pre { background: #f4f4f4; padding: 1em; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.15em 1em 0.15em 0; vertical-align: top;
  overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.bad { color: #888; }
img { max-width: 100%; }
"""


def report(
    cube: xr.DataArray,
    *,
    coord: str | None = None,
    title: str | None = None,
    max_pixels: int = 200,
) -> str:
    """Page in HTML about a cube: what it is, what is missing, how it looks.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, band) in any order
        Of dims before the last two that are not the bands, the first sample is shown.
        A plane (y, x) without bands is one, too.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    title : str, optional
        Of the page; the name of the cube if not given.
    max_pixels : int, default 200
        Statistics are of a cube thinned to at most so many pixels along each side.

    Returns
    -------
    str
        One file, complete in itself: the picture of `quicklook` is in it, nothing is
        fetched, and nothing in it runs. Every word of the cube is escaped.

    Raises
    ------
    ValueError
        If the cube has not two dims besides that of the bands.

    Notes
    -----
    **Missing values:** counted, and left out of the statistics.
    **Chunks:** any; only the thinned cube is computed. **Cost:** reading that.

    Examples
    --------
    >>> import cubekit as ck
    >>> page = ck.plotting.report(ck.datasets.scene((30, 40)), title="a <b>valley</b>")
    >>> "<h1>a &lt;b&gt;valley&lt;/b&gt;</h1>" in page
    True
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy, only wanted here

    require_dataarray(cube, "report")
    name = str(title or cube.attrs.get("long_name") or cube.name or "cube")
    axis = None if is_plane(cube, coord) else Axis.from_cube(cube, coord)
    shown = cube if axis is None else sample("report", cube, axis)
    few = thinned(shown, shown.dims[:2], max_pixels).compute()
    figure = Figure(figsize=(15, 8), layout="constrained")
    coord = None if axis is None else axis.name
    quicklook(shown, coord=coord, max_pixels=max_pixels, figure=figure)
    looked = " x ".join(str(few.sizes[d]) for d in few.dims[:2])
    heading = _escaped(name)
    if axis is None:
        tables = ["<h2>Values</h2>", f"<p>Of {looked} pixels.</p>", _values(few)]
    else:
        tables = [
            "<h2>Missing data</h2>",
            _missing(few, axis),
            "<h2>Bands</h2>",
            f"<p>Of {looked} pixels. Bad bands in grey.</p>",
            _bands(few, axis),
        ]
    parts = [
        f"<h1>{heading}</h1>",
        f"<pre>{_escaped(describe(cube), lines=True)}</pre>",
        f'<img alt="quicklook" src="data:image/png;base64,{_png(figure)}">',
        *tables,
        "<h2>Attributes</h2>",
        _attributes(cube.attrs),
    ]
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _missing(few: xr.DataArray, axis: Axis) -> str:
    """How many values, spectra and bands are missing, in words."""
    held = np.isfinite(few.values)
    good = np.ones(len(axis), bool) if axis.good is None else axis.good
    usable = held[..., good]
    spectra = usable.all(axis=-1) if usable.shape[-1] else np.zeros(held.shape[:2])
    facts = {
        "values missing": f"{100 * (1 - held.mean()):.3g} %" if held.size else "all",
        "spectra without a gap in the good bands": f"{100 * spectra.mean():.3g} %",
        "spectra without any value": f"{100 * (~held.any(axis=-1)).mean():.3g} %",
        "bands marked bad": f"{int((~good).sum())} of {len(axis)}",
        "good bands without any value": f"{int((~held.any(axis=(0, 1)) & good).sum())}",
    }
    return _attributes(facts)


def _bands(few: xr.DataArray, axis: Axis) -> str:
    """Statistics of each band, a row each."""
    unit = f" ({axis.units})" if axis.units else ""
    rows = [_cells("th", [f"{axis.name}{unit}", *_STATISTICS])]
    for k, place in enumerate(axis.values):
        cells = _cells("td", [f"{place:.7g}", *_statistics(few.values[..., k])])
        bad = axis.good is not None and not axis.good[k]
        rows.append(f'<tr class="bad">{cells}</tr>' if bad else f"<tr>{cells}</tr>")
    return _table(rows)


def _values(plane: xr.DataArray) -> str:
    """Statistics of a plane."""
    row = f"<tr>{_cells('td', _statistics(plane.values))}</tr>"
    return _table([_cells("th", _STATISTICS), row])


def _statistics(values: npt.NDArray[Any]) -> list[str]:
    """What `_STATISTICS` names, in words."""
    held = values[np.isfinite(values)].astype(np.float64)
    missing = f"{100 * (1 - held.size / max(1, values.size)):.3g} %"
    if not held.size:
        return [missing, *["-"] * 4]
    every = (held.min(), held.mean(), held.std(), held.max())
    return [missing, *(f"{v:.4g}" for v in every)]


def _cells(tag: str, words: Iterable[str]) -> str:
    return "".join(f'<{tag} class="number">{_escaped(w)}</{tag}>' for w in words)


def _attributes(attrs: Mapping[str, object]) -> str:
    if not attrs:
        return "<p>None.</p>"
    return _table(
        f"<tr><td>{_escaped(str(k))}</td><td>{_escaped(str(v), lines=True)}</td></tr>"
        for k, v in attrs.items()
    )


def _table(rows: Iterable[str]) -> str:
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _escaped(text: str, *, lines: bool = False) -> str:
    """Text that a page shows as it is."""
    parts = text.splitlines() if lines else [text]
    return "\n".join(html.escape(printable(part)) for part in parts)


def _png(figure: Figure) -> str:
    """Picture as text."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return base64.b64encode(file.getvalue()).decode()
