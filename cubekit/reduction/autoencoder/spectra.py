"""Spectra of cubes larger than memory, in an order at random and in bounded memory.

A pool holds as many spectra as fit, drawn evenly from all blocks of the cubes. Training
takes its minibatches from the pool, shuffled; after each epoch a part of the pool is
replaced by spectra of the next block, blocks in an order at random.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from cubekit.reduction.projection import Projection

__all__ = ["Blocks", "Pool", "pieces"]

Real = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Slices = tuple[slice, ...]

_SPECTRA = 2**16  # in a block of a cube in memory, and the least that is read at a time
_HELD_SHARE, _HELD_MOST = 0.1, 2**15
_POOL_BYTES = 2**27
_REPLACED = 16  # part of the pool that an epoch replaces, at most


class Block(NamedTuple):
    """Pieces of one cube that are read together."""

    cube: int
    pieces: list[Slices]  # over the samples


class Blocks:
    """Blocks of the spectra of cubes with the same bands."""

    def __init__(self, cubes: Sequence[xr.DataArray], template: Projection) -> None:
        self._good = template.good
        self._arrays = []
        self._axes = []
        self.blocks: list[Block] = []
        self.spectra = 0
        for number, cube in enumerate(cubes):
            axis = int(cube.get_axis_num(template.axis.dim))
            self._arrays.append(cube.data)
            self._axes.append(axis)
            self.spectra += math.prod(cube.shape) // max(1, cube.shape[axis])
            self.blocks += [
                Block(number, pieces) for pieces in _grouped(cube.data, axis)
            ]

    def read_all(self) -> Iterator[npt.NDArray[Any]]:
        """Spectra of one block after the other."""
        return (self.read(number) for number in range(len(self.blocks)))

    def read(self, number: int) -> npt.NDArray[Any]:
        """Spectra of a block, (spectrum, good band), in the dtype of the cube."""
        block = self.blocks[number]
        array, axis = self._arrays[block.cube], self._axes[block.cube]
        parts = [
            array[(*piece[:axis], slice(None), *piece[axis:])] for piece in block.pieces
        ]
        if isinstance(array, da.Array):
            parts = da.compute(*parts)
        rows = [
            np.moveaxis(part, axis, -1).reshape(-1, part.shape[axis]) for part in parts
        ]
        found = rows[0] if len(rows) == 1 else np.concatenate(rows)
        every = len(self._good) == found.shape[1]
        return found if every else found[:, self._good]


def _grouped(array: Any, axis: int) -> Iterator[list[Slices]]:
    """Pieces of an array, small ones together."""
    shape = [size for k, size in enumerate(array.shape) if k != axis]
    if not isinstance(array, da.Array):
        yield from ([piece] for piece in pieces(shape, _SPECTRA))
        return
    chunks = [sizes for k, sizes in enumerate(array.chunks) if k != axis]
    edges = [np.concatenate([[0], np.cumsum(sizes)]).tolist() for sizes in chunks]
    group: list[Slices] = []
    count = 0
    for piece in itertools.product(*map(itertools.pairwise, edges)):
        group.append(tuple(slice(a, b) for a, b in piece))
        count += math.prod(b - a for a, b in piece)
        if count >= _SPECTRA:
            yield group
            group, count = [], 0
    if group:
        yield group


def pieces(shape: Sequence[int], most: int) -> Iterator[Slices]:
    """Slices that cut an array of samples into parts of so many, or fewer."""
    count = math.prod(shape)
    if count <= most or max(shape) <= 1:
        yield tuple(slice(0, size) for size in shape)
        return
    longest = int(np.argmax(shape))
    size = shape[longest]
    step = max(1, size * most // count)
    for start in range(0, size, step):
        stop = min(start + step, size)
        inner = [*shape[:longest], stop - start, *shape[longest + 1 :]]
        for piece in pieces(inner, most):
            along = piece[longest]
            moved = slice(along.start + start, along.stop + start)
            yield (*piece[:longest], moved, *piece[longest + 1 :])


class Pool:
    """Spectra to train on and spectra held out, standardised, NaN where missing.

    Parameters
    ----------
    blocks : Blocks
    seed : int
    whole : bool
        Leave out spectra that miss a band; else those with `fewest` bands or less.
    fewest : int
        Bands that are too few.

    Attributes
    ----------
    mean, scale : (band,)
        Of the spectra to train on; scale 1 where all are equal.
    train, held : (spectrum, band), float32
    samples, dropped : int
        Spectra used, of the training or held out, and those left out.
    """

    def __init__(self, blocks: Blocks, seed: int, *, whole: bool, fewest: int) -> None:
        self._blocks, self._seed = blocks, seed
        self.whole, self._fewest = whole, fewest
        self._held_share = min(_HELD_SHARE, _HELD_MOST / max(1, blocks.spectra))
        self._order: list[int] = []
        self._round = 0
        self.samples = self.dropped = 0
        self.train, self.held, shift, size = self._filled()
        self._standardise(shift, size)

    @property
    def has_holes(self) -> bool:
        """Whether some spectrum misses a band."""
        return not np.isfinite(self.train.sum(axis=1)).all()

    def covariance(self) -> Real:
        """Of the standardised spectra to train on, each pair of bands where both are.

        The means are zero.
        """
        bands = self.train.shape[1]
        products, pairs = np.zeros((bands, bands)), np.zeros((bands, bands))
        step = max(1, 2**21 // max(1, bands))
        for start in range(0, len(self.train), step):
            part = self.train[start : start + step].astype(np.float64)
            valid = np.isfinite(part)
            part[~valid] = 0
            products += part.T @ part
            pairs += valid.T.astype(np.float64) @ valid
        covariance: Real = products / np.maximum(pairs, 1)
        return covariance

    def refresh(self, rng: np.random.Generator) -> None:
        """Replace a part of the pool by spectra of another block, if there are more."""
        if self._share >= 1:
            return
        if not self._order:
            self._order = rng.permutation(len(self._blocks.blocks)).tolist()
        number = self._order.pop()
        values, draw = self._usable(number)
        new = values[draw >= self._held_share]
        count = min(len(new), max(1, len(self.train) // _REPLACED))
        if not count:
            return
        new = new[rng.choice(len(new), count, replace=False)]
        place = rng.choice(len(self.train), count, replace=False)
        self.train[place] = self._standardised(new)

    def _filled(self) -> tuple[Single, Single, Real, Real]:
        """Spectra about a shift and in a unit near theirs, so that float32 will do."""
        train: list[Single] = []
        held: list[Single] = []
        shift = size = None
        bands = len(self._blocks._good)
        most = max(1, _POOL_BYTES // (4 * max(1, bands)))
        left = self._blocks.spectra * (1 - self._held_share)
        self._share = min(1.0, most / max(1.0, left))
        for number in range(len(self._blocks.blocks)):
            values, draw = self._usable(number)
            self.samples += len(values)
            if not len(values):
                continue
            if shift is None or size is None:
                shift, size = _rough(values)
            kept = draw >= self._held_share
            threshold = self._held_share + self._share * (1 - self._held_share)
            for part, chosen in ((train, kept & (draw < threshold)), (held, ~kept)):
                part.append(_near(values[chosen], shift, size))
        if shift is None or size is None:
            shift, size = np.zeros(bands), np.ones(bands)
        none = [np.empty((0, bands), np.float32)]
        return np.concatenate(train or none), np.concatenate(held or none), shift, size

    def _usable(self, number: int) -> tuple[npt.NDArray[Any], Real]:
        """Spectra of a block with bands enough, and a random number for each."""
        values = self._blocks.read(number)
        draw = np.random.default_rng([self._seed, number]).random(len(values))
        if values.dtype.kind != "f":
            return values, draw
        with np.errstate(all="ignore"):  # NaN and Inf are looked for
            finite = np.isfinite(values)
        missing = finite.shape[1] - np.count_nonzero(finite, axis=1)
        least = finite.shape[1] if self.whole else self._fewest + 1
        use = finite.shape[1] - missing >= min(least, finite.shape[1])
        if self._round == 0:
            self.dropped += int(np.count_nonzero(~use))
        if not use.all():
            values, draw, finite, missing = (
                values[use],
                draw[use],
                finite[use],
                missing[use],
            )
        if missing.any():
            values = np.where(finite, values, np.nan)
        return values, draw

    def _standardise(self, shift: Real, size: Real) -> None:
        self._round = 1  # spectra have been counted
        mean, spread = _mean_and_spread(self.train)
        self.mean = shift + size * mean
        self.scale = size * spread
        with np.errstate(all="ignore"):
            equal = ~(spread > 8 * np.finfo(np.float32).eps * np.abs(mean))
        self.is_equal = equal
        self.scale[equal] = 1.0
        spread = np.where(equal, 1.0, spread)
        for part in (self.train, self.held):
            np.subtract(part, mean.astype(np.float32), out=part)
            np.divide(part, spread.astype(np.float32), out=part)

    def _standardised(self, values: npt.NDArray[Any]) -> Single:
        return _near(values, self.mean, self.scale)


def _near(values: npt.NDArray[Any], shift: Real, size: Real) -> Single:
    """Deviations in a unit, rounded to float32 only once they are small numbers."""
    return ((values.astype(np.float64) - shift) / size).astype(np.float32)


def _rough(values: npt.NDArray[Any]) -> tuple[Real, Real]:
    """Mean and standard deviation of some spectra by band; 0 and 1 if not known."""
    mean, spread = _mean_and_spread(values)
    known = np.isfinite(mean) & np.isfinite(spread) & (spread > 0)
    return np.where(np.isfinite(mean), mean, 0.0), np.where(known, spread, 1.0)


def _mean_and_spread(values: npt.NDArray[Any]) -> tuple[Real, Real]:
    """Mean and standard deviation of what is there, by band; NaN if nothing is."""
    step = max(1, 2**21 // max(1, values.shape[1]))
    parts = [values[k : k + step] for k in range(0, max(1, len(values)), step)]
    count = sum(np.count_nonzero(np.isfinite(part), axis=0) for part in parts)
    with np.errstate(all="ignore"):
        mean = sum(np.nansum(part, axis=0, dtype=np.float64) for part in parts) / count
        square = sum(
            np.nansum((part.astype(np.float64) - mean) ** 2, axis=0) for part in parts
        )
        return np.asarray(mean), np.sqrt(square / count)
