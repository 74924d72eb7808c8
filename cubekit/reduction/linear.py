"""What every linear reduction does once it is fitted: a mean, a matrix and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cubekit import kernels
from cubekit.operators import AxisOperator
from cubekit.reduction.fitted import FittedReduction
from cubekit.reduction.samples import sample_weights

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LinearReduction"]

Array = npt.NDArray[np.float64]


class LinearReduction(FittedReduction):
    """Reduction whose scores are a matrix times what a spectrum has beyond the mean."""

    @property
    def operator(self) -> AxisOperator:
        """Projection as an operator from bands to components, without the mean.

        ``pca.operator @ smooth`` is one matrix; the scores are
        ``pca.operator(cube) - pca.operator(pca.mean_)`` but for rounding.
        """
        fitted = self._fitted("operator")
        rows, columns = fitted.forward.shape
        matrix = sparse.csr_array(
            (
                fitted.forward.ravel(),
                np.tile(fitted.good, rows),
                np.arange(0, rows * columns + 1, max(columns, 1))[: rows + 1],
            ),
            (rows, len(fitted.axis)),
        )
        return AxisOperator(matrix, fitted.axis, fitted.component, self._label())

    def _scores_of(self, cube: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("transform")
        return self.operator.affine(cube, shift=fitted.on_axis(fitted.mean))

    def _cube_of(self, scores: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("inverse_transform")
        given = self._components_of(scores)
        return self._backward(given).affine(scores, offset=fitted.on_axis(fitted.mean))

    def _rest_of(self, cube: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("residual")
        n = len(fitted.axis)
        identity = AxisOperator(
            sparse.csr_array(
                (np.ones(len(fitted.good)), (fitted.good, fitted.good)), (n, n)
            ),
            fitted.axis,
            fitted.axis,
            "identity",
        )
        mean, gaps = fitted.on_axis(fitted.mean), fitted.on_axis(0 * fitted.mean)
        apart = identity.affine(cube, shift=mean, offset=gaps)
        every = np.arange(len(fitted.component))
        explained = self._backward(every)(self.transform(cube))
        return apart - explained.transpose(*apart.dims)

    def evaluate(
        self, cube: xr.DataArray, *, weights: xr.DataArray | None = None
    ) -> xr.Dataset:
        r"""How well the components explain a cube, be it new or that of the fit.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...)
            With the bands and units of the fit.
        weights : DataArray, dims (...), optional
            How much each spectrum counts.

        Returns
        -------
        Dataset
            ``explained_by_scores`` (component): variance of the scores over the total
            variance. ``r2_fit_mean``: 1 - SSE / SST with SST about the mean of the fit.
            ``r2_own_mean``: the same about the mean of `cube`. ``rmse`` (band).
            ``n_samples``.

        Notes
        -----
        SSE is the sum of squares of `residual`. The three measures agree on the cube of
        the fit, and differ on any other: `r2_own_mean` may be negative. With C, m the
        covariance and mean of `cube` and R the matrix of the residual,
        :math:`SSE / n = \mathrm{tr}\, R (C + (m - \mu)(m - \mu)^T) R^T`.

        **Missing values:** spectra that miss a good band are left out.
        **Chunks:** any; computed now, with one read of `cube`.
        **Cost:** as a fit.
        """
        fitted = self._fitted("evaluate")
        cube = self._aligned(cube, "evaluate")
        weighed = sample_weights(cube, fitted.axis.dim, weights, self._label())
        found = kernels.moments(
            cube.data, cube.get_axis_num(fitted.axis.dim), fitted.good, weighed
        )
        if not found.samples:
            raise ValueError(
                f"{self._label()}.evaluate: no spectrum has all good bands. Only whole "
                "spectra are counted. Mark the bands that are always missing as bad in "
                "the coordinate 'good_band', and fit again."
            )
        spread = found.scatter / found.weight
        away = found.mean - fitted.mean
        about_fit = spread + np.outer(away, away)
        rest = np.eye(len(away)) - fitted.backward @ fitted.forward
        error = np.clip(
            np.einsum("ij,jk,ik->i", rest, about_fit, rest, optimize=True), 0, None
        )
        by_scores = np.einsum(
            "ki,ij,kj->k", fitted.forward, spread, fitted.forward, optimize=True
        ) * np.sum(fitted.backward**2, axis=0)
        total = float(np.trace(spread))
        with np.errstate(all="ignore"):  # no variance: no share of it is known
            r2_fit_mean = 1 - error.sum() / np.trace(about_fit)
            r2_own_mean = 1 - error.sum() / np.float64(total)
        return self._report(
            found.samples,
            by_scores / total if total else 0 * by_scores,
            (float(r2_fit_mean), float(r2_own_mean)),
            np.sqrt(error),
        )

    def _backward(self, components: npt.NDArray[np.intp]) -> AxisOperator:
        """Operator from some components to bands; nothing depends on bad bands."""
        fitted = self._fitted("inverse_transform")
        columns = len(components)
        length = np.zeros(len(fitted.axis), np.intp)
        length[fitted.good] = columns
        matrix = sparse.csr_array(
            (
                fitted.backward[:, components].ravel(),
                np.tile(np.arange(columns), len(fitted.good)),
                np.concatenate([[0], np.cumsum(length)]),
            ),
            (len(fitted.axis), columns),
        )
        return AxisOperator(
            matrix,
            fitted.component.isel(components),
            fitted.axis,
            f"inverse of {self._label()}",
        )
