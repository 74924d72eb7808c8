"""cubekit quicklook: a picture of a file, and a page about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cubekit import plotting
from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, OUT, VARIABLE
from cubekit.cli.order import in_order
from cubekit.errors import OutputExistsError
from cubekit.summary import size_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["quicklook"]


@click.command(cls=Command, short_help="Draw what is in a file.")
@click.argument("file", type=IN)
@click.argument("picture", metavar="[OUT.png]", type=OUT, required=False)
@click.option(
    "--html",
    "page",
    metavar="OUT.html",
    type=OUT,
    help="Write a page too: the picture, metadata, statistics of each band.",
)
@VARIABLE
@COORD
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def quicklook(
    *,
    file: Path,
    picture: Path | None,
    page: Path | None,
    variable: str | None,
    coord: str | None,
    overwrite: bool,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Draw FILE: in colour, its spectra, what is missing, its principal components.

    A file of one plane, such as heights, is drawn as an image with a histogram.

    Without OUT.png the picture is FILE with that suffix, in this folder. Large files
    are thinned; bands that lie out of order are sorted. A page of --html is complete in
    itself and can be sent around.

    \b
    Examples:
      cubekit quicklook scene.nc
      cubekit quicklook scene.hdr look.png --html look.html
    """  # noqa: D301  click reads the escape
    del progress
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy, for this alone

    cube = in_order(file, variable, coord, say)
    if picture is None and page is None:
        picture = file.with_suffix(".png").relative_to(file.parent)
    for there in filter(None, (picture, page)):
        if there.exists() and not overwrite:
            raise OutputExistsError(
                f"quicklook: {there} is there already. Nothing was written. Give "
                "another name, or --overwrite."
            )
        if not there.parent.is_dir():
            raise FileNotFoundError(
                f"quicklook: there is no folder {str(there.parent)!r}. A file needs "
                "one. Make it first: Path(...).mkdir(parents=True)."
            )
    if picture is not None:
        figure = Figure(figsize=(15, 8), layout="constrained")
        plotting.quicklook(cube, coord=coord, figure=figure)
        figure.suptitle(file.name.replace("$", r"\$"))
        figure.savefig(picture, dpi=100)
        say(f"wrote {picture} ({size_of(picture.stat().st_size)})")
    if page is not None:
        text = plotting.report(cube, coord=coord, title=file.name)
        page.write_text(text, "utf-8")
        say(f"wrote {page} ({size_of(page.stat().st_size)})")
