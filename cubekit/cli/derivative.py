"""cubekit derivative: differentiate a file along a coordinate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cubekit.axis import Axis
from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, OUT, SORT, VARIABLE
from cubekit.cli.order import opened
from cubekit.cli.saving import save, saving
from cubekit.spatial import derivative as differentiated

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["derivative"]


@click.command(
    cls=Command, short_help="Differentiate along the bands or another coordinate."
)
@click.argument("source", metavar="IN", type=IN)
@click.argument("target", metavar="OUT", type=OUT)
@COORD
@click.option(
    "--order",
    metavar="D",
    type=int,
    default=1,
    show_default=True,
    help="Which derivative: 1 for the slope, 2 for the curvature.",
)
@click.option(
    "--accuracy",
    metavar="P",
    type=int,
    default=2,
    show_default=True,
    help="How fast the error falls: 2^P times smaller on steps half as wide.",
)
@click.option(
    "--missing",
    type=click.Choice(["propagate", "refit"]),
    default="propagate",
    show_default=True,
    help="Near missing samples the result is missing too (propagate), or computed "
    "from the samples that are left (refit).",
)
@VARIABLE
@SORT
@saving
def derivative(
    *,
    source: Path,
    target: Path,
    coord: str | None,
    order: int,
    accuracy: int,
    missing: Any,
    variable: str | None,
    sort: bool,
    **options: Any,
) -> None:
    """Differentiate IN along a coordinate, on its real spacing, and write OUT.

    Nothing is smoothed, so that noise grows; cubekit savgol smooths and differentiates
    at once. OUT is netCDF, Zarr or ENVI by its suffix.

    \b
    Examples:
      cubekit derivative scene.nc slope.nc
      cubekit derivative terrain.nc north.nc --coord y
    """  # noqa: D301  click reads the escape
    cube = opened(source, variable, coord, sort=sort)
    name = Axis.from_cube(cube, coord).name
    result = differentiated(cube, name, order=order, accuracy=accuracy, missing=missing)
    save(result, target, **options)
