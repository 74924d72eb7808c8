"""Contract a sparse matrix into one axis of a NumPy array, tile by tile.

A tile is a dense block of the matrix: a few outputs, and just the inputs they touch.
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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from scipy import sparse

from cubekit.kernels.layout import memory_order, result_dtype
from cubekit.kernels.products import PRODUCT
from cubekit.kernels.tiles import Run, cut, used_columns

__all__ = ["Contracted", "contract_array", "contract_spectra"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]
Block = tuple[slice, slice]

# outputs a tile, measured best where pixels are contiguous and where spectra are
_ROWS_PIXELS, _ROWS_SPECTRA = 8, 16
_SAMPLES_WORTH_A_THREAD = 2**19
_ALL = slice(None)
_SPECTRA_AT_LEAST = 16
# wider tiles read so many rows of pixels that a block is copied together first
_COLUMNS_IN_PLACE = 64


def contract_array(
    x: Array,
    matrix: sparse.csr_array,
    axis: int,
    *,
    threads: int = 1,
    shift: Array | None = None,
    offset: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Contract `matrix` into one axis of an array: ``matrix @ (x - shift) + offset``.

    Parameters
    ----------
    x : array, (..., n, ...)
        Real numbers of any dtype, order and strides.
    matrix : csr_array, (m, n)
        Its stored entries, zeros included, are the support. Indices are sorted.
    axis : int
        The axis of length n.
    threads : int
        Threads over blocks of spectra.
    shift : array, (n,), optional
        Taken off before the product, so that nothing cancels after it.
    offset : array, (m,), optional
        Added to the product.
    out : array, (..., m, ...), optional
        Where to put the result: in the dtype of the result, one item of `empty_stack`.

    Returns
    -------
    array, (..., m, ...)
        NaN where the support of an output meets a NaN or Inf; every other output has
        the bits it would have without them.
    """
    contracted = contract_spectra(
        x, matrix, axis, threads=threads, shift=shift, offset=offset, out=out
    )
    return contracted.result


class Contracted(NamedTuple):
    """Result of a contraction, and where its input had NaN or Inf."""

    result: Array
    x: Array  # (before, n, after), in the order of memory
    y: Array  # (before, m, after), a view of the result
    tainted: Places  # spectra, by their place in (before, after)


def contract_spectra(
    x: Array,
    matrix: sparse.csr_array,
    axis: int,
    *,
    threads: int = 1,
    shift: Array | None = None,
    offset: Array | None = None,
    out: Array | None = None,
) -> Contracted:
    """Contract as `contract_array`, and tell which spectra had NaN or Inf."""
    # work in the order of memory, so that no layout needs a transposed copy
    order = memory_order(x)
    ordered = x.transpose(order)
    at = order.index(axis)
    before, after = ordered.shape[:at], ordered.shape[at + 1 :]
    outputs, inputs = matrix.shape
    if out is None:
        y = np.empty((*before, outputs, *after), result_dtype(x.dtype))
    else:
        y = out.transpose(order)
    flat = (math.prod(before), math.prod(after))
    x = ordered.reshape(flat[0], inputs, flat[1])
    planes = y.reshape(flat[0], outputs, flat[1])
    tainted = np.zeros(0, np.intp)
    if y.size:
        work = _Work(x, planes, matrix, shift, offset)
        work.run(threads)
        tainted = np.sort(np.concatenate([tainted, *work.tainted]))
    result = y.transpose(np.argsort(order)) if out is None else out
    return Contracted(result, x, planes, tainted)


