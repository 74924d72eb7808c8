"""Bad bands: which samples of a spectrum no fit may use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from cubekit.axis import Axis

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["mark_bad"]


def mark_bad(
    cube: xr.DataArray,
    ranges: Iterable[tuple[float, float]],
    *,
    coord: str | None = None,
) -> xr.DataArray:
    """Cube whose bands in some ranges are marked as bad.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Any values; any chunks.
    ranges : iterable of (low, high)
        Closed intervals of the coordinate, in its units.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, same dims as `cube`
        With a boolean coordinate ``good_band`` on the dim of the bands, False in the
        ranges and where it was False before. The values stay.

    Raises
    ------
    ValueError, TypeError
        If a range is not a pair of increasing numbers, or holds no band.
    CoordinateError
        If the coordinate is missing, ambiguous or not strictly monotonic.

    Notes
    -----
    Bad bands have no weight in any fit, and NaN is their result. To make them good
    again, ``cube.drop_vars("good_band")``.

    **Missing values:** as they are. **Chunks:** lazy; no value is read.
    **Cost:** none.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> wavelength = [1300.0, 1350.0, 1400.0, 1500.0]
    >>> cube = xr.DataArray([0.4, 0.1, 0.0, 0.3], {"wavelength": wavelength})
    >>> ck.mark_bad(cube, [(1340, 1460)])["good_band"].values
    array([ True, False, False,  True])
    """
    axis = Axis.from_cube(cube, coord)
    good = np.ones(len(axis), np.bool_) if axis.good is None else axis.good.copy()
    unit = f" {axis.units}" if axis.units else ""
    given: object = ranges
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"mark_bad: ranges={ranges!r} is a {type(ranges).__name__}. Each range is "
            "a pair of numbers. Give pairs: ranges=[(1340, 1460), (1790, 1960)]."
        )
    pairs = list(ranges)
    if pairs and all(isinstance(flag, bool | np.bool_) for flag in pairs):
        raise TypeError(
            "mark_bad: ranges are flags. Each range is a pair of numbers. Flags of "
            "good bands are the mark itself: "
            f"cube.assign_coords(good_band=({axis.dim!r}, flags))."
        )
    if len(pairs) == 2 and all(np.ndim(end) == 0 for end in pairs):
        one = f"({pairs[0]}, {pairs[1]})"
        raise ValueError(
            f"mark_bad: ranges={one} is one pair. There can be many, so that a list "
            f"of them is wanted. Give a list: ranges=[{one}]."
        )
    for pair in pairs:
        low, high = _checked(pair)
        inside = (axis.values >= low) & (axis.values <= high)
        if not inside.any():
            span = f"{axis.values.min():g} to {axis.values.max():g}{unit}"
            raise ValueError(
                f"mark_bad: range ({low:g}, {high:g}){unit} holds no band. "
                f"{axis.name!r} goes from {span}. Give ranges in its units, or leave "
                "this one out."
            )
        good[inside] = False
    return cube.assign_coords(good_band=(axis.dim, good))


def _checked(given: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low <= high:
        raise ValueError(
            f"mark_bad: range {given!r} is no interval. It must be two increasing "
            "numbers. Give pairs: ranges=[(1340, 1460), (1790, 1960)]."
        )
    return low, high
