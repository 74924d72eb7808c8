"""A surface near one point, as a quadratic."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from cubekit.arguments import require_integer
from cubekit.errors import CoordinateError
from cubekit.operators.difference import point_operator
from cubekit.spatial.directions import Directions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from cubekit.axis import Axis

__all__ = ["LocalModel", "local_model"]


@dataclasses.dataclass(frozen=True)
class LocalModel:
    r"""Value, gradient and Hessian at a point: a quadratic about it.

    Parameters
    ----------
    at : dict
        The coordinates of the point.
    value : DataArray, dims (...)
    gradient : DataArray, dims (direction, ...)
    hessian : DataArray, dims (direction, direction_2, ...)

    Notes
    -----
    Called on offsets :math:`h`, in units of the coordinates, it gives
    :math:`f + g \cdot h + h^T H h / 2`.

    **Missing values:** NaN where the samples about the point are NaN.
    **Chunks:** lazy if the cube is. **Cost:** none to speak of.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> y = xr.DataArray(np.arange(5.0), dims="y", coords={"y": np.arange(5.0)})
    >>> x = xr.DataArray(np.arange(6.0), dims="x", coords={"x": np.arange(6.0)})
    >>> model = ck.local_model(x * y, at={"y": 2.0, "x": 3.0})
    >>> float(model(y=1.0, x=1.0).round(12))
    12.0
    """

    at: dict[str, float]
    value: xr.DataArray
    gradient: xr.DataArray
    hessian: xr.DataArray

    def __call__(self, **offsets: Any) -> xr.DataArray:
        """Value of the quadratic at offsets from the point, zero where not given.

        Parameters
        ----------
        **offsets : float or DataArray
            By the names of the coordinates, in their units.

        Returns
        -------
        DataArray, dims (...) and those of the offsets
        """
        unknown = [name for name in offsets if name not in self.at]
        if unknown:
            raise ValueError(
                f"local_model: an offset along {unknown[0]!r} is given. The model is "
                f"about a point in {', '.join(map(repr, self.at))}. Use these names."
            )
        total = self.value
        for name, h in offsets.items():
            total = total + self.gradient.sel(direction=name, drop=True) * h
        for (j, a), (k, b) in itertools.product(offsets.items(), repeat=2):
            part = self.hessian.sel(direction=j, direction_2=k, drop=True)
            total = total + part * (a * b / 2)
        bare = total.drop_vars("units", errors="ignore")
        return bare.assign_attrs(self.value.attrs).rename(self.value.name)


def local_model(
    cube: xr.DataArray, at: Mapping[str, float], *, accuracy: int = 2
) -> LocalModel:
    """Quadratic through the surface at a point: its value, gradient and Hessian.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    at : mapping
        The point, by the names of one-dimensional coordinates, ``{"y": 2, "x": 3.5}``;
        at a sample or between samples.
    accuracy : int, default 2
        Order of the error of each part under refinement.

    Returns
    -------
    LocalModel
        With `value`, `gradient` and `hessian`; callable on offsets from the point. One
        for every band.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, or an axis is too short.
    CoordinateError
        If a coordinate is missing or not strictly monotonic, or the point lies outside.

    Notes
    -----
    At a sample, gradient and Hessian are those of `gradient` and `hessian` there.

    **Missing values:** NaN where a sample about the point is NaN or Inf.
    **Chunks:** lazy; only the samples about the point are read.
    **Cost:** none to speak of.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> y = xr.DataArray(np.arange(5.0), dims="y", coords={"y": np.arange(5.0)})
    >>> x = xr.DataArray(np.arange(6.0), dims="x", coords={"x": np.arange(6.0)})
    >>> model = ck.local_model(x**2 + y, at={"y": 2.0, "x": 3.0})
    >>> model.gradient.values.round(12)
    array([1., 6.])
    """
    require_integer("local_model", "accuracy", accuracy, 1)
    point = _point(at)
    directions = Directions.of("local_model", cube, list(point), accuracy=accuracy)
    axes = [_inside(axis, point[axis.name]) for axis in directions.axes]
    count = len(axes)
    places = [point[axis.name] for axis in axes]
    operators = {
        (k, order): point_operator(axes[k], places[k], order, accuracy=accuracy)
        for k in range(count)
        for order in range(3)
    }
    # only the samples that some stencil touches
    near = cube
    for k, axis in enumerate(axes):
        touched = np.unique(
            np.concatenate([operators[k, order].matrix.indices for order in range(3)])
        )
        window = slice(int(touched[0]), int(touched[-1]) + 1)
        near = near.isel({axis.dim: window})
        for order in range(3):
            row = operators[k, order].matrix
            cut = sparse.csr_array(  # slicing would not promise to keep zeros
                (row.data, row.indices - window.start, row.indptr),
                (1, window.stop - window.start),
            )
            operators[k, order] = dataclasses.replace(
                operators[k, order], matrix=cut, input=axis.isel(window)
            )

    def part(orders: tuple[int, ...]) -> xr.DataArray:
        out = near
        for k, order in enumerate(orders):
            out = operators[k, order](out).isel({axes[k].dim: 0}, drop=True)
        return out

    def order_of(*along: int) -> tuple[int, ...]:
        return tuple(along.count(k) for k in range(count))

    value = part((0,) * count).assign_attrs(cube.attrs)
    slopes = [part(order_of(k)).data for k in range(count)]
    bends = {
        pair: part(order_of(*pair)).data
        for pair in itertools.combinations_with_replacement(range(count), 2)
    }
    rows = [
        np.stack([bends[min(j, k), max(j, k)] for k in range(count)])
        for j in range(count)
    ]
    here = dataclasses.replace(directions, cube=value)
    return LocalModel(
        dict(zip(directions.names, places, strict=True)),
        value,
        here.labelled(np.stack(slopes), 1),
        here.labelled(np.stack(rows), 2),
    )


def _point(at: Any) -> dict[str, float]:
    """Coordinates of a point as numbers; raise unless they are named, and some."""
    try:
        named = {str(name): float(place) for name, place in dict(at).items()}
    except (TypeError, ValueError):
        named = {}
    if not named or any(isinstance(place, str) for place in dict(at).values()):
        raise TypeError(
            f"local_model: at={at!r} is no point. It is a number for each of some "
            'coordinates. Use for example at={"y": 2.0, "x": 3.5}.'
        )
    return named


def _inside(axis: Axis, place: float) -> Axis:
    unit = f" {axis.units}" if axis.units else ""
    least, largest = float(axis.values.min()), float(axis.values.max())
    if not least <= place <= largest:
        raise CoordinateError(
            f"local_model: {axis.name} = {place:g}{unit} is not on the axis. It goes "
            f"from {least:g} to {largest:g}{unit}. Take a point inside."
        )
    return axis
