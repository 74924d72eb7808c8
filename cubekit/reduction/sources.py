"""Where the cubes of a fit come from: memory, or files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import xarray as xr

from cubekit.io import open_cube

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Source", "each", "opened"]

Source: TypeAlias = xr.DataArray | str | os.PathLike[str]


def each(cubes: Source | Iterable[Source]) -> Iterable[Source]:
    """One cube, or the path of one, as one of several."""
    if isinstance(cubes, xr.DataArray | str | os.PathLike):
        return [cubes]
    return cubes


def opened(cube: Any) -> Any:
    """Cube of a path, lazy; anything else as it is."""
    return open_cube(cube) if isinstance(cube, str | os.PathLike) else cube
