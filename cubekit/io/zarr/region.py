"""A part of a Zarr store replaced: the chunks that it touches, and no others."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import numpy as np
import xarray as xr

from cubekit.errors import AxisMismatchError, CorruptFileError
from cubekit.io.codec import crc32
from cubekit.io.computing import compute_chunks, filled
from cubekit.io.files import FILES
from cubekit.io.layout import block_shape
from cubekit.io.planning import PlannedVariable, workers
from cubekit.io.record import MARK
from cubekit.io.zarr.container import (
    ZarrContainer,
    change_attrs,
    codec_of,
    key_of,
    verify,
)
from cubekit.io.zarr.metadata import (
    RECORD,
    check_store,
    imported,
    is_store,
    nodes_of,
    record_for,
)
from cubekit.io.zarr.reading import read_variables

if sys.platform != "win32":  # where there are no such locks, one run at a time
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cubekit.io.netcdf import StoredVariable
    from cubekit.io.preparing import Output, OutputVariable
    from cubekit.io.zarr.metadata import Node

__all__ = ["save_region"]

Region = dict[str, tuple[int, int]]  # start and stop on each dim


def save_region(
    cube: xr.DataArray | xr.Dataset,
    output: Output,
    target: Path,
    *,
    folder: Path,
    region: Mapping[str, slice] | Literal["auto"],
    memory: int,
    report: Callable[[int], None],
) -> None:
    """Write a cube into its place in a store, by way of a folder beside it."""
    if not is_store(target):
        raise FileNotFoundError(
            f"save_cube: region={region!r}, but there is no Zarr store {str(target)!r}."
            " A region is a part of one. Save a whole cube there first, without region."
        )
    imported(target, "save_cube")
    with _held(target):
        nodes = nodes_of(target, False)
        mark = nodes[0].attrs.pop(MARK, None)
        if not check_store(target, nodes, False):
            raise ValueError(
                f"save_cube: {target} was not written by save_cube, or was changed "
                "since. What its chunks hold is not known here. Use "
                "xarray.Dataset.to_zarr(region=...)."
            )
        stored = read_variables(target, nodes, True)
        given = _given(cube, output, stored, target)
        where = _resolved(region, cube, stored, given)
        _check_coords(cube, stored, where)
        names = sorted(v.name for v in given)
        what = {"variables": names, "region": where}
        _check_covers(target, mark, what)
        container = _staged(folder / "part.zarr", target, names)
        arrays = {n.where: n for n in nodes if n.where in names}
        sinks = [
            _RegionSink(
                _planned(v, stored[v.name], where),
                stored[v.name],
                arrays[v.name],
                where,
                container,
                report,
            )
            for v in given
        ]
        plans = [sink.plan for sink in sinks]
        count = workers(plans, memory)
        compute_chunks(sinks, count)
        checksums = {s.plan.variable.name: s.checksums for s in sinks}
        verify(container.path, plans, checksums, count)
        container.fsync()
        line = output.attrs["history"].splitlines()[-1]
        _put_in_place(container.path, target, checksums, what, f"{line} {_said(where)}")


@contextlib.contextmanager
def _held(target: Path) -> Iterator[None]:
    """Wait until no other run changes the store; chunks may be shared with it."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _given(
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


