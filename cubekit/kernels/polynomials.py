"""Least squares fits of polynomials to windows of samples, many windows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["orthonormal", "rotated", "solution"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def orthonormal(
    t: Floats, valid: Bools, polyorder: int | None, deriv: int
) -> tuple[list[Floats], list[Floats]]:
    r"""Polynomials that are orthonormal on the valid samples at `t` (place, window).

    Each is :math:`t` times the one before, made orthogonal to all before, twice, and so
    are its derivatives at 0 [1]_. No more of them than samples are other than zero.

    Returns
    -------
    tuple
        Their values (place, window), and their derivatives at 0 (window).

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
        norm[count <= k] = np.inf
        values.append(v / norm)
        derivatives.append(d / norm)
    return values, [d[deriv] / scale**deriv for d in derivatives]


def rotated(values: list[Floats], at_0: list[Floats]) -> tuple[Floats, Floats]:
    """Orthonormal polynomials of which just the last has a derivative at 0.

    They are those given, mirrored window by window.

    Returns
    -------
    tuple
        Their values (polynomial, place, window), and that derivative (window).
    """
    basis, slope = np.array(values), np.array(at_0)
    norm = np.sqrt(np.einsum("kj,kj->j", slope, slope))
    # to the side of the last axis that is farther, so that nothing cancels
    sign = np.where(slope[-1] > 0, -1.0, 1.0)
    mirror = slope.copy()
    mirror[-1] -= sign * norm
    square = np.einsum("kj,kj->j", mirror, mirror)
    square[square == 0] = 1
    along = np.einsum("kj,kij->ij", mirror, basis)
    basis -= mirror[:, None] * (2 / square * along)
    return basis, sign * norm


def solution(products: Array, moments: Array, scratch: Array) -> tuple[Array, Array]:
    """Last unknown of the systems of symmetric equations, changed in place.

    One unknown after another is taken out of the equations that follow.

    Parameters
    ----------
    products : array, (size * (size + 1) / 2, ...)
        Lower triangles, row after row.
    moments : array, (size, ...)
        Right hand sides.
    scratch : array, (3, ...)
        Used up.

    Returns
    -------
    tuple
        The unknown, and the determinant of the system.
    """
    size = len(moments)
    rows = [products[k * (k + 1) // 2 :][: k + 1] for k in range(size)]
    inverse, share, part = scratch
    determinant = rows[0][0]
    with np.errstate(all="ignore"):  # of what is singular
        for k in range(size - 1):
            np.reciprocal(rows[k][k], out=inverse)
            for i in range(k + 1, size):
                np.multiply(rows[i][k], inverse, out=share)
                # rows before this one still have their own column k
                for j in range(k + 1, i + 1):
                    rows[i][j] -= np.multiply(share, rows[j][k], out=part)
                moments[i] -= np.multiply(share, moments[k], out=part)
            determinant *= rows[k + 1][k + 1]
        return np.divide(moments[-1], rows[-1][-1], out=part), determinant
