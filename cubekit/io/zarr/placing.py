"""Where in a Zarr store a cube belongs, and whether it fits there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from cubekit.errors import AxisMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cubekit.io.netcdf import StoredVariable
    from cubekit.io.preparing import Output, OutputVariable

__all__ = ["Region", "check_coords", "fitting_variables", "resolved_region"]

Region = dict[str, tuple[int, int]]  # start and stop on each dim


def fitting_variables(
    cube: xr.DataArray | xr.Dataset,
    output: Output,
    stored: Mapping[str, StoredVariable],
    target: Path,
) -> list[OutputVariable]:
    """Variables to write, which must fit those that are there."""
    one = isinstance(cube, xr.DataArray)
    names = {cube.name or "cube"} if one else set(cube.data_vars)
    found = [v for v in output.variables if v.name in names]
    for v in found:
        there = stored.get(v.name)
        if there is None:
            raise ValueError(
                f"save_cube: variable {v.name!r} is not in {target}. It holds "
                f"{', '.join(map(repr, stored))}. Rename the cube: "
                'cube.rename("...").'
            )
        if set(v.dims) != set(there.dims):
            raise ValueError(
                f"save_cube: {v.name!r} has dims {v.dims}. In {target} it has "
                f"{there.dims}. Give the same, in any order: cube.expand_dims(...)."
            )
        dtype = there.array.decoding.stored
        if not np.can_cast(v.data.dtype, dtype, "same_kind"):
            raise TypeError(
                f"save_cube: {v.name!r} has dtype {v.data.dtype}. In {target} it is "
                f"{dtype}, which cannot hold that. Convert it: "
                f"cube.astype({str(dtype)!r})."
            )
        units = v.attrs.get("units"), there.attrs.get("units")
        if None not in units and units[0] != units[1]:
            raise ValueError(
                f"save_cube: {v.name!r} is in {units[0]!r}. In {target} it is in "
                f"{units[1]!r}. Convert the cube, or correct its units."
            )
    return found


def resolved_region(
    region: Mapping[str, slice] | Literal["auto"],
    cube: xr.DataArray | xr.Dataset,
    stored: Mapping[str, StoredVariable],
    given: list[OutputVariable],
) -> Region:
    """Start and stop on every dim of the variables."""
    sizes = {
        d: n
        for v in given
        for d, n in zip(stored[v.name].dims, stored[v.name].array.shape, strict=True)
    }
    if region != "auto" and not (
        isinstance(region, dict)
        and all(isinstance(s, slice) and s.step in {None, 1} for s in region.values())
    ):
        raise TypeError(
            f"save_cube: region={region!r}. It is where the cube belongs in the store. "
            'Give slices by position, {"y": slice(20, 30)}, or "auto".'
        )
    unknown = [] if region == "auto" else [d for d in region if d not in sizes]
    if unknown:
        raise ValueError(
            f"save_cube: region={region!r} names {unknown[0]!r}. The store has dims "
            f"{', '.join(map(repr, sizes))}. Use these."
        )
    found: Region = {}
    for dim, size in sizes.items():
        n = cube.sizes[dim]
        if region == "auto":
            known = dim in cube.coords and dim in stored
            start = _place(dim, cube, stored) if known or n < size else 0
            found[dim] = (start, start + n)
        else:
            start, stop, _ = region.get(dim, slice(None)).indices(size)
            found[dim] = (start, stop)
        if found[dim][1] - found[dim][0] != n or found[dim][1] > size:
            raise ValueError(
                f"save_cube: region={region!r} is {found[dim]} on {dim!r}, of {size}. "
                f"The cube has {n} there. Give a slice of {n}, or cut the cube."
            )
    return found


def _place(
    dim: str, cube: xr.DataArray | xr.Dataset, stored: Mapping[str, StoredVariable]
) -> int:
    """Where the coordinate of a cube begins in that of the store."""
    if dim not in stored or dim not in cube.coords:
        which = "store" if dim in cube.coords else "cube"
        raise ValueError(
            f'save_cube: region="auto", but the {which} has no coordinate {dim!r}. The '
            f"place is found by that. Say it: region={{{dim!r}: slice(...)}}."
        )
    first = cube[dim].values[:1]
    places = np.flatnonzero(stored[dim].load().values == first)
    if not len(first) or not len(places):
        raise _off(dim, f"{first} is not in it")
    return int(places[0])


def _off(dim: str, why: str) -> AxisMismatchError:
    return AxisMismatchError(
        f"save_cube: coordinate {dim!r} of the cube and of the store differ: {why}. "
        "Only a part of the same cube can be written into it. Select it from the "
        "store: open_cube(...).isel(...)."
    )


def check_coords(
    cube: xr.DataArray | xr.Dataset, stored: Mapping[str, StoredVariable], where: Region
) -> None:
    """Raise unless the coordinates of a cube are those of its place in the store."""
    for name, coord in cube.coords.items():
        if coord.ndim == 1 and name in stored and stored[str(name)].dims == coord.dims:
            start, stop = where[str(coord.dims[0])]
            there = stored[str(name)].load().values[start:stop]
            if not np.array_equal(
                there, coord.values, equal_nan=there.dtype.kind == "f"
            ):
                other = np.flatnonzero(there != coord.values)
                at = int(other[0]) if len(other) else 0
                raise _off(
                    str(name), f"{coord.values[at]} where it has {there[at]} (at {at})"
                )
