"""The writing of a file in chunks: computed, kept if it is to be resumed, checked."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dask
import numpy as np
import scipy
import xarray as xr
from dask.base import tokenize

from cubekit._version import __version__
from cubekit.io.cluster import (
    RemoteSink,
    client_of_cluster,
    compute_on_cluster,
    require_room_on_workers,
)
from cubekit.io.computing import ChunkSink, Store, compute_chunks
from cubekit.io.journal import resumable
from cubekit.io.lineage import source_files
from cubekit.io.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cubekit.io.computing import EncodedChunk
    from cubekit.io.formats import FileContainer, Format
    from cubekit.io.planning import PlannedVariable
    from cubekit.io.preparing import Output
    from cubekit.io.verifying import Checksums

__all__ = ["Job", "fingerprint"]


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """All that is to be written, and how."""

    output: Output
    plans: list[PlannedVariable]
    compression: Literal["fast"] | int | None
    verify: bool
    workers: int
    report: Callable[..., None]
    form: Format
    checksums: Checksums = dataclasses.field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the file as blocks are computed, and read it back."""
        with self._container(path) as container:
            shared = container if self.form.on_workers else None
            self._compute(partial(self._add, container), container=shared)
            self._finish(container)

    def write_resumably(
        self, path: Path, target: Path, fingerprint: dict[str, Any]
    ) -> None:
        """Compute what is not finished, then write the file in one go."""
        with resumable(target, fingerprint) as journal:
            for plan in self._in_chunks:
                for _, region in plan.regions():
                    if journal.has_block(plan, region):
                        samples = math.prod(k.stop - k.start for k in region)
                        self.report(samples * plan.array.dtype.itemsize)
            self._compute(journal.add, journal.has_block)
            journal.commit()
            self.output.attrs["history"] = journal.first["history"]
            with self._container(path) as container:
                for chunk in journal.chunks():
                    self._add(container, chunk)
                self._finish(container)

    def _add(self, container: FileContainer, chunk: EncodedChunk) -> None:
        self.checksums[chunk.variable][chunk.index] = chunk.checksum
        container.write_chunk(chunk.variable, chunk.index, chunk.data)

    def _compute(
        self,
        store: Store,
        done: Callable[[PlannedVariable, tuple[slice, ...]], bool] | None = None,
        container: FileContainer | None = None,
    ) -> None:
        """Compute and encode blocks, in threads or on a cluster.

        They are stored here, or with a `container` by the workers of the cluster.
        """
        codecs = [(p, self.form.codec(p, self.compression)) for p in self._in_chunks]
        client = client_of_cluster()
        if client is None:
            threads = [ChunkSink(p, codec, store, self.report) for p, codec in codecs]
            compute_chunks(threads, self.workers, done)
            return
        require_room_on_workers(client, self._in_chunks)
        sinks = [RemoteSink(p, codec, done, container) for p, codec in codecs]
        for chunks, nbytes in compute_on_cluster(client, sinks):
            for chunk in chunks:
                if container is None:
                    store(chunk)
                else:
                    self.checksums[chunk.variable][chunk.index] = chunk.checksum
            self.report(nbytes)

    @property
    def _in_chunks(self) -> list[PlannedVariable]:
        return [p for p in self.plans if p.in_chunks]

    @contextlib.contextmanager
    def _container(self, path: Path) -> Iterator[FileContainer]:
        container = self.form.container(path, self.output, self.plans, self.compression)
        self.checksums.clear()
        self.checksums.update({p.variable.name: {} for p in self._in_chunks})
        try:
            yield container
        finally:
            container.close()

    def _finish(self, container: FileContainer) -> None:
        for plan in self.plans:
            if not plan.in_chunks:
                self.report(plan.nbytes, blocks=0)
        container.finish()
        container.add_record(list(self.checksums))
        with ThreadPoolExecutor(1) as pool:  # the disk works while we read
            on_disk = pool.submit(container.fsync)
            if self.verify:
                self.form.verify(
                    container.path, self.plans, self.checksums, self.workers
                )
            on_disk.result()


def fingerprint(cube: xr.DataArray | xr.Dataset, job: Job) -> dict[str, Any]:
    """What a save is of: two with equal ones give the same file."""
    in_chunks = {p.variable.name: p for p in job.plans if p.in_chunks}
    small = [(p.variable.name, p.variable.data) for p in job.plans if not p.in_chunks]
    attrs = {k: v for k, v in job.output.attrs.items() if k != "history"}
    sources = [Source.of(Path(path)) for path in sorted(source_files(cube))]
    return {
        "versions": {m.__name__: m.__version__ for m in (np, scipy, dask, xr)}
        | {"cubekit": __version__},
        "compression": job.compression,
        "dtype": {name: p.array.dtype.str for name, p in in_chunks.items()},
        "shape": {name: list(p.array.shape) for name, p in in_chunks.items()},
        "chunks": {name: list(p.chunk or ()) for name, p in in_chunks.items()},
        "input": [[s.path, *s.identity[1:]] for s in sources],
        "steps": {name: p.array.name for name, p in in_chunks.items()},
        "coordinates": tokenize([(name, np.asarray(data)) for name, data in small]),
        "attributes": tokenize(attrs, [p.variable.attrs for p in job.plans]),
        "history": job.output.attrs["history"],
    }
