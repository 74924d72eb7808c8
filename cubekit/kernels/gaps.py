"""Spectra with missing bands under a linear model: their scores, and what they tell.

A spectrum with bands O under the model x = mean + W z has the scores that solve
``(W_O' W_O + ridge) z = W_O' (x_O - mean_O)``. The matrices of all spectra of a block
are one product of the mask with the outer products of the rows of W: there is no loop
over spectra, nor over patterns of gaps.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit.kernels.chunked import filled
from cubekit.kernels.layout import result_dtype
from cubekit.kernels.pieces import whole_along
from cubekit.kernels.products import product
from cubekit.kernels.tree import fold_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Latent", "LatentSums", "expect", "solve"]

Array = npt.NDArray[Any]
Real = npt.NDArray[np.float64]

_BLOCK = 2**21  # samples x (bands + entries of a matrix) worked on at a time
# scores that so small a share of the weights determines are not known
_DETERMINED = 1e-8


@dataclasses.dataclass(frozen=True, eq=False)
class Latent:
    """Linear model of the spectra of some bands: x = mean + weights z + noise."""

    keep: npt.NDArray[np.intp]  # bands of the array
    mean: Real  # (band,)
    weights: Real  # (band, component)
    noise: float = 0.0  # variance


class LatentSums(NamedTuple):
    """Sums over spectra of what they are expected to be under a model."""

    samples: int
    dropped: int  # spectra without any value
    values: int
    likelihood: float  # logarithm
    scores: Real  # (band, component + 1, component + 1), of [z, 1] [z, 1]'
    products: Real  # (band, component + 1), of x [z, 1]
    squares: Real  # (band,), of x
    latent: Real  # (component + 1, component + 1), of [z, 1] [z, 1]' of all spectra


def solve(x: Array | da.Array, axis: int, model: Latent) -> Array | da.Array:
    """Scores of spectra by least squares on the bands they have.

    Parameters
    ----------
    x : NumPy or Dask array, (..., n, ...)
        Real numbers; any chunks.
    axis : int
        The axis of the bands, where the components come.
    model : Latent

    Returns
    -------
    array, (..., component, ...)
        NaN where the bands of a spectrum do not determine its scores.
    """
    dtype = result_dtype(x.dtype)
    if not isinstance(x, da.Array):
        return _solve(x, axis, model)
    whole = whole_along(filled(x), [axis], "PCA.transform")
    count = model.weights.shape[1]
    chunks = (*whole.chunks[:axis], (count,), *whole.chunks[axis + 1 :])
    scores: da.Array = da.map_blocks(
        _solve,
        whole,
        axis=axis,
        model=model,
        chunks=chunks,
        dtype=dtype,
        meta=np.empty((0,) * x.ndim, dtype),
    )
    return scores


def expect(x: Array | da.Array, axis: int, model: Latent) -> LatentSums:
    """Sums over all spectra for one step of expectation maximisation.

    Parameters
    ----------
    x : NumPy or Dask array, (..., n, ...)
        Real numbers; any chunks. Each chunk is read once.
    axis : int
        The axis of the bands.
    model : Latent
        With noise.

    Returns
    -------
    LatentSums
        Of deviations from ``model.mean``.
    """
    if isinstance(x, da.Array):
        return fold_chunks(filled(x), axis, _expect, _added, argument=model)
    return _expect(x, axis, model)


def _solve(x: Array, axis: int, model: Latent) -> Array:
    moved = np.moveaxis(x, axis, -1)
    count = model.weights.shape[1]
    scores = np.empty((*moved.shape[:-1], count), result_dtype(x.dtype))
    flat = scores.reshape(-1, count)
    for part, block in _blocks(moved, model):
        apart, valid = _deviations(block, model)
        matrices = _matrices(valid, model)
        values, vectors = np.linalg.eigh(matrices)
        known = values[:, 0] > _DETERMINED * np.maximum(values[:, -1], 1e-300)
        inverse = np.divide(1, values, out=np.zeros_like(values), where=known[:, None])
        right = np.einsum("nji,nj->ni", vectors, apart @ model.weights)
        found = np.einsum("nij,nj->ni", vectors, inverse * right)
        flat[part] = np.where(known[:, None], found, np.nan)
    return np.moveaxis(scores, -1, axis)


def _expect(x: Array, axis: int, model: Latent) -> LatentSums:
    moved = np.moveaxis(x, axis, -1)
    return _added(
        [_expect_block(block, model) for _, block in _blocks(moved, model)]
        or [_expect_block(np.empty((0, len(model.keep))), model)]
    )


def _expect_block(block: Array, model: Latent) -> LatentSums:
    apart, valid = _deviations(block, model)
    some = valid.any(axis=1)
    dropped = some.size - int(np.count_nonzero(some))
    apart, valid = apart[some], valid[some]
    bands, count = model.weights.shape
    matrices = _matrices(valid, model)
    matrices += model.noise * np.eye(count)
    right = apart @ model.weights
    inverse = np.linalg.inv(matrices)
    scores = np.einsum("nij,nj->ni", inverse, right)
    observed = np.count_nonzero(valid, axis=1)
    rest = np.einsum("nb,nb->n", apart, apart) - np.einsum("ni,ni->n", right, scores)
    likelihood = -0.5 * np.sum(
        observed * np.log(2 * np.pi)
        + (observed - count) * np.log(model.noise)
        + np.linalg.slogdet(matrices)[1]
        + rest / model.noise
    )
    with_one = np.concatenate([scores, np.ones((len(scores), 1))], axis=1)
    outer = with_one[:, :, None] * with_one[:, None, :]
    outer[:, :count, :count] += model.noise * inverse
    sums = product(
        valid.astype(np.float64), outer.reshape(len(outer), (count + 1) ** 2)
    )
    return LatentSums(
        len(apart),
        dropped,
        int(observed.sum()),
        float(likelihood),
        sums.reshape(bands, count + 1, count + 1),
        product(apart, with_one),
        np.einsum("nb,nb->b", apart, apart),
        outer.sum(axis=0),
    )


def _added(parts: Sequence[LatentSums]) -> LatentSums:
    return LatentSums(*(sum(numbers) for numbers in zip(*parts, strict=True)))


def _blocks(moved: Array, model: Latent) -> Iterator[tuple[slice, Array]]:
    """Blocks of spectra (spectrum, band), and their places."""
    flat = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
    size = max(1, _BLOCK // (len(model.keep) + (model.weights.shape[1] + 1) ** 2))
    for start in range(0, len(flat), size):
        part = slice(start, start + size)
        yield part, flat[part][:, model.keep]


def _deviations(block: Array, model: Latent) -> tuple[Real, npt.NDArray[np.bool_]]:
    """Deviations from the mean, 0 where there is no value, and where there is one."""
    valid = np.isfinite(block)
    apart = np.where(valid, block, 0).astype(np.float64) - model.mean
    apart[~valid] = 0
    return apart, valid


def _matrices(valid: npt.NDArray[np.bool_], model: Latent) -> Real:
    """W_O' W_O of each spectrum, (spectrum, component, component)."""
    bands, count = model.weights.shape
    outer = model.weights[:, :, None] * model.weights[:, None, :]
    found: Real = valid.astype(np.float64) @ outer.reshape(bands, count**2)
    return found.reshape(-1, count, count)
