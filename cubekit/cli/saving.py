"""How commands save a cube: their options, and where it is computed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click
import dask

from cubekit.io import save_cube
from cubekit.io.size import bytes_on_disk
from cubekit.summary import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import xarray as xr

__all__ = ["computing", "save", "saving", "say_written"]

_OPTIONS = (
    click.option(
        "--memory",
        metavar="SIZE",
        default="1GB",
        show_default=True,
        help="What the job may use in all, such as 512MB or 4GB.",
    ),
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="Threads that compute.  [default: one a core]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Compute on a running Dask cluster, such as tcp://host:8786.",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Keep what is finished beside OUT, and go on from there if an earlier "
        "run with --resume was stopped.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace OUT if it is there."),
)


def saving(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a job that saves a cube."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextlib.contextmanager
def computing(workers: int | None, scheduler: str | None) -> Iterator[None]:
    """Compute with so many threads, or on the cluster at an address."""
    if scheduler is None:
        with dask.config.set({} if workers is None else {"num_workers": workers}):
            yield
        return
    if workers is not None:
        raise click.UsageError(
            "--workers and --scheduler are both given. A cluster has its own workers."
        )
    try:
        from distributed import Client  # noqa: PLC0415  optional, and heavy
    except ImportError as error:
        raise click.UsageError(
            "--scheduler needs the package distributed: pip install distributed"
        ) from error
    with Client(scheduler):  # type: ignore[no-untyped-call]
        yield


def save(
    cube: xr.DataArray | xr.Dataset,
    target: Path,
    *,
    workers: int | None,
    scheduler: str | None,
    say: Callable[[str], None],
    **options: Any,
) -> None:
    """Save a cube, and say so."""
    with computing(workers, scheduler):
        save_cube(cube, target, **options)
    say_written(target, say)


def say_written(target: Path, say: Callable[[str], None]) -> None:
    """Say what was written, and its size."""
    say(f"wrote {target} ({size_of(bytes_on_disk(target))})")
