"""Fit again, to the samples that are left, the windows in which some are missing.

Each window has polynomials that are orthonormal on all of its samples. What the normal
equations of a fit to some of them need are sums over these: of polynomial times value,
and of products of two polynomials. Such sums are contractions with the tiles of the
matrix, in which the polynomials take the place of its weights, and so small a system is
solved in a few operations on whole arrays: no loop over spectra, windows or patterns.
Where a system is too near singular for that, and where few windows have samples
missing, each gets polynomials that are orthonormal on the samples left.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cubekit.kernels.masked import replace
from cubekit.kernels.polynomials import orthonormal, rotated, solution
from cubekit.kernels.support import Support

if TYPE_CHECKING:
    from cubekit.kernels.tiling import Tiling

__all__ = ["LocalFit", "Refit", "Room"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]

_ALL = slice(None)
# a window with one sample missing takes as long as so many of all, and one with more
# missing so much longer
_FEW, _MANY_MISSING = 1 / 16, 5
_WINDOWS_AT_ONCE = 2**11
_VALUES_AT_ONCE = 2**16  # of each sum
# determinant of normal equations in an orthonormal basis: no eigenvalue is less, and
# none above 1, so that the sums lose no more digits; in float64 and in float32
_LEAST = 1e-4
_LEAST_FLOAT32 = 0.03


@dataclasses.dataclass(frozen=True)
class LocalFit:
    """What the rows of a matrix are: derivatives of polynomials fitted to windows.

    Parameters
    ----------
    inputs : array, (n,)
        Coordinates of the inputs.
    outputs : array, (m,)
        Coordinates of the outputs, each that of an input in its window.
    polyorder : int or None
        Degree; None for one less than the samples of each window.
    deriv : int
        Order of the derivative.
    """

    inputs: Floats
    outputs: Floats
    polyorder: int | None
    deriv: int

    def restricted(
        self, rows: slice | Integers = _ALL, columns: slice | Integers = _ALL
    ) -> LocalFit:
        """Fit of some of the outputs to some of the inputs."""
        return dataclasses.replace(
            self, inputs=self.inputs[columns], outputs=self.outputs[rows]
        )


class Room:
    """Memory that one thread uses again: to fill new memory is slow."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.values: Array = np.empty(0, dtype)

    def __call__(self, size: int) -> Array:
        """Return so many values, whatever they are."""
        if len(self.values) < size:
            self.values = np.empty(size, self.values.dtype)
        return self.values[:size]


