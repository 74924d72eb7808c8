"""Spectra in the bands of another sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from cubekit.axis import Axis
from cubekit.operators import resample_operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

__all__ = ["resample"]


def resample(
    cube: xr.DataArray,
    target: xr.DataArray | Axis | npt.NDArray[np.float64] | Sequence[float],
    *,
    fwhm: float | npt.NDArray[np.float64] | Sequence[float] | None = None,
    coord: str | None = None,
) -> xr.DataArray:
    """Spectra as another sensor sees them.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks.
    target : DataArray, Axis or array
        The bands wanted: those of another cube, or their centres.
    fwhm : float or array, optional
        Full width at half maximum of the bands wanted; if not given, that of `target`
        where it has one, else linear interpolation.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, dims as `cube`, with the bands wanted
        With their ``fwhm`` as a coordinate, where it is known.

    Raises
    ------
    CoordinateError
        If a coordinate is missing, ambiguous or not strictly monotonic.
    AxisMismatchError
        If the bands wanted are in other units, or none lies on the axis of the cube.
    ValueError
        If a width is not positive, there is not one for each band, or no band.
    TypeError
        If `target` is none of these.

    Warns
    -----
    UserWarning
        If some bands lie outside of those of the cube, or in its bad bands.

    Notes
    -----
    The response is Gaussian, normalised, and integrated on the real coordinates; see
    `resample_operator`.

    **Missing values:** NaN where the response of a band meets NaN or Inf, and outside.
    **Chunks:** lazy; each chunk reads what its bands see. **Cost:** one contraction.

    See Also
    --------
    resample_operator : the same as a matrix, to compose with others.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> cube = xr.DataArray([1.0, 2.0, 4.0], {"wavelength": [400.0, 410.0, 420.0]})
    >>> ck.resample(cube, [405.0, 415.0]).values
    array([1.5, 3. ])
    """
    axis = Axis.from_cube(cube, coord)
    if isinstance(target, xr.DataArray):
        name = axis.name if axis.name in target.coords else None
        target = Axis.from_cube(target, name)
    return resample_operator(axis, target, fwhm=fwhm)(cube)
