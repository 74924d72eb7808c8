"""Blocks computed, encoded and, where they may, written by the workers of a cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import math
import sys
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import dask.array as da
from dask.base import get_scheduler
from dask.highlevelgraph import HighLevelGraph

from cubekit.errors import ChunkError, ClusterError
from cubekit.io.computing import ChunkSink
from cubekit.io.planning import worker_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cubekit.io.computing import EncodedChunk
    from cubekit.io.formats import ChunkCodec, FileContainer
    from cubekit.io.planning import PlannedVariable

__all__ = [
    "RemoteSink",
    "client_of_cluster",
    "compute_on_cluster",
    "require_room_on_workers",
]

_PATIENCE = 30.0  # seconds that a cluster may be without any worker, or unreachable
_LOOK = 0.02  # seconds between two looks at what has arrived


def client_of_cluster() -> Any:
    """Client of the cluster that Dask computes on here; None if there is none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, distributed.Client) else None


class RemoteSink:
    """Where the blocks of a variable go on a worker: into encoded chunks.

    Parameters
    ----------
    plan : PlannedVariable
    codec : ChunkCodec
    done : callable, optional
        Whether a block (variable, place) need not be computed.
    container : FileContainer, optional
        One whose chunks can be added from any process: the worker does. If not given,
        they are sent back.
    """

    def __init__(
        self,
        plan: PlannedVariable,
        codec: ChunkCodec,
        done: Callable[[PlannedVariable, tuple[slice, ...]], bool] | None = None,
        container: FileContainer | None = None,
    ) -> None:
        self.array = plan.array
        self.regions = [
            (index, region)
            for index, region in plan.regions()
            if done is None or not done(plan, region)
        ]
        # what travels with each task must be small
        variable = dataclasses.replace(plan.variable, data=None, attrs={})
        self.plan = dataclasses.replace(plan, variable=variable, array=None)
        self.codec = codec
        self.container = container

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs."""
        return {**self.__dict__, "array": None, "regions": None}

    def write(
        self, block: Any, region: tuple[slice, ...]
    ) -> tuple[list[EncodedChunk], int]:
        """Encode the chunks of a block, without their data once written; its bytes."""
        chunks: list[EncodedChunk] = []
        nbytes: list[int] = []

        def store(chunk: EncodedChunk) -> None:
            if self.container is None:
                chunks.append(dataclasses.replace(chunk, data=bytes(chunk.data)))
            else:
                self.container.write_chunk(chunk.variable, chunk.index, chunk.data)
                chunks.append(dataclasses.replace(chunk, data=b""))

        ChunkSink(self.plan, self.codec, store, nbytes.append).write(block, region)
        return chunks, sum(nbytes)


def compute_on_cluster(client: Any, sinks: list[Any]) -> Iterator[Any]:
    """What each sink returns for each block, as workers are done with it.

    A block whose worker dies is computed again by another one.

    Raises
    ------
    ClusterError
        If the cluster is lost, or a block kills the workers that compute it.
    """
    from distributed import as_completed  # noqa: PLC0415  optional, heavy

    job = uuid.uuid4().hex  # a cluster knows tasks by their keys, of other jobs too
    graph: dict[Any, Any] = {}
    places: dict[Any, str] = {}
    for number, sink in enumerate(sinks):
        for index, region in sink.regions:
            key = (f"save-{job}-{number}", *index)
            graph[key] = (sink.write, (sink.array.name, *index), region)
            places[key] = f"block {index} of {sink.plan.variable.name!r}"
    if not graph:
        return
    arrays = [sink.array for sink in sinks]
    layers = HighLevelGraph.from_collections(f"save-{job}", graph, dependencies=arrays)
    keys = list(graph)
    optimized = da.Array.__dask_optimize__(layers, keys)
    futures = client.get(optimized, keys, sync=False)
    watch = _Watch(client)
    # of this client, which need not be the default one
    arriving: Any = as_completed(  # type: ignore[no-untyped-call]
        futures, loop=client.loop
    )
    del futures  # a block that was handed on is let go on its worker
    while not arriving.is_empty():
        batch = arriving.next_batch(block=False)
        if not batch:
            watch.look()
            time.sleep(_LOOK)
            continue
        for future in batch:
            _require_finished(future, places[future.key])
        yield from watch.waited(partial(client.gather, batch, asynchronous=True))
        del batch, future


class _Watch:
    """How long a cluster has been without any worker, or out of reach."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._well = time.monotonic()

    def look(self) -> None:
        """Raise if that is too long."""
        if self._client.status == "closed":
            raise _lost("the connection to its scheduler is closed")
        now = time.monotonic()
        if self._client.status == "running" and _workers(self._client):
            self._well = now
        elif now - self._well > _PATIENCE:
            raise _lost(f"it has had no workers for {_PATIENCE:g} seconds")

    def waited(self, begin: Callable[[], Any]) -> Any:
        """Result of something that is begun, and happens in the thread of the client.

        It is begun again if a worker is lost meanwhile: the scheduler would try for
        half a minute to reach the dead one.
        """

        async def result() -> Any:
            return await begin()

        loop = self._client.loop.asyncio_loop
        there = set(_workers(self._client))
        task = asyncio.run_coroutine_threadsafe(result(), loop)
        while True:
            try:
                return task.result(1.0)
            except TimeoutError:
                if task.done():
                    raise
                try:
                    self.look()
                except ClusterError:
                    task.cancel()
                    raise
                left = set(_workers(self._client))
                if there - left:
                    task.cancel()
                    task = asyncio.run_coroutine_threadsafe(result(), loop)
                there = left
            except (
                asyncio.CancelledError,
                concurrent.futures.CancelledError,
                OSError,
            ) as error:
                raise _lost(str(error) or "its scheduler is gone") from error


