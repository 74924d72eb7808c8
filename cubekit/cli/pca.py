"""cubekit pca: fit principal components, apply them, and see how well they do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cubekit.cli.command import Command
from cubekit.cli.options import COORD, IN, OUT, SORT, VARIABLE
from cubekit.cli.order import opened
from cubekit.cli.saving import computed, computing, save, saving
from cubekit.io import open_cube
from cubekit.reduction import PCA
from cubekit.reduction.model_file import require_free

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["pca"]


@click.group(short_help="Reduce hundreds of bands to a few components.")
def pca() -> None:
    """Reduce hundreds of bands to a few principal components.

    \b
    Fit a model once, then apply it to any file with the same bands:
      cubekit pca fit scene1.nc scene2.nc model.nc --components 10
      cubekit pca transform model.nc scene3.nc scores.nc
      cubekit pca evaluate model.nc scene3.nc
    """  # noqa: D301  click reads the escape


class _Components(click.ParamType):  # type: ignore[type-arg]
    name = "components"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | float:
        """Count, or share of the variance."""
        try:
            return float(value) if "." in str(value) else int(value)
        except ValueError:
            self.fail(
                f"{value!r} is no count such as 10, nor share such as 0.999", param
            )


@pca.command(cls=Command, short_help="Fit a model to one file or many.")
@click.argument("sources", metavar="IN...", type=IN, nargs=-1, required=True)
@click.argument("model", metavar="MODEL", type=OUT)
@click.option(
    "--components",
    metavar="K",
    type=_Components(),
    help="How many, or the share of variance to keep, such as 0.999.  [default: all]",
)
@click.option("--whiten", is_flag=True, help="Scale scores to unit variance.")
@VARIABLE
@COORD
@SORT
@computed
@click.option("--overwrite", is_flag=True, help="Replace MODEL if it is there.")
def fit(
    *,
    sources: tuple[Path, ...],
    model: Path,
    components: int | float | None,
    whiten: bool,
    variable: str | None,
    coord: str | None,
    sort: bool,
    workers: int | None,
    scheduler: str | None,
    overwrite: bool,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Fit principal components to the spectra of all IN, and write MODEL (.nc).

    Files of any size make one model together; each is read once.

    \b
    Examples:
      cubekit pca fit scene.nc model.nc --components 10
      cubekit pca fit scenes/*.nc model.nc --components 0.999
    """  # noqa: D301  click reads the escape
    del progress  # a fit has none
    require_free(model, "PCA", overwrite=overwrite)
    cubes = [opened(source, variable, coord, sort=sort) for source in sources]
    with computing(workers, scheduler):
        fitted = PCA(components, whiten=whiten, coord=coord).fit(cubes)
    fitted.save(model, overwrite=overwrite)
    share = float(fitted.explained_variance_ratio_.sum())
    count = fitted.components_.sizes["component"]
    say(f"wrote {model}: {count} components, {share:.4%} of the variance")


@pca.command(
    cls=Command, short_help="Write the scores of a file: components in place of bands."
)
@click.argument("model", metavar="MODEL", type=IN)
@click.argument("source", metavar="IN", type=IN)
@click.argument("target", metavar="OUT", type=OUT)
@VARIABLE
@saving
def transform(
    *,
    model: Path,
    source: Path,
    target: Path,
    variable: str | None,
    **options: Any,
) -> None:
    """Write the scores of IN on the components of MODEL to OUT.

    The scores are the cube with components in place of bands. The bands of IN are those
    of MODEL, in any order. OUT is netCDF, Zarr or ENVI by its suffix.

    \b
    Examples:
      cubekit pca transform model.nc scene.nc scores.nc
      cubekit pca transform model.nc scene.hdr scores.hdr
    """  # noqa: D301  click reads the escape
    scores = PCA.load(model).transform(open_cube(source, variable=variable))
    save(scores, target, **options)


@pca.command(cls=Command, short_help="Say how well a model explains a file.")
@click.argument("model", metavar="MODEL", type=IN)
@click.argument("source", metavar="IN", type=IN)
@VARIABLE
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@computed
def evaluate(
    *,
    model: Path,
    source: Path,
    variable: str | None,
    as_json: bool,
    workers: int | None,
    scheduler: str | None,
    say: Callable[[str], None],
    progress: bool | None,
) -> None:
    """Say how well MODEL explains IN, a file it was fitted to or a new one.

    How much of the variance, by all components together and by each; and the error of
    spectra that are rebuilt from their scores.

    \b
    Examples:
      cubekit pca evaluate model.nc scene.nc
      cubekit pca evaluate model.nc scene.nc --json
    """  # noqa: D301  click reads the escape
    del say, progress  # its words are its result: --quiet does not silence them
    with computing(workers, scheduler):
        found = PCA.load(model).evaluate(open_cube(source, variable=variable))
    shares = found["explained_by_scores"].values.tolist()
    facts = {
        "n_samples": int(found["n_samples"]),
        "r2_fit_mean": _number(found["r2_fit_mean"]),
        "r2_own_mean": _number(found["r2_own_mean"]),
        "rmse": _number((found["rmse"] ** 2).mean() ** 0.5),
        "explained_by_scores": shares,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2, allow_nan=False))
        return
    units = found["rmse"].attrs.get("units", "1")
    unit = "" if units == "1" else f" {units}"
    click.echo(f"spectra              {facts['n_samples']}")
    click.echo(f"R2 about fit mean    {found['r2_fit_mean'].item():.6f}")
    click.echo(f"R2 about own mean    {found['r2_own_mean'].item():.6f}")
    click.echo(f"RMSE                 {facts['rmse']:.4g}{unit}")
    for number, share in enumerate(shares, 1):
        click.echo(f"component {number:<3}        {share:.4%} of the variance")


def _number(value: Any) -> float | None:
    number = float(value)
    return number if number == number else None  # noqa: PLR0124  JSON has no NaN
