"""ENVI out: a header and raw numbers, streamed block by block."""

from __future__ import annotations

import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from cubekit.axis import Axis
from cubekit.errors import CoordinateError, WriteVerifyError
from cubekit.io.codec import crc32
from cubekit.io.computing import compute_chunks
from cubekit.io.envi import DTYPES, INTERLEAVES, read_envi
from cubekit.io.envi_files import data_files, header_files
from cubekit.io.envi_header import header_text
from cubekit.io.files import FILES, write_all
from cubekit.io.layout import block_shape
from cubekit.io.lineage import refuse_own_input
from cubekit.io.planning import PlannedVariable, workers
from cubekit.io.preparing import OutputVariable
from cubekit.io.progress import progress_bar
from cubekit.io.staging import (
    check_room,
    exists_error,
    publish_pair,
    room_errors,
    staging,
)
from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cubekit.io.preparing import Output

__all__ = ["save_envi"]

_CODES = {name: code for code, name in DTYPES.items()}
_BANDS = ("wavelength", "wavelengths", "wavenumber", "band", "bands", "component")


def save_envi(
    cube: xr.DataArray | xr.Dataset,
    output: Output,
    target: Path,
    *,
    interleave: str | None,
    overwrite: bool,
    memory: int,
    progress: bool | Callable[[int, int], None] | None,
    verify: bool,
) -> None:
    """Write the two files of a cube, or neither."""
    header, data = _places(cube, target, overwrite)
    one = _one_cube(cube, target)
    dims = _dims(one)
    kind = _interleave(target, interleave, one, dims)
    variable = next(v for v in output.variables if v.name == str(one.name))
    plan = _planned(variable, tuple(dims.get(d) for d in INTERLEAVES[kind]))
    text, lost = header_text(one, dims, kind, _CODES[plan.array.dtype.str[1:]])
    if lost:
        warn_caller(
            f"save_cube: ENVI has no place for {', '.join(map(repr, lost))}: not in "
            f"{header.name}. netCDF and Zarr keep everything.",
        )
    check_room(target, plan.nbytes)
    label = target.name.encode("unicode_escape").decode()
    with (
        staging(target) as folder,
        progress_bar(progress, plan.nbytes, label) as report,
        room_errors(target, plan.nbytes),
    ):
        staged = folder / "cube.hdr", folder / "cube.img"
        sink = _RawSink(plan, staged[1], report)
        try:
            count = workers([plan], memory)
            compute_chunks([sink], count)
            FILES.fsync(sink.handle)
        finally:
            sink.close()
        _write_text(staged[0], text)
        if verify:
            _verify(*staged, one, sink, count)
        publish_pair(staged, (header, data), overwrite)


def _places(
    cube: xr.DataArray | xr.Dataset, target: Path, overwrite: bool
) -> tuple[Path, Path]:
    """Header and data file; no other file may be taken for one of them."""
    is_header = target.suffix.lower() == ".hdr"
    header = target if is_header else target.with_suffix(".hdr")
    data = target.with_suffix(".img") if is_header else target
    for place in (header, data):
        refuse_own_input(cube, place)
        if os.path.lexists(place) and not overwrite:
            raise exists_error(place)
        if place.is_dir():
            raise IsADirectoryError(
                f"save_cube: {place} is a folder. Give another path."
            )
    ours = {header.resolve(), data.resolve()}
    for other in (*data_files(header), *header_files(data)):
        if other.exists() and other.resolve() not in ours:
            raise FileExistsError(
                f"save_cube: {other} lies beside {header.name}. Readers of ENVI would "
                "take it for a part of the new cube. Give another name, or move it."
            )
    return header, data


def _one_cube(cube: xr.DataArray | xr.Dataset, target: Path) -> xr.DataArray:
    if isinstance(cube, xr.DataArray):
        return cube.rename("cube") if cube.name is None else cube
    if len(cube.data_vars) != 1:
        raise ValueError(
            f"save_cube: a Dataset of {len(cube.data_vars)} variables, and "
            f"{target.name}. An ENVI file holds one cube. Save one of "
            f"{', '.join(map(repr, cube.data_vars))}: dataset[...]."
        )
    return next(iter(cube.data_vars.values()))


def _dims(cube: xr.DataArray) -> dict[str, str]:
    """Dims of the cube that are its bands, lines (y) and samples (x)."""
    try:
        band = Axis.from_cube(cube).dim
    except CoordinateError:  # jumping back, or none
        band = next((d for d in map(str, cube.dims) if d in _BANDS), "")
    others = [str(d) for d in cube.dims if d != band]
    if not band and len(others) == 3:
        raise ValueError(
            f"save_cube: which of the dims {', '.join(map(repr, others))} are bands "
            "cannot be known. An ENVI file has bands, lines and samples. Rename it: "
            'cube.rename(...="wavelength").'
        )
    if len(others) > 2 or cube.dtype.kind not in "iufb" or not cube.size:
        raise ValueError(
            f"save_cube: a cube of {cube.dtype} with dims {cube.dims} and shape "
            f"{cube.shape}. An ENVI file holds numbers in bands, lines and samples. "
            "Select from it, or use netCDF or Zarr."
        )
    if others and others[0].lower() in {"x", "lon", "longitude", "sample", "samples"}:
        others = others[::-1]
    return dict(zip(("y", "x"), others, strict=False)) | (
        {"band": band} if band else {}
    )


