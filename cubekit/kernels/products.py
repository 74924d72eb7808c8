"""Matrix products in pieces so small that BLAS starts no threads.

Threads of BLAS under threads of Dask wait for one another: a product of 4096 spectra
of 285 bands took 140 ms with them and 18 without, on two busy cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PRODUCT", "gram", "product"]

Array = npt.NDArray[Any]

# multiplications up to which OpenBLAS stays on one thread
PRODUCT = 2**18
# rows and columns of a piece: unequal, as equal ones would be a symmetric product,
# which is slow when it is small
_ROWS, _COLUMNS = 48, 64


def gram(x: Array) -> Array:
    """Product of a tall matrix (row, column) with itself, (column, column)."""
    columns = x.shape[1]
    out = np.empty((columns, columns), x.dtype)
    for a in range(0, columns, _ROWS):
        rows = slice(a, min(a + _ROWS, columns))
        for b in range(a, columns, _COLUMNS):
            part = slice(b, min(b + _COLUMNS, columns))
            piece = product(x[:, rows], x[:, part])
            out[rows, part] = piece
            out[part, rows] = piece.T
    return out


def product(a: Array, b: Array) -> Array:
    """Product of the transpose of a tall matrix with another, a' b."""
    m, n = a.shape[1], b.shape[1]
    if m == n and m > 1:
        half = m // 2
        return np.concatenate([product(a[:, :half], b), product(a[:, half:], b)])
    out = np.zeros((m, n), np.result_type(a, b))
    for i in range(0, m, _ROWS):
        for j in range(0, n, _COLUMNS):
            left, right = a[:, i : i + _ROWS], b[:, j : j + _COLUMNS]
            depth = max(1, PRODUCT // max(1, left.shape[1] * right.shape[1]))
            out[i : i + _ROWS, j : j + _COLUMNS] = _deep(left, right, depth)
    return out


def _deep(a: Array, b: Array, depth: int) -> Array:
    """Sum of the products of slices of rows."""
    whole = len(a) // depth * depth
    rest: Array = a[whole:].T @ b[whole:]
    if whole:
        left = a[:whole].reshape(-1, depth, a.shape[1]).swapaxes(1, 2)
        rest = rest + (left @ b[:whole].reshape(-1, depth, b.shape[1])).sum(axis=0)
    return rest
