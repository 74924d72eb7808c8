"""Fold the chunks of a Dask array into one small result, in an order of its own."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any, TypeVar

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import optimize, tokenize
from dask.core import flatten
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["fold_chunks"]

Result = TypeVar("Result")
# results held at a time grow with the logarithm of the number of chunks
_FAN_IN = 4


def fold_chunks(
    x: da.Array,
    axis: int,
    leaf: Callable[..., Result],
    merge: Callable[[Sequence[Result]], Result],
    *,
    argument: Any = None,
    beside: da.Array | None = None,
    along: Sequence[int] = (),
) -> Result:
    """Compute ``merge`` over ``leaf(chunk, axis, argument, *more)`` of all chunks.

    Parameters
    ----------
    x : Dask array, (..., n, ...)
        Chunks of its `axis` are joined before they reach a leaf.
    axis : int
        The axis that stays whole.
    leaf, merge : callable
        What to compute of a chunk, and how to join the results of neighbours.
    argument : object, optional
        Given to every leaf.
    beside : Dask array, optional
        Chunked as `x` without `axis`; its chunk is given to the leaf.
    along : sequence of int, optional
        For each of these axes the leaf is given the first samples of the next chunk, or
        None at the end.

    Returns
    -------
    result of `merge`
        Computed now, with the scheduler in force. Each chunk is used once, and the
        order of merging depends on nothing but the chunks.
    """
    name = f"{leaf.__name__.strip('_')}-{tokenize(x.name, axis, argument, beside)}"
    given = delayed(argument, name=f"{name}-argument", traverse=False)
    if along:
        leaves, graph, below = _leaves_along(x, axis, leaf, given, along)
    else:
        leaves, below = _leaves(x, axis, leaf, given, beside)
        graph = {}
    level = 0
    while len(leaves) > 1:
        level += 1
        groups = [leaves[k : k + _FAN_IN] for k in range(0, len(leaves), _FAN_IN)]
        leaves = [
            group[0] if len(group) == 1 else (f"{name}-merge-{level}", number)
            for number, group in enumerate(groups)
        ]
        graph.update(
            (key, (merge, group))
            for key, group in zip(leaves, groups, strict=True)
            if len(group) > 1
        )
    layers: HighLevelGraph = HighLevelGraph.from_collections(
        name, graph, dependencies=below
    )
    result: Result = Delayed(leaves[0], layers, layer=name).compute()
    return result


def _leaves(
    x: da.Array,
    axis: int,
    leaf: Callable[..., Any],
    argument: Delayed,
    beside: da.Array | None,
) -> tuple[list[Any], list[Any]]:
    """Keys of the leaves, and what they are in; each one task with its chunk.

    A leaf for each block of an array can be fused with what makes the block: of many
    small chunks, the tasks cost more time than the work.
    """
    every = range(x.ndim)
    samples = [k for k in every if k != axis]
    more: list[Any] = [] if beside is None else [beside, samples]
    # an axis that goes, be it of one chunk, keeps blocks from being fused
    out = list(every) if x.numblocks[axis] == 1 else samples
    leaves: da.Array = da.blockwise(
        _joined, out, x, every, *more,
        leaf=leaf, axis=axis, argument=argument, concatenate=len(out) == x.ndim or None,
        dtype=object, meta=np.empty((0,) * len(out), object), align_arrays=False,
    )  # fmt: skip
    (leaves,) = optimize(leaves)
    return list(flatten(leaves.__dask_keys__())), [leaves]


def _leaves_along(
    x: da.Array,
    axis: int,
    leaf: Callable[..., Any],
    argument: Delayed,
    along: Sequence[int],
) -> tuple[list[Any], dict[Any, Any], list[Any]]:
    """Keys of leaves that see the first samples of the next chunks, and their tasks."""
    (x,) = optimize(x)
    name = argument.key.removesuffix("-argument")
    graph: dict[Any, Any] = {}
    keys: list[Any] = []
    others = [range(1) if k == axis else range(n) for k, n in enumerate(x.numblocks)]

    def pieces_at(*place: int) -> list[Any]:
        bands = range(x.numblocks[axis])
        return [(x.name, *place[:axis], k, *place[axis + 1 :]) for k in bands]

    for place in itertools.product(*others):
        extra: list[Any] = []
        for direction in along:
            after = list(place)
            after[direction] += 1
            if after[direction] == x.numblocks[direction]:
                extra.append(None)
                continue
            first = (slice(None),) * direction + (slice(1),)
            edges = []
            for piece in pieces_at(*after):
                edges.append((f"{name}-edge-{direction}", *piece[1:]))
                graph[edges[-1]] = (_copied, piece, first)
            key = (f"{name}-edges-{direction}", len(keys))
            graph[key] = (_concatenated, edges, axis)
            extra.append(key)
        keys.append((name, len(keys)))
        made = functools.partial(_joined, leaf=leaf, axis=axis)
        graph[keys[-1]] = (_with_argument, made, argument.key, pieces_at(*place), extra)
    return keys, graph, [x, argument]


def _with_argument(
    made: Callable[..., Result], argument: Any, pieces: Any, extra: list[Any]
) -> Result:
    return made(pieces, *extra, argument=argument)


def _joined(
    pieces: Any,
    *beside: Any,
    leaf: Callable[..., Result],
    axis: int,
    argument: Any,
) -> Result:
    """Leaf of a chunk, or of the list of its pieces along `axis`."""
    whole = _concatenated(pieces, axis) if isinstance(pieces, list) else pieces
    return leaf(whole, axis, argument, *beside)


def _concatenated(pieces: list[npt.NDArray[Any]], axis: int) -> npt.NDArray[Any]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=axis)


def _copied(x: npt.NDArray[Any], index: Any) -> npt.NDArray[Any]:
    """Part of a chunk that does not keep the chunk alive."""
    part: npt.NDArray[Any] = x[index].copy()
    return part
