"""How commands save a cube: their options, and where it is computed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click
import dask

from cubekit.errors import ClusterError
from cubekit.io import save_cube
from cubekit.io.size import bytes_on_disk
from cubekit.summary import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import xarray as xr

__all__ = ["computed", "computing", "save", "saving", "say_written"]

_PATIENCE = 10  # seconds that a scheduler may take to answer
_COMPUTING = (
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="Threads that compute.  [default: one a core]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Compute on the Dask cluster that runs at an address, such as "
        "tcp://host:8786.",
    ),
)
_SAVING = (
    click.option(
        "--memory",
        metavar="SIZE",
        default="1GB",
        show_default=True,
        help="Memory that the job may use in all, such as 512MB or 4GB.",
    ),
    *_COMPUTING,
    click.option(
        "--resume",
        is_flag=True,
        help="Keep what is finished in a folder beside OUT, so that the same command "
        "goes on from there if it is stopped.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace OUT if it is there."),
)


def saving(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a job that saves a cube."""
    return _with(_SAVING, command)


def computed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a job that computes, and saves no cube."""
    return _with(_COMPUTING, command)


def _with(options: Iterable[Any], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed([*options]):
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
    try:
        # no default yet: it would stay one if it fails
        client = Client(  # type: ignore[no-untyped-call]
            scheduler, timeout=_PATIENCE, set_as_default=False
        )
    except (OSError, ValueError, AssertionError) as error:
        raise ClusterError(
            f"--scheduler={scheduler}: no Dask scheduler is reached there "
            f"({str(error) or 'there is no such computer'}). Start one with dask "
            "scheduler, which says its address, and workers with dask worker ADDRESS; "
            "or leave --scheduler out, and compute here."
        ) from error
    with client, dask.config.set(scheduler=client):
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
