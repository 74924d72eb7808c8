"""Pictures as they are rendered: the colours at the places of the values."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import cubekit as ck

WHITE = (1.0, 1.0, 1.0)


@pytest.fixture
def ax():
    figure = Figure(figsize=(6, 5), dpi=100)
    return figure.add_axes((0.12, 0.12, 0.7, 0.8))


def rendered(ax, x, y):
    """Colours of the pixels of the screen at data coordinates, (place, 3)."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    screen = np.asarray(canvas.buffer_rgba())[::-1, :, :3] / 255
    at = ax.transData.transform(np.column_stack([np.ravel(x), np.ravel(y)]))
    column, row = np.floor(at).astype(int).T
    return screen[row, column]


def scene_with_a_hole():
    cube = ck.datasets.scene((6, 8)).copy()
    cube[2, 5] = np.nan
    return cube


def test_a_true_colour_picture_has_the_colours_of_the_cube_where_they_are(ax):
    cube = scene_with_a_hole()
    ck.plotting.rgb(cube, percentile=(0, 100), ax=ax)
    x, y = np.meshgrid(cube.x, cube.y)
    bands = cube.sel(wavelength=[640, 550, 460], method="nearest").values
    low, high = np.nanmin(bands), np.nanmax(bands)
    expected = ((bands - low) / (high - low)).reshape(-1, 3)
    found = rendered(ax, x, y)
    whole = np.isfinite(expected).all(axis=1)
    assert np.abs(found - expected)[whole].max() < 2 / 255
    hole = found[~whole][0]  # hatched ground, grey
    assert np.ptp(hole) == 0
    assert 0.5 < hole[0] < 1


@pytest.mark.parametrize("uneven", [False, True])
def test_a_band_has_the_colours_of_its_map_where_its_values_are(ax, uneven):
    x = np.array([0.0, 1, 3, 4, 7]) if uneven else np.arange(5.0)
    values = np.linspace(0, 1, 20).reshape(4, 5)
    field = xr.DataArray(values, coords={"y": [3.0, 2, 1, 0], "x": x}, dims=("y", "x"))
    ck.plotting.image(field, percentile=(0, 100), colorbar=False, ax=ax)
    found = rendered(ax, *np.meshgrid(field.x, field.y))
    expected = mpl.colormaps["cividis"](values.ravel())[:, :3]
    # one of the 256 colours farther is rounding
    assert np.abs(found - expected).max() < 0.02


def test_a_spectrum_is_drawn_through_its_values_and_not_across_a_gap(ax):
    wavelength = np.r_[400:500:10, 700:800:10].astype(float)
    spectrum = xr.DataArray(
        0.2 + 0.6 * (wavelength - 400) / 400,
        coords={"wavelength": ("wavelength", wavelength, {"units": "nm"})},
        dims="wavelength",
    )
    ck.plotting.spectra(spectrum, ax=ax, color="#D55E00", linewidth=5)
    ax.set_ylim(0, 1)
    inside = np.array([415.0, 455, 488, 712, 755, 788])
    line = rendered(ax, inside, 0.2 + 0.6 * (inside - 400) / 400)
    assert np.abs(line - to_rgb("#D55E00")).max() < 2 / 255
    gap = np.linspace(510, 690, 7)
    assert (rendered(ax, gap, 0.2 + 0.6 * (gap - 400) / 400) == WHITE).all()
    assert (rendered(ax, inside, 0.95 * np.ones(6)) == WHITE).all()


def test_arrows_of_a_gradient_lie_along_it(ax):
    y = xr.DataArray(np.arange(5.0), dims="y", coords={"y": np.arange(5.0)})
    x = xr.DataArray(np.arange(5.0), dims="x", coords={"x": np.arange(5.0)})
    field = (0 * y + 10 * x).assign_attrs(units="m")
    ck.plotting.gradient_field(
        field,
        ck.gradient(field),
        arrows=1,
        percentile=(0, 100),
        cmap="gray",
        colorbar=False,
        ax=ax,
    )
    # the one arrow is white, points east, and has its middle in that of the field
    for x in (1.7, 2.2):
        across = rendered(ax, np.full(9, x), np.linspace(1.96, 2.04, 9))
        assert (across == WHITE).all(axis=1).any()
    assert (rendered(ax, [1.4, 2, 2, 2], [2, 1.5, 2.5, 2.8]) < 0.6).all()
