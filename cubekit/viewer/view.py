"""Which pixels are shown, how they are read, and what they look like. No widgets."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.axis import Axis
from cubekit.plotting.colours import about_zero, colour_map, colours, is_diverging, span
from cubekit.plotting.labels import centres, edges
from cubekit.plotting.placing import is_even, points_down
from cubekit.plotting.sampling import band_groups

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from cubekit.viewer.layers import Layer

__all__ = ["Frame", "View", "Window"]

Array = npt.NDArray[np.float64]
Window = tuple[float, float, float, float]  # left, right, bottom, top


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A picture, as far as it has been read.

    Parameters
    ----------
    values : array, (row, column, channel)
        NaN where a value is missing or not read yet. The first row is the lowest value
        of y, the first column that of x; all rows and columns are evenly spaced.
    window : (left, right, bottom, top)
        Edges of the picture, in units of the axes.
    done : float
        Share of the pixels that have been read.
    every : int
        One pixel in so many is shown, along the more thinned of the two dims.
    """

    values: Array
    window: Window
    done: float
    every: int

    def rgba(
        self, percentile: tuple[float, float] = (2, 98), *, joint: bool = False
    ) -> tuple[npt.NDArray[np.uint8], tuple[float, float], str]:
        """Colours (row, column, 4), the range they span, and the map of one channel."""
        import matplotlib as mpl  # noqa: PLC0415  heavy

        finite = np.where(np.isfinite(self.values), self.values, np.nan)
        if finite.shape[-1] == 3:
            low, high = span("explore", finite, percentile, None if joint else (0, 1))
            shade = colours(finite, low, high)
            return (255 * shade + 0.5).astype(np.uint8), (0.0, 1.0), ""
        low, high = map(float, span("explore", finite, percentile))
        diverging = is_diverging(low, high)
        if diverging:
            low, high = about_zero(low, high)
        name = colour_map(diverging)
        flat = finite[..., 0]
        shade = mpl.colormaps[name](np.nan_to_num((flat - low) / (high - low)))
        shade[..., 3] = np.isfinite(flat)
        return (255 * shade + 0.5).astype(np.uint8), (low, high), name


