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


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The exit status is 0 if all went well, 1 after an error, 2 if a command or "
    "an option is wrong.",
)
@click.version_option(__version__, prog_name="cubekit", message="%(prog)s %(version)s")
def main() -> None:
    """Smooth, differentiate and reduce hyperspectral cubes, in files of any size.

    A cube is an image with a spectrum in each pixel. Cubes are read from netCDF, Zarr,
    ENVI or GeoTIFF, and written to netCDF, Zarr or ENVI, as the suffix says (.nc,
    .zarr, .hdr).

    \b
    To begin with:
      cubekit demo              see it work, without a file of your own
      cubekit info scene.nc     what is in a file
      cubekit savgol --help     options and examples of a command
    """  # noqa: D301  click reads the escape


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
