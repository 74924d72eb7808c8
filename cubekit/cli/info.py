"""cubekit info: say what is in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cubekit.cli.command import Command
from cubekit.cli.options import IN, VARIABLE
from cubekit.errors import AmbiguousCubeError
from cubekit.io import open_cube
from cubekit.io.size import bytes_on_disk
from cubekit.summary import describe, size_of, summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["info"]


@click.command(cls=Command, short_help="Say what is in a file.")
@click.argument("file", type=IN)
@VARIABLE
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

    Of all its cubes, unless one is named. Only the coordinates are read.

    \b
    Examples:
      cubekit info scene.nc
      cubekit info scene.nc --json
    """  # noqa: D301  click reads the escape
    del say, progress  # its words are its result: --quiet does not silence them
    try:
        cubes = [open_cube(file, variable=variable)]
    except AmbiguousCubeError as error:
        cubes = [open_cube(file, variable=name) for name in error.variables]
    size = bytes_on_disk(file)
    if as_json:
        facts = {"file": str(file), "bytes_on_disk": size}
        found = [summary(cube) for cube in cubes]
        facts |= found[0] if len(found) == 1 else {"cubes": found}
        click.echo(json.dumps(facts, indent=2, allow_nan=False))
        return
    click.echo(f"{file} ({size_of(size)} on disk)")
    click.echo("\n".join(map(describe, cubes)))
