"""cubekit run: what a recipe says, for one file or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cubekit.cli.command import Command, told
from cubekit.cli.options import IN, OUT, VARIABLE
from cubekit.cli.saving import computing, save, saving, say_written
from cubekit.io import open_cube
from cubekit.recipe import Recipe, apply
from cubekit.recipe.actions import ACTIONS
from cubekit.summary import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["run"]


@click.command(
    cls=Command,
    short_help="Take the steps of a recipe, with one file or many.",
    epilog=f"Steps that a recipe can take: {', '.join(sorted(ACTIONS))}. Their "
    "arguments are those of the functions in Python.",
)
@click.argument("recipe", metavar="RECIPE", type=IN)
@click.argument("sources", metavar="IN...", type=IN, nargs=-1, required=True)
@click.argument("target", metavar="OUT", type=OUT)
@VARIABLE
@click.option(
    "--explain",
    is_flag=True,
    help="Say what would be done with the first IN, and how much memory that "
    "takes, and do nothing.",
)
@saving
def run(
    *,
    recipe: Path,
    sources: tuple[Path, ...],
    target: Path,
    variable: str | None,
    explain: bool,
    say: Callable[[str], None],
    **options: Any,
) -> None:
    """Take the steps that RECIPE lists with each IN, and write the results to OUT.

    RECIPE is a text file in TOML: steps, each the name of a function and its arguments.
    It is checked before anything is read. One IN gives one file, OUT, netCDF or Zarr by
    its suffix (.nc, .zarr), or ENVI (.hdr) if there is one result. Several give a
    netCDF file each in the folder OUT, as one does if OUT has no suffix; one that fails
    does not stop the others, and is named at the end.

    \b
    A recipe that smooths the spectra, and differentiates what is smooth:
      [[step]]
      do = "savgol_filter"
      window_length = 11
      as = "smooth"
      [[step]]
      do = "derivative"
      coord = "wavelength"
      as = "slope"

    \b
    Examples:
      cubekit run recipe.toml scene.nc result.nc
      cubekit run recipe.toml scenes/*.nc results --resume
      cubekit run recipe.toml scene.nc result.nc --explain
    """  # noqa: D301  click reads the escape
    steps = Recipe.from_toml(recipe)
    if explain:
        cube = open_cube(sources[0], variable=variable)
        click.echo(steps.explain(cube, memory=options["memory"]))
        return
    is_folder = not target.suffix or (target.is_dir() and target.suffix != ".zarr")
    if len(sources) == 1 and not is_folder:
        result = steps(open_cube(sources[0], variable=variable))
        save(result, target, say=say, **options)
        return

    def done(source: Path, result: Path | Exception) -> None:
        if isinstance(result, Exception):
            click.echo(f"Error: {printable(str(source))}: {told(result)}", err=True)
        else:
            say_written(result, say)

    with computing(options.pop("workers"), options.pop("scheduler")):
        apply(steps, sources, target, variable=variable, done=done, **options)
