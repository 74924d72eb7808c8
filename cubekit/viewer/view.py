"""Which pixels are shown, how they are read, and what they look like. No widgets."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis
from cubekit.plotting.colours import about_zero, colour_map, colours, is_diverging, span
from cubekit.plotting.labels import centres, edges
from cubekit.plotting.placing import is_even, points_down
from cubekit.viewer.reading import Reader, Reading
from cubekit.viewer.tiles import Tiles, as_slice

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

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
        NaN where a value is missing; a guess where it is not read yet. The first row is
        the lowest value of y, the first column that of x; all rows and columns are
        evenly spaced.
    window : (left, right, bottom, top)
        Edges of the picture, in units of the axes.
    done : float
        Share of the pixels that have been read.
    every : int
        One pixel in so many is shown, along the more thinned of the two dims.
    """

    values: npt.NDArray[Any]
    window: Window
    done: float
    every: int

    def rgba(
        self, percentile: tuple[float, float] = (2, 98), *, joint: bool = False
    ) -> tuple[npt.NDArray[np.uint8], tuple[float, float], str]:
        """Colours (row, column, 4), the range they span, and the map of one channel."""
        import matplotlib as mpl  # noqa: PLC0415  heavy

        finite = np.where(np.isfinite(self.values), self.values, np.nan)
        # of a large picture, some thousands of pixels tell the range as well
        step = max(1, min(finite.shape[:2]) // 250)
        some = finite[step // 2 :: step, step // 2 :: step]
        if finite.shape[-1] == 3:
            low, high = span("explore", some, percentile, None if joint else (0, 1))
            shade = colours(finite, low, high)
            return (255 * shade + 0.5).astype(np.uint8), (0.0, 1.0), ""
        low, high = map(float, span("explore", some, percentile))
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
        Bytes that are kept of what was read.
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
        self._reader = Reader(self.cube, self.axis.dim, memory)

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

        The first frame comes after half of `patience` seconds of reading, others after
        so many, and one when all is read. Chunks come in an order that spreads over the
        window; what lies between looks like the nearest of them until it is read, or as
        it was sketched.
        """
        left, right, bottom, top = window or self.whole
        rows, row_step = _thinned(self.y, bottom, top, self.max_pixels)
        columns, column_step = _thinned(self.x, left, right, self.max_pixels)
        every = max(row_step, column_step)
        tiles = Tiles(self.cube, (self.rows, self.columns), (rows, columns))
        read = Reading(self._reader, tiles, layer)
        began = time.monotonic() - patience / 2
        if read.is_sketched:
            yield self._frame(read.picture(), rows, columns, read.done, every)
        for _ in read.parts(patience):
            if read.done < 1 and time.monotonic() - began > patience:
                yield self._frame(read.picture(), rows, columns, read.done, every)
                began = time.monotonic()
        yield self._frame(read.picture(), rows, columns, 1.0, every)

    def _frame(
        self,
        values: npt.NDArray[Any],
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        done: float,
        every: int,
    ) -> Frame:
        y, down = _evenly(self.y[rows], self.max_pixels)
        x, across = _evenly(self.x[columns], self.max_pixels)
        window = (x[0], x[1], y[0], y[1])
        return Frame(values[down][:, across], window, done, every)

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
        some = {self.rows: as_slice(rows), self.columns: as_slice(columns)}
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


def _evenly(
    places: Array, most: int
) -> tuple[tuple[float, float], slice | npt.NDArray[np.intp]]:
    """Ends of the samples, ascending, and which one each even cell between shows."""
    order = np.argsort(places)
    cells = edges(places[order])
    ends = float(cells[0]), float(cells[-1])
    if is_even(places):  # as a slice: a picture of a million pixels is not copied
        return ends, slice(None, None, -1 if places[0] > places[-1] else 1)
    count = min(most, math.ceil((ends[1] - ends[0]) / np.diff(cells).min()))
    count = max(count, len(places))
    middle = ends[0] + (np.arange(count) + 0.5) * (ends[1] - ends[0]) / count
    return ends, order[np.searchsorted(cells[1:-1], middle)]
