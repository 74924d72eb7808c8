"""Fit again, to the samples that are left, the windows in which some are missing.

Each window has polynomials that are orthonormal on all of its samples. What the normal
equations of a fit to some of them need are sums over these: of polynomial times value,
and of products of two polynomials. Such sums are matrix products, for many windows and
spectra at once, and so small a system is solved in a few operations on whole arrays: no
loop over spectra, windows or patterns. Where a system is too near singular for that,
and where there are few windows, each gets polynomials that are orthonormal on the
samples left.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.kernels.contraction import contract_spectra
from cubekit.kernels.polynomials import orthonormal, solution
from cubekit.kernels.products import PRODUCT

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["LocalFit", "refit_array"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]

_ALL = slice(None)
_SAMPLES_A_BLOCK = 2**21
_ROWS = 8  # outputs a tile
_SPECTRA = 512  # at once, so that a tile of them stays in cache
_WINDOWS_AT_ONCE = 2**11
_FEW_WINDOWS = 2**14  # not worth the sums of all windows
# of normal equations in an orthonormal basis: no eigenvalue is less, and none above 1
_LEAST_DETERMINANT = 1e-4


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


def refit_array(
    x: Array,
    matrix: sparse.csr_array,
    axis: int,
    fit: LocalFit,
    *,
    threads: int = 1,
    out: Array | None = None,
) -> Array:
    """Contract `matrix` into one axis of an array, fitted again about missing samples.

    A window is fitted again if ``polyorder + 1`` of its samples are left (``deriv + 1``
    where `polyorder` is None: the degree falls with each sample missing), and if they
    surround or touch the output: some on both sides of it, or the sample there or next
    to it. Else the result is NaN.

    Parameters
    ----------
    x, matrix, axis, threads, out
        As of `cubekit.kernels.contraction.contract_array`.
    fit : LocalFit
        What the rows of `matrix` are.

    Returns
    -------
    array, (..., m, ...)
        Spectra with no NaN or Inf have the bits that `contract_array` gives, and so has
        every window without one.
    """
    contracted = contract_spectra(x, matrix, axis, threads=threads, out=out)
    holes = contracted.tainted
    if not len(holes) or not matrix.nnz:
        return contracted.result
    work = _Refit(contracted.x, contracted.y, matrix, fit)
    size = max(1, _SAMPLES_A_BLOCK // max(matrix.shape))
    blocks = [holes[k : k + size] for k in range(0, len(holes), size)]
    if min(threads, len(blocks)) <= 1:
        for block in blocks:
            work.run(block)
    else:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(work.run, blocks))
    return contracted.result


class _Refit:
    """Windows of a matrix as a table (output, place), filled up with input 0."""

    def __init__(
        self, x: Array, y: Array, matrix: sparse.csr_array, fit: LocalFit
    ) -> None:
        self.x, self.y, self.fit = x, y, fit
        self.length = np.diff(matrix.indptr)
        row = np.repeat(np.arange(len(self.length)), self.length)
        place = np.arange(matrix.nnz) - matrix.indptr[row]
        self.columns = np.zeros((len(self.length), self.length.max()), np.intp)
        self.columns[row, place] = matrix.indices
        self.stored = np.arange(self.length.max()) < self.length[:, None]
        defined = np.ones(len(self.length), np.bool_)
        defined[row[np.isnan(matrix.data)]] = False
        self.least = 1 + (fit.deriv if fit.polyorder is None else fit.polyorder)
        t = self._positions(self.columns, np.arange(len(self.length)))
        self.own = (t == 0).argmax(axis=1)
        self.rows = np.flatnonzero(defined & (self.length > 0))

    @functools.cached_property
    def tiles(self) -> list[_Tile]:
        t = self._positions(self.columns, np.arange(len(self.columns)))
        fit = orthonormal(t.T, self.stored.T, self.fit.polyorder, self.fit.deriv)
        return [
            self._tile(self.rows[k : k + _ROWS], *fit)
            for k in range(0, len(self.rows), _ROWS)
        ]

    def run(self, holes: Integers) -> None:
        """Fit the windows of some spectra, given by their place in (before, after)."""
        x, begin = self._taken(holes)
        bad = ~np.isfinite(x)
        np.copyto(x, 0, where=bad)
        step = self.y.shape[2]
        y = self.y.reshape(-1)
        if np.count_nonzero(bad) * self.columns.shape[1] <= _FEW_WINDOWS:
            spoilt = np.isnan(y[begin + self.rows[:, None] * step])
            output, spectrum = np.divmod(np.flatnonzero(spoilt), len(holes))
            output = self.rows[output]
        else:
            output, spectrum = self._solved(x, bad, begin)
        for k in range(0, len(output), _WINDOWS_AT_ONCE):
            part = slice(k, k + _WINDOWS_AT_ONCE)
            place = begin[spectrum[part]] + output[part] * step
            y[place] = self._fitted(x, bad, output[part], spectrum[part])

    def _solved(
        self, x: Array, bad: Bools, begin: Integers
    ) -> tuple[Integers, Integers]:
        """Solve normal equations; tell the windows (output, spectrum) that are left."""
        step = self.y.shape[2]
        y = self.y.reshape(-1)
        left = [(np.zeros(0, np.intp),) * 2]
        for tile in self.tiles:
            source, missing = x[tile.inputs], bad[tile.inputs]
            hit = np.flatnonzero(missing.any(axis=0))
            for k in range(0, len(hit), tile.spectra):
                some = hit[k : k + tile.spectra]
                value, fits, unsound = tile.solved(
                    np.take(source, some, axis=1),
                    np.take(missing, some, axis=1),
                    self.least,
                    falling=self.fit.polyorder is None,
                )
                where = np.flatnonzero(fits)
                place = begin[some] + tile.rows[:, None] * step
                y[place.reshape(-1)[where]] = value.reshape(-1)[where]
                output, spectrum = np.divmod(np.flatnonzero(unsound), len(some))
                left.append((tile.rows[output], some[spectrum]))
        outputs, spectra = zip(*left, strict=True)
        return np.concatenate(outputs), np.concatenate(spectra)

    def _taken(self, holes: Integers) -> tuple[Array, Integers]:
        """Some spectra, (band, spectrum), and where they begin in the result."""
        inputs, after = self.x.shape[1:]
        before, place = np.divmod(holes, after)
        begin = before * (self.y.shape[1] * after) + place
        if after == 1:
            return np.ascontiguousarray(self.x[before, :, 0].T), begin
        step = np.arange(inputs)[:, None] * after
        index = before * (inputs * after) + place + step
        return np.take(self.x.reshape(-1), index), begin

    def _tile(self, rows: Integers, basis: list[Floats], at_0: list[Floats]) -> _Tile:
        """What the fits of some outputs are made of."""
        stored = self.stored[rows]
        columns = self.columns[rows]
        inputs = np.unique(columns[stored])
        row, place = np.nonzero(stored)
        column = np.searchsorted(inputs, columns[row, place])
        own = self.own[rows]
        basis = [q[:, rows].T for q in basis]

        def dense(windows: list[Array]) -> Floats:
            weights = np.zeros((len(windows), len(rows), len(inputs)))
            for into, window in zip(weights, windows, strict=True):
                into[row, column] = window[row, place]
            return weights

        sides = np.arange(columns.shape[1]) - own[:, None]
        beside = [np.clip(own + k, 0, self.length[rows] - 1) for k in (-1, 0, 1)]
        products = [p * q for k, p in enumerate(basis) for q in basis[: k + 1]]
        together = inputs[-1] - inputs[0] + 1 == len(inputs)
        return _Tile(
            rows,
            slice(inputs[0], inputs[-1] + 1) if together else inputs,
            np.searchsorted(inputs, columns[np.arange(len(rows)), beside]),
            dense([stored & (sides < 0), stored & (sides > 0)]),
            dense(basis),
            dense([stored, *products[1:]]),
            [d[rows, None] for d in at_0],
            max(16, min(_SPECTRA, PRODUCT // (len(rows) * len(inputs)))),
        )

    def _positions(self, columns: Integers, outputs: Integers) -> Floats:
        positions: Floats = self.fit.inputs[columns] - self.fit.outputs[outputs, None]
        return positions

    def _fitted(
        self, x: Array, bad: Bools, output: Integers, spectrum: Integers
    ) -> Floats:
        """Fit windows one for one; NaN where there is no fit."""
        columns = self.columns[output]
        index = columns * x.shape[1] + spectrum[:, None]
        valid = (~bad.reshape(-1)[index] & self.stored[output]).T
        place = np.arange(len(valid))[:, None] - self.own[output]
        fits = (valid & (np.abs(place) <= 1)).any(axis=0)
        fits |= (valid & (place < 0)).any(axis=0) & (valid & (place > 0)).any(axis=0)
        fits &= np.count_nonzero(valid, axis=0) >= self.least
        t = self._positions(columns, output).T
        basis, at_0 = orthonormal(t, valid, self.fit.polyorder, self.fit.deriv)
        values = x.reshape(-1)[index].T.astype(np.float64)
        fitted = np.where(fits, 0.0, np.nan)
        for q, d in zip(basis, at_0, strict=True):
            fitted += np.einsum("ij,ij->j", q, values) * d
        return fitted


class _Tile(NamedTuple):
    """A few outputs, just the inputs they touch, and what the sums of fits need."""

    rows: Integers
    inputs: slice | Integers
    beside: Integers  # inputs before, at and after the output, (3, row)
    sides: Floats  # all inputs before and after it, (2, row, input)
    values: Floats  # polynomials, (polynomial, row, input)
    # their products, of 0 and 0, 1 and 0, 1 and 1, 2 and 0, ..., (product, row, input);
    # 1 in place of the first, which is constant
    products: Floats
    at_0: list[Floats]  # derivative of each polynomial, (row, 1)
    spectra: int  # at once

    def solved(
        self, x: Array, missing: Bools, least: int, *, falling: bool
    ) -> tuple[Floats, Bools, Bools]:
        """Fits to some spectra (input, spectrum), all of them (row, spectrum).

        Returns
        -------
        tuple
            The fits; whether there is one that is new; whether there would be one but
            for normal equations that are too near singular.
        """
        valid = (~missing).astype(np.float64)
        products = list(self.products @ valid)
        count = products[0]
        moments = list(self.values @ x.astype(np.float64))
        full = self.products[0].sum(axis=1, keepdims=True)
        due = (count < full) & (count >= least)
        before, own, after = (missing[inputs] for inputs in self.beside)
        apart = due & before & own & after
        if apart.any():
            due &= ~apart | (self.sides @ valid > 0).all(axis=0)
        value, determinant = solution(
            [count / full, *products[1:]],
            moments,
            list(self.at_0),
            count if falling else None,
        )
        sound = due & (determinant > _LEAST_DETERMINANT)
        return value, sound, due & ~sound