class Refit:
    """Fit again the windows of some spectra, in which samples are missing.

    A window is fitted again if ``polyorder + 1`` of its samples are left (``deriv + 1``
    where `polyorder` is None: the degree falls with each sample missing), and if they
    surround or touch the output: some on both sides of it, or the sample there or next
    to it. Else the result is NaN.

    Parameters
    ----------
    tiling : Tiling
        Of the matrix (m, n), and of all arrays.
    fit : LocalFit
        What the rows of the matrix are.
    dtype : dtype
        Of the results, and of the sums.
    """

    def __init__(self, tiling: Tiling, fit: LocalFit, dtype: np.dtype[Any]) -> None:
        self.tiling, self.fit, self.dtype = tiling, fit, dtype
        self.least_determinant = _LEAST if dtype.itemsize > 4 else _LEAST_FLOAT32
        self.least = 1 + (fit.deriv if fit.polyorder is None else fit.polyorder)

    def __call__(
        self, x: Array, bad: Bools, y: Array, spoilt: Bools, room: Room
    ) -> None:
        """Put fits in place of the outputs that are spoilt.

        Parameters
        ----------
        x : array, (before, n) or (before, n, after)
            Values, 0 where missing.
        bad : array, as `x`
            Whether a value is missing.
        y : array, (before, m) or (before, m, after)
            Changed where it is spoilt.
        spoilt : array, as `y`
            Whether any value of the window is missing.
        room : Room
            For sums, of the dtype of the results.
        """
        if not self._are_few(bad, spoilt):
            spoilt = self._solved(x, bad, y, spoilt, room)
        place = np.unravel_index(np.flatnonzero(spoilt), spoilt.shape)
        for k in range(0, len(place[0]), _WINDOWS_AT_ONCE):
            part = tuple(along[k : k + _WINDOWS_AT_ONCE] for along in place)
            y[part] = self._fitted(x, bad, *part)

    def _are_few(self, bad: Bools, spoilt: Bools) -> bool:
        """Whether so few windows are spoilt that it is faster to fit them one by one.

        Twice as fast again, at least, is one with a single sample missing.
        """
        if self.fit.polyorder is None:
            return True
        windows = np.count_nonzero(spoilt)
        missing = np.count_nonzero(bad) * len(self._windows.columns)
        cost = windows + _MANY_MISSING * (missing - windows)
        return bool(cost < _FEW * spoilt.size)

    def _solved(
        self, x: Array, bad: Bools, y: Array, spoilt: Bools, room: Room
    ) -> Bools:
        """Solve normal equations; tell which outputs are left."""
        sums = self._sums
        # windows with no sample next to the output need a look at both sides
        left = ~sums.beside.spoilt(~bad)
        left &= spoilt
        for part in self._parts(y):
            products, moments, scratch = self._in(room, y[part].shape)
            valid = (~bad[part]).astype(y.dtype)
            for weights, source, out in (
                (sums.products, valid, products),
                (sums.values, x[part], moments),
            ):
                self.tiling.multiply(
                    weights, self.tiling.inputs(source), self.tiling.outputs(out)
                )
            value, determinant = solution(products, moments, scratch)
            value *= sums.at_0
            left[part] |= spoilt[part] & ~(determinant > self.least_determinant)
            replace(y[part], value, spoilt[part] & ~left[part])
        return left

    def _in(self, room: Room, shape: tuple[int, ...]) -> list[Array]:
        """Arrays for the products, the moments and scratch of so many windows."""
        size = len(self._sums.values[0])
        counts = (size * (size + 1) // 2, size, 3)
        values = room(sum(counts) * math.prod(shape))
        return np.split(values.reshape(-1, *shape), np.cumsum(counts)[:-1])

    def _parts(self, y: Array) -> list[tuple[slice, ...]]:
        """Slices of spectra, so few that all sums stay in cache."""
        before, outputs, *after = y.shape
        length = max(1, _VALUES_AT_ONCE // outputs // (before if after else 1))
        length = min(length, self.tiling.piece)
        lead = (_ALL, _ALL) if after else ()
        return [
            (*lead, slice(k, k + length))
            for k in range(0, after[0] if after else before, length)
        ]

    @functools.cached_property
    def _windows(self) -> _Windows:
        matrix = self.tiling.matrix
        length = np.diff(matrix.indptr)
        row = np.repeat(np.arange(len(length)), length)
        place = np.arange(matrix.nnz) - matrix.indptr[row]
        columns = np.zeros((length.max(initial=1), len(length)), np.intp)
        columns[place, row] = matrix.indices
        t = self.fit.inputs[columns] - self.fit.outputs
        stored = np.arange(len(columns))[:, None] < length
        own = (t == 0).argmax(axis=0)
        return _Windows(row, place, columns, stored, t, own)

    @functools.cached_property
    def _basis(self) -> tuple[Floats, Floats]:
        """Polynomials of all windows, as of `rotated`."""
        t, stored = self._windows.t, self._windows.stored
        return rotated(*orthonormal(t, stored, self.fit.polyorder, self.fit.deriv))

    @functools.cached_property
    def _sums(self) -> _Sums:
        windows, (basis, at_0) = self._windows, self._basis
        values = basis[:, windows.place, windows.row]
        products = [p * q for k, p in enumerate(values) for q in values[: k + 1]]
        near = np.abs(windows.place - windows.own[windows.row]) <= 1
        matrix = self.tiling.matrix
        beside = sparse.csr_array(
            (near[near], (windows.row[near], matrix.indices[near])), matrix.shape
        )
        beside.sort_indices()
        return _Sums(
            self.tiling.dense(np.array(products, self.dtype)),
            self.tiling.dense(values.astype(self.dtype)),
            (at_0 if self.tiling.spectra else at_0[:, None]).astype(self.dtype),
            Support(beside),
        )

    def _fitted(
        self,
        x: Array,
        bad: Bools,
        before: Integers,
        output: Integers,
        after: Integers | int = 0,
    ) -> Floats:
        """Fit some windows, not all; NaN where there is no fit."""
        inputs, size = x.shape[1], math.prod(x.shape[2:])
        columns = self._windows.columns[:, output]
        index = (before * inputs + columns) * size + after
        stored = self._windows.stored[:, output]
        missing = bad.reshape(-1)[index]
        missing &= stored
        values = x.reshape(-1)[index].astype(np.float64)
        fitted = np.full(len(output), np.nan)
        if self.fit.polyorder is not None:
            fitted = self._without_one(missing, values, output)
        left = np.flatnonzero(np.isnan(fitted))
        if len(left):
            valid = stored[:, left] & ~missing[:, left]
            fitted[left] = self._alone(valid, values[:, left], output[left])
        return fitted

    def _without_one(self, missing: Bools, values: Floats, output: Integers) -> Floats:
        """Fit windows in which one sample is missing; NaN where others are.

        The fit to all samples, with that one predicted from the others.
        """
        place = missing.argmax(axis=0)
        basis, at_0 = self._basis
        moments = np.einsum("kij,ij->kj", basis[:, :, output], values)
        there = basis[:, place, output]
        rest = 1 - np.einsum("kj,kj->j", there, there)
        alone = (np.count_nonzero(missing, axis=0) == 1) & (rest > _LEAST)
        prediction = np.einsum("kj,kj->j", there, moments) / np.where(alone, rest, 1)
        fitted = at_0[output] * (moments[-1] + there[-1] * prediction)
        return np.where(alone, fitted, np.nan)

    def _alone(self, valid: Bools, values: Floats, output: Integers) -> Floats:
        """Fit windows, each with polynomials of its own; NaN where there is no fit."""
        place = np.arange(len(valid))[:, None] - self._windows.own[output]
        fits = (valid & (np.abs(place) <= 1)).any(axis=0)
        fits |= (valid & (place < 0)).any(axis=0) & (valid & (place > 0)).any(axis=0)
        fits &= np.count_nonzero(valid, axis=0) >= self.least
        t = self._windows.t[:, output]
        basis, at_0 = orthonormal(t, valid, self.fit.polyorder, self.fit.deriv)
        fitted = np.where(fits, 0.0, np.nan)
        for q, d in zip(basis, at_0, strict=True):
            fitted += np.einsum("ij,ij->j", q, values) * d
        return fitted


class _Windows(NamedTuple):
    """Windows as a table (place, output), filled up with input 0."""

    row: Integers  # of each entry of the matrix
    place: Integers
    columns: Integers
    stored: Bools
    t: Floats  # coordinates, from the output
    own: Integers  # place of the output


class _Sums(NamedTuple):
    """What the normal equations of all windows need."""

    # of polynomials, of which just the last has a derivative at 0: 0 times 0, 1 times
    # 0, 1 times 1, 2 times 0, ...; tiles of each run
    products: list[Array]
    values: list[Array]
    at_0: Array  # derivative of the last polynomial
    beside: Support  # inputs before, at and after each output
