"""A cube from above: true colour, and one band at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis
from cubekit.errors import CoordinateError
from cubekit.plotting.labels import (
    centres,
    colour_bar,
    edges,
    label_of,
    new_axes,
    thinned,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.image import AxesImage

__all__ = ["image", "rgb"]

_TRUE_COLOUR = {"red": 640.0, "green": 550.0, "blue": 460.0}  # nm
_WITHIN = 50.0  # nm: farther away it is another colour
_NANOMETRES = {
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micrometer", "micrometers", "microns"), 1e3),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e9),
    **dict.fromkeys(("angstrom", "Angstrom"), 0.1),
}


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
        not given, the good bands nearest to 640, 550 and 460 nm.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given. May be "component".
    percentile : (float, float), default (2, 98)
        What is drawn black and what is drawn with full intensity.
    stretch : {"joint", "each"}, optional
        One range for all three, which keeps hues, or one for each; "joint" for true
        colour, "each" for given bands, if not given.
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
    axis = Axis.from_cube(cube, coord)
    _require_dims("rgb", cube, 3)
    if stretch not in {None, "joint", "each"}:
        raise ValueError(
            f"rgb: stretch={stretch!r} is unknown. The three bands are stretched "
            'together or each on its own. Use stretch="joint" or stretch="each".'
        )
    true_colour = bands is None
    index = _true_colour(axis) if bands is None else _three(axis, bands)
    rows, columns = (d for d in cube.dims if d != axis.dim)
    some = thinned(cube.isel({axis.dim: index}), (rows, columns), max_pixels)
    values = some.transpose(rows, columns, axis.dim).values.astype(np.float64)
    missing = ~np.isfinite(values).all(axis=-1)
    values[missing] = np.nan
    joint = stretch == "joint" or (stretch is None and true_colour)
    over = None if joint else (0, 1)
    low, high = _range("rgb", values, percentile, over)
    with np.errstate(invalid="ignore", divide="ignore"):
        shade = np.clip((values - low) / (high - low), 0, 1)
    colour = np.dstack([np.nan_to_num(shade), ~missing])
    ax = new_axes(ax)
    picture = _place(ax, some, (rows, columns), colour)
    names = [f"{axis.values[i]:.4g}" for i in index]
    unit = f" {axis.units}" if axis.units else ""
    ax.set_title(f"{axis.name} {', '.join(names)}{unit}", fontsize="medium")
    _hatch(ax, missing)
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
        Coordinate of the bands; the spectral one if not given.
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
    title = ""
    if band is not None:
        axis = Axis.from_cube(cube, coord)
        at = _nearest("image", axis, band)
        unit = f" {axis.units}" if axis.units else ""
        title = f"{axis.name} {axis.values[at]:.4g}{unit}"
        cube = cube.isel({axis.dim: at})
    _require_dims("image", cube, 2)
    rows, columns = cube.dims
    some = thinned(cube, (rows, columns), max_pixels)
    values = some.values.astype(np.float64)
    missing = ~np.isfinite(values)
    values[missing] = np.nan
    low, high = _range("image", values, percentile, None)
    if diverging is None:
        diverging = bool(low < 0 < high and min(-low, high) > 0.05 * max(-low, high))
    if diverging:
        high = max(abs(low), abs(high))
        low = -high
    ax = new_axes(ax)
    picture = _place(
        ax,
        some,
        (rows, columns),
        np.ma.array(values, mask=missing),
        cmap=cmap or ("RdBu_r" if diverging else "cividis"),
        vmin=float(low),
        vmax=float(high),
    )
    if colorbar:
        text = label_of(cube.name, cube.attrs) if label is None else label
        colour_bar(ax, picture, text, extend="both")
    ax.set_title(title, fontsize="medium")
    _hatch(ax, missing)
    return picture


def _require_dims(function: str, cube: xr.DataArray, n: int) -> None:
    if cube.ndim == n:
        return
    band = " Or give band=..." if function == "image" and cube.ndim == 3 else ""
    raise ValueError(
        f"{function}: the cube has dims {cube.dims}. A picture needs {n} of them. "
        f"Choose along the others: cube.isel({cube.dims[0]}=0).{band}"
    )


def _true_colour(axis: Axis) -> list[int]:
    """Positions of the good bands nearest to red, green and blue."""
    scale = _NANOMETRES.get((axis.units or "").strip())
    middle = (axis.values[0] + axis.values[-1]) / 2
    paste = ", ".join(f"{v:.4g}" for v in (axis.values[-1], middle, axis.values[0]))
    remedy = f"Give three of its values: bands=({paste})."
    if scale is None:
        raise ValueError(
            f"rgb: true colour needs wavelengths. Coordinate {axis.name!r} is in "
            f"{axis.units or 'unknown units'}. {remedy}"
        )
    good = np.arange(len(axis)) if axis.good is None else np.flatnonzero(axis.good)
    index = []
    for colour, target in _TRUE_COLOUR.items():
        apart = np.abs(axis.values[good] * scale - target)
        if not len(good) or apart.min() > _WITHIN:
            raise ValueError(
                f"rgb: no good band within {_WITHIN:g} nm of {colour} ({target:g} nm). "
                f"Coordinate {axis.name!r} covers {axis.values.min():g} to "
                f"{axis.values.max():g} {axis.units}. {remedy}"
            )
        index.append(int(good[apart.argmin()]))
    return index


def _three(axis: Axis, bands: Sequence[float]) -> list[int]:
    if np.shape(bands) != (3,):
        raise ValueError(
            f"rgb: bands={bands!r} are not three. Red, green and blue need one each. "
            "Give three values of the coordinate: bands=(2200, 850, 650)."
        )
    return [_nearest("rgb", axis, band) for band in bands]


def _nearest(function: str, axis: Axis, band: float) -> int:
    """Position of the band nearest to a value, which half a step may be off."""
    ascending = np.sort(axis.values)
    below, above = (np.ptp(ends) / 2 for ends in (ascending[:2], ascending[-2:]))
    low, high = ascending[0] - below, ascending[-1] + above
    if len(axis) > 1 and not low <= band <= high:
        unit = f" {axis.units}" if axis.units else ""
        raise CoordinateError(
            f"{function}: there is no band near {band:g}{unit}. {axis.name!r} goes "
            f"from {ascending[0]:g} to {ascending[-1]:g}{unit}. Give a place among "
            "its bands, in its units."
        )
    return int(np.abs(axis.values - band).argmin())


def _range(
    function: str,
    values: npt.NDArray[np.float64],
    percentile: tuple[float, float],
    over: tuple[int, ...] | None,
) -> npt.NDArray[np.float64]:
    """Lower and upper percentile of what is not missing; apart from each other."""
    if np.shape(percentile) != (2,) or not 0 <= percentile[0] < percentile[1] <= 100:
        raise ValueError(
            f"{function}: percentile={percentile!r} is no range. It says what is drawn "
            "darkest and what brightest, in percent. Use for example "
            "percentile=(2, 98)."
        )
    if not np.isfinite(values).any():
        return np.array([0.0, 1.0])
    low, high = np.nanpercentile(values, percentile, axis=over)
    return np.array([low, np.where(high > low, high, low + 1)])


def _place(
    ax: Axes,
    some: xr.DataArray,
    dims: tuple[Any, Any],
    colour: npt.NDArray[Any],
    **how: Any,
) -> AxesImage | QuadMesh:
    """Draw at the real coordinates; evenly spaced pixels as an image."""
    (y, y_label), (x, x_label) = (centres(some, d) for d in dims)
    step = [float(np.abs(np.diff(v)).mean()) if len(v) > 1 else None for v in (y, x)]
    y_edges = edges(y, step[0] or step[1] or 1.0)
    x_edges = edges(x, step[1] or step[0] or 1.0)
    # lines of an image without units are counted from the top
    downwards = (
        y[-1] > y[0] and not some.coords[dims[0]].attrs.get("units")
        if (dims[0] in some.coords)
        else True
    )
    ax.set(xlabel=x_label, ylabel=y_label)
    if _is_even(x) and _is_even(y):
        picture: AxesImage | QuadMesh = ax.imshow(
            colour,
            extent=(x_edges[0], x_edges[-1], y_edges[-1], y_edges[0]),
            interpolation="nearest",
            aspect="auto",
            **how,
        )
    else:
        picture = ax.pcolormesh(x_edges, y_edges, colour, **how)
    ax.set_xlim(min(x_edges), max(x_edges))
    first, last = (y_edges[-1], y_edges[0])  # bottom, top
    if not downwards:
        first, last = min(y_edges), max(y_edges)
    ax.set_ylim(first, last)
    same = x_label.rpartition("(")[2] == y_label.rpartition("(")[2]
    ax.set_aspect("equal" if same else "auto")
    return picture


def _is_even(values: npt.NDArray[np.float64]) -> bool:
    step = np.diff(values)
    return len(step) == 0 or bool(np.ptp(step) <= 1e-3 * abs(step.mean()))


def _hatch(ax: Axes, missing: npt.ArrayLike) -> None:
    """Make the ground visible where there is no value."""
    if np.any(missing):
        ax.patch.set(facecolor="0.9", edgecolor="0.65", hatch="////", linewidth=0)
