"""Fold the chunks of a Dask array into one small result, in an order of its own."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from dask.base import optimize, tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import dask.array as da

__all__ = ["fold_chunks"]

Result = TypeVar("Result")
# results held at a time grow with the logarithm of the number of chunks
_FAN_IN = 2


def fold_chunks(
    x: da.Array,
    axis: int,
    leaf: Callable[..., Result],
    merge: Callable[[Sequence[Result]], Result],
    *,
    argument: Any = None,
    beside: da.Array | None = None,
) -> Result:
    """Compute ``merge`` over ``leaf(chunk, axis, argument, beside)`` of all chunks.

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
    arrays = optimize(*([x] if beside is None else [x, beside]))
    x = arrays[0]
    name = f"{leaf.__name__.strip('_')}-{tokenize(x.name, axis, argument, beside)}"
    graph: dict[Any, Any] = {f"{name}-argument": argument}
    keys: list[Any] = []
    others = [range(1) if k == axis else range(n) for k, n in enumerate(x.numblocks)]
    for place in itertools.product(*others):
        pieces = [
            (x.name, *place[:axis], k, *place[axis + 1 :])
            for k in range(x.numblocks[axis])
        ]
        extra = [
            (array.name, *place[:axis], *place[axis + 1 :]) for array in arrays[1:]
        ]
        keys.append((name, len(keys)))
        graph[keys[-1]] = (_joined, leaf, pieces, axis, f"{name}-argument", *extra)
    level = 0
    while len(keys) > 1:
        level += 1
        groups = [keys[k : k + _FAN_IN] for k in range(0, len(keys), _FAN_IN)]
        keys = [
            group[0] if len(group) == 1 else (f"{name}-merge-{level}", number)
            for number, group in enumerate(groups)
        ]
        graph.update(
            (key, (merge, group))
            for key, group in zip(keys, groups, strict=True)
            if len(group) > 1
        )
    layers: HighLevelGraph = HighLevelGraph.from_collections(
        name,
        graph,
        dependencies=list(arrays),
    )
    result: Result = Delayed(keys[0], layers, layer=name).compute()
    return result


def _joined(
    leaf: Callable[..., Result],
    pieces: list[npt.NDArray[Any]],
    axis: int,
    argument: Any,
    *beside: npt.NDArray[Any],
) -> Result:
    x = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=axis)
    return leaf(x, axis, argument, *beside)
