"""Principal components found in several passes, where a covariance will not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.reduction.decomposition import separation
from cubekit.reduction.described import Spread, described
from cubekit.reduction.em import fit_latent
from cubekit.reduction.randomized import leading
from cubekit.reduction.requirements import require_samples

if TYPE_CHECKING:
    import xarray as xr

    from cubekit.reduction.projection import Projection

__all__ = ["latent_found", "leading_found"]


def latent_found(
    cube: xr.DataArray, template: Projection, number: int
) -> dict[str, Any]:
    """Fitted arrays by expectation maximisation, holes and all."""
    bands = len(template.good)
    if number >= bands:
        raise ValueError(
            f"PCA.fit: n_components={number} is out of range. The noise needs a "
            f"direction of {bands} good bands. Use n_components={bands - 1} or less."
        )
    axis = cube.get_axis_num(template.axis.dim)
    model, sums, likelihoods = fit_latent(cube.data, axis, template, number)
    vectors, sizes, _ = np.linalg.svd(model.weights, full_matrices=False)
    values = np.asarray(sizes**2 + model.noise, np.float64)
    every = np.concatenate([values, np.full(bands - number, model.noise)])
    spread = Spread(
        total=float(every.sum()),
        noise=model.noise,
        freedom=float(sums.samples),
        separation=separation(every, sums.samples)[:number],
    )
    return {
        **described(template, values, vectors.T, model.mean, spread),
        "n_samples": sums.samples,
        "n_dropped": sums.dropped,
        "rank": number,
        "log_likelihood": likelihoods,
    }


def leading_found(
    cube: xr.DataArray, template: Projection, number: int
) -> dict[str, Any]:
    """Fitted arrays by the randomised solver."""
    bands = len(template.good)
    axis = cube.get_axis_num(template.axis.dim)
    found = leading(cube.data, axis, template.good, min(number, bands))
    require_samples(found.sums, template, number, "PCA")
    values, samples = found.values, found.sums.samples
    rank = int(np.count_nonzero(values > bands * np.finfo(float).eps * values[0]))
    values = np.where(np.arange(number) < rank, values, 0)
    rest = max(found.total - float(values.sum()), 0)
    apart = separation(values, samples)
    apart[-1] = np.nan  # the next variance is not known
    spread = Spread(
        total=found.total,
        noise=rest / (bands - number) if number < bands else 0.0,
        freedom=float(samples - 1),
        separation=apart,
    )
    return {
        **described(template, values, found.vectors, found.mean, spread),
        "n_samples": samples,
        "n_dropped": found.sums.dropped,
        "rank": rank,
    }
