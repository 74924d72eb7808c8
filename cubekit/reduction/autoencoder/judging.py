"""What a trained network explains, of held-out spectra and of any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.reduction.autoencoder.backend import load_torch
from cubekit.reduction.autoencoder.coder import Coder
from cubekit.reduction.autoencoder.network import Layout, encode, rearranged
from cubekit.reduction.decomposition import principal, with_signs
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cubekit.reduction.autoencoder.spectra import Pool
    from cubekit.reduction.projection import Projection

__all__ = ["Explained", "explained", "judged", "warn_if_poor"]

Array = npt.NDArray[Any]
Real = npt.NDArray[np.float64]

_ACTIVE = 0.01  # variance of the posterior mean above which a latent is active
_LOST = 1e-6  # share of the variance, below which a latent of any kind is idle
# as much worse than principal components as is still called equal
_WORSE = 1.05


class Explained(NamedTuple):
    """How well a model explains spectra."""

    spectra: int
    by_scores: Real  # (component,), share of the variance lost without that score
    r2_fit_mean: float
    r2_own_mean: float
    rmse: Real  # (band,)


def explained(coder: Coder, blocks: Iterable[Array]) -> Explained:
    """Errors over blocks of spectra (spectrum, band), with each score and without."""
    bands, count = coder.layout.bands, coder.layout.components
    number, apart, squares = np.zeros((3, bands))
    errors = np.zeros((count + 1, bands))
    spectra = 0
    for block in blocks:
        scores = coder.scores(block)
        use = np.isfinite(scores).all(axis=1)
        scores = scores[use]
        spectra += len(scores)
        deviation = block[use].astype(np.float64) - coder.mean
        valid = np.isfinite(deviation)
        deviation[~valid] = 0
        number += np.count_nonzero(valid, axis=0)
        apart += deviation.sum(axis=0)
        squares += (deviation**2).sum(axis=0)
        for k in range(count + 1):
            some = scores.copy()
            if k < count:
                some[:, k] = 0
            rest = (coder.deviations(some) - deviation) * valid
            errors[k] += (rest.astype(np.float64) ** 2).sum(axis=0)
    with np.errstate(all="ignore"):  # no variance: no share of it is known
        own = (squares - apart**2 / number).clip(0)
        total = np.nansum(own)
        least = errors[count].sum()
        return Explained(
            spectra,
            np.nan_to_num((errors[:count].sum(axis=1) - least) / total),
            float(1 - least / squares.sum()),
            float(1 - least / total),
            np.sqrt(errors[count] / number),
        )


def judged(
    weights: Mapping[str, Array], layout: Layout, pool: Pool, template: Projection
) -> tuple[Coder, dict[str, Any]]:
    """Network with its latents in order, and the attributes of a fitted model."""
    some = pool.held if len(pool.held) else pool.train[:4096]
    held = some.astype(np.float64) * pool.scale + pool.mean
    plain = {name: np.asarray(value) for name, value in weights.items()}
    coder = Coder(layout, plain, pool.mean, pool.scale, pool.whole)
    scores = coder.scores(held)
    shift, size = np.zeros(layout.components), np.ones(layout.components)
    if not layout.variational:
        # any scale does: take the one that a variational model would have
        shift, spread = scores.mean(axis=0), scores.std(axis=0)
        size = np.where(spread > 0, spread, 1.0)
    every = np.arange(layout.components)
    coder = coder.with_weights(rearranged(plain, layout, every, shift, size))
    ratio = explained(coder, [held]).by_scores
    order = np.argsort(-ratio, kind="stable")
    ranks = np.argsort(np.argsort(template.axis.values))[template.good]
    slopes = _at_zero(coder)[order]
    signs = np.sign((with_signs(slopes, ranks) * slopes).sum(axis=1))
    back = np.ones(layout.components)
    back[order] = np.where(signs < 0, -1.0, 1.0)
    coder = coder.with_weights(
        rearranged(coder.weights, layout, order, np.zeros(len(order)), back)
    )
    scores = coder.scores(held)
    ratio, activity = ratio[order], scores.var(axis=0)
    idle = activity <= _ACTIVE if layout.variational else ratio <= _LOST
    found = {
        "components": template.on_axis(_at_zero(coder), 0.0),
        "mean": template.on_axis(pool.mean),
        "scale": template.on_axis(pool.scale),
        "explained_variance_ratio": ratio,
        "activity": activity,
        "n_active": int(np.count_nonzero(~idle)),
        **_against_principal(coder, held, pool),
    }
    if layout.variational:
        found["divergence"] = _divergence(coder, held)
    return coder, found


def warn_if_poor(found: Mapping[str, Any]) -> None:
    """Warn the caller of `fit` of what a model does not do, by what was found."""
    count = len(found["components"])
    idle = count - found["n_active"]
    if idle:
        warn_caller(
            f"Autoencoder.fit: {idle} of {count} latents carry nothing (posterior "
            "collapse, see activity_). Ask for fewer, or lower beta"
        )
    if found["rmse"] > _WORSE * found["pca_rmse"]:
        warn_caller(
            f"Autoencoder.fit: the error of held-out spectra is {found['rmse']:.3g}, "
            f"that of PCA({count}) {found['pca_rmse']:.3g}. Use PCA, or train longer, "
            'with start="pca" or a smaller beta'
        )


def _at_zero(coder: Coder) -> Real:
    """Jacobian at scores of zero, (component, band)."""
    count = coder.layout.components
    slopes = coder.jacobian(np.zeros((1, count)))
    return slopes.reshape(coder.layout.bands, count).T


def _divergence(coder: Coder, held: Real) -> Real:
    """Mean divergence of each score from the standard normal, of whole spectra."""
    torch = load_torch()
    whole = held[np.isfinite(held).all(axis=1)]
    with torch.no_grad():
        x = torch.from_numpy((whole - coder.mean) / coder.scale)
        weights = {k: torch.from_numpy(v).double() for k, v in coder.weights.items()}
        mean, spread = encode(weights, x, coder.layout)
        found = (mean**2 + spread.exp() - 1 - spread).mean(0) / 2
    divergence: Real = found.numpy()
    return divergence


def _against_principal(coder: Coder, held: Real, pool: Pool) -> dict[str, float]:
    """Error of held-out spectra that are whole, and that of principal components."""
    whole = held[np.isfinite(held).all(axis=1)]
    if not len(whole):
        return {"rmse": float("nan"), "pca_rmse": float("nan")}
    root = np.where(pool.is_equal, 0.0, pool.scale)
    covariance = pool.covariance() * np.outer(root, root)
    _, vectors = principal(covariance)
    vectors = vectors[: coder.layout.components]
    apart = whole - pool.mean
    rest = apart - (apart @ vectors.T) @ vectors
    return {
        "rmse": float(np.sqrt(np.mean(coder.rest(whole) ** 2))),
        "pca_rmse": float(np.sqrt(np.mean(rest**2))),
    }
