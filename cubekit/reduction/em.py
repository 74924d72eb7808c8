"""Principal components of spectra with holes, by expectation maximisation.

Probabilistic PCA [1]_: x = mean + W z + noise with z and noise normal. Each step needs
sums over the spectra alone, so a cube larger than memory is read once a step; the
likelihood of the values that are there never falls. The mean and variance of the scores
are free in a step and put back into the model after it (parameter expansion [2]_), or
little noise would make for little steps.

.. [1] Tipping, M. E. and Bishop, C. M. (1999), J. R. Stat. Soc. B 61, 611-622.
.. [2] Liu, C., Rubin, D. B. and Wu, Y. N. (1998), Biometrika 85, 755-770.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit import kernels
from cubekit.kernels import Latent, LatentSums
from cubekit.reduction.decomposition import principal
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from cubekit.reduction.projection import Projection

__all__ = ["Latents", "fit_latent"]

Real = npt.NDArray[np.float64]

_STEPS = 500
_STILL = 1e-9  # gain in likelihood for each value, below which it is done
_LEAST_NOISE = 1e-12  # of the variance: without noise the likelihood has no bound


class Latents(NamedTuple):
    """Model, the sums under it, and the likelihoods of the steps that led to it."""

    model: Latent
    sums: LatentSums
    likelihoods: Real


def fit_latent(
    x: npt.NDArray[Any] | da.Array, axis: int, template: Projection, number: int
) -> Latents:
    """Most likely model with a number of components of the values that are there."""
    model, least = _start(x, axis, template, number)
    likelihoods: list[float] = []
    for _ in range(_STEPS):
        sums = kernels.expect(x, axis, model)
        likelihoods.append(sums.likelihood)
        gain = np.diff(likelihoods[-2:])
        settled = bool(gain <= _STILL * sums.values) if len(gain) else False
        if settled or model.noise <= least:
            break
        model = _maximise(model, sums, least)
    else:
        warn_caller(
            f"PCA: expectation maximisation has not settled in {_STEPS} steps; the "
            "last components are uncertain. Ask for fewer"
        )
    return Latents(model, sums, np.array(likelihoods))


def _maximise(model: Latent, sums: LatentSums, least: float) -> Latent:
    """Model under which the expected likelihood is greatest."""
    right = sums.products[..., None]
    # (band, component + 1)
    found = np.asarray(np.linalg.solve(sums.scores, right)[..., 0], np.float64)
    left = sums.squares.sum() - np.sum(found * sums.products)
    # scores need not have mean 0 and variance 1: what they have goes into the model
    latent = sums.latent / sums.samples
    centre = latent[:-1, -1]
    root = np.linalg.cholesky(latent[:-1, :-1] - np.outer(centre, centre))
    return dataclasses.replace(
        model,
        mean=model.mean + found[:, -1] + found[:, :-1] @ centre,
        weights=found[:, :-1] @ root,
        noise=max(float(left) / sums.values, least),
    )


def _start(
    x: npt.NDArray[Any] | da.Array, axis: int, template: Projection, number: int
) -> tuple[Latent, float]:
    """Model of the cube with its holes at the mean, and the least noise to allow."""
    bands = len(template.good)
    model = Latent(template.good, np.zeros(bands), np.zeros((bands, 1)), 1.0)
    sums = kernels.expect(x, axis, model)
    count = sums.scores[:, -1, -1]
    _require_values(count, template)
    if sums.samples <= number:
        raise ValueError(
            f"PCA.fit: n_components={number} is out of range. Components and noise "
            f"need more spectra than components, and there are {sums.samples}. Ask for "
            "fewer components, or give more spectra."
        )
    mean = sums.products[:, -1] / count
    shape = [-1 if k == axis else 1 for k in range(x.ndim)]
    full = template.on_axis(mean).reshape(shape)
    where, isfinite = (
        (da.where, da.isfinite) if isinstance(x, da.Array) else (np.where, np.isfinite)
    )
    moments = kernels.moments(where(isfinite(x), x, full), axis, template.good)
    values, vectors = principal(moments.covariance)
    least = _LEAST_NOISE * float(values.mean())
    noise = max(float(values[number:].mean()), 1e-6 * float(values.mean()))
    size = np.sqrt(np.maximum(values[:number] - noise, noise / 10))
    weights = np.asarray(vectors[:number].T * size, np.float64)
    return Latent(template.good, moments.mean, weights, noise), least


def _require_values(count: Real, template: Projection) -> None:
    dead = template.good[count == 0]
    if not len(dead):
        return
    axis = template.axis
    unit = f" {axis.units}" if axis.units else ""
    some = ", ".join(f"{value:g}" for value in axis.values[dead][:5])
    more = ", ..." if len(dead) > 5 else ""
    raise ValueError(
        f"PCA.fit: {len(dead)} of {len(count)} bands have no value at all: "
        f"{some}{more}{unit}. Nothing can be learnt of them. Mark them bad in the "
        "coordinate 'good_band'."
    )
