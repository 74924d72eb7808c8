"""Noise of spectra from the differences of neighbours, in the pass of the moments.

The difference of two neighbours has twice the covariance of the noise, if the signal is
smooth and the noise is not; signs are kept, so that correlated noise stays correlated.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit.kernels.chunked import filled
from cubekit.kernels.layout import result_dtype
from cubekit.kernels.pooling import Moments, merge
from cubekit.kernels.scatter import array_moments
from cubekit.kernels.tree import fold_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Neighbours", "Noise", "neighbours"]

Array = npt.NDArray[Any]
_SLAB = 2**20  # values differenced at a time


class Noise(NamedTuple):
    """Covariance of noise, and what it was estimated from."""

    covariance: npt.NDArray[np.float64]  # (band, band)
    freedom: float  # degrees of freedom
    duplicates: float = 0.0  # pairs left out, as they were equal in every band

    def take(self, keep: npt.NDArray[np.intp]) -> Noise:
        """Noise of some of the bands, or of all in another order."""
        return self._replace(covariance=self.covariance[np.ix_(keep, keep)])

    def merge(self, other: Noise) -> Noise:
        """Noise of the pairs of both."""
        freedom = self.freedom + other.freedom
        share = self.freedom / freedom if freedom else 0.5
        return Noise(
            share * self.covariance + (1 - share) * other.covariance,
            freedom,
            self.duplicates + other.duplicates,
        )


class Neighbours(NamedTuple):
    """Moments of spectra, and of the differences of neighbours in each direction."""

    data: Moments
    differences: tuple[Moments, ...]
    duplicates: int

    @property
    def noise(self) -> Noise:
        """Half the covariance of the differences, each direction about its mean."""
        freedom = sum(part.freedom for part in self.differences)
        scatter = np.sum([part.scatter for part in self.differences], axis=0)
        covariance = (scatter + scatter.T) / (4 * freedom) if freedom else 0 * scatter
        return Noise(covariance, freedom, float(self.duplicates))


def neighbours(
    x: Array | da.Array,
    axis: int,
    along: Sequence[int],
    keep: npt.NDArray[np.intp] | None = None,
) -> Neighbours:
    """Compute moments of spectra and of the differences of neighbours.

    Parameters
    ----------
    x : NumPy or Dask array, (..., n, ...)
        Real numbers; any chunks. Each chunk is read once: of the next one only the
        first samples are handed on.
    axis : int
        The axis of the bands.
    along : sequence of int
        Axes along which neighbours are compared.
    keep : array of int, optional
        Bands to take, all if not given.

    Returns
    -------
    Neighbours
        Of spectra and pairs that have every band; pairs that are equal in every band
        are counted, and left out.
    """
    if isinstance(x, da.Array):
        return fold_chunks(
            filled(x), axis, _leaf, _merged, argument=(keep, tuple(along)), along=along
        )
    return _leaf(x, axis, (keep, tuple(along)), *(None for _ in along))


def _leaf(
    x: Array,
    axis: int,
    argument: tuple[npt.NDArray[np.intp] | None, tuple[int, ...]],
    *edges: Array | None,
) -> Neighbours:
    keep, along = argument
    data = array_moments(x, axis, keep, None, np.float64)
    duplicates = 0
    differences = []
    for direction, edge in zip(along, edges, strict=True):
        parts = []
        for low, high in _pairs(x, axis, direction, edge):
            with np.errstate(invalid="ignore"):  # Inf less Inf is left out as NaN is
                apart = np.subtract(
                    high, low, dtype=result_dtype(x.dtype), casting="unsafe"
                )
            if keep is not None:
                apart = apart.take(keep, axis)
            equal = ~apart.any(axis=axis, keepdims=True)
            duplicates += int(np.count_nonzero(equal))
            if equal.any():
                apart = np.where(equal, np.nan, apart)
            parts.append(array_moments(apart, axis, None, None, np.float64))
        differences.append(merge(parts))
    return Neighbours(data, tuple(differences), duplicates)


def _pairs(
    x: Array, axis: int, direction: int, edge: Array | None
) -> list[tuple[Array, Array]]:
    """Views of neighbours, slab by slab, and those beyond the edge of a chunk."""

    def cut(array: Array, at: int, part: slice) -> Array:
        return array[(slice(None),) * at + (part,)]

    low, high = cut(x, direction, slice(-1)), cut(x, direction, slice(1, None))
    slab = 0 if axis else 1  # the first axis of samples
    size = max(1, _SLAB * low.shape[slab] // max(low.size, 1))
    edges = itertools.pairwise([*range(0, low.shape[slab], size), low.shape[slab]])
    parts = [
        (cut(low, slab, slice(a, b)), cut(high, slab, slice(a, b))) for a, b in edges
    ]
    if edge is not None:
        parts.append((cut(x, direction, slice(-1, None)), edge))
    return parts or [(low, high)]


def _merged(parts: Sequence[Neighbours]) -> Neighbours:
    return Neighbours(
        merge([part.data for part in parts]),
        tuple(map(merge, zip(*(part.differences for part in parts), strict=True))),
        sum(part.duplicates for part in parts),
    )
