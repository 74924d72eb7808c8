"""Bands in the order of their coordinate, for what only shows a cube."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cubekit.axis import spectral_coordinate

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = ["in_order"]


def in_order(
    cube: xr.DataArray, coord: str | None, say: Callable[[str], None]
) -> xr.DataArray:
    """Cube with its bands sorted if they are not, as where detectors overlap.

    What cannot be sorted is left as it is, for others to complain of.
    """
    name = coord or spectral_coordinate(cube)
    if name not in cube.coords or cube.coords[name].ndim != 1:
        return cube
    values = cube.coords[name].values
    step = np.diff(values)
    if np.isnan(values).any() or (step >= 0).all() or (step <= 0).all():
        return cube
    say(f"sorted the bands by {name}: in the file some lie out of order")
    return cube.isel({cube.coords[name].dims[0]: np.argsort(values, kind="stable")})
