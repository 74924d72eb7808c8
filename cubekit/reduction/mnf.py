"""Minimum noise fraction: components by signal-to-noise, whatever the noise is."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr

from cubekit import kernels
from cubekit.reduction.estimator import Estimator
from cubekit.reduction.noise import given_noise, neighbour_axes
from cubekit.reduction.requirements import require_count, require_samples
from cubekit.reduction.sources import opened
from cubekit.reduction.state import Entry, State, labelled
from cubekit.reduction.statistics import Statistics, with_rounding
from cubekit.reduction.whitening import whitened_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cubekit.reduction.sources import Source

__all__ = ["MNF"]


class MNF(Estimator):
    r"""Minimum noise fraction transform of the spectra of a cube.

    Parameters
    ----------
    n_components : int or None
        Number of components, those of the highest signal-to-noise; or all.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    noise : DataArray, optional
        What the noise is estimated from: a cube (a sub-area), by differences of
        neighbours; or a covariance, dims (band, other band), of `noise_covariance`,
        another model or a measurement. If not given: the cube itself.
    along : sequence of str, optional
        Dims along which neighbours are compared; if not given, the last two that are
        not the bands.

    Attributes
    ----------
    components_ : DataArray, dims (component, band)
        Weights that give the scores: rows of the forward matrix; 0 in bad bands.
    patterns_ : DataArray, dims (component, band)
        What a score of 1 adds to a spectrum: the inverse matrix; 0 in bad bands.
    mean_ : DataArray, dims (band,)
    explained_variance_ : DataArray, dims (component,)
        Variance of the scores, in variances of their noise: 1 + `snr_`.
    snr_ : DataArray, dims (component,)
        Ratio of the variances of signal and noise.
    noise_covariance_ : DataArray, dims (band, other band)
        NaN in bad bands.
    noise_rank_ : int
        Directions that have noise.
    duplicates_ : float
        Share of neighbours that are equal in every band.
    n_components_, n_samples_, n_dropped_ : int

    Notes
    -----
    Noise that is independent between neighbours, under a signal that is nearly equal,
    has half the covariance of their differences [1]_. Differences are formed of floats,
    keep their signs, and are taken along each direction about their mean.

    With the noise covariance :math:`N = F^{-1} F^{-T}` the data are whitened with F and
    rotated by the eigenvectors of :math:`F C F^T`, whose eigenvalues are 1 + SNR.

    The components are ordered by signal-to-noise, not by variance: the first `n` leave
    the least of all in units of noise, while the first `n` of a `PCA` leave the least
    in units of the data. Where neighbours differ by more than noise, by edges or the
    shade of relief, that counts as noise: a bright direction then comes late, and a
    cube from the components before it lacks it. Keep all that stand out of the noise
    (`snr_`), or give `noise` from an area that is all alike.

    Neighbours that are equal in every band come from nearest-neighbour resampling and
    tell nothing of the noise: they are left out and, if many, warned of.

    Differences of several cubes are taken within each, about the mean of each, and
    weigh by their degrees of freedom: a list, `partial_fit` and `merge` give the same.
    One cube cut in two is not quite the whole, as no pair reaches across the cut. Noise
    that two merged models were given is averaged likewise.

    **Missing values:** spectra and pairs that miss a good band are left out; scores of
    such spectra are NaN. Bad bands have weight 0 and come back as NaN.
    **Chunks:** any; `fit` computes, in one read; neighbours meet across chunks.
    **Cost:** three times a PCA.

    References
    ----------
    .. [1] Green, A. A., Berman, M., Switzer, P. and Craig, M. D. (1988), IEEE Trans.
       Geosci. Remote Sens. 26, 65-74.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> rng = np.random.default_rng(0)
    >>> y, x = np.mgrid[:80, :80] / 80
    >>> signal = y[..., None] * [1.0, 2.0, 1.0] + np.sin(3 * x)[..., None] * [1, 0, -1]
    >>> cube = xr.DataArray(
    ...     signal + rng.normal(0, 0.1, signal.shape),
    ...     dims=("y", "x", "wavelength"),
    ...     coords={"wavelength": [450.0, 550.0, 650.0]},
    ... )
    >>> mnf = ck.MNF().fit(cube)
    >>> (mnf.snr_ > 5).values
    array([ True,  True, False])
    >>> clean = mnf.denoise(cube, 2)
    """

    n_components: int | None
    _entries = MappingProxyType(
        {
            "components": Entry(("component", "band")),
            "patterns": Entry(("component", "band"), "data"),
            "mean": Entry(("band",), "data"),
            "explained_variance": Entry(("component",)),
            "snr": Entry(("component",)),
            "noise_covariance": Entry(("band", "other band"), "squared"),
            "noise_rank": Entry(),
            "noise_is_given": Entry(),
            "noise_freedom": Entry(),
            "noise_pairs_equal": Entry(),
            "duplicates": Entry(),
            "n_samples": Entry(),
            "n_dropped": Entry(),
        }
    )

    def __init__(
        self,
        n_components: int | None = None,
        *,
        coord: str | None = None,
        noise: xr.DataArray | None = None,
        along: Sequence[str] | None = None,
    ) -> None:
        require_count("MNF", n_components)
        if noise is not None and not isinstance(noise, xr.DataArray):
            raise TypeError(
                f"MNF: noise is a {type(noise).__qualname__}. Its coordinates must say "
                "which bands it is of. Give a DataArray: a cube, or a covariance from "
                "noise_covariance(cube)."
            )
        self.n_components = n_components
        self.coord = coord
        self.noise = noise
        self.along = None if along is None else tuple(along)

    def __repr__(self) -> str:
        """Return the parameters that are not the default."""
        given = [] if self.n_components is None else [repr(self.n_components)]
        given += [f"coord={self.coord!r}"] if self.coord is not None else []
        given += ["noise=..."] if self.noise is not None else []
        given += [f"along={self.along!r}"] if self.along is not None else []
        return f"MNF({', '.join(given)})"

    def fit(self, cube: Source | Iterable[Source]) -> Self:
        """Find the components of a cube, or of several as if they were one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...), or path, or iterable of them
            Real values; any chunks. A path is opened by `open_cube` when its turn
            comes.

        Returns
        -------
        MNF
            This model.

        Raises
        ------
        ValueError
            If there are too few whole spectra, no noise, or no neighbours.

        Warns
        -----
        UserWarning
            If the noise is singular, or many neighbours are equal.

        Notes
        -----
        **Missing values:** spectra and pairs that miss a good band are left out.
        **Chunks:** any; computed now, with one read. **Cost:** three times a PCA.
        """
        return self._fit_all(cube)

    def partial_fit(self, cube: Source) -> Self:
        """Fit to one more cube, as if it and all before it were one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...), or path
            With the bands and units of those before.

        Returns
        -------
        MNF
            This model.

        Notes
        -----
        **Missing values, chunks, cost:** as `fit`.
        """
        self._add(opened(cube))
        self._solve()
        return self

    def denoise(self, cube: xr.DataArray, n: int | None = None) -> xr.DataArray:
        """Cube from its components of the highest signal-to-noise alone.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
            With the bands and units of the fit.
        n : int, optional
            Number of components; all of the model if not given.

        Returns
        -------
        DataArray, same dims as `cube`

        Notes
        -----
        **Missing values:** spectra that miss a good band are NaN; bad bands are.
        **Chunks:** any; lazy. **Cost:** two contractions.
        """
        most = len(self._fitted("denoise").forward)
        require_count("MNF.denoise", n, "n")
        if n is not None and n > most:
            raise ValueError(
                f"MNF.denoise: n={n} is out of range. The model has {most} components. "
                f"Use n={most} or less."
            )
        scores = self.transform(cube)
        clean = self.inverse_transform(scores.isel(component=slice(n)))
        return clean.assign_attrs(cube.attrs).rename(cube.name)

    def _add(self, cube: xr.DataArray) -> None:
        """Take the spectra and the noise of a cube into the statistics."""
        cube, template = self._to_fit(cube)
        axis = cube.get_axis_num(template.axis.dim)
        if self.noise is not None:
            found = kernels.moments(cube.data, axis, template.good)
            noise = None if self._seen is None else self._seen.noise
            if noise is None:
                noise = given_noise(self.noise, template, self.along)
        else:
            axes = neighbour_axes(cube, template.axis.dim, self.along, "MNF")
            both = kernels.neighbours(cube.data, axis, axes, template.good)
            found, noise = both.data, both.noise
        found = with_rounding(found, cube.dtype)
        self._take_in(Statistics(template, found, noise), cube)

    def _solve(self) -> None:
        """Find the components of the statistics so far."""
        template, moments, noise = self._statistics("fit")
        require_samples(moments, template, self.n_components, "MNF")
        if noise is None or not noise.covariance.any():
            raise ValueError(
                "MNF.fit: the noise is zero. No neighbours differ, so nothing is known "
                "of it. Give the noise of a like scene: MNF(noise=...)."
            )
        found = whitened_found(template, moments, noise, self.n_components)
        found["noise_is_given"] = int(self.noise is not None)
        self._set(State(template, found, moments))

    def _project(self, state: State) -> None:
        """Set the matrices of the projection, and the noise of the statistics."""
        template, found, moments = state
        good = template.good
        self._projection = dataclasses.replace(
            template,
            mean=found["mean"][good],
            forward=found["components"][:, good],
            backward=found["patterns"][:, good].T,
        )
        noise = kernels.Noise(
            found["noise_covariance"][np.ix_(good, good)],
            float(found["noise_freedom"]),
            float(found["noise_pairs_equal"]),
        )
        if moments is not None:
            self._seen = Statistics(template, moments, noise)
        if found["noise_is_given"] and self.noise is None:
            self.noise = labelled(state, self._entries)["noise_covariance"]

    def _options(self) -> dict[str, Any]:
        """Parameters; in a file, given noise is among the fitted arrays."""
        return {
            "n_components": self.n_components,
            "coord": self.coord,
            "noise": self.noise,
            "along": None if self.along is None else list(self.along),
        }

    def _unitless(self) -> set[str]:
        return {"units"}
