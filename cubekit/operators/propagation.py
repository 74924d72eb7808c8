"""Errors of samples handed on to the results of an operator."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.operators.application import attrs_of_result

if TYPE_CHECKING:
    from cubekit.operators.axis_operator import AxisOperator

__all__ = ["covariance", "std", "variance"]


def variance(operator: AxisOperator, variance: xr.DataArray) -> xr.DataArray:
    """Variance of the results: squared weights times that of the samples."""
    squared = operator.matrix.copy()
    squared.data = squared.data**2
    return dataclasses.replace(
        operator,
        matrix=squared,
        order=2 * operator.order,
        name=f"variance of {operator.name}",
        degree=None,
    )(variance)


def std(operator: AxisOperator, std: xr.DataArray) -> xr.DataArray:
    """Standard deviation of the results: the root of their variance."""
    squared = std.astype(np.result_type(std, np.float32)) ** 2
    result = variance(operator, squared) ** 0.5
    return result.assign_attrs(attrs_of_result(operator, std))


def covariance(
    operator: AxisOperator, sigma: xr.DataArray | npt.NDArray[np.floating]
) -> xr.DataArray:
    """Covariance of the results of one spectrum, from that of its samples."""
    given = np.asarray(sigma, np.float64)
    n = len(operator.input)
    if given.shape != (n, n):
        raise ValueError(
            f"covariance of {operator.name}: sigma has shape {given.shape}. Axis "
            f"{operator.input.name!r} has {n} samples. Give a matrix of shape "
            f"({n}, {n}); for independent errors, variance() takes one spectrum."
        )
    half = operator.matrix @ given  # stored entries only, so no NaN spreads
    output = operator.output
    coords = output.to_coords()
    second = {
        f"{name}_2": xr.Variable(f"{output.dim}_2", c.values, c.attrs)
        for name, c in coords.items()
    }
    return xr.DataArray(
        (operator.matrix @ half.T).T,
        coords={**coords, **second},
        dims=(output.dim, f"{output.dim}_2"),
        name=f"covariance of {operator.name}",
    )
