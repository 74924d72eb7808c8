"""Several contractions of one array: in sequence, added, and stacked.

A chain is a sequence of contractions, the first one first; a component is a sum of
chains. No contraction keeps its axis shorter or longer than it was.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from scipy import sparse

from cubekit.kernels.chunked import contract
from cubekit.kernels.layout import empty_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Component", "contract_each", "contract_stack"]

Array = Any  # NumPy or Dask
Graph = dict[Any, Any]
Step = tuple[sparse.csr_array, int]
Chain = tuple[Step, ...]
Component = tuple[Chain, ...]


def contract_each(x: Array, components: Sequence[Component]) -> list[Array]:
    """Components of an array; what they begin with in common is computed once.

    Parameters
    ----------
    x : NumPy or Dask array
        Real numbers; any chunks.
    components : sequence
        Each a tuple of chains, whose results are added in their order; each chain a
        tuple of pairs of a square csr_array and the axis that it is contracted into.

    Returns
    -------
    list of arrays
        Of the shape of `x`; Dask if `x` is. Equal components are one array.
    """
    return list(_components(x, components, [None] * len(components)))


def contract_stack(
    x: Array, components: Sequence[Component], shape: tuple[int, ...]
) -> Array:
    """The same, stacked on new leading axes of some shape, the last one fastest."""
    if isinstance(x, da.Array):
        return _stack(contract_each(x, components), shape)
    y = empty_stack(x, len(components))
    for into, part in zip(y, _components(x, components, list(y)), strict=True):
        if part is not into:
            np.copyto(into, part)
    return y.reshape(*shape, *x.shape)


def _stack(parts: list[da.Array], shape: tuple[int, ...]) -> da.Array:
    """Stack with one task for each chunk, whatever the number of new axes."""
    name = f"stack-{tokenize(shape, *(part.name for part in parts))}"
    new = (np.newaxis,) * len(shape)
    graph: Graph = {
        (name, *place, *key[1:]): (operator.getitem, key, (*new, ...))
        for place, part in zip(np.ndindex(shape), parts, strict=True)
        for key in flatten(part.__dask_keys__())
    }
    layers: HighLevelGraph = HighLevelGraph.from_collections(
        name,
        graph,
        dependencies=parts,  # type: ignore[arg-type]
    )
    chunks = (*((1,) * n for n in shape), *parts[0].chunks)
    meta = np.empty((0,) * (len(shape) + parts[0].ndim), parts[0].dtype)
    return da.Array(layers, name, chunks, meta=meta)


def _components(
    x: Array, components: Sequence[Component], into: Sequence[Array | None]
) -> Iterator[Array]:
    starts: dict[tuple[int, ...], Array] = {}  # of chains, kept while they are needed
    done: dict[tuple[tuple[int, ...], ...], Array] = {}
    names = [tuple(_name(chain) for chain in component) for component in components]
    for number, (component, name) in enumerate(zip(components, names, strict=True)):
        if name not in done:
            total = None
            for chain in component:
                part = x
                for length, (matrix, axis) in enumerate(chain[:-1], start=1):
                    start = _name(chain[:length])
                    if start not in starts:
                        starts[start] = contract(part, matrix, axis)
                    part = starts[start]
                out = into[number] if total is None else None
                part = contract(part, *chain[-1], out=out)
                if total is None:
                    total = part
                else:
                    total += part  # in place for NumPy
            done[name] = total
        later = [chain for name in names[number + 1 :] for chain in name]
        starts = {
            start: part
            for start, part in starts.items()
            if any(start == chain[: len(start)] for chain in later)
        }
        yield done[name]


def _name(chain: Chain) -> tuple[int, ...]:
    return tuple(part for matrix, axis in chain for part in (id(matrix), axis))
