"""Applying an operator to a cube: its axis checked, its labels rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.axis import Axis, derivative_units
from cubekit.errors import AxisMismatchError
from cubekit.operators.attributes import VALUE_ATTRS, derived_attrs, units_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from scipy import sparse

__all__ = ["applied", "attrs_of_derivative", "require_refit"]


def applied(
    name: str,
    cube: xr.DataArray,
    matrix: sparse.csr_array,
    ends: tuple[Axis, Axis],
    order: int,
    **how: Any,
) -> xr.DataArray:
    """Contract a matrix into a cube.

    Parameters
    ----------
    name : str
        What is applied, for messages.
    cube : DataArray, dims (..., input.dim, ...)
        Real values; NumPy or Dask.
    matrix : csr_array, (output, input)
        Weights.
    ends : tuple of two Axis
        Input and output.
    order : int
        Order of the derivative that the matrix takes.
    **how
        As of `cubekit.kernels.contract`.

    Returns
    -------
    DataArray, dims (..., output.dim, ...)
        With the coordinates of the cube that the output axis leaves true.

    Raises
    ------
    AxisMismatchError
        If the axis of `cube` is not the input axis, or it has the output dim already.
    """
    start, output = ends
    axis = Axis.from_cube(cube, start.name)
    alike = len(axis) == len(start) and np.allclose(axis.values, start.values, 1e-6, 0)
    axis.require_equal(
        start,
        f"apply {name} to this cube",
        f"{'Was it stored as float32? ' if alike else ''}Build the operator from this "
        "cube, or assign its coordinate.",
    )
    require_real(cube, name)
    if output.dim != axis.dim and output.dim in cube.dims:
        raise AxisMismatchError(
            f"cannot apply {name} to this cube: it gives dim {output.dim!r}, which "
            f"the cube already has. Rename that: cube.rename({output.dim}=...)."
        )
    data = kernels.contract(cube.data, matrix, cube.get_axis_num(axis.dim), **how)
    dims = [output.dim if d == axis.dim else d for d in cube.dims]
    coords: dict[Hashable, xr.Variable] = {
        k: c.variable.copy(deep=False) for k, c in cube.coords.items()
    }
    known, new = axis.to_coords(), output.to_coords()
    if output != axis:
        coords = {k: c for k, c in coords.items() if axis.dim not in c.dims}
    else:  # the same places, maybe with other marks or widths
        new = {
            k: new[k]
            for k in ("good_band", "fwhm")
            if k in new and not (k in known and new[k].equals(known[k]))
        }
    coords.update(new)
    attrs = attrs_of_derivative(cube, start, order)
    return xr.DataArray(data, coords, dims, cube.name, attrs)


def attrs_of_derivative(cube: xr.DataArray, axis: Axis, order: int) -> dict[str, Any]:
    """Attributes of a derivative of some order, also none, along an axis of a cube."""
    if not order:
        return {k: v for k, v in cube.attrs.items() if k not in VALUE_ATTRS}
    return derived_attrs(cube, derivative_units(units_of(cube), axis.units, order))


def require_refit(name: str, missing: str, degree: int | str | None) -> bool:
    """Whether windows are fitted again; raise unless that is known, and can be."""
    if missing == "propagate":
        return False
    if missing != "refit":
        raise ValueError(
            f"{name}: missing={missing!r} is unknown. Missing values can be handed on, "
            "or windows fitted again to the samples that are left. Use "
            'missing="propagate" or missing="refit".'
        )
    if degree is None:
        raise ValueError(
            f'{name}: missing="refit" needs a polynomial for each window. The '
            "rows of this operator are no such fits, or reach over a seam. Apply "
            "the operators that it is made of one after the other, each with "
            'missing="refit", and build them with no period.'
        )
    return True
