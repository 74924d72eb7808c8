"""Fit again, to the samples that are left, the windows in which some are missing.

The weights of a window depend on nothing but where it is and which of its samples are
missing. So windows are gathered over all spectra of a block, each pattern is solved
once, and the solutions are handed out: no loop over spectra, nor over patterns.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.kernels.contraction import contract_spectra

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["LocalFit", "refit_array"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.intp]

_ALL = slice(None)
_SAMPLES_A_BLOCK = 2**21
_WINDOWS_AT_ONCE = 2**17
_LARGEST_TABLE = 2**22


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
        length = np.diff(matrix.indptr)
        row = np.repeat(np.arange(len(length)), length)
        place = np.arange(matrix.nnz) - matrix.indptr[row]
        self.columns = np.zeros((len(length), length.max()), np.intp)
        self.columns[row, place] = matrix.indices
        self.empty = np.arange(length.max()) >= length[:, None]
        self.defined = np.ones(len(length), np.bool_)
        self.defined[row[np.isnan(matrix.data)]] = False
        self.least = 1 + (fit.deriv if fit.polyorder is None else fit.polyorder)
        self.spectra = x.shape[2] == 1

    def run(self, holes: Integers) -> None:
        """Fit the windows of some spectra, given by their place in (before, after)."""
        (x, _), (y, places) = self._taken(self.x, holes), self._taken(self.y, holes)
        bad = ~np.isfinite(x)
        np.copyto(x, 0, where=bad)
        band = 1 if self.spectra else 0
        left = len(self.fit.inputs) - np.count_nonzero(bad, axis=band)
        spoilt = np.isnan(y) & np.expand_dims(left >= self.least, band)
        spoilt &= self.defined if self.spectra else self.defined[:, None]
        windows = np.flatnonzero(spoilt)
        for k in range(0, len(windows), _WINDOWS_AT_ONCE):
            some = windows[k : k + _WINDOWS_AT_ONCE]
            spectrum, output = np.divmod(some, y.shape[1])
            if not self.spectra:
                spectrum, output = output, spectrum
            fitted = self._fitted(x, bad, spectrum, output)
            self.y.reshape(-1)[places[spectrum] + output * self.y.shape[2]] = fitted

    def _taken(self, array: Array, holes: Integers) -> tuple[Array, Integers]:
        """Some spectra, (spectrum, band) or (band, spectrum), and where they begin."""
        bands, after = array.shape[1:]
        before, place = np.divmod(holes, after)
        begin = before * (bands * after) + place
        if self.spectra:
            return array[before, :, 0], begin
        step = np.arange(bands)[:, None] * after
        return np.take(array.reshape(-1), begin + step), begin

    def _fitted(
        self, x: Array, bad: Bools, spectrum: Integers, output: Integers
    ) -> Floats:
        columns = self.columns[output]
        step = (x.shape[1], 1) if self.spectra else (1, x.shape[1])
        place = columns * step[1] + (spectrum * step[0])[:, None]
        missing = bad.reshape(-1)[place] | self.empty[output]
        first, pattern = _distinct(output, missing, len(self.columns))
        t = self.fit.inputs[columns[first]] - self.fit.outputs[output[first], None]
        weights = self._weights(t, ~missing[first])
        values = x.reshape(-1)[place].astype(np.float64)
        fitted: Floats = np.einsum("ij,ij->i", weights[pattern], values)
        return fitted

    def _weights(self, t: Floats, valid: Bools) -> Floats:
        """Weights of windows (window, place), NaN where they cannot be fitted again."""
        place = np.arange(t.shape[1]) - (t == 0).argmax(axis=1)[:, None]
        before = (valid & (place < 0)).any(axis=1)
        after = (valid & (place > 0)).any(axis=1)
        touched = (valid & (np.abs(place) <= 1)).any(axis=1)
        enough = np.count_nonzero(valid, axis=1) >= self.least
        weights = np.full(t.shape, np.nan)
        fits = enough & (touched | (before & after))
        weights[fits] = _polynomial_weights(
            t[fits].T, valid[fits].T, self.fit.polyorder, self.fit.deriv
        ).T
        return weights


def _distinct(
    output: Integers, missing: Bools, outputs: int
) -> tuple[Integers, Integers]:
    """One window of each pattern (output, missing samples), and the pattern of each."""
    places = missing.shape[1]
    if outputs << places <= _LARGEST_TABLE:
        code = missing @ (1 << np.arange(places)) * outputs + output
        table = np.empty(outputs << places, np.intp)
        table[code] = np.arange(len(code))
        first = np.flatnonzero(table[code] == np.arange(len(code)))
        table[code[first]] = np.arange(len(first))
        return first, table[code]
    # 32 places at a time: the number of the pattern so far, and the bits of the next
    pattern, first = output, np.arange(len(output))
    for k in range(0, places, 32):
        bits = missing[:, k : k + 32]
        code = pattern << 32 | bits @ (1 << np.arange(bits.shape[1]))
        _, first, pattern = np.unique(code, return_index=True, return_inverse=True)
    return first, pattern


def _polynomial_weights(
    t: Floats, valid: Bools, polyorder: int | None, deriv: int
) -> Floats:
    r"""Weights of the valid samples at `t` (place, window) for the derivative at 0.

    With :math:`q_k` polynomials that are orthonormal on the valid samples, the weights
    are :math:`\sum_k q_k^{(d)}(0)\, q_k(t)`. Each :math:`q_k` is :math:`t\, q_{k-1}`
    made orthogonal to those before, twice, and so are its derivatives at 0 [1]_.

    References
    ----------
    .. [1] Brubeck, P. D., Nakatsukasa, Y. and Trefethen, L. N. (2021), SIAM Rev. 63,
       405-415.
    """
    count = np.count_nonzero(valid, axis=0)
    highest = polyorder if polyorder is not None else int(count.max(initial=1)) - 1
    scale = np.abs(t * valid).max(axis=0, initial=0)
    scale[scale == 0] = 1
    u = t / scale
    orders = np.arange(1, deriv + 1)[:, None]
    values: list[Floats] = []  # (place, window), of each polynomial
    derivatives: list[Floats] = []  # (order, window), at 0
    weights = np.zeros_like(t)
    for k in range(highest + 1):
        if k:
            v = u * values[-1]
            d = np.zeros_like(derivatives[-1])
            d[1:] = orders * derivatives[-1][:-1]
        else:
            v = valid.astype(np.float64)
            d = np.zeros((deriv + 1, t.shape[1]))
            d[0] = 1
        for _ in range(2 if k else 0):
            for q, at_0 in zip(values, derivatives, strict=True):
                along = np.einsum("ij,ij->j", q, v)
                v = v - along * q
                d = d - along * at_0
        norm = np.sqrt(np.einsum("ij,ij->j", v, v))
        norm[count <= k] = np.inf  # there are as many polynomials as samples
        values.append(v / norm)
        derivatives.append(d / norm)
        weights += values[-1] * derivatives[-1][deriv]
    weights /= scale**deriv
    return weights
