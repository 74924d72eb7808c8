"""save_cube: a cube to a file, whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dask
import numpy as np
import scipy
import xarray as xr
from dask.base import tokenize

from cubekit._version import __version__
from cubekit.io.cluster import (
    EncodingSink,
    client_of_cluster,
    compute_on_cluster,
    require_room_on_workers,
)
from cubekit.io.codec import Codec
from cubekit.io.computing import ChunkSink, Store, compute_chunks
from cubekit.io.container import Container, structure
from cubekit.io.journal import resumable
from cubekit.io.lineage import refuse_own_input, source_files
from cubekit.io.planning import (
    PlannedVariable,
    check_chunks,
    parse_memory,
    planned,
    workers,
)
from cubekit.io.preparing import prepared
from cubekit.io.progress import progress_bar
from cubekit.io.source import Source
from cubekit.io.staging import (
    check_room,
    exists_error,
    forget_resume,
    publish,
    room_errors,
    staging,
    stopped_by_signal,
)
from cubekit.io.verifying import Checksums, verify_chunks, verify_small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cubekit.io.preparing import Output

__all__ = ["save_cube"]

# bytes, and filters, of each way to store a chunk
_SHUFFLE_DEFLATE, _CHECKSUM = (2, 1), (3,)
_MOST_COMPRESSED = 20  # no cube is compressed to a smaller part


def save_cube(
    cube: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    chunks: Mapping[str, int] | None = None,
    compression: Literal["fast"] | int | None = "fast",
    overwrite: bool = False,
    resume: bool = False,
    memory: str | int = "1GB",
    progress: bool | Callable[[int, int], None] | None = None,
    verify: bool = True,
) -> Path:
    """Path of the netCDF-4 file that a cube was written to.

    Parameters
    ----------
    cube : DataArray or Dataset
        NumPy or Dask. The variables of a Dataset are computed together: what they
        share, the reading of a file above all, is done once.
    path : str or Path
        The file. Its folder must be there.
    chunks : dict, optional
        Shape of the chunks in the file, for some dims: ``{"y": 32}``. By default about
        1 MiB, with whole spectra, nesting in the chunks of the cube.
    compression : "fast", int or None, default "fast"
        ``"fast"`` is the quickest deflate, 1 to 9 a level of zlib; both with shuffle.
        None stores values as they are, with a checksum for each chunk.
    overwrite : bool, default False
        Replace a file that is there. It stays as it is until the new one is complete.
    resume : bool, default False
        Keep what is finished in a folder beside the file, and go on from there if an
        earlier run with ``resume=True`` was stopped. It takes the room, and the time,
        of a second copy.
    memory : str or int, default "1GB"
        What the job may use in all. It limits how many blocks are under way at a time.
    progress : bool or callable, optional
        Show a progress bar; None shows it where someone looks, in a terminal or a
        notebook. A callable is called with the bytes done and the total.
    verify : bool, default True
        Read the file back and compare before it takes its place.

    Returns
    -------
    Path

    Raises
    ------
    OutputExistsError
        If the file is there and `overwrite` is False.
    SameFileError
        If it is a file that the cube is read from.
    ResumeMismatchError
        If `resume` and the run to go on with was of another cube; it says what differs.
    DiskFullError
        If there is no room.
    ChunkError, ClusterError
        If a block is too large for the workers of the cluster; if that is lost.
    WriteVerifyError
        If the file, read back, does not hold what was written.
    TypeError
        If something in the cube has no place in a netCDF file; all of it is named.

    Notes
    -----
    The file is written beside its place and moved there when it is complete, checked
    and on the disk. Whatever happens before, what was there stays there.

    Encoding is never taken over from the file a cube was read from: values are stored
    as they are, in their dtype (float16 as float32, booleans as netCDF readers expect
    them), ``_FillValue`` NaN for floating data. Attributes that netCDF has no type for
    (booleans, None, nested lists) are stored as JSON text, which `open_cube` turns
    back. A line is added to ``history``; its time is that of the environment variable
    ``SOURCE_DATE_EPOCH`` if set, for files that are the same to the byte.

    With a `dask.distributed.Client`, its workers read, compute and compress, and this
    process writes; a worker that is lost only costs the blocks it had.

    **Missing values:** NaN. **Chunks:** a Dask cube is computed block by block, each
    written as it is ready. **Cost:** one computation of the cube, one reading of the
    new file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> spectrum = xr.DataArray(
    ...     [1.0, 2.0, 4.0],
    ...     coords={"wavelength": [400.0, 410.0, 425.0]},
    ...     dims="wavelength",
    ...     name="radiance",
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ck.save_cube(spectrum, Path(folder) / "spectrum.nc")
    ...     path.name, ck.open_cube(path).name
    ('spectrum.nc', 'radiance')
    """
    target = _checked_target(cube, path, compression, overwrite)
    output = prepared(cube, f"cubekit {__version__}: save_cube")
    check_chunks(chunks or {}, output)
    budget = parse_memory(memory)
    plans = [planned(v, chunks or {}, by_content=resume) for v in output.variables]
    needed = sum(p.nbytes for p in plans)
    check_room(target, needed if compression is None else needed // _MOST_COMPRESSED)
    label = target.name.encode("unicode_escape").decode()
    with (
        stopped_by_signal(),
        staging(target) as folder,
        progress_bar(progress, needed, label) as report,
        room_errors(target, needed),
    ):
        job = _Job(output, plans, compression, verify, workers(plans, budget), report)
        if resume:
            job.write_resumably(folder / "cube.nc", target, fingerprint(cube, job))
        else:
            job.write(folder / "cube.nc")
        publish(folder / "cube.nc", target, overwrite)
        forget_resume(target)
    return target


def _checked_target(
    cube: Any, path: str | os.PathLike[str], compression: Any, overwrite: bool
) -> Path:
    if not isinstance(cube, xr.DataArray | xr.Dataset):
        raise TypeError(
            f"save_cube: the cube is a {type(cube).__qualname__}. Coordinates and "
            "units are saved with it. Give a DataArray or a Dataset."
        )
    levels = range(1, 10)
    if compression not in ("fast", None) and (
        isinstance(compression, bool) or compression not in levels
    ):
        raise ValueError(
            f"save_cube: compression={compression!r} is unknown. It is how hard chunks "
            'are compressed. Use "fast", 1 to 9, or None.'
        )
    target = Path(os.path.abspath(path))  # noqa: PTH100  keeps a link a link
    target = target.resolve() if target.is_symlink() else target
    if target.suffix.lower() not in {".nc", ".nc4", ".netcdf"}:
        raise ValueError(
            f"save_cube: {target.name!r} has no suffix of netCDF. The suffix says what "
            f"to write. Use {target.stem + '.nc'!r}."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"save_cube: there is no folder {str(target.parent)!r}. A file needs one. "
            "Make it first: Path(...).mkdir(parents=True)."
        )
    if target.is_dir():
        raise IsADirectoryError(
            f"save_cube: {target} is a folder. Give the path of a file."
        )
    refuse_own_input(cube, target)
    if os.path.lexists(target) and not overwrite:
        raise exists_error(target)
    return target


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """All that is to be written, and how."""

    output: Output
    plans: list[PlannedVariable]
    compression: Literal["fast"] | int | None
    verify: bool
    workers: int
    report: Callable[[int], None]
    checksums: Checksums = dataclasses.field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the file as blocks are computed, and read it back."""
        with self._container(path) as container:

            def store(
                name: str,
                index: tuple[int, ...],
                encoded: bytes | memoryview,
                checksum: int,
            ) -> None:
                self.checksums[name][index] = checksum
                container.write_chunk(name, index, encoded)

            self._compute(store)
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
                for name, index, encoded, checksum in journal.chunks():
                    self.checksums[name][index] = checksum
                    container.write_chunk(name, index, encoded)
                self._finish(container)

    def _compute(
        self,
        store: Store,
        done: Callable[[PlannedVariable, tuple[slice, ...]], bool] | None = None,
    ) -> None:
        """Compute and encode blocks, in threads or on a cluster; store them here."""
        client = client_of_cluster()
        if client is None:
            compute_chunks(self._sinks(store), self.workers, done)
            return
        require_room_on_workers(client, self._in_chunks)
        sinks = [
            EncodingSink(p, _codec(p, self.compression), done) for p in self._in_chunks
        ]
        for name, chunks, nbytes in compute_on_cluster(client, sinks):
            for index, encoded, checksum in chunks:
                store(name, index, encoded, checksum)
            self.report(nbytes)

    @property
    def _in_chunks(self) -> list[PlannedVariable]:
        return [p for p in self.plans if p.in_chunks]

    @contextlib.contextmanager
    def _container(self, path: Path) -> Iterator[Container]:
        image = structure(path.parent, self.output, self.plans, self.compression)
        container = Container(path, image)
        self.checksums.clear()
        self.checksums.update({p.variable.name: {} for p in self._in_chunks})
        try:
            yield container
        finally:
            container.close()

    def _sinks(self, store: Store) -> list[ChunkSink]:
        return [
            ChunkSink(p, _codec(p, self.compression), store, self.report)
            for p in self._in_chunks
        ]

    def _finish(self, container: Container) -> None:
        for plan in self.plans:
            if not plan.in_chunks:
                self.report(plan.nbytes)
        container.finish()
        container.add_record(list(self.checksums))
        with ThreadPoolExecutor(1) as pool:  # the disk works while we read
            on_disk = pool.submit(container.fsync)
            if self.verify:
                small = [p for p in self.plans if not p.in_chunks]
                verify_small(container.path, small)
                verify_chunks(container.path, self.checksums, self.workers)
            on_disk.result()


def fingerprint(cube: xr.DataArray | xr.Dataset, job: _Job) -> dict[str, Any]:
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


def _codec(plan: PlannedVariable, compression: Literal["fast"] | int | None) -> Codec:
    """How the chunks of a variable are encoded; `structure` declares the same."""
    itemsize = plan.variable.data.dtype.itemsize
    if compression is None:
        return Codec(itemsize, _CHECKSUM)
    return Codec(itemsize, _SHUFFLE_DEFLATE, compression)
