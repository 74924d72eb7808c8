"""Which outputs of a matrix depend on an input that is NaN or Inf."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Support"]

Array = npt.NDArray[Any]


class Support:
    """Stored entries of a matrix (m, n), zeros included."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self.matrix = matrix

    @functools.cached_property
    def _reach(self) -> tuple[list[tuple[Array, Array, Array]], Array]:
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
            levels.append((rows, first[rows], first[rows] + length[rows] - size))
            size *= 2
        return levels, np.flatnonzero(length > count)

    @functools.cached_property
    def _entries(self) -> sparse.csr_array:
        matrix = self.matrix
        ones = np.ones(matrix.nnz, np.float32)
        return sparse.csr_array((ones, matrix.indices, matrix.indptr), matrix.shape)

    def spoilt(self, bad: Array) -> Array:
        """Whether the support of each output meets any that is bad, (n, spectrum)."""
        levels, in_pieces = self._reach
        spoilt = np.zeros((self.matrix.shape[0], bad.shape[1]), np.bool_)
        met = bad  # any bad one of 1, 2, 4, ... inputs from each on
        for power, (rows, first, last) in enumerate(levels):
            if len(rows):
                spoilt[rows] = met[first] | met[last]
            met = met[: -(2**power)] | met[2**power :]
        if len(in_pieces):
            spoilt[in_pieces] = self._entries[in_pieces] @ bad.astype(np.float32) > 0
        return spoilt
