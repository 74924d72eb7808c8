r"""Rows of weights from real coordinates: windows, local fits, band responses.

One idea serves Savitzky-Golay filters and finite differences alike: fit a polynomial
of degree `p` by least squares to the samples of a window, at their real coordinates,
and take its derivative `d` at one point. With more than ``p + 1`` samples this smooths;
with ``p + 1`` it is the classical finite difference [1]_, [2]_.

Coordinates are ascending throughout this module. Windows are given by their first
sample and their length; length 0 stands for an output that is not defined.

References
----------
.. [1] Savitzky, A. and Golay, M. J. E. (1964), Anal. Chem. 36, 1627-1639.
.. [2] Fornberg, B. (1988), Math. Comp. 51, 699-706.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

__all__ = [
    "Windows",
    "centred_windows",
    "difference_weights",
    "difference_windows",
    "local_polynomial_weights",
    "response_weights",
    "response_windows",
    "segments",
    "width_windows",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


class Windows(NamedTuple):
    """First sample and number of samples of the window of each output."""

    start: Integers
    length: Integers


def segments(wide: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Ranges ``(start, stop)`` of samples between the steps that are too wide."""
    breaks = (np.flatnonzero(wide) + 1).tolist()
    return list(itertools.pairwise([0, *breaks, len(wide) + 1]))


