"""The command line: arguments in, public calls, words out.

A module a command; `command` has what all of them share.
"""

from __future__ import annotations

import click

from cubekit._version import __version__
from cubekit.cli.demo import demo
from cubekit.cli.derivative import derivative
from cubekit.cli.info import info
from cubekit.cli.pca import pca
from cubekit.cli.quicklook import quicklook
from cubekit.cli.rechunk import rechunk
from cubekit.cli.resample import resample
from cubekit.cli.run import run
from cubekit.cli.savgol import savgol
from cubekit.cli.view import view

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cubekit", message="%(prog)s %(version)s")
def main() -> None:
    """Hyperspectral datacubes on their real coordinates.

    Files may be netCDF, Zarr, ENVI or GeoTIFF. To see what this does, without a file:

        cubekit demo
    """


for command in (
    demo,
    derivative,
    info,
    pca,
    quicklook,
    rechunk,
    resample,
    run,
    savgol,
    view,
):
    main.add_command(command)
