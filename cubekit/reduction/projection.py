"""Mean and matrices of a reduction, and the axis they belong to."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis
from cubekit.operators.attributes import units_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Projection", "projection_of"]

Array = npt.NDArray[np.float64]


def _none() -> Array:
    return np.empty((0, 0))


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """Mean and matrices of a fitted reduction, over the good bands of an axis."""

    axis: Axis
    mean: Array = dataclasses.field(default_factory=_none)  # (good band,)
    forward: Array = dataclasses.field(default_factory=_none)
    backward: Array = dataclasses.field(default_factory=_none)
    name: str | None = None  # of the values it was fitted to
    units: str | None = None

    @functools.cached_property
    def good(self) -> npt.NDArray[np.intp]:
        """Positions of the good bands on the axis."""
        good = self.axis.good
        return np.arange(len(self.axis)) if good is None else np.flatnonzero(good)

    @functools.cached_property
    def component(self) -> Axis:
        """Axis of the components, counted from 1."""
        return Axis("component", np.arange(1.0, len(self.forward) + 1))

    def on_axis(self, values: Array, fill: float = np.nan) -> Array:
        """Values of the good bands (..., good band) on the whole axis."""
        full = np.full((*values.shape[:-1], len(self.axis)), fill)
        full[..., self.good] = values
        return full


def projection_of(cube: xr.DataArray, coord: str | None) -> Projection:
    """Axis, name and units of a cube, for a projection that is still to be found."""
    return Projection(
        Axis.from_cube(cube, coord),
        name=None if cube.name is None else str(cube.name),
        units=units_of(cube),
    )
