"""Cubes as spectra for a model: aligned with its bands, weighed, in its units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from cubekit.axis import Axis

if TYPE_CHECKING:
    from collections.abc import Hashable

    from cubekit.kernels import Moments
    from cubekit.reduction.projection import Projection

__all__ = ["aligned", "in_order_of", "sample_weights"]


def aligned(cube: xr.DataArray, fitted: Projection, doing: str) -> xr.DataArray:
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
        if spoiled:
            raise ValueError(
                f"cannot {doing.split(': ', 1)[1]} this cube: it marks "
                f"{axis.name}={axis.values[spoiled[0]]:g} bad, and the model uses it. "
                "A score needs every band of the model. Fit a model without it."
            )
    return cube


def in_order_of(mine: Projection, theirs: Projection, moments: Moments) -> Moments:
    """Moments of one model for the bands of another; raise unless they are the same."""
    same = np.array_equal(np.sort(theirs.axis.values), np.sort(mine.axis.values))
    rank = np.argsort(np.argsort(mine.axis.values))
    place = np.argsort(theirs.axis.values)[rank] if same else rank
    mine.axis.require_equal(
        theirs.axis.isel(place) if same else theirs.axis,
        "merge two models",
        "Only models of the same bands can be merged. Fit both on one axis.",
    )
    good = np.flatnonzero(np.isin(place, theirs.good))
    if not np.array_equal(mine.good, good):
        raise ValueError(
            "cannot merge two models: their bad bands differ. A covariance needs the "
            "same bands in both. Mark the same ones in 'good_band'."
        )
    if mine.units and theirs.units and mine.units != theirs.units:
        raise ValueError(
            f"cannot merge two models: one is in {mine.units}, the other in "
            f"{theirs.units}. A covariance has one unit. Convert one of the cubes, and "
            "fit it again."
        )
    return moments.take(np.searchsorted(theirs.good, place[good]))


def _require_units(cube: xr.DataArray, units: str | None, doing: str) -> None:
    """Raise if a cube is known to be in other units than a model."""
    given = cube.attrs.get("units")
    if units is not None and given is not None and str(given) != units:
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
