"""Principal components of spectra: one pass, exact, mergeable, saved and reused."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.kernels import Latent
from cubekit.reduction.exact import exact_found
from cubekit.reduction.projection import Projection, projection_of
from cubekit.reduction.requirements import (
    is_count,
    require_bands,
    require_choice,
    require_number,
    require_samples,
)
from cubekit.reduction.samples import aligned, sample_weights
from cubekit.reduction.sklearn_bridge import SklearnBridge
from cubekit.reduction.sources import opened
from cubekit.reduction.state import Entry, State
from cubekit.reduction.statistics import Statistics, with_rounding
from cubekit.reduction.stepwise import latent_found, leading_found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubekit.reduction.sources import Source


__all__ = ["PCA"]

# bands above which a whole covariance takes too long
_MANY = 4000


class PCA(SklearnBridge):
    r"""Principal component analysis of the spectra of a cube.

    Parameters
    ----------
    n_components : int, float or None
        Number of components; or the share of the variance that they must explain,
        between 0 and 1; or all above the numerical rank.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    whiten : bool, default False
        Scale the scores to unit variance.
    missing : {"drop", "solve", "em"}
        Spectra that miss a good band (NaN or Inf) are left out of the fit. With "drop"
        their scores are NaN; with "solve" they are found by least squares on the bands
        that are there. With "em" such spectra also enter the fit, by expectation
        maximisation of a probabilistic model [2]_; `n_components` must be an int.
    solver : {"auto", "exact", "randomized"}
        The whole covariance, or only its leading components by randomised power
        iterations; "auto" takes the latter for an int `n_components` of more than 4000
        bands.

    Attributes
    ----------
    components_ : DataArray, dims (component, band)
        Orthonormal directions, by falling variance; 0 in bad bands.
    mean_ : DataArray, dims (band,)
        NaN in bad bands.
    explained_variance_, explained_variance_ratio_ : DataArray, dims (component,)
        Variance of each score (n - 1 in the denominator), and its share of the total
        variance of all good bands, kept or not.
    singular_values_ : DataArray, dims (component,)
    separation_ : DataArray, dims (component,)
        Distance to the nearest eigenvalue, in its sampling errors (North's rule): below
        1 the component is not distinct from its neighbour, and may be any mixture.
    noise_variance_ : float
        Mean variance of the directions that are not kept.
    n_components_ : int
        Components that were found.
    n_samples_, n_dropped_ : int
        Spectra in the fit, and those left out.
    rank_ : int
        Directions with more variance than rounding makes, as far as is known.
    log_likelihood_ : DataArray, dims (iteration,)
        With ``missing="em"``: of all values, step by step; it never falls.

    Notes
    -----
    The covariance is accumulated in blocks, each centred on its own mean and merged in
    float64 [1]_, and decomposed once. Signs come from a fixed functional of the
    component alone: they do not depend on chunks, threads or the direction of the axis.

    Weights count as in ``numpy.cov(aweights=...)``: only their ratios matter.

    With "em" or the randomised solver there is no covariance, so `partial_fit` and
    `merge` are not possible; "em" divides by n, as likelihood does.

    **Missing values:** see `missing`. Scores are NaN where the bands of a spectrum do
    not determine them; scores of "em" are those of least squares, not shrunk. Bad
    bands (coordinate ``good_band``) are left out: weight 0, NaN in what comes back.
    **Chunks:** any, bands included; `fit` computes, and reads each chunk once; "em" and
    the randomised solver once for each step.
    **Cost:** samples times bands squared. Products are in float64; in a NumPy cube of
    float32 so large that it matters they are in float32, summed in float64, with errors
    of about 1e-7.

    References
    ----------
    .. [1] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983), Am. Stat. 37, 242-247.
    .. [2] Tipping, M. E. and Bishop, C. M. (1999), J. R. Stat. Soc. B 61, 611-622.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> rng = np.random.default_rng(0)
    >>> cube = xr.DataArray(
    ...     rng.normal(3000, [3.0, 2.0, 1.0], (50, 40, 3)),
    ...     dims=("y", "x", "wavelength"),
    ...     coords={"wavelength": [450.0, 550.0, 650.0]},
    ... )
    >>> pca = ck.PCA(2).fit(cube)
    >>> pca.explained_variance_.values.round(1)
    array([9.2, 3.8])
    >>> pca.transform(cube).dims
    ('y', 'x', 'component')
    """

    _entries = MappingProxyType(
        {
            "components": Entry(("component", "band")),
            "mean": Entry(("band",), "data"),
            "explained_variance": Entry(("component",), "squared"),
            "explained_variance_ratio": Entry(("component",)),
            "singular_values": Entry(("component",), "data"),
            "separation": Entry(("component",)),
            "noise_variance": Entry(),
            "n_samples": Entry(),
            "n_dropped": Entry(),
            "rank": Entry(),
            "log_likelihood": Entry(("iteration",), is_optional=True),
        }
    )

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        coord: str | None = None,
        whiten: bool = False,
        missing: Literal["drop", "solve", "em"] = "drop",
        solver: Literal["auto", "exact", "randomized"] = "auto",
    ) -> None:
        require_number("PCA", n_components)
        require_choice("PCA", "missing", missing, ("drop", "solve", "em"))
        require_choice("PCA", "solver", solver, ("auto", "exact", "randomized"))
        for option in ('missing="em"', 'solver="randomized"'):
            name, value = option.replace('"', "").split("=")
            asked = {"missing": missing, "solver": solver}[name]
            if asked == value and not is_count(n_components):
                raise ValueError(
                    f"PCA: {option} with n_components={n_components}. It needs to know "
                    "how many components there are. Give an int."
                )
        self.n_components = n_components
        self.coord = coord
        self.whiten = bool(whiten)
        self.missing = missing
        self.solver = solver

    def __repr__(self) -> str:
        """Return the parameters that are not the default."""
        given = [] if self.n_components is None else [repr(self.n_components)]
        given += [f"coord={self.coord!r}"] if self.coord is not None else []
        given += ["whiten=True"] if self.whiten else []
        given += [f"missing={self.missing!r}"] if self.missing != "drop" else []
        given += [f"solver={self.solver!r}"] if self.solver != "auto" else []
        return f"PCA({', '.join(given)})"

    def fit(
        self,
        cube: Source | Iterable[Source],
        *,
        weights: xr.DataArray | None = None,
    ) -> Self:
        """Find the components of a cube, or of several as if they were one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...), or path, or iterable of them
            Real values; any chunks. A path is opened by `open_cube` when its turn
            comes.
        weights : DataArray, dims (...), optional
            How much each spectrum counts; dims among those of the samples. For one
            cube.

        Returns
        -------
        PCA
            This model.

        Raises
        ------
        ValueError
            If there are fewer whole spectra than components.
        CoordinateError
            If the coordinate is missing, ambiguous or not strictly monotonic.

        Notes
        -----
        **Missing values:** spectra that miss a good band are left out.
        **Chunks:** any; computed now, with one read.
        **Cost:** samples times bands squared.
        """
        one = opened(cube)
        if isinstance(one, xr.DataArray):
            require_real(one, "PCA")
            template = projection_of(one, self.coord)
            if self.missing == "em" or self._is_randomized(len(template.axis)):
                return self._fit_in_steps(one, template, weights)
        return self._fit_all(cube, weights=weights)

    def partial_fit(self, cube: Source, *, weights: xr.DataArray | None = None) -> Self:
        """Fit to one more cube, as if it and all before it were one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...), or path
            With the bands and units of those before.
        weights : DataArray, dims (...), optional
            How much each spectrum counts.

        Returns
        -------
        PCA
            This model.

        Notes
        -----
        **Missing values, chunks, cost:** as `fit`.
        """
        self._add(opened(cube), weights)
        self._solve()
        return self

    def _add(self, cube: xr.DataArray, weights: xr.DataArray | None = None) -> None:
        """Take the spectra of a cube into the statistics."""
        require_real(cube, "PCA")
        if self.missing == "em" or self.solver == "randomized":
            raise ValueError(
                "PCA: cubes cannot be added one by one to a model that is found in "
                "steps (missing='em', solver='randomized'). Every step needs them all. "
                "Join them: xarray.concat(cubes, dim)."
            )
        cube, template = self._to_fit(cube)
        axis = cube.get_axis_num(template.axis.dim)
        weighed = sample_weights(cube, template.axis.dim, weights, "PCA")
        found = kernels.moments(cube.data, axis, template.good, weighed)
        self._take_in(Statistics(template, with_rounding(found, cube.dtype)), cube)

    def _solve(self) -> None:
        """Find the components of the statistics so far."""
        template, moments, _ = self._statistics("fit")
        require_samples(moments, template, self.n_components, "PCA")
        found = exact_found(template, moments, self.n_components)
        self._set(State(template, found, moments))

    def _is_randomized(self, bands: int) -> bool:
        many = bands > _MANY and is_count(self.n_components)
        return self.solver == "randomized" or (self.solver == "auto" and many)

    def _fit_in_steps(
        self, cube: xr.DataArray, template: Projection, weights: xr.DataArray | None
    ) -> Self:
        """Find the components without a covariance, in several reads of the cube."""
        self._forget()
        require_bands(template, "PCA")
        way = 'missing="em"' if self.missing == "em" else "the randomised solver"
        if weights is not None:
            raise ValueError(
                f"PCA.fit: weights with {way}. It counts all spectra alike. Use "
                'missing="drop" and solver="exact".'
            )
        fit = latent_found if self.missing == "em" else leading_found
        found = fit(cube, template, int(self.n_components or 1))
        self._history = str(cube.attrs.get("history", ""))
        self._set(State(template, found))
        return self

    def _scores_of(
        self, cube: xr.DataArray, *, shift_last: bool | None = None
    ) -> xr.DataArray:
        if self.missing == "drop":
            return super()._scores_of(cube, shift_last=shift_last)
        fitted = self._fitted("transform")
        axis = cube.get_axis_num(fitted.axis.dim)
        vectors = self.components_.values[:, fitted.good]
        data = kernels.solve(
            cube.data, axis, Latent(fitted.good, fitted.mean, vectors.T)
        )
        # the operator knows the dims and coordinates of scores
        scores = self.operator(cube).copy(data=data)
        if self.whiten:
            scale = np.sum(fitted.forward * vectors, axis=1)
            scores = scores * xr.DataArray(scale.astype(data.dtype), dims="component")
        return scores

    def _aligned(self, cube: xr.DataArray, doing: str) -> xr.DataArray:
        if self.missing == "drop":
            return super()._aligned(cube, doing)
        require_real(cube, "PCA")
        fitted = self._fitted(doing)
        return aligned(cube, fitted, f"PCA: {doing}", may_miss=True)

    def _project(self, state: State) -> None:
        """Set the matrices of the projection, scaled if whitened."""
        template, found, _ = state
        vectors = found["components"][:, template.good]
        forward, backward = vectors, vectors.T
        if self.whiten:
            scale = np.sqrt(found["explained_variance"])
            inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
            forward, backward = vectors * inverse[:, None], vectors.T * scale
        self._projection = dataclasses.replace(
            template,
            mean=found["mean"][template.good],
            forward=forward,
            backward=backward,
        )

    def _options(self) -> dict[str, Any]:
        """Parameters as plain values."""
        return {
            "n_components": self.n_components,
            "coord": self.coord,
            "whiten": int(self.whiten),
            "missing": self.missing,
            "solver": self.solver,
        }

    def _label(self) -> str:
        if self._projection is None or not len(self._projection.forward):
            return "PCA"
        return f"PCA({len(self._projection.forward)})"

    def _unitless(self) -> set[str]:
        return {"units"} if self.whiten else set()
