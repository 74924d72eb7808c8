"""What an autoencoder does once it is trained: to scores, back, how bands answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from cubekit.arguments import require_integer, require_real
from cubekit.reduction.autoencoder.coder import Coder, Vectors, over_blocks
from cubekit.reduction.autoencoder.judging import explained
from cubekit.reduction.autoencoder.spectra import Blocks
from cubekit.reduction.fitted import FittedReduction
from cubekit.reduction.samples import aligned

__all__ = ["TrainedNetwork"]


class TrainedNetwork(FittedReduction):
    """Reduction by a network that is trained, or will be."""

    n_components: int
    variational: bool
    missing: str
    _coder: Coder

    def _scores_of(self, cube: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("transform")
        axis = cube.get_axis_num(fitted.axis.dim)
        count = self.n_components
        data = over_blocks(
            cube.data,
            axis,
            Vectors(self._coder.scores, fitted.good, np.arange(count), count),
        )
        dims = ["component" if d == fitted.axis.dim else d for d in cube.dims]
        coords = _coords(cube, fitted.axis.dim)
        return xr.DataArray(data, coords, dims, attrs=cube.attrs)

    def _cube_of(self, scores: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("inverse_transform")
        scores = self._all_scores(scores)
        every = np.arange(self.n_components)
        data = over_blocks(
            scores.data,
            scores.get_axis_num("component"),
            Vectors(self._coder.spectra, every, fitted.good, len(fitted.axis)),
        )
        dims = [fitted.axis.dim if d == "component" else d for d in scores.dims]
        coords = {**_coords(scores, "component"), **fitted.axis.to_coords()}
        return xr.DataArray(data, coords, dims, attrs=scores.attrs)

    def _rest_of(self, cube: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("residual")
        rest = over_blocks(
            cube.data,
            cube.get_axis_num(fitted.axis.dim),
            Vectors(self._coder.rest, fitted.good, fitted.good, len(fitted.axis)),
        )
        return cube.copy(data=rest)

    def evaluate(self, cube: xr.DataArray) -> xr.Dataset:
        """How well the model explains a cube, be it new or that of the fit.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
            With the bands and units of the fit.

        Returns
        -------
        Dataset
            As of `PCA.evaluate`: ``explained_by_scores`` (component), ``r2_fit_mean``,
            ``r2_own_mean``, ``rmse`` (band) and ``n_samples``. What a score explains is
            what is lost, as a share of the variance, if it alone is zero: for principal
            components, its variance.

        Notes
        -----
        **Missing values:** not counted. **Chunks:** any; computed now, with one read of
        `cube`. **Cost:** as `transform`, and `inverse_transform` for each component.
        """
        fitted = self._fitted("evaluate")
        cube = self._aligned(cube, "evaluate")
        blocks = Blocks([cube], fitted)
        found = explained(self._coder, blocks.read_all())
        if not found.spectra:
            raise ValueError(
                f"{self._label()}.evaluate: no spectrum has bands enough. Only spectra "
                "with scores are counted. Mark the bands that are always missing as "
                "bad in the coordinate 'good_band', and fit again."
            )
        return self._report(
            found.spectra,
            found.by_scores,
            (found.r2_fit_mean, found.r2_own_mean),
            found.rmse,
        )

    def sample(self, n: int = 1, *, seed: int = 0) -> xr.DataArray:
        """Spectra of scores drawn from the standard normal distribution.

        Parameters
        ----------
        n : int, default 1
        seed : int, default 0

        Returns
        -------
        DataArray, dims (sample, band)
            Without noise. NaN in bad bands.

        Raises
        ------
        ValueError
            If the model is not variational: nothing says how its scores are
            distributed.

        Notes
        -----
        **Missing values:** none. **Chunks:** none. **Cost:** small.
        """
        self._fitted("sample")
        require_integer("Autoencoder.sample", "n", n, 1)
        require_integer("Autoencoder.sample", "seed", seed, 0)
        if not self.variational:
            raise ValueError(
                "Autoencoder.sample: the model has variational=False. Only a "
                "variational one says how scores are distributed. Fit "
                f"Autoencoder({self.n_components}, variational=True)."
            )
        rng = np.random.default_rng(seed)
        scores = xr.DataArray(
            rng.standard_normal((n, self.n_components), np.float32),
            dims=("sample", "component"),
            coords=self._component_coords(),
        )
        return self.inverse_transform(scores)

    def jacobian(self, scores: xr.DataArray) -> xr.DataArray:
        """How each band answers to each latent at some scores: local loadings.

        Parameters
        ----------
        scores : DataArray, dims (..., component, ...)
            Of all components, or of some of them: the others count as zero.

        Returns
        -------
        DataArray, dims (..., band, component)
            Derivatives of `inverse_transform`, exact (automatic differentiation), in
            units of the data. NaN in bad bands. Dask if `scores` is.

        Notes
        -----
        For principal components it would be ``components_``, whatever the scores.

        **Missing values:** NaN where a score is. **Chunks:** any; lazy.
        **Cost:** as `inverse_transform`, for each component; the result is as large as
        the cube times the number of components.
        """
        fitted = self._fitted("jacobian")
        scores = self._all_scores(scores).transpose(..., "component")
        count, bands = self.n_components, len(fitted.axis)
        every = np.arange(count)
        places = (fitted.good[:, None] * count + every).ravel()
        flat = over_blocks(
            scores.data,
            scores.ndim - 1,
            Vectors(self._coder.jacobian, every, places, bands * count),
        )
        coords = {
            **_coords(scores, "component"),
            **fitted.axis.to_coords(),
            **self._component_coords(),
        }
        units = {} if fitted.units is None else {"units": fitted.units}
        return xr.DataArray(
            flat.reshape(*flat.shape[:-1], bands, count),
            coords,
            (*scores.dims[:-1], fitted.axis.dim, "component"),
            name="jacobian",
            attrs={**units, "long_name": f"{self._label()} jacobian"},
        )

    def _all_scores(self, scores: xr.DataArray) -> xr.DataArray:
        """Scores of all components, in order; those that are not given zero."""
        given = self._components_of(scores)
        every = self._component_coords()["component"][1]
        if len(given) == len(every):
            return scores
        whole = scores.assign_coords(component=every[given])
        return whole.reindex(component=every, fill_value=0)

    def _aligned(self, cube: xr.DataArray, doing: str) -> xr.DataArray:
        require_real(cube, "Autoencoder")
        fitted = self._fitted(doing)
        may_miss = self.missing == "mask"
        return aligned(cube, fitted, f"Autoencoder: {doing}", may_miss=may_miss)

    def _label(self) -> str:
        return f"Autoencoder({self.n_components})"

    def _unitless(self) -> set[str]:
        return {"units"}


def _coords(values: xr.DataArray, dim: str) -> dict[Any, Any]:
    """Coordinates that have nothing to do with a dim."""
    return {k: v for k, v in values.coords.items() if dim not in v.dims}
