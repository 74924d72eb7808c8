"""Continuum removal by the upper convex hull."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis
from cubekit.operators.axis_operator import derived_attrs
from cubekit.spectral.whole_spectra import map_spectra

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["remove_continuum"]

Floats = npt.NDArray[np.float64]


def remove_continuum(cube: xr.DataArray, *, coord: str | None = None) -> xr.DataArray:
    r"""Spectra divided by their upper convex hull.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, same dims as `cube`
        1 where a spectrum touches its hull, less between; without units.

    Raises
    ------
    CoordinateError
        If the coordinate is missing, ambiguous or not strictly monotonic.

    Notes
    -----
    The hull is the least concave curve above the samples, from the first to the last,
    straight between those that it touches, on the real coordinates. Its slopes are the
    decreasing sequence nearest to those between samples in the sense of least squares,
    weighted with the steps [1]_, and that is found for a block of spectra at once.

    **Missing values:** the hull is that of the samples that are left; bad bands and
    missing samples are NaN in the result, and so are samples under a hull that is not
    positive. **Chunks:** lazy; chunks with whole spectra, put together if need be.
    **Cost:** one pass; about that of sorting.

    References
    ----------
    .. [1] Barlow, R. E., Bartholomew, D. J., Bremner, J. M. and Brunk, H. D. (1972),
       Statistical Inference under Order Restrictions, Wiley.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> wavelength = [400.0, 500.0, 700.0, 800.0]
    >>> spectrum = xr.DataArray([1.0, 0.6, 2.0, 2.0], {"wavelength": wavelength})
    >>> ck.remove_continuum(spectrum).values.round(3)
    array([1.  , 0.45, 1.  , 1.  ])
    """
    axis = Axis.from_cube(cube, coord)
    order = slice(None, None, -1) if axis.is_descending else slice(None)
    x = axis.values[order]

    def divide(spectra: Floats) -> Floats:
        hull = _upper_hull(x, spectra[:, order])[:, order]
        return spectra / np.where(hull > 0, hull, np.nan)

    result = map_spectra(divide, cube, axis, what="remove_continuum")
    result.attrs = derived_attrs(cube, "1")
    return result


def _upper_hull(x: Floats, y: Floats) -> Floats:
    """Upper convex hull of each row of y (spectrum, sample), NaN where y is."""
    from scipy.optimize import isotonic_regression  # noqa: PLC0415, it is heavy

    # all samples that there are, one spectrum after the other
    there = np.isfinite(y)
    count = there.sum(axis=1)
    count = count[count > 0]
    hull = np.full_like(y, np.nan)
    if not len(count):
        return hull
    heights, places = y[there], np.broadcast_to(x, y.shape)[there]
    last = np.cumsum(count) - 1
    first = last + 1 - count

    # slopes to the next sample, from 0 to 1 in each spectrum, and each spectrum 2 below
    # the one before, with a step between, so that no two of them pool
    step = np.diff(places, append=np.inf)
    step[last] = 1
    slope = np.diff(heights, append=0) / step
    slope[last] = 0
    least = np.minimum.reduceat(slope, first)
    extent = np.maximum.reduceat(slope, first) - least
    extent[extent == 0] = 1
    below = 2.0 * np.arange(len(count))
    slope -= np.repeat(least, count)
    slope /= np.repeat(extent, count)
    slope -= np.repeat(below, count)
    slope[last] = -below - 0.5
    corner = isotonic_regression(slope, weights=step, increasing=False).blocks

    # straight from each corner to the next; the last corner of a spectrum is alone
    size = np.diff(corner)
    x0, y0 = places[corner[:-1]], heights[corner[:-1]]
    rise = np.zeros(len(size))
    long = np.flatnonzero(size > 1)
    rise[long] = (y0[long + 1] - y0[long]) / (x0[long + 1] - x0[long])
    line = (places - np.repeat(x0, size)) * np.repeat(rise, size) + np.repeat(y0, size)
    hull[there] = np.maximum(line, heights)
    return hull
