"""Mean and scatter of spectra in one pass, exact whatever the offset and the chunks.

Each block of spectra is centred on its own mean before it is multiplied with itself,
so that no large numbers cancel, and the parts are merged in float64 by the formula of
Chan, Golub and LeVeque [1]_. Blocks are cut and merged in an order that depends on the
array alone: never on threads, processes or machines.

.. [1] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983), Am. Stat. 37, 242-247.
"""

from __future__ import annotations

import concurrent.futures
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit.kernels.chunked import filled, thread_count
from cubekit.kernels.layout import memory_order, result_dtype
from cubekit.kernels.products import gram
from cubekit.kernels.tree import fold_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Moments", "merge", "moments"]

Array = npt.NDArray[Any]
Block = tuple[slice, slice]

# samples x bands of a block: measured best where block and product stay in cache
_BLOCK = 2**20
_SPECTRA = (512, 4096)
# multiplications from which products of float32 data are float32: their errors average
# out over so many blocks, and float64 takes twice as long
_FLOAT32_WORK = 2**30
_FLOAT32_RANGE = (1e-20, 1e30)
# blocks whose sums are kept apart, whatever the number of threads
_BLOCKS_A_RUN = 16
# pixels in a row from which a block is a stack of images, not of spectra
_PIXELS = 64


class Moments(NamedTuple):
    """Mean and scatter of spectra, and how many there were.

    ``scatter[i, j]`` is the sum of ``weight * (x[i] - mean[i]) * (x[j] - mean[j])``.
    """

    samples: int
    dropped: int  # spectra left out, for a missing band or no weight
    weight: float  # sum of weights
    squares: float  # sum of squared weights
    mean: npt.NDArray[np.float64]  # (band,)
    scatter: npt.NDArray[np.float64]  # (band, band)
    missing: npt.NDArray[np.int64]  # (band,), spectra that miss it
    epsilon: float  # relative rounding of the products
    rounding: float = 0.0  # and of the data

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """Unbiased covariance (`numpy.cov` with ``aweights``); 0 of a single sample."""
        if not self.freedom:
            return np.zeros_like(self.scatter)
        return (self.scatter + self.scatter.T) / (2 * self.freedom)

    @property
    def freedom(self) -> float:
        """Degrees of freedom: the number of spectra less one, if all weigh the same."""
        free = self.weight - self.squares / self.weight if self.weight else 0.0
        return max(free, 0.0)

    @property
    def effective_samples(self) -> float:
        """Number of spectra of equal weight that would tell as much."""
        return self.weight**2 / self.squares if self.squares else 0.0

    def take(self, keep: npt.NDArray[np.intp]) -> Moments:
        """Moments of some of the bands, or of all in another order."""
        return self._replace(
            mean=self.mean[keep],
            scatter=self.scatter[np.ix_(keep, keep)],
            missing=self.missing[keep],
        )


def merge(parts: Sequence[Moments]) -> Moments:
    """Moments of all the spectra of several parts."""
    used = [part for part in parts if part.samples] or list(parts[:1])
    weight = np.array([part.weight for part in used])
    mean = _mean(np.stack([part.mean for part in used]), weight)
    scatter = np.zeros_like(parts[0].scatter)
    for part in used:
        scatter += part.scatter
    scatter += _scatter(np.stack([part.mean for part in used]) - mean, weight)
    return Moments(
        sum(part.samples for part in parts),
        sum(part.dropped for part in parts),
        float(weight.sum()),
        float(sum(part.squares for part in used)),
        mean,
        scatter,
        np.sum([part.missing for part in parts], axis=0),
        max(part.epsilon for part in parts),
        max(part.rounding for part in parts),
    )


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
    """Moments of a NumPy array; products in `dtype`, chosen by size if None."""
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
    if dtype is None:
        large = flat.shape[0] * flat.shape[2] * bands**2 > _FLOAT32_WORK
        dtype = result_dtype(x.dtype) if large else np.float64
    work = _Work(flat, keep, weights, bands, np.dtype(dtype))
    runs = work.runs()
    if min(threads, len(runs)) <= 1:
        return merge([work.run(run) for run in runs])
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return merge(list(pool.map(work.run, runs)))


