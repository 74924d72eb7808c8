"""Models of scikit-learn from ours, and ours from theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cubekit.axis import require_axis
from cubekit.reduction.decomposition import separation
from cubekit.reduction.described import Spread, described
from cubekit.reduction.estimator import Estimator
from cubekit.reduction.projection import Projection
from cubekit.reduction.state import State

if TYPE_CHECKING:
    from cubekit.axis import Axis

__all__ = ["SklearnBridge"]


class SklearnBridge(Estimator):
    """Model that scikit-learn has too."""

    whiten: bool

    def to_sklearn(self) -> Any:
        """Fitted ``sklearn.decomposition.PCA`` with these components.

        Returns
        -------
        sklearn.decomposition.PCA
            Its features are the good bands, in the order of the axis. Needs
            scikit-learn.
        """
        self._fitted("to_sklearn")
        return _to_sklearn(self._state, self.whiten)

    @classmethod
    def from_sklearn(cls, model: Any, axis: Axis, *, units: str | None = None) -> Self:
        """Model with the components of a fitted ``sklearn.decomposition.PCA``.

        Parameters
        ----------
        model : sklearn.decomposition.PCA
            Fitted; its features are the good bands of the axis, in order.
        axis : Axis
            Where the bands are: ``Axis.from_cube(cube)``.
        units : str, optional
            Units of the values it was fitted to.

        Returns
        -------
        PCA
            With signs by our rule. It has no covariance to merge with others.
        """
        require_axis("PCA.from_sklearn", axis)
        if not hasattr(model, "whiten"):
            raise TypeError(
                f"PCA.from_sklearn: a {type(model).__qualname__} is no model of "
                "scikit-learn. Its components, mean and variances are taken. Give a "
                "fitted sklearn.decomposition.PCA."
            )
        bridged = cls(len(getattr(model, "components_", [0])), coord=axis.name)
        bridged.whiten = bool(model.whiten)
        bridged._set(_state_of_sklearn(model, axis, units))
        return bridged


def _to_sklearn(state: State, whiten: bool) -> Any:
    """Fitted ``sklearn.decomposition.PCA`` over the good bands."""
    from sklearn.decomposition import PCA  # noqa: PLC0415  (optional, and heavy)

    template, found, _ = state
    vectors = found["components"][:, template.good]
    model = PCA(n_components=len(vectors), whiten=whiten, svd_solver="full")
    model.components_ = vectors.copy()
    model.mean_ = found["mean"][template.good]
    for name in ("explained_variance", "explained_variance_ratio", "singular_values"):
        setattr(model, f"{name}_", found[name].copy())
    model.noise_variance_ = found["noise_variance"]
    model.n_components_ = len(vectors)
    model.n_samples_ = found["n_samples"]
    model.n_features_in_ = vectors.shape[1]
    return model


def _state_of_sklearn(model: Any, axis: Axis, units: str | None) -> State:
    """State of a fitted ``sklearn.decomposition.PCA`` whose features are the bands."""
    if not hasattr(model, "components_"):
        raise ValueError(
            f"PCA.from_sklearn: {model!r} is not fitted. Only a fitted model has "
            "components. Call its fit first."
        )
    template = Projection(axis, units=units)
    vectors = np.asarray(model.components_, np.float64)
    bands = len(template.good)
    if vectors.shape[1] != bands:
        raise ValueError(
            f"PCA.from_sklearn: the model has {vectors.shape[1]} features, the axis "
            f"{bands} good bands. Each feature is a band. Give the axis of the fit."
        )
    values = np.asarray(model.explained_variance_, np.float64)
    ratio = np.asarray(model.explained_variance_ratio_, np.float64)
    apart = separation(values, int(model.n_samples_))
    if len(values) < bands:
        apart[-1] = np.nan  # the next variance is not known
    spread = Spread(
        total=float(values.sum() / ratio.sum()) if ratio.sum() else 0.0,
        noise=float(model.noise_variance_),
        freedom=float(model.n_samples_ - 1),
        separation=apart,
    )
    mean = np.asarray(model.mean_, np.float64)
    counts = {"n_samples": int(model.n_samples_), "n_dropped": 0, "rank": len(values)}
    found = described(template, values, vectors, mean, spread)
    return State(template, {**found, **counts})
