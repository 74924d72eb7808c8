"""Where a measure is least, in one pass over the chunks."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

__all__ = ["least", "take"]

Array = npt.NDArray[Any]


def least(measure: Any, values: Any, below: float, axes: tuple[int, ...]) -> Any:
    """Least size of a measure over some axes, among samples whose value is below.

    Parameters
    ----------
    measure, values : NumPy or Dask arrays of one shape and chunks
        NaN in either rules a sample out; the sign of a measure does not count.
    below : float
        The threshold.
    axes : tuple of int
        Axes to search over.

    Returns
    -------
    array, (3, ...)
        The size of the measure, the value and the position, counted over `axes` in C
        order of their whole lengths; of equal ones the first. NaN where no sample is
        left.
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
    return _one_after_the_other(found, tuple(k + 1 for k in axes))


def _one_after_the_other(found: da.Array, axes: tuple[int, ...]) -> da.Array:
    """Best of all blocks along some axes, each compared with the best before it.

    A tree of comparisons would let Dask begin everywhere, and hold what neighbours
    share all over the cube: up to all of it. In a row, with the axis of fewest blocks
    first, it holds little more than what a row of blocks and the next one share.
    """
    name = f"least-{tokenize(found.name, axes)}"
    others = [k for k in range(found.ndim) if k not in axes]
    nested = sorted(axes, key=lambda k: -found.numblocks[k])
    graph: dict[Any, Any] = {}
    for kept in np.ndindex(*(found.numblocks[k] for k in others)):
        best: Any = None
        places = list(np.ndindex(*(found.numblocks[k] for k in nested)))
        for number, inner in enumerate(places):
            place = dict(zip([*others, *nested], [*kept, *inner], strict=True))
            block = (found.name, *(place[k] for k in range(found.ndim)))
            last = number == len(places) - 1
            key = (name, *kept) if last else (f"{name}-run", *kept, number)
            graph[key] = (_better_of, best, block, axes, last)
            best = key
    layers: HighLevelGraph = HighLevelGraph.from_collections(
        name,
        graph,
        dependencies=[found],  # type: ignore[list-item]
    )
    chunks = tuple(found.chunks[k] for k in others)
    meta = np.empty((0,) * len(others))
    return da.Array(layers, name, chunks, meta=meta)


def _better_of(
    best: Array | None, block: Array, axes: tuple[int, ...], last: bool
) -> Array:
    """Better of the best before and of a block, of length 1 in some axes."""
    if best is not None:
        both = np.concatenate([best, block], axis=axes[0])
        block = _least_of_parts(both, (axes[0],))
    return block.squeeze(axes) if last else block


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
    others = [k for k in range(measure.ndim) if k not in axes]
    measure = np.abs(measure)
    allowed = np.isfinite(measure)
    allowed &= values < below
    left = np.where(allowed, measure, np.inf).transpose([*others, *axes])
    kept, searched = left.shape[: len(others)], left.shape[len(others) :]
    # the first in the order of the axes here is the first in that of their whole, too
    at = np.unravel_index(
        left.reshape(*kept, math.prod(searched)).argmin(axis=-1), searched
    )
    place = dict(zip(axes, at, strict=True))
    place |= dict(zip(others, np.indices(kept, sparse=True), strict=True))
    index = tuple(place[k] for k in range(measure.ndim))
    position = np.zeros(kept)
    for k, length in zip(axes, lengths, strict=True):
        position = position * length + (corner[k] + place[k])
    found = np.array([measure[index], values[index], position], np.float64)
    found[:, ~allowed[index]] = np.nan
    return np.expand_dims(found, tuple(k + 1 for k in axes))


def _least_of_parts(x: Array, axis: tuple[int, ...]) -> Array:
    """Least by measure, then by position, of (3, ...)."""
    order = [k for k in range(x.ndim) if k not in axis]
    kept = [x.shape[k] for k in order]
    flat = x.transpose([*order, *axis]).reshape(*kept, -1)
    measure, _, position = np.where(np.isnan(flat), np.inf, flat)
    least = measure == measure.min(axis=-1, keepdims=True)
    at = np.where(least, position, np.inf).argmin(axis=-1)
    found = np.take_along_axis(flat, at[None, ..., None], axis=-1)[..., 0]
    return np.expand_dims(found, axis)
