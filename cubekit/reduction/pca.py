"""Principal components of spectra: one pass, exact, mergeable, saved and reused."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import xarray as xr

from cubekit import kernels
from cubekit.reduction.decomposition import (
    number_kept,
    numerical_rank,
    principal,
    separation,
    with_signs,
)
from cubekit.reduction.linear import LinearReduction
from cubekit.reduction.model_file import load_model, save_model
from cubekit.reduction.projection import Projection, projection_of
from cubekit.reduction.requirements import (
    require_bands,
    require_cube,
    require_number,
    require_samples,
)
from cubekit.reduction.samples import aligned, in_order_of, sample_weights
from cubekit.reduction.state import Entry, State, labelled, pack, unpack

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["PCA"]


class PCA(LinearReduction):
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
    missing : {"drop"}
        Spectra that miss a good band (NaN or Inf) are left out of the fit, and their
        scores are NaN.

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
    n_samples_, n_dropped_ : int
        Spectra in the fit, and those left out.
    rank_ : int
        Directions with more variance than rounding makes.

    Notes
    -----
    The covariance is accumulated in blocks, each centred on its own mean and merged in
    float64 [1]_, and decomposed once. Signs come from a fixed functional of the
    component alone: they do not depend on chunks, threads or the direction of the axis.

    Weights count as in ``numpy.cov(aweights=...)``: only their ratios matter.

    **Missing values:** see `missing`. Bad bands (coordinate ``good_band``) are left
    out: weight 0, NaN in what comes back.
    **Chunks:** any, bands included; `fit` computes, and reads each chunk once.
    **Cost:** samples times bands squared. Products are in float64; in a NumPy cube of
    float32 so large that it matters they are in float32, summed in float64, with errors
    of about 1e-7.

    References
    ----------
    .. [1] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983), Am. Stat. 37, 242-247.

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

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        coord: str | None = None,
        whiten: bool = False,
        missing: Literal["drop"] = "drop",
    ) -> None:
        require_number("PCA", n_components)
        if missing not in {"drop"}:
            raise ValueError(
                f"PCA: missing={missing!r} is unknown. Spectra with missing bands are "
                'dropped. Use missing="drop".'
            )
        self.n_components = n_components
        self.coord = coord
        self.whiten = bool(whiten)
        self.missing = missing
        self._seen: tuple[Projection, kernels.Moments] | None = None
        self._history = ""

    def __repr__(self) -> str:
        """Return the parameters that are not the default."""
        given = [] if self.n_components is None else [repr(self.n_components)]
        given += [f"coord={self.coord!r}"] if self.coord is not None else []
        given += ["whiten=True"] if self.whiten else []
        given += [f"missing={self.missing!r}"] if self.missing != "drop" else []
        return f"PCA({', '.join(given)})"

    def fit(
        self,
        cube: xr.DataArray | Iterable[xr.DataArray],
        *,
        weights: xr.DataArray | None = None,
    ) -> Self:
        """Find the components of a cube, or of several as if they were one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...), or iterable of them
            Real values; any chunks.
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
        cubes = [cube] if isinstance(cube, xr.DataArray) else cube
        self._projection, self._seen, self._published = None, None, {}
        fitted = False
        for each in cubes:
            self._add(each, weights)
            fitted = True
        if not fitted:
            raise ValueError(
                "PCA.fit got no cube. There is nothing to fit. Give a DataArray, or a "
                "list of them."
            )
        self._solve()
        return self

    def partial_fit(
        self, cube: xr.DataArray, *, weights: xr.DataArray | None = None
    ) -> Self:
        """Fit to one more cube, as if it and all before it were one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
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
        self._add(cube, weights)
        self._solve()
        return self

    def merge(self, other: PCA) -> PCA:
        """Model of the cubes of two models.

        Parameters
        ----------
        other : PCA
            Fitted to the same bands, in the same units.

        Returns
        -------
        PCA
            What a fit of both cubes gives, with the parameters of this model.
        """
        self._fitted("merge")
        other._fitted("merge")
        mine, moments = self._statistics("merge")
        found = in_order_of(mine, *other._statistics("merge"))
        both = self._empty_copy()
        both._seen = mine, kernels.merge([moments, found])
        both._solve()
        return both

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the model to a netCDF file that any netCDF reader understands.

        Parameters
        ----------
        path : path
            The file; its folder must be there.
        overwrite : bool, default False
            Replace a file that exists.

        Returns
        -------
        Path

        Notes
        -----
        The file is written beside the target and renamed, so it is there whole or not
        at all. It holds the covariance too: a loaded model can go on fitting.
        """
        self._fitted("save")
        options = {
            "n_components": self.n_components,
            "coord": self.coord,
            "whiten": int(self.whiten),
            "missing": self.missing,
        }
        model = pack(self._state, _ENTRIES, options)
        return save_model(
            model.assign_attrs(history=self._history), path, "PCA", overwrite=overwrite
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PCA:
        """Model from a file that `save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        PCA
            With scores identical to those of the saved model.

        Raises
        ------
        ModelFormatError
            If the file is no PCA model, or damaged.
        """
        model = load_model(path, "PCA")
        state, options = unpack(model, _ENTRIES)
        pca = cls(
            options.get("n_components"),
            coord=options.get("coord"),
            whiten=bool(options["whiten"]),
            missing=options["missing"],
        )
        pca._history = str(model.attrs.get("history", ""))
        pca._set(state)
        return pca

    def _add(self, cube: xr.DataArray, weights: xr.DataArray | None) -> None:
        """Take the spectra of a cube into the statistics."""
        require_cube(cube, "PCA")
        if self._seen is None:
            template = projection_of(cube, self.coord)
            require_bands(template, "PCA")
        else:
            template = self._seen[0]
            cube = aligned(cube, template, "PCA: fit")
        dim = template.axis.dim
        weighed = sample_weights(cube, dim, weights, "PCA")
        found = kernels.moments(
            cube.data, cube.get_axis_num(dim), template.good, weighed
        )
        if cube.dtype.kind == "f":
            found = found._replace(rounding=float(np.finfo(cube.dtype).eps))
        if self._seen is not None:
            found = kernels.merge([self._seen[1], found])
        self._seen = template, found
        self._history = str(cube.attrs.get("history", self._history))

    def _statistics(self, method: str) -> tuple[Projection, kernels.Moments]:
        if self._seen is None:
            raise ValueError(
                f"PCA.{method}: this model holds components, but no covariance. It was "
                "made from components alone. Fit a model to the cubes instead."
            )
        return self._seen

    def _solve(self) -> None:
        """Find the components of the statistics so far."""
        template, moments = self._statistics("fit")
        require_samples(moments, template, self.n_components, "PCA")
        values, vectors = principal(moments.covariance)
        rank = numerical_rank(values, moments)
        count = number_kept(self.n_components, values, rank)
        if count > rank and self.n_components is not None:
            warnings.warn(
                f"PCA: n_components={self.n_components}, but the rank of the data is "
                f"{rank}; the components beyond it have no variance",
                UserWarning,
                stacklevel=3,
            )
        kept = np.where(np.arange(count) < rank, values[:count], 0)
        total, rest = float(values.sum()), values[count:]
        ascending = np.argsort(np.argsort(template.axis.values))[template.good]
        found = {
            "components": template.on_axis(with_signs(vectors[:count], ascending), 0.0),
            "mean": template.on_axis(moments.mean),
            "explained_variance": kept,
            "explained_variance_ratio": kept / total if total else 0 * kept,
            "singular_values": np.sqrt(kept * moments.freedom),
            "separation": separation(values, moments.effective_samples)[:count],
            "noise_variance": float(rest.mean()) if len(rest) else 0.0,
            "n_samples": moments.samples,
            "n_dropped": moments.dropped,
            "rank": rank,
        }
        self._set(State(template, found, moments))

    def _set(self, state: State) -> None:
        """Set the fitted attributes."""
        self._state = state
        template, found, moments = state
        self._seen = None if moments is None else (template, moments)
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
        self._published = {
            f"{name}_": value for name, value in labelled(state, _ENTRIES).items()
        }

    def _empty_copy(self) -> PCA:
        return PCA(
            self.n_components,
            coord=self.coord,
            whiten=self.whiten,
            missing=self.missing,
        )

    def _label(self) -> str:
        if self._projection is None or not len(self._projection.forward):
            return "PCA"
        return f"PCA({len(self._projection.forward)})"

    def _unitless(self) -> set[str]:
        return {"units"} if self.whiten else set()


_ENTRIES = {
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
}
