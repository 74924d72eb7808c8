"""cubekit run: what a recipe says, for one file or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cubekit.cli.command import Command, one_line
from cubekit.cli.options import IN, OUT, VARIABLE
from cubekit.cli.saving import computing, save, saving, say_written
from cubekit.io import open_cube
from cubekit.recipe import Recipe, apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["run"]


@click.command(cls=Command, short_help="Do what a recipe says, to one file or many.")
@click.argument("recipe", metavar="RECIPE", type=IN)
@click.argument("sources", metavar="IN...", type=IN, nargs=-1, required=True)
@click.argument("target", metavar="OUT", type=OUT)
@VARIABLE
@click.option(
    "--explain",
    is_flag=True,
    help="Say what would be done with the first IN, and do nothing.",
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
    """Take the steps that RECIPE lists with IN, and write the results to OUT.

    RECIPE is a text in TOML: steps, each the name of a function and its arguments. It
    is checked before anything is read. One IN gives the file OUT (.nc); several give
    one file each in the folder OUT, and one that fails does not stop the others.

    \b
    A recipe that smooths the spectra, and differentiates them:
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
    is_folder = target.is_dir() and target.suffix != ".zarr"
    if len(sources) == 1 and not is_folder:
        result = steps(open_cube(sources[0], variable=variable))
        save(result, target, say=say, **options)
        return

    def done(source: Path, result: Path | Exception) -> None:
        if isinstance(result, Exception):
            click.echo(f"Error: {source}: {one_line(str(result))}", err=True)
        else:
            say_written(result, say)

    with computing(options.pop("workers"), options.pop("scheduler")):
        apply(steps, sources, target, variable=variable, done=done, **options)
