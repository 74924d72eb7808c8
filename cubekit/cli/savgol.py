"""cubekit savgol: smooth or differentiate the spectra of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cubekit.cli.command import Command
from cubekit.cli.options import (
    COORD,
    IN,
    MAX_GAP,
    OUT,
    OVERWRITE,
    POLYORDER,
    VARIABLE,
)
from cubekit.io import open_cube, save_cube
from cubekit.spectral import savgol_filter
from cubekit.summary import size_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["savgol"]


@click.command(cls=Command, short_help="Smooth or differentiate the spectra of a file.")
@click.argument("source", metavar="IN", type=IN)
@click.argument("target", metavar="OUT", type=OUT)
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
@POLYORDER
@click.option(
    "--deriv",
    metavar="D",
    type=int,
    default=0,
    show_default=True,
    help="Order of the derivative, at most P.",
)
@MAX_GAP
@VARIABLE
@COORD
@OVERWRITE
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
