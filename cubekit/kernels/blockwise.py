"""Multiply a sparse matrix with an array, block by block, and see to missing values.

NaN and Inf are looked for in the products, which is cheap, and the spectra that have
any are multiplied again with zeros in their place.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.kernels.deviations import subtract_rows
from cubekit.kernels.masked import clear, spoil
from cubekit.kernels.refit import Room
from cubekit.kernels.repeating import multiply_again
from cubekit.kernels.sharing import shared_out

if TYPE_CHECKING:
    from cubekit.kernels.plan import Plan

__all__ = ["Blockwise"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]
Block = tuple[slice, slice]

_SAMPLES_WORTH_A_THREAD = 2**19
# tainted spectra that are mended together: a few would leave their products empty
_TAINTED = 2048
# spectra that one sum tells to be whole; a sum of one takes twice as long a value
_SUMMED = 16


class Blockwise:
    """y (before, m, after) = matrix (m, n) times x (before, n, after), in blocks.

    With ``after == 1`` spectra are contiguous, else pixels are. Outputs that meet a
    missing value are NaN or, with a fit, fitted again to the samples that are left.
    """

    def __init__(self, x: Array, y: Array, plan: Plan) -> None:
        self.plan, self.spectra = plan, plan.spectra
        self.x = x[..., 0] if self.spectra else x
        self.y = y[..., 0] if self.spectra else y
        self.in_place = plan.takes(self.x)

    def run(self, threads: int) -> None:
        """Multiply all blocks; then `y` is whole."""
        blocks = self._blocks()
        threads = min(threads, len(blocks), 1 + self.x.size // _SAMPLES_WORTH_A_THREAD)
        # in one piece each: threads that write side by side wait for the same pages
        edges = [k * len(blocks) // threads for k in range(threads + 1)]
        pieces = [blocks[a:b] for a, b in itertools.pairwise(edges)]
        shared_out(self._run, pieces, threads)

    def _run(self, blocks: list[Block]) -> None:
        x_views = self.plan.tiling.inputs(self.x) if self.in_place else []
        y_views = self.plan.tiling.outputs(self.y)
        few: list[Places] = []
        spectra: list[Array] = []
        many = False
        # x of a block, in memory that is used again
        room = None if self.in_place else self._room(blocks)
        sums = Room(self.y.dtype)
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
                        inputs = self.plan.tiling.inputs(x)
                    tainted = self._multiplied(x, inputs, outputs)
                    count = len(tainted[0])
                    many = 4 * count * x.shape[1] > x.size
                    if count and not many:  # copied while they are in cache
                        few.append(self._places(block, tainted))
                        spectra.append(self._taken(x, tainted))
                if many:  # one block with many tainted spectra seldom comes alone
                    bad = self._localise(self._copied(part, room), y, outputs, sums)
                    many = bool(4 * np.count_nonzero(bad) > bad.size)
                self._finish(y)
                if few and (sum(map(len, few)) > _TAINTED or block is blocks[-1]):
                    self._mend(np.concatenate(few), spectra, sums)
                    few, spectra = [], []

    def _multiplied(
        self, x: Array, inputs: list[Array], outputs: list[Array]
    ) -> tuple[Places, ...]:
        """Multiply a block as it is; tell which spectra had NaN or Inf."""
        # one sum of many tells if there is any; only then is one for each worth it
        if self.spectra and self.in_place and not self.plan.once:
            # it brings the block into the cache; einsum, since a BLAS dot product may
            # start threads
            size = math.gcd(len(x), _SUMMED)
            groups = x.reshape(len(x) // size, size, x.shape[1])
            sums = np.einsum("kij->k", groups)
            self.plan.tiling.multiply(self.plan.weights, inputs, outputs)
            unclean = np.flatnonzero(~np.isfinite(sums))
            group, place = np.nonzero(
                ~np.isfinite(np.einsum("kij->ki", groups[unclean]))
            )
            return (unclean[group] * groups.shape[1] + place,)
        self.plan.tiling.multiply(self.plan.weights, inputs, outputs)
        # NaN and Inf reach every output of their tile: one of each tells
        first = [y[..., 0] if self.spectra else y[:, :, 0] for y in outputs]
        if np.isfinite(sum(float(np.add.reduce(y, axis=None)) for y in first)):
            return (np.zeros(0, np.intp),)
        totals = [np.add.reduce(y, axis=0) for y in first]
        return np.nonzero(~np.isfinite(functools.reduce(np.add, totals)))

    def _localise(self, x: Array, y: Array, outputs: list[Array], sums: Room) -> Array:
        """Multiply spectra with each NaN and Inf held to the outputs it supports.

        Returns which spectra had any; `x` is changed.
        """
        plan = self.plan
        bad = ~np.isfinite(x)
        clear(x, bad)
        plan.tiling.multiply(plan.weights, plan.tiling.inputs(x), outputs)
        spoilt = plan.support.spoilt(bad)
        if plan.refit is None:
            spoil(y, spoilt)
        else:
            plan.refit(x, bad, y, spoilt, sums)
        return np.asarray(bad.any(axis=1))

    def _mend(self, hit: Places, spectra: list[Array], sums: Room) -> None:
        """Hold each NaN and Inf of a few spectra to the outputs it supports.

        Parameters
        ----------
        hit : array, (hit,)
            Places of the spectra in (before, after).
        spectra : list of array, (part of hit, n)
            The spectra.
        sums : Room
            For sums of fits.
        """
        plan = self.plan
        x = np.concatenate(spectra)
        if not self.spectra:
            x = np.ascontiguousarray(x.T)[None]
        bad = ~np.isfinite(x)
        clear(x, bad)
        products = multiply_again(
            plan.tiling,
            plan.weights,
            x,
            bad,
            places=hit % self._length,
            total=self._length,
            block=plan.size,
        )
        for spectrum, output, product in products:
            done = product if plan.offset is None else product + plan.offset[output]
            self._put(hit[spectrum, None], output, done)
        spoilt = plan.support.spoilt(bad)
        place = np.flatnonzero(spoilt)  # much faster than of three dims
        fitted: Any = np.nan
        if plan.refit is not None:
            y: Array = np.empty(spoilt.shape, self.y.dtype)
            plan.refit(x, bad, y, spoilt, sums)
            fitted = y.reshape(-1)[place]
        if self.spectra:
            spectrum, output = np.divmod(place, spoilt.shape[1])
        else:
            output, spectrum = np.divmod(place, spoilt.shape[2])
        self._put(hit[spectrum], output, fitted)
        if len(plan.undefined):
            self._put(hit[:, None], plan.undefined, np.nan)

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
        plan = self.plan
        if plan.minus_offset is not None:
            subtract_rows(y, plan.minus_offset, y)
        elif plan.offset is not None:
            y += plan.offset[:, None]
        if len(plan.undefined):
            y[:, plan.undefined] = np.nan

    def _places(self, block: Block, tainted: tuple[Places, ...]) -> Places:
        """Places in (before, after) of the tainted spectra of a block."""
        place: Places = tainted[0] + block[0].start
        if not self.spectra:
            place = place * self._length + tainted[1] + block[1].start
        return place

    def _blocks(self) -> list[Block]:
        before = self.x.shape[0]
        after = 1 if self.spectra else self.x.shape[2]
        group = max(1, self.plan.size // after)
        return [
            (slice(b, min(b + group, before)), slice(p, min(p + self.plan.size, after)))
            for b in range(0, before, group)
            for p in range(0, after, self.plan.size)
        ]

    def _copied(self, part: Array, room: Array | None = None) -> Array:
        """Copy of a part of x, in the dtype of y, less the shift."""
        plan = self.plan
        if plan.used is not None:
            part = part[:, plan.used]
        if room is None:
            spectra = part.size // max(1, part.shape[1])
            room = np.empty(spectra * plan.width, self.y.dtype)
        out: Array
        if self.spectra:
            rows = room[: len(part) * plan.width].reshape(-1, plan.width)
            out = rows[:, : part.shape[1]]
        else:
            out = room[: part.size].reshape(part.shape)
        if plan.shift is None:
            np.copyto(out, part, casting="unsafe")
        elif self.spectra:
            subtract_rows(part, plan.shift, out)
        else:
            np.subtract(part, plan.shift, out=out, dtype=out.dtype, casting="unsafe")
        return out

    def _room(self, blocks: list[Block]) -> Array:
        """Room for the inputs of the largest of some blocks."""
        sizes = [math.prod(s.stop - s.start for s in block) for block in blocks]
        return np.empty(max(sizes) * self.plan.width, self.y.dtype)

    def _of(self, array: Array, block: Block) -> Array:
        return array[block[0]] if self.spectra else array[block[0], :, block[1]]

    def _in(self, view: Array, block: Block) -> Array:
        return view[:, block[0]] if self.spectra else view[:, block[0], :, block[1]]
