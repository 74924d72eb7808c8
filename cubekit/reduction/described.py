"""Fitted arrays of principal components, from their variances and directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.reduction.decomposition import with_signs

if TYPE_CHECKING:
    from cubekit.reduction.projection import Projection

__all__ = ["Spread", "described"]

Real = npt.NDArray[np.float64]


class Spread(NamedTuple):
    """What is known of the variance beyond the components."""

    total: float
    noise: float  # mean variance of the directions not kept
    freedom: float
    separation: Real  # (component,)


def described(
    template: Projection, values: Real, vectors: Real, mean: Real, spread: Spread
) -> dict[str, Any]:
    """Arrays over the whole axis, with signs and shares of the variance."""
    ascending = np.argsort(np.argsort(template.axis.values))[template.good]
    return {
        "components": template.on_axis(with_signs(vectors, ascending), 0.0),
        "mean": template.on_axis(mean),
        "explained_variance": values,
        "explained_variance_ratio": values / (spread.total or np.inf),
        "singular_values": np.sqrt(values * spread.freedom),
        "separation": spread.separation,
        "noise_variance": spread.noise,
    }
