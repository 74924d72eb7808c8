"""EMIT: images laid on the map by their lookup table."""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import annotate, tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.order import order

from cubekit.arguments import require_dataarray
from cubekit.io.layout import BLOCK_BYTES
from cubekit.io.lineage import HELD, file_arrays, source_files
from cubekit.io.netcdf import read_structure

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from cubekit.io.source import FileArray

__all__ = ["orthorectify"]

Array = npt.NDArray[Any]
_SWATH = ("downtrack", "crosstrack")
_PLACES = {"lat", "lon", "latitude", "longitude"}


def orthorectify(
    cube: xr.DataArray,
    table: str | os.PathLike[str] | None = None,
    *,
    dims: tuple[str, str] = _SWATH,
) -> xr.DataArray:
    """EMIT cube on its map: each place has the pixel that the lookup table names.

    Parameters
    ----------
    cube : DataArray, dims (downtrack, crosstrack, ...)
        What was made of an EMIT file, in its pixels.
    table : path, optional
        File with the lookup table (``location/glt_x`` and ``glt_y``). If not given, the
        one that the cube is computed from.
    dims : tuple of str, default ("downtrack", "crosstrack")
        Lines and samples of the cube, in this order.

    Returns
    -------
    DataArray, dims (latitude, longitude, ...)
        Floating; NaN where there is no pixel. Centres of the places in degrees, and the
        map projection as ``spatial_ref``.

    Raises
    ------
    ValueError
        If there is no table, or it belongs to another cube.

    Notes
    -----
    Nearest neighbours: no value is made up, some are there twice, so do statistics
    (PCA, noise) before this step. Two-dimensional coordinates are laid on the map too;
    ``lat`` and ``lon`` become the axes.

    **Missing values:** stay. **Chunks:** lazy, in tiles of about 16 MiB; each takes the
    blocks of the cube in which its pixels lie. A cube as it was opened is read in
    square blocks, so that few are needed at a time; after other steps its own blocks
    are used: open it with ``chunks={"downtrack": 128, "crosstrack": 128}`` for that.
    Blocks stay in memory until the last tile that needs them; ``plan(...).peak`` counts
    them.
    **Cost:** one reading of the table (8 bytes a place) in each process that computes,
    and a copy of the values.

    Examples
    --------
    >>> import cubekit as ck
    >>> ck.orthorectify(ck.datasets.scene((4, 4)))
    Traceback (most recent call last):
    ValueError: orthorectify: the cube is computed from no file. ...
    """
    require_dataarray(cube, "orthorectify")
    path = _table_of(cube, table)
    lacking = [d for d in dims if d not in cube.dims]
    if lacking:
        raise ValueError(
            f"orthorectify: dims={dims!r}, but the cube has {cube.dims}. They are its "
            'lines and samples, in this order. Say which: dims=("y", "x").'
        )
    places, coords = _read_table(path)
    rows, columns = places.numbers()
    sizes = tuple(cube.sizes[d] for d in dims)
    most = int(rows.max(initial=0)), int(columns.max(initial=0))
    if most[0] > sizes[0] or most[1] > sizes[1]:
        raise ValueError(
            f"orthorectify: the table of {path} names line {most[0]}, sample "
            f"{most[1]}. The cube has {sizes[0]} lines, {sizes[1]} samples. Give the "
            "file that the cube is from as table=, and cut the cube afterwards."
        )
    for name, coord in cube.coords.items():
        if set(dims) <= set(coord.dims) and str(name).lower() not in _PLACES:
            coords[str(name)] = _laid(coord.variable, places, dims)
        elif not set(dims) & set(coord.dims):
            coords[str(name)] = coord.variable
    variable = _laid(cube.variable, places, dims)
    return xr.DataArray(variable, coords, name=cube.name)


