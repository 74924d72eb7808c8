"""Multiply the tiles of a sparse matrix with an array, as it lies in memory.

Tiles of one shape at a constant step are one batched matrix product over strided views:
nothing is copied, and the interpreter is entered a handful of times for each block of
spectra.

The product of a tile stops at `PRODUCT` multiplications: below it OpenBLAS starts no
threads of its own, which would fight with ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cubekit.kernels.products import PRODUCT
from cubekit.kernels.tiles import Run, cut

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Tiling"]

Array = npt.NDArray[Any]

# outputs a tile, measured best where pixels are contiguous and where spectra are
_ROWS_PIXELS, _ROWS_SPECTRA = 8, 16
# spectra of a product come in multiples of these: many, so that blocks of them, if they
# are copied less a shift, are a number of long loops
_SPECTRA_AT_LEAST, _SPECTRA_AT_ONCE = 16, 512
# values of a piece where spectra are contiguous, so that it stays in cache
_PIECE = 2**18


class Tiling:
    """Dense tiles of a matrix (m, n), and views of an array for each of them.

    With `spectra` these are contiguous: arrays are (before, band), and tiles are
    ``x @ weights``, shape (tile, before, row). Else pixels are: arrays are
    (before, band, after), and tiles are ``weights @ x``, (tile, before, row, after).
    """

    def __init__(self, matrix: sparse.csr_array, *, spectra: bool) -> None:
        self.matrix, self.spectra = matrix, spectra
        self.runs = cut(matrix, _ROWS_SPECTRA if spectra else _ROWS_PIXELS)
        largest = max((run.rows * run.columns for run in self.runs), default=1)
        most = min(4096, PRODUCT // max(1, largest))
        if spectra:
            most = min(most, _PIECE // max(1, matrix.shape[1]))
        # spectra of a product
        step = _SPECTRA_AT_LEAST if most < 2 * _SPECTRA_AT_ONCE else _SPECTRA_AT_ONCE
        self.piece = max(1, most // step) * step

    def dense(self, data: Array) -> list[Array]:
        """Tiles of each run, with `data` (..., entry) in place of the entries."""
        return [self._dense(run, data) for run in self.runs]

    def inputs(self, x: Array) -> list[Array]:
        """Views of x for each run, (tile, before, size) or with (..., after)."""
        return [
            x[None, :, run.scattered]
            if run.scattered is not None
            else self._view(x, run.tiles, run.column, run.columns, run.step)
            for run in self.runs
        ]

    def outputs(self, y: Array) -> list[Array]:
        """Views of y, (..., before, m) or with (..., after), for each run."""
        return [
            self._view(y, run.tiles, run.row, run.rows, run.rows) for run in self.runs
        ]

    def multiply(
        self, weights: list[Array], inputs: list[Array], outputs: list[Array]
    ) -> None:
        """Put the products of tiles and views into `outputs`, in pieces."""
        for w, x, y in zip(weights, inputs, outputs, strict=True):
            spectra = x.shape[-2 if self.spectra else -1]
            if spectra <= self.piece:
                self._product(w, x, y)
                continue
            # the products of a block in one call, each small enough for one thread
            whole = slice(spectra // self.piece * self.piece)
            self._product(w[:, None], self._pieces(x, whole), self._pieces(y, whole))
            if whole.stop < spectra:
                rest = slice(whole.stop, None)
                self._product(w, self._cut(x, rest), self._cut(y, rest))

    def _product(self, w: Array, x: Array, y: Array) -> None:
        if self.spectra:
            np.matmul(x, w, out=y)
        else:
            np.matmul(w, x, out=y)

    def _cut(self, array: Array, part: slice) -> Array:
        return array[..., part, :] if self.spectra else array[..., part]

    def _pieces(self, array: Array, part: slice) -> Array:
        """Spectra in pieces: (tile, piece, ...) or (tile, piece, before, ...)."""
        array = self._cut(array, part)
        shape = (part.stop // self.piece, self.piece)  # -1 is not clear if it is empty
        if self.spectra:
            return array.reshape(len(array), *shape, array.shape[-1])
        return np.moveaxis(array.reshape(*array.shape[:-1], *shape), -2, 1)

    def _view(
        self, array: Array, tiles: int, first: int, size: int, advance: int
    ) -> Array:
        at = array.ndim - (1 if self.spectra else 2)  # the bands
        *lead, before = array.shape[:at]
        strides = array.strides
        begin = array[..., first:] if self.spectra else array[..., first:, :]
        return as_strided(
            begin,
            (*lead, tiles, before, size, *array.shape[at + 1 :]),
            (*strides[: at - 1], advance * strides[at], *strides[at - 1 :]),
        )

    def _dense(self, run: Run, data: Array) -> Array:
        """Tiles of a run, (..., tile, column, row) or (..., tile, 1, row, column)."""
        first, stop = run.row, run.row + run.rows * run.tiles
        entries = slice(self.matrix.indptr[first], self.matrix.indptr[stop])
        row = np.repeat(
            np.arange(stop - first), np.diff(self.matrix.indptr[first : stop + 1])
        )
        tile, row = np.divmod(row, run.rows)
        column = self.matrix.indices[entries].astype(np.intp)
        if run.scattered is None:
            column = column - (run.column + tile * run.step)
        else:
            column = np.searchsorted(run.scattered, column)
        lead = data.shape[:-1]
        dense = np.zeros((*lead, run.tiles, run.columns, run.rows), data.dtype)
        dense[..., tile, column, row] = data[..., entries]
        if self.spectra:
            return dense
        return np.ascontiguousarray(dense.swapaxes(-2, -1))[..., None, :, :]
