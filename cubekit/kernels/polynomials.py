"""Least squares fits of polynomials to windows of samples, many windows at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["orthonormal", "solution"]

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


def solution(
    products: list[Floats],
    moments: list[Floats],
    at_0: list[Floats],
    count: Floats | None,
) -> tuple[Floats, Floats]:
    """Derivatives at 0 of the fits, from the sums of their normal equations, in place.

    One polynomial after another is taken out of those that follow it. With `count`, the
    samples of each window, there are no more polynomials than samples.

    Returns
    -------
    tuple
        The derivatives, and the determinant of the products.
    """
    size = len(moments)
    rows = [products[k * (k + 1) // 2 :][: k + 1] for k in range(size)]
    value, determinant = np.zeros_like(moments[0]), np.ones_like(moments[0])
    with np.errstate(all="ignore"):  # of what is no fit
        for k in range(size):
            pivot = rows[k][k]
            inverse = np.reciprocal(pivot)
            if count is not None:
                np.copyto(pivot, 1, where=count <= k)
                np.copyto(inverse, 0, where=count <= k)
            determinant *= pivot
            part = moments[k] * at_0[k]
            part *= inverse
            value += part
            for i in range(k + 1, size):
                share = rows[i][k] * inverse
                for j in range(k + 1, i + 1):
                    rows[i][j] -= share * rows[j][k]
                moments[i] -= share * moments[k]
                at_0[i] = at_0[i] - share * at_0[k]
    return value, determinant
