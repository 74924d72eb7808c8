"""Files opened with their bands in the order of their coordinate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubekit.errors import CoordinateError
from cubekit.io import open_cube
from cubekit.spectral import sort_bands

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

__all__ = ["in_order", "opened"]


def opened(
    path: Path, variable: str | None, coord: str | None, *, sort: bool
) -> xr.DataArray:
    """Open a cube, and sort its bands if that is wanted (--sort)."""
    cube = open_cube(path, variable=variable)
    return sort_bands(cube, coord=coord) if sort else cube


def in_order(
    path: Path, variable: str | None, coord: str | None, say: Callable[[str], None]
) -> xr.DataArray:
    """Open a cube that is only shown: its bands are sorted, and that is said.

    What cannot be sorted is left as it is, for others to complain of.
    """
    cube = open_cube(path, variable=variable)
    try:
        ordered = sort_bands(cube, coord=coord)
    except CoordinateError:
        return cube
    if ordered is not cube:
        say("sorted the bands: in the file some lie out of order")
    return ordered
