"""Blocks computed, encoded and written by the workers of a Dask cluster."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import dask.array as da
from dask.base import get_scheduler, tokenize
from dask.highlevelgraph import HighLevelGraph

from cubekit.io.computing import ChunkSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubekit.io.formats import ChunkCodec, FileContainer
    from cubekit.io.planning import PlannedVariable

__all__ = ["WorkerSink", "client_of_cluster", "compute_on_cluster"]


def client_of_cluster() -> Any:
    """Client of the cluster that Dask computes on here; None if there is none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, distributed.Client) else None


class WorkerSink:
    """Where the blocks of a variable go on a worker: into files that all share.

    Parameters
    ----------
    plan : PlannedVariable
    codec : ChunkCodec
    container : FileContainer
        One whose chunks can be added from any process.
    """

    def __init__(
        self, plan: PlannedVariable, codec: ChunkCodec, container: FileContainer
    ) -> None:
        self.array = plan.array
        self.regions = list(plan.regions())
        # what travels with each task must be small
        variable = dataclasses.replace(plan.variable, data=None)
        self.plan = dataclasses.replace(plan, variable=variable, array=None)
        self.codec = codec
        self.container = container

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs."""
        return {**self.__dict__, "array": None, "regions": None}

    def write(
        self, block: Any, region: tuple[slice, ...]
    ) -> tuple[str, dict[tuple[int, ...], int], int]:
        """Write the chunks of a block; their checksums and its bytes."""
        checksums: dict[tuple[int, ...], int] = {}
        nbytes = 0

        def store(
            name: str,
            index: tuple[int, ...],
            encoded: bytes | memoryview,
            checksum: int,
        ) -> None:
            self.container.write_chunk(name, index, encoded)
            checksums[index] = checksum

        def count(written: int) -> None:
            nonlocal nbytes
            nbytes += written

        ChunkSink(self.plan, self.codec, store, count).write(block, region)
        return self.plan.variable.name, checksums, nbytes


def compute_on_cluster(client: Any, sinks: list[WorkerSink]) -> Iterator[Any]:
    """What each sink returns for each block, as workers are done with it."""
    from distributed import as_completed  # noqa: PLC0415  optional, heavy

    graph: dict[Any, Any] = {
        (f"save {sink.plan.variable.name}", *index): (
            sink.write,
            (sink.array.name, *index),
            region,
        )
        for sink in sinks
        for index, region in sink.regions
    }
    arrays = [sink.array for sink in sinks]
    name = f"save-{tokenize(*[a.name for a in arrays])}"
    layers = HighLevelGraph.from_collections(name, graph, dependencies=arrays)
    keys = list(graph)
    optimized = da.Array.__dask_optimize__(layers, keys)
    futures = client.get(optimized, keys, sync=False)
    try:
        for future, result in as_completed(  # type: ignore[no-untyped-call]
            futures, with_results=True
        ):
            future.release()
            yield result
    finally:
        client.cancel(futures)
