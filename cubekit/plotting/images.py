"""A cube from above: true colour, and one band at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from cubekit.arguments import require_dataarray
from cubekit.axis import Axis
from cubekit.plotting.colours import (
    about_zero,
    colour_map,
    colours,
    is_diverging,
    nearest_band,
    span,
    three_bands,
    true_colour,
)
from cubekit.plotting.labels import colour_bar, label_of, new_axes, sample_title
from cubekit.plotting.placing import hatch, place
from cubekit.plotting.sampling import read_bands, thinned, thinning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.image import AxesImage

__all__ = ["image", "rgb"]


def rgb(
    cube: xr.DataArray,
    bands: Sequence[float] | None = None,
    *,
    coord: str | None = None,
    percentile: tuple[float, float] = (2, 98),
    stretch: Literal["joint", "each"] | None = None,
    max_pixels: int = 1000,
    ax: Axes | None = None,
) -> AxesImage | QuadMesh:
    """Colour picture of a cube: as the eye would see it, or any three bands.

    Parameters
    ----------
    cube : DataArray, three dims
        One dim holds the bands, the others are drawn down and across.
    bands : three numbers, optional
        Values of the coordinate for red, green and blue; the nearest band is taken. If
        not given, the good bands nearest to 640, 550 and 460 nm, or the first three
        components.
    coord : str, optional
        Coordinate of the bands; if not given, "component" of scores, else the spectral
        one.
    percentile : (float, float), default (2, 98)
        What is drawn black and what is drawn with full intensity.
    stretch : {"joint", "each"}, optional
        One range for all three, which keeps hues, or one for each; "joint" for true
        colour, "each" for given bands and components, if not given.
    max_pixels : int, default 1000
        A larger cube is thinned to at most so many pixels along each side.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    AxesImage, or QuadMesh where the pixels are not evenly spaced

    Raises
    ------
    ValueError
        If the cube has no bands of these colours, or not three dims; if a parameter is
        out of range or unknown.
    CoordinateError
        If a band is off the axis.

    Notes
    -----
    **Missing values:** left out, so that the hatched ground shows.
    **Chunks:** any; only three bands of the pixels drawn are computed.
    **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> picture = ck.plotting.rgb(ck.datasets.scene((30, 40)))
    >>> picture.axes.get_xlabel()
    'easting (m)'
    """
    cube, axis = _banded(cube, coord)
    _require_dims("rgb", cube, 3)
    if stretch not in {None, "joint", "each"}:
        raise ValueError(
            f"rgb: stretch={stretch!r} is unknown. The three bands are stretched "
            'together or each on its own. Use stretch="joint" or stretch="each".'
        )
    scores = axis.name == "component"
    if bands is None and scores:
        bands = tuple(axis.values[:3])
    index = true_colour(axis) if bands is None else three_bands(axis, bands)
    rows, columns = (d for d in cube.dims if d != axis.dim)
    some = read_bands(
        cube, axis.dim, index, thinning(cube, (rows, columns), max_pixels)
    )
    values = some.transpose(rows, columns, axis.dim).values.astype(np.float64)
    missing = ~np.isfinite(values).all(axis=-1)
    values[missing] = np.nan
    joint = stretch == "joint" or (stretch is None and bands is None)
    low, high = span("rgb", values, percentile, None if joint else (0, 1))
    colour = colours(values, low, high)
    ax = new_axes(ax)
    picture = place(ax, some, (rows, columns), colour)
    ax.set_title(sample_title(axis, index), fontsize="medium")
    hatch(ax, missing)
    return picture


def image(
    cube: xr.DataArray,
    band: float | None = None,
    *,
    coord: str | None = None,
    percentile: tuple[float, float] = (2, 98),
    diverging: bool | None = None,
    cmap: str | None = None,
    colorbar: bool = True,
    label: str | None = None,
    max_pixels: int = 1000,
    ax: Axes | None = None,
) -> AxesImage | QuadMesh:
    """One band of a cube, or any field of two dims, with a colour bar.

    Parameters
    ----------
    cube : DataArray, two dims, or three with `band`
        Drawn down and across in the order of its dims.
    band : float, optional
        Value of the coordinate; the nearest band is taken.
    coord : str, optional
        Coordinate of the bands; if not given, "component" of scores, else the spectral
        one.
    percentile : (float, float), default (2, 98)
        Range of values that the colours span.
    diverging : bool, optional
        Whether zero is the middle of the colours; if not given, when values of either
        sign matter.
    cmap : str, optional
        Colour map; "cividis", or "RdBu_r" if diverging, if not given. Both work for any
        colour vision.
    colorbar : bool, default True
        Whether to draw one.
    label : str, optional
        On the colour bar; long name and units if not given.
    max_pixels : int, default 1000
        A larger cube is thinned to at most so many pixels along each side.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    AxesImage, or QuadMesh where the pixels are not evenly spaced

    Raises
    ------
    ValueError
        If the cube does not have these dims, or `percentile` is no range.
    CoordinateError
        If the band is off the axis.

    Notes
    -----
    **Missing values:** left out, so that the hatched ground shows.
    **Chunks:** any; only the pixels drawn are computed. **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> picture = ck.plotting.image(ck.datasets.scene((30, 40)), 850)
    >>> picture.axes.get_title()
    'wavelength 848.1 nm'
    """
    require_dataarray(cube, "image")
    title = ""
    if band is not None:
        cube, axis = _banded(cube, coord)
        at = nearest_band("image", axis, band)
        title = sample_title(axis, [at])
        _require_dims("image", cube, 3)
        others = tuple(d for d in cube.dims if d != axis.dim)
        within = thinning(cube, others, max_pixels)
        cube = read_bands(cube, axis.dim, [at], within).isel({axis.dim: 0})
    _require_dims("image", cube, 2)
    rows, columns = cube.dims
    some = thinned(cube, (rows, columns), max_pixels)
    values = some.values.astype(np.float64)
    missing = ~np.isfinite(values)
    values[missing] = np.nan
    low, high = span("image", values, percentile)
    if diverging is None:
        diverging = is_diverging(low, high)
    if diverging:
        low, high = about_zero(low, high)
    ax = new_axes(ax)
    picture = place(
        ax,
        some,
        (rows, columns),
        np.ma.array(values, mask=missing),
        cmap=cmap or colour_map(diverging),
        vmin=float(low),
        vmax=float(high),
    )
    if colorbar:
        text = label_of(cube.name, cube.attrs) if label is None else label
        colour_bar(ax, picture, text, extend="both")
    ax.set_title(title, fontsize="medium")
    hatch(ax, missing)
    return picture


def _banded(cube: xr.DataArray, coord: str | None) -> tuple[xr.DataArray, Axis]:
    """Cube and the axis of its bands, or of its components, numbered from one."""
    if coord is None and "component" in getattr(cube, "dims", ()):
        coord = "component"
        if coord not in cube.coords:
            cube = cube.assign_coords(component=1 + np.arange(cube.sizes[coord]))
    return cube, Axis.from_cube(cube, coord)


def _require_dims(function: str, cube: xr.DataArray, n: int) -> None:
    if cube.ndim == n:
        return
    band = " Or give band=..." if function == "image" and cube.ndim == 3 else ""
    raise ValueError(
        f"{function}: the cube has dims {cube.dims}. A picture needs {n} of them. "
        f"Choose along the others: cube.isel({cube.dims[0]}=0).{band}"
    )
