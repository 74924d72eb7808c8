"""Finite differences on the real coordinates of an axis."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from cubekit import stencils
from cubekit.arguments import require_integer, require_positive
from cubekit.axis import Axis, require_axis
from cubekit.operators.axis_operator import AxisOperator
from cubekit.operators.support import from_windows

__all__ = ["checked_period", "derivative_operator", "point_operator"]


def derivative_operator(
    axis: Axis,
    order: int = 1,
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    period: float | None = None,
) -> AxisOperator:
    """Finite difference on the real coordinates of an axis.

    Parameters
    ----------
    axis : Axis
        Spacing may vary.
    order : int, default 1
        Order of the derivative.
    accuracy : int, default 2
        Order of the error under refinement, at every sample and on any spacing.
    edge_accuracy : int, optional
        The same for the samples whose stencil does not fit inside the axis; `accuracy`
        if not given.
    period : float, optional
        Length after which the axis begins again, in its units: stencils reach over the
        seam, and there are no edges.

    Returns
    -------
    AxisOperator, axis -> axis
        In units of the data per unit of the axis to the power `order`.

    Raises
    ------
    ValueError, TypeError
        If the axis is too short, or a parameter is out of range or of the wrong type.

    Notes
    -----
    The stencil is the smallest that keeps the promise: symmetric where the spacing is
    even, with one sample more for even orders where it is not. First derivatives equal
    ``numpy.gradient(edge_order=2)``, with ``edge_accuracy=1`` its default.

    Bad bands are left out, as if they were not on the axis: the stencils are made of
    the good samples about them, and their own derivative is NaN. Gaps are reached
    across, at the right distances; a filter with `max_gap` and ``deriv`` stops at them,
    see `savgol_operator`.

    **Missing values:** an output is NaN where its stencil, zero weights included, meets
    NaN or Inf; with a `period`, ``missing="refit"`` is refused. **Chunks:** any.
    **Cost:** one small system for each sample of the axis, solved once.

    References
    ----------
    .. [1] Fornberg, B. (1988), Math. Comp. 51, 699-706.

    Examples
    --------
    >>> import cubekit as ck
    >>> axis = ck.Axis("x", [0.0, 1.0, 3.0, 4.0])
    >>> ck.derivative_operator(axis).isel(1).matrix.toarray().round(4)
    array([[-0.6667,  0.5   ,  0.1667,  0.    ]])
    """
    require_axis("derivative_operator", axis)
    edge_accuracy = accuracy if edge_accuracy is None else edge_accuracy
    for name, value in (
        ("order", order),
        ("accuracy", accuracy),
        ("edge_accuracy", edge_accuracy),
    ):
        require_integer("derivative", name, value, 1)
    x = axis.values[axis.good_samples]
    needed = order + max(accuracy, edge_accuracy)
    halo = 0
    if period is not None:
        needed = halo = order + accuracy + 1
        period = checked_period("derivative", axis, period)
    if len(x) < needed:
        good = "" if len(x) == len(axis) else " good ones"
        raise ValueError(
            f"derivative: order={order} with accuracy={accuracy} needs {needed} "
            f"samples. Coordinate {axis.name!r} has {len(x)}{good}. Use a lower order "
            "or accuracy, or more samples."
        )
    wrapped = x
    if period is not None:
        wrapped = np.concatenate([x[-halo:] - period, x, x[:halo] + period])
    windows = stencils.difference_windows(wrapped, order, accuracy, edge_accuracy)
    inner = slice(halo, halo + len(x))
    windows = stencils.Windows(windows.start[inner], windows.length[inner])
    weights = stencils.difference_weights(wrapped, windows, order, at=x)
    windows = windows._replace(start=windows.start - halo)
    return AxisOperator(
        from_windows(axis, windows, weights),
        axis,
        axis,
        f"derivative(order={order})",
        order,
        "all" if period is None else None,  # coordinates of a fit know no seam
    )


def point_operator(
    axis: Axis, at: float, order: int = 0, *, accuracy: int = 2
) -> AxisOperator:
    """Value (order 0) or derivative at one place of an axis, a sample or not.

    At a sample it is the row of `derivative_operator`; between samples the nearest
    ``order + accuracy`` of them are interpolated.
    """
    samples = axis.good_samples
    x = axis.values[samples]
    nearest = int(np.abs(x - at).argmin())
    if x[nearest] == at and order:
        operator = derivative_operator(axis, order, accuracy=accuracy)
        return operator.isel(int(samples[nearest]))
    length = order + accuracy if order or x[nearest] != at else 1
    if len(x) < length:
        raise ValueError(
            f"local_model: accuracy={accuracy} needs {length} samples. Coordinate "
            f"{axis.name!r} has {len(x)}. Use a lower accuracy, or more samples."
        )
    middle = nearest if length % 2 else int(np.searchsorted(x, at))
    start = np.clip(middle - length // 2, 0, len(x) - length)
    windows = stencils.Windows(np.array([start]), np.array([length]))
    weights = stencils.difference_weights(x, windows, order, at=np.array([at]))
    column = samples[start : start + length]
    matrix = sparse.coo_array(
        (weights, (np.zeros(length, np.intp), column)), (1, len(axis))
    )
    place = Axis(axis.dim, np.array([at]), axis.name, axis.units)
    return AxisOperator(
        matrix.tocsr(), axis, place, f"derivative(order={order})", order
    )


def checked_period(function: str, axis: Axis, given: float) -> float:
    """Period as a float; raise unless it is longer than the axis."""
    period = require_positive(function, "period", given)
    span = abs(float(axis.values[-1] - axis.values[0]))
    if span < period * (1 - 1e-6):
        return period
    unit = f" {axis.units}" if axis.units else ""
    raise ValueError(
        f"{function}: {axis.name!r} has the period {period:g}{unit}. Its samples span "
        f"{span:g}{unit}, a full turn or more, so that one place is there twice. Give "
        "a longer period, or if only the last sample is the first again, leave it out: "
        f"cube.isel({axis.dim}=slice(None, -1))."
    )
