"""Conjugate gradients for a gradient with gaps, preconditioned by the whole grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.integration.normal import contract
from cubekit.integration.regions import slabs

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubekit.integration.normal import NormalEquations

__all__ = ["ConjugateGradients"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# of the diagonal of the normal equations: less is not smoothed
_LEAST_TIE = 1e-12
# iterations of a smoothing, and how far the eigenvalues reach that they take off
_SMOOTHINGS, _SMOOTHED = 16, 250


class ConjugateGradients:
    """Least squares for one set of gaps.

    Parameters
    ----------
    equations : NormalEquations
    regular : callable
        Solves the normal equations of the whole grid, in place of their right side.
    rows : list of arrays
        Weights of the equations along each axis.
    """

    def __init__(
        self,
        equations: NormalEquations,
        regular: Callable[[Array], Array],
        rows: list[Array],
    ) -> None:
        self.equations, self.regular, self.rows = equations, regular, rows
        self.mean = float(np.mean([row.mean(dtype=np.float64) for row in rows])) or 1.0
        self.scale = self._inverse_diagonal()

    def solve(
        self,
        gradient: Array,
        weights: Array,
        *,
        tolerance: float,
        max_iterations: int,
    ) -> tuple[Floats, int, float]:
        """Minimise, preconditioned by the solution on the whole grid, smoothed.

        Holds six planes at most: the field, what is left, the direction and its image,
        or in place of that, in single precision, the work of the preconditioner.
        """
        field = np.zeros(gradient.shape[1:])
        left = self.equations.right(gradient, rows=self.rows, weights=weights)
        unit = max(-left.min(), left.max()) or 1.0  # far from the ends of float32
        left /= unit
        better = self._better(left)
        direction = better.astype(np.float64)
        size = start = _dot(left, better)
        iterations = 0
        while size > tolerance**2 * start and iterations < max_iterations:
            del better  # before the next ones are made
            # less what it explains
            image = self.equations.right(None, direction, self.rows)
            step = size / -_dot(direction, image)
            image *= step
            left += image
            np.multiply(direction, step, out=image)
            field += image
            del image
            better = self._better(left)
            size, before = _dot(left, better), size
            direction *= size / before
            direction += better
            iterations += 1
        field *= unit
        residual = math.sqrt(max(size, 0.0) / start) if start > 0 else 0.0
        return field, iterations, residual

    def _better(self, left: Floats) -> Array:
        """Nearly solve the normal equations with gaps, in single precision.

        The whole grid knows what is smooth. Between gaps hang samples by few equations,
        where it does not: those are smoothed before and after, which is symmetric.
        """
        better = np.zeros(left.shape, np.float32)
        self._smooth(better, left)
        rest = self.equations.right(None, better, self.rows)
        rest += left
        rest /= self.mean
        better += self.regular(rest)
        del rest
        self._smooth(better, left)
        return better

    def _smooth(self, field: Array, left: Floats) -> None:
        """Improve a field in its short waves; it is changed.

        Chebyshev iterations [1]_ for the upper eigenvalues of the scaled normal
        equations. None is larger than the number of samples of an equation.

        .. [1] Saad, Y. (2003), Iterative Methods for Sparse Linear Systems, 12.3.
        """
        largest = max(
            np.diff(pair.difference.indptr).max() for pair in self.equations.axes
        )
        middle = largest * (1 + 1 / _SMOOTHED) / 2
        half = largest * (1 - 1 / _SMOOTHED) / 2
        change = np.zeros_like(field)
        ratio = 0.0
        for _ in range(_SMOOTHINGS):
            rest = self.equations.right(None, field, self.rows)
            rest += left
            rest *= self.scale
            if ratio == 0:  # the first
                rest /= middle
                ratio = half / middle
            else:
                ratio, before = 1 / (2 * middle / half - ratio), ratio
                rest *= 2 * ratio / half
                change *= ratio * before
            change += rest
            del rest
            field += change

    def _inverse_diagonal(self) -> Array:
        """Inverse of the diagonal of the normal equations; zero for zero."""
        scale = np.zeros(self.equations.shape, np.float32)
        pairs = zip(self.equations.axes, self.rows, strict=True)
        for k, (pair, row) in enumerate(pairs):
            squares = pair.difference.power(2).T.tocsr()
            for part in slabs(scale.shape, k):
                scale[part] += contract(row[part].astype(np.float64), squares, k)
        tied = scale > _LEAST_TIE * scale.max()
        scale[~tied] = 0
        np.divide(1, scale, out=scale, where=tied)
        return scale


def _dot(a: Array, b: Array) -> float:
    """Product in double precision of arrays of any, with no copy of one."""
    return float(
        sum(
            np.vdot(x.astype(np.float64), y.astype(np.float64))
            for x, y in zip(a, b, strict=True)
        )
    )
