"""cubekit demo: see it all work, without a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import xarray as xr

from cubekit import datasets, plotting
from cubekit.axis import Axis
from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, MAX_GAP, OUT, SORT, VARIABLE
from cubekit.cli.order import opened
from cubekit.io import open_cube, save_cube
from cubekit.spectral import savgol_filter
from cubekit.summary import describe, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["demo"]


@click.command(cls=Command, short_help="See it work on a synthetic scene, in a minute.")
@click.option(
    "--input",
    "path",
    metavar="FILE",
    type=IN,
    help="A cube of yours.  [default: a synthetic scene]",
)
@VARIABLE
@click.option(
    "--output",
    "folder",
    metavar="DIR",
    type=OUT,
    default=Path("cubekit-demo"),
    show_default=True,
    help="Folder for the two files; files of an earlier demo are replaced.",
)
@click.option(
    "--window-length",
    metavar="N",
    type=int,
    default=11,
    show_default=True,
    help="Bands in a window; odd.",
)
@click.option(
    "--polyorder",
    metavar="P",
    type=int,
    default=3,
    show_default=True,
    help="Degree of the polynomial.",
)
@MAX_GAP
@COORD
@SORT
def demo(
    *,
    path: Path | None,
    variable: str | None,
    coord: str | None,
    folder: Path,
    window_length: int,
    polyorder: int,
    max_gap: Any,
    sort: bool,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Smooth a cube, differentiate it twice, and draw the result.

    Writes DIR/demo.nc (the smoothed cube, its first and its second derivative along the
    bands) and DIR/demo.png (the cube in true colour, spectra before and after, and a
    derivative).

    \b
    Examples:
      cubekit demo
      cubekit demo --input scene.nc --output here
    """  # noqa: D301  click reads the escape
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"demo: --output {folder} is a file. Two files are written to a folder. "
            "Name one, or a new one."
        )
    if path is None:
        cube = datasets.scene(chunks={"y": 40})
        say("cube        synthetic scene: nothing in it was measured")
    else:
        cube = opened(path, variable, coord, sort=sort)
        say(f"cube        {path}")
    say(_indented(describe(cube)))
    axis = Axis.from_cube(cube, coord)
    steps = {
        name: savgol_filter(
            cube,
            window_length,
            polyorder,
            deriv=deriv,
            coord=axis.name,
            max_gap=max_gap,
        )
        for deriv, name in enumerate(("smooth", "slope", "curvature"))
    }
    say(f"smooth      Savitzky-Golay, {window_length} bands, degree {polyorder}")
    for name, words in (("slope", "first"), ("curvature", "second")):
        units = steps[name].attrs.get("units", "units unknown")
        say(f"{name:11} {words} derivative ({units})")
    folder.mkdir(parents=True, exist_ok=True)
    what = cube.attrs.get("long_name", cube.name or "values")
    result = xr.Dataset(
        {
            name: step.assign_attrs(long_name=f"{name} of {what}")
            for name, step in steps.items()
        },
        attrs={
            "title": "cubekit demo",
            "source": str(cube.attrs.get("source", path)),
            "processing": f"Savitzky-Golay filter, window_length={window_length}, "
            f"polyorder={polyorder}",
        },
    )
    file = folder / "demo.nc"
    save_cube(result, file, overwrite=True, progress=progress)
    # drawn from the file: nothing is computed twice, and what is seen is what is kept
    picture = _picture(cube, axis.name, file, folder / "demo.png")
    say(f"wrote       {file} ({size_of(file.stat().st_size)})")
    say(f"wrote       {picture} ({size_of(picture.stat().st_size)})")
    say(f"next        cubekit info {file} --variable slope")


def _picture(cube: xr.DataArray, coord: str, file: Path, picture: Path) -> Path:
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy, for the demo alone

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    smooth, slope = (open_cube(file, variable=name) for name in ("smooth", "slope"))
    slope = slope.assign_attrs(long_name=cube.attrs.get("long_name", cube.name))
    plotting.overview(cube, smooth, slope, coord=coord, figure=figure)
    # constrained layout cuts labels off beside images of equal scales
    figure.savefig(picture, dpi=120, bbox_inches="tight")
    return picture


def _indented(text: str) -> str:
    return "\n".join(f"            {line}" for line in text.splitlines())
