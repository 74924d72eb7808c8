"""Finite differences on the real coordinates of an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubekit import stencils
from cubekit.arguments import require_integer
from cubekit.operators.axis_operator import AxisOperator
from cubekit.operators.support import from_windows

if TYPE_CHECKING:
    from cubekit.axis import Axis

__all__ = ["derivative_operator"]


def derivative_operator(
    axis: Axis, order: int = 1, *, accuracy: int = 2, edge_accuracy: int | None = None
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
    the good samples about them, and their own derivative is NaN.

    **Missing values:** an output is NaN where its stencil, zero weights included, meets
    NaN or Inf. **Chunks:** any. **Cost:** one small system for each sample of the axis,
    solved once.

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
    edge_accuracy = accuracy if edge_accuracy is None else edge_accuracy
    for name, value in (
        ("order", order),
        ("accuracy", accuracy),
        ("edge_accuracy", edge_accuracy),
    ):
        require_integer("derivative", name, value, 1)
    needed = order + max(accuracy, edge_accuracy)
    x = axis.values[axis.good_samples]
    if len(x) < needed:
        good = "" if len(x) == len(axis) else " good ones"
        raise ValueError(
            f"derivative: order={order} with accuracy={accuracy} needs {needed} "
            f"samples. Coordinate {axis.name!r} has {len(x)}{good}. Use a lower order "
            "or accuracy, or more samples."
        )
    windows = stencils.difference_windows(x, order, accuracy, edge_accuracy)
    weights = stencils.local_polynomial_weights(x, windows, None, order)
    return AxisOperator(
        from_windows(axis, windows, weights),
        axis,
        axis,
        f"derivative(order={order})",
        order,
        "all",
    )
