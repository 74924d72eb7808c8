"""Second derivatives: the Hessian, its trace, norm and eigenvalues."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cubekit import kernels
from cubekit.spatial.directions import Directions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["hessian", "hessian_eigenvalues", "hessian_norm", "laplacian"]


def hessian(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    scheme: Literal["compact", "nested"] = "compact",
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.DataArray:
    r"""Second derivatives along each pair of coordinates.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; spacing may vary.
    accuracy, edge_accuracy : int
        As for `derivative`.
    scheme : {"compact", "nested"}
        Second differences, or the gradient of the gradient; with ``geographic=True``
        compact only, as on a curved surface the two differ.
    periodic : mapping, optional
        Periods of the coordinates that begin again, ``{"lon": 360}``.
    geographic : bool, default False
        Whether two of the coordinates are latitude and longitude in degrees, and the
        covariant derivatives wanted, per square metre, in the local frame of north and
        east on the WGS84 ellipsoid.

    Returns
    -------
    DataArray, dims (direction, direction_2, ...)
        Symmetric to the bit. Where the units of the parts differ, they are in the
        coordinate ``units``.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an axis is too short, or the nested scheme is
        wanted on geographic coordinates.
    CoordinateError
        If a coordinate is missing or not strictly monotonic.

    Notes
    -----
    .. math:: H_{ij} = \frac{\partial^2 f}{\partial x_i \, \partial x_j}

    Mixed parts are a first derivative of a first derivative, computed once. The compact
    scheme takes the others from three samples where the spacing is even, four where it
    is not. ``scheme="nested"`` equals ``numpy.gradient`` twice. Its stencil reaches two
    samples to either side and leaves out the next ones: it does not see a
    checkerboard, :math:`(-1)^{i+j}`, whose Hessian it finds to be zero.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included.
    **Chunks:** lazy; each chunk reads ``accuracy + 2`` samples or fewer beyond its
    edges. **Cost:** for `n` coordinates ``n (n + 3) / 2 - 1`` contractions.

    References
    ----------
    .. [1] Fornberg, B. (1988), Math. Comp. 51, 699-706.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1, 3, 4], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> x = xr.DataArray([0.0, 2, 3, 5], dims="x", coords={"x": [0, 2, 3, 5]})
    >>> ck.hessian(x**2 + 3 * x * y).isel(x=1, y=1).values.round(12) + 0.0
    array([[0., 3.],
           [3., 2.]])
    """
    _check_scheme("hessian", scheme, geographic)
    directions = Directions.of(
        "hessian",
        cube,
        coords,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    count = len(directions.axes)
    upper = {
        pair: directions.second(*pair, scheme)
        for pair in itertools.combinations_with_replacement(range(count), 2)
    }
    components = [
        upper[min(j, k), max(j, k)] for j in range(count) for k in range(count)
    ]
    data = kernels.contract_stack(cube.data, components, (count, count))
    return directions.labelled(data, 2)


def laplacian(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    scheme: Literal["compact", "nested"] = "compact",
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.DataArray:
    r"""Sum of the second derivatives along each coordinate.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; spacing may vary, units must agree.
    accuracy, edge_accuracy, scheme, periodic, geographic
        As for `hessian`; the nested scheme is refused on geographic coordinates.

    Returns
    -------
    DataArray, same dims as `cube`
        Equal to the trace of `hessian` to the bit.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an axis is too short, or the units differ.

    Notes
    -----
    .. math:: \nabla^2 f = \sum_i \frac{\partial^2 f}{\partial x_i^2}

    with ``geographic=True`` the Laplace-Beltrami operator of the ellipsoid.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included.
    **Chunks:** lazy; each chunk reads ``accuracy + 2`` samples or fewer beyond its
    edges. **Cost:** one contraction for each coordinate.

    References
    ----------
    .. [1] Fornberg, B. (1988), Math. Comp. 51, 699-706.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1, 3, 4], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> x = xr.DataArray([0.0, 2, 3, 5], dims="x", coords={"x": [0, 2, 3, 5]})
    >>> float(ck.laplacian(x**2 + 3 * y**2)[2, 2].round(12))
    8.0
    """
    _check_scheme("laplacian", scheme, geographic)
    directions = Directions.of(
        "laplacian",
        cube,
        coords,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    directions.require_one_unit()
    total: Any = None
    for k in range(len(directions.axes)):
        component = directions.second(k, k, scheme)
        (part,) = kernels.contract_each(cube.data, [component])
        if total is None:
            total = part
        else:
            total += part
    return directions.single(total, directions.units(2))


def hessian_norm(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    scheme: Literal["compact", "nested"] = "compact",
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.DataArray:
    r"""Frobenius norm of the Hessian: how much the surface bends, in any direction.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; spacing may vary, units must agree.
    accuracy, edge_accuracy, scheme, periodic, geographic
        As for `hessian`; the nested scheme is refused on geographic coordinates.

    Returns
    -------
    DataArray, same dims as `cube`

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an axis is too short, or the units differ.

    Notes
    -----
    .. math:: \| H \| = \sqrt{\sum_{ij} H_{ij}^2}

    with neither overflow nor underflow of the squares.

    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included.
    **Chunks:** lazy; as `hessian`. **Cost:** that of `hessian`, and a square root.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1, 3, 4], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> x = xr.DataArray([0.0, 2, 3, 5], dims="x", coords={"x": [0, 2, 3, 5]})
    >>> float(ck.hessian_norm(1.5 * x**2 + 2 * y**2)[2, 2].round(12))
    5.0
    """
    _check_scheme("hessian_norm", scheme, geographic)
    directions = Directions.of(
        "hessian_norm",
        cube,
        coords,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    directions.require_one_unit()
    pairs, parts = _upper(directions, scheme)
    total: Any = None
    for (j, k), part in zip(pairs, parts, strict=True):
        # a part off the diagonal counts twice
        size = abs(part) if j == k else part * part.dtype.type(np.sqrt(2))
        total = size if total is None else np.hypot(total, size)
    return directions.single(total, directions.units(2))


def hessian_eigenvalues(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    scheme: Literal["compact", "nested"] = "compact",
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.DataArray:
    """Principal second derivatives: the eigenvalues of the Hessian, ascending.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; spacing may vary, units must agree.
    accuracy, edge_accuracy, scheme, periodic, geographic
        As for `hessian`; the nested scheme is refused on geographic coordinates.

    Returns
    -------
    DataArray, dims (eigenvalue, ...)
        Both negative at a peak, both positive in a hollow, one of each at a saddle.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an axis is too short, or the units differ.

    Notes
    -----
    **Missing values:** NaN where a stencil meets NaN or Inf, zero weights included.
    **Chunks:** lazy; as `hessian`. **Cost:** that of `hessian`, and for two coordinates
    a square root, for more a small eigenvalue problem for each sample.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1, 3, 4], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> x = xr.DataArray([0.0, 2, 3, 5], dims="x", coords={"x": [0, 2, 3, 5]})
    >>> ck.hessian_eigenvalues(x * y)[:, 2, 2].values.round(12)
    array([-1.,  1.])
    """
    _check_scheme("hessian_eigenvalues", scheme, geographic)
    directions = Directions.of(
        "hessian_eigenvalues",
        cube,
        coords,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        periodic=periodic,
        geographic=geographic,
    )
    directions.require_one_unit()
    _, parts = _upper(directions, scheme)
    values = kernels.eigenvalues(parts, len(directions.axes))
    return directions.stacked(values, "eigenvalue", directions.units(2))


def _upper(directions: Directions, scheme: str) -> tuple[list[tuple[int, int]], Any]:
    """Pairs of directions and the parts of the Hessian, each once."""
    count = len(directions.axes)
    pairs = list(itertools.combinations_with_replacement(range(count), 2))
    components = [directions.second(j, k, scheme) for j, k in pairs]
    return pairs, kernels.contract_each(directions.cube.data, components)


def _check_scheme(function: str, scheme: str, geographic: bool) -> None:
    if scheme not in ("compact", "nested"):
        raise ValueError(
            f"{function}: scheme={scheme!r} is unknown. Second derivatives are compact "
            'or nested. Use scheme="compact".'
        )
    if geographic and scheme == "nested":
        raise ValueError(
            f'{function}: scheme="nested" is given with geographic=True. On a curved '
            "surface the gradient of a gradient is no Hessian. Use "
            'scheme="compact", or divergence(gradient(...)).'
        )
