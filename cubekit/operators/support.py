"""Sparse matrices whose stored entries, zeros included, are the support."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

if TYPE_CHECKING:
    from cubekit.axis import Axis
    from cubekit.stencils import Windows

__all__ = ["from_windows", "on_support", "take_rows"]


def from_windows(
    axis: Axis, windows: Windows, weights: npt.NDArray[np.float64]
) -> sparse.csr_array:
    """Rows of windows over the good samples of an axis, as a matrix on the axis.

    The rows of bad bands, and of samples with no window, are NaN on their own sample.
    Windows that reach over the end of the axis go on at its other end.
    """
    samples = axis.good_samples
    row = np.repeat(np.arange(len(samples)), windows.length)
    first = np.cumsum(windows.length) - windows.length
    column = np.arange(len(row)) - first[row] + windows.start[row]
    undefined = np.ones(len(axis), np.bool_)
    undefined[samples[windows.length > 0]] = False
    alone = np.flatnonzero(undefined)
    return sparse.coo_array(
        (
            np.concatenate([weights, np.full(len(alone), np.nan)]),
            (
                np.concatenate([samples[row], alone]),
                np.concatenate([samples[column % max(1, len(samples))], alone]),
            ),
        ),
        (len(axis), len(axis)),
    ).tocsr()


def on_support(values: sparse.csr_array, support: sparse.csr_array) -> sparse.csr_array:
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
