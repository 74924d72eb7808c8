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
# rows and columns of a tile of a product, measured best for few and for many columns,
# where rows lie together and where columns do; unequal, as equal ones would be a
# symmetric product, which is slow when it is small
_TILES = {False: ((16, 32), (32, 64)), True: ((8, 16), (32, 32))}
_MANY_COLUMNS = 96
# rows of a product that are computed together: fewer of them take as long
_TOGETHER = 4
# terms added one by one: small products know no better way, and their rounding grows
_DEPTH = 256


def gram(x: Array) -> Array:
    """Product of a tall matrix (row, column) with itself, (column, column)."""
    columns = x.shape[1]
    out = np.empty((columns, columns), x.dtype)
    tall, wide = _TILES[x.strides[0] < x.strides[1]][columns > _MANY_COLUMNS]
    for a in range(0, columns, tall):
        rows = slice(a, min(a + tall, columns))
        whole = a + (columns - a) // wide * wide
        if whole > a:
            _multiply_tiles(x[:, rows], x[:, a:whole], wide, out[rows, a:whole])
        if whole < columns:
            _multiply(x[:, rows], x[:, whole:], out[rows, whole:])
        out[a:, rows] = out[rows, a:].T
    return out


def product(a: Array, b: Array) -> Array:
    """Product of the transpose of a tall matrix with another, a' b."""
    m, n = a.shape[1], b.shape[1]
    tall, wide = _TILES[False][0]
    out = np.empty((m, n), np.result_type(a, b))
    for i in range(0, m, tall):
        rows = slice(i, i + tall)
        for j in range(0, n, wide):
            part = slice(j, j + wide)
            _multiply(a[:, rows], b[:, part], out[rows, part])
    return out


def _multiply_tiles(a: Array, b: Array, wide: int, out: Array) -> None:
    """Put a' b into `out`, for all tiles of so many columns of b in one call."""
    m, tiles = a.shape[1], b.shape[1] // wide
    depth = _depth(m * wide)
    whole = len(a) // depth * depth
    left = a[:whole].reshape(-1, depth, m).swapaxes(1, 2)
    # (tile, slice, row, column)
    right = b[:whole].reshape(-1, depth, tiles, wide).transpose(2, 0, 1, 3)
    found = np.add.reduce(left @ right, axis=1)
    out[:] = found.swapaxes(0, 1).reshape(out.shape)
    if whole < len(a):
        _add_rest(a[whole:], b[whole:], wide, out)


def _add_rest(a: Array, b: Array, wide: int, out: Array) -> None:
    """Add the product of the last rows to `out`, tile by tile."""
    for k in range(0, b.shape[1], wide):
        out[:, k : k + wide] += a.T @ b[:, k : k + wide]


def _depth(products: int) -> int:
    """Rows of a slice: a power of two, as most blocks are, so that none are left."""
    return 1 << (max(1, min(_DEPTH, PRODUCT // max(1, products))).bit_length() - 1)


def _multiply(a: Array, b: Array, out: Array) -> None:
    """Put a' b into `out`, as the sum of the products of slices of rows."""
    m, n = out.shape
    if m == n > 1:
        half = -(-m // 2 // _TOGETHER) * _TOGETHER
        half = half if half < m else m // 2
        rest = min(half, m - half)  # some rows twice, as that costs nothing
        _multiply(a[:, :half], b, out[:half])
        _multiply(a[:, rest:], b, out[rest:])
        return
    depth = _depth(m * n)
    whole = len(a) // depth * depth
    left = a[:whole].reshape(-1, depth, m).swapaxes(1, 2)
    np.add.reduce(left @ b[:whole].reshape(-1, depth, n), axis=0, out=out)
    if whole < len(a):
        out += a[whole:].T @ b[whole:]
