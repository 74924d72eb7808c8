"""Compute the blocks of a cube and hand each on as encoded chunks, in threads."""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import dask.array as da
import numpy as np
from dask.base import compute_as_if_collection
from dask.blockwise import blockwise
from dask.callbacks import Callback
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArraySliceDep

from cubekit.io.codec import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cubekit.io.formats import ChunkCodec
    from cubekit.io.planning import PlannedVariable

__all__ = ["ChunkSink", "EncodedChunk", "Sink", "Store", "compute_chunks", "filled"]


@dataclasses.dataclass(frozen=True)
class EncodedChunk:
    """A chunk as it is stored."""

    variable: str
    index: tuple[int, ...]
    data: bytes | memoryview
    checksum: int


Store: TypeAlias = "Callable[[EncodedChunk], None]"


class Sink(Protocol):
    """Where the blocks of one variable go."""

    plan: PlannedVariable

    def write(self, block: Any, region: tuple[slice, ...]) -> None:
        """Take a block and its place."""


class ChunkSink:
    """Where the blocks of one variable go: cut into chunks, encoded, handed on.

    Parameters
    ----------
    plan : PlannedVariable
    codec : ChunkCodec
    store : callable
        Called with each chunk, from several threads.
    report : callable
        Called with the bytes of each block.
    """

    def __init__(
        self,
        plan: PlannedVariable,
        codec: ChunkCodec,
        store: Store,
        report: Callable[[int], None],
    ) -> None:
        self.plan = plan
        self.codec = codec
        self.store = store
        self.report = report

    def write(self, block: Any, region: tuple[slice, ...]) -> None:
        """Encode the chunks of a block."""
        block = np.asarray(block)
        for index, part in self._chunks(block, region):
            encoded = self.codec.encode(part)
            name = self.plan.variable.name
            self.store(EncodedChunk(name, index, encoded, crc32(encoded)))
        self.report(block.nbytes)

    def _chunks(
        self, block: Any, region: tuple[slice, ...]
    ) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Index and values of each chunk, filled up beyond the edge of the cube."""
        chunk = self.plan.chunk or ()
        grid = (
            range(k.start // c, -(-k.stop // c))
            for k, c in zip(region, chunk, strict=True)
        )
        for index in itertools.product(*grid):
            part = block[
                tuple(
                    slice(c * i - k.start, c * (i + 1) - k.start)
                    for c, i, k in zip(chunk, index, region, strict=True)
                )
            ]
            yield index, filled(part, chunk, self.plan.variable.fill)


def filled(part: Any, chunk: tuple[int, ...], fill: Any) -> Any:
    """Chunk from its part inside the cube; beyond its edge lie fill values."""
    if part.shape == chunk:
        return part
    full = np.full(chunk, 0 if fill is None else fill, part.dtype)
    full[tuple(slice(n) for n in part.shape)] = part
    return full


def compute_chunks(
    sinks: Sequence[Sink],
    workers: int,
    done: Callable[[PlannedVariable, tuple[slice, ...]], bool] | None = None,
) -> None:
    """Compute all blocks of all variables together, what they share once.

    Parameters
    ----------
    sinks : sequence of Sink
        One for each variable.
    workers : int
        Blocks under way at a time.
    done : callable
        Whether a block (variable, place) need not be computed.
    """
    keys: list[Any] = []
    graphs = []
    for sink in sinks:
        name = f"save {sink.plan.variable.name}"
        graphs.append(_saving(name, sink))
        for index, region in sink.plan.regions():
            if done is None or not done(sink.plan, region):
                keys.append((name, *index))
    if not keys:
        return
    layers: HighLevelGraph = HighLevelGraph.merge(*graphs)
    running = _Running()
    try:
        # threads of our own: in a forked process those of Dask are no more
        with running, ThreadPoolExecutor(workers) as pool:
            compute_as_if_collection(
                da.Array,
                layers,
                keys,
                **({"scheduler": "sync"} if workers == 1 else {"scheduler": "threads"}),
                **({} if workers == 1 else {"pool": pool, "num_workers": workers}),
            )
    except Exception as error:
        places = sorted(filter(None, map(_place, running.keys)))
        if places:
            error.add_note(f"while computing {' or '.join(places)}")
        raise


def _saving(name: str, sink: Sink) -> HighLevelGraph:
    """Graph with a task for each block that saves it, known by the name and its index.

    As a blockwise layer it is fused with the layer that computes the block. As a task
    of its own it would hold that one, and Dask sorts what is within a task each time it
    runs: as much work as all else that is done for a small block.
    """
    array = sink.plan.array
    axes = tuple(range(array.ndim))
    save = blockwise(
        *(sink.write, name, axes),
        *(array.name, axes, ArraySliceDep(array.chunks), axes),
        numblocks={array.name: array.numblocks},
    )
    return HighLevelGraph.from_collections(name, save, dependencies=[array])


def _place(key: Any) -> str:
    """Block that a task computes and saves; its name keeps those fused into it."""
    _, saves, variable = str(key[0]).rpartition("save ")
    return f"block {key[1:]} of {variable!r}" if saves else ""


class _Running(Callback):
    """Keys of the tasks under way."""

    def __init__(self) -> None:
        self.keys: set[Any] = set()
        super().__init__(  # type: ignore[no-untyped-call]
            pretask=self._begin, posttask=self._end
        )

    def _begin(self, key: Any, dsk: Any, state: Any) -> None:
        self.keys.add(key)

    def _end(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        self.keys.discard(key)
