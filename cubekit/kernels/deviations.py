"""Blocks of an array as spectra less a shift, in memory that is used again."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Deviations", "column_sums", "long_row", "subtract_rows", "whole_loops"]

Array = npt.NDArray[Any]
Block = tuple[slice, slice]

# pixels in a row from which a block is a stack of images, not of spectra
_PIXELS = 64
# values that a loop of NumPy should have, measured best: a difference of rows of 7000
# took three quarters of the time of one of 4000, and sums are kept in the first cache
_LOOP, _LOOP_OF_SUMS = 2**13, 2**11
# between rows of a block: a step of a power of two would use few lines of the cache
_PAD = 16


class Deviations:
    """Blocks (spectrum, band) of x (before, n, after), each in the order of memory.

    Every thread has one room for its blocks: what `less` gave is overwritten by the
    next call.
    """

    def __init__(
        self,
        x: Array,
        keep: npt.NDArray[np.intp] | None,
        dtype: np.dtype[Any],
        size: int,
    ) -> None:
        self.x, self.dtype, self.size = x, dtype, size
        # all the bands in order need no selection, which would copy
        is_all = keep is None or np.array_equal(keep, np.arange(x.shape[1]))
        self.keep = None if is_all else keep
        self.bands = x.shape[1] if keep is None else len(keep)
        self.images = x.shape[2] >= _PIXELS
        self.own = threading.local()

    def blocks(self) -> list[Block]:
        """Cut x into blocks of about `size` spectra."""
        before, _, after = self.x.shape
        group = max(1, self.size // max(1, after))
        return [
            (slice(b, min(b + group, before)), slice(p, min(p + self.size, after)))
            for b in range(0, before, group)
            for p in range(0, after, self.size)
        ]

    def less(self, block: Block, shift: Array) -> Array:
        """Block (spectrum, band) less a shift (band,)."""
        x = self._selected(block)
        before, bands, after = x.shape
        count = before * after
        if self.images:
            out = self._room((bands + 1, self.size + _PAD))[:bands, :count]
            np.subtract(
                x.transpose(1, 0, 2),
                shift[:, None, None],
                out=out.reshape(bands, before, after),
                dtype=self.dtype,
                casting="unsafe",
            )
            return out.T
        out = self._room((self.size, bands))[:count]
        spectra = out.reshape(before, after, bands)
        subtract_rows(x.transpose(0, 2, 1), long_row(shift), spectra)
        return out

    def beside_ones(self, part: Array) -> Array:
        """What `less` gave of images, and a last column of ones: (spectrum, band + 1).

        Its product with the block gives the sums of the block with the products.
        """
        room = self._room((self.bands + 1, self.size + _PAD))
        return room[:, : len(part)].T

    def copy(self, block: Block) -> Array:
        """Block (spectrum, band) as it is; a view if possible."""
        x = self._selected(block)
        if self.images:
            part = x.transpose(1, 0, 2).reshape(x.shape[1], -1).T
        else:
            part = x.transpose(0, 2, 1).reshape(-1, x.shape[1])
        return part.astype(self.dtype, order="K", copy=False)

    def _selected(self, block: Block) -> Array:
        x = self.x[block[0], :, block[1]]
        return x if self.keep is None else x[:, self.keep]

    def _room(self, shape: tuple[int, int]) -> Array:
        room: Array | None = getattr(self.own, "room", None)
        if room is None:
            room = self.own.room = np.empty(shape, self.dtype)
            if self.images:
                room[-1] = 1
        return room


def long_row(row: Array) -> Array:
    """Row so many times that it makes a loop, for `subtract_rows`."""
    return np.tile(row, _most_times(len(row), _LOOP))


def subtract_rows(x: Array, row: Array, out: Array) -> None:
    """Put x (..., band) less a `long_row` into `out`, many at a time if contiguous."""
    bands = length = out.shape[-1]
    if x.flags.c_contiguous and out.flags.c_contiguous and x.size:
        length *= _times(x.size // bands, bands, _LOOP)
        x, out = x.reshape(-1, length), out.reshape(-1, length)
    np.subtract(x, row[:length], out=out, dtype=out.dtype, casting="unsafe")


def column_sums(x: Array) -> Array:
    """Sums of the columns of a matrix whose rows or columns are contiguous."""
    if x.flags.c_contiguous and x.size:
        times = _times(len(x), x.shape[1], _LOOP_OF_SUMS)
        long = np.add.reduce(x.reshape(-1, times * x.shape[1]), axis=0)
        total: Array = long.reshape(times, -1).sum(axis=0)
        return total
    return np.add.reduce(x, axis=0)  # type: ignore[no-any-return]


def whole_loops(spectra: int, bands: int) -> int:
    """Number of spectra of a block, so much smaller that it is a number of loops."""
    loop = _most_times(bands, _LOOP)
    return spectra // loop * loop or spectra


def _times(rows: int, bands: int, loop: int) -> int:
    """Rows that make one loop: a power of two that divides their number."""
    return min(rows & -rows, _most_times(bands, loop))


def _most_times(bands: int, loop: int) -> int:
    return 1 << (max(1, loop // max(1, bands)).bit_length() - 1)
