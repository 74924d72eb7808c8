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

from cubekit.integration.alignment import aligned
from cubekit.integration.conjugate import ConjugateGradients
from cubekit.integration.regions import regions, slabs, take_means_off

if TYPE_CHECKING:
    from scipy import sparse

    from cubekit.integration.normal import NormalEquations

__all__ = ["GradientSolver", "Solution"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_EPSILON = np.finfo(np.float64).eps
_lock = threading.Lock()


class Solution(NamedTuple):
    """Field, and how it was found."""

    field: Floats
    iterations: int = 0
    residual: float = 0.0
    region: Array | None = None  # label of each sample; None if all one


@dataclasses.dataclass(frozen=True)
class GradientSolver:
    """Inverse of the gradient on one grid; small until it is first used."""

    equations: NormalEquations
    tolerance: float
    max_iterations: int

    def _decompose(self) -> list[tuple[Floats, Array]]:
        """Eigenvalues and eigenvectors along each axis; zero is exactly zero."""
        from scipy import linalg  # noqa: PLC0415  heavy

        modes: list[tuple[Floats, Array]] = []
        normals: list[sparse.csr_array] = []
        for pair in self.equations.axes:
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

    @functools.cached_property
    def _modes(self) -> list[tuple[Floats, Array]]:
        return self._decompose()

    @functools.cached_property
    def _single(self) -> list[tuple[Floats, Array]]:
        """The same in single precision: enough to precondition, and half the memory."""
        rounded: dict[int, Array] = {}
        return [
            (values, rounded.setdefault(id(V), V.astype(np.float32)))
            for values, V in self.__dict__.get("_modes") or self._decompose()
        ]

    def _decomposed(self, dtype: npt.DTypeLike) -> list[tuple[Floats, Array]]:
        with _lock:  # one thread decomposes, the others wait
            return self._single if dtype == np.float32 else self._modes

    def solve(self, gradient: Array) -> Floats:
        """Field of least norm for a complete gradient, (direction, *grid)."""
        field = self._regular(self.equations.right(gradient))
        # the normal equations square the condition: solve for what they missed
        field += self._regular(self.equations.right(gradient, field))
        field -= field.mean()
        return field

    def solve_weighted(self, gradient: Array, weights: Array) -> Solution:
        """Field for a gradient with gaps, (direction, *grid), by conjugate gradients.

        `weights`, zero for a gap, may be of any dtype, boolean too. NaN where no
        equation with a weight tells of the field. Each region has a mean of zero.
        """
        rows = [
            self.equations.weights_of_equations(k, weight)
            for k, weight in enumerate(weights)
        ]
        work = ConjugateGradients(self.equations, self._regular, rows)
        field, iterations, residual = work.solve(
            gradient,
            weights,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        ties = [pair.ties for pair in self.equations.axes]
        coordinates = [pair.coordinates for pair in self.equations.axes]
        label, _ = regions(ties, rows)
        label = aligned(
            field,
            gradient,
            weights,
            rows=rows,
            label=label,
            differences=ties,
            coordinates=coordinates,
        )
        take_means_off(field, label, self.equations.covered(rows))
        return Solution(field, iterations, residual, label)

    def inconsistency(
        self, gradient: Array, field: Floats, weights: Array | None
    ) -> float:
        """Root mean square of what no field explains, over the equations that count."""
        squares, count = 0.0, 0
        for k in range(len(self.equations.axes)):
            row = None
            if weights is not None:
                row = self.equations.weights_of_equations(k, weights[k])
            for part in slabs(field.shape, k):
                left = self.equations.residual(k, part, gradient, field)
                if row is not None:
                    left = left[row[part] > 0]
                squares += float(np.vdot(left, left))
                count += left.size
        return math.sqrt(squares / count) if count else 0.0

    def _regular(self, right: Floats) -> Floats:
        """Solve the normal equations of the whole grid, in place of their right."""
        modes = self._decomposed(right.dtype)
        for k, (_, V) in enumerate(modes):
            _along(right, V, k)
        first, *others = [values for values, _ in modes]
        rest = functools.reduce(np.add.outer, others, np.zeros(()))
        for k, value in enumerate(first):
            total = value + rest
            # a field without gradient: the result has none
            right[k] /= np.where(total == 0, np.inf, total)
        for k, (_, V) in enumerate(modes):
            _along(right, V.T, k)
        return right


def _equal(a: sparse.csr_array, b: sparse.csr_array) -> bool:
    return a.shape == b.shape and abs(a - b).max() == 0


def _along(x: Array, V: Array, axis: int) -> None:
    """Multiply an axis of an array by a dense matrix from the right, in place."""
    for part in slabs(x.shape, axis):
        if axis == x.ndim - 2:
            x[part] = V.T @ x[part]
        else:
            x[part] = np.moveaxis(np.moveaxis(x[part], axis, -1) @ V, -1, axis)
