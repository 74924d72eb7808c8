"""Which files a cube is computed from."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import xarray as xr

from cubekit.errors import SameFileError
from cubekit.io.source import FileArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "HELD",
    "file_arrays",
    "held_bytes",
    "largest_read",
    "refuse_own_input",
    "source_files",
]

# annotation of a layer whose tasks share blocks: bytes that wait for the last of them
HELD = "cubekit_held_bytes"


def source_files(cube: xr.DataArray | xr.Dataset) -> set[str]:
    """Files that a cube is known to come from: by its graph, and by its encoding."""
    dataset = cube if isinstance(cube, xr.Dataset) else cube.to_dataset(name="__cube__")
    paths = {str(cube.encoding.get("source", ""))}
    for variable in dataset.variables.values():
        paths.add(str(variable.encoding.get("source", "")))
        # not .data: that would read what xarray has not read yet
        array = variable._data
        if isinstance(array, da.Array):
            for behind in _in_graph(array):
                paths |= set(_behind(behind))
        else:
            paths |= set(_behind(array))
    return paths - {""}


def file_arrays(array: da.Array) -> list[FileArray]:
    """Arrays in files that a lazy array is computed from."""
    return [a for a in _in_graph(array) if isinstance(a, FileArray)]


def largest_read(array: da.Array) -> int:
    """Bytes of the largest block that is read from a file for a lazy array."""
    itemsizes = {a.shape: a.dtype.itemsize for a in file_arrays(array)}
    graph: Any = array.__dask_graph__()
    largest = 0
    for layer in graph.layers.values():
        for blocks in (getattr(layer, "io_deps", None) or {}).values():
            chunks = getattr(blocks, "chunks", ())
            itemsize = itemsizes.get(tuple(map(sum, chunks)), 0)
            largest = max(largest, itemsize * math.prod(map(max, chunks)))
    return largest


def held_bytes(arrays: Iterable[da.Array]) -> int:
    """Bytes of blocks that are kept, for tasks to come, while arrays are computed."""
    held: dict[str, int] = {}
    for array in arrays:
        graph: Any = array.__dask_graph__()
        for name, layer in graph.layers.items():
            held[name] = int((layer.annotations or {}).get(HELD, 0))
    return sum(held.values())


def _in_graph(array: da.Array) -> Iterator[Any]:
    """Whole arrays that lie in a graph."""
    graph: Any = array.__dask_graph__()
    for layer in graph.layers.values():
        # whole arrays lie in a graph under one plain key, before any block
        arrays = getattr(layer, "io_deps", None) or {}
        yield from _plain_values(layer)
        yield from arrays.values()


def _plain_values(layer: Any) -> Iterator[Any]:
    mapping = getattr(layer, "mapping", None) or {}
    for key, value in mapping.items():
        if isinstance(key, str):
            yield getattr(value, "value", value)  # newer Dask wraps data in a node


def _behind(array: Any) -> Iterator[str]:
    """Files behind an array of ours, or behind one of xarray's lazy wrappers."""
    for _ in range(20):
        if isinstance(array, FileArray):
            yield array.source.path
            return
        name = getattr(getattr(array, "datastore", None), "_filename", None)
        if name is not None:
            yield str(name)
            return
        # the zarr library's own, alone or in one of xarray's wrappers
        folder = getattr(getattr(array, "store", None), "root", None)
        if folder is not None:
            yield str(folder)
            return
        array = getattr(array, "array", getattr(array, "_array", None))
        if array is None:
            return


def refuse_own_input(cube: xr.DataArray | xr.Dataset, target: Path) -> None:
    """Raise if a file is to be written over one that the cube comes from."""
    try:
        there = target.stat()
    except OSError:
        return
    for path in sorted(source_files(cube)):
        if any(_is(there, behind) for behind in (Path(path), *Path(path).parents)):
            raise SameFileError(
                f"save_cube: {target} is the file that the cube is read from "
                f"({path}). Writing would destroy its own input. Give another path, "
                "and move the new file over the old one afterwards."
            )


def _is(there: os.stat_result, path: Path) -> bool:
    """Whether a path leads to the same; also a folder that the source lies in."""
    try:
        return os.path.samestat(path.stat(), there)
    except OSError:
        return False
