"""A netCDF-4 file under construction: structure from netCDF, chunks as they are.

The netCDF library defines dims, variables and attributes, and writes what is small.
HDF5 then adds chunks that are encoded already. What it writes goes through
`StagedFile`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.io.codec import Codec
from cubekit.io.direct import dataset_of, direct_readers
from cubekit.io.files import StagedFile
from cubekit.io.layout import CHUNK_BYTES
from cubekit.io.lock import LOCK
from cubekit.io.record import MARK, record_for
from cubekit.io.verifying import verify_file

if TYPE_CHECKING:
    from pathlib import Path

    from cubekit.io.planning import PlannedVariable
    from cubekit.io.preparing import Output
    from cubekit.io.verifying import Checksums

__all__ = ["Container", "NetcdfFormat", "structure"]

# filters of each way to store a chunk, by their numbers in HDF5
_SHUFFLE_DEFLATE, _CHECKSUM = (2, 1), (3,)


def structure(
    folder: Path,
    output: Output,
    planned: list[PlannedVariable],
    level: int | str | None,
) -> bytes:
    """Image of a file with all that is to be written but the chunks of its cubes."""
    path = folder / "structure.nc"
    import netCDF4  # noqa: PLC0415  heavy

    with LOCK:
        # built in memory, and on the disk only when it is closed
        file = netCDF4.Dataset(path, "w", format="NETCDF4", diskless=True, persist=True)
        try:
            for name, size in output.sizes.items():
                file.createDimension(name, size)
            file.setncatts(output.attrs | {MARK: np.int32(1)})
            for plan in planned:
                variable = plan.variable
                text = variable.data.dtype.kind == "O"
                stored = file.createVariable(
                    variable.name,
                    str if text else np.dtype(variable.data.dtype.str),
                    variable.dims,
                    fill_value=variable.fill,
                    **_storage(plan, level, text),
                )
                stored.set_auto_maskandscale(False)
                stored.setncatts(variable.attrs)
                if not plan.in_chunks and (plan.nbytes or not variable.data.shape):
                    stored[...] = variable.data
        finally:
            file.close()
    image = path.read_bytes()
    path.unlink()
    return image


def _storage(
    plan: PlannedVariable, level: int | str | None, text: bool
) -> dict[str, Any]:
    if plan.chunk is not None and level is not None:
        number = 1 if level == "fast" else level
        options = {"compression": "zlib", "complevel": number, "shuffle": True}
        return {"chunksizes": plan.chunk, **options}
    chunk = plan.chunk or plan.variable.data.shape
    if text or not chunk or not plan.nbytes:  # text lies elsewhere, without checksums
        return {}
    return {"chunksizes": chunk, "fletcher32": True}


def _payload(planned: list[PlannedVariable]) -> int:
    """Bytes of all chunks, stored as they are, with their checksums."""
    return sum(
        math.prod(-(-n // c) for n, c in zip(p.array.shape, p.chunk, strict=True))
        * (math.prod(p.chunk) * p.array.dtype.itemsize + 4)
        for p in planned
        if p.chunk is not None
    )


class Container:
    """The file on its way to the disk.

    Parameters
    ----------
    path : Path
        Where to write it; nothing is there.
    image : bytes-like
        Its structure.
    payload : int
        Bytes of all its chunks, where they are known.
    """

    def __init__(self, path: Path, image: bytes, payload: int = 0) -> None:
        import h5py  # noqa: PLC0415  heavy

        self.path = path
        self.file = StagedFile(path, payload)
        try:
            self.file.write(memoryview(image))
            self.file.check()
            with LOCK:
                self.hdf5 = h5py.File(self.file, "r+")
        except BaseException:
            self.file.close()
            raise
        self.datasets: dict[str, Any] = {}
        self.is_open = True

    def write_chunk(
        self, variable: str, index: tuple[int, ...], data: bytes | memoryview
    ) -> None:
        """Add an encoded chunk."""
        with LOCK:
            if not self.is_open:  # a thread that did not hear of the end yet
                return
            if variable not in self.datasets:
                dataset = dataset_of(self.hdf5, variable)
                self.datasets[variable] = dataset.id, dataset.chunks
            dataset, chunk = self.datasets[variable]
            offset = tuple(i * c for i, c in zip(index, chunk, strict=True))
            dataset.write_direct_chunk(offset, data)
            self.file.check()

    def finish(self) -> None:
        """Close the file with everything in it and, only then, without its mark."""
        with LOCK:
            self.hdf5.flush()
            self.file.check()
            del self.hdf5.attrs[MARK]
            self._close()
        self.file.check()

    def add_record(self, variables: list[str]) -> None:
        """Add what proves the file to be whole."""
        size = self.file.seek(0, 2)
        readers = direct_readers(self.path, variables)
        self.file.write(memoryview(record_for(self.path, size, readers)))
        self.file.check()

    def close(self) -> None:
        """Close what is open; nothing more is written."""
        with LOCK:
            self._close()
        self.file.close()

    def _close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.datasets.clear()
            self.hdf5.close()

    def fsync(self) -> None:
        """Wait until the file is on the disk."""
        self.file.fsync()


class NetcdfFormat:
    """How netCDF-4 is written."""

    on_workers = False

    @staticmethod
    def chunk_bytes(level: Any) -> int:
        """About how large chunks are by default."""
        # what is not compressed costs more for each chunk than for its bytes
        return CHUNK_BYTES if level is not None else 2 * CHUNK_BYTES

    @staticmethod
    def container(
        path: Path, output: Output, planned: list[PlannedVariable], level: Any
    ) -> Container:
        """Begin a file at a path where nothing is."""
        payload = 0 if level is not None else _payload(planned)
        return Container(path, structure(path.parent, output, planned, level), payload)

    @staticmethod
    def codec(plan: PlannedVariable, level: int | str | None) -> Codec:
        """How chunks of a variable are encoded; `structure` declares the same."""
        itemsize = plan.variable.data.dtype.itemsize
        if level is None:
            return Codec(itemsize, _CHECKSUM)
        return Codec(itemsize, _SHUFFLE_DEFLATE, level)

    @staticmethod
    def verify(
        path: Path, plans: list[PlannedVariable], checksums: Checksums, workers: int
    ) -> None:
        """Raise unless a finished file holds what was written."""
        verify_file(path, plans, checksums, workers)
