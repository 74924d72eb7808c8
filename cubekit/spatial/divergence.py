"""Divergence of a vector field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.axis import derivative_units
from cubekit.errors import AxisMismatchError
from cubekit.operators.attributes import METRIC, units_of
from cubekit.spatial.directions import Directions, plain_units, require_coords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["divergence"]


def divergence(
    field: xr.DataArray,
    coords: Sequence[str] | None = None,
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.DataArray:
    r"""Sum of the derivative of each component of a vector field along its direction.

    Parameters
    ----------
    field : DataArray, dims (direction, ..., y, x, ...)
        Real values; any chunks. The dim ``direction`` is labelled with the names of the
        coordinates, as `gradient` returns it.
    coords : sequence of str, optional
        The components to add up; all of them if not given.
    accuracy, edge_accuracy, periodic, geographic
        As for `gradient`.

    Returns
    -------
    DataArray, dims of `field` without direction

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an axis is too short, a component is missing, or
        the units differ.

    Notes
    -----
    .. math:: \nabla \cdot u = \sum_i \frac{\partial u_i}{\partial x_i}

    with ``geographic=True``

    .. math:: \frac{1}{M N \cos\phi} \frac{\partial (N \cos\phi \, u_\phi)}
              {\partial \phi} + \frac{1}{N \cos\phi} \frac{\partial u_\lambda}
              {\partial \lambda}

    The divergence of a gradient is ``laplacian(scheme="nested")``, which does not see
    a checkerboard.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included.
    **Chunks:** lazy; each chunk reads ``accuracy + 1`` samples or fewer beyond its
    edges. **Cost:** one contraction for each coordinate.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1.0, 3.0], dims="y", coords={"y": [0, 1, 3]})
    >>> x = xr.DataArray([0.0, 2.0, 3.0], dims="x", coords={"x": [0, 2, 3]})
    >>> float(ck.divergence(ck.gradient(y**2 + x**2))[1, 1].round(12))
    4.0
    """
    require_real(field, "divergence")
    if METRIC in field.attrs and not geographic:
        raise ValueError(
            f"divergence: the field is per metre on {field.attrs[METRIC]}. Plain axes "
            "are in degrees. Use geographic=True."
        )
    if "direction" not in field.indexes:
        raise ValueError(
            "divergence: the field has no dim 'direction' with labels. Each component "
            "is named after its coordinate, as by gradient. Build it: "
            'xr.concat([v, u], xr.Variable("direction", ["y", "x"])).'
        )
    labels = [str(label) for label in field.indexes["direction"]]
    names = labels if coords is None else require_coords("divergence", field, coords)
    lacking = [name for name in names if labels.count(name) != 1]
    if lacking:
        raise ValueError(
            f"divergence: the field has components {labels!r}. There is not one of "
            f"{lacking[0]!r}. Give one component for each coordinate."
        )
    components = [field.isel(direction=labels.index(name)) for name in names]
    directions = Directions.of(
        "divergence",
        components[0].drop_vars(["direction", "units"], errors="ignore"),
        names,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    total: Any = None
    found = {}
    for k, component in enumerate(components):
        (part,) = kernels.contract_each(component.data, [directions.flux(k)])
        if total is None:
            total = part
        else:
            total += part
        own = component.coords["units"].item() if "units" in component.coords else None
        units = derivative_units(
            own or units_of(component), directions.axis_units(k), 1
        )
        if units is not None:
            found[names[k]] = units
    if len({plain_units(units) for units in found.values()}) > 1:
        raise AxisMismatchError(
            f"divergence: the parts are added up. Their units differ: {found!r}. "
            "Convert the coordinates to one unit before the gradient is taken."
        )
    known = next(iter(found.values())) if len(found) == len(names) else None
    return directions.single(total, known)
