"""Bands in the order of their coordinate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cubekit.arguments import require_dataarray
from cubekit.axis import coordinate, numbers, spectral_coordinate

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sort_bands"]


def sort_bands(cube: xr.DataArray, *, coord: str | None = None) -> xr.DataArray:
    """Cube whose bands lie in the order of their coordinate.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Any values; any chunks.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.

    Returns
    -------
    DataArray, same dims as `cube`
        The cube itself where its bands ascend or descend; else with ascending bands,
        and all that is known of each.

    Raises
    ------
    CoordinateError
        If the coordinate is missing, ambiguous or not made of numbers.

    Notes
    -----
    Files of instruments with two detectors that overlap have such bands. As
    ``cube.sortby(coord)``, which would turn descending ones round, too, and a step that
    a `Recipe` can take. Bands of one place stay in their order, and are still two.

    **Missing values:** as they are. **Chunks:** lazy; as ``cube.isel``.
    **Cost:** a copy of each chunk, where bands move.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> wavelength = [900.0, 990.0, 905.0, 1000.0]
    >>> cube = xr.DataArray([1, 3, 2, 4], {"wavelength": wavelength})
    >>> ck.sort_bands(cube).values
    array([1, 2, 3, 4])
    """
    require_dataarray(cube, "sort_bands")
    name = spectral_coordinate(cube) if coord is None else coord
    variable = coordinate(cube, name)
    values = numbers(str(name), variable.values)
    step = np.diff(values)
    if (step >= 0).all() or (step <= 0).all():
        return cube
    return cube.isel({variable.dims[0]: np.argsort(values, kind="stable")})
