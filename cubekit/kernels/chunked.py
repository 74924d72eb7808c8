"""Contract a sparse matrix into one axis of a NumPy or Dask array.

The rows of the matrix are split at the chunks of the output, and each output chunk
takes just the slices of the input chunks that its rows touch: exact for any spacing and
any chunks, with no halo and no boundary mode. Where all outputs touch many chunks
(a projection), the columns are split at the chunks of the input and the parts added.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.system import CPU_COUNT
from scipy import sparse

from cubekit.kernels.contraction import contract_array, result_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["contract", "filled", "thread_count"]

Array = npt.NDArray[Any]
Graph = dict[Any, Any]
_FAN_IN = 8  # partial products added by one task


def contract(
    x: Array | da.Array,
    matrix: sparse.csr_array,
    axis: int,
    shift: Array | None = None,
    offset: Array | None = None,
) -> Array | da.Array:
    """Contract `matrix` into one axis; a Dask array stays one, with nothing computed.

    Parameters
    ----------
    x : NumPy or Dask array, (..., n, ...)
        Real numbers; any chunks. A NumPy array is worked on by ``num_workers`` threads
        (Dask configuration), by default as many as there are processors.
    matrix : csr_array, (m, n)
        Its stored entries, zeros included, are the support. Indices are sorted.
    axis : int
        The axis of length n.
    shift : array, (n,), optional
        Taken off `x` before the product.
    offset : array, (m,), optional
        Added to the product.

    Returns
    -------
    array, (..., m, ...)
        ``matrix @ (x - shift) + offset``; see
        `cubekit.kernels.contraction.contract_array`. At most two tasks for each chunk
        are added to a graph.
    """
    if not isinstance(x, da.Array):
        return contract_array(
            x, matrix, axis, threads=thread_count(), shift=shift, offset=offset
        )
    x = filled(x)
    pieces = _output_chunks(x.chunks[axis], matrix.shape)
    chunks = (*x.chunks[:axis], pieces, *x.chunks[axis + 1 :])
    dtype = result_dtype(x.dtype)
    meta = np.empty((0,) * x.ndim, dtype)
    if len(x.chunks[axis]) == len(pieces) == 1:
        mapped: da.Array = da.map_blocks(
            contract_array,
            x,
            matrix=matrix,
            axis=axis,
            shift=shift,
            offset=offset,
            chunks=chunks,
            dtype=dtype,
            meta=meta,
        )
        return mapped
    parts = (matrix.shape, matrix.indptr, matrix.indices, matrix.data)
    name = f"contract-{tokenize(x.name, *parts, axis, shift, offset)}"
    graph = _graph(name, x, matrix, axis, pieces, shift=shift, offset=offset)
    layers: HighLevelGraph = HighLevelGraph.from_collections(
        name,
        graph,
        dependencies=[x],  # type: ignore[list-item]
    )
    return da.Array(layers, name, chunks, meta=meta)


def filled(x: da.Array) -> da.Array:
    """Array with NaN where a masked one has no value; any other as it is."""
    if not isinstance(x._meta, np.ma.MaskedArray):
        return x
    plain: da.Array = da.ma.filled(x.astype(result_dtype(x.dtype)), np.nan)
    return plain


def thread_count() -> int:
    """Threads for NumPy arrays, as Dask is configured."""
    if dask.config.get("scheduler", None) in {"synchronous", "single-threaded", "sync"}:
        return 1
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _output_chunks(chunks: tuple[int, ...], shape: tuple[int, int]) -> tuple[int, ...]:
    """Chunks of the output: those of the input if the axis keeps its length."""
    outputs, inputs = shape
    if outputs == inputs:
        return chunks
    size = max(1, *chunks)
    return tuple(min(size, outputs - k) for k in range(0, outputs, size)) or (0,)


def _graph(
    name: str,
    x: da.Array,
    matrix: sparse.csr_array,
    axis: int,
    pieces: tuple[int, ...],
    *,
    shift: Array | None,
    offset: Array | None,
) -> Graph:
    rows = np.concatenate([[0], np.cumsum(pieces)])
    columns = np.concatenate([[0], np.cumsum(x.chunks[axis])])
    parts = [matrix[a:b] for a, b in itertools.pairwise(rows)]
    touched = [_touched(part, columns) for part in parts]
    partial = sum(map(len, touched))
    split = max(map(len, touched)) > 2 and partial <= 2 * max(
        len(pieces), x.numblocks[axis]
    )
    others = [range(1) if k == axis else range(n) for k, n in enumerate(x.numblocks)]
    graph: Graph = {}
    for out, (part, sources) in enumerate(zip(parts, touched, strict=True)):
        groups = [[source] for source in sources] if split else [sources]
        weights = []
        for number, group in enumerate(groups):
            key = (f"{name}-weights", out, number)
            inputs = [columns[s : s + 2] for s in group]
            added = (
                None
                if offset is None or number
                else offset[rows[out] :][: part.shape[0]]
            )
            graph[key] = (*_restricted(part, inputs, shift), added)
            weights.append(key)
        for place in itertools.product(*others):

            def at(chunk: int, place: tuple[int, ...] = place) -> tuple[int, ...]:
                return (*place[:axis], chunk, *place[axis + 1 :])

            terms = [
                (_contract_pieces, key, axis, [(x.name, *at(s)) for s in group])
                for key, group in zip(weights, groups, strict=True)
            ]
            _add_terms(graph, name, at(out), terms)
    return graph


def _add_terms(graph: Graph, name: str, at: tuple[int, ...], terms: list[Any]) -> None:
    """Put tasks that compute and add some terms into a graph."""
    level = 0
    while len(terms) > 1:
        keys = [(f"{name}-part-{level}", *at, k) for k in range(len(terms))]
        graph.update(zip(keys, terms, strict=True))
        terms = [(sum, keys[k : k + _FAN_IN]) for k in range(0, len(keys), _FAN_IN)]
        level += 1
    graph[(name, *at)] = terms[0]


def _touched(part: sparse.csr_array, columns: npt.NDArray[np.intp]) -> list[int]:
    """Input chunks that some rows depend on; one at least, to know the other axes."""
    found = np.searchsorted(columns, np.unique(part.indices), side="right") - 1
    return [int(k) for k in np.unique(found)] or [0]


def _restricted(
    part: sparse.csr_array,
    ranges: Sequence[npt.NDArray[np.intp]],
    shift: Array | None,
) -> tuple[sparse.csr_array, list[slice], Array | None]:
    """Columns of some rows in a few ranges, the slice of each, and their shift."""
    used = np.unique(part.indices)
    keep: list[npt.NDArray[np.intp]] = []
    slices = []
    for start, stop in ranges:
        inside = used[(used >= start) & (used < stop)]
        first, last = (
            (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (start, start)
        )
        keep.append(np.arange(first, last))
        slices.append(slice(int(first - start), int(last - start)))
    columns = np.concatenate(keep)
    return (
        _take_columns(part, columns),
        slices,
        None if shift is None else shift[columns],
    )


def _take_columns(
    part: sparse.csr_array, keep: npt.NDArray[np.intp]
) -> sparse.csr_array:
    """Columns of a matrix, explicit zeros kept as slicing would not promise."""
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    inside = np.isin(part.indices, keep)
    indptr = np.concatenate(
        [[0], np.cumsum(np.bincount(row[inside], minlength=part.shape[0]))]
    )
    indices = np.searchsorted(keep, part.indices[inside])
    return sparse.csr_array(
        (part.data[inside], indices, indptr), shape=(part.shape[0], len(keep))
    )


def _contract_pieces(
    weights: tuple[sparse.csr_array, list[slice], Array | None, Array | None],
    axis: int,
    pieces: list[Array],
) -> Array:
    matrix, slices, shift, offset = weights
    before = (slice(None),) * axis
    parts = [piece[(*before, s)] for piece, s in zip(pieces, slices, strict=True)]
    x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
    return contract_array(x, matrix, axis, shift=shift, offset=offset)