def _workers(client: Any) -> dict[str, Any]:
    """What is known of each worker: nothing while there is no scheduler to ask."""
    info: dict[str, Any] = client.scheduler_info(n_workers=-1).get("workers", {})
    return info


def _require_finished(future: Any, block: str) -> None:
    """Raise what a block failed with."""
    if future.status in {"finished", "pending", "lost"}:
        return  # lost or pending: its worker died since, and it is computed again
    if future.status != "error":
        raise _lost(f"{block} is {future.status}")
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        raise ClusterError(
            f"save_cube: the workers that computed {block} died, one after the other. "
            "They probably ran out of memory. Give workers more memory, or the cube "
            "smaller chunks: cube.chunk(...); with resume=True the save keeps what is "
            "finished."
        ) from error
    error.add_note(f"while computing {block}")
    raise error


def _lost(why: str) -> ClusterError:
    return ClusterError(
        f"save_cube: the cluster is lost: {why}. Nothing was replaced. Start it anew "
        "and save again; with resume=True in both, what was finished is kept."
    )


def require_room_on_workers(client: Any, plans: list[PlannedVariable]) -> None:
    """Raise if the blocks under way on a worker do not fit into its memory."""
    most = max(
        (
            (w["nthreads"] / w["memory_limit"], w["nthreads"], w["memory_limit"])
            for w in _workers(client).values()
            if w["memory_limit"]
        ),
        default=None,
    )
    if most is None:
        return
    _, threads, limit = most
    needed = worker_bytes(plans)
    if needed * threads <= limit:
        return
    largest = max(plans, key=lambda p: p.block_bytes)
    sizes = dict(zip(largest.variable.dims, largest.array.chunksize, strict=True))
    factor = limit / (needed * threads)
    for dim, size in sizes.items():
        sizes[dim] = max(1, math.floor(size * factor))
        factor *= size / sizes[dim]
        if factor >= 1:
            break
    raise ChunkError(
        f"save_cube: a block of {largest.variable.name!r} needs about "
        f"{needed / 1e9:.3g} GB. A worker of the cluster has {limit / 1e9:.3g} GB for "
        f"{threads} blocks at a time. Use smaller chunks, cube.chunk({sizes!r}), or "
        "workers with more memory."
    )
