"""Where a measure is least, in one pass over the chunks."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

__all__ = ["least", "take"]

Array = npt.NDArray[Any]


def least(measure: Any, values: Any, below: float, axes: tuple[int, ...]) -> Any:
    """Least measure over some axes, among samples whose value is below a threshold.

    Parameters
    ----------
    measure, values : NumPy or Dask arrays of one shape and chunks
        NaN in either rules a sample out.
    below : float
        The threshold.
    axes : tuple of int
        Axes to search over.

    Returns
    -------
    array, (3, ...)
        The measure, the value and the position, counted over `axes` in C order of
        their whole lengths; of equal ones the first. NaN where no sample is left.
        float64, so that positions are exact.
    """
    lengths = tuple(measure.shape[k] for k in axes)
    if not isinstance(measure, da.Array):
        found = _least_of_block(measure, values, below, axes, lengths)
        return found.squeeze(tuple(k + 1 for k in axes))
    chunks = tuple(
        (1,) * len(c) if k in axes else c for k, c in enumerate(measure.chunks)
    )
    found = da.map_blocks(
        _least_of_block,
        measure,
        values,
        below,
        axes,
        lengths,
        new_axis=0,
        chunks=((3,), *chunks),
        dtype=np.float64,
        meta=np.empty((0,) * (measure.ndim + 1)),
    )
    return da.reduction(
        found,
        chunk=_as_it_is,
        combine=_least_of_parts,
        aggregate=_least_of_parts,
        axis=tuple(k + 1 for k in axes),
        dtype=np.float64,
        meta=np.empty((0,) * (measure.ndim + 1 - len(axes))),
    )


def take(values: Array, positions: Array | da.Array) -> Array | da.Array:
    """Values at positions that may be NaN: there the result is missing, NaN or NaT."""
    missing: Any = np.nan
    if values.dtype.kind in "mM":
        missing = np.array("NaT", values.dtype)
    dtype = np.result_type(values.dtype, missing)
    table = np.append(values.astype(dtype), missing)
    if not isinstance(positions, da.Array):
        return _look_up(positions, table)
    found: da.Array = da.map_blocks(
        _look_up, positions, table, dtype=dtype, meta=np.empty((0,), dtype)
    )
    return found


def _look_up(positions: Array, table: Array) -> Array:
    index = np.where(np.isnan(positions), len(table) - 1, positions)
    return table[index.astype(np.intp)]


def _least_of_block(
    measure: Array,
    values: Array,
    below: float,
    axes: tuple[int, ...],
    lengths: tuple[int, ...],
    *,
    block_info: Any = None,
) -> Array:
    """(3, ...) of a block, with length 1 in each of the axes."""
    corner = [0] * measure.ndim
    if block_info:
        corner = [start for start, _ in block_info[0]["array-location"]]
    position = np.zeros((1,) * measure.ndim)
    for k, length in zip(axes, lengths, strict=True):
        shape = [-1 if j == k else 1 for j in range(measure.ndim)]
        index = corner[k] + np.arange(measure.shape[k], dtype=np.float64)
        position = position * length + index.reshape(shape)
    allowed = (values < below) & np.isfinite(measure)
    parts = [
        np.where(allowed, part, np.nan)
        for part in np.broadcast_arrays(measure, values, position)
    ]
    return _least_of_parts(
        np.array(parts, np.float64), tuple(k + 1 for k in axes), True
    )


def _least_of_parts(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Least by measure, then by position, of (3, ...)."""
    order = [k for k in range(x.ndim) if k not in axis]
    kept = [x.shape[k] for k in order]
    flat = x.transpose([*order, *axis]).reshape(*kept, -1)
    measure, _, position = np.where(np.isnan(flat), np.inf, flat)
    least = measure == measure.min(axis=-1, keepdims=True)
    at = np.where(least, position, np.inf).argmin(axis=-1)
    found = np.take_along_axis(flat, at[None, ..., None], axis=-1)[..., 0]
    return np.expand_dims(found, axis) if keepdims else found


def _as_it_is(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return x