def _resolved(
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


def _check_coords(
    cube: xr.DataArray | xr.Dataset, stored: Mapping[str, StoredVariable], where: Region
) -> None:
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


def _check_covers(target: Path, mark: Any, what: dict[str, Any]) -> None:
    """Raise if the store waits for another region than this."""
    if mark is None:
        return
    covers = isinstance(mark, dict) and set(mark["variables"]) <= {*what["variables"]}
    if not covers or any(
        what["region"].get(d, (1, 0))[0] > start or what["region"][d][1] < stop
        for d, (start, stop) in mark["region"].items()
    ):
        raise CorruptFileError(
            f"save_cube: the writing of {mark!r} to {target} was never finished. "
            "Chunks of it may be old. Save that again first, then this."
        )


def _staged(path: Path, target: Path, names: list[str]) -> ZarrContainer:
    """Store with the same structure, for the chunks that are written anew."""
    for name in names:
        (path / name).mkdir(parents=True)
        shutil.copyfile(target / name / "zarr.json", path / name / "zarr.json")
    shutil.copyfile(target / "zarr.json", path / "zarr.json")
    return ZarrContainer(path)


def _planned(
    variable: OutputVariable, stored: StoredVariable, where: Region
) -> PlannedVariable:
    """Blocks that end where chunks of the store do, so that none shares one."""
    chunk = stored.array.reader.chunk  # type: ignore[attr-defined]
    order = [variable.dims.index(d) for d in stored.dims]
    data = variable.data.transpose(order).astype(stored.array.decoding.stored)
    block = block_shape(stored.array.shape, data.dtype.itemsize, chunk)
    cuts = []
    for dim, n, b, c in zip(stored.dims, data.shape, block, chunk, strict=True):
        start = where[dim][0]
        step = -(-b // c) * c
        edges = sorted({0, n, *range(-start % step, n, step)})
        cuts.append(tuple(np.diff(edges).tolist()))
    lazy = isinstance(data, da.Array)
    array = data.rechunk(tuple(cuts)) if lazy else da.from_array(data, tuple(cuts))
    fill = np.nan if data.dtype.kind == "f" else None
    output = type(variable)(variable.name, stored.dims, data, {}, fill, True)
    return PlannedVariable(output, chunk, array)


class _RegionSink:
    """Where the blocks of one variable go: into chunks, with what is around them."""

    def __init__(  # noqa: PLR0917  made in one place
        self,
        plan: PlannedVariable,
        stored: StoredVariable,
        node: Node,
        where: Region,
        container: ZarrContainer,
        report: Callable[[int], None],
    ) -> None:
        self.plan = plan
        self.stored = stored
        self.codec = codec_of(node.meta)
        self.starts = [where[d][0] for d in stored.dims]
        self.container = container
        self.report = report
        self.checksums: dict[tuple[int, ...], int] = {}

    def write(self, block: Any, region: tuple[slice, ...]) -> None:
        """Encode the chunks that a block touches."""
        block = np.asarray(block)
        reader, source = self.stored.array.reader, self.stored.array.source
        place = [
            slice(k.start + s, k.stop + s)
            for k, s in zip(region, self.starts, strict=True)
        ]
        chunk = self.plan.chunk or ()
        for index in itertools.product(
            *(
                range(k.start // c, -(-k.stop // c))
                for k, c in zip(place, chunk, strict=True)
            )
        ):
            whole, into, part = [], [], []
            for i, c, k, n in zip(index, chunk, place, reader.shape, strict=True):
                low, high = c * i, min(n, c * (i + 1))
                start, stop = max(k.start, low), min(k.stop, high)
                whole.append(slice(low, high))
                into.append(slice(start - low, stop - low))
                part.append(slice(start - k.start, stop - k.start))
            values = block[tuple(part)]
            if values.shape != tuple(k.stop - k.start for k in whole):
                around = reader.read(source.path, tuple(whole))
                around[tuple(into)] = values
                values = around
            encoded = self.codec.encode(filled(values, chunk, self.plan.variable.fill))
            self.checksums[index] = crc32(encoded)
            self.container.write_chunk(self.plan.variable.name, index, encoded)
        self.report(block.nbytes)


def _put_in_place(
    staged: Path,
    target: Path,
    checksums: Mapping[str, Mapping[tuple[int, ...], int]],
    what: dict[str, Any],
    line: str,
) -> None:
    """Move finished chunks over the old ones; meanwhile the store carries a mark."""
    root = target / "zarr.json"
    change_attrs(root, {MARK: what})
    FILES.fsync_folder(target)
    for name, chunks in checksums.items():
        for index in chunks:
            key = key_of(name, index)
            FILES.replace(staged / key, target / key)
        FILES.fsync_folder(target / name)
    nodes = nodes_of(target, True)
    attrs = nodes[0].attrs
    del attrs[MARK]
    attrs["history"] = f"{attrs.get('history', '')}\n{line}".lstrip("\n")
    change_attrs(root, attrs | {MARK: None, RECORD: record_for(nodes)})
    FILES.fsync_folder(target)


def _said(where: Region) -> str:
    return "region " + ", ".join(f"{d} {a}:{b}" for d, (a, b) in where.items())
