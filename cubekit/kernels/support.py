"""Which outputs of a matrix depend on an input that is NaN or Inf."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Support"]

Array = npt.NDArray[Any]
_ROWS_A_SLICE = 8  # at least on average, to be worth slices


class Support:
    """Stored entries of a matrix (m, n), zeros included."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self.matrix = matrix

    @functools.cached_property
    def _reach(self) -> tuple[list[list[tuple[Any, Any, Any]]], Array]:
        """Outputs by the length of their support, 1, 2 to 3, 4 to 7, ... inputs.

        For each length: the outputs, where their support begins, and where its last 1,
        2, 4, ... inputs do. Apart, the outputs whose support has gaps.
        """
        indptr, indices = self.matrix.indptr, self.matrix.indices
        count = np.diff(indptr)
        used = count > 0
        first, length = np.zeros((2, len(count)), np.intp)
        first[used] = indices[indptr[:-1][used]]
        length[used] = indices[indptr[1:][used] - 1] + 1 - first[used]
        levels = []
        size = 1
        while size <= length.max(initial=0):
            rows = np.flatnonzero((size <= length) & (length < 2 * size))
            levels.append(_slices(rows, first[rows], first[rows] + length[rows] - size))
            size *= 2
        return levels, np.flatnonzero(length > count)

    @functools.cached_property
    def _entries(self) -> sparse.csr_array:
        matrix = self.matrix
        ones = np.ones(matrix.nnz, np.float32)
        return sparse.csr_array((ones, matrix.indices, matrix.indptr), matrix.shape)

    def spoilt(self, bad: Array) -> Array:
        """Whether the support of each output meets any that is bad.

        From (before, n, ...) to (before, m, ...).
        """
        levels, in_pieces = self._reach
        before, inputs, *after = bad.shape
        spoilt = np.zeros((before, self.matrix.shape[0], *after), np.bool_)
        met = bad  # any bad one of 1, 2, 4, ... inputs from each on
        for power, parts in enumerate(levels):
            for rows, first, last in parts:
                spoilt[:, rows] = met[:, first] | met[:, last]
            met = met[:, : -(2**power)] | met[:, 2**power :]
        if len(in_pieces):
            table = np.moveaxis(bad, 1, 0).reshape(inputs, -1).astype(np.float32)
            hit = self._entries[in_pieces] @ table > 0
            spoilt[:, in_pieces] = np.moveaxis(
                hit.reshape(len(in_pieces), before, *after), 0, 1
            )
        return spoilt


def _slices(rows: Array, first: Array, last: Array) -> list[tuple[Any, Any, Any]]:
    """Indices as slices where most follow one another, which is faster."""
    table = np.array([rows, first, last])
    if not len(rows):
        return []
    starts = np.flatnonzero((np.diff(table, axis=1, prepend=-9) != 1).any(axis=0))
    if len(starts) * _ROWS_A_SLICE > len(rows):
        return [(rows, first, last)]
    stops = np.append(starts[1:], len(rows)) - 1
    ends = zip(starts, stops, strict=True)
    runs = (table[:, [first, stop]] + [0, 1] for first, stop in ends)
    return [(slice(*r[0]), slice(*r[1]), slice(*r[2])) for r in runs]