def centred_windows(
    ranges: list[tuple[int, int]], length: int, polyorder: int
) -> Windows:
    """Windows of `length` samples about each sample, moved inwards at the ends.

    A segment shorter than `length` is one window; one of fewer than ``polyorder + 1``
    samples has none.
    """
    start = np.zeros(ranges[-1][1], np.intp)
    count = np.zeros_like(start)
    for first, stop in ranges:
        size = min(length, stop - first)
        if size <= polyorder:
            continue
        sample = np.arange(first, stop)
        start[first:stop] = np.clip(sample - length // 2, first, stop - size)
        count[first:stop] = size
    return Windows(start, count)


def width_windows(
    x: Floats, ranges: list[tuple[int, int]], width: float, polyorder: int
) -> Windows:
    """Samples in an interval of `width` about each sample, moved inwards at the ends.

    The interval is closed. Where it holds ``polyorder`` samples or fewer the length
    tells how many; the caller decides what that means.
    """
    start = np.zeros(len(x), np.intp)
    count = np.zeros_like(start)
    # samples that sit on the end of the interval belong to it, rounding or not
    slack = 1e-9 * width + 4 * np.spacing(np.abs(x).max())
    for first, stop in ranges:
        part = x[first:stop]
        if stop - first <= polyorder:
            continue
        width_here = min(width, part[-1] - part[0])
        low = np.clip(part - width / 2, part[0], part[-1] - width_here)
        start[first:stop] = first + np.searchsorted(part, low - slack)
        stops = first + np.searchsorted(part, low + width_here + slack, side="right")
        count[first:stop] = stops - start[first:stop]
    return Windows(start, count)


def difference_windows(
    x: Floats, order: int, accuracy: int, edge_accuracy: int
) -> Windows:
    """Smallest windows whose finite difference has an error of order `accuracy`.

    A window of `w` samples differentiates `order` times with an error of order
    ``w - order`` on any spacing, one more where it is symmetric and ``w - order`` odd.
    For odd orders the window is centred; of an even number of samples, it leans to the
    nearer side. Where no such window fits, the same with `edge_accuracy`; where that
    does not fit, ``order + edge_accuracy`` samples at the edge are taken.
    """
    n = len(x)
    size = order + edge_accuracy
    start = np.clip(np.arange(n) - size // 2, 0, n - size)
    length = np.full(n, size)
    for wanted in (edge_accuracy, accuracy):
        general = order + wanted
        if order % 2:
            general += 1 - general % 2
        lower = _nearest_windows(x, general)
        fits = (lower >= 0) & (lower + general <= n)
        start[fits], length[fits] = lower[fits], general
        half = order // 2 + (wanted - 1) // 2
        if order % 2 == 0:
            middle = np.flatnonzero(_is_symmetric(x, half))
            start[middle], length[middle] = middle - half, 2 * half + 1
    return Windows(start.astype(np.intp), length.astype(np.intp))


def _nearest_windows(x: Floats, length: int) -> Integers:
    """First sample of the window about each sample, negative where none fits."""
    sample = np.arange(len(x))
    lower = sample - length // 2
    if length % 2:
        return lower
    left, right = _distances(x, length // 2)
    nearer = np.zeros(len(x))  # compare the outermost samples first
    for k in range(length // 2 - 1, -1, -1):
        with np.errstate(invalid="ignore"):  # no sample on either side
            nearer = np.where(nearer == 0, np.sign(left[k] - right[k]), nearer)
    return np.where(nearer > 0, lower + 1, lower)


def _is_symmetric(x: Floats, half: int) -> npt.NDArray[np.bool_]:
    """Whether the `half` samples on either side are at the same distances."""
    # the rounding of coordinates that were stored as float32 is no unevenness
    stored = np.float32 if np.array_equal(x.astype(np.float32), x) else np.float64
    left, right = _distances(x, half)
    symmetric = np.ones(len(x), np.bool_)
    for k in range(half):
        with np.errstate(invalid="ignore"):  # no sample on either side
            apart = np.abs(left[k] - right[k])
            largest = (np.abs(x) + np.maximum(left[k], right[k])).astype(stored)
            allowed = 2 * np.spacing(largest) + 1e-9 * left[k]
            symmetric &= apart <= allowed
        symmetric[: k + 1] = symmetric[len(x) - k - 1 :] = False
    return symmetric


def _distances(x: Floats, half: int) -> tuple[Floats, Floats]:
    """Distances to the samples on the left and right, (half, sample); inf if none."""
    left, right = np.full((2, half, len(x)), np.inf)
    for k in range(1, min(half, len(x) - 1) + 1):
        left[k - 1, k:] = right[k - 1, :-k] = x[k:] - x[:-k]
    return left, right


def difference_weights(
    x: Floats, windows: Windows, order: int, at: Floats | None = None
) -> Floats:
    r"""Weights of finite differences, one window after the other.

    With :math:`u` the distance to the output, the weight of sample `j` is the
    derivative, at :math:`u = 0`, of the polynomial that is 1 there and 0 at the other
    samples:

    .. math:: w_j = d! \, [u^d] \prod_{k \ne j} \frac{u - u_k}{u_j - u_k}

    Parameters
    ----------
    x : array, (sample,)
        Ascending coordinates.
    windows : Windows, (output,)
        Each of ``order + 1`` samples or more, or empty.
    order : int
        Order of the derivative; 0 interpolates.
    at : array, (output,), optional
        Coordinates of the outputs; those of the samples if not given.

    Returns
    -------
    array, (sum of the lengths,)
        Exact where distances are small integers.
    """
    at = x if at is None else at
    first = np.concatenate([[0], np.cumsum(windows.length)])
    weights = np.empty(first[-1])
    for length in np.unique(windows.length[windows.length > 0]):
        rows = np.flatnonzero(windows.length == length)
        inside = np.arange(length)
        u = x[windows.start[rows, None] + inside] - at[rows, None]
        # a power of two, so that scaling does not round
        scale = np.exp2(np.frexp(np.abs(u).max(axis=1))[1])
        u = (u / scale[:, None]).T  # (sample, row)
        for j in range(length):
            others = np.delete(u, j, axis=0)
            power = np.zeros((order + 1, len(rows)))  # coefficients of the product
            power[0] = 1
            for other in others:
                power[1:] = power[:-1] - other * power[1:]
                power[0] *= -other
            value = math.factorial(order) * power[order] / scale**order
            weights[first[rows] + j] = value / np.prod(u[j] - others, axis=0)
    return weights


def local_polynomial_weights(
    x: Floats,
    windows: Windows,
    polyorder: int,
    deriv: int,
    at: Floats | None = None,
) -> Floats:
    r"""Weights of the samples of each window, one window after the other.

    With :math:`u` the coordinate centred and scaled to :math:`[-1, 1]` over a window,
    :math:`V` the Legendre polynomials up to `polyorder` at its samples and :math:`v`
    their derivative at the output, the weights are :math:`V (V^T V)^{-1} v`, found by
    QR: no normal equations are formed.

    Parameters
    ----------
    x : array, (sample,)
        Ascending coordinates.
    windows : Windows, (output,)
        Each not shorter than ``polyorder + 1``, or empty.
    polyorder : int
        Degree of the polynomial.
    deriv : int
        Order of the derivative.
    at : array, (output,), optional
        Coordinates of the outputs; those of the samples if not given.

    Returns
    -------
    array, (sum of the lengths,)
    """
    at = x if at is None else at
    first = np.concatenate([[0], np.cumsum(windows.length)])
    weights = np.empty(first[-1])
    for length in np.unique(windows.length[windows.length > 0]):
        rows = np.flatnonzero(windows.length == length)
        inside = np.arange(length)
        t = x[windows.start[rows, None] + inside]  # (row, sample)
        centre = (t[:, :1] + t[:, -1:]) / 2
        scale = (t[:, -1:] - t[:, :1]) / 2 if length > 1 else np.ones_like(centre)
        Q, R = np.linalg.qr(legendre.legvander((t - centre) / scale, polyorder))
        where = ((at[rows, None] - centre) / scale)[:, 0]
        v = _legendre_derivative(where, polyorder, deriv) / scale**deriv
        z = np.linalg.solve(np.swapaxes(R, 1, 2), v[..., None])
        weights[first[rows, None] + inside] = (Q @ z)[..., 0]
    return weights


def _legendre_derivative(u: Floats, degree: int, deriv: int) -> Floats:
    """Differentiate the Legendre polynomials up to `degree`: (point, polynomial)."""
    coefficients = legendre.legder(np.eye(degree + 1), deriv)  # (power, polynomial)
    return legendre.legvander(u, degree - deriv) @ coefficients


def response_windows(x: Floats, centre: Floats, reach: Floats) -> Windows:
    """Samples whose straight lines lie within `reach` of each centre.

    A centre that has no reach and is a sample needs that one only.
    """
    start = np.searchsorted(x, centre - reach, side="right") - 1
    stop = np.searchsorted(x, centre + reach, side="left") + 1
    start, stop = np.clip(start, 0, len(x) - 1), np.clip(stop, 1, len(x))
    return Windows(start, stop - start)


def response_weights(
    x: Floats, windows: Windows, centre: Floats, sigma: Floats, reach: Floats
) -> Floats:
    r"""Weights of the samples of each window, one window after the other.

    .. math:: y(c) = \int_{c-r}^{c+r} g_\sigma(t - c)\, f(t)\, dt

    with the Gaussian :math:`g_\sigma` normalised on what there is of the interval, and
    :math:`f` the straight lines between samples, integrated exactly. So constants come
    back on any spacing, straight lines too where the interval is whole, and with
    :math:`\sigma = 0` it is linear interpolation.

    Parameters
    ----------
    x : array, (sample,)
        Ascending coordinates.
    windows : Windows, (output,)
        As `response_windows` gives them, or empty.
    centre, sigma, reach : array, (output,)

    Returns
    -------
    array, (sum of the lengths,)
    """
    places = np.arange(windows.length.max(initial=2))
    inside = places < windows.length[:, None]
    last = np.maximum(windows.length, 1)[:, None] - 1
    u = x[windows.start[:, None] + np.minimum(places, last)] - centre[:, None]
    step = np.diff(u, axis=1)
    width = np.where(sigma > 0, sigma, 1)[:, None]
    z = np.clip(u, -reach[:, None], reach[:, None]) / width
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    from scipy.special import ndtr  # noqa: PLC0415  heavy

    # of the response between two samples, and of its first moment, what falls right
    mass = np.diff(ndtr(z), axis=1)
    moment = -width * np.diff(density, axis=1)
    right = (moment - u[:, :-1] * mass) / np.where(step > 0, step, 1)
    weights = np.zeros_like(u)
    weights[:, 1:] += np.where(step > 0, right, 0)
    weights[:, :-1] += np.where(step > 0, mass - right, 0)
    # no width: straight to the two samples about the centre, or to the one on it
    sharp = (sigma == 0) & (windows.length > 0)
    weights[sharp] = 0
    weights[sharp, 0] = 1
    pairs = np.flatnonzero(sharp & (windows.length == 2))
    weights[pairs, 1] = -u[pairs, 0] / step[pairs, 0]
    weights[pairs, 0] -= weights[pairs, 1]
    total = weights.sum(axis=1, keepdims=True)
    normalised: Floats = (weights / np.where(total > 0, total, 1))[inside]
    return normalised
