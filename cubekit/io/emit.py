"""EMIT: flags of single samples unpacked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_dataarray
from cubekit.axis import Axis
from cubekit.errors import AxisMismatchError, CoordinateError
from cubekit.io.reading import open_cube

if TYPE_CHECKING:
    import os

__all__ = ["good_samples"]

Array = npt.NDArray[Any]
_SWATH = ("downtrack", "crosstrack")


def good_samples(
    cube: xr.DataArray, mask: str | os.PathLike[str] | xr.DataArray
) -> xr.DataArray:
    """Which samples of an EMIT cube were measured, by the ``band_mask`` of its mask.

    Parameters
    ----------
    cube : DataArray, dims (downtrack, crosstrack, bands)
        Radiance or reflectance.
    mask : path or DataArray
        The file of masks that belongs to it (``EMIT_L2A_MASK...nc``), or its variable
        ``band_mask``: eight bands a byte, set where a value was interpolated because
        the detector was bad or saturated.

    Returns
    -------
    DataArray of bool, dims as `cube`
        True where the sample was measured: ``cube.where(good)`` keeps those.

    Raises
    ------
    AxisMismatchError
        If the mask has other lines, samples or bands than the cube.

    Notes
    -----
    This is about single samples. Bands that are bad throughout are the coordinate
    ``good_band``, clouds the variable ``mask`` of the same file.

    **Missing values:** not looked at. **Chunks:** lazy, those of the cube.
    **Cost:** one reading of the mask, a byte for eight samples.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> cube = xr.DataArray(
    ...     np.ones((1, 1, 10)),
    ...     coords={"wavelength": np.arange(400.0, 500.0, 10.0)},
    ...     dims=("downtrack", "crosstrack", "wavelength"),
    ... )
    >>> flags = xr.DataArray(
    ...     np.array([[[0b00100000, 0b01000000]]], "u1"),
    ...     dims=("downtrack", "crosstrack", "packed"),
    ... )
    >>> ck.good_samples(cube, flags).values[0, 0].astype(int)
    array([1, 1, 0, 1, 1, 1, 1, 1, 1, 0])
    """
    require_dataarray(cube, "good_samples")
    if not isinstance(mask, xr.DataArray):
        mask = open_cube(mask, variable="band_mask")
    band = _band_dim(cube)
    swath = [d for d in cube.dims if d != band]
    packed = [d for d in mask.dims if d not in swath]
    n = cube.sizes[band]
    fits = (
        len(packed) == 1
        and mask.dtype == np.uint8
        and mask.sizes[packed[0]] == math.ceil(n / 8)
        and all(mask.sizes.get(d) == cube.sizes[d] for d in swath)
    )
    if not fits:
        raise AxisMismatchError(
            f"good_samples: the mask is {mask.dtype} {dict(mask.sizes)}, the cube "
            f"{dict(cube.sizes)}. A mask has a bit for each sample: uint8, "
            f"{math.ceil(n / 8)} for {n} bands. Give the mask of the same scene."
        )
    flags = mask.transpose(*swath, packed[0]).data
    if isinstance(cube.data, da.Array) or isinstance(flags, da.Array):
        chunks = dict(zip(cube.dims, cube.chunks or cube.shape, strict=True))
        whole = [chunks[d] for d in swath]
        flags = da.asarray(flags).rechunk((*whole, mask.sizes[packed[0]]))
        good = flags.map_blocks(
            _unpacked, n, dtype=bool, chunks=(*flags.chunks[:-1], (n,))
        ).rechunk((*whole, chunks[band]))
    else:
        good = _unpacked(flags, n)
    coords = {k: v for k, v in cube.coords.items() if set(v.dims) <= set(cube.dims)}
    result = xr.DataArray(good, coords, (*swath, band), "good")
    return result.assign_attrs(
        long_name="sample was measured, not interpolated"
    ).transpose(*cube.dims)


def _unpacked(flags: Array, bands: int) -> Array:
    return np.asarray(np.unpackbits(flags, axis=-1, count=bands) == 0)


def _band_dim(cube: xr.DataArray) -> str:
    try:
        return Axis.from_cube(cube).dim
    except CoordinateError:
        left = [str(d) for d in cube.dims if d not in _SWATH]
        if len(left) != 1:
            raise
        return left[0]
