"""Apply functions of whole spectra, a block of them at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from cubekit.axis import Axis

__all__ = ["map_spectra", "neighbours"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

_SAMPLES_A_BLOCK = 2**16  # a block stays in cache, some copies of it too


def map_spectra(
    function: Callable[[Floats], Floats],
    cube: xr.DataArray,
    axis: Axis,
    *,
    what: str,
    output: tuple[Mapping[Hashable, int], np.dtype[Any]] | None = None,
) -> xr.DataArray:
    """Apply a function of spectra, (spectrum, band) to (spectrum, result).

    Parameters
    ----------
    function : callable
        Takes float64 with NaN for every value that is missing or in a bad band.
    cube : DataArray
        A chunked axis is put together first.
    axis : Axis
        Along which the spectra lie.
    what : str
        For messages.
    output : (sizes by dim, dtype), optional
        Dims of a result in place of the bands, none or one; the bands if not given.

    Returns
    -------
    DataArray
        Without attributes; float32 at least if `output` is not given.
    """
    require_real(cube, what)
    bands = {axis.dim: len(axis)}
    sizes, dtype = output or (bands, np.result_type(cube.dtype, np.float32))
    if cube.chunks is not None:
        along = [cube.get_axis_num(axis.dim)]
        data = kernels.whole_along(cube.data, along, what)
        chunks = dict(zip(cube.dims, data.chunks, strict=True))
        lazy = {
            name: coord.variable.chunk({d: chunks[d] for d in coord.dims})
            for name, coord in cube.coords.items()
            if coord.chunks is not None
        }
        cube = cube.copy(data=data).assign_coords(lazy)
    bad = np.zeros(len(axis), np.bool_) if axis.good is None else ~axis.good

    def blockwise(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        flat = x.reshape(-1, x.shape[-1])
        result = np.empty((len(flat), *sizes.values()), dtype)
        size = max(1, _SAMPLES_A_BLOCK // max(1, x.shape[-1]))
        for k in range(0, len(flat), size):
            spectra = flat[k : k + size].astype(np.float64)
            np.copyto(spectra, np.nan, where=bad | ~np.isfinite(spectra))
            result[k : k + size] = function(spectra)
        return result.reshape((*x.shape[:-1], *sizes.values()))

    result: xr.DataArray = xr.apply_ufunc(
        blockwise,
        cube,
        input_core_dims=[[axis.dim]],
        output_core_dims=[list(sizes)],
        exclude_dims=set() if axis.dim in sizes else {axis.dim},
        keep_attrs=True,  # else some versions take those of the input's coordinates off
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": dict(sizes)},
    )
    result.attrs = {}
    if axis.dim in sizes:
        return result.transpose(*cube.dims)
    place = cube.dims.index(axis.dim)
    dims = [d for d in cube.dims if d != axis.dim]
    return result.transpose(*dims[:place], *sizes, *dims[place:])


def neighbours(spectra: Floats) -> tuple[Integers, Integers, Integers]:
    """Pairs of neighbouring samples that are not missing, spectrum by spectrum.

    Returns
    -------
    spectrum, band, next_band : array, (pair,)
    """
    spectrum, band = np.nonzero(np.isfinite(spectra))
    same = spectrum[1:] == spectrum[:-1]
    return spectrum[1:][same], band[:-1][same], band[1:][same]
