r"""Least-squares inverse of a gradient on a grid, matrix-free.

The field :math:`\phi` minimises :math:`\sum_k \| D_k \phi - B_k g_k \|^2`, each
:math:`D_k` acting along one axis only. With :math:`D_k^T D_k = V_k \Lambda_k V_k^T` the
normal equations are diagonal in the basis of all :math:`V_k` together: one small
eigenvalue problem for each axis, and no matrix of the plane.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import math
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit import kernels
from cubekit.integration.alignment import aligned
from cubekit.integration.regions import regions, slabs, take_means_off

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scipy import sparse

__all__ = ["AxisPair", "GradientSolver", "Solution"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Part = tuple[slice, ...]

_EPSILON = np.finfo(np.float64).eps
# of the diagonal of the normal equations: less is not smoothed
_LEAST_TIE = 1e-12
# iterations of a smoothing, and how far the eigenvalues reach that they take off
_SMOOTHINGS, _SMOOTHED = 16, 250
_lock = threading.Lock()


class AxisPair(NamedTuple):
    """What acts on field and gradient along one axis, (equation, sample)."""

    difference: sparse.csr_array
    average: sparse.csr_array | None  # None for the samples themselves
    coordinates: Floats
    ties: sparse.csr_array  # the difference without what is rounding


class _Gaps(NamedTuple):
    """Weights of the equations, and what the preconditioner knows of them."""

    rows: list[Array]  # one array for each axis
    mean: float
    scale: Array  # inverse of the diagonal of the normal equations; zero for zero


class Solution(NamedTuple):
    """Field, and how it was found."""

    field: Floats
    iterations: int = 0
    residual: float = 0.0
    region: Array | None = None  # label of each sample; None if all one


@dataclasses.dataclass(frozen=True)
class GradientSolver:
    """Inverse of the gradient on one grid; small until it is first used."""

    axes: tuple[AxisPair, ...]
    tolerance: float
    max_iterations: int

    def _decompose(self) -> list[tuple[Floats, Array]]:
        """Eigenvalues and eigenvectors along each axis; zero is exactly zero."""
        from scipy import linalg  # noqa: PLC0415  heavy

        modes: list[tuple[Floats, Array]] = []
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
        field = self._regular(self._normal(gradient))
        # the normal equations square the condition: solve for what they missed
        field += self._regular(self._normal(gradient, field))
        field -= field.mean()
        return field

    def solve_weighted(self, gradient: Array, weights: Array) -> Solution:
        """Field for a gradient with gaps, (direction, *grid), by conjugate gradients.

        `weights`, zero for a gap, may be of any dtype, boolean too. NaN where no
        equation with a weight tells of the field. Each region has a mean of zero.
        """
        rows = [
            self._weights_of_equations(k, weight) for k, weight in enumerate(weights)
        ]
        field, iterations, residual = self._conjugate_gradients(gradient, rows, weights)
        ties = [pair.ties for pair in self.axes]
        coordinates = [pair.coordinates for pair in self.axes]
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
        take_means_off(field, label, self._covered(rows))
        return Solution(field, iterations, residual, label)

    def inconsistency(
        self, gradient: Array, field: Floats, weights: Array | None
    ) -> float:
        """Root mean square of what no field explains, over the equations that count."""
        squares, count = 0.0, 0
        for k in range(len(self.axes)):
            row = None
            if weights is not None:
                row = self._weights_of_equations(k, weights[k])
            for part in slabs(field.shape, k):
                left = self._equations(k, part, gradient, field)
                if row is not None:
                    left = left[row[part] > 0]
                squares += float(np.vdot(left, left))
                count += left.size
        return math.sqrt(squares / count) if count else 0.0

    def _conjugate_gradients(
        self, gradient: Array, rows: list[Array], weights: Array
    ) -> tuple[Floats, int, float]:
        """Minimise, preconditioned by the solution on the whole grid, smoothed.

        Holds six planes at most: the field, what is left, the direction and its image,
        or in place of that, in single precision, the work of the preconditioner.
        """
        field = np.zeros(gradient.shape[1:])
        left = self._normal(gradient, rows=rows, weights=weights)
        unit = max(-left.min(), left.max()) or 1.0  # far from the ends of float32
        left /= unit
        gaps = self._gaps(rows)
        better = self._better(left, gaps)
        direction = better.astype(np.float64)
        size = start = _dot(left, better)
        iterations = 0
        while size > self.tolerance**2 * start and iterations < self.max_iterations:
            del better  # before the next ones are made
            image = self._normal(None, direction, rows)  # less what it explains
            step = size / -_dot(direction, image)
            image *= step
            left += image
            np.multiply(direction, step, out=image)
            field += image
            del image
            better = self._better(left, gaps)
            size, before = _dot(left, better), size
            direction *= size / before
            direction += better
            iterations += 1
        field *= unit
        residual = math.sqrt(max(size, 0.0) / start) if start > 0 else 0.0
        return field, iterations, residual

    def _better(self, left: Floats, gaps: _Gaps) -> Array:
        """Nearly solve the normal equations with gaps, in single precision.

        The whole grid knows what is smooth. Between gaps hang samples by few equations,
        where it does not: those are smoothed before and after, which is symmetric.
        """
        better = np.zeros(left.shape, np.float32)
        self._smooth(better, left, gaps)
        rest = self._normal(None, better, gaps.rows)
        rest += left
        rest /= gaps.mean
        better += self._regular(rest)
        del rest
        self._smooth(better, left, gaps)
        return better

    def _smooth(self, field: Array, left: Floats, gaps: _Gaps) -> None:
        """Improve a field in its short waves; it is changed.

        Chebyshev iterations [1]_ for the upper eigenvalues of the scaled normal
        equations. None is larger than the number of samples of an equation.

        .. [1] Saad, Y. (2003), Iterative Methods for Sparse Linear Systems, 12.3.
        """
        largest = max(np.diff(pair.difference.indptr).max() for pair in self.axes)
        middle = largest * (1 + 1 / _SMOOTHED) / 2
        half = largest * (1 - 1 / _SMOOTHED) / 2
        change = np.zeros_like(field)
        ratio = 0.0
        for _ in range(_SMOOTHINGS):
            rest = self._normal(None, field, gaps.rows)
            rest += left
            rest *= gaps.scale
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

    def _gaps(self, rows: list[Array]) -> _Gaps:
        scale = np.zeros([len(pair.coordinates) for pair in self.axes], np.float32)
        for k, (pair, row) in enumerate(zip(self.axes, rows, strict=True)):
            squares = pair.difference.power(2).T.tocsr()
            for part in slabs(scale.shape, k):
                scale[part] += _contract(row[part].astype(np.float64), squares, k)
        mean = float(np.mean([row.mean(dtype=np.float64) for row in rows]))
        tied = scale > _LEAST_TIE * scale.max()
        scale[~tied] = 0
        np.divide(1, scale, out=scale, where=tied)
        return _Gaps(rows, mean or 1.0, scale)

    def _covered(self, rows: list[Array]) -> npt.NDArray[np.bool_]:
        """Samples that some equation with a weight tells of."""
        covered = np.zeros([len(pair.coordinates) for pair in self.axes], np.bool_)
        for k, (pair, row) in enumerate(zip(self.axes, rows, strict=True)):
            reach = abs(pair.ties).T.tocsr()
            for part in slabs(covered.shape, k):
                counts = (row[part] > 0).astype(np.float32)
                covered[part] |= _contract(counts, reach, k) > 0
        return covered

    def _weights_of_equations(self, k: int, weights: Array) -> Array:
        """Weight of each equation: zero where it needs a sample that has none."""
        average = self.axes[k].average
        if average is None:
            return weights
        shape = list(weights.shape)
        shape[k] = average.shape[0]
        row = np.empty(shape, weights.dtype)
        for part in slabs(weights.shape, k):
            here = weights[part]
            missing = _contract((here == 0).astype(np.float32), average, k) > 0
            weight = _contract(here.astype(np.float64), average, k)
            row[part] = np.where(missing, 0, weight)
        return row

    def _equations(
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
                left = _contract(left, pair.average, k)
        if field is not None:
            explained = _contract(field[part], pair.difference, k)
            left = np.subtract(left, explained, out=explained)
        equation: Floats = left
        return equation

    def _normal(
        self,
        gradient: Array | None,
        field: Array | None = None,
        rows: list[Array] | None = None,
        weights: Array | None = None,
    ) -> Floats:
        """Right hand side of the normal equations, less what a field explains."""
        dtype = np.float64 if field is None else field.dtype
        total = np.zeros([len(pair.coordinates) for pair in self.axes], dtype)
        for k, pair in enumerate(self.axes):
            transposed = pair.difference.T.tocsr()

            def add(
                part: Part, k: int = k, back: sparse.csr_array = transposed
            ) -> None:
                equation = self._equations(k, part, gradient, field, weights)
                if rows is not None:
                    equation *= rows[k][part]
                total[part] += _contract(equation, back, k)

            _each(add, slabs(total.shape, k))  # so that no plane is made on the way
        return total

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


def _each(work: Callable[[Part], None], parts: Iterable[Part]) -> None:
    """Do some work on each part of a grid, several at a time."""
    parts = list(parts)
    threads = min(len(parts), kernels.thread_count())
    if threads == 1:
        for part in parts:
            work(part)
        return
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def _dot(a: Array, b: Array) -> float:
    """Product in double precision of arrays of any, with no copy of one."""
    return float(
        sum(
            np.vdot(x.astype(np.float64), y.astype(np.float64))
            for x, y in zip(a, b, strict=True)
        )
    )


def _contract(x: Array, matrix: sparse.csr_array, axis: int) -> Floats:
    return np.asarray(kernels.contract(x, matrix, axis))


def _along(x: Array, V: Array, axis: int) -> None:
    """Multiply an axis of an array by a dense matrix from the right, in place."""
    for part in slabs(x.shape, axis):
        if axis == x.ndim - 2:
            x[part] = V.T @ x[part]
        else:
            x[part] = np.moveaxis(np.moveaxis(x[part], axis, -1) @ V, -1, axis)
