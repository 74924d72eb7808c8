"""Ratios of two bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from cubekit.arguments import require_positive, require_real
from cubekit.axis import Axis
from cubekit.errors import CoordinateError

__all__ = ["band_ratio", "normalized_difference"]


def band_ratio(
    cube: xr.DataArray, a: float, b: float, *, coord: str | None = None
) -> xr.DataArray:
    """Ratio of the band nearest to one wavelength to that nearest to another.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    a, b : float
        Places on the axis, in its units; the nearest good bands are taken.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, dims of `cube` without the bands
        ``a / b``; the bands that were taken are scalar coordinates, ``wavelength_a``
        and ``wavelength_b`` for a coordinate ``wavelength``, and in the long name.

    Raises
    ------
    CoordinateError
        If there is no such coordinate, no good band, or a place is off the axis.
    ValueError, TypeError
        If a place is no positive number.

    Notes
    -----
    **Missing values:** NaN where either band is, and where the divisor is 0.
    **Chunks:** lazy; two bands are read. **Cost:** one division.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> cube = xr.DataArray([0.1, 0.2, 0.4], {"wavelength": [550.0, 665.0, 842.0]})
    >>> float(ck.band_ratio(cube, 840, 670))
    2.0
    """
    first, second, named = _two_bands(cube, a, b, coord, "band_ratio")
    ratio = first / second.where(second != 0)
    return _labelled(ratio, "ratio", "to", named)


def normalized_difference(
    cube: xr.DataArray, a: float, b: float, *, coord: str | None = None
) -> xr.DataArray:
    """Difference of two bands over their sum.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    a, b : float
        Places on the axis, in its units; the nearest good bands are taken.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, dims of `cube` without the bands
        ``(a - b) / (a + b)``; the bands that were taken are scalar coordinates,
        ``wavelength_a`` and ``wavelength_b`` for a coordinate ``wavelength``, and in
        the long name.

    Raises
    ------
    CoordinateError
        If there is no such coordinate, no good band, or a place is off the axis.
    ValueError, TypeError
        If a place is no positive number.

    Notes
    -----
    With near infrared and red this is the NDVI [1]_.

    **Missing values:** NaN where either band is, and where the sum is 0.
    **Chunks:** lazy; two bands are read. **Cost:** one division.

    References
    ----------
    .. [1] Tucker, C. J. (1979), Remote Sens. Environ. 8, 127-150.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> cube = xr.DataArray([0.1, 0.1, 0.3], {"wavelength": [550.0, 665.0, 842.0]})
    >>> round(float(ck.normalized_difference(cube, 840, 670)), 12)
    0.5
    """
    first, second, named = _two_bands(cube, a, b, coord, "normalized_difference")
    total = first + second
    index = (first - second) / total.where(total != 0)
    return _labelled(index, "normalized difference", "and", named)


def _two_bands(
    cube: xr.DataArray, a: float, b: float, coord: str | None, function: str
) -> tuple[xr.DataArray, xr.DataArray, dict[str, xr.Variable]]:
    axis = Axis.from_cube(cube, coord)
    require_real(cube, function)
    dtype = np.result_type(cube.dtype, np.float32)
    bands, named = [], {}
    for letter, place in (("a", a), ("b", b)):
        position = _nearest(axis, require_positive(function, letter, place), function)
        band = cube.isel({axis.dim: position})
        of_one_band = [k for k, c in cube.coords.items() if axis.dim in c.dims]
        bands.append(band.drop_vars(of_one_band).astype(dtype))
        units = {"units": axis.units} if axis.units else {}
        named[f"{axis.name}_{letter}"] = xr.Variable((), axis.values[position], units)
    return bands[0], bands[1], named


def _nearest(axis: Axis, place: float, function: str) -> int:
    samples = axis.good_samples
    unit = f" {axis.units}" if axis.units else ""
    ascending = np.sort(axis.values)
    low, high = ascending[0], ascending[-1]
    below, above = np.ptp(ascending[:2]) / 2, np.ptp(ascending[-2:]) / 2
    if not len(samples) or not low - below <= place <= high + above:
        good = "" if len(samples) else ", all of them bad"
        raise CoordinateError(
            f"{function}: there is no band near {place:g}{unit}. {axis.name!r} goes "
            f"from {low:g} to {high:g}{unit}{good}. Give a place among its good bands, "
            "in its units."
        )
    return int(samples[np.abs(axis.values[samples] - place).argmin()])


def _labelled(
    index: xr.DataArray, what: str, joint: str, named: dict[str, xr.Variable]
) -> xr.DataArray:
    def text(band: xr.Variable) -> str:
        return f"{float(band):g} {band.attrs.get('units', '')}".rstrip()

    first, second = (text(band) for band in named.values())
    attrs: dict[str, Any] = {
        "units": "1",
        "long_name": f"{what} of {first} {joint} {second}",
    }
    index = index.assign_coords(named).rename(what.replace(" ", "_"))
    index.attrs = attrs
    return index
