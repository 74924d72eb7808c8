"""Continuum removal by the upper convex hull."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis
from cubekit.operators.attributes import derived_attrs
from cubekit.spectral.whole_spectra import map_spectra

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["remove_continuum"]

Floats = npt.NDArray[np.float64]

_PASSES = 3  # in search of samples that are no corners, measured best


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
    positive. **Chunks:** lazy; split spectra are put together, and the chunks of other
    dims cut, with a warning, where they would be too large. **Cost:** one pass; about
    that of sorting.

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
        np.copyto(hull, np.nan, where=hull <= 0)
        return np.divide(spectra, hull, out=hull)

    result = map_spectra(divide, cube, axis, what="remove_continuum")
    result.attrs = derived_attrs(cube, "1", how="continuum removed")
    return result


def _upper_hull(x: Floats, y: Floats) -> Floats:
    """Upper convex hull of each row of y (spectrum, sample), NaN where y is."""
    from scipy.optimize import isotonic_regression  # noqa: PLC0415, it is heavy

    # all samples that there are, one spectrum after the other
    there = np.isfinite(y)
    is_whole = bool(there.all())
    if is_whole:  # a mask costs as much as the rest
        count = np.full(len(y), len(x))
        height, place = y.ravel(), np.tile(x, len(y))
    else:
        count = np.count_nonzero(there, axis=1)
        count = count[count > 0]
        height, place = y[there], np.broadcast_to(x, y.shape)[there]
    if not len(height):
        return np.full_like(y, np.nan)
    last = np.cumsum(count) - 1

    # one under the line between its neighbours is no corner; nor is one under the line
    # between those that are left, as long as it pays to look for them
    left = np.arange(len(place))
    slope, step = _slopes(place, height, last)
    for _ in range(_PASSES):
        above = np.ones(len(left), np.bool_)
        np.greater(slope[:-1], slope[1:], out=above[1:])
        above[last] = True
        above[last[:-1] + 1] = True  # the first of the next spectrum
        kept = np.flatnonzero(above)
        last = np.searchsorted(kept, last)
        left = left.take(kept)
        slope, step = _slopes(place.take(left), height.take(left), last)
    first = np.concatenate([[0], last[:-1] + 1])

    # slopes from 0 to 1 in each spectrum, and each spectrum 2 below the one before,
    # with a step between, so that no two of them pool
    count = last + 1 - first
    least = np.minimum.reduceat(slope, first)
    extent = np.maximum.reduceat(slope, first) - least
    extent[extent == 0] = 1
    below = 2.0 * np.arange(len(count))
    slope -= np.repeat(least, count)
    slope /= np.repeat(extent, count)
    slope -= np.repeat(below, count)
    slope[last] = -below - 0.5
    blocks = isotonic_regression(slope, weights=step, increasing=False).blocks
    corner = np.append(left, len(place))[blocks]

    # straight from each corner to the next; the last corner of a spectrum is alone
    size = np.diff(corner)
    x0, y0 = place[corner[:-1]], height[corner[:-1]]
    rise = np.zeros(len(size))
    edge = np.flatnonzero(size > 1)
    rise[edge] = (y0[edge + 1] - y0[edge]) / (x0[edge + 1] - x0[edge])
    line = (place - np.repeat(x0, size)) * np.repeat(rise, size) + np.repeat(y0, size)
    np.maximum(line, height, out=line)
    hull: Floats = line.reshape(-1, y.shape[1]) if is_whole else np.full_like(y, np.nan)
    if not is_whole:
        hull[there] = line
    return hull


def _slopes(
    place: Floats, height: Floats, last: npt.NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Slope and step from each sample to the next, 0 and 1 after the last ones."""
    slope, step = np.empty_like(height), np.empty_like(place)
    np.subtract(place[1:], place[:-1], out=step[:-1])
    np.subtract(height[1:], height[:-1], out=slope[:-1])
    slope[last], step[last] = 0, 1
    slope /= step
    return slope, step
