"""Arrays that stay in their file: read block by block, with a check for changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit.errors import CorruptFileError

if TYPE_CHECKING:
    import os

    import xarray as xr

    from cubekit.io.decoding import Decoding

__all__ = ["FileArray", "FileCube", "RawReader", "Reader", "Source"]

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Source:
    """A file, or a folder that is one, as it was when it was opened.

    Parameters
    ----------
    path : str
    identity : tuple of int
        Device, inode, size and time of change in ns.
    witness : str
        File whose identity it is, where `path` is a folder.
    """

    path: str
    identity: tuple[int, int, int, int]
    witness: str = ""

    @classmethod
    def of(cls, path: Path, witness: Path | None = None) -> Source:
        """File at a path, links resolved."""
        path = path.resolve()
        seen = "" if witness is None else str(witness)
        return cls(str(path), _identity((witness or path).stat()), seen)

    def check(self) -> None:
        """Raise unless the file is still the one that was opened."""
        try:
            found = _identity(Path(self.witness or self.path).stat())
        except FileNotFoundError:
            found = None
        if found != self.identity:
            what = "is gone" if found is None else "changed while being read"
            raise CorruptFileError(
                f"{self.path} {what}. A lazy cube reads its file when it is computed, "
                "so the file must stay as it was opened. Open it again: open_cube(...)."
            )


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class Reader(Protocol):
    """How a block of stored numbers is read; small, and can be pickled."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples on each axis."""

    def read(self, path: str, key: tuple[slice, ...]) -> Array:
        """Stored numbers at `key`: a contiguous range on every axis."""


@dataclasses.dataclass(frozen=True)
class RawReader:
    """Blocks of numbers in one piece, by a memory map that lives as long as a read."""

    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]

    def read(self, path: str, key: tuple[slice, ...]) -> Array:
        """Stored numbers at `key`."""
        numbers = np.memmap(path, self.dtype, "r", self.offset, self.shape)
        return np.array(numbers[key])


@dataclasses.dataclass(frozen=True, eq=False)
class FileArray:
    """Array in a file, decoded; nothing is open between two blocks."""

    source: Source
    reader: Reader
    decoding: Decoding
    token: str  # tells this array from others in the file

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples on each axis."""
        return self.reader.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self.decoding.dtype

    def __dask_tokenize__(self) -> tuple[str, Source, str]:
        """Return what tells this array from others."""
        return "cubekit.FileArray", self.source, self.token

    def __getitem__(self, key: Any) -> Array:
        """Values of a block; basic indices only."""
        key = key if isinstance(key, tuple) else (key,)
        bounds: list[slice] = []
        within: list[Any] = []
        for k, n in zip(key, self.shape, strict=True):
            index = range(n)[k]
            if isinstance(index, int):
                bounds.append(slice(index, index + 1))
                within.append(0)
                continue
            low, high = (min(index), max(index) + 1) if index else (0, 0)
            bounds.append(slice(low, high))
            within.append(slice(None, None, index.step) if index else slice(0, 0))
        where = tuple(bounds)
        self.source.check()
        if any(s.start == s.stop for s in where):
            raw = np.empty([s.stop - s.start for s in where], self.decoding.stored)
        else:
            raw = self.reader.read(self.source.path, where)
        values = self.decoding(raw, where)
        return np.asarray(values[tuple(within)])

    def to_dask(self, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
        """Lazy array with one task for each chunk."""
        lazy: da.Array = da.from_array(
            self, chunks, asarray=True, fancy=False, meta=np.empty(0, self.dtype)
        )
        return lazy


@dataclasses.dataclass(frozen=True, eq=False)
class FileCube:
    """The one cube of a file: its array and what is known about it."""

    dims: tuple[str, ...]
    array: FileArray
    coords: dict[str, xr.Variable]
    attrs: dict[str, Any]
    name: str
    stored_chunks: tuple[int, ...] | None = None
