"""Savitzky-Golay filters on the real coordinates of an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from cubekit import stencils
from cubekit.arguments import require_integer, require_positive
from cubekit.axis import require_axis, wide_steps
from cubekit.operators.axis_operator import AxisOperator
from cubekit.operators.support import from_windows
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from cubekit.axis import Axis

__all__ = ["savgol_operator"]

_NAME = "savgol_filter"
_NAMED = 5  # short segments that a warning spells out


def savgol_operator(
    axis: Axis,
    window_length: int | None = None,
    polyorder: int = 2,
    *,
    deriv: int = 0,
    window_width: float | None = None,
    max_gap: float | Literal["auto"] | None = None,
) -> AxisOperator:
    r"""Savitzky-Golay filter on the real coordinates of an axis.

    Parameters
    ----------
    axis : Axis
        Spacing may vary.
    window_length : int, optional
        Samples in a window; odd. Give this or `window_width`.
    polyorder : int, default 2
        Degree of the polynomial; less than the samples in a window.
    deriv : int, default 0
        Order of the derivative, at most `polyorder`.
    window_width : float, optional
        Width of the window in units of the axis, at most that of the axis; it holds the
        samples at most half of it from the centre.
    max_gap : float or "auto", optional
        No window reaches across a step wider than this, in units of the axis; "auto"
        takes 4 times the median of the 11 steps about it. See `Axis.segments`.

    Returns
    -------
    AxisOperator, axis -> axis
        The derivative is per unit of the axis to the power `deriv`.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Warns
    -----
    UserWarning
        If there are segments between gaps with fewer than ``polyorder + 1`` samples:
        their outputs are NaN.

    Notes
    -----
    .. math:: A_{i\cdot} = v_i^T (V_i^T V_i)^{-1} V_i^T

    with :math:`V_i` a polynomial basis at the samples of window `i` and :math:`v_i` its
    derivative at the sample. At the ends (of the axis, and of each segment between
    gaps) the window moves inwards and the polynomial is evaluated off its centre, as
    ``scipy.signal.savgol_filter(mode="interp")`` does. Noise is amplified there: for 11
    samples and degree 2 the standard deviation of smoothed white noise grows from 0.46
    to 0.76; see `AxisOperator.variance`.

    Bad bands are left out, as if they were not on the axis: `window_length` counts good
    samples, the step from one good sample to the next is what `max_gap` looks at, and
    the result is NaN in the bad bands. As many bad bands in a row as the window is long
    are an end of the axis, even with no `max_gap`.

    **Missing values:** an output is NaN where its window meets NaN or Inf; called with
    ``missing="refit"``, the polynomial is fitted to the samples that are left.
    **Chunks:** any. **Cost:** one QR factorisation for each sample of the axis, done
    once.

    References
    ----------
    .. [1] Savitzky, A. and Golay, M. J. E. (1964), Anal. Chem. 36, 1627-1639.
    .. [2] Gorry, P. A. (1990), Anal. Chem. 62, 570-573.

    Examples
    --------
    >>> import cubekit as ck
    >>> axis = ck.Axis("x", [0.0, 1.0, 2.0, 3.0, 4.0])
    >>> ck.savgol_operator(axis, 5, 2).isel(2).matrix.toarray() * 35
    array([[-3., 12., 17., 12., -3.]])
    """
    require_axis("savgol_operator", axis)
    require_integer(_NAME, "polyorder", polyorder, 0)
    require_integer(_NAME, "deriv", deriv, 0)
    if deriv > polyorder:
        raise ValueError(
            f"savgol_filter: deriv={deriv} is more than polyorder={polyorder}. A "
            f"polynomial of that degree has no such derivative. Use polyorder={deriv} "
            "or more."
        )
    if (window_length is None) == (window_width is None):
        unit = axis.units or "coordinate units"
        given = "neither" if window_length is None else "both"
        raise ValueError(
            f"savgol_filter: {given} of window_length and window_width given. The "
            f"window is so many samples, or so many {unit}. Give one of them."
        )
    samples = axis.good_samples
    x = axis.values[samples]
    if len(x) <= polyorder:
        good = "" if len(x) == len(axis) else " good ones"
        raise ValueError(
            f"savgol_filter: polyorder={polyorder} needs {polyorder + 1} samples. "
            f"Coordinate {axis.name!r} has {len(x)}{good}. Use a lower polyorder, or "
            "more samples."
        )
    wide = wide_steps(x, max_gap, _NAME)
    left_out = np.abs(np.diff(samples)) - 1  # bad bands between good samples
    if window_length is not None:
        _check_window_length(window_length, polyorder, axis, len(x))
        ranges = stencils.segments(wide | (left_out >= window_length))
        windows = stencils.centred_windows(ranges, window_length, polyorder)
        size = f"window_length={window_length}"
    else:
        width = require_positive(_NAME, "window_width", window_width)
        _check_window_width(width, axis)
        ranges = stencils.segments(wide | ((left_out > 0) & (np.diff(x) > width)))
        windows = stencils.width_windows(x, ranges, width, polyorder)
        _check_window_counts(windows, width, polyorder, x, axis)
        size = f"window_width={width:g}"
    _warn_of_short_segments(ranges, polyorder, x, axis)
    weights = stencils.local_polynomial_weights(x, windows, polyorder, deriv)
    detail = f", deriv={deriv}" if deriv else ""
    return AxisOperator(
        from_windows(axis, windows, weights),
        axis,
        axis,
        f"{_NAME}({size}, polyorder={polyorder}{detail})",
        deriv,
        polyorder,
    )


def _check_window_length(length: int, polyorder: int, axis: Axis, count: int) -> None:
    require_integer(_NAME, "window_length", length, 1)
    asked = f"savgol_filter: window_length={length}"
    if length % 2 == 0:
        raise ValueError(
            f"{asked} is even. The window is centred on a sample. "
            f"Use {length - 1} or {length + 1}."
        )
    if length > count:
        good = "" if count == len(axis) else "good "
        raise ValueError(
            f"{asked} is longer than coordinate {axis.name!r} ({count} {good}samples). "
            f"Use {count - 1 + count % 2} or less."
        )
    if length <= polyorder:
        raise ValueError(
            f"{asked} holds too few samples for polyorder={polyorder}. The polynomial "
            f"has {polyorder + 1} coefficients. Use window_length="
            f"{polyorder + 1 + polyorder % 2} or more, or a lower polyorder."
        )


def _check_window_width(width: float, axis: Axis) -> None:
    span = abs(float(axis.values[-1] - axis.values[0]))
    if width > span * (1 + 1e-9) > 0:
        unit = f" {axis.units}" if axis.units else ""
        raise ValueError(
            f"savgol_filter: window_width={width:g}{unit} is wider than coordinate "
            f"{axis.name!r} ({span:g}{unit}). The window is in units of the "
            f"coordinate. Use {span:g} or less."
        )


def _check_window_counts(
    windows: stencils.Windows,
    width: float,
    polyorder: int,
    x: npt.NDArray[np.float64],
    axis: Axis,
) -> None:
    short = np.flatnonzero((windows.length > 0) & (windows.length <= polyorder))
    if not len(short):
        return
    at = int(short[0])
    unit = f" {axis.units}" if axis.units else ""
    distance = np.sort(np.abs(x[:, None] - x[short]), axis=0)[polyorder]
    raise ValueError(
        f"savgol_filter: window_width={width:g}{unit} holds {windows.length[at]} "
        f"samples at {x[at]:g}{unit}. A polynomial of degree {polyorder} needs "
        f"{polyorder + 1}. Use window_width={2.0001 * distance.max():.6g}{unit} or "
        "more."
    )


def _warn_of_short_segments(
    ranges: list[tuple[int, int]],
    polyorder: int,
    x: npt.NDArray[np.float64],
    axis: Axis,
) -> None:
    short = [(x[a], x[b - 1]) for a, b in ranges if b - a <= polyorder]
    if short:
        unit = f" {axis.units}" if axis.units else ""
        places = ", ".join(f"{a:g} to {b:g}{unit}" for a, b in short[:_NAMED])
        if len(short) > _NAMED:
            places += f" and {len(short) - _NAMED} more"
        warn_caller(
            f"savgol_filter: segments of {axis.name!r} between gaps with fewer than "
            f"{polyorder + 1} samples give NaN: {places}"
        )
