"""Spectra as lines: gaps stay open, bad bands are shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.axis import Axis
from cubekit.plotting.labels import edges, label_of, line_style, new_axes
from cubekit.plotting.legends import legend
from cubekit.plotting.sampling import thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["at_places", "broken_line", "spectra"]

Place = Mapping[str, float] | Sequence[float]
_OWN_COLOUR = "spectrum"  # lines that took a colour of ours


def spectra(
    cube: xr.DataArray,
    at: Mapping[str, Place] | Sequence[Place] | None = None,
    *,
    coord: str | None = None,
    max_gap: float | None = None,
    show_bad: bool = False,
    max_pixels: int = 64,
    label: str | None = None,
    ylabel: str | None = None,
    ax: Axes | None = None,
    **line: Any,
) -> list[Line2D]:
    """Spectra of a cube at some places, or their mean and spread.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Any dims besides that of the bands.
    at : mapping of label to place, or sequence of places, optional
        A place is a value for each other dim, in their order, such as ``(y, x)``, or by
        name, ``{"y": ..., "x": ...}``; the nearest sample is taken (along a dim without
        coordinate, its number). If not given: the only spectrum, or the mean of all
        with the range from the 10th to the 90th percentile.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    max_gap : float, optional
        The line is broken at a step wider than this; if not given, than two and a half
        times the steps around it.
    show_bad : bool, default False
        Whether to draw values in bad bands too, on their shade.
    max_pixels : int, default 64
        The mean is over at most so many samples along each dim.
    label : str, optional
        Label of the one line where `at` is not given.
    ylabel : str, optional
        What the values are; long name and units if not given.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.
    **line
        Handed to `matplotlib.axes.Axes.plot`.

    Returns
    -------
    list of Line2D

    Raises
    ------
    ValueError
        If a place does not say where it is along each dim, or is off the cube.

    Notes
    -----
    **Missing values:** the line is broken. **Chunks:** any; only the spectra drawn are
    computed. **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.scene((30, 40))
    >>> lines = ck.plotting.spectra(cube, {"river": (1700, 1200)})
    >>> lines[0].axes.get_xlabel()
    'wavelength (nm)'
    """
    from matplotlib import cbook  # noqa: PLC0415  heavy
    from matplotlib import lines as mlines  # noqa: PLC0415

    line = cbook.normalize_kwargs(line, mlines.Line2D)
    axis = Axis.from_cube(cube, coord)
    dims = [str(d) for d in cube.dims if d != axis.dim]
    spread = None
    if at is not None:
        labels = _labels(at)
        values = at_places(cube, at, axis.dim).values.astype(np.float64)
    else:
        some = thinned(cube, tuple(dims), max_pixels).transpose(..., axis.dim)
        every = some.values.astype(np.float64).reshape(-1, len(axis))
        every[~np.isfinite(every)] = np.nan
        values = _over_spectra(np.nanmean, every)[None]
        labels = [label]
        if len(every) > 1:
            spread = _over_spectra(np.nanpercentile, every, q=(10, 90))
            labels = [label or "mean, 10 % to 90 %"]
    ax = new_axes(ax)
    values[~np.isfinite(values)] = np.nan
    x, order = _with_breaks(axis, max_gap)
    everything = np.ones(len(axis), np.bool_)
    shown = everything if show_bad or axis.good is None else axis.good
    drawn = sum(known.get_gid() == _OWN_COLOUR for known in ax.lines)
    lines: list[Line2D] = []
    for number, (name, value) in enumerate(zip(labels, values, strict=True), drawn):
        style = {
            **line_style(number),
            "linewidth": 1.2,
            "label": name,
            "gid": None if "color" in line else _OWN_COLOUR,
        }
        lines += ax.plot(x, _broken(value, shown, order), **{**style, **line})
    if spread is not None:
        low, high = (_broken(edge, shown, order) for edge in spread)
        ax.fill_between(
            x, low, high, color=lines[0].get_color(), alpha=0.2, linewidth=0
        )
    _shade_bad(ax, axis)
    attrs = cube.coords[axis.name].attrs if axis.name in cube.coords else {}
    ax.set_xlabel(label_of(axis.name, {**attrs, "units": axis.units}))
    ax.set_ylabel(ylabel or label_of(cube.name, cube.attrs))
    ax.ticklabel_format(axis="y", scilimits=(-3, 4))
    ax.margins(x=0.01)
    if any(labels):
        legend(ax)
    return lines


def at_places(cube: xr.DataArray, at: Any, dim: str) -> xr.DataArray:
    """Spectra nearest to places, (place, `dim`)."""
    dims = [str(d) for d in cube.dims if d != dim]
    places = list(at.values() if isinstance(at, Mapping) else at)
    rows = []
    for place in places:
        if isinstance(place, Mapping):
            known = dict(place)
        elif np.ndim(place) == 1 and len(place) == len(dims):
            known = dict(zip(dims, place, strict=True))
        else:
            known = {}
        if set(known) != set(dims):
            raise ValueError(
                f"spectra: place {place!r} does not fit dims {', '.join(dims)}. It "
                "takes one value for each. Use at="
                f"[({', '.join(_middle(cube, d) for d in dims)})]."
            )
        rows.append([known[d] for d in dims])
    columns = np.reshape(np.array(rows, np.float64), (len(places), len(dims))).T
    index = {
        dim: _positions(cube, dim, values)
        for dim, values in zip(dims, columns, strict=True)
    }
    # one by one: places in a list would be cut out of whole chunks
    each = [
        cube.isel({d: i[place] for d, i in index.items()}).compute()
        for place in range(len(places))
    ]
    if not each:
        none = {d: xr.DataArray(i, dims="place") for d, i in index.items()}
        return cube.isel(none).transpose("place", dim)
    found: xr.DataArray = xr.concat(each, "place", coords="all", compat="override")
    return found.transpose("place", dim)


def _positions(
    cube: xr.DataArray, dim: str, values: npt.NDArray[Any]
) -> npt.NDArray[np.intp]:
    if dim not in cube.coords:
        return values.astype(np.intp)
    axis = Axis.from_cube(cube, dim)
    cells = edges(axis.values, np.inf)
    outside = values[~((values >= cells.min()) & (values <= cells.max()))]
    if len(outside):
        unit = f" {axis.units}" if axis.units else ""
        raise ValueError(
            f"spectra: {dim} = {outside[0]:g}{unit} is off the cube. It goes from "
            f"{axis.values.min():g} to {axis.values.max():g}{unit}. Use a place "
            f"inside, such as {_middle(cube, dim)}."
        )
    return np.asarray(np.abs(axis.values - values[:, None]).argmin(axis=1), np.intp)


def _middle(cube: xr.DataArray, dim: str) -> str:
    middle = cube.sizes[dim] // 2
    return f"{cube.coords[dim].values[middle]:g}" if dim in cube.coords else f"{middle}"


def _labels(at: Any) -> list[str | None]:
    if isinstance(at, Mapping):
        return [str(name) for name in at]
    return [None] * len(at)


def _over_spectra(
    function: Any, every: npt.NDArray[np.float64], **how: Any
) -> npt.NDArray[np.float64]:
    """Statistic over spectra; NaN for bands without any value."""
    filled = np.where(np.isnan(every).all(axis=0), 0, every)
    result: npt.NDArray[np.float64] = function(filled, axis=0, **how)
    return np.where(np.isnan(every).all(axis=0), np.nan, result)


def broken_line(
    axis: Axis, values: npt.NDArray[np.float64], max_gap: float | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Abscissae and values of a line that is broken in gaps and bad bands."""
    x, after = _with_breaks(axis, max_gap)
    shown = np.ones(len(axis), np.bool_) if axis.good is None else axis.good
    return x, _broken(values, shown, after)


