"""Spectra made comparable in scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis, derivative_units
from cubekit.operators.attributes import derived_attrs
from cubekit.spectral.whole_spectra import map_spectra, neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = ["normalize"]

Floats = npt.NDArray[np.float64]


def normalize(
    cube: xr.DataArray,
    method: Literal["snv", "vector", "area"] = "snv",
    *,
    coord: str | None = None,
) -> xr.DataArray:
    r"""Spectra on a common scale.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    method : {"snv", "vector", "area"}
        "snv", the standard normal variate: mean 0 and standard deviation 1 (of n - 1
        degrees of freedom) over the bands [1]_. "vector": Euclidean length 1. "area":
        integral 1 over the coordinate, by the trapezoidal rule.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, same dims as `cube`
        Without units; with "area" per unit of the coordinate.

    Raises
    ------
    ValueError
        If `method` is unknown.
    CoordinateError
        If the coordinate is missing, ambiguous or not strictly monotonic.

    Notes
    -----
    **Missing values:** each spectrum is scaled by the samples that are left; bad bands
    and missing samples are NaN in the result, and so are spectra that cannot be scaled:
    constant ones with "snv", those of length or integral 0. **Chunks:** lazy; split
    spectra are put together, and the chunks of other dims cut, with a warning, where
    they would be too large. **Cost:** one pass.

    References
    ----------
    .. [1] Barnes, R. J., Dhanoa, M. S. and Lister, S. J. (1989), Appl. Spectrosc. 43,
       772-777.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> spectrum = xr.DataArray([1.0, 2.0, 3.0], {"wavelength": [400.0, 410.0, 420.0]})
    >>> ck.normalize(spectrum).values
    array([-1.,  0.,  1.])
    """
    axis = Axis.from_cube(cube, coord)
    methods: dict[str, Callable[[Floats], Floats]] = {
        "snv": _standard_normal_variate,
        "vector": lambda spectra: spectra / _known(_length(spectra)),
        "area": lambda spectra: spectra / _known(_area(axis.values, spectra)),
    }
    if method not in methods:
        raise ValueError(
            f"normalize: method={method!r} is unknown. There are "
            f'{", ".join(map(repr, methods))}. Use method="snv".'
        )
    result = map_spectra(methods[method], cube, axis, what="normalize")
    units = derivative_units("1", axis.units, 1) if method == "area" else "1"
    result.attrs = derived_attrs(cube, units, how=f"normalized ({method})")
    return result


def _known(scale: Floats) -> Floats:
    """Scale of each spectrum as a column, NaN in place of 0."""
    column: Floats = np.where(scale != 0, scale, np.nan)[:, None]
    return column


def _standard_normal_variate(spectra: Floats) -> Floats:
    count = np.isfinite(spectra).sum(axis=1)
    mean = np.nansum(spectra, axis=1) / np.maximum(count, 1)
    centred = spectra - mean[:, None]
    spread = _length(centred) / np.sqrt(np.maximum(count - 1, 1))
    # the rounding of a constant spectrum is no spread
    tiny = 8 * np.finfo(np.float64).eps * np.abs(mean) * np.sqrt(count)
    scaled: Floats = centred / _known(np.where(spread > tiny, spread, 0))
    return scaled


def _length(spectra: Floats) -> Floats:
    length: Floats = np.sqrt(np.nansum(spectra**2, axis=1))
    return length


def _area(x: Floats, spectra: Floats) -> Floats:
    spectrum, band, following = neighbours(spectra)
    height = (spectra[spectrum, band] + spectra[spectrum, following]) / 2
    strips: Floats = height * np.abs(x[following] - x[band])
    area: Floats = np.bincount(spectrum, strips, minlength=len(spectra)).astype(float)
    return area
