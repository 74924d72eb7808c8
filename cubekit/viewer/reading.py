"""Reading what a picture needs: a few chunks at a time, and none of them twice."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.plotting.sampling import band_groups
from cubekit.viewer.tiles import Sketch, fill

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from cubekit.viewer.layers import Layer
    from cubekit.viewer.tiles import Tile, Tiles

__all__ = ["Reader", "Reading"]

Values = npt.NDArray[Any]
_AT_ONCE = 64  # tiles in one reading
_TRANSIENT = 3 * 2**25  # bytes in one reading


class Reader:
    """Values of a cube, kept as far as the memory goes.

    Parameters
    ----------
    cube : DataArray, dims (row, column, band)
        Lazy or not.
    dim : str
        Of the bands.
    memory : int
        Bytes that are kept.
    """

    def __init__(self, cube: xr.DataArray, dim: Hashable, memory: int) -> None:
        self.cube, self.dim, self.memory = cube, dim, memory
        self._kept: OrderedDict[tuple[Any, ...], Values] = OrderedDict()
        self._sketch: Sketch | None = None

    def bands(self, layer: Layer, pixels: int) -> tuple[list[int], bool]:
        """Bands to read and keep, and whether others in their chunks are too many.

        Those of a layer, with all in the same chunks if they fit in the memory.
        """
        needed, total = layer.bands, self.cube.sizes[self.dim]
        stored = self.cube.encoding.get("preferred_chunks") or {}
        depth = stored.get(self.dim)
        if self.cube.chunks is None or not depth:
            return needed, False
        groups = {b // depth for b in needed}
        beside = [b for b in range(total) if b // depth in groups]
        size = pixels * len(beside) * self.cube.dtype.itemsize
        return (beside, False) if size <= self.memory // 2 else (needed, depth >= total)

    def sketch(self, tiles: Tiles) -> Sketch:
        """Sketch of a picture, the last one if it is of the same samples."""
        if self._sketch is None or not self._sketch.is_of(tiles):
            bands = self.cube.sizes[self.dim]
            self._sketch = Sketch(tiles, bands, self.memory // 2)
        return self._sketch

    def known(self, tiles: Tiles, tile: Tile, bands: list[int]) -> Values | None:
        """Values of a tile, (row, column, band), if they were kept."""
        name = _name(tiles, tile, bands)
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def keep(self, tiles: Tiles, tile: Tile, bands: list[int], values: Values) -> None:
        """Keep values of a tile, and forget the oldest ones that fit no more."""
        self._kept[_name(tiles, tile, bands)] = values
        while self._kept and self.nbytes > self.memory:
            self._kept.popitem(last=False)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        sketched = 0 if self._sketch is None else self._sketch.nbytes
        return sketched + sum(v.nbytes for v in self._kept.values())

    def read(self, tiles: Tiles, some: list[Tile], bands: list[int]) -> list[Values]:
        """Values of tiles, read now: all at once, the bands of one chunk at a time."""
        parts: list[list[Values]] = [[] for _ in some]
        for group in band_groups(self.cube, self.dim, bands) if some else ():
            within = slice(group[0], group[-1] + 1)
            lazy = {}
            for k, tile in enumerate(some):
                cut = self.cube.variable[(*tiles.place(tile), within)]
                lazy[k] = ((f"row {k}", f"column {k}", self.dim), cut.data)
            loaded = xr.Dataset(lazy).compute()
            at = [b - group[0] for b in group]
            is_run = at == list(range(len(at)))  # no copy of all bands
            for k, part in enumerate(parts):
                values = loaded[k].values
                part.append(values if is_run else values[..., at])
        return [
            part[0] if len(part) == 1 else np.concatenate(part, axis=-1)
            for part in parts
        ]


class Reading:
    """A picture of a layer, as far as it has been read.

    Parameters
    ----------
    reader : Reader
        Of the cube.
    tiles : Tiles
        Of the picture.
    layer : Layer
        What is shown.
    """

    def __init__(self, reader: Reader, tiles: Tiles, layer: Layer) -> None:
        self.reader, self.tiles, self.layer = reader, tiles, layer
        rows, columns = tiles.shape
        self.bands, is_deep = reader.bands(layer, rows * columns)
        # chunks that hold all bands are not read again for a first look at another
        self.sketch = reader.sketch(tiles) if is_deep else None
        self._values: Values = np.full(
            (rows, columns, len(layer.sums)),
            np.nan,
            np.result_type(reader.cube.dtype, np.float32),
        )
        self._known = np.zeros((len(tiles.rows), len(tiles.columns)), np.bool_)
        self._count = 0
        if self.sketch is not None:
            self._known |= self.sketch.known
            self._values[:] = self.sketch.picture(layer)

    @property
    def is_sketched(self) -> bool:
        """Whether something can be shown before anything is read."""
        return bool(self._known.any())

    @property
    def done(self) -> float:
        """Share of the pixels that have been read."""
        rows, columns = self.tiles.shape
        return self._count / max(1, rows * columns)

    def picture(self) -> Values:
        """Values (row, column, channel); a guess where they are not read yet."""
        fill(self._values, self._known, self.tiles)
        return self._values.copy()

    def parts(self, patience: float) -> Iterator[None]:
        """Read a few tiles at a time, about as many as `patience` seconds allow."""
        batch, waiting = 1, iter(self.tiles)
        while some := list(itertools.islice(waiting, batch)):
            started = time.monotonic()
            found = self._read(some)
            for tile, values in zip(some, found, strict=True):
                part = self.layer(values, self.bands)
                self._values[self.tiles.part(tile)] = part
                self._known[tile] = True
                self._count += part.shape[0] * part.shape[1]
            took = time.monotonic() - started
            # one reading of several chunks uses all cores; a long one keeps others
            # waiting
            if took < patience / 4:
                batch = min(4 * batch, self._most(some[0]))  # within patience
            elif took > patience and batch > 1:
                batch //= 2
            yield

    def _most(self, tile: Tile) -> int:
        """Tiles in one reading, all bands of them if they are sketched."""
        if self.sketch is None:
            return _AT_ONCE
        row, column = self.tiles.part(tile)
        pixels = (row.stop - row.start) * (column.stop - column.start)
        cube = self.reader.cube
        size = pixels * int(cube.sizes[self.reader.dim]) * cube.dtype.itemsize
        return max(1, min(_AT_ONCE, int(_TRANSIENT // max(1, size))))

    def _read(self, some: list[Tile]) -> list[Values]:
        """Values of tiles in the bands that are kept, (row, column, band)."""
        reader, tiles, bands = self.reader, self.tiles, self.bands
        found: dict[Tile, Values] = {}
        known, fresh = [], []
        for tile in some:
            kept = reader.known(tiles, tile, bands)
            if kept is not None:
                found[tile] = kept
            elif self.sketch is None or self.sketch.known[tile]:
                known.append(tile)
            else:
                fresh.append(tile)
        found |= zip(known, reader.read(tiles, known, bands), strict=True)
        if self.sketch is not None:
            every = list(range(reader.cube.sizes[reader.dim]))
            whole = reader.read(tiles, fresh, every)
            for tile, values in zip(fresh, whole, strict=True):
                self.sketch.add(tiles, tile, values)
                found[tile] = values[..., bands]
        for tile, values in found.items():
            reader.keep(tiles, tile, bands, values)
        return [found[tile] for tile in some]


def _name(tiles: Tiles, tile: Tile, bands: list[int]) -> tuple[Any, ...]:
    """What the values of a tile are known by."""
    cuts = tiles.place(tile)
    return (*((c.start, c.stop, c.step) for c in cuts), tuple(bands))
