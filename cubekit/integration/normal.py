"""Normal equations of a gradient on a grid, matrix-free: a slab of it at a time."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit import kernels
from cubekit.integration.regions import slabs

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["AxisPair", "NormalEquations", "contract"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Part = tuple[slice, ...]


class AxisPair(NamedTuple):
    """What acts on field and gradient along one axis, (equation, sample)."""

    difference: sparse.csr_array
    average: sparse.csr_array | None  # None for the samples themselves
    coordinates: Floats
    ties: sparse.csr_array  # the difference without what is rounding


@dataclasses.dataclass(frozen=True)
class NormalEquations:
    """Equations along the axes of a grid: a field is tied to its gradient by them."""

    axes: tuple[AxisPair, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples along each axis."""
        return tuple(len(pair.coordinates) for pair in self.axes)

    def weights_of_equations(self, k: int, weights: Array) -> Array:
        """Weight of each equation: zero where it needs a sample that has none."""
        average = self.axes[k].average
        if average is None:
            return weights
        shape = list(weights.shape)
        shape[k] = average.shape[0]
        row = np.empty(shape, weights.dtype)
        for part in slabs(weights.shape, k):
            here = weights[part]
            missing = contract((here == 0).astype(np.float32), average, k) > 0
            weight = contract(here.astype(np.float64), average, k)
            row[part] = np.where(missing, 0, weight)
        return row

    def residual(
        self,
        k: int,
        part: tuple[slice, ...],
        gradient: Array | None,
        field: Array | None = None,
        weights: Array | None = None,
    ) -> Floats:
        """Component of a gradient less what a field explains, in a part of the grid."""
        pair = self.axes[k]
        left: Floats = np.zeros(())
        if gradient is not None:
            left = gradient[k][part].astype(np.float64)
            if weights is not None:
                left[weights[k][part] == 0] = 0
            if pair.average is not None:
                left = contract(left, pair.average, k)
        if field is not None:
            explained = contract(field[part], pair.difference, k)
            left = np.subtract(left, explained, out=explained)
        equation: Floats = left
        return equation

    def right(
        self,
        gradient: Array | None,
        field: Array | None = None,
        rows: list[Array] | None = None,
        weights: Array | None = None,
    ) -> Floats:
        """Right hand side of the normal equations, less what a field explains."""
        dtype = np.float64 if field is None else field.dtype
        total = np.zeros(self.shape, dtype)
        for k, pair in enumerate(self.axes):
            transposed = pair.difference.T.tocsr()

            def add(
                part: Part, k: int = k, back: sparse.csr_array = transposed
            ) -> None:
                equation = self.residual(k, part, gradient, field, weights)
                if rows is not None:
                    equation *= rows[k][part]
                total[part] += contract(equation, back, k)

            parts = list(slabs(total.shape, k))  # so that no plane is made on the way
            kernels.shared_out(add, parts, kernels.thread_count())
        return total

    def covered(self, rows: list[Array]) -> npt.NDArray[np.bool_]:
        """Samples that some equation with a weight tells of."""
        covered = np.zeros(self.shape, np.bool_)
        for k, (pair, row) in enumerate(zip(self.axes, rows, strict=True)):
            reach = abs(pair.ties).T.tocsr()
            for part in slabs(covered.shape, k):
                counts = (row[part] > 0).astype(np.float32)
                covered[part] |= contract(counts, reach, k) > 0
        return covered


def contract(x: Array, matrix: sparse.csr_array, axis: int) -> Floats:
    """Contract a matrix into an axis of a part of the grid."""
    return np.asarray(kernels.contract(x, matrix, axis))
