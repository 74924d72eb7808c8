"""Arrays that stay in their file: read block by block, with a check for changes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from cubekit.errors import CorruptFileError

if TYPE_CHECKING:
    import os

    import xarray as xr

    from cubekit.io.decoding import Decoding

__all__ = ["FileArray", "FileCube", "RawReader", "Reader", "Source"]

Array = npt.NDArray[Any]
_PIECE = 2**20  # bytes read at a time where more is read than wanted
_NEAR = 2**14  # bytes that are rather read over than skipped


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
    """Blocks of numbers in one piece; no memory map, which a file cut short kills."""

    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]

    def read(self, path: str, key: tuple[slice, ...]) -> Array:
        """Stored numbers at `key`."""
        if not self.shape:
            single = dataclasses.replace(self, shape=(1,))
            return single.read(path, (slice(0, 1),)).reshape(())
        block = np.empty([k.stop - k.start for k in key], self.dtype)
        split = self._split(key)
        whole = self.shape[split + 1 :]
        exact = block.shape[split + 1 :] == whole
        step = block.shape[split] if exact else max(1, _PIECE // self._stride(split))
        wide = np.empty((0 if exact else step, *whole), self.dtype)
        starts = [range(k.start, k.stop) for k in key[:split]]
        starts.append(range(key[split].start, key[split].stop, step))
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  unbuffered
            for start in itertools.product(*starts):
                *outer, first = (i - k.start for i, k in zip(start, key, strict=False))
                part = block[tuple(outer)][first : first + step]
                file.seek(
                    self.offset + sum(i * self._stride(a) for a, i in enumerate(start))
                )
                if exact:
                    _fill(file, part)
                else:
                    _fill(file, wide[: len(part)])
                    part[...] = wide[: len(part), *key[split + 1 :]]
        return block

    def _stride(self, axis: int) -> int:
        """Bytes from one sample to the next."""
        return self.dtype.itemsize * math.prod(self.shape[axis + 1 :])

    def _split(self, key: tuple[slice, ...]) -> int:
        """Axis along which samples are read in one go, with all of the later axes."""
        axis = len(key) - 1
        while axis and (
            key[axis] == slice(0, self.shape[axis]) or self._stride(axis - 1) <= _NEAR
        ):
            axis -= 1
        return axis


def _fill(file: Any, numbers: Array) -> None:
    """Read as many numbers as there is room for."""
    view = numbers.reshape(-1).view(np.uint8).data
    while view:
        count = file.readinto(view)
        if not count:
            raise CorruptFileError(
                f"{file.name} ends before its last values. It is cut short. Get it "
                "again."
            )
        view = view[count:]


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

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Return what tells this array from others."""
        # a header or metadata beside the file can change while the file does not
        stated = self.shape, self.decoding
        return "cubekit.FileArray", tokenize(self.source, self.token, *stated)

    def __getitem__(self, key: Any) -> Array:
        """Values of a block: a number, a slice or a list of numbers on each axis."""
        key = key if isinstance(key, tuple) else (key,)
        bounds: list[slice] = []
        within: list[Any] = []
        lists: list[tuple[int, npt.NDArray[np.intp]]] = []
        for axis, (k, n) in enumerate(zip(key, self.shape, strict=True)):
            if isinstance(k, list | np.ndarray):
                listed = np.arange(n)[k]
                low, high = (listed.min(), listed.max() + 1) if listed.size else (0, 0)
                bounds.append(slice(int(low), int(high)))
                within.append(slice(None))
                lists.append((axis, listed - low))
                continue
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
        for axis, listed in lists:
            values = values.take(listed, axis)
        return np.asarray(values[tuple(within)])

    def to_dask(self, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
        """Lazy array with one task for each chunk, which reads what is used of it."""
        lazy: da.Array = da.from_array(
            # not fancy=False: with that Dask would read whole chunks, then cut them
            self,
            chunks,
            asarray=True,
            meta=np.empty(0, self.dtype),
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
