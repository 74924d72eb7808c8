"""Where the cubes of a fit come from: memory, or files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeAlias

import dask.array as da
import numpy as np
import xarray as xr

from cubekit.io import open_cube

__all__ = ["Source", "each", "opened"]

Source: TypeAlias = xr.DataArray | str | os.PathLike[str]


def each(cubes: Source | Iterable[Source]) -> Iterable[Any]:
    """One cube, or the path of one, as one of several."""
    # arrays and datasets are no list of cubes, though they can be iterated over
    arrays = (xr.DataArray, xr.Dataset, np.ndarray, da.Array)
    is_one = isinstance(cubes, (*arrays, str, os.PathLike))
    return [cubes] if is_one or not isinstance(cubes, Iterable) else cubes


def opened(cube: Any) -> Any:
    """Cube of a path, lazy; anything else as it is."""
    return open_cube(cube) if isinstance(cube, str | os.PathLike) else cube
