"""What is given beside a gradient: an anchor for the constant, and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.errors import CoordinateError

if TYPE_CHECKING:
    from cubekit.axis import Axis

__all__ = ["anchor_place", "checked_weights", "require_weights"]

_NAME = "integrate_gradient"


def anchor_place(anchor: xr.DataArray, axes: list[Axis]) -> tuple[int, ...]:
    """Sample that the scalar coordinates of an anchor name."""
    if not isinstance(anchor, xr.DataArray):
        raise TypeError(
            f"{_NAME}: anchor={anchor!r} is a {type(anchor).__name__}. It is a value "
            "and the place where it is. Select it from a field: "
            "anchor=field.sel(y=0, x=0)."
        )
    if anchor.chunks is None and not np.isfinite(anchor.values).any():
        raise ValueError(
            f"{_NAME}: the anchor is {anchor.values.ravel()[:1]}. It says how high the "
            "field is, so it must have a value. Select it where the field has one."
        )
    place = []
    for axis in axes:
        if axis.name not in anchor.coords or anchor.coords[axis.name].ndim:
            raise CoordinateError(
                f"{_NAME}: the anchor has no single value of {axis.name!r}. Its scalar "
                "coordinates say where it is. Select it from a field: "
                f"anchor=field.sel({axis.name}=...)."
            )
        where = anchor.coords[axis.name].values
        if where.dtype.kind == "M":
            raise CoordinateError(
                f"{_NAME}: the anchor is at the time {where}. Times count in seconds "
                "since the first sample here. Assign numbers to the coordinate first."
            )
        nearest = int(np.abs(axis.values - where).argmin())
        if axis.values[nearest] != where:
            raise CoordinateError(
                f"{_NAME}: the anchor is at {axis.name} = {where:g}. The nearest "
                f"sample is at {axis.values[nearest]:g}. Select it: "
                f'anchor=field.sel({axis.name}={where:g}, method="nearest").'
            )
        place.append(nearest)
    return tuple(place)


def checked_weights(
    weights: xr.DataArray, whole: xr.DataArray, names: list[str], grid: list[str]
) -> xr.DataArray:
    """Weights with all dims of the grid, in the order of the gradient."""
    if not isinstance(weights, xr.DataArray) or not set(weights.dims) <= set(
        whole.dims
    ):
        dims = getattr(weights, "dims", None)
        found = (
            f"are a {type(weights).__name__}" if dims is None else f"have dims {dims!r}"
        )
        raise ValueError(
            f"{_NAME}: the weights {found}. The gradient has "
            f"dims {tuple(whole.dims)!r}. Give a DataArray with some of them."
        )
    if "direction" in weights.indexes:
        weights = weights.sel(direction=names)
    bare = weights.drop_vars(list(weights.coords))
    for dim, size in bare.sizes.items():
        if size != whole.sizes[dim]:
            raise ValueError(
                f"{_NAME}: the weights have {size} samples of {dim!r}. The gradient "
                f"has {whole.sizes[dim]}. Select the same."
            )
    lacking = {d: whole.sizes[d] for d in grid if d not in bare.dims}
    bare = bare.expand_dims(lacking)
    if bare.chunks is not None:
        return bare.chunk(dict.fromkeys(grid, -1))
    require_weights(bare.values)
    return bare


def require_weights(weights: npt.NDArray[Any]) -> None:
    """Raise unless weights are zero or more; those of Dask arrays when computed."""
    if not (weights >= 0).all():
        raise ValueError(
            f"{_NAME}: the weights are not all zero or more (the least is "
            f"{np.min(weights):g}). A weight says how much a value counts. Use "
            "zero for not at all."
        )
