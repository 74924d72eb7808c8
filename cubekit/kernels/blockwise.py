"""Multiply the tiles of a sparse matrix with an array, block by block.

Tiles of one shape at a constant step are one batched matrix product over strided views:
nothing is copied, and the interpreter is entered a handful of times for each block of
spectra.

The product of a tile stops at `PRODUCT` multiplications: below it OpenBLAS starts no
threads of its own, which would fight with ours.
"""

from __future__ import annotations

import concurrent.futures
import functools
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
Places = npt.NDArray[np.intp]
Block = tuple[slice, slice]

# outputs a tile, measured best where pixels are contiguous and where spectra are
_ROWS_PIXELS, _ROWS_SPECTRA = 8, 16
_SAMPLES_WORTH_A_THREAD = 2**19
_SPECTRA_AT_LEAST = 16
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
        self.tainted: list[Places] = []  # spectra, (before, after)
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
        self.piece = max(1, most // _SPECTRA_AT_LEAST) * _SPECTRA_AT_LEAST
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
        x_views = self._inputs(self.x) if self.in_place else []
        y_views = self._outputs(self.y)
        few = [np.zeros(0, np.intp)]
        many = False
        # x of a block, in memory that is used again
        room = None if self.in_place else self._room(blocks)
        with np.errstate(all="ignore"):  # NaN and Inf are looked for, not warned of
            for block in blocks:
                part, y = self._of(self.x, block), self._of(self.y, block)
                outputs = [self._in(view, block) for view in y_views]
                if not many:
                    if self.in_place:
                        inputs = [self._in(view, block) for view in x_views]
                    else:
                        inputs = self._inputs(self._copied(part, room))
                    tainted = self._multiplied(part, inputs, outputs)
                    if tainted.any():
                        hit = self._places(block, tainted)
                        many = 4 * len(hit) > tainted.size
                        if not many:
                            few.append(hit)
                if many:  # one block with many tainted spectra seldom comes alone
                    tainted = self._localise(self._copied(part, room), y, outputs)
                    self.tainted.append(self._places(block, tainted))
                    many = bool(4 * np.count_nonzero(tainted) > tainted.size)
                self._finish(y)
            hit = np.concatenate(few)
            for k in range(0, len(hit), self.piece):
                self._mend(hit[k : k + self.piece])
            self.tainted.append(hit)

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
        shape = (part.stop // self.piece, self.piece)  # -1 is not clear if it is empty
        if self.spectra:
            return array.reshape(len(array), *shape, array.shape[-1])
        return np.moveaxis(array.reshape(*array.shape[:-1], *shape), -2, 1)

    def _multiplied(
        self, part: Array, inputs: list[Array], outputs: list[Array]
    ) -> Array:
        """Multiply a block as it is; tell which spectra had NaN or Inf."""
        # one sum tells if there is any; only then is one for each spectrum worth it
        if self.spectra and self.in_place:
            # it brings the block into the cache; einsum, since a BLAS dot product may
            # start threads
            clean = np.isfinite(np.einsum("ij->", part))
            self._multiply(inputs, outputs)
            if not clean:
                sums: Array = np.einsum("ij->i", part)
                return ~np.isfinite(sums)
        else:
            self._multiply(inputs, outputs)
            # NaN and Inf reach every output of their tile: one of each tells
            first = [y[..., 0] if self.spectra else y[:, :, 0] for y in outputs]
            if not np.isfinite(sum(float(np.add.reduce(y, axis=None)) for y in first)):
                totals = [np.add.reduce(y, axis=0) for y in first]
                sums = functools.reduce(np.add, totals)
                return ~np.isfinite(sums)
        return np.zeros(len(part) if self.spectra else part[:, 0].shape, np.bool_)

    def _localise(self, x: Array, y: Array, outputs: list[Array]) -> Array:
        """Multiply spectra with each NaN and Inf held to the outputs it supports.

        Returns which spectra had any; `x` is changed.
        """
        bad = ~np.isfinite(x)
        np.copyto(x, 0, where=bad)
        self._multiply(self._inputs(x), outputs)
        # (n, spectrum) and (m, spectrum)
        planes = [(bad.T, y.T)] if self.spectra else zip(bad, y, strict=True)
        for source, target in planes:
            spoilt = self.support.spoilt(np.ascontiguousarray(source))
            np.copyto(target, np.nan, where=spoilt)
        return np.asarray(bad.any(axis=1))

    def _mend(self, hit: Places) -> None:
        """Multiply a few spectra again, with each NaN and Inf held to its outputs."""
        # so many as to take the road in BLAS that whole blocks take
        padded = np.pad(hit, (0, -len(hit) % _SPECTRA_AT_LEAST), mode="edge")
        of_x: Any = padded
        of_y: Any = padded
        if not self.spectra:
            before, after = np.divmod(padded, self.x.shape[2])
            of_x = (before, np.arange(self.x.shape[1])[:, None], after)
            of_y = (before, np.arange(self.y.shape[1])[:, None], after)
        x = self._copied(self.x[of_x] if self.spectra else self.x[of_x][None])
        y: Array = np.empty((len(x), self.y.shape[1], *x.shape[2:]), self.y.dtype)
        self._localise(x, y, self._outputs(y))
        self._finish(y)
        self.y[of_y] = y if self.spectra else y[0]

    def _finish(self, y: Array) -> None:
        if self.offset is not None and self.spectra:
            subtract_rows(y, -self.offset, y)
        elif self.offset is not None:
            y += self.offset[:, None]
        if len(self.undefined):
            y[:, self.undefined] = np.nan

    def _places(self, block: Block, tainted: Array) -> Places:
        """Places in (before, after) of the tainted spectra of a block."""
        before, after = np.nonzero(tainted[:, None] if self.spectra else tainted)
        length = 1 if self.spectra else self.x.shape[2]
        places: Places = (block[0].start + before) * length + block[1].start + after
        return places

    def _blocks(self) -> list[Block]:
        before = self.x.shape[0]
        after = 1 if self.spectra else self.x.shape[2]
        group = max(1, self.size // after)
        return [
            (slice(b, min(b + group, before)), slice(p, min(p + self.size, after)))
            for b in range(0, before, group)
            for p in range(0, after, self.size)
        ]

    def _copied(self, part: Array, room: Array | None = None) -> Array:
        """Copy of a part of x, in the dtype of y, less the shift."""
        if self.used is not None:
            part = part[:, self.used]
        if room is None:
            spectra = part.size // max(1, part.shape[1])
            room = np.empty(spectra * self.width, self.y.dtype)
        out: Array
        if self.spectra:
            rows = room[: len(part) * self.width].reshape(-1, self.width)
            out = rows[:, : part.shape[1]]
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

    def _of(self, array: Array, block: Block) -> Array:
        return array[block[0]] if self.spectra else array[block[0], :, block[1]]

    def _inputs(self, part: Array) -> list[Array]:
        return [self._view(part, run) for run in self.runs]

    def _outputs(self, y: Array) -> list[Array]:
        return [self._view(y, run, outputs=True) for run in self.runs]

    def _view(self, array: Array, run: Run, *, outputs: bool = False) -> Array:
        """Run over an array, (tile, before, size) or (tile, before, size, after)."""
        if run.scattered is not None and not outputs:
            return array[None, :, run.scattered]
        first, size, advance = (
            (run.row, run.rows, run.rows)
            if outputs
            else (run.column, run.columns, run.step)
        )
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
