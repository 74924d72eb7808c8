"""What every linear reduction does once it is fitted: a mean, a matrix and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse

from cubekit import kernels
from cubekit.operators import AxisOperator
from cubekit.reduction.fitted import FittedReduction
from cubekit.reduction.samples import sample_weights

if TYPE_CHECKING:
    from cubekit.reduction.state import State

__all__ = ["LinearReduction"]

Array = npt.NDArray[np.float64]

# growth of the rounding of scores up to which the mean may be taken off last: about two
# bits, of a cube like that of the fit
_MOST_GROWTH = 4


class LinearReduction(FittedReduction):
    """Reduction whose scores are a matrix times what a spectrum has beyond the mean."""

    # a fit, and whether its mean may be taken off last
    _asked: tuple[State | None, bool] = (None, False)

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

    def _scores_of(
        self, cube: xr.DataArray, *, shift_last: bool | None = None
    ) -> xr.DataArray:
        fitted = self._fitted("transform")
        may = self._may_shift_last() if shift_last is None else shift_last
        mean = fitted.on_axis(fitted.mean)
        return self.operator.affine(cube, shift=mean, shift_last=may)

    def _may_shift_last(self) -> bool:
        """Whether the mean may be taken off last; found once, as it takes a while."""
        state = self._state
        if self._asked[0] is not state:
            self._asked = state, self._grows_little()
        return self._asked[1]

    def _grows_little(self) -> bool:
        moments, fitted = self._state.moments, self._fitted("transform")
        # a single output is a dot product, whose terms are added in no known order
        if moments is None or len(fitted.forward) < 2:
            return False
        covariance = moments.scatter / moments.weight
        growth = _growth(fitted.forward, fitted.mean, covariance)
        return bool((growth <= _MOST_GROWTH).all())

    def _cube_of(self, scores: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("inverse_transform")
        given = self._components_of(scores)
        return self._backward(given).affine(scores, offset=fitted.on_axis(fitted.mean))

    def _rest_of(self, cube: xr.DataArray) -> xr.DataArray:
        fitted = self._fitted("residual")
        # what is left may be small: no digit of the scores can be spared
        scores = self._as_scores(self._scores_of(cube, shift_last=False), cube)
        mean = fitted.on_axis(fitted.mean)
        rounded = mean.astype(scores.dtype)
        every = np.arange(len(fitted.component))
        # what rounding takes from the mean, the rebuilt cube gives back
        explained = self._backward(every).affine(scores, offset=mean - rounded)
        apart = cube - xr.DataArray(rounded, dims=fitted.axis.dim)
        rest = apart - explained.transpose(*apart.dims)
        return rest.where(np.isfinite(rest))

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
            ``n_samples``. Of a cube whose spectra are all alike there is no variance
            to explain: `r2_own_mean` is NaN, and `explained_by_scores` 0.
            `r2_fit_mean` is NaN if they all are the mean of the fit.

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
        # a cube that does not vary has the variance of rounding, or none
        least = (4 * np.finfo(np.float64).eps) ** 2 * float(found.mean @ found.mean)
        unexplained = float(error.sum())
        return self._report(
            found.samples,
            by_scores / total if total > least else 0 * by_scores,
            (
                _r2(unexplained, float(np.trace(about_fit)), least),
                _r2(unexplained, total, least),
            ),
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


def _growth(matrix: Array, mean: Array, covariance: Array) -> Array:
    """How many times larger rounding is if a mean is taken off after a product.

    Terms are taken to be added one by one, as matrix products add them: each sum on the
    way is rounded in proportion to its size, which is that of its part of the mean, and
    of its deviation.
    """
    before = matrix @ np.tril(covariance, -1).T
    # variance of each sum on the way (output, band)
    spread = np.cumsum(matrix * (2 * before + matrix * np.diag(covariance)), axis=1)
    with_mean = spread + np.cumsum(matrix * mean, axis=1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        growth: Array = np.sqrt(with_mean.sum(axis=1) / spread.sum(axis=1))
    return growth


def _r2(error: float, total: float, least: float) -> float:
    """Share of a total that is no error; NaN if there is nothing to share."""
    return 1 - error / total if total > least else float("nan")
