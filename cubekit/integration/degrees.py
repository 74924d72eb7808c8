"""Gradients per metre on the ellipsoid as gradients per degree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from cubekit.axis import Axis, derivative_units
from cubekit.operators.attributes import derived_attrs, units_of
from cubekit.operators.metric import latitude_and_longitude, metric_at

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["per_degree", "units_of_components"]


def per_degree(gradient: xr.DataArray, axes: Sequence[Axis]) -> xr.DataArray:
    """Components along latitude and longitude times the length of a degree.

    Each is then a derivative along its axis alone, as those of plain axes are.
    """
    names = [axis.name for axis in axes]
    latitude, longitude = latitude_and_longitude(gradient, names, "integrate_gradient")
    metric = metric_at(axes[latitude].values)
    lengths = np.ones((len(axes), len(metric.north)))
    lengths[latitude], lengths[longitude] = metric.north, metric.east
    factor = xr.DataArray(
        lengths.astype(np.result_type(gradient.dtype, np.float32)),
        dims=("direction", axes[latitude].dim),
    )
    result: xr.DataArray = (gradient * factor).transpose(*gradient.dims)
    units = units_of_components(gradient)
    for k in (latitude, longitude):
        plain = derivative_units(units[k], "m", -1)
        units[k] = derivative_units(plain, axes[k].units, 1)
    result.name = gradient.name
    result.attrs = derived_attrs(gradient, None)
    return result.assign_coords(
        units=("direction", ["" if u is None else u for u in units])
    )


def units_of_components(gradient: xr.DataArray) -> list[str | None]:
    """Units of each component of a gradient, None where they are not known."""
    each = gradient.coords.get("units")
    if each is not None and each.dims == ("direction",):
        return [str(units) or None for units in each.values]
    return [units_of(gradient)] * gradient.sizes["direction"]
