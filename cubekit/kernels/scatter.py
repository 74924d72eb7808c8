"""Mean and scatter of spectra in one pass, exact whatever the offset and the chunks.

Each block of spectra is centred close to its own mean before it is multiplied with
itself, so that no large numbers cancel, and the parts are pooled in float64. Blocks are
cut and pooled in an order that depends on the array alone: never on threads, processes
or machines.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit.kernels.chunked import filled, thread_count
from cubekit.kernels.deviations import Deviations, column_sums, whole_loops
from cubekit.kernels.layout import memory_order, result_dtype
from cubekit.kernels.pooling import Moments, merge, pooled_mean, pooled_scatter
from cubekit.kernels.products import gram, product
from cubekit.kernels.sharing import shared_out
from cubekit.kernels.tree import fold_chunks

__all__ = ["array_moments", "moments"]

Array = npt.NDArray[Any]
Real = npt.NDArray[np.float64]
Block = tuple[slice, slice]

# samples x bands of a block, and samples: measured best where a block stays in cache
_BLOCK = 2**20
_SPECTRA = (4096, 65536)
# less in a chunk, which has others beside it in memory
_BLOCK_OF_A_CHUNK = 2**17
# a block is shifted by the mean of the first of so many parts of it
_PARTS = 8
# multiplications from which products of float32 data are float32: their errors average
# out over so many blocks, and float64 takes twice as long
_FLOAT32_WORK = 2**30
_FLOAT32_RANGE = (1e-20, 1e30)
# bands below which the sums of images come with their products, in one go over a block
_FEW = 32
# blocks whose sums are kept apart, whatever the number of threads
_BLOCKS_A_RUN = 8


def moments(
    x: Array | da.Array,
    axis: int,
    keep: npt.NDArray[np.intp] | None = None,
    weights: Array | da.Array | None = None,
) -> Moments:
    """Compute the moments of the spectra along one axis.

    Parameters
    ----------
    x : NumPy or Dask array, (..., n, ...)
        Real numbers; any chunks, along `axis` too. Each chunk is read once.
    axis : int
        The axis of the bands.
    keep : array of int, optional
        Bands to take, all if not given.
    weights : array, (..., ...), optional
        Weight of each spectrum, the shape of `x` without `axis`; not negative.

    Returns
    -------
    Moments
        Of the spectra that have every band (no NaN or Inf) and a positive weight.
    """
    if isinstance(x, da.Array):
        others = tuple(c for k, c in enumerate(x.chunks) if k != axis)
        weighed = None if weights is None else da.asarray(weights).rechunk(others)
        return fold_chunks(
            filled(x), axis, _chunk_moments, merge, argument=keep, beside=weighed
        )
    if weights is not None:
        weights = np.asarray(weights)
    return array_moments(x, axis, keep, weights, threads=thread_count())


def array_moments(
    x: Array,
    axis: int,
    keep: npt.NDArray[np.intp] | None,
    weights: Array | None,
    dtype: npt.DTypeLike | None = None,
    *,
    threads: int = 1,
) -> Moments:
    """Moments of a NumPy array, or in `dtype` of a chunk, beside which are others."""
    # work in the order of memory, so that no layout needs a transposed copy
    order = memory_order(x)
    ordered = x.transpose(order)
    at = order.index(axis)
    shape = ordered.shape
    flat = ordered.reshape(math.prod(shape[:at]), shape[at], math.prod(shape[at + 1 :]))
    if weights is not None:
        samples = [k - (k > axis) for k in order if k != axis]
        weights = weights.transpose(samples).reshape(flat.shape[0], flat.shape[2])
    bands = flat.shape[1] if keep is None else len(keep)
    is_chunk = dtype is not None
    if dtype is None:
        large = flat.shape[0] * flat.shape[2] * bands**2 > _FLOAT32_WORK
        dtype = result_dtype(x.dtype) if large else np.float64
    least, most = _SPECTRA
    size = max(least, min(most, _BLOCK // max(1, bands)))
    if is_chunk:
        size = max(256, min(size, _BLOCK_OF_A_CHUNK // max(1, bands)))
    size = whole_loops(size, bands)
    size = min(size, max(1, flat.shape[0] * flat.shape[2]))
    work = _Work(Deviations(flat, keep, np.dtype(dtype), size), weights)
    return merge(shared_out(work.run, work.runs(), threads))


class _Part(NamedTuple):
    """A block: its whole spectra, their shift, mean beyond it and product."""

    samples: int
    weight: float
    squares: float  # sum of squared weights
    shift: Array | float  # (band,)
    rest: Array | float  # (band,)
    product: Array | float  # (band, band)
    dropped: int = 0
    missing: npt.NDArray[np.int64] | int = 0  # (band,)


class _Work:
    """Moments over blocks of deviations."""

    def __init__(self, apart: Deviations, weights: Array | None) -> None:
        self.apart, self.weights = apart, weights
        self.dtype = apart.dtype

    def runs(self) -> list[list[Block]]:
        blocks = self.apart.blocks()
        edges = range(0, max(len(blocks), 1), _BLOCKS_A_RUN)
        return [blocks[k : k + _BLOCKS_A_RUN] for k in edges]

    def run(self, blocks: list[Block]) -> Moments:
        bands = self.apart.bands
        samples, dropped, squares = 0, 0, 0.0
        missing = np.zeros(bands, np.int64)
        scatter = np.zeros((bands, bands))
        means, rests = np.zeros((2, len(blocks), bands))
        weight = np.zeros(len(blocks))
        with np.errstate(all="ignore"):  # NaN and Inf are looked for, not warned of
            for k, block in enumerate(blocks):
                part = self._whole(block) or self._with_gaps(block)
                samples += part.samples
                dropped += part.dropped
                missing += part.missing
                squares += part.squares
                weight[k], means[k], rests[k] = part.weight, part.shift, part.rest
                scatter += part.product
        scatter -= pooled_scatter(rests, weight)
        means += rests
        mean = pooled_mean(means, weight)
        scatter += pooled_scatter(means - mean, weight)
        return Moments(
            samples,
            dropped,
            float(weight.sum()),
            float(squares),
            mean,
            scatter,
            missing,
            float(np.finfo(self.dtype).eps),
        )

    def _whole(self, block: Block) -> _Part | None:
        """Part of a block of spectra that weigh alike; None if there are gaps.

        The block is read once, as its shift is the mean of its first spectra. That is
        no further from the mean of all than the root of ``_PARTS - 1`` variances
        (inequality of Cauchy and Schwarz), so that less than a digit cancels.
        """
        if self.weights is not None:
            return None
        start = self.apart.copy(_first(block))
        shift = column_sums(start) / self.dtype.type(len(start))
        part = self.apart.less(block, shift)
        count = len(part)
        if self.apart.images and self.apart.bands < _FEW:
            sums_last = product(self.apart.beside_ones(part), part)
            products, rest = sums_last[:-1], sums_last[-1] / self.dtype.type(count)
            if not np.isfinite(rest).all():
                return None
        else:
            rest = column_sums(part) / self.dtype.type(count)
            if not np.isfinite(rest).all():
                return None
            products = gram(part)
        if not self._in_range(products):
            return None
        return _Part(count, count, count, shift, rest, products)

    def _with_gaps(self, block: Block) -> _Part:
        """Part of a block of which some spectra may not count, or more than others."""
        part = self.apart.copy(block)
        given = None if self.weights is None else self.weights[block].ravel()
        size = len(part)
        part, given, gaps = _complete(part, given)
        dropped = size - len(part)
        if not len(part):
            return _Part(0, 0.0, 0.0, 0.0, 0.0, 0.0, dropped, gaps)
        weight = len(part) if given is None else float(given.sum())
        squares = len(part) if given is None else float(given @ given)
        found = _centred_product(part, given, weight)
        if not self._in_range(found[2]):
            found = _centred_product(part.astype(np.float64), given, weight)
        return _Part(len(part), weight, squares, *found, dropped, gaps)

    def _in_range(self, product: Array) -> bool:
        """Whether products of float32 neither overflowed nor vanished."""
        least, most = _FLOAT32_RANGE
        return self.dtype != np.float32 or bool(least < np.trace(product) < most)


def _first(block: Block) -> Block:
    """Part of a block: the first of `_PARTS` along its longer side."""
    b, p = block
    if b.stop - b.start < p.stop - p.start:
        return b, slice(p.start, p.start - (p.start - p.stop) // _PARTS)
    return slice(b.start, b.start - (b.start - b.stop) // _PARTS), p


def _complete(
    part: Array, weights: Array | None
) -> tuple[Array, Real | None, npt.NDArray[np.intp]]:
    """Spectra with every band and a weight, their weights, and the gaps by band."""
    finite = np.isfinite(part)
    use = finite.all(axis=1)
    gaps = np.count_nonzero(~finite, axis=0)
    if weights is not None:
        weights = weights.astype(np.float64)
        _require_weights(weights)
        use &= weights > 0
        weights = weights[use]
    columns = abs(part.strides[0]) < abs(part.strides[1])  # keep the order of memory
    return part.T[:, use].T if columns else part[use], weights, gaps


def _require_weights(weights: npt.NDArray[np.float64]) -> None:
    if not (np.isfinite(weights) & (weights >= 0)).all():
        bad = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise ValueError(
            f"weights hold {bad:g}. A weight says how much a spectrum counts, from 0 "
            "on. Give 0 where a spectrum must not count: weights.fillna(0).clip(0)."
        )


def _centred_product(
    part: Array, weights: npt.NDArray[np.float64] | None, weight: float
) -> tuple[Array, Array, Array]:
    """Mean of a block, what rounding left of it, and the product of deviations."""
    shift = _average(part, weights, weight)
    part = part - shift
    rest = _average(part, weights, weight)
    if weights is not None:
        part *= np.sqrt(weights).astype(part.dtype)[:, None]
    return shift, rest, gram(part)


def _average(
    part: Array, weights: npt.NDArray[np.float64] | None, weight: float
) -> Array:
    """Mean of spectra; by einsum if weighted, since BLAS may start threads."""
    if weights is None:
        mean: Array = part.sum(axis=0) / part.dtype.type(weight)
        return mean
    share = (weights / weight).astype(part.dtype)
    weighted: Array = np.einsum("n,nb->b", share, part)
    return weighted


def _chunk_moments(
    x: Array,
    axis: int,
    keep: npt.NDArray[np.intp] | None,
    weights: Array | None = None,
) -> Moments:
    return array_moments(x, axis, keep, weights, np.float64)
