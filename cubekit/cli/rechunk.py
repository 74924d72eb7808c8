"""cubekit rechunk: a file rewritten for another use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, OUT, VARIABLE
from cubekit.cli.saving import computing, saving, say_written
from cubekit.io import rechunk as rechunked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["rechunk"]


@click.command(
    cls=Command, short_help="A copy of a file that is fast to read another way."
)
@click.argument("source", metavar="IN", type=IN)
@click.argument("target", metavar="OUT", type=OUT)
@click.option(
    "--layout",
    type=click.Choice(["spectra", "images", "balanced"]),
    default="balanced",
    show_default=True,
    help="What OUT is read for: whole spectra, images of one band, or both.",
)
@VARIABLE
@COORD
@saving
def rechunk(
    *,
    source: Path,
    target: Path,
    workers: int | None,
    scheduler: str | None,
    say: Callable[[str], None],
    **options: Any,
) -> None:
    """Write a copy of IN to OUT (netCDF or Zarr) that is fast to read another way.

    A file is stored in chunks, each compressed by itself. Reading images from a file
    in chunks of spectra, or spectra from one in chunks of images, decodes every chunk
    again and again. This does it once.

    \b
    Examples:
      cubekit rechunk scene.nc spectra.nc --layout spectra
      cubekit rechunk scene.nc scene.zarr --memory 4GB
    """  # noqa: D301  click reads the escape
    with computing(workers, scheduler):
        rechunked(source, target, **options)
    say_written(target, say)
