"""Chunks read as they lie in an HDF5 file: where they are, and how to undo filters.

HDF5 is asked once where the chunks of a variable are. From then on blocks are read from
the file itself, by any number of threads, with no lock and nothing left open.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.errors import CorruptFileError
from cubekit.io.codec import Codec, codec_from_filters
from cubekit.io.lock import LOCK
from cubekit.io.source import RawReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubekit.io.source import Reader

__all__ = ["ChunkReader", "dataset_of", "direct_readers"]

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Hdf5Reader:
    """Blocks read by HDF5, opened for each: text, and what lies nowhere yet."""

    dataset: str
    shape: tuple[int, ...]

    def read(self, path: str, key: tuple[slice, ...]) -> Array:
        """Stored numbers or text at `key`."""
        import h5py  # noqa: PLC0415  heavy

        with LOCK:
            try:
                with h5py.File(path, "r") as file:
                    dataset = file[self.dataset]
                    text = h5py.check_string_dtype(dataset.dtype)
                    if text is not None and text.length is None:
                        dataset = dataset.asstr(errors="replace")
                    return np.asarray(dataset[key])
            except (OSError, RuntimeError, KeyError, ValueError) as error:
                raise CorruptFileError(
                    f"{path}: {self.dataset!r} cannot be read ({error}). The file is "
                    "damaged or cut short. Get it again."
                ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class ChunkReader:
    """Blocks of a chunked variable.

    Parameters
    ----------
    dtype : dtype
        Of the stored numbers.
    shape, chunk : tuple of int
        Of the variable and of its chunks.
    codec : Codec
        How chunks are encoded.
    offset, size, skipped : array of int, one entry a chunk
        Where in the file each chunk lies, -1 where it was never written, its bytes
        there, and the filters that were not applied to it.
    fill : scalar
        What chunks hold that were never written.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    codec: Codec
    offset: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    skipped: npt.NDArray[np.int64]
    fill: Any

    @property
    def nbytes(self) -> int:
        """Bytes of a chunk, decoded."""
        return self.dtype.itemsize * math.prod(self.chunk)

    def read(self, path: str, key: tuple[slice, ...]) -> Array:
        """Stored numbers at `key`."""
        block = np.empty([k.stop - k.start for k in key], self.dtype)
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  unbuffered
            for index in self.touched(key):
                here, there = [], []
                for k, c, i in zip(key, self.chunk, index, strict=True):
                    start = max(k.start, c * i)
                    stop = min(k.stop, c * (i + 1))
                    here.append(slice(start - c * i, stop - c * i))
                    there.append(slice(start - k.start, stop - k.start))
                block[tuple(there)] = self.read_chunk(file, index)[tuple(here)]
        return block

    def touched(self, key: tuple[slice, ...]) -> Iterator[tuple[int, ...]]:
        """Chunks that a block meets."""
        return itertools.product(
            *(
                range(k.start // c, -(-k.stop // c))
                for k, c in zip(key, self.chunk, strict=True)
            )
        )

    def read_chunk(self, file: Any, index: tuple[int, ...]) -> Array:
        """One whole chunk, its part beyond the edge of the variable included."""
        try:
            stored = self.read_stored(file, index)
            if stored is None:
                return np.broadcast_to(np.asarray(self.fill, self.dtype), self.chunk)
            data = self.codec.decode(stored, self.nbytes, int(self.skipped[index]))
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{file.name}: chunk {index} cannot be read: {error}. The file is "
                "damaged. Get it again, or make it again."
            ) from error
        return data.view(self.dtype).reshape(self.chunk)

    def read_stored(self, file: Any, index: tuple[int, ...]) -> bytes | None:
        """One chunk as it lies in the file; None if it was never written."""
        offset, size = int(self.offset[index]), int(self.size[index])
        if offset < 0:
            return None
        file.seek(offset)
        stored: bytes = file.read(size)
        if len(stored) != size:
            raise CorruptFileError("the file ends before it")
        return stored


def direct_readers(path: Path, variables: list[str]) -> list[Reader | None]:
    """Readers of some variables, without HDF5 where that can be.

    None where there is a filter that is not known here.
    """
    import h5py  # noqa: PLC0415  heavy

    with LOCK:
        try:
            with h5py.File(path, "r") as file:
                return [_reader(dataset_of(file, name)) for name in variables]
        except (
            OSError,
            LookupError,
            RuntimeError,
            ValueError,
        ):  # the plain way says it
            return [None] * len(variables)


def dataset_of(file: Any, variable: str) -> Any:
    """HDF5 dataset of a variable; one with the name of another's dim is hidden."""
    group, _, name = variable.rpartition("/")
    hidden = f"{group}/_nc4_non_coord_{name}"
    return file[hidden if hidden in file else variable]


def _reader(dataset: Any) -> Reader | None:
    plist = dataset.id.get_create_plist()
    dtype = np.dtype(dataset.dtype.str)  # "=" where it is native, as NumPy says it
    shape = tuple(int(n) for n in dataset.shape)
    filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
    codec = codec_from_filters(dtype.itemsize, [(f[0], f[2]) for f in filters])
    if codec is None:
        return None
    through_hdf5 = Hdf5Reader(dataset.name, shape)
    plain = dtype.kind in "iuf" and all(shape) and not plist.get_external_count()
    if not plain or dataset.file.userblock_size:
        return through_hdf5
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        return through_hdf5 if offset is None else RawReader(dtype, offset, shape)
    chunk = tuple(int(c) for c in dataset.chunks)
    grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    offset, size, skipped = (np.full(grid, value, np.int64) for value in (-1, 0, 0))

    def note(info: Any) -> None:
        index = tuple(o // c for o, c in zip(info.chunk_offset, chunk, strict=True))
        offset[index] = info.byte_offset
        size[index] = info.size
        skipped[index] = info.filter_mask

    dataset.id.chunk_iter(note)
    return ChunkReader(
        *(dtype, shape, chunk, codec, offset, size, skipped), fill=dataset.fillvalue
    )
