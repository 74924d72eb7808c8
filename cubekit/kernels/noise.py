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
from cubekit.kernels.tree import fold_chunks_and_seams

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Neighbours", "Noise", "neighbours"]

Array = npt.NDArray[Any]
# bands to take, and axes of neighbours
Argument = tuple[npt.NDArray[np.intp] | None, tuple[int, ...]]
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


class Differences(NamedTuple):
    """Moments of the differences of neighbours, and pairs that are equal."""

    moments: Moments
    duplicates: int


class Neighbours(NamedTuple):
    """Moments of spectra, and of the differences of neighbours in each direction."""

    data: Moments
    differences: tuple[Differences, ...]

    @property
    def noise(self) -> Noise:
        """Half the covariance of the differences, each direction about its mean."""
        moments = [part.moments for part in self.differences]
        freedom = sum(part.freedom for part in moments)
        scatter = np.sum([part.scatter for part in moments], axis=0)
        covariance = (scatter + scatter.T) / (4 * freedom) if freedom else 0 * scatter
        duplicates = sum(part.duplicates for part in self.differences)
        return Noise(covariance, freedom, float(duplicates))


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
        Real numbers; any chunks. Each chunk is read once, and hands on its edges.
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
    argument = keep, tuple(along)
    if not isinstance(x, da.Array):
        return _leaf(x, axis, argument)
    inner, seams = fold_chunks_and_seams(
        filled(x),
        axis,
        _leaf,
        _merged,
        seam=_seam,
        merge_seams=_joined,
        along=along,
        argument=argument,
    )
    differences = [
        part if seam is None else _joined([part, seam])
        for part, seam in zip(inner.differences, seams, strict=True)
    ]
    return Neighbours(inner.data, tuple(differences))


def _leaf(x: Array, axis: int, argument: Argument) -> Neighbours:
    keep, along = argument
    differences = [
        _joined([_difference(*pair, axis, keep) for pair in _pairs(x, axis, direction)])
        for direction in along
    ]
    data = array_moments(x, axis, keep, None, np.float64)
    return Neighbours(data, tuple(differences))


def _seam(low: Array, high: Array, axis: int, argument: Argument) -> Differences:
    """Differences of the last samples of a chunk and the first of the next."""
    return _difference(low, high, axis, argument[0])


def _difference(
    low: Array, high: Array, axis: int, keep: npt.NDArray[np.intp] | None
) -> Differences:
    with np.errstate(invalid="ignore"):  # Inf less Inf is left out as NaN is
        apart = np.subtract(high, low, dtype=result_dtype(low.dtype), casting="unsafe")
    if keep is not None and len(keep) < apart.shape[axis]:
        apart = apart.take(keep, axis)
    equal = ~apart.any(axis=axis, keepdims=True)
    if equal.any():
        np.copyto(apart, np.nan, where=equal)
    moments = array_moments(apart, axis, None, None, np.float64)
    return Differences(moments, int(np.count_nonzero(equal)))


def _pairs(x: Array, axis: int, direction: int) -> list[tuple[Array, Array]]:
    """Views of neighbours, slab by slab."""

    def cut(array: Array, at: int, part: slice) -> Array:
        return array[(slice(None),) * at + (part,)]

    low, high = cut(x, direction, slice(-1)), cut(x, direction, slice(1, None))
    slab = 0 if axis else 1  # the first axis of samples
    size = max(1, _SLAB * low.shape[slab] // max(low.size, 1))
    edges = itertools.pairwise([*range(0, low.shape[slab], size), low.shape[slab]])
    parts = [
        (cut(low, slab, slice(a, b)), cut(high, slab, slice(a, b))) for a, b in edges
    ]
    return parts or [(low, high)]


def _joined(parts: Sequence[Differences]) -> Differences:
    return Differences(
        merge([part.moments for part in parts]), sum(part.duplicates for part in parts)
    )


def _merged(parts: Sequence[Neighbours]) -> Neighbours:
    return Neighbours(
        merge([part.data for part in parts]),
        tuple(map(_joined, zip(*(part.differences for part in parts), strict=True))),
    )
