"""Matrices that whiten noise, be it singular, and that colour it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from cubekit import kernels

__all__ = ["noise_roots"]

Array = npt.NDArray[np.float64]

# share of the largest eigenvalue of the noise correlation below which it is no noise
_SINGULAR = 1e-10


def noise_roots(
    covariance: Array, moments: kernels.Moments
) -> tuple[Array, Array, int]:
    """Matrix that whitens noise, its inverse, and the rank of the noise."""
    own, square = np.diag(covariance), moments.mean**2
    variance = np.diag(moments.covariance)
    # a constant band has the variance of rounding: its size is that of its values
    constant = variance <= 4 * np.finfo(np.float64).eps ** 2 * square
    size = np.where(constant, np.where(square > 0, square, 1), variance)
    scale = np.sqrt(np.where(own <= _SINGULAR**2 * size, size, own))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    floor = _SINGULAR * values[-1]
    rank = int(np.count_nonzero(values > floor))
    root = np.sqrt(np.clip(values, floor, None))
    whiten = (vectors / root) @ (vectors.T / scale)
    colour = (scale[:, None] * vectors * root) @ vectors.T
    return whiten, colour, rank