class View:
    """A cube from above: reads what is shown, thinned, a few chunks at a time.

    Parameters
    ----------
    cube : DataArray
        Two dims besides that of the bands; of further ones the first sample.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    max_pixels : int
        At most so many are read along each side.
    memory : int
        Bytes of thinned chunks that are kept.
    """

    def __init__(
        self,
        cube: xr.DataArray,
        coord: str | None = None,
        *,
        max_pixels: int = 1000,
        memory: int = 2**28,
    ) -> None:
        self.axis = Axis.from_cube(cube, coord)
        dims = [d for d in cube.dims if d != self.axis.dim]
        if len(dims) < 2:
            raise ValueError(
                f"explore: the cube has dims {cube.dims}. A picture needs two besides "
                f"{self.axis.dim!r}. Draw its spectra: cubekit.plotting.spectra(cube)."
            )
        cube = cube.isel(dict.fromkeys(dims[:-2], 0), drop=True)
        self.rows, self.columns = dims[-2:]
        places = [k for k, c in cube.coords.items() if c.ndim > 1]  # may be lazy, too
        self.cube = cube.drop_vars(places).transpose(
            self.rows, self.columns, self.axis.dim
        )
        self.y, self.y_label = centres(cube, self.rows)
        self.x, self.x_label = centres(cube, self.columns)
        self.points_down = points_down(cube, self.rows)
        self.max_pixels = max_pixels
        self._memory = memory
        self._kept: OrderedDict[tuple[Any, ...], npt.NDArray[Any]] = OrderedDict()

    @property
    def whole(self) -> Window:
        """Edges of the cube."""
        y, x = edges(self.y), edges(self.x)
        return float(x.min()), float(x.max()), float(y.min()), float(y.max())

    @property
    def same_units(self) -> bool:
        """Whether a unit of y is as long as one of x."""
        y, x = (s.rpartition("(")[2] for s in (self.y_label, self.x_label))
        return y == x

    def pixel(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column of the pixel at a place; None off the cube."""
        left, right, bottom, top = self.whole
        if not (left <= x <= right and bottom <= y <= top):
            return None
        return int(np.abs(self.y - y).argmin()), int(np.abs(self.x - x).argmin())

    def frames(
        self, layer: Layer, window: Window | None = None, patience: float = 0.2
    ) -> Iterator[Frame]:
        """Pictures of a window, more of each read than of the one before.

        A frame comes after about `patience` seconds of reading, and one when all is
        read. Chunks come in an order that spreads over the window.
        """
        left, right, bottom, top = window or self.whole
        rows, row_step = _thinned(self.y, bottom, top, self.max_pixels)
        columns, column_step = _thinned(self.x, left, right, self.max_pixels)
        values = np.full((len(rows), len(columns), len(layer.sums)), np.nan)
        bands = self._bands(layer, len(rows) * len(columns))
        row_tiles = _tiles(self.cube, self.rows, rows)
        column_tiles = _tiles(self.cube, self.columns, columns)
        tiles = list(itertools.product(row_tiles, column_tiles))
        tiles = [tiles[k] for k in _spread(len(row_tiles), len(column_tiles))]
        done, batch, began = 0, 1, time.monotonic()
        waiting = iter(tiles)
        while some := list(itertools.islice(waiting, batch)):
            started = time.monotonic()
            found = self._read([(rows[r], columns[c]) for r, c in some], bands)
            for (r, c), raw in zip(some, found, strict=True):
                values[r, c] = layer(raw, bands)
                done += raw.shape[0] * raw.shape[1]
            now = time.monotonic()
            # one reading of several chunks uses all cores; a long one keeps others
            # waiting
            batch = max(1, min(64, batch * (2 if now - started < patience / 4 else 1)))
            if now - started > patience and batch > 1:
                batch //= 2
            if done < values[..., 0].size and now - began > patience:
                yield self._frame(values, rows, columns, done, row_step, column_step)
                began = time.monotonic()
        yield self._frame(values, rows, columns, done, row_step, column_step)

    def _frame(  # noqa: PLR0917  the parts of a frame
        self,
        values: Array,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        done: int,
        row_step: int,
        column_step: int,
    ) -> Frame:
        y, down = _evenly(self.y[rows], self.max_pixels)
        x, across = _evenly(self.x[columns], self.max_pixels)
        return Frame(
            values[down][:, across],
            (x[0], x[1], y[0], y[1]),
            done / max(1, values[..., 0].size),
            max(row_step, column_step),
        )

    def _bands(self, layer: Layer, pixels: int) -> list[int]:
        """Bands to read: those of a layer, with all in the same chunks if they fit."""
        needed = layer.bands
        stored = self.cube.encoding.get("preferred_chunks") or {}
        depth = stored.get(self.axis.dim)
        if self.cube.chunks is None or not depth:
            return needed
        groups = {b // depth for b in needed}
        beside = [b for b in range(len(self.axis)) if b // depth in groups]
        size = pixels * len(beside) * self.cube.dtype.itemsize
        return beside if size <= self._memory // 2 else needed

    def _read(
        self,
        places: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]],
        bands: list[int],
    ) -> list[npt.NDArray[Any]]:
        """Values at rows and columns, (row, column, band), kept for the next time."""
        names = [(*_as_key(r), *_as_key(c), tuple(bands)) for r, c in places]
        new = [k for k, name in enumerate(names) if name not in self._kept]
        found = dict(
            zip(new, self._compute([places[k] for k in new], bands), strict=True)
        )
        result = []
        for k, name in enumerate(names):
            values = found[k] if k in found else self._kept[name]
            self._kept[name] = values
            self._kept.move_to_end(name)
            result.append(values)
        while sum(v.nbytes for v in self._kept.values()) > self._memory:
            self._kept.popitem(last=False)
        return result

    def _compute(
        self,
        places: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]],
        bands: list[int],
    ) -> list[npt.NDArray[Any]]:
        """The same, read now: all places at once, the bands of one chunk at a time."""
        dim = self.axis.dim
        parts: list[list[npt.NDArray[Any]]] = [[] for _ in places]
        for group in band_groups(self.cube, dim, bands) if places else ():
            within = slice(group[0], group[-1] + 1)
            lazy = {
                k: (
                    (f"row {k}", f"column {k}", dim),
                    self.cube.isel(
                        {self.rows: _slice(r), self.columns: _slice(c), dim: within}
                    ).data,
                )
                for k, (r, c) in enumerate(places)
            }
            loaded = xr.Dataset(lazy).compute()
            at = [b - group[0] for b in group]
            for k, part in enumerate(parts):
                part.append(loaded[k].values[..., at])
        return [np.concatenate(part, axis=-1) for part in parts]

    def spectrum(self, row: int, column: int) -> npt.NDArray[Any]:
        """Values of one pixel, (band,)."""
        one = {self.rows: slice(row, row + 1), self.columns: slice(column, column + 1)}
        values: npt.NDArray[Any] = self.cube.isel(one).values[0, 0]
        return values

    def region(
        self, x: Array, y: Array, max_pixels: int = 100
    ) -> tuple[Array, int, int]:
        """Mean spectrum of the pixels in a polygon, how many it is of, and how many lie
        in it.

        Of more than `max_pixels` along a side every so many are read. Missing values
        are left out.
        """  # noqa: D205  two lines say it
        from matplotlib.path import Path  # noqa: PLC0415  heavy

        rows, every = _thinned(self.y, y.min(), y.max(), max_pixels)
        columns, other = _thinned(self.x, x.min(), x.max(), max_pixels)
        across, down = np.meshgrid(self.x[columns], self.y[rows])
        outline = Path(np.column_stack([x, y]))
        points = np.column_stack([across.ravel(), down.ravel()])
        # a pixel whose centre is on the edge is in it
        inside = outline.contains_points(points, radius=1e-9) | outline.contains_points(
            points, radius=-1e-9
        )
        if not inside.any():
            return np.full(len(self.axis), np.nan), 0, 0
        some = {self.rows: _slice(rows), self.columns: _slice(columns)}
        spectra = self.cube.isel(some).values.reshape(-1, len(self.axis))[inside]
        held = np.isfinite(spectra)
        count = held.sum(axis=0)
        total = np.where(held, spectra, 0).sum(axis=0, dtype=np.float64)
        mean = np.divide(
            total, count, out=np.full(len(self.axis), np.nan), where=count > 0
        )
        used = int(inside.sum())
        return mean, used, used * every * other


def _thinned(
    places: Array, low: float, high: float, most: int
) -> tuple[npt.NDArray[np.intp], int]:
    """Samples that meet a range, every so many of them; and how many that is."""
    cells = edges(places)
    below = np.minimum(cells[1:], cells[:-1])
    above = np.maximum(cells[1:], cells[:-1])
    met = np.flatnonzero((above > low) & (below < high))
    if not len(met):
        met = np.array([np.abs(places - low).argmin()])
    step = -(-len(met) // most)
    return met[(step - 1) // 2 :: step] if len(met) >= step else met[:1], step


def _tiles(
    cube: xr.DataArray, dim: Hashable, index: npt.NDArray[np.intp]
) -> list[slice]:
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


def _evenly(
    places: Array, most: int
) -> tuple[tuple[float, float], npt.NDArray[np.intp]]:
    """Ends of the samples, ascending, and which one each even cell between shows."""
    order = np.argsort(places)
    cells = edges(places[order])
    ends = float(cells[0]), float(cells[-1])
    if is_even(places):
        return ends, order
    count = min(most, math.ceil((ends[1] - ends[0]) / np.diff(cells).min()))
    count = max(count, len(places))
    middle = ends[0] + (np.arange(count) + 0.5) * (ends[1] - ends[0]) / count
    return ends, order[np.searchsorted(cells[1:-1], middle)]


def _slice(index: npt.NDArray[np.intp]) -> slice:
    """Samples that are evenly thinned, as a slice."""
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    return slice(int(index[0]), int(index[-1]) + 1, step)


def _as_key(index: npt.NDArray[np.intp]) -> tuple[int, int, int]:
    cut = _slice(index)
    return cut.start, cut.stop, cut.step
