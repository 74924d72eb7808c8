"""Moments of spectra, and how those of parts are pooled in float64.

Parts are pooled by the formula of Chan, Golub and LeVeque [1]_: no large numbers
cancel, whatever the offsets of the parts.

.. [1] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983), Am. Stat. 37, 242-247.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.kernels.products import gram

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Moments", "merge", "pooled_mean", "pooled_scatter"]


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
    mean = pooled_mean(np.stack([part.mean for part in used]), weight)
    scatter = np.zeros_like(parts[0].scatter)
    for part in used:
        scatter += part.scatter
    scatter += pooled_scatter(np.stack([part.mean for part in used]) - mean, weight)
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


def pooled_mean(
    means: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weighted mean of means, about the heaviest of them so that no digit is lost."""
    total = weight.sum()
    if not total:
        return np.full(means.shape[1], np.nan)
    start = means[weight.argmax()]
    mean: npt.NDArray[np.float64] = start + (weight / total) @ (means - start)
    return mean


def pooled_scatter(
    apart: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum of the products of deviations (part, band), weighted."""
    apart = np.sqrt(weight)[:, None] * np.where(weight[:, None] > 0, apart, 0)
    return gram(apart)
