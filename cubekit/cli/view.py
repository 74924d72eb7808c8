"""cubekit view: the interactive viewer in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, VARIABLE
from cubekit.cli.order import in_order
from cubekit.viewer.explore import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["view"]


@click.command(cls=Command, short_help="Look at a file in the browser.")
@click.argument("file", type=IN)
@VARIABLE
@COORD
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the address.  [default: any that is free]",
)
@click.option("--no-browser", is_flag=True, help="Only say the address.")
def view(
    *,
    file: Path,
    variable: str | None,
    coord: str | None,
    port: int,
    no_browser: bool,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Look at FILE in the browser: click pixels for their spectra.

    The page is for this computer alone, no other can reach it. Stop with Ctrl-C. Needs
    the extra viewer: pip install ".[viewer]" in your copy of cubekit.

    A file in chunks of whole spectra shows its bands slowly; cubekit rechunk writes one
    for both uses.

    \b
    Examples:
      cubekit view scene.nc
      cubekit view scene.nc --no-browser --port 5006
    """  # noqa: D301  click reads the escape
    del progress
    serve(
        lambda: in_order(file, variable, coord, say),
        coord=coord,
        port=port,
        title=file.name,
        show=not no_browser,
        started=lambda address: say(f"{address} (stop with Ctrl-C)"),
    )
