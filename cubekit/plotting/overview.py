"""One figure that shows what smoothing and differentiating did to a cube."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.arguments import require_dataarray
from cubekit.axis import Axis
from cubekit.operators import derivative_operator
from cubekit.plotting.images import image, rgb
from cubekit.plotting.labels import COLOURS, label_of
from cubekit.plotting.legends import legend
from cubekit.plotting.sampling import thinned
from cubekit.plotting.spectra import at_places, spectra

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["distinct_places", "overview"]


def distinct_places(
    cube: xr.DataArray, n: int = 3, *, coord: str | None = None, max_pixels: int = 64
) -> list[dict[str, float]]:
    """Places of a cube whose spectra differ most.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Any dims besides that of the bands.
    n : int, default 3
        How many; fewer if fewer spectra differ.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    max_pixels : int, default 64
        Looks at no more than so many samples along each dim.

    Returns
    -------
    list of dict
        For each place a value by dim: its coordinate, or its number if it has none.

    Notes
    -----
    The first lies farthest from the mean spectrum, each further one farthest from those
    before it.

    **Missing values:** spectra with any in a good band are not chosen. **Chunks:** any;
    only the pixels looked at are computed. **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> ck.plotting.distinct_places(ck.datasets.scene((30, 40)), 1)
    [{'y': 3675.0, 'x': 4575.0}]
    """
    axis = Axis.from_cube(cube, coord)
    dims = [str(d) for d in cube.dims if d != axis.dim]
    some = thinned(cube, tuple(dims), max_pixels).transpose(*dims, axis.dim)
    if axis.good is not None:
        some = some.isel({axis.dim: axis.good})
    spectrum = some.values.astype(np.float64).reshape(-1, some.sizes[axis.dim])
    whole = np.flatnonzero(np.isfinite(spectrum).all(axis=1))
    spectrum = spectrum[whole]
    chosen: list[int] = []
    if len(whole):
        distance = ((spectrum - spectrum.mean(axis=0)) ** 2).sum(axis=1)
        while len(chosen) < n and (distance.max() > 0 or not chosen):
            chosen.append(int(distance.argmax()))
            apart = ((spectrum - spectrum[chosen[-1]]) ** 2).sum(axis=1)
            distance = apart if len(chosen) == 1 else np.minimum(distance, apart)
    shape = [some.sizes[d] for d in dims]
    places = np.transpose(np.unravel_index(whole[chosen], shape))
    return [
        {
            d: float(some.coords[d].values[i]) if d in some.coords else float(i)
            for d, i in zip(dims, place, strict=True)
        }
        for place in places
    ]


def overview(
    cube: xr.DataArray,
    smooth: xr.DataArray,
    slope: xr.DataArray,
    *,
    band: float | None = None,
    coord: str | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Cube in colour, spectra before and after smoothing, and their slope.

    Parameters
    ----------
    cube, smooth, slope : DataArray, dims (..., y, x, band) in any order
        The cube, the smoothed cube and its derivative along the bands. Of dims before
        the last two that are not the bands, the first sample is drawn; with fewer, the
        bands are drawn across.
    band : float, optional
        Where to draw the slope as an image, in units of the coordinate; if not given,
        where it varies most between the places shown.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    figure : matplotlib Figure, optional
        Where to draw; on a new one if not given.

    Returns
    -------
    Figure

    Notes
    -----
    **Missing values:** hatched in images, breaks in lines.
    **Chunks:** any; only what is shown is computed. **Cost:** reading that.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.scene((30, 40))
    >>> smooth = ck.savgol_filter(cube, 11, 3)
    >>> slope = ck.savgol_filter(cube, 11, 3, deriv=1)
    >>> len(ck.plotting.overview(cube, smooth, slope).axes)
    4
    """
    for one in (cube, smooth, slope):
        require_dataarray(one, "overview")
    if figure is None:
        from matplotlib import pyplot as plt  # noqa: PLC0415  heavy, only wanted here
        from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

        # images with equal scales are a little off where they are laid out at first
        layout = ConstrainedLayoutEngine(w_pad=0.1)
        figure = plt.figure(figsize=(11, 7.5), layout=layout)
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)
    axis = Axis.from_cube(cube, coord)
    cube, smooth, slope = (_drawable(c, axis.dim) for c in (cube, smooth, slope))
    middle = float(axis.values[len(axis) // 2])
    places = distinct_places(cube, 3, coord=axis.name)
    at = dict(zip("ABC", places, strict=False))
    if cube.ndim == 2:
        image(cube.transpose(..., axis.dim), ax=top_left)
    else:
        try:
            rgb(cube, coord=axis.name, ax=top_left)
        except ValueError:  # not in the visible: the middle band in grey
            image(cube, middle, coord=axis.name, cmap="gray", ax=top_left)
        _mark(top_left, cube, axis.dim, at)

    dots: dict[str, Any] = {
        "color": "0.45",
        "marker": ".",
        "markersize": 2.0,
        "linestyle": "none",
    }
    _name(spectra(cube, at, coord=axis.name, ax=top_right, **dots), "measured")
    before = label_of(cube.name, cube.attrs)
    spectra(smooth, at, coord=axis.name, ylabel=before, ax=top_right)
    top_right.set_title("measured and smoothed", fontsize="medium")

    what = f"slope of {label_of(slope.name, slope.attrs)}"
    few = {name: (i,) for i, name in enumerate(at)}
    rough = derivative_operator(axis)(at_places(cube, at, axis.dim))
    thin: dict[str, Any] = {"color": "0.6", "linewidth": 0.6}
    lines = spectra(rough, few, coord=axis.name, ylabel=what, ax=low_right, **thin)
    _name(lines, "difference of neighbours")
    smoothly = at_places(slope, at, axis.dim)
    lines = spectra(smoothly, few, coord=axis.name, ylabel=what, ax=low_right)
    low_right.set_title("slope of the spectra", fontsize="medium")
    _look_at(low_right, lines)

    if cube.ndim == 2:
        image(slope.transpose(..., axis.dim), label=what, ax=low_left)
        return figure
    if band is None and not at:
        band = middle
    if band is None:
        varied = smoothly.std("place", skipna=False).values
        varied = np.where(np.isfinite(varied), varied, -1)  # bad bands are NaN
        band = float(axis.values[varied.argmax()])
    image(slope, band, coord=axis.name, label=what, ax=low_left)
    low_right.axvline(band, color="0.3", linewidth=0.8, linestyle=":", zorder=0.5)
    return figure


def _drawable(cube: xr.DataArray, dim: str) -> xr.DataArray:
    """Cube with one or two dims besides that of the bands."""
    others = [d for d in cube.dims if d != dim]
    if not others:
        return cube.expand_dims("spectrum")
    return cube.isel(dict.fromkeys(others[:-2], 0))


def _name(lines: list[Line2D], label: str) -> None:
    """One entry in the legend for all the lines."""
    for line in lines:
        line.set_label("_")
    for line in lines[:1]:
        line.set_label(label)


def _mark(
    ax: Axes, cube: xr.DataArray, dim: str, at: dict[str, dict[str, float]]
) -> None:
    """Letters at the places of the spectra."""
    from matplotlib import patheffects  # noqa: PLC0415  heavy, and only wanted here

    outline = [patheffects.withStroke(linewidth=2.5, foreground="black")]
    rows, columns = (str(d) for d in cube.dims if d != dim)
    for colour, (name, place) in zip(COLOURS, at.items(), strict=False):
        where = place[columns], place[rows]
        ax.plot(*where, "o", mfc=colour, mec="white", ms=6)
        letter = ax.annotate(name, where, (6, 4), textcoords="offset points")
        letter.set(color="white", weight="bold", path_effects=outline)


def _look_at(ax: Axes, lines: list[Line2D]) -> None:
    """Limits that fit these lines, whatever else is drawn."""
    values = np.ravel([np.asarray(line.get_ydata(), float) for line in lines])
    values = values[np.isfinite(values)]
    if len(values) and np.ptp(values) > 0:
        room = 0.15 * np.ptp(values)
        ax.set_ylim(values.min() - room, values.max() + room, auto=None)
        legend(ax)
