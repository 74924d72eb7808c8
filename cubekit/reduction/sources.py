"""Where the cubes of a fit come from: memory, or files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import dask.array as da
import numpy as np
import xarray as xr

from cubekit.io import open_cube

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Source", "each", "opened"]

Source: TypeAlias = xr.DataArray | str | os.PathLike[str]


def each(cubes: Source | Iterable[Source]) -> Iterable[Any]:
    """One cube, or the path of one, as one of several."""
    # arrays and datasets are no list of cubes, though they can be iterated over
    arrays = (xr.DataArray, xr.Dataset, np.ndarray, da.Array)
    if isinstance(cubes, (*arrays, str, os.PathLike)):
        return [cubes]
    return cubes


def opened(cube: Any) -> Any:
    """Cube of a path, lazy; anything else as it is."""
    return open_cube(cube) if isinstance(cube, str | os.PathLike) else cube
