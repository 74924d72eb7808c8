"""First derivatives of a surface: along one coordinate, the gradient, its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cubekit import kernels
from cubekit.arguments import require_periods
from cubekit.axis import Axis
from cubekit.operators import derivative_operator
from cubekit.operators.attributes import METRIC
from cubekit.spatial.curvilinear import curvilinear_gradient
from cubekit.spatial.directions import Directions, require_coords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["derivative", "gradient", "gradient_magnitude"]


def derivative(
    cube: xr.DataArray,
    coord: str,
    *,
    order: int = 1,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    periodic: Mapping[str, float] | None = None,
    missing: Literal["propagate", "refit"] = "propagate",
) -> xr.DataArray:
    """Derivative along one coordinate, by finite differences where the samples are.

    Parameters
    ----------
    cube : DataArray, dims (..., coord, ...)
        Real values; any chunks.
    coord : str
        One-dimensional coordinate; spacing may vary. Times count in seconds.
    order : int, default 1
        Order of the derivative.
    accuracy : int, default 2
        Order of the error under refinement, at every sample and on any spacing.
    edge_accuracy : int, optional
        The same for the samples whose stencil does not fit inside the axis; `accuracy`
        if not given.
    periodic : mapping, optional
        ``{coord: period}`` if the coordinate begins again after so many of its units.
    missing : {"propagate", "refit"}
        "propagate": an output is NaN where its stencil meets NaN or Inf. "refit": the
        stencil is fitted again to the samples that are left, see Notes.

    Returns
    -------
    DataArray, same dims as `cube`
        float32 or float64 as `cube`, float32 at least; in units of `cube` per unit of
        the coordinate to the power `order`.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, or the axis is too short.
    CoordinateError
        If the coordinate is missing or not strictly monotonic.

    Notes
    -----
    First derivatives equal ``numpy.gradient(edge_order=2)``, with ``edge_accuracy=1``
    its default. Even orders take one sample more on uneven spacing than the classical
    stencil, which is only first order accurate there: that is ``accuracy=1``.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included;
    with ``missing="refit"`` the accuracy falls by one order with each sample missing,
    and an output is NaN where fewer than ``order + 1`` are left, or none beside it.
    **Chunks:** lazy; each chunk reads ``order + accuracy`` samples or fewer beyond it.
    **Cost:** one contraction.

    References
    ----------
    .. [1] Fornberg, B. (1988), Math. Comp. 51, 699-706.

    See Also
    --------
    derivative_operator : the same as a matrix, to compose with others.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1.0, 3.0, 4.0], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> ck.derivative(y**2, "y").values.round(12)
    array([0., 2., 6., 8.])
    """
    require_coords("derivative", cube, [coord])
    operator = derivative_operator(
        Axis.from_cube(cube, coord),
        order,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        period=require_periods("derivative", periodic, [coord]).get(coord),
    )
    return operator(cube, missing=missing)


def gradient(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
    curvilinear: bool = False,
    missing: Literal["propagate", "refit"] = "propagate",
) -> xr.DataArray:
    r"""First derivatives along some coordinates, one after the other.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; spacing may vary.
    accuracy, edge_accuracy : int
        As for `derivative`.
    periodic : mapping, optional
        Periods of the coordinates that begin again, ``{"lon": 360}``.
    geographic : bool, default False
        Whether two of the coordinates are latitude and longitude in degrees, and the
        derivatives wanted per metre north and east on the WGS84 ellipsoid.
    curvilinear : bool, default False
        Whether the two coordinates are two-dimensional, one place for each sample.
    missing : {"propagate", "refit"}
        "propagate": an output is NaN where its stencil meets NaN or Inf. "refit": the
        stencil is fitted again to the samples that are left, see Notes.

    Returns
    -------
    DataArray, dims (direction, ...)
        The leading dim is labelled with the names of the coordinates. Where the units
        of the components differ, they are in the coordinate ``units``.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, or an axis is too short.
    CoordinateError
        If a coordinate is missing or not strictly monotonic, or not what the options
        say.

    Notes
    -----
    With ``geographic=True``, with :math:`M` and :math:`N` the radii of curvature,

    .. math:: \nabla f = \left( \frac{1}{M} \frac{\partial f}{\partial \phi}, \;
              \frac{1}{N \cos \phi} \frac{\partial f}{\partial \lambda} \right)

    the latter NaN at a pole. With ``curvilinear=True`` the derivatives along the two
    dims are multiplied with the inverse Jacobian of the coordinates; longitudes may
    jump at the date line.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included;
    with ``missing="refit"`` as for `derivative`.
    **Chunks:** lazy; each chunk reads ``accuracy + 1`` samples or fewer beyond its
    edges. **Cost:** one contraction for each coordinate.

    References
    ----------
    .. [1] Fornberg, B. (1988), Math. Comp. 51, 699-706.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1.0, 3.0, 4.0], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> x = xr.DataArray([0.0, 2.0, 3.0], dims="x", coords={"x": [0, 2, 3]})
    >>> slope = ck.gradient(y**2 + 5 * x)
    >>> slope.sel(direction="y").values[:, 0].round(12)
    array([0., 2., 6., 8.])
    >>> slope.sel(direction="x").values[0].round(12)
    array([5., 5., 5.])
    """
    if missing != "propagate" and (curvilinear or geographic):
        raise ValueError(
            f"gradient: missing={missing!r} is given on geographic or two-dimensional "
            "coordinates. Stencils are fitted again on plain axes only. Use "
            'missing="propagate".'
        )
    if curvilinear:
        if periodic:
            raise ValueError(
                "gradient: periodic is given with curvilinear=True. The period of "
                "two-dimensional coordinates is not that of a dim. Leave periodic out."
            )
        return curvilinear_gradient(
            cube, coords, accuracy, edge_accuracy, geographic=geographic
        )
    directions = Directions.of(
        "gradient",
        cube,
        coords,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    count = len(directions.axes)
    if missing != "propagate":
        each = [directions.operator(k, 1) for k in range(count)]
        parts = [operator(cube, missing=missing).data for operator in each]
        return directions.labelled(np.stack(parts), 1)
    components = [directions.first(k) for k in range(count)]
    data = kernels.contract_stack(cube.data, components, (count,))
    result = directions.labelled(data, 1)
    if geographic:
        result.attrs[METRIC] = "WGS84"
    return result


def gradient_magnitude(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.DataArray:
    r"""Length of the gradient.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; units must agree.
    accuracy, edge_accuracy, periodic, geographic
        As for `gradient`.

    Returns
    -------
    DataArray, same dims as `cube`

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an axis is too short, or the units differ.

    Notes
    -----
    .. math:: |\nabla f| = \sqrt{\sum_i (\partial f / \partial x_i)^2}

    with neither overflow nor underflow of the squares.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included.
    **Chunks:** lazy; each chunk reads ``accuracy + 1`` samples or fewer beyond its
    edges. **Cost:** one contraction for each coordinate, and a square root.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1.0, 3.0], dims="y", coords={"y": [0, 1, 3]})
    >>> x = xr.DataArray([0.0, 2.0, 3.0], dims="x", coords={"x": [0, 2, 3]})
    >>> float(ck.gradient_magnitude(3 * y + 4 * x)[1, 1].round(12))
    5.0
    """
    directions = Directions.of(
        "gradient_magnitude",
        cube,
        coords,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    directions.require_one_unit()
    parts = kernels.contract_each(
        cube.data, [directions.first(k) for k in range(len(directions.axes))]
    )
    total: Any = abs(parts[0])
    for part in parts[1:]:
        total = np.hypot(total, part)
    return directions.single(total, directions.units(1))
