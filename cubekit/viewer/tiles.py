"""The chunks that a picture lies in, and what it looks like before all are read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import xarray as xr

    from cubekit.viewer.layers import Layer

__all__ = ["Sketch", "Tiles", "as_slice", "fill"]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Tile = tuple[int, int]  # which of the rows of tiles, and of the columns


class Tiles:
    """Parts of a picture that lie in one chunk of a lazy cube each.

    Parameters
    ----------
    cube : DataArray
        Any that has the dims.
    dims : (row, column)
    index : (rows, columns)
        Which samples are shown; evenly thinned.
    """

    def __init__(
        self,
        cube: xr.DataArray,
        dims: tuple[Hashable, Hashable],
        index: tuple[Index, Index],
    ) -> None:
        self.index = index
        self.rows, self.columns = map(_tiles, (cube, cube), dims, index)

    @property
    def shape(self) -> tuple[int, int]:
        """How many pixels there are, down and across."""
        return len(self.index[0]), len(self.index[1])

    def __iter__(self) -> Iterator[Tile]:
        """All tiles, in an order in which neighbours come late."""
        columns = len(self.columns)
        return (divmod(k, columns) for k in _spread(len(self.rows), columns))

    def part(self, tile: Tile) -> tuple[slice, slice]:
        """Pixels of a tile in the picture."""
        return self.rows[tile[0]], self.columns[tile[1]]

    def place(self, tile: Tile) -> tuple[slice, slice]:
        """Samples of a tile in the cube."""
        row, column = self.part(tile)
        return as_slice(self.index[0][row]), as_slice(self.index[1][column])


class Sketch:
    """A picture in all bands, thinned, kept from what is read for one of them.

    Parameters
    ----------
    tiles : Tiles
        Of the picture.
    bands : int
        How many.
    memory : int
        Bytes that it may take.
    """

    def __init__(self, tiles: Tiles, bands: int, memory: int) -> None:
        self.index = tiles.index
        rows, columns = tiles.shape
        self.step = max(1, math.ceil(math.sqrt(4 * bands * rows * columns / memory)))
        shape = (-(-rows // self.step), -(-columns // self.step), bands)
        self._values = np.full(shape, np.nan, np.float32)
        self.known = np.zeros((len(tiles.rows), len(tiles.columns)), np.bool_)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self._values.nbytes

    def is_of(self, tiles: Tiles) -> bool:
        """Whether it shows the same samples."""
        return all(map(np.array_equal, self.index, tiles.index))

    def add(self, tiles: Tiles, tile: Tile, values: npt.NDArray[Any]) -> None:
        """Keep some pixels of a tile, (row, column, band)."""
        own, others = zip(*map(self._some, tiles.part(tile)), strict=True)
        self._values[own] = values[others]
        self.known[tile] = True

    def _some(self, part: slice) -> tuple[slice, slice]:
        """Those of the pixels of a tile that are kept: where here, and which there."""
        first, last = -(-part.start // self.step), -(-part.stop // self.step)
        return slice(first, last), slice(
            first * self.step - part.start, None, self.step
        )

    def picture(self, layer: Layer) -> Array:
        """What it shows of a layer, (row, column, channel)."""
        bands = layer.bands
        coarse = layer(self._values[..., bands], bands)
        fine = coarse.repeat(self.step, axis=0).repeat(self.step, axis=1)
        return fine[: len(self.index[0]), : len(self.index[1])]


def fill(values: npt.NDArray[Any], known: npt.NDArray[np.bool_], tiles: Tiles) -> None:
    """Continue the nearest known tile, in place, over each that is not."""
    if known.all() or not known.any():
        return
    from scipy import ndimage  # noqa: PLC0415  heavy, and only wanted here

    nearest = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    for tile in zip(*np.nonzero(~known), strict=True):
        source = tiles.part((nearest[0][tile], nearest[1][tile]))
        target = tiles.part(tile)
        inside = (
            np.clip(np.arange(t.start, t.stop), s.start, s.stop - 1)
            for s, t in zip(source, target, strict=True)
        )
        values[target] = values[np.ix_(*inside)]


def _tiles(cube: xr.DataArray, dim: Hashable, index: Index) -> list[slice]:
    """Which of the samples shown lie in each chunk of a lazy cube."""
    sizes = cube.variable.chunksizes.get(dim, (cube.sizes[dim],))
    ends = np.searchsorted(index, np.cumsum(sizes))
    starts = [0, *ends[:-1].tolist()]
    return [slice(a, b) for a, b in zip(starts, ends.tolist(), strict=True) if b > a]


def _spread(rows: int, columns: int) -> list[int]:
    """Numbers of tiles, row by row, in an order in which neighbours come late."""
    side = 1 << max(0, math.ceil(math.log2(max(rows, columns, 1))))

    def rank(number: int) -> int:
        row, column = divmod(number, columns)
        turned, bit = 0, side >> 1
        while bit:  # bits of both, the finest first
            turned = 4 * turned + 2 * bool((row ^ column) & 1) + (row & 1)
            row, column, bit = row >> 1, column >> 1, bit >> 1
        return turned

    return sorted(range(rows * columns), key=rank)


def as_slice(index: Index) -> slice:
    """Samples that are evenly thinned, as a slice."""
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    return slice(int(index[0]), int(index[-1]) + 1, step)
