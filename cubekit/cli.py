"""The command line: arguments in, public calls, words out."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import xarray as xr

from cubekit import datasets, plotting
from cubekit._version import __version__
from cubekit.axis import Axis
from cubekit.errors import CubekitError
from cubekit.io import open_cube, save_cube
from cubekit.spectral import savgol_filter
from cubekit.summary import describe, printable, size_of, summary

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

_IN = click.Path(path_type=Path)
_OUT = click.Path(path_type=Path)


class _Command(click.Command):
    """Command with --quiet and --debug, whose errors are one line."""

    def __init__(
        self,
        name: str | None,
        *,
        params: list[click.Parameter] | None = None,
        **settings: Any,
    ) -> None:
        common: list[click.Parameter] = [
            click.Option(["-q", "--quiet"], is_flag=True, help="Print errors only."),
            click.Option(["--debug"], is_flag=True, help="Show where an error arose."),
        ]
        super().__init__(name, params=[*(params or []), *common], **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with `say` and `progress` in place of --quiet."""
        debug, quiet = ctx.params.pop("debug"), ctx.params.pop("quiet")
        ctx.params["say"] = _silent if quiet else click.echo
        ctx.params["progress"] = False if quiet else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if quiet else "default", UserWarning)
            warnings.showwarning = _warn
            try:
                return super().invoke(ctx)
            except (CubekitError, ValueError, TypeError, OSError) as error:
                if debug:
                    raise
                words = [str(error) or type(error).__name__]
                words += getattr(error, "__notes__", [])
                for option in ("variable", "coord"):
                    if f"{option}=" in words[0] and option in ctx.params:
                        words.append(f"On the command line: --{option} NAME.")
                raise click.ClickException(_one_line(" ".join(words))) from None


class _Group(click.Group):
    command_class = _Command


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    del where, more  # lines of source say nothing to who is not programming
    click.echo(f"Warning: {_one_line(str(message))}", err=True)


def _silent(text: str) -> None:
    del text


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cubekit", message="%(prog)s %(version)s")
def main() -> None:
    """Hyperspectral datacubes on their real coordinates.

    Files may be netCDF, ENVI or GeoTIFF. To see what this does, without a file:

        cubekit demo
    """


_VARIABLE = click.option(
    "--variable", metavar="NAME", help="Which variable, if the file holds several."
)
_COORD = click.option(
    "--coord", metavar="NAME", help="Coordinate to work along.  [default: the bands]"
)
_POLYORDER = click.option(
    "--polyorder",
    metavar="P",
    type=int,
    default=2,
    show_default=True,
    help="Degree of the polynomial, less than the bands in a window.",
)
_MAX_GAP = click.option(
    "--max-gap",
    metavar="G",
    type=float,
    help="Never fit across a step wider than this, in units of the coordinate.",
)


@main.command(short_help="See it all work, in a minute.")
@click.option(
    "--input",
    "path",
    metavar="FILE",
    type=_IN,
    help="A cube of yours.  [default: a synthetic scene]",
)
@_VARIABLE
@click.option(
    "--output",
    "folder",
    metavar="DIR",
    type=_OUT,
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
@_MAX_GAP
@_COORD
def demo(
    *,
    path: Path | None,
    variable: str | None,
    coord: str | None,
    folder: Path,
    window_length: int,
    polyorder: int,
    max_gap: float | None,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Smooth a cube, differentiate it twice, and draw the result.

    Writes DIR/demo.nc (the smoothed cube, its first and its second derivative along the
    bands) and DIR/demo.png (the cube in true colour, spectra before and after, and a
    derivative).
    """
    if path is None:
        cube = datasets.scene(chunks={"y": 40})
        say("cube        synthetic scene: nothing in it was measured")
    else:
        cube = open_cube(path, variable=variable)
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
    figure.savefig(picture, dpi=120)
    return picture


def _indented(text: str) -> str:
    return "\n".join(f"            {line}" for line in text.splitlines())


@main.command(short_help="Say what is in a file.")
@click.argument("file", type=_IN)
@_VARIABLE
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def info(
    *,
    file: Path,
    variable: str | None,
    as_json: bool,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Say what is in FILE: axes, ranges, units, steps, bad bands, chunks, size.

    Only the coordinates are read.
    """
    del say, progress  # its words are its result: --quiet does not silence them
    cube = open_cube(file, variable=variable)
    if as_json:
        facts = {"file": str(file), "bytes_on_disk": file.stat().st_size}
        click.echo(json.dumps({**facts, **summary(cube)}, indent=2, allow_nan=False))
        return
    click.echo(f"{file} ({size_of(file.stat().st_size)} on disk)")
    click.echo(describe(cube))


@main.command(short_help="Smooth or differentiate the spectra of a file.")
@click.argument("source", metavar="IN", type=_IN)
@click.argument("target", metavar="OUT", type=_OUT)
@click.option(
    "--window-length",
    metavar="N",
    type=int,
    help="Bands in a window; odd. Give this or --window-width.",
)
@click.option(
    "--window-width",
    metavar="W",
    type=float,
    help="Width of the window in units of the coordinate, such as nm.",
)
@_POLYORDER
@click.option(
    "--deriv",
    metavar="D",
    type=int,
    default=0,
    show_default=True,
    help="Order of the derivative, at most P.",
)
@_MAX_GAP
@_VARIABLE
@_COORD
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there.")
def savgol(
    *,
    source: Path,
    target: Path,
    variable: str | None,
    overwrite: bool,
    say: Callable[[str], None],
    progress: bool | None,
    **filter_options: Any,
) -> None:
    """Smooth the spectra of IN, or differentiate them, and write OUT (netCDF).

    A polynomial is fitted to the bands in a window around each band, at their real
    places (Savitzky-Golay). The file may be larger than memory.

    \b
    Examples:
      cubekit savgol scene.nc smooth.nc --window-length 11 --polyorder 3
      cubekit savgol scene.hdr slope.nc --window-width 60 --deriv 1
    """  # noqa: D301  click reads the escape
    cube = open_cube(source, variable=variable)
    result = savgol_filter(cube, **filter_options)
    save_cube(result, target, overwrite=overwrite, progress=progress)
    say(f"wrote {target} ({size_of(target.stat().st_size)})")


if __name__ == "__main__":
    sys.exit(main())