def _interleave(
    target: Path, given: str | None, cube: xr.DataArray, dims: dict[str, str]
) -> str:
    suffix = target.suffix.lower().lstrip(".")
    stated = suffix if suffix in INTERLEAVES else None
    if given not in {None, *INTERLEAVES} or (stated and given not in {None, stated}):
        known = " or ".join(map(repr, [stated] if stated else INTERLEAVES))
        raise ValueError(
            f"save_cube: interleave={given!r}, and {target.name}. It is the order of "
            f"the numbers. Use {known}."
        )
    if given or stated:
        return str(given or stated)
    place = cube.dims.index(dims["band"]) if "band" in dims else 0
    if place == 0:
        return "bsq"
    return "bip" if place == cube.ndim - 1 else "bil"


def _planned(variable: OutputVariable, dims: tuple[str | None, ...]) -> PlannedVariable:
    """Blocks of the cube in the order of the file, in a dtype that ENVI has."""
    data = variable.data
    if variable.attrs.get("dtype") == "bool":
        data = data.astype(np.uint8)
    elif data.dtype == np.int8:
        data = data.astype(np.int16)
    order = [variable.dims.index(d) for d in dims if d is not None]
    data = data.transpose(order).astype(data.dtype.newbyteorder("<"))
    data = data[tuple(None if d is None else slice(None) for d in dims)]
    if not isinstance(data, da.Array):
        blocks = block_shape(data.shape, data.dtype.itemsize, None)
        data = da.from_array(data, blocks, name=False)
    names = tuple(d or f"one_{k}" for k, d in enumerate(dims))
    moved = OutputVariable(variable.name, names, data, {}, None, True)
    return PlannedVariable(moved, data.shape, data)


class _RawSink:
    """Where blocks go: to their places in one file, line by line."""

    def __init__(
        self, plan: PlannedVariable, path: Path, report: Callable[[int], None]
    ) -> None:
        self.plan = plan
        self.report = report
        self.checksums: dict[tuple[int, ...], int] = {}  # by the start of each block
        self.handle = FILES.create(path)
        FILES.truncate(self.handle, plan.nbytes)
        self._lock = threading.Lock()
        self._is_open = True

    def write(self, block: Any, region: tuple[slice, ...]) -> None:
        """Write a block."""
        shape = self.plan.array.shape
        block = np.ascontiguousarray(block, self.plan.array.dtype)
        # axes from `split` on lie in one piece in the file
        split = len(shape) - 1
        while split > 0 and block.shape[split] == shape[split]:
            split -= 1
        runs = block.reshape(math.prod(block.shape[:split]), -1).view(np.uint8)
        strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
        starts = itertools.product(*(range(k.start, k.stop) for k in region[:split]))
        first = sum(
            k.start * n for k, n in zip(region[split:], strides[split:], strict=True)
        )
        with self._lock:
            if not self._is_open:  # a thread that did not hear of the end yet
                return
            for place, run in zip(starts, runs, strict=True):
                offset = first + sum(map(math.prod, zip(place, strides, strict=False)))
                write_all(self.handle, run.data, offset * block.itemsize)
        start = tuple(k.start for k in region)
        self.checksums[start] = crc32(runs.reshape(-1).data)
        self.report(block.nbytes)

    def close(self) -> None:
        """Close the file; nothing more is written."""
        with self._lock:
            self._is_open = False
            os.close(self.handle)


def _write_text(path: Path, text: str) -> None:
    handle = FILES.create(path)
    try:
        write_all(handle, text.encode())
        FILES.fsync(handle)
    finally:
        os.close(handle)


def _verify(
    header: Path, data: Path, cube: xr.DataArray, sink: _RawSink, count: int
) -> None:
    """Read both files back as `open_cube` does, and compare."""
    found = read_envi(header, data)
    reader = found.array.reader

    def differs(region: tuple[slice, ...]) -> bool:
        block = np.ascontiguousarray(reader.read(str(data), region))
        start = tuple(k.start for k in region)
        return crc32(block.reshape(-1).view(np.uint8).data) != sink.checksums[start]

    regions = [region for _, region in sink.plan.regions()]
    with ThreadPoolExecutor(count) as pool:
        for region, wrong in zip(regions, pool.map(differs, regions), strict=True):
            if wrong:
                where = ", ".join(f"{k.start}:{k.stop}" for k in region)
                raise WriteVerifyError(
                    f"save_cube: {cube.name!r} read back at [{where}] differs from "
                    "what was written. The disk changed the data. Nothing was "
                    "replaced. Save again, or elsewhere."
                )
