"""Spectra that were picked: kept, smoothed, differentiated, handed out as files."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import string
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.io import save_cube
from cubekit.plotting.labels import COLOURS
from cubekit.spectral import savgol_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubekit.viewer.layers import Window
    from cubekit.viewer.view import View

__all__ = ["Collection", "Picked"]

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Picked:
    """One spectrum: of a pixel, or the mean of a region.

    Parameters
    ----------
    name, colour : str
        What it is called and drawn in.
    values : array, (band,)
        As they are in the cube.
    x, y : array
        The place, or the corners of the region.
    pixels : int
        How many it is the mean of.
    of : int
        About how many lie there.
    """

    name: str
    colour: str
    values: Array
    x: Array
    y: Array
    pixels: int = 1
    of: int = 1

    @property
    def label(self) -> str:
        """Name, and what it is the mean of."""
        if self.of == 1:
            return self.name
        some = f"{self.pixels} of {self.of}" if self.pixels < self.of else self.pixels
        return f"{self.name}, mean of {some}"


class Collection:
    """Spectra picked from a view, in the order in which they were."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.picked: list[Picked] = []
        self._names = _names()

    def add_pixel(self, x: float, y: float) -> Picked | None:
        """Spectrum of the pixel at a place; None, and nothing added, off the cube."""
        place = self.view.pixel(x, y)
        if place is None:
            return None
        row, column = place
        values = self.view.spectrum(row, column).astype(np.float64)
        there = np.array([self.view.x[column]]), np.array([self.view.y[row]])
        return self._add(values, *there)

    def add_region(self, x: Array, y: Array) -> Picked | None:
        """Mean spectrum of a polygon; None, and nothing added, if no pixel is in it."""
        values, pixels, of = self.view.region(x, y)
        return self._add(values, x, y, pixels, of) if pixels else None

    def clear(self) -> None:
        """Forget all."""
        self.picked = []
        self._names = _names()

    def _add(self, values: Array, x: Array, y: Array, *counts: int) -> Picked:
        colour = COLOURS[len(self.picked) % len(COLOURS)]
        self.picked.append(Picked(next(self._names), colour, values, x, y, *counts))
        return self.picked[-1]

    def raw(self) -> xr.DataArray:
        """Spectra as they were picked, (spectrum, band)."""
        axis, cube = self.view.axis, self.view.cube
        values = [p.values for p in self.picked]
        return xr.DataArray(
            np.reshape(values, (len(values), len(axis))),
            dims=("spectrum", axis.dim),
            coords={
                **axis.to_coords(),
                "spectrum": np.array([p.name for p in self.picked], dtype="U8"),
            },
            name=str(cube.name or "value"),
            attrs={k: cube.attrs[k] for k in ("long_name", "units") if k in cube.attrs},
        )

    def processed(self, window: Window) -> tuple[xr.DataArray, xr.DataArray]:
        """Smoothed spectra and their derivative, (spectrum, band).

        Raises
        ------
        ValueError
            If the window is too short for the polynomial, or too long for the axis.
        """
        raw, coord = self.raw(), self.view.axis.name
        how: dict[str, Any] = {"max_gap": "auto", "coord": coord, "missing": "refit"}
        both = (
            savgol_filter(
                raw, window.window_length, window.polyorder, deriv=deriv, **how
            )
            for deriv in (0, window.deriv)
        )
        smooth, slope = both
        return smooth, slope

    def to_dataset(self, window: Window) -> xr.Dataset:
        """Everything, with the places: what the files hold."""
        smooth, slope = self.processed(window)
        what = str(self.view.cube.attrs.get("long_name") or smooth.name)
        kinds = {
            "raw": (self.raw(), what),
            "smooth": (smooth, f"{what}, smoothed"),
            "derivative": (slope, f"derivative {window.deriv} of {what}"),
        }
        places = {
            str(dim): (
                "spectrum",
                [float(v.mean()) for v in values],
                {"units": unit} if (unit := _unit(self.view.cube, dim)) else {},
            )
            for dim, values in (
                (self.view.rows, [p.y for p in self.picked]),
                (self.view.columns, [p.x for p in self.picked]),
            )
        }
        return xr.Dataset(
            {name: a.assign_attrs(long_name=text) for name, (a, text) in kinds.items()},
            coords={**places, "pixels": ("spectrum", [p.pixels for p in self.picked])},
            attrs={
                "title": "spectra picked in the viewer",
                "processing": "Savitzky-Golay filter, "
                f"window_length={window.window_length}, polyorder={window.polyorder}, "
                f"deriv={window.deriv}",
            },
        )

    def to_netcdf(self, window: Window) -> bytes:
        """Content of a netCDF file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "spectra.nc"
            save_cube(self.to_dataset(window), path, progress=False)
            return path.read_bytes()

    def to_csv(self, window: Window) -> str:
        """Text of a table with a line for each value."""
        data, axis = self.to_dataset(window), self.view.axis
        rows, columns = str(self.view.rows), str(self.view.columns)
        kinds = ("raw", "smooth", "derivative")

        def head(name: str) -> str:
            units = data[name].attrs.get("units")
            return f"{name} ({units})" if units not in {None, "", "1"} else name

        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        places = [head(rows), head(columns)]
        bands = [f"{axis.name} ({axis.units})" if axis.units else axis.name, "good"]
        table.writerow(["spectrum", *places, "pixels", *bands, *map(head, kinds)])
        good = np.ones(len(axis), bool) if axis.good is None else axis.good
        for number, one in enumerate(self.picked):
            part = data.isel(spectrum=number)
            where = [one.name, float(part[rows]), float(part[columns]), one.pixels]
            values = np.stack([part[kind].values for kind in kinds], axis=1)
            for place, is_good, value in zip(axis.values, good, values, strict=True):
                cells = ["" if np.isnan(v) else repr(float(v)) for v in value]
                table.writerow([*where, repr(float(place)), int(is_good), *cells])
        return text.getvalue()


def _names() -> Iterator[str]:
    """A to Z, then A1 and so on."""
    for turn in itertools.count():
        yield from (f"{c}{turn or ''}" for c in string.ascii_uppercase)


def _unit(cube: xr.DataArray, dim: Any) -> str | None:
    units = cube.coords[dim].attrs.get("units") if dim in cube.coords else None
    return None if units is None else str(units)
