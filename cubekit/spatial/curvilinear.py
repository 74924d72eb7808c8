"""Gradient on two-dimensional coordinates: a place for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.axis import Axis, derivative_units
from cubekit.errors import CoordinateError
from cubekit.operators import derivative_operator
from cubekit.operators.attributes import derived_attrs, units_of
from cubekit.operators.metric import latitude_and_longitude, metric_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy import sparse

__all__ = ["curvilinear_gradient"]

Floats = npt.NDArray[np.float64]
# below this the two dims run along one another, and have no inverse
_SINE_LEAST = 1e-6


def curvilinear_gradient(
    cube: xr.DataArray,
    coords: Sequence[str],
    accuracy: int,
    edge_accuracy: int | None,
    *,
    geographic: bool,
) -> xr.DataArray:
    r"""Gradient by the inverse Jacobian of two coordinates.

    With :math:`J` the derivatives of the coordinates along the two dims, counted in
    samples, :math:`\nabla f = J^{-T} (f_j, f_i)`.
    """
    names, dims = _checked(cube, coords)
    require_real(cube, "gradient")
    numbers = [int(cube.get_axis_num(dim)) for dim in dims]
    matrices = [
        derivative_operator(
            Axis(dim, np.arange(cube.sizes[dim], dtype=np.float64)),
            accuracy=accuracy,
            edge_accuracy=edge_accuracy,
        ).matrix
        for dim in dims
    ]
    J = _jacobian(cube, names, dims, matrices, geographic)  # (coordinate, dim, ...)
    inverse = _inverse(J)  # (dim, coordinate, *dims)

    steps = kernels.contract_each(
        cube.data, [((step,),) for step in zip(matrices, numbers, strict=True)]
    )
    along = [xr.DataArray(step, dims=cube.dims) for step in steps]
    dtype = along[0].dtype
    factors: Any = xr.DataArray(inverse.astype(dtype), dims=("dim", "direction", *dims))
    if cube.chunks is not None:
        factors = factors.chunk({dim: cube.variable.chunksizes[dim] for dim in dims})
    result: xr.DataArray = along[0] * factors[0] + along[1] * factors[1]
    units = [None if geographic else cube[name].attrs.get("units") for name in names]
    per = ["m", "m"] if geographic else units
    known = {derivative_units(units_of(cube), unit, 1) for unit in per}
    result = result.transpose("direction", *cube.dims).assign_coords(
        {k: c.variable for k, c in cube.coords.items()} | {"direction": names}
    )
    result.name = cube.name
    result.attrs = derived_attrs(cube, known.pop() if len(known) == 1 else None)
    return result


def _checked(
    cube: xr.DataArray, coords: Sequence[str]
) -> tuple[list[str], tuple[str, str]]:
    names = list(coords)
    found = {name: cube[name].dims for name in names if name in cube.coords}
    if len(names) != 2 or len(found) != 2 or len(found[names[0]]) != 2:
        raise CoordinateError(
            f"gradient: coords={names!r} with curvilinear=True have dims "
            f"{found!r}. It needs two coordinates on the same two dims. For "
            "one-dimensional ones leave curvilinear=True out."
        )
    first, second = (cube[name] for name in names)
    if set(first.dims) != set(second.dims):
        raise CoordinateError(
            f"gradient: coords={names!r} with curvilinear=True have dims {found!r}. "
            "They are not the same. Give two coordinates of one grid."
        )
    return names, (str(first.dims[0]), str(first.dims[1]))


def _jacobian(
    cube: xr.DataArray,
    names: list[str],
    dims: tuple[str, str],
    matrices: list[sparse.csr_array],
    geographic: bool,
) -> Floats:
    """Derivatives of the coordinates along the dims, (coordinate, dim, *dims)."""
    places = [cube[name].transpose(*dims).values.astype(np.float64) for name in names]
    longitude = -1
    factor: list[Any] = [1.0, 1.0]
    if geographic:
        latitude, longitude = latitude_and_longitude(cube, names, "gradient")
        metric = metric_at(places[latitude])
        factor[latitude], factor[longitude] = metric.north, metric.east
    J = np.empty((2, 2, *places[0].shape))
    for k, place in enumerate(places):
        for axis, matrix in enumerate(matrices):
            # longitudes may jump by a turn from one sample to the next
            smooth = (
                np.unwrap(place, axis=axis, period=360) if k == longitude else place
            )
            J[k, axis] = factor[k] * kernels.contract(smooth, matrix, axis)
    return J


def _inverse(J: Floats) -> Floats:
    """Inverse of 2 x 2 matrices, (2, 2, ...); NaN where they have none."""
    (a, b), (c, d) = J
    determinant = a * d - b * c
    size = np.hypot(a, c) * np.hypot(b, d)
    with np.errstate(invalid="ignore", divide="ignore"):
        determinant = np.where(
            np.abs(determinant) > _SINE_LEAST * size, determinant, np.nan
        )
        return np.array([[d, -b], [-c, a]]) / determinant
