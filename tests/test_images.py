"""Three pictures as a whole, beside ones that a person has looked at.

After a change that is meant, look at the new ones, and keep them:
``python -c "import test_images; test_images.renew()"`` in this folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

import cubekit as ck

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

KEPT = Path(__file__).parent / "data"
# of 255: letters and edges that another version of matplotlib draws a little otherwise
TOLERANCE = 4.0


def scene() -> xr.DataArray:
    cube = ck.datasets.scene((30, 40))
    return cube.where((abs(cube.x - 4500) > 900) | (cube.y > 1500))


def draw_rgb(ax: Any, cube: xr.DataArray) -> None:
    ck.plotting.rgb(cube, ax=ax)


def draw_spectra(ax: Any, cube: xr.DataArray) -> None:
    places = {"quarry": (3600, 4500), "crop": (900, 2800), "lake": (2850, 1200)}
    ck.plotting.spectra(cube, places, linewidth=3, ax=ax)


def draw_field(ax: Any, cube: xr.DataArray) -> None:
    band = cube.sel(wavelength=850, method="nearest").fillna(0.2)
    hill = ck.savgol_filter(ck.savgol_filter(band, 11, 2, coord="y"), 11, 2, coord="x")
    slopes = ck.gradient(hill)
    ck.plotting.gradient_field(hill, slopes, arrows=5, mark=(2175, 3075), ax=ax)


DRAWN = {"rgb": draw_rgb, "spectra": draw_spectra, "gradient_field": draw_field}


def rendered(name: str, cube: xr.DataArray, spoil: Any = None) -> npt.NDArray[Any]:
    """Pixels of a picture, (row, column, 3), from 0 to 255."""
    with mpl.rc_context(
        {**mpl.rcParamsDefault, "font.family": "DejaVu Sans", "font.size": 7}
    ):
        figure = Figure(figsize=(3.6, 2.7), dpi=80)
        canvas = FigureCanvasAgg(figure)
        DRAWN[name](figure.add_axes((0.15, 0.14, 0.65, 0.76)), cube)
        if spoil is not None:
            spoil(figure.axes[0])
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3].astype(float)


def distance(name: str, picture: npt.NDArray[Any]) -> float:
    """Root of the mean squared difference to the picture that is kept.

    Of means over blocks of pixels: edges and letters may lie a little elsewhere.
    """
    kept = 255 * imread(KEPT / f"{name}.png")[..., :3].astype(float)
    assert kept.shape == picture.shape == (216, 288, 3)
    blocks = (kept - picture).reshape(54, 4, 72, 4, 3).mean(axis=(1, 3))
    return float(np.sqrt((blocks**2).mean()))


def renew() -> None:
    for name in DRAWN:
        picture = rendered(name, scene()).astype(np.uint8)
        mpl.image.imsave(KEPT / f"{name}.png", picture)


@pytest.fixture(scope="module")
def cube() -> xr.DataArray:
    return scene()


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_looks_like_the_one_that_is_kept(name, cube):
    assert distance(name, rendered(name, cube)) < TOLERANCE


def blurred(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Picture a fifth of a pixel off in both directions, as of another renderer."""
    moved = picture.copy()
    moved[1:, 1:] = (4 * picture[1:, 1:] + picture[:-1, :-1]) / 5
    return moved


@pytest.mark.parametrize("name", DRAWN)
def test_the_edges_of_another_renderer_are_tolerated(name, cube):
    assert distance(name, blurred(rendered(name, cube))) < TOLERANCE


def flipped(cube: xr.DataArray) -> xr.DataArray:
    return cube.copy(data=cube.values[::-1])


def mirrored(cube: xr.DataArray) -> xr.DataArray:
    return cube.copy(data=cube.values[:, ::-1])


def shifted(cube: xr.DataArray) -> xr.DataArray:
    """Bands one in ten of them off: other colours, other features."""
    return cube.copy(data=np.roll(cube.values, 28, axis=-1))


def whole(cube: xr.DataArray) -> xr.DataArray:
    return cube.fillna(0.0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("rgb", change) for change in (flipped, mirrored, shifted, whole)),
        *(("spectra", change) for change in (flipped, mirrored, shifted)),
        *(("gradient_field", change) for change in (flipped, mirrored)),
    ],
)
def test_other_data_are_beyond_the_tolerance(name, change, cube):
    assert distance(name, rendered(name, change(cube))) > 1.25 * TOLERANCE


def swap_colours(ax: Any) -> None:
    """Red for blue in the image, and the colours of lines by turns."""
    for image in ax.images:
        shades = np.asarray(image.get_array())
        if shades.ndim == 3:
            image.set_data(shades[..., [2, 1, 0, 3]])
        else:
            image.set_cmap("cividis_r")
    colours = [line.get_color() for line in ax.lines]
    for line, colour in zip(ax.lines, colours[1:] + colours[:1], strict=True):
        line.set_color(colour)


def turn_arrows(ax: Any) -> None:
    (arrows,) = (c for c in ax.collections if hasattr(c, "U"))
    arrows.set_UVC(-arrows.V, arrows.U)


def no_shade(ax: Any) -> None:
    for patch in list(ax.patches):
        patch.remove()


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        *((name, swap_colours) for name in DRAWN),
        *((name, lambda ax: ax.invert_yaxis()) for name in DRAWN),
        ("gradient_field", turn_arrows),
        ("spectra", no_shade),
    ],
)
def test_another_drawing_is_beyond_the_tolerance(name, spoil, cube):
    assert distance(name, rendered(name, cube, spoil)) > 1.25 * TOLERANCE
