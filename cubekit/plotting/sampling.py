"""Some of the samples of a cube, so that no more is read than is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

__all__ = ["band_groups", "read_bands", "thinned", "thinning"]


def thinned(cube: xr.DataArray, dims: tuple[Hashable, ...], most: int) -> xr.DataArray:
    """Every so many samples along dims, so that at most `most` are left in each."""
    return cube.isel(thinning(cube, dims, most))


def thinning(
    cube: xr.DataArray, dims: tuple[Hashable, ...], most: int
) -> dict[Hashable, slice]:
    """Slices of `thinned`, for the dims that need one."""
    steps = {d: -(-cube.sizes[d] // most) for d in dims}
    return {d: slice((s - 1) // 2, None, s) for d, s in steps.items() if s > 1}


def band_groups(
    cube: xr.DataArray, dim: Hashable, index: Sequence[int]
) -> list[list[int]]:
    """Samples along a dim that lie in the same chunks of a file, ascending.

    All are one group where nothing is known of a file.
    """
    stored = cube.encoding.get("preferred_chunks") or {}
    depth = stored.get(dim, cube.sizes[dim])
    groups: dict[int, list[int]] = {}
    for i in np.unique(np.asarray(index, np.intp)).tolist():
        groups.setdefault(i // max(1, depth), []).append(i)
    return list(groups.values())


def read_bands(
    cube: xr.DataArray,
    dim: Hashable,
    index: Sequence[int],
    within: Mapping[Hashable, slice],
) -> xr.DataArray:
    """Samples along a dim, in the order asked for, in memory; of others those `within`.

    Each group of `band_groups` is read on its own: in one reading Dask would read all
    that lies between them, too. And it cuts a chunk before it is read only once, so
    that all slices are taken together.
    """
    cube = cube.drop_vars([k for k, c in cube.coords.items() if c.ndim > 1])
    parts, order = [], []
    for group in band_groups(cube, dim, index):
        run = cube.isel({**within, dim: slice(group[0], group[-1] + 1)}).compute()
        parts.append(run.isel({dim: [i - group[0] for i in group]}))
        order += group
    found: xr.DataArray = xr.concat(
        parts, dim, coords="minimal", compat="override", join="override"
    )
    return found.isel({dim: [order.index(i) for i in index]})
