r"""Least-squares inverse of a gradient on a grid, matrix-free.

The field :math:`\phi` minimises :math:`\sum_k \| D_k \phi - B_k g_k \|^2`, each
:math:`D_k` acting along one axis only. With :math:`D_k^T D_k = V_k \Lambda_k V_k^T` the
normal equations are diagonal in the basis of all :math:`V_k` together: one small
eigenvalue problem for each axis, and no matrix of the plane.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit import kernels
from cubekit.integration.regions import aligned, regions

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["AxisPair", "GradientSolver", "Solution"]

Floats = npt.NDArray[np.float64]

_EPSILON = np.finfo(np.float64).eps
_lock = threading.Lock()


class AxisPair(NamedTuple):
    """What acts on field and gradient along one axis, (equation, sample)."""

    difference: sparse.csr_array
    average: sparse.csr_array | None  # None for the samples themselves
    coordinates: Floats


class Solution(NamedTuple):
    """Field, and how it was found."""

    field: Floats
    iterations: int = 0
    residual: float = 0.0
    region: npt.NDArray[np.intp] | None = None  # label of each sample; None if all one


@dataclasses.dataclass(frozen=True)
class GradientSolver:
    """Inverse of the gradient on one grid; small until it is first used."""

    axes: tuple[AxisPair, ...]
    tolerance: float
    max_iterations: int

    @functools.cached_property
    def _modes(self) -> list[tuple[Floats, Floats]]:
        """Eigenvalues and eigenvectors along each axis; zero is exactly zero."""
        from scipy import linalg  # noqa: PLC0415  heavy

        modes: list[tuple[Floats, Floats]] = []
        normals: list[sparse.csr_array] = []
        for pair in self.axes:
            normal = (pair.difference.T @ pair.difference).tocsr()
            normals.append(normal)
            # axes of one spacing have one decomposition
            first = next(k for k, one in enumerate(normals) if _equal(one, normal))
            if first == len(modes):
                # divide and conquer: fast, and the most orthogonal
                values, V = linalg.eigh(
                    normal.toarray(order="F"),
                    driver="evd",
                    overwrite_a=True,
                    check_finite=False,
                )
                zero = values <= 4 * len(values) * _EPSILON * values[-1]
                modes.append((np.where(zero, 0, values), V))
            else:
                modes.append(modes[first])
        return modes

    def _decomposed(self) -> list[tuple[Floats, Floats]]:
        with _lock:  # one thread decomposes, the others wait
            return self._modes

    def solve(self, gradient: Floats) -> Floats:
        """Field of least norm for complete gradients, (band, direction, *grid)."""
        field = self._regular(self._normal(gradient))
        # the normal equations square the condition: solve for what they missed
        field += self._regular(self._normal(gradient, field))
        field -= field.mean(axis=tuple(range(1, field.ndim)), keepdims=True)
        return field

    def solve_weighted(self, gradient: Floats, weights: Floats) -> Solution:
        """Field for a gradient with gaps, (direction, *grid), by conjugate gradients.

        NaN where no equation with a weight tells of the field. Each region has a mean
        of zero.
        """
        known = np.where(weights > 0, gradient, 0)
        rows = [
            self._weights_of_equations(k, weight) for k, weight in enumerate(weights)
        ]
        covered = np.zeros(gradient.shape[1:], np.bool_)
        for k, row in enumerate(rows):
            reach = abs(self.axes[k].difference).T.tocsr()
            covered |= _contract((row > 0).astype(np.float64), reach, k) > 0
        field, iterations, residual = self._conjugate_gradients(known, rows)
        label, count = regions([pair.difference for pair in self.axes], rows)
        if count > 1:
            coordinates = [pair.coordinates for pair in self.axes]
            field, label = aligned(field, known, weights > 0, label, coordinates)
        field = _without_means(field, label, covered)
        field = np.where(covered, field, np.nan)
        return Solution(field, iterations, residual, label)

    def inconsistency(
        self, gradient: Floats, field: Floats, weights: Floats | None
    ) -> float:
        """Root mean square of what no field explains, over the equations that count."""
        squares, count = 0.0, 0
        for k, pair in enumerate(self.axes):
            left = self._averaged(k, gradient[None, k])[0]
            left = left - _contract(field, pair.difference, k)
            if weights is not None:
                left = left[self._weights_of_equations(k, weights[k]) > 0]
            squares += float(np.vdot(left, left))
            count += left.size
        return math.sqrt(squares / count) if count else 0.0

    def _conjugate_gradients(
        self, gradient: Floats, rows: list[Floats]
    ) -> tuple[Floats, int, float]:
        """Minimise, preconditioned by the solution on the whole grid."""

        def normal(field: Floats | None) -> Floats:
            total = np.zeros(gradient.shape[1:])
            for k, (pair, row) in enumerate(zip(self.axes, rows, strict=True)):
                if field is None:
                    equation = self._averaged(k, gradient[None, k])[0]
                else:
                    equation = _contract(field, pair.difference, k)
                total += _contract(row * equation, _transposed(pair), k)
            return total

        field = np.zeros(gradient.shape[1:])
        left = normal(None)
        better = self._regular(left[None])[0]
        direction = better.copy()
        size = start = float(np.vdot(left, better))
        iterations = 0
        while size > self.tolerance**2 * start and iterations < self.max_iterations:
            image = normal(direction)
            step = size / float(np.vdot(direction, image))
            field += step * direction
            image *= step
            left -= image
            del image  # before the next ones are made
            better = self._regular(left[None])[0]
            size, before = float(np.vdot(left, better)), size
            direction *= size / before
            direction += better
            iterations += 1
        residual = math.sqrt(max(size, 0.0) / start) if start > 0 else 0.0
        return field, iterations, residual

    def _weights_of_equations(self, k: int, weights: Floats) -> Floats:
        """Weight of each equation: zero where it needs a sample that has none."""
        average = self.axes[k].average
        if average is None:
            return weights
        missing = _contract((weights == 0).astype(np.float64), average, k) > 0
        weight = _contract(weights, average, k)
        weight[missing] = 0
        return weight

    def _averaged(self, k: int, component: Floats) -> Floats:
        """Component of gradients, (band, *grid), as the equations have it."""
        average = self.axes[k].average
        if average is None:
            return component
        return _contract(component, average, k + 1)

    def _normal(self, gradient: Floats, field: Floats | None = None) -> Floats:
        """Right hand side of the normal equations, less what a field explains."""
        total = np.zeros((gradient.shape[0], *gradient.shape[2:]))
        for k, pair in enumerate(self.axes):
            equation = self._averaged(k, gradient[:, k])
            if field is not None:
                explained = _contract(field, pair.difference, k + 1)
                equation = np.subtract(equation, explained, out=explained)
            total += _contract(equation, _transposed(pair), k + 1)
        return total

    def _regular(self, right: Floats) -> Floats:
        """Solve the normal equations of the whole grid, (band, *grid)."""
        modes = self._decomposed()
        for k, (_, V) in enumerate(modes):
            right = _along(right, V, k + 1)
        total = functools.reduce(
            np.add.outer, [values for values, _ in modes], np.zeros(())
        )
        total[total == 0] = np.inf  # a field without gradient: the result has none
        right /= total
        for k, (_, V) in enumerate(modes):
            right = _along(right, V.T, k + 1)
        return right


def _equal(a: sparse.csr_array, b: sparse.csr_array) -> bool:
    return a.shape == b.shape and abs(a - b).max() == 0


def _contract(x: Floats, matrix: sparse.csr_array, axis: int) -> Floats:
    return np.asarray(kernels.contract(x, matrix, axis))


def _along(x: Floats, V: Floats, axis: int) -> Floats:
    """Multiply an axis of an array by a dense matrix from the right."""
    if axis == x.ndim - 1:
        return x @ V
    if axis == x.ndim - 2:
        return V.T @ x
    return np.moveaxis(np.moveaxis(x, axis, -1) @ V, -1, axis)


def _transposed(pair: AxisPair) -> sparse.csr_array:
    return pair.difference.T.tocsr()


def _without_means(
    field: Floats, label: npt.NDArray[Any], covered: npt.NDArray[np.bool_]
) -> Floats:
    inside = label[covered]
    count = np.bincount(inside, minlength=label.max() + 1)
    total = np.bincount(inside, field[covered], minlength=len(count))
    means: Floats = total / np.maximum(count, 1)
    return np.asarray(field - means[label])
