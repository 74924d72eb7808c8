"""Components by signal-to-noise: noise is whitened, be it singular, then rotated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.reduction.decomposition import with_signs
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from cubekit.kernels import Moments, Noise
    from cubekit.reduction.projection import Projection

__all__ = ["whitened_found"]

Array = npt.NDArray[np.float64]

# share of the largest eigenvalue of the noise correlation below which it is no noise
_SINGULAR = 1e-10
# share of equal neighbours from which they are said
_DUPLICATES = 0.001


def whitened_found(
    template: Projection, moments: Moments, noise: Noise, asked: int | None
) -> dict[str, Any]:
    """Fitted arrays of the components of the highest signal-to-noise."""
    whiten, colour, rank = _noise_roots(noise.covariance, moments)
    duplicates = _share_of_equal(noise)
    _warn_of_noise(rank, len(template.good), duplicates)
    values, vectors = np.linalg.eigh(whiten @ moments.covariance @ whiten.T)
    values = np.clip(values[::-1], 0, None)[:asked]
    vectors = vectors[:, ::-1][:, :asked]
    ascending = np.argsort(np.argsort(template.axis.values))[template.good]
    patterns = (colour @ vectors).T
    signs = np.sign(np.sum(with_signs(patterns, ascending) * patterns, axis=1))
    on_axis = template.on_axis
    return {
        "components": on_axis(signs[:, None] * (vectors.T @ whiten), 0.0),
        "patterns": on_axis(signs[:, None] * patterns, 0.0),
        "mean": on_axis(moments.mean),
        "explained_variance": values,
        "snr": np.clip(values - 1, 0, None),
        "noise_covariance": on_axis(on_axis(noise.covariance).T),
        "noise_rank": rank,
        "noise_freedom": noise.freedom,
        "noise_pairs_equal": noise.duplicates,
        "duplicates": duplicates,
        "n_samples": moments.samples,
        "n_dropped": moments.dropped,
    }


def _noise_roots(covariance: Array, moments: Moments) -> tuple[Array, Array, int]:
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


def _share_of_equal(noise: Noise) -> float:
    pairs = noise.freedom + noise.duplicates
    return noise.duplicates / pairs if pairs else 0.0


def _warn_of_noise(rank: int, bands: int, duplicates: float) -> None:
    """Warn of noise that is singular, and of neighbours that tell nothing of it."""
    if rank < bands:
        warn_caller(
            f"MNF: the noise covariance has rank {rank} of {bands}: directions "
            "without noise are given a little, and their signal-to-noise means "
            "nothing but that it is high. Mark dead bands as bad in 'good_band'"
        )
    if duplicates > _DUPLICATES:
        warn_caller(
            f"MNF: {duplicates:.1%} of neighbouring spectra are equal in every "
            "band, as after nearest-neighbour resampling; they are left out of the "
            "noise. Estimate it before resampling if you can"
        )
