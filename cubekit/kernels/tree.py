"""Fold the chunks of a Dask array into one small result, in an order of its own."""

from __future__ import annotations

import functools
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

__all__ = ["fold_chunks", "fold_chunks_and_seams"]

Result = TypeVar("Result")
Seam = TypeVar("Seam")
Edges = tuple[npt.NDArray[Any], npt.NDArray[Any]]  # first and last samples
# results held at a time grow with the logarithm of the number of chunks
_FAN_IN = 4
# what a leaf with edges gives
_PARTS = "inner", "edges"


def fold_chunks(
    x: da.Array,
    axis: int,
    leaf: Callable[..., Result],
    merge: Callable[[Sequence[Result]], Result],
    *,
    argument: Any = None,
    beside: da.Array | None = None,
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

    Returns
    -------
    result of `merge`
        Computed now, with the scheduler in force. Each chunk is used once, and the
        order of merging depends on nothing but the chunks.
    """
    name, given = _named(leaf, x, axis, argument, beside)
    leaves, below = _leaves(x, axis, leaf, given, beside)
    graph: dict[Any, Any] = {}
    root = _merge_tree(f"{name}-merge", leaves, merge, graph)
    result: Result = _computed(name, root, graph, below)
    return result


def fold_chunks_and_seams(
    x: da.Array,
    axis: int,
    leaf: Callable[..., Result],
    merge: Callable[[Sequence[Result]], Result],
    *,
    seam: Callable[..., Seam],
    merge_seams: Callable[[Sequence[Seam]], Seam],
    along: Sequence[int],
    argument: Any = None,
) -> tuple[Result, list[Seam | None]]:
    """Compute `fold_chunks`, and the same over the seams between chunks.

    Parameters
    ----------
    x, axis, leaf, merge, argument
        As for `fold_chunks`.
    seam, merge_seams : callable
        What to compute of the last samples of a chunk and the first of the next,
        ``seam(last, first, axis, argument)``, and how to join that.
    along : sequence of int
        Axes of which the seams are wanted.

    Returns
    -------
    result of `merge`, list of results of `merge_seams`
        For each of `along`; None if there is one chunk, and so no seam.

    Notes
    -----
    A chunk hands on copies of its edges, and is gone before its neighbours are there.
    """
    name, given = _named(leaf, x, axis, argument, tuple(along))
    cut = [direction for direction in along if x.numblocks[direction] > 1]
    with_edges = functools.partial(_with_edges, leaf=leaf, along=tuple(cut))
    leaves, below = _leaves(x, axis, with_edges, given, None)
    graph: dict[Any, Any] = {}
    inner, edges = (
        [(f"{name}-{part}", k) for k in range(len(leaves))] for part in _PARTS
    )
    for k, made in enumerate(leaves):
        graph[inner[k]], graph[edges[k]] = (_item, made, 0), (_item, made, 1)
    roots: list[Any] = []
    places = np.arange(len(leaves)).reshape(
        [1 if k == axis else n for k, n in enumerate(x.numblocks)]
    )
    for direction in along:
        if direction not in cut:
            roots.append(None)
            continue
        ahead = np.moveaxis(places, direction, 0)
        pairs = zip(ahead[:-1].ravel(), ahead[1:].ravel(), strict=True)
        found = f"{name}-seam-{direction}"
        made = functools.partial(
            _seam, seam=seam, axis=axis, direction=cut.index(direction)
        )
        seams = []
        for k, (low, high) in enumerate(sorted(pairs)):
            seams.append((found, k))
            graph[found, k] = (made, edges[low], edges[high], given.key)
        roots.append(_merge_tree(f"{found}-merge", seams, merge_seams, graph))
    root = f"{name}-all"
    whole = _merge_tree(f"{name}-merge", inner, merge, graph)
    graph[root] = (_together, whole, roots)
    both: tuple[Result, list[Seam | None]] = _computed(
        name, root, graph, [*below, given]
    )
    return both


def _named(
    leaf: Callable[..., Any], x: da.Array, axis: int, argument: Any, more: Any
) -> tuple[str, Delayed]:
    """Name of the tasks of a fold, and the argument of its leaves as one of them."""
    name = f"{leaf.__name__.strip('_')}-{tokenize(x.name, axis, argument, more)}"
    return name, delayed(argument, name=f"{name}-argument", traverse=False)


def _merge_tree(
    name: str,
    leaves: list[Any],
    merge: Callable[[Sequence[Any]], Any],
    graph: dict[Any, Any],
) -> Any:
    """Add the tasks that merge all leaves to a graph; the key of the last."""
    level = 0
    while len(leaves) > 1:
        level += 1
        groups = [leaves[k : k + _FAN_IN] for k in range(0, len(leaves), _FAN_IN)]
        leaves = [
            group[0] if len(group) == 1 else (f"{name}-{level}", number)
            for number, group in enumerate(groups)
        ]
        graph.update(
            (key, (merge, group))
            for key, group in zip(leaves, groups, strict=True)
            if len(group) > 1
        )
    return leaves[0]


def _computed(name: str, root: Any, graph: dict[Any, Any], below: list[Any]) -> Any:
    layers: HighLevelGraph = HighLevelGraph.from_collections(
        name, graph, dependencies=below
    )
    return Delayed(root, layers, layer=name).compute()


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


def _with_edges(
    x: npt.NDArray[Any],
    axis: int,
    argument: Any,
    *,
    leaf: Callable[..., Result],
    along: tuple[int, ...],
) -> tuple[Result, list[Edges]]:
    """Leaf of a chunk, and copies of its edges, which do not keep the chunk alive."""
    edges = [
        (x[_at(direction, slice(1))].copy(), x[_at(direction, slice(-1, None))].copy())
        for direction in along
    ]
    return leaf(x, axis, argument), edges


def _at(direction: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * direction, part)


def _seam(
    low: list[Edges],
    high: list[Edges],
    argument: Any,
    *,
    seam: Callable[..., Seam],
    axis: int,
    direction: int,
) -> Seam:
    return seam(low[direction][1], high[direction][0], axis, argument)


def _item(pair: tuple[Any, Any], index: int) -> Any:
    return pair[index]


def _together(inner: Result, seams: list[Any]) -> tuple[Result, list[Any]]:
    return inner, seams
