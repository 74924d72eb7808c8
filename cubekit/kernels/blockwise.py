"""Multiply the tiles of a sparse matrix with an array, block by block.

Tiles of one shape at a constant step are one batched matrix product over strided views:
nothing is copied, and the interpreter is entered a handful of times for each block of
spectra.

The product of a tile stops at `PRODUCT` multiplications: below it OpenBLAS starts no
threads of its own, which would fight with ours.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cubekit.kernels.deviations import subtract_rows
from cubekit.kernels.products import PRODUCT
from cubekit.kernels.support import Support
from cubekit.kernels.tiles import Run, cut, used_columns

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Blockwise"]

Array = npt.NDArray[Any]
Block = tuple[slice, slice]

# outputs a tile, measured best where pixels are contiguous and where spectra are
_ROWS_PIXELS, _ROWS_SPECTRA = 8, 16
_SAMPLES_WORTH_A_THREAD = 2**19
# wider tiles read so many rows of pixels that a block is copied together first
_COLUMNS_IN_PLACE = 64
# values of a block: spectra are read twice, to look for NaN and to multiply, the second
# time from cache; where a block is copied less a shift, many are worth one call
_BLOCK, _BLOCK_SHIFTED = 2**18, 2**20
# spectra at a multiple of this many bytes share a few lines of the cache, and push one
# another out of it: a block of them is copied, with a line in between
_ALIASED, _LINE = 4096, 64


class Blockwise:
    """y (before, m, after) = matrix (m, n) times x (before, n, after), in blocks.

    With ``after == 1`` spectra are contiguous and tiles are ``x @ weights``, shape
    (tile, before, row); else pixels are, and tiles are ``weights @ x``, shape
    (tile, before, row, after).
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        matrix: sparse.csr_array,
        shift: Array | None,
        offset: Array | None,
    ) -> None:
        self.used, matrix = used_columns(matrix)
        if shift is not None:
            shift = shift if self.used is None else shift[self.used]
            rounded = shift.astype(y.dtype)
            # what rounding takes from the shift is no error: the offset gives it back
            rest = matrix @ (shift - rounded)
            offset = -rest if offset is None else offset - rest
            shift = rounded if x.shape[2] == 1 else rounded[:, None]
        self.shift = shift
        self.offset = None if offset is None else offset.astype(y.dtype)
        self.spectra = x.shape[2] == 1
        self.x = x[..., 0] if self.spectra else x
        self.y = y[..., 0] if self.spectra else y
        self.matrix, self.support = matrix, Support(matrix)
        self.tainted: list[npt.NDArray[np.intp]] = []  # spectra, (before, after)
        self.runs = cut(matrix, _ROWS_SPECTRA if self.spectra else _ROWS_PIXELS)
        # outputs with a NaN weight are undefined; as zeros they harm no tile
        undefined = np.isnan(matrix.data)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self.undefined = np.unique(row[undefined])
        weights = np.where(undefined, 0, matrix.data).astype(y.dtype)
        self.weights = [self._dense(run, weights) for run in self.runs]
        widest = max((run.columns for run in self.runs), default=0)
        largest = max((run.rows * run.columns for run in self.runs), default=1)
        self.in_place = (
            self.x.dtype == y.dtype
            and self.x.strides[-1] == self.x.itemsize
            and (self.spectra or widest <= _COLUMNS_IN_PLACE)
            and all(run.scattered is None for run in self.runs)
            and self.used is None
            and self.shift is None
            and not (self.spectra and self.x.strides[0] % _ALIASED == 0)
        )
        inputs = self.matrix.shape[1]
        room = _BLOCK if self.shift is None else _BLOCK_SHIFTED
        most = min(4096, PRODUCT // max(1, largest))
        if self.spectra:
            most = min(most, _BLOCK // max(1, inputs))
        # spectra of a product, and of a block of products
        self.piece = max(16, most // 16 * 16)
        self.size = self.piece * max(
            1, room // max(inputs, len(self.y[0])) // self.piece
        )
        step = inputs * y.itemsize
        aliased = self.spectra and step % _ALIASED == 0
        self.width = inputs + (_LINE // y.itemsize if aliased else 0)

    def run(self, threads: int) -> None:
        """Multiply all blocks; then `y` is whole, and `tainted` known."""
        blocks = self._blocks()
        threads = min(threads, len(blocks), 1 + self.x.size // _SAMPLES_WORTH_A_THREAD)
        if threads == 1:
            self._run(blocks)
            return
        # in one piece each: threads that write side by side wait for the same pages
        edges = [k * len(blocks) // threads for k in range(threads + 1)]
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            parts = [blocks[a:b] for a, b in itertools.pairwise(edges)]
            list(pool.map(self._run, parts))

    def _run(self, blocks: list[Block]) -> None:
        x_views = [
            self._view(self.x, run, run.column, run.columns) for run in self.runs
        ]
        y_views = [self._view(self.y, run, run.row, run.rows) for run in self.runs]
        tainted = False
        # x of a block, in memory that is used again
        room = None if self.in_place else self._room(blocks)
        with np.errstate(all="ignore"):  # NaN and Inf are looked for, not warned of
            for block in blocks:
                outputs = [self._in(view, block) for view in y_views]
                if self.in_place:
                    inputs = [self._in(view, block) for view in x_views]
                else:
                    inputs = self._inputs(self._part(block, room))
                if tainted:
                    pass  # one tainted block seldom comes alone
                elif self.spectra and self.in_place:
                    # the sum finds NaN and Inf, and brings the block into the cache;
                    # einsum, since a BLAS dot product may start threads
                    tainted = not np.isfinite(np.einsum("ij->", self.x[block[0]]))
                else:
                    self._multiply(inputs, outputs)
                    tainted = self._is_tainted(outputs)
                if tainted:
                    tainted = self._localise(block, outputs)
                elif self.spectra and self.in_place:
                    self._multiply(inputs, outputs)
                if self.offset is not None:
                    y = self._of_y(block)
                    if self.spectra:
                        subtract_rows(y, -self.offset, y)
                    else:
                        y += self.offset[:, None]
                if len(self.undefined):
                    self._of_y(block)[:, self.undefined] = np.nan

    def _multiply(self, inputs: list[Array], outputs: list[Array]) -> None:
        for w, x, y in zip(self.weights, inputs, outputs, strict=True):
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
        if self.spectra:
            return array.reshape(len(array), -1, self.piece, array.shape[-1])
        return np.moveaxis(array.reshape(*array.shape[:-1], -1, self.piece), -2, 1)

    def _is_tainted(self, outputs: list[Array]) -> bool:
        """Whether any input was NaN or Inf: they reach every output of their tile."""
        first = [y[..., 0] if self.spectra else y[:, :, 0] for y in outputs]
        return not np.isfinite(sum(float(np.add.reduce(y, axis=None)) for y in first))

    def _localise(self, block: Block, outputs: list[Array]) -> bool:
        """Multiply a block with each NaN and Inf held to the outputs it supports.

        Returns whether there was any.
        """
        part, y = self._part(block), self._of_y(block)
        spoils = []
        # (n, spectrum) and (m, spectrum)
        planes = [(part.T, y.T)] if self.spectra else zip(part, y, strict=True)
        for plane, (source, target) in enumerate(planes, block[0].start):
            hit = np.flatnonzero(~np.isfinite(np.einsum("ij->j", source)))
            if not len(hit):
                continue
            begin = plane if self.spectra else plane * self.x.shape[2]
            self.tainted.append(begin + block[1].start + hit)
            few: Any = hit if 4 * len(hit) < source.shape[1] else slice(None)
            some = source[:, few]
            bad = ~np.isfinite(some)
            np.copyto(some, 0, where=bad)
            source[:, few] = some
            spoils.append((target, few, self.support.spoilt(np.ascontiguousarray(bad))))
        self._multiply(self._inputs(part), outputs)
        for target, few, spoilt in spoils:
            some = target[:, few]
            np.copyto(some, np.nan, where=spoilt)
            target[:, few] = some
        return bool(spoils)

    def _blocks(self) -> list[Block]:
        before = self.x.shape[0]
        after = 1 if self.spectra else self.x.shape[2]
        group = max(1, self.size // after)
        return [
            (slice(b, min(b + group, before)), slice(p, min(p + self.size, after)))
            for b in range(0, before, group)
            for p in range(0, after, self.size)
        ]

    def _part(self, block: Block, room: Array | None = None) -> Array:
        """Copy of a block of x, in the dtype of y, less the shift."""
        part = self.x[block[0]] if self.spectra else self.x[block[0], :, block[1]]
        if self.used is not None:
            part = part[:, self.used]
        room = self._room([block]) if room is None else room
        if self.spectra:
            out = room.reshape(-1, self.width)[: len(part), : part.shape[1]]
        else:
            out = room[: part.size].reshape(part.shape)
        if self.shift is None:
            np.copyto(out, part, casting="unsafe")
        elif self.spectra:
            subtract_rows(part, self.shift, out)
        else:
            np.subtract(part, self.shift, out=out, dtype=out.dtype, casting="unsafe")
        return out

    def _room(self, blocks: list[Block]) -> Array:
        """Room for the inputs of the largest of some blocks."""
        sizes = [math.prod(s.stop - s.start for s in block) for block in blocks]
        return np.empty(max(sizes) * self.width, self.y.dtype)

    def _of_y(self, block: Block) -> Array:
        return self.y[block[0]] if self.spectra else self.y[block[0], :, block[1]]

    def _inputs(self, part: Array) -> list[Array]:
        return [self._view(part, run, run.column, run.columns) for run in self.runs]

    def _view(self, array: Array, run: Run, first: int, size: int) -> Array:
        """Run over an array, (tile, before, size) or (tile, before, size, after)."""
        if run.scattered is not None and size == run.columns and array is not self.y:
            return array[None, :, run.scattered]
        advance = run.rows if array is self.y else run.step
        return as_strided(
            array[:, first:],
            (run.tiles, array.shape[0], size, *array.shape[2:]),
            (advance * array.strides[1], *array.strides),
        )

    def _in(self, view: Array, block: Block) -> Array:
        return view[:, block[0]] if self.spectra else view[:, block[0], :, block[1]]

    def _dense(self, run: Run, data: Array) -> Array:
        """Dense tiles of a run, (tile, column, row) or (tile, 1, row, column)."""
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
        dense = np.zeros((run.tiles, run.columns, run.rows), data.dtype)
        dense[tile, column, row] = data[entries]
        if self.spectra:
            return dense
        return np.ascontiguousarray(dense.swapaxes(1, 2))[:, None]
