"""Sparse matrices whose stored entries, zeros included, are the support."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

if TYPE_CHECKING:
    from cubekit.axis import Axis
    from cubekit.stencils import Windows

__all__ = ["added", "composed", "from_windows", "support_of", "take_rows"]


def from_windows(
    axis: Axis,
    windows: Windows,
    weights: npt.NDArray[np.float64],
    rows: npt.NDArray[np.intp] | None = None,
    nearest: npt.NDArray[np.intp] | None = None,
) -> sparse.csr_array:
    """Windows over the good samples of an axis, as a matrix on all its samples.

    Windows that reach over the end of the axis go on at its other end.

    Parameters
    ----------
    axis : Axis
        Of the inputs.
    windows, weights
        As the functions of `stencils` give them.
    rows : array, (window,), optional
        The output of each window; that of each good sample if not given.
    nearest : array, (output,), optional
        A sample for each output, where the rows with no window, and so those of bad
        bands, are NaN; each its own if not given.
    """
    samples = axis.good_samples
    rows = samples if rows is None else rows
    nearest = np.arange(len(axis)) if nearest is None else nearest
    window = np.repeat(np.arange(len(rows)), windows.length)
    first = np.cumsum(windows.length) - windows.length
    column = np.arange(len(window)) - first[window] + windows.start[window]
    undefined = np.ones(len(nearest), np.bool_)
    undefined[rows[windows.length > 0]] = False
    alone = np.flatnonzero(undefined)
    return sparse.coo_array(
        (
            np.concatenate([weights, np.full(len(alone), np.nan)]),
            (
                np.concatenate([rows[window], alone]),
                np.concatenate(
                    [samples[column % max(1, len(samples))], nearest[alone]]
                ),
            ),
        ),
        (len(nearest), len(axis)),
    ).tocsr()


def support_of(matrix: sparse.csr_array) -> sparse.csr_array:
    """Whether each entry is stored: boolean csr_array of the same shape."""
    stored = np.ones(matrix.nnz, np.bool_)
    return sparse.csr_array((stored, matrix.indices, matrix.indptr), matrix.shape)


def composed(a: sparse.csr_array, b: sparse.csr_array) -> sparse.csr_array:
    """Product, with an entry wherever an output depends on an input."""
    return _on_support(a @ b, support_of(a) @ support_of(b))


def added(a: sparse.csr_array, b: sparse.csr_array) -> sparse.csr_array:
    """Sum, with an entry wherever either has one."""
    return _on_support(a + b, support_of(a) + support_of(b))


def _on_support(
    values: sparse.csr_array, support: sparse.csr_array
) -> sparse.csr_array:
    """Matrix with the given values, and an entry wherever the support has one."""
    support = support.tocsr().sorted_indices()
    values = values.tocsr().sorted_indices()
    data = np.zeros(support.nnz)
    data[np.searchsorted(_flat(support), _flat(values))] = values.data
    return sparse.csr_array((data, support.indices, support.indptr), support.shape)


def _flat(matrix: sparse.csr_array) -> npt.NDArray[np.int64]:
    """Place of each stored entry in the dense matrix, ascending."""
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return row * matrix.shape[1] + matrix.indices


def take_rows(matrix: sparse.csr_array, keep: npt.NDArray[np.intp]) -> sparse.csr_array:
    """Rows of a matrix, explicit zeros kept."""
    length = np.diff(matrix.indptr)[keep]
    indptr = np.concatenate([[0], np.cumsum(length)])
    entry = np.arange(indptr[-1]) + np.repeat(matrix.indptr[keep] - indptr[:-1], length)
    return sparse.csr_array(
        (matrix.data[entry], matrix.indices[entry], indptr),
        (len(keep), matrix.shape[1]),
    )
