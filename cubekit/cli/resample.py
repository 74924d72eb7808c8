"""cubekit resample: the spectra of a file in the bands of another sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, OUT, SORT, VARIABLE
from cubekit.cli.order import opened
from cubekit.cli.saving import save, saving
from cubekit.spectral import resample as resampled

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["resample"]


class _Numbers(click.ParamType):  # type: ignore[type-arg]
    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[float]:
        """Numbers between commas."""
        try:
            return [float(number) for number in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is no list of numbers, such as 450,550,650", param)


@click.command(cls=Command, short_help="Spectra in the bands of another sensor.")
@click.argument("source", metavar="IN", type=IN)
@click.argument("target", metavar="OUT", type=OUT)
@click.option(
    "--like", metavar="FILE", type=IN, help="A cube that has the bands wanted."
)
@click.option(
    "--bands",
    metavar="B1,B2,...",
    type=_Numbers(),
    help="Centres of the bands wanted, in the units of IN. Give this or --like.",
)
@click.option(
    "--fwhm",
    metavar="W",
    type=float,
    help="Full width at half maximum of the bands wanted.  [default: that of FILE, "
    "else linear interpolation]",
)
@VARIABLE
@COORD
@SORT
@saving
def resample(
    *,
    source: Path,
    target: Path,
    like: Path | None,
    bands: list[float] | None,
    fwhm: float | None,
    variable: str | None,
    coord: str | None,
    sort: bool,
    **options: Any,
) -> None:
    """Write the spectra of IN as another sensor would see them to OUT.

    OUT is netCDF, Zarr or ENVI by its suffix.

    \b
    Examples:
      cubekit resample scene.nc broad.nc --bands 490,560,665,842 --fwhm 40
      cubekit resample scene.nc matched.nc --like other_sensor.nc
    """  # noqa: D301  click reads the escape
    if (like is None) == (bands is None):
        raise click.UsageError(
            "The bands wanted are those of a file, or a list. Give --like or --bands."
        )
    wanted: Any = bands if like is None else opened(like, None, coord, sort=sort)
    cube = opened(source, variable, coord, sort=sort)
    save(resampled(cube, wanted, fwhm=fwhm, coord=coord), target, **options)
