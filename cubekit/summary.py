"""What a cube is, in a few facts: for people, and for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.axis import Axis
from cubekit.errors import CoordinateError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["describe", "printable", "size_of", "summary"]


def summary(cube: xr.DataArray) -> dict[str, Any]:
    """Facts about a cube, as numbers and words that JSON can hold.

    Nothing is computed and no value read but those of the coordinates.
    """
    return {
        "name": None if cube.name is None else str(cube.name),
        "long_name": _text(cube.attrs.get("long_name")),
        "units": _text(cube.attrs.get("units")),
        "dtype": str(cube.dtype),
        "dims": {str(d): n for d, n in cube.sizes.items()},
        "nbytes": int(cube.nbytes),
        "chunks": None
        if cube.chunks is None
        else {str(d): list(map(int, c)) for d, c in cube.variable.chunksizes.items()},
        "axes": [_axis(cube, str(d)) for d in cube.dims],
        "other_coords": [
            str(k)
            for k in cube.coords
            if k not in cube.dims and k not in {"good_band", "fwhm"}
        ],
    }


def describe(cube: xr.DataArray) -> str:
    """Facts about a cube, in lines.

    Examples
    --------
    >>> import cubekit as ck
    >>> from cubekit.summary import describe
    >>> print(describe(ck.datasets.scene((30, 40))))
    reflectance: surface reflectance (1), float32, 30 x 40 x 285, 1.4 MB
      y               30  4425 to 75 m, step -150 m
      x               40  75 to 5925 m, step 150 m
      wavelength     285  381 to 2492.94 nm, step 7.38 to 7.46 nm, 31 bad bands, fwhm \
8.4 to 8.79 nm
      in memory
    """
    facts = summary(cube)
    shape = " x ".join(str(n) for n in facts["dims"].values()) or "a single value"
    what = facts["name"] or "no name"
    if facts["long_name"]:
        what += f": {facts['long_name']}"
    if facts["units"]:
        what += f" ({facts['units']})"
    lines = [f"{what}, {facts['dtype']}, {shape}, {size_of(facts['nbytes'])}"]
    wide = max((len(a["dim"]) for a in facts["axes"]), default=0)
    lines += [
        f"  {axis['dim']:{wide}}  {axis['samples']:>6}  {_line(axis)}"
        for axis in facts["axes"]
    ]
    if facts["chunks"] is not None:
        pieces = list(facts["chunks"].values())
        count = math.prod(len(c) for c in pieces)
        shape = " x ".join(str(max(c, default=0)) for c in pieces)
        lines.append(f"  in {count} chunk{'s' * (count != 1)} of {shape}")
    else:
        lines.append("  in memory")
    if facts["other_coords"]:
        lines.append(f"  also has {', '.join(facts['other_coords'])}")
    return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    r"""Text whose control characters a terminal does not obey.

    >>> from cubekit.summary import printable
    >>> printable("radiance\x1b[2J")
    'radiance\\x1b[2J'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def size_of(nbytes: float) -> str:
    """Bytes in units that are easy to read."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _date(time: np.datetime64) -> str:
    """Time without the zeros of its last digits."""
    text = str(time.astype("M8[us]"))
    return text.removesuffix(".000000").removesuffix("T00:00:00")


def _axis(cube: xr.DataArray, dim: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"dim": dim, "samples": int(cube.sizes[dim])}
    if dim not in cube.coords:
        return {**facts, "problem": "no coordinate"}
    if not cube.sizes[dim]:
        return {**facts, "problem": "no samples"}
    try:
        axis = Axis.from_cube(cube, dim)
    except CoordinateError as error:
        return {**facts, "problem": str(error)}
    facts |= {"units": axis.units}
    given = cube.coords[dim].values[[0, -1]]  # times as dates
    ends = (
        map(_date, given) if given.dtype.kind == "M" else axis.values[[0, -1]].tolist()
    )
    facts |= dict(zip(("first", "last"), ends, strict=True))
    if len(axis) > 1:
        step = np.diff(axis.values)
        least, most = sorted((float(step.min()), float(step.max())), key=abs)
        facts |= {"step_min": least, "step_max": most}
    if axis.good is not None:
        facts["bad_bands"] = int(np.count_nonzero(~axis.good))
    if axis.fwhm is not None and np.isfinite(axis.fwhm).any():
        facts["fwhm"] = [float(np.nanmin(axis.fwhm)), float(np.nanmax(axis.fwhm))]
    return facts


def _line(axis: dict[str, Any]) -> str:
    if "problem" in axis:
        return str(axis["problem"])
    unit = f" {axis['units']}" if axis["units"] else ""
    # times are dates in full, their steps seconds
    dated = isinstance(axis["first"], str)
    ends = [axis["first"], axis["last"]]
    first, last = ends if dated else (f"{v:.7g}" for v in ends)
    words = [f"{first} to {last}{'' if dated else unit}"]
    if "step_min" in axis:
        steps = list(dict.fromkeys(f"{axis[k]:.4g}" for k in ("step_min", "step_max")))
        words.append(f"step {' to '.join(steps)}{unit}")
    if axis.get("bad_bands"):
        words.append(f"{axis['bad_bands']} bad bands")
    if "fwhm" in axis:
        widths = list(dict.fromkeys(f"{v:.3g}" for v in axis["fwhm"]))
        words.append(f"fwhm {' to '.join(widths)}{unit}")
    return ", ".join(words)