def _with_breaks(
    axis: Axis, max_gap: float | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Abscissae with one more inside each gap, and where those are inserted."""
    step = np.abs(np.diff(axis.values))
    if max_gap is None:
        padded = np.pad(step, 3, mode="edge") if len(step) else step
        around = [np.median(padded[i : i + 7]) for i in range(len(step))]
        wide = step > 2.5 * np.array(around)
    else:
        wide = step > max_gap
    after = np.flatnonzero(wide) + 1
    inside = (axis.values[after] + axis.values[after - 1]) / 2
    return np.insert(axis.values, after, inside), after


def _broken(
    value: npt.NDArray[np.float64],
    drawn: npt.NDArray[np.bool_],
    after: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    """Values with NaN in the gaps and where not drawn, so that the line is broken."""
    return np.insert(np.where(drawn, value, np.nan), after, np.nan)


def _shade_bad(ax: Axes, axis: Axis) -> None:
    """Shade each run of bad bands, once on an axes."""
    if axis.good is None or any(p.get_gid() == "bad bands" for p in ax.patches):
        return
    edge = edges(axis.values)
    flips = np.flatnonzero(np.diff(np.pad(~axis.good, 1).astype(np.int8)))
    for run, (start, stop) in enumerate(flips.reshape(-1, 2)):
        ends = sorted((edge[start], edge[stop]))
        name = "bad bands" if run == 0 else None
        ax.axvspan(
            *ends, color="0.88", linewidth=0, label=name, gid="bad bands", zorder=0
        )
