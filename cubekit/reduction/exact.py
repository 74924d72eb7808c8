"""Principal components of a whole covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.reduction.decomposition import (
    number_kept,
    numerical_rank,
    principal,
    separation,
)
from cubekit.reduction.described import Spread, described
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from cubekit.kernels import Moments
    from cubekit.reduction.projection import Projection

__all__ = ["exact_found"]


def exact_found(
    template: Projection, moments: Moments, asked: float | None
) -> dict[str, Any]:
    """Fitted arrays by decomposition of the covariance."""
    values, vectors = principal(moments.covariance)
    rank = numerical_rank(values, moments)
    count = number_kept(asked, values, rank)
    if count > rank and asked is not None:
        warn_caller(
            f"PCA: n_components={asked}, but the rank of the data is "
            f"{rank}; the components beyond it have no variance"
        )
    found = described(
        template,
        np.where(np.arange(len(values)) < rank, values, 0)[:count],
        vectors[:count],
        moments.mean,
        Spread(
            total=float(values.sum()),
            noise=float(values[count:].mean()) if count < len(values) else 0.0,
            freedom=moments.freedom,
            separation=separation(values, moments.effective_samples)[:count],
        ),
    )
    counts = {"n_samples": moments.samples, "n_dropped": moments.dropped}
    return {**found, **counts, "rank": rank}
