"""Eigenvalues of a symmetric matrix at each sample."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

__all__ = ["eigenvalues"]

Array = Any  # NumPy or Dask


def eigenvalues(parts: list[Array], size: int) -> Array:
    """Eigenvalues, ascending, on a new leading axis; NaN where a part is not finite.

    Parameters
    ----------
    parts : list of arrays, all of one shape
        Upper triangle of the matrices, row by row.
    size : int
        Rows of each matrix.
    """
    if not isinstance(parts[0], da.Array):
        return _eigenvalues(*parts, size=size)
    dtype = parts[0].dtype
    mapped: da.Array = da.map_blocks(
        _eigenvalues,
        *parts,
        size=size,
        new_axis=0,
        chunks=((size,), *parts[0].chunks),
        dtype=dtype,
        meta=np.empty((0,) * (parts[0].ndim + 1), dtype),
    )
    return mapped


def _eigenvalues(*parts: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    if size == 1:
        return np.array(parts)
    if size == 2:
        a, b, c = parts
        with np.errstate(invalid="ignore", over="ignore"):
            middle, radius = a / 2 + c / 2, np.hypot(a / 2 - c / 2, b)
            return np.stack([middle - radius, middle + radius])
    matrices = np.empty((*parts[0].shape, size, size), parts[0].dtype)
    rows, columns = np.triu_indices(size)
    for part, i, j in zip(parts, rows, columns, strict=True):
        matrices[..., i, j] = matrices[..., j, i] = part
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    matrices[~finite] = 0
    values = np.linalg.eigvalsh(matrices)
    values[~finite] = np.nan
    return np.moveaxis(values, -1, 0)
