"""One figure that says what a cube is like, before anything is done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cubekit.arguments import require_dataarray
from cubekit.axis import Axis, spectral_coordinate
from cubekit.errors import CoordinateError
from cubekit.plotting.colours import some_colour
from cubekit.plotting.images import image, rgb
from cubekit.plotting.labels import label_of
from cubekit.plotting.models import components, scree
from cubekit.plotting.quality import quality
from cubekit.plotting.sampling import thinned
from cubekit.plotting.spectra import spectra
from cubekit.reduction import PCA

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["from_above", "is_plane", "quicklook", "sample"]


def quicklook(
    cube: xr.DataArray,
    *,
    coord: str | None = None,
    max_pixels: int = 200,
    figure: Figure | None = None,
) -> Figure:
    """Cube in colour, its spectra, what is missing, and its principal components.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, band) in any order
        Of dims before the last two that are not the bands, the first sample is drawn.
        Of a plane (y, x) without bands, such as heights: an image and a histogram.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    max_pixels : int, default 200
        All but the colours is of a cube thinned to at most so many pixels along each
        side.
    figure : matplotlib Figure, optional
        Where to draw; on a new one if not given.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the cube has not two dims besides that of the bands.

    Notes
    -----
    **Missing values:** hatched in images, counted band by band; spectra with any take
    no part in the components. **Chunks:** any; only what is drawn is computed, once.
    **Cost:** reading the thinned cube, and its covariance.

    Examples
    --------
    >>> import cubekit as ck
    >>> figure = ck.plotting.quicklook(ck.datasets.scene((30, 40)))
    >>> figure.axes[2].get_title()
    'missing, zero and negative'
    """
    require_dataarray(cube, "quicklook")
    if figure is None:
        from matplotlib import pyplot as plt  # noqa: PLC0415  heavy, only wanted here

        figure = plt.figure(figsize=(15, 8), layout="constrained")
    if is_plane(cube, coord):
        _plane(cube, max_pixels, figure)
        return figure
    axis = Axis.from_cube(cube, coord)
    cube = sample("quicklook", cube, axis)
    few = thinned(cube, cube.dims[:2], max_pixels).compute()
    upper, lower = figure.subplots(2, 3)
    from_above(cube, axis, ax=upper[0])
    spectra(few, coord=axis.name, max_pixels=max_pixels, ax=upper[1])
    upper[1].set_title("mean, and 10 to 90 per cent", fontsize="medium")
    quality(few, coord=axis.name, max_pixels=max_pixels, ax=upper[2])
    upper[2].set_title("missing, zero and negative", fontsize="medium")
    _components(few, axis, lower)
    return figure


def is_plane(cube: xr.DataArray, coord: str | None) -> bool:
    """Whether a cube is one image, of which no dim is that of bands."""
    if coord is not None or cube.ndim != 2:
        return False
    try:
        name = spectral_coordinate(cube)
    except CoordinateError:
        return True
    return name in cube.coords and cube.coords[name].ndim == 0  # of this one band


def _plane(plane: xr.DataArray, max_pixels: int, figure: Figure) -> None:
    """Image of a plane, and how often it has which values."""
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    image(plane, ax=left)
    few = thinned(plane, plane.dims, max_pixels).values.astype(np.float64)
    held = few[np.isfinite(few)]
    right.hist(held, bins=64, color="0.4")
    right.set_xlabel(label_of(plane.name, plane.attrs))
    right.set_ylabel(f"of {few.size} samples")
    missing = f"{100 * (1 - held.size / max(1, few.size)):.3g} % missing"
    if held.size:
        missing += f", mean {held.mean():.4g}, spread {held.std():.4g}"
    right.set_title(missing, fontsize="medium")


def sample(function: str, cube: xr.DataArray, axis: Axis) -> xr.DataArray:
    """Cube of dims (row, column, band): the first sample of all others."""
    others = [d for d in cube.dims if d != axis.dim]
    if len(others) < 2:
        raise ValueError(
            f"{function}: the cube has dims {cube.dims}. A picture needs two besides "
            f"{axis.dim!r}. Draw its spectra: cubekit.plotting.spectra(cube)."
        )
    first = cube.isel(dict.fromkeys(others[:-2], 0), drop=True)
    return first.transpose(*others[-2:], axis.dim)


def from_above(cube: xr.DataArray, axis: Axis, ax: Axes) -> None:
    """Draw a cube in true colour, in false colour, or, if it has one band, that one."""
    if len(axis) < 3:
        image(cube, axis.values[0], coord=axis.name, ax=ax)
        return
    index, is_true = some_colour(axis)
    bands = None if is_true else tuple(float(axis.values[i]) for i in index)
    rgb(cube, bands, coord=axis.name, ax=ax)


def _components(few: xr.DataArray, axis: Axis, row: list[Axes]) -> None:
    """Composite, spectra and variances of principal components."""
    try:
        model = PCA(coord=axis.name).fit(few)
        if not model.explained_variance_.values.any():
            raise ValueError("all spectra are the same.")
    except ValueError as error:  # or too few without a missing value
        for ax in row:
            ax.set_axis_off()
        words = f"no principal components:\n{error}"
        said = row[0].text(0, 1, words, va="top", wrap=True, transform=row[0].transAxes)
        said.set_in_layout(False)  # it may run over all three
        return
    first = model.components_.sizes["component"]
    scores = model.transform(few).isel(component=slice(3))
    if scores.sizes["component"] < 3:
        image(scores, 1, ax=row[0])
    else:
        rgb(scores, ax=row[0])
    row[0].set_title("principal components 1, 2, 3", fontsize="medium")
    components(model, min(4, first), coord=axis.name, ax=row[1])
    row[1].set_title("their spectra", fontsize="medium")
    scree(model, min(20, first), ax=row[2])
    share = model.explained_variance_ratio_.values[:3]
    percents = ", ".join(f"{100 * s:.3g} %" for s in share)
    row[2].set_title(f"variances ({percents}, ...)", fontsize="medium")
    row[2].set_ylabel(label_of("variance", model.explained_variance_.attrs))