class _Work:
    """Moments of x (before, n, after) over blocks, each a matrix (spectrum, band)."""

    def __init__(
        self,
        x: Array,
        keep: npt.NDArray[np.intp] | None,
        weights: Array | None,
        bands: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.x, self.keep, self.weights = x, keep, weights
        self.bands, self.dtype = bands, dtype
        self.images = x.shape[2] >= _PIXELS

    def runs(self) -> list[list[Block]]:
        blocks = self.blocks()
        edges = range(0, max(len(blocks), 1), _BLOCKS_A_RUN)
        return [blocks[k : k + _BLOCKS_A_RUN] for k in edges]

    def blocks(self) -> list[Block]:
        before, _, after = self.x.shape
        least, most = _SPECTRA
        size = max(least, min(most, _BLOCK // max(1, self.bands)))
        group = max(1, size // max(1, after))
        return [
            (slice(b, min(b + group, before)), slice(p, min(p + size, after)))
            for b in range(0, before, group)
            for p in range(0, after, size)
        ]

    def run(self, blocks: list[Block]) -> Moments:
        samples, dropped, squares = 0, 0, 0.0
        missing = np.zeros(self.bands, np.int64)
        scatter = np.zeros((self.bands, self.bands))
        means, rests = np.zeros((2, len(blocks), self.bands))
        weight = np.zeros(len(blocks))
        with np.errstate(all="ignore"):  # NaN and Inf are looked for, not warned of
            for k, block in enumerate(blocks):
                part = self._part(block, self.dtype)
                given = None if self.weights is None else self.weights[block].ravel()
                size = len(part)
                part, given, gaps = _complete(part, given)
                if gaps is not None:
                    missing += gaps
                dropped += size - len(part)
                samples += len(part)
                if not len(part):
                    continue
                weight[k] = len(part) if given is None else given.sum()
                squares += len(part) if given is None else float(given @ given)
                shift, rests[k], product = _centred_product(part, given, weight[k])
                if part.dtype == np.float32 and not _in_range(product):
                    part = part.astype(np.float64)
                    shift, rests[k], product = _centred_product(part, given, weight[k])
                means[k] = shift
                scatter += product
        scatter -= _scatter(rests, weight)
        means += rests
        mean = _mean(means, weight)
        scatter += _scatter(means - mean, weight)
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

    def _part(self, block: Block, dtype: npt.DTypeLike) -> Array:
        """Block as (spectrum, band) in the order of memory; a view if possible."""
        x = self.x[block[0], :, block[1]]
        if self.keep is not None:
            x = x[:, self.keep]
        if self.images:
            part = x.transpose(1, 0, 2).reshape(x.shape[1], -1).T
        else:
            part = x.transpose(0, 2, 1).reshape(-1, x.shape[1])
        return part.astype(dtype, order="K", copy=False)


def _complete(
    part: Array, weights: Array | None
) -> tuple[Array, npt.NDArray[np.float64] | None, npt.NDArray[np.int64] | None]:
    """Spectra with every band and a weight, their weights, and the gaps by band."""
    if weights is None and np.isfinite(part.sum(axis=0)).all():
        return part, None, None
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


def _in_range(product: Array) -> bool:
    """Whether products of float32 neither overflowed nor vanished."""
    least, most = _FLOAT32_RANGE
    return bool(least < np.trace(product) < most)


def _mean(
    means: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weighted mean of means, about the heaviest of them so that no digit is lost."""
    total = weight.sum()
    if not total:
        return np.full(means.shape[1], np.nan)
    start = means[weight.argmax()]
    mean: npt.NDArray[np.float64] = start + (weight / total) @ (means - start)
    return mean


def _scatter(
    apart: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum of the products of deviations (part, band), weighted."""
    apart = np.sqrt(weight)[:, None] * np.where(weight[:, None] > 0, apart, 0)
    return gram(apart)


def _chunk_moments(
    x: Array,
    axis: int,
    keep: npt.NDArray[np.intp] | None,
    weights: Array | None = None,
) -> Moments:
    return array_moments(x, axis, keep, weights, np.float64)
