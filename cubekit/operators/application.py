"""Applying an operator to a cube: its axis checked, its labels rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.axis import Axis, derivative_units
from cubekit.errors import AxisMismatchError
from cubekit.operators.attributes import VALUE_ATTRS, derived_attrs, units_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cubekit.operators.axis_operator import AxisOperator

__all__ = ["applied", "attrs_of_result", "refit_of"]


def applied(operator: AxisOperator, cube: xr.DataArray, **how: Any) -> xr.DataArray:
    """Contract the matrix of an operator into a cube, `how` as of `kernels.contract`.

    Returns
    -------
    DataArray, dims (..., output.dim, ...)
        With the coordinates of the cube that the output axis leaves true.

    Raises
    ------
    AxisMismatchError
        If the axis of `cube` is not the input axis, or it has the output dim already.
    """
    axis = Axis.from_cube(cube, operator.input.name)
    axis.require_equal(
        operator.input,
        f"apply {operator.name} to this cube",
        "Was it stored as float32? Build the operator from this cube, or assign "
        "its coordinate.",
    )
    require_real(cube, operator.name)
    output = operator.output
    if output.dim != axis.dim and output.dim in cube.dims:
        raise AxisMismatchError(
            f"cannot apply {operator.name} to this cube: it gives dim "
            f"{output.dim!r}, which the cube already has. Rename that: "
            f"cube.rename({output.dim}=...)."
        )
    data = kernels.contract(
        cube.data, operator.matrix, cube.get_axis_num(axis.dim), **how
    )
    dims = [output.dim if d == axis.dim else d for d in cube.dims]
    coords: dict[Hashable, xr.Variable] = {
        k: c.variable.copy(deep=False) for k, c in cube.coords.items()
    }
    if output != axis:
        coords = {k: c for k, c in coords.items() if axis.dim not in c.dims}
        coords.update(output.to_coords())
    return xr.DataArray(data, coords, dims, cube.name, attrs_of_result(operator, cube))


def attrs_of_result(operator: AxisOperator, cube: xr.DataArray) -> dict[str, Any]:
    """Attributes of what an operator makes of a cube: units of the derivative."""
    if not operator.order:
        return {k: v for k, v in cube.attrs.items() if k not in VALUE_ATTRS}
    units = derivative_units(units_of(cube), operator.input.units, operator.order)
    return derived_attrs(cube, units)


def refit_of(operator: AxisOperator, missing: str) -> kernels.LocalFit | None:
    """How its windows are fitted again about missing samples; None if they are not."""
    if missing == "propagate":
        return None
    if missing != "refit":
        raise ValueError(
            f"{operator.name}: missing={missing!r} is unknown. Missing values can be "
            "handed on, or windows fitted again to the samples that are left. Use "
            'missing="propagate" or missing="refit".'
        )
    if operator.degree is None:
        raise ValueError(
            f'{operator.name}: missing="refit" needs a polynomial for each window. The '
            "rows of this operator are no such fits, or reach over a seam. Apply "
            "the operators that it is made of one after the other, each with "
            'missing="refit", and build them with no period.'
        )
    degree = None if operator.degree == "all" else operator.degree
    return kernels.LocalFit(
        operator.input.values, operator.output.values, degree, operator.order
    )
