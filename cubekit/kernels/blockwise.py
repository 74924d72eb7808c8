"""Multiply a sparse matrix with an array, block by block, and see to missing values.

NaN and Inf are looked for in the products, which is cheap, and the spectra that have
any are multiplied again with zeros in their place.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.kernels.deviations import subtract_rows
from cubekit.kernels.masked import clear, spoil
from cubekit.kernels.refit import LocalFit, Refit
from cubekit.kernels.repeating import multiply_again
from cubekit.kernels.support import Support
from cubekit.kernels.tiles import used_columns
from cubekit.kernels.tiling import Tiling

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Blockwise"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]
Block = tuple[slice, slice]

_SAMPLES_WORTH_A_THREAD = 2**19
# tainted spectra that are mended together: a few would leave their products empty
_TAINTED = 2048
# wider tiles read so many rows of pixels that a block is copied together first
_COLUMNS_IN_PLACE = 64
# values of a block: spectra are read twice, to look for NaN and to multiply, the second
# time from cache; where a block is copied less a shift, many are worth one call
_BLOCK, _BLOCK_SHIFTED = 2**18, 2**20
# spectra that one sum tells to be whole; a sum of one takes twice as long a value
_SUMMED = 16
# spectra at a multiple of this many bytes share a few lines of the cache, and push one
# another out of it: a block of them is copied, with a line in between
_ALIASED, _LINE = 4096, 64


class Blockwise:
    """y (before, m, after) = matrix (m, n) times x (before, n, after), in blocks.

    With ``after == 1`` spectra are contiguous, else pixels are. Outputs that meet a
    missing value are NaN or, with `fit`, fitted again to the samples that are left.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        matrix: sparse.csr_array,
        *,
        shift: Array | None,
        offset: Array | None,
        fit: LocalFit | None,
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
        self.tiling = Tiling(matrix, spectra=self.spectra)
        self.support = Support(matrix)
        if fit is not None and self.used is not None:
            fit = fit.restricted(columns=self.used)
        self.refit = None if fit is None else Refit(self.tiling, fit, y.dtype)
        # outputs with a NaN weight are undefined; as zeros they harm no tile
        undefined = np.isnan(matrix.data)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self.undefined = np.unique(row[undefined])
        weights = np.where(undefined, 0, matrix.data).astype(y.dtype)
        self.weights = self.tiling.dense(weights)
        runs = self.tiling.runs
        widest = max((run.columns for run in runs), default=0)
        self.in_place = (
            self.x.dtype == y.dtype
            and self.x.strides[-1] == self.x.itemsize
            # BLAS takes no rows that overlap or run backwards
            and self.x.strides[-2] >= self.x.shape[-1] * self.x.itemsize
            and (self.spectra or widest <= _COLUMNS_IN_PLACE)
            and all(run.scattered is None for run in runs)
            and self.used is None
            and self.shift is None
            and not (self.spectra and self.x.strides[0] % _ALIASED == 0)
        )
        inputs = matrix.shape[1]
        room = _BLOCK if self.shift is None else _BLOCK_SHIFTED
        piece = self.tiling.piece
        # spectra of a block of products
        self.size = piece * max(1, room // max(inputs, len(self.y[0])) // piece)
        step = inputs * y.itemsize
        aliased = self.spectra and step % _ALIASED == 0
        self.width = inputs + (_LINE // y.itemsize if aliased else 0)

    def run(self, threads: int) -> None:
        """Multiply all blocks; then `y` is whole."""
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
        x_views = self.tiling.inputs(self.x) if self.in_place else []
        y_views = self.tiling.outputs(self.y)
        few: list[Places] = []
        spectra: list[Array] = []
        many = False
        # x of a block, in memory that is used again
        room = None if self.in_place else self._room(blocks)
        with np.errstate(all="ignore"):  # NaN and Inf are looked for, not warned of
            for block in blocks:
                part, y = self._of(self.x, block), self._of(self.y, block)
                outputs = [self._in(view, block) for view in y_views]
                if not many:
                    if self.in_place:
                        x = part
                        inputs = [self._in(view, block) for view in x_views]
                    else:
                        x = self._copied(part, room)
                        inputs = self.tiling.inputs(x)
                    tainted = self._multiplied(x, inputs, outputs)
                    count = len(tainted[0])
                    many = 4 * count * x.shape[1] > x.size
                    if count and not many:  # copied while they are in cache
                        few.append(self._places(block, tainted))
                        spectra.append(self._taken(x, tainted))
                if many:  # one block with many tainted spectra seldom comes alone
                    bad = self._localise(self._copied(part, room), y, outputs)
                    many = bool(4 * np.count_nonzero(bad) > bad.size)
                self._finish(y)
                if few and (sum(map(len, few)) > _TAINTED or block is blocks[-1]):
                    self._mend(np.concatenate(few), spectra)
                    few, spectra = [], []

    def _multiplied(
        self, x: Array, inputs: list[Array], outputs: list[Array]
    ) -> tuple[Places, ...]:
        """Multiply a block as it is; tell which spectra had NaN or Inf."""
        # one sum of many tells if there is any; only then is one for each worth it
        if self.spectra and self.in_place:
            # it brings the block into the cache; einsum, since a BLAS dot product may
            # start threads
            groups = x.reshape(-1, math.gcd(len(x), _SUMMED), x.shape[1])
            sums = np.einsum("kij->k", groups)
            self.tiling.multiply(self.weights, inputs, outputs)
            unclean = np.flatnonzero(~np.isfinite(sums))
            group, place = np.nonzero(
                ~np.isfinite(np.einsum("kij->ki", groups[unclean]))
            )
            return (unclean[group] * groups.shape[1] + place,)
        self.tiling.multiply(self.weights, inputs, outputs)
        # NaN and Inf reach every output of their tile: one of each tells
        first = [y[..., 0] if self.spectra else y[:, :, 0] for y in outputs]
        totals = [np.add.reduce(y, axis=0) for y in first]
        return np.nonzero(~np.isfinite(functools.reduce(np.add, totals)))

    def _localise(self, x: Array, y: Array, outputs: list[Array]) -> Array:
        """Multiply spectra with each NaN and Inf held to the outputs it supports.

        Returns which spectra had any; `x` is changed.
        """
        bad = ~np.isfinite(x)
        clear(x, bad)
        self.tiling.multiply(self.weights, self.tiling.inputs(x), outputs)
        spoilt = self.support.spoilt(bad)
        if self.refit is None:
            spoil(y, spoilt)
        else:
            self.refit(x, bad, y, spoilt)
        return np.asarray(bad.any(axis=1))

    def _mend(self, hit: Places, spectra: list[Array]) -> None:
        """Hold each NaN and Inf of a few spectra to the outputs it supports.

        Parameters
        ----------
        hit : array, (hit,)
            Places of the spectra in (before, after).
        spectra : list of array, (part of hit, n)
            The spectra.
        """
        x = np.concatenate(spectra)
        if not self.spectra:
            x = np.ascontiguousarray(x.T)[None]
        bad = ~np.isfinite(x)
        clear(x, bad)
        products = multiply_again(
            self.tiling,
            self.weights,
            x,
            bad,
            places=hit % self._length,
            total=self._length,
            block=self.size,
        )
        for spectrum, output, product in products:
            done = product if self.offset is None else product + self.offset[output]
            self._put(hit[spectrum, None], output, done)
        spoilt = self.support.spoilt(bad)
        place = np.flatnonzero(spoilt)  # much faster than of three dims
        fitted: Any = np.nan
        if self.refit is not None:
            y: Array = np.empty(spoilt.shape, self.y.dtype)
            self.refit(x, bad, y, spoilt)
            fitted = y.reshape(-1)[place]
        if self.spectra:
            spectrum, output = np.divmod(place, spoilt.shape[1])
        else:
            output, spectrum = np.divmod(place, spoilt.shape[2])
        self._put(hit[spectrum], output, fitted)
        if len(self.undefined):
            self._put(hit[:, None], self.undefined, np.nan)

    @property
    def _length(self) -> int:
        """Spectra that lie side by side, and are multiplied in blocks."""
        return int(self.x.shape[0 if self.spectra else 2])

    def _taken(self, x: Array, tainted: tuple[Places, ...]) -> Array:
        """Copy of the tainted spectra of a block, (hit, n)."""
        spectra: Array = (x if self.spectra else x.swapaxes(1, 2))[tainted]
        return spectra

    def _put(self, hit: Places, output: Places, values: Any) -> None:
        """Put values in place of some outputs of some spectra."""
        if self.spectra:
            self.y[hit, output] = values
        else:
            before, after = np.divmod(hit, self._length)
            self.y[before, output, after] = values

    def _finish(self, y: Array) -> None:
        if self.offset is not None and self.spectra:
            subtract_rows(y, -self.offset, y)
        elif self.offset is not None:
            y += self.offset[:, None]
        if len(self.undefined):
            y[:, self.undefined] = np.nan

    def _places(self, block: Block, tainted: tuple[Places, ...]) -> Places:
        """Places in (before, after) of the tainted spectra of a block."""
        place: Places = tainted[0] + block[0].start
        if not self.spectra:
            place = place * self._length + tainted[1] + block[1].start
        return place

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

    def _in(self, view: Array, block: Block) -> Array:
        return view[:, block[0]] if self.spectra else view[:, block[0], :, block[1]]