@dataclasses.dataclass(eq=False)
class _Table:
    """Line and sample of each place, counted from 1; 0 where there is no pixel.

    It is pickled without its numbers: another process reads them from the file once,
    so a graph of many tiles stays small.
    """

    lines: FileArray
    samples: FileArray

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: tuple[Array, Array] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Table, (self.lines, self.samples)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "cubekit.orthorectify", tokenize(self.lines, self.samples)

    @property
    def array(self) -> FileArray:
        """One array of the file, by which it is known as a source."""
        return self.lines

    def numbers(self) -> tuple[Array, Array]:
        """All lines and samples."""
        with self._lock:
            if self._numbers is None:
                # negative: the pixel of a neighbour, as some tables mark it
                rows, columns = (
                    np.abs(np.nan_to_num(axis[:, :]).astype(np.int32))
                    for axis in (self.lines, self.samples)
                )
                here = (rows > 0) & (columns > 0)
                self._numbers = np.where(here, rows, 0), np.where(here, columns, 0)
            return self._numbers


def _table_of(cube: xr.DataArray, table: str | os.PathLike[str] | None) -> Path:
    if table is not None:
        return Path(table)
    files = sorted(source_files(cube))
    if len(files) != 1:
        found = ", ".join(files) or "no file"
        raise ValueError(
            f"orthorectify: the cube is computed from {found}. One has its lookup "
            'table. Say which: orthorectify(cube, table="EMIT_L2A_RFL....nc").'
        )
    return Path(files[0])


def _read_table(path: Path) -> tuple[_Table, dict[str, Any]]:
    """Lookup table of a file, and the coordinates of places."""
    file = read_structure(path)
    names = [f"location/glt_{axis}" for axis in "yx"]
    step = np.asarray(file.attrs.get("geotransform", ()), float)
    if not set(names) <= set(file.variables) or step.shape != (6,):
        raise ValueError(
            f"orthorectify: {path} has no lookup table. An EMIT file of level 1B or 2A "
            "has location/glt_x, location/glt_y and the attribute geotransform. Give "
            "one as table=."
        )
    table = _Table(*(file.variables[name].array for name in names))
    height, width = table.lines.shape
    lat = step[3] + step[5] * (np.arange(height) + 0.5)
    lon = step[0] + step[1] * (np.arange(width) + 0.5)
    north = {"units": "degrees_north", "standard_name": "latitude"}
    east = {"units": "degrees_east", "standard_name": "longitude"}
    coords: dict[str, Any] = {
        "latitude": xr.Variable("latitude", lat, north),
        "longitude": xr.Variable("longitude", lon, east),
    }
    if file.attrs.get("spatial_ref"):
        wkt = {"crs_wkt": str(file.attrs["spatial_ref"])}
        coords["spatial_ref"] = xr.Variable((), 0, wkt)
    return table, coords


def _laid(variable: xr.Variable, table: _Table, dims: tuple[str, str]) -> xr.Variable:
    """One variable on the map."""
    others = [d for d in variable.dims if d not in dims]
    data = variable.transpose(*dims, *others).data
    laid: Any = (
        _laid_lazily(data, table)
        if isinstance(data, da.Array)
        else _gathered([data], [(0, 0)], table, (slice(None),) * 2, data.shape[2:])
    )
    return xr.Variable(("latitude", "longitude", *others), laid, variable.attrs)


