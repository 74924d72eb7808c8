"""Principal directions of a covariance: their order, signs, rank and separation."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from cubekit.kernels import Moments

__all__ = [
    "number_kept",
    "numerical_rank",
    "principal",
    "separation",
    "with_signs",
]

Array = npt.NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
# part of the rounding of a product that is left in a sum over many blocks
_LEFT_OF_ROUNDING = 0.1


def principal(covariance: Array) -> tuple[Array, Array]:
    """Variances, falling and not below zero, and directions (component, band)."""
    values, vectors = np.linalg.eigh(covariance)
    return np.clip(values[::-1], 0, None), vectors[:, ::-1].T


def with_signs(vectors: Array, rank: npt.NDArray[np.intp]) -> Array:
    """Directions (component, band) with the sign that a fixed functional gives them.

    The weights are positive and irregular, and depend only on the rank of a band on the
    ascending axis: a direction of one sign comes out positive, no symmetric pattern is
    left undecided, and neither chunks nor the direction of the axis can turn a sign.
    """
    golden = (np.sqrt(5) - 1) / 2
    weights = 0.5 + (golden * (rank + 1)) % 1
    turned: Array = np.where((vectors @ weights < 0)[:, None], -vectors, vectors)
    return turned


def separation(values: Array, effective_samples: float) -> Array:
    """Gap to the nearest eigenvalue, in sampling errors of the eigenvalue [1]_.

    Below 1 the sample cannot tell the two directions apart: any rotation of them is as
    good.

    .. [1] North, G. R. et al. (1982), Mon. Weather Rev. 110, 699-706.
    """
    if len(values) < 2:
        return np.full(len(values), np.inf)
    below = np.append(values[:-1] - values[1:], np.inf)
    gap = np.minimum(below, np.append(np.inf, below[:-1]))
    error = values * np.sqrt(2 / effective_samples)
    apart: Array = np.divide(gap, error, out=np.zeros_like(gap), where=error > 0)
    return apart


def numerical_rank(values: Array, moments: Moments) -> int:
    """Number of variances above what rounding makes of the products and of the data."""
    products = max(len(values) * _EPS, _LEFT_OF_ROUNDING * moments.epsilon)
    square = moments.mean**2 + np.diag(moments.covariance)
    floor = max(products * values[0], moments.rounding**2 / 3 * square.max())
    return int(np.count_nonzero(values > floor))


def number_kept(asked: Any, values: Array, rank: int) -> int:
    """Number of components for what was asked: a number, a share of variance, all."""
    if asked is None:
        return max(rank, 1)
    if isinstance(asked, numbers.Integral):
        return int(asked)
    share = np.cumsum(values[:rank]) / (values.sum() or 1)
    return min(int(np.searchsorted(share, asked)) + 1, max(rank, 1))