class _Work:
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
        self.matrix = matrix
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
        self.spectra_at_once = max(
            _SPECTRA_AT_LEAST, min(4096, PRODUCT // max(1, largest))
        )
        self.in_place = (
            self.x.dtype == y.dtype
            and self.x.strides[-1] == self.x.itemsize
            and (self.spectra or widest <= _COLUMNS_IN_PLACE)
            and all(run.scattered is None for run in self.runs)
            and self.used is None
            and self.shift is None
        )

    @functools.cached_property
    def support(self) -> sparse.csr_array:
        matrix = self.matrix
        ones = np.ones(matrix.nnz, np.float32)
        return sparse.csr_array((ones, matrix.indices, matrix.indptr), matrix.shape)

    def run(self, threads: int) -> None:
        blocks = self._blocks()
        threads = min(threads, len(blocks), 1 + self.x.size // _SAMPLES_WORTH_A_THREAD)
        if threads == 1:
            self._run(blocks)
            return
        edges = [k * len(blocks) // threads for k in range(threads + 1)]
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            parts = [blocks[a:b] for a, b in itertools.pairwise(edges)]
            list(pool.map(self._run, parts))

    def _run(self, blocks: list[Block]) -> None:
        x_views, y_views = self._inputs(self.x), self._outputs(self.y)
        few = [np.zeros(0, np.intp)]
        many = False
        with np.errstate(all="ignore"):  # NaN and Inf are looked for, not warned of
            for block in blocks:
                part, y = self._of(self.x, block), self._of(self.y, block)
                outputs = [self._in(view, block) for view in y_views]
                if not many:
                    if self.in_place:
                        inputs = [self._in(view, block) for view in x_views]
                    else:
                        part = self._part(part)
                        inputs = self._inputs(part)
                    tainted = self._product(part, inputs, outputs)
                    hit = self._places(block, tainted)
                    many = 4 * len(hit) > tainted.size
                    if not many:
                        few.append(hit)
                if many:  # one block with many tainted spectra seldom comes alone
                    part = self._part(self._of(self.x, block))
                    tainted = self._localise(part, y, outputs)
                    self.tainted.append(self._places(block, tainted))
                    many = bool(4 * np.count_nonzero(tainted) > tainted.size)
                self._finish(y)
            hit = np.concatenate(few)
            for k in range(0, len(hit), self.spectra_at_once):
                self._mend(hit[k : k + self.spectra_at_once])
            self.tainted.append(hit)

    def _multiply(self, inputs: list[Array], outputs: list[Array]) -> None:
        for w, x, y in zip(self.weights, inputs, outputs, strict=True):
            if self.spectra:
                np.matmul(x, w, out=y)
            else:
                np.matmul(w, x, out=y)

    def _product(self, part: Array, inputs: list[Array], outputs: list[Array]) -> Array:
        """Multiply a block as it is; tell which spectra had NaN or Inf."""
        total: Array
        if self.spectra:
            # the sum brings the block into the cache; einsum, since a BLAS dot product
            # may start threads
            total = np.einsum("ij->i", part)
            self._multiply(inputs, outputs)
        else:
            self._multiply(inputs, outputs)
            # NaN and Inf reach every output of their tile: one of each tells
            firsts = [np.add.reduce(y[:, :, 0], axis=0) for y in outputs]
            total = functools.reduce(np.add, firsts)
        return ~np.isfinite(total)

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
            spoilt = self._spoilt(np.ascontiguousarray(source))
            np.copyto(target, np.nan, where=spoilt)
        return np.asarray(bad.any(axis=1))

    def _mend(self, hit: Places) -> None:
        """Multiply a few spectra again, with each NaN and Inf held to its outputs."""
        # so many as to take the road in BLAS that whole blocks take
        padded = np.pad(hit, (0, -len(hit) % _SPECTRA_AT_LEAST), mode="edge")
        where: Any = padded
        if not self.spectra:
            # bands first, as they are in memory
            before, after = np.divmod(padded, self.x.shape[2])
            where = (before, np.arange(self.x.shape[1])[:, None], after)
        x = self._part(self.x[where] if self.spectra else self.x[where][None])
        y = np.empty((len(x), self.matrix.shape[0], *x.shape[2:]), self.y.dtype)
        self._localise(x, y, self._outputs(y))
        self._finish(y)
        if not self.spectra:
            where = (before, np.arange(self.y.shape[1])[:, None], after)
        self.y[where] = y if self.spectra else y[0]

    def _finish(self, y: Array) -> None:
        if self.offset is not None:
            y += self.offset if self.spectra else self.offset[:, None]
        if len(self.undefined):
            y[:, self.undefined] = np.nan

    def _places(self, block: Block, tainted: Array) -> Places:
        """Places in (before, after) of the tainted spectra of a block."""
        before, after = np.nonzero(tainted[:, None] if self.spectra else tainted)
        length = 1 if self.spectra else self.x.shape[2]
        places: Places = (block[0].start + before) * length + block[1].start + after
        return places

    @functools.cached_property
    def _reach(self) -> tuple[list[tuple[Array, Array, Array]], Array]:
        """Outputs by the length of their support, 1, 2 to 3, 4 to 7, ... inputs.

        For each length: the outputs, where their support begins, and where its last 1,
        2, 4, ... inputs do. Apart, the outputs whose support has gaps.
        """
        indptr, indices = self.matrix.indptr, self.matrix.indices
        count = np.diff(indptr)
        used = count > 0
        first, length = np.zeros((2, len(count)), np.intp)
        first[used] = indices[indptr[:-1][used]]
        length[used] = indices[indptr[1:][used] - 1] + 1 - first[used]
        levels = []
        size = 1
        while size <= length.max(initial=0):
            rows = np.flatnonzero((size <= length) & (length < 2 * size))
            levels.append((rows, first[rows], first[rows] + length[rows] - size))
            size *= 2
        return levels, np.flatnonzero(length > count)

    def _spoilt(self, bad: Array) -> Array:
        """Whether the support of each output meets any that is bad, (n, spectrum)."""
        levels, in_pieces = self._reach
        spoilt = np.zeros((self.matrix.shape[0], bad.shape[1]), np.bool_)
        met = bad  # any bad one of 1, 2, 4, ... inputs from each on
        for power, (rows, first, last) in enumerate(levels):
            if len(rows):
                spoilt[rows] = met[first] | met[last]
            met = met[: -(2**power)] | met[2**power :]
        if len(in_pieces):
            spoilt[in_pieces] = self.support[in_pieces] @ bad.astype(np.float32) > 0
        return spoilt

    def _blocks(self) -> list[Block]:
        before = self.x.shape[0]
        after = 1 if self.spectra else self.x.shape[2]
        size = self.spectra_at_once
        group = max(1, size // after)
        return [
            (slice(b, min(b + group, before)), slice(p, min(p + size, after)))
            for b in range(0, before, group)
            for p in range(0, after, size)
        ]

    def _part(self, part: Array) -> Array:
        """Contiguous copy of a part of x, in the dtype of y, less the shift."""
        if self.used is not None:
            part = part[:, self.used]
        if self.shift is None:
            return np.array(part, self.y.dtype, order="C")
        out = np.empty(part.shape, self.y.dtype)
        return np.subtract(part, self.shift, out=out, dtype=out.dtype, casting="unsafe")

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