def _gathered(
    blocks: Sequence[Array],
    origins: Sequence[tuple[int, int]],
    table: _Table,
    place: tuple[slice, ...],
    rest: tuple[int, ...],
) -> Array:
    """Values of a tile from the blocks in which its pixels lie."""
    rows, columns = (axis[place] for axis in table.numbers())
    dtype = _floating(blocks[0].dtype) if blocks else np.dtype(np.float32)
    tile = np.full((*rows.shape, *rest), np.nan, dtype)
    for block, (top, left) in zip(blocks, origins, strict=True):
        line, sample = rows - 1 - top, columns - 1 - left
        here = (rows > 0) & (line >= 0) & (line < block.shape[0])
        here &= (sample >= 0) & (sample < block.shape[1])
        tile[here] = block[line[here], sample[here]]
    return tile


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype that holds the values, and NaN."""
    return np.dtype(dtype if dtype.kind in "fc" else np.result_type(dtype, np.float32))


def _laid_lazily(data: Any, table: _Table) -> da.Array:
    """Tiles of the map, each from the blocks that it needs and no others."""
    rows, columns = table.numbers()
    data = _in_squares(data)
    rest = data.chunks[2:]
    itemsize = _floating(data.dtype).itemsize
    deep = math.prod(max(sizes, default=1) for sizes in rest)
    side = max(16, int(math.sqrt(BLOCK_BYTES / max(1, itemsize * deep))) // 16 * 16)
    cuts = [_cut(n, side) for n in rows.shape]
    edges = [np.cumsum([0, *sizes]) for sizes in data.chunks[:2]]
    name = f"orthorectify-{tokenize(data.name, table)}"
    shared = f"orthorectify-table-{tokenize(table)}"
    graph: dict[Any, Any] = {}
    starts = [np.cumsum([0, *c]).tolist() for c in cuts]
    for i, j in itertools.product(*(range(len(c)) for c in cuts)):
        tile = tuple(slice(s[k], s[k + 1]) for s, k in zip(starts, (i, j), strict=True))
        line, sample = rows[tile], columns[tile]
        needed = _blocks_of(line, sample, edges)
        origins = [(int(edges[0][p]), int(edges[1][q])) for p, q in needed]
        for place in itertools.product(*(range(len(sizes)) for sizes in rest)):
            shape = tuple(sizes[k] for sizes, k in zip(rest, place, strict=True))
            blocks = [(data.name, p, q, *place) for p, q in needed]
            task = (_gathered, blocks, origins, shared, tile, shape)
            graph[name, i, j, *place] = task
    block = data.dtype.itemsize * math.prod(data.chunksize)
    with annotate(**{HELD: block * _most_held(graph)}):
        tiles = {**graph, shared: table}
        layers = HighLevelGraph.from_collections(name, tiles, dependencies=[data])
    dtype = _floating(data.dtype)
    meta = np.empty((0,) * data.ndim, dtype)
    result: da.Array = da.Array(layers, name, (*cuts, *rest), meta=meta)
    return result


def _most_held(graph: dict[Any, Any]) -> int:
    """Blocks that are in memory at most, in the order in which Dask makes tiles."""
    blocks = {key: (tuple, ()) for task in graph.values() for key in task[1]}
    waiting = Counter(key for task in graph.values() for key in task[1])
    rank: Any = order({**blocks, **graph})
    held = most = 0
    for key in sorted(rank, key=rank.__getitem__):
        if key in blocks:
            held += 1
            most = max(most, held)
            continue
        for needed in graph[key][1]:
            waiting[needed] -= 1
            held -= waiting[needed] == 0
    return most


def _cut(size: int, side: int) -> tuple[int, ...]:
    return tuple(min(side, size - k) for k in range(0, size, side))


def _blocks_of(
    line: Array, sample: Array, edges: Sequence[Array]
) -> list[tuple[int, int]]:
    """Blocks of the cube in which the pixels of a tile lie."""
    here = line > 0
    p = np.searchsorted(edges[0], line[here] - 1, side="right") - 1
    q = np.searchsorted(edges[1], sample[here] - 1, side="right") - 1
    return [(int(a), int(b)) for a, b in np.unique(np.stack([p, q], 1), axis=0)]


def _in_squares(data: da.Array) -> da.Array:
    """Cube as it was opened, in square blocks; any other as it is."""
    sources = file_arrays(data)
    graph: Any = data.__dask_graph__()
    if len(sources) != 1 or len(graph.layers) > 2 or sources[0].shape != data.shape:
        return data
    deep = data.dtype.itemsize * math.prod(data.shape[2:])
    side = max(16, int(math.sqrt(BLOCK_BYTES / max(1, deep))))
    chunk = getattr(sources[0].reader, "chunk", None)
    step = [max(c, side // c * c) for c in (chunk or (1, 1))[:2]]
    squares = [_cut(n, s) for n, s in zip(data.shape, step, strict=False)]
    return sources[0].to_dask((*squares, *((n,) for n in data.shape[2:])))
