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

from cubekit.errors import CorruptFileError
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
from cubekit.io.zarr.placing import (
    check_coords,
    fitting_variables,
    resolved_region,
)
from cubekit.io.zarr.reading import read_variables

if sys.platform != "win32":  # where there are no such locks, one run at a time
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import xarray as xr

    from cubekit.io.netcdf import StoredVariable
    from cubekit.io.preparing import Output, OutputVariable
    from cubekit.io.zarr.metadata import Node
    from cubekit.io.zarr.placing import Region

__all__ = ["save_region"]


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
        given = fitting_variables(cube, output, stored, target)
        where = resolved_region(region, cube, stored, given)
        check_coords(cube, stored, where)
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
