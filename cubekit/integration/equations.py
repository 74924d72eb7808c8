"""The equations of a gradient along one axis: of `gradient`, or between neighbours."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cubekit.integration.normal import AxisPair
from cubekit.operators import derivative_operator
from cubekit.operators.difference import checked_period

if TYPE_CHECKING:
    from cubekit.axis import Axis

__all__ = ["compact_equations", "same_equations"]

_NAME = "integrate_gradient"
_ROUNDING = 1e-12


def same_equations(
    axis: Axis, accuracy: int, edge_accuracy: int | None, period: float | None
) -> AxisPair:
    """Operators of `gradient` along an axis; bad bands are gaps of the gradient."""
    operator = derivative_operator(
        dataclasses.replace(axis, good=None),
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        period=period,
    )
    matrix = operator.matrix
    largest = abs(matrix).max(axis=1).toarray().ravel()
    # even spacing that is rounded: what its middle samples weigh is no tie to them
    rounding = _ROUNDING * np.repeat(largest, np.diff(matrix.indptr))
    ties = matrix.copy()
    ties.data[np.abs(ties.data) <= rounding] = 0
    ties.eliminate_zeros()
    return AxisPair(matrix, None, axis.values, ties)


def compact_equations(
    axis: Axis, accuracy: int, edge_accuracy: int | None, period: float | None
) -> AxisPair:
    """Differences of neighbours along an axis, and means of two."""
    if accuracy != 2 or edge_accuracy is not None:
        raise ValueError(
            f'{_NAME}: accuracy={accuracy} is given with scheme="compact". That has an '
            'error of second order. Leave it out, or use scheme="same".'
        )
    x = axis.values
    if len(x) < 2:
        raise ValueError(
            f"{_NAME}: coordinate {axis.name!r} has {len(x)} samples. A difference "
            "needs 2. Leave this direction out."
        )
    here, there = np.arange(len(x) - 1), np.arange(1, len(x))
    step = np.diff(x)
    if period is not None:
        here, there = np.append(here, len(x) - 1), np.append(there, 0)
        turn = checked_period(_NAME, axis, period) * np.sign(step[0])
        step = np.append(step, x[0] + turn - x[-1])
    equation = np.arange(len(here))
    places = (np.tile(equation, 2), np.concatenate([here, there]))
    shape = (len(here), len(x))
    slope = np.concatenate([-1 / step, 1 / step])
    difference = sparse.coo_array((slope, places), shape).tocsr()
    mean = sparse.coo_array((np.full(2 * len(here), 0.5), places), shape).tocsr()
    return AxisPair(difference, mean, x, difference)
