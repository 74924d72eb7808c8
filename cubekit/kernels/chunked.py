"""Contract a sparse matrix into one axis of a NumPy or Dask array.

The rows of the matrix are split at the chunks of the output, and each output chunk
takes just the slices of the input chunks that its rows touch: exact for any spacing and
any chunks, with no halo and no boundary mode. Where all outputs touch many chunks
(a projection), the columns are split at the chunks of the input and the parts added.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.system import CPU_COUNT

from cubekit.kernels.contraction import contract_array
from cubekit.kernels.layout import result_dtype
from cubekit.kernels.linear_map import LinearMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy import sparse

    from cubekit.kernels.refit import LocalFit

__all__ = ["contract", "filled", "thread_count"]

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]
Graph = dict[Any, Any]
_FAN_IN = 8  # partial products added by one task
_WHOLE = 2**25  # bytes up to which a chunk may grow


def contract(
    x: Array | da.Array,
    matrix: sparse.csr_array,
    axis: int,
    *,
    fit: LocalFit | None = None,
    shift: Array | None = None,
    offset: Array | None = None,
    shift_last: bool = False,
    out: Array | None = None,
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
    fit : LocalFit, optional
        What the rows of `matrix` are; given, windows with missing samples are fitted
        again to those that are left. See `cubekit.kernels.refit.Refit`. Not with
        `shift` or `offset`.
    shift : array, (n,), optional
        Taken off `x` before the product.
    offset : array, (m,), optional
        Added to the product.
    shift_last : bool, default False
        Whether the shift may be taken off after the product, at the cost of digits,
        where that is faster.
    out : array, (..., m, ...), optional
        Where to put the result of a NumPy array; see `contract_array`.

    Returns
    -------
    array, (..., m, ...)
        ``matrix @ (x - shift) + offset``; see
        `cubekit.kernels.contraction.contract_array`. At most two tasks for each chunk
        are added to a graph.
    """
    linear = LinearMap(matrix, fit, shift, offset, shift_last)
    if not isinstance(x, da.Array):
        return contract_array(x, linear, axis, threads=thread_count(), out=out)
    x = filled(x)
    pieces = _output_chunks(x, axis, matrix.shape[0])
    chunks = (*x.chunks[:axis], pieces, *x.chunks[axis + 1 :])
    dtype = result_dtype(x.dtype)
    meta = np.empty((0,) * x.ndim, dtype)
    if len(x.chunks[axis]) == len(pieces) == 1:
        mapped: da.Array = da.map_blocks(
            contract_array, x, linear, axis, chunks=chunks, dtype=dtype, meta=meta
        )
        return mapped
    name = f"contract-{tokenize(x.name, linear, axis)}"
    graph = _graph(name, x, linear, axis, pieces)
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
    """Threads for work of our own, as Dask is configured."""
    if dask.config.get("scheduler", None) in {"synchronous", "single-threaded", "sync"}:
        return 1
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _output_chunks(x: da.Array, axis: int, outputs: int) -> tuple[int, ...]:
    """Chunks of the output: those of the input if the axis keeps its length.

    An axis in one chunk stays in one where that is not large: few components give many
    bands, and in slices of as few bands these would be slow to write and to join.
    """
    chunks: tuple[int, ...] = x.chunks[axis]
    if outputs == x.shape[axis]:
        return chunks
    size = max(1, *chunks)
    if len(chunks) == 1:
        others = [max(c, default=0) for k, c in enumerate(x.chunks) if k != axis]
        plane = math.prod(others) * result_dtype(x.dtype).itemsize
        size = max(size, _WHOLE // max(1, plane))
    return tuple(min(size, outputs - k) for k in range(0, outputs, size)) or (0,)


def _graph(
    name: str, x: da.Array, linear: LinearMap, axis: int, pieces: tuple[int, ...]
) -> Graph:
    rows = np.concatenate([[0], np.cumsum(pieces)]).tolist()
    columns = np.concatenate([[0], np.cumsum(x.chunks[axis])])
    parts = [linear.rows(a, b) for a, b in itertools.pairwise(rows)]
    touched = [_touched(part.matrix, columns) for part in parts]
    most = 2 * max(len(pieces), x.numblocks[axis])
    split = max(map(len, touched)) > 2 and sum(map(len, touched)) <= most
    split = split and linear.fit is None
    others = [range(1) if k == axis else range(n) for k, n in enumerate(x.numblocks)]
    graph: Graph = {}
    for out, (part, sources) in enumerate(zip(parts, touched, strict=True)):
        groups = [[source] for source in sources] if split else [sources]
        weights = []
        for number, group in enumerate(groups):
            key = (f"{name}-weights", out, number)
            term = dataclasses.replace(part, offset=None) if number else part
            graph[key] = _restricted(term, [columns[s : s + 2] for s in group])
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
    part: LinearMap, ranges: Sequence[Indices]
) -> tuple[LinearMap, list[slice]]:
    """Map from what it needs of a few ranges of inputs, and the slice of each."""
    used = np.unique(part.matrix.indices)
    keep: list[Indices] = []
    slices = []
    for start, stop in ranges:
        inside = used[(used >= start) & (used < stop)]
        first, last = (
            (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (start, start)
        )
        keep.append(np.arange(first, last))
        slices.append(slice(int(first - start), int(last - start)))
    return part.columns(np.concatenate(keep)), slices


def _contract_pieces(
    weights: tuple[LinearMap, list[slice]], axis: int, pieces: list[Array]
) -> Array:
    linear, slices = weights
    before = (slice(None),) * axis
    parts = [piece[(*before, s)] for piece, s in zip(pieces, slices, strict=True)]
    x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
    return contract_array(x, linear, axis)
