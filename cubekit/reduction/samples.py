"""Cubes as spectra for a model: aligned with its bands, weighed, in its units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from cubekit.axis import Axis
from cubekit.operators.attributes import units_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cubekit.reduction.projection import Projection

__all__ = ["aligned", "sample_weights"]


def aligned(
    cube: xr.DataArray, fitted: Projection, doing: str, *, may_miss: bool = False
) -> xr.DataArray:
    """Cube with its bands in the order of a model; raise unless it has the same."""
    axis = fitted.axis
    if axis.name in cube.coords and cube.coords[axis.name].dims == (axis.dim,):
        values = np.asarray(cube.coords[axis.name].values)
        place = np.argsort(values, kind="stable")
        permuted = not np.array_equal(values, axis.values)
        if permuted and np.array_equal(values[place], np.sort(axis.values)):
            rank = np.argsort(np.argsort(axis.values))
            cube = cube.isel({axis.dim: place[rank]})
    found = Axis.from_cube(cube, axis.name)
    found.require_equal(
        axis,
        f"{doing.split(': ', 1)[1]} this cube",
        "The model was fitted to the other bands. Fit one to this cube, or resample it "
        "to the bands of the model.",
    )
    _require_units(cube, fitted.units, doing)
    if found.good is not None:
        spoiled = [k for k in fitted.good if not found.good[k]]
        if spoiled and may_miss:
            return cube.where(xr.DataArray(found.good, dims=axis.dim))
        if spoiled:
            raise ValueError(
                f"cannot {doing.split(': ', 1)[1]} this cube: it marks "
                f"{axis.name}={axis.values[spoiled[0]]:g} bad, and the model uses it. "
                "A score needs every band of the model. Fit a model without it."
            )
    return cube


def _require_units(cube: xr.DataArray, units: str | None, doing: str) -> None:
    """Raise if a cube is known to be in other units than a model."""
    given = units_of(cube)
    if units is not None and given is not None and given != units:
        raise ValueError(
            f"cannot {doing.split(': ', 1)[1]} this cube: it is in {given}, the model "
            f"in {units}. A model only knows its own units. Convert the cube, and set "
            f'cube.attrs["units"] = "{units}".'
        )


def sample_weights(
    cube: xr.DataArray, dim: Hashable, weights: xr.DataArray | None, name: str
) -> Any:
    """Weights as an array over the samples of a cube, in their order; or None."""
    if weights is None:
        return None
    samples = [d for d in cube.dims if d != dim]
    if not isinstance(weights, xr.DataArray):
        raise TypeError(
            f"{name}: weights is a {type(weights).__qualname__}. Its dims say which "
            "spectra it weighs. Give a DataArray with dims among "
            f"{tuple(map(str, samples))}."
        )
    foreign = [str(d) for d in weights.dims if d not in samples]
    if foreign:
        raise ValueError(
            f"{name}: weights has dim {foreign[0]!r}. It weighs whole spectra. "
            f"Use dims among {tuple(map(str, samples))}."
        )
    template = cube.isel({dim: 0}, drop=True)
    try:
        weights, template = xr.align(weights, template, join="exact", copy=False)
    except ValueError as error:
        error.add_note(f"{name}: weights must have the coordinates of the cube.")
        raise
    return weights.broadcast_like(template).transpose(*samples).data
