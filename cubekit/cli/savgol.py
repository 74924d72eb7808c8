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
    POLYORDER,
    SORT,
    VARIABLE,
)
from cubekit.cli.order import opened
from cubekit.cli.saving import save, saving
from cubekit.spectral import savgol_filter

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["savgol"]


@click.command(
    cls=Command, short_help="Smooth spectra, or differentiate what is smoothed."
)
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
    help="Which derivative, at most P: 0 only smooths, 1 is the slope.",
)
@MAX_GAP
@VARIABLE
@COORD
@SORT
@saving
def savgol(
    *,
    source: Path,
    target: Path,
    variable: str | None,
    window_length: int | None,
    window_width: float | None,
    polyorder: int,
    deriv: int,
    max_gap: Any,
    coord: str | None,
    sort: bool,
    **options: Any,
) -> None:
    """Smooth the spectra of IN, or differentiate them, and write OUT.

    A polynomial is fitted to the bands in a window around each band, at their real
    places (Savitzky-Golay). OUT is netCDF, Zarr or ENVI by its suffix.

    \b
    Examples:
      cubekit savgol scene.nc smooth.nc --window-length 11 --polyorder 3
      cubekit savgol scene.hdr slope.nc --window-width 60 --deriv 1
    """  # noqa: D301  click reads the escape
    cube = opened(source, variable, coord, sort=sort)
    result = savgol_filter(
        cube,
        window_length,
        polyorder,
        deriv=deriv,
        window_width=window_width,
        max_gap=max_gap,
        coord=coord,
    )
    save(result, target, **options)
