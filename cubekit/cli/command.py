"""What every command has: --quiet, --debug, and errors of one line."""

from __future__ import annotations

import warnings
from typing import Any

import click

from cubekit.errors import BatchError, CubekitError
from cubekit.summary import printable

__all__ = ["Command", "told"]

# what a message says, a parameter of the commands that have more to say, and that
_TYPED = (
    ("variable=", "variable", "On the command line: --variable NAME."),
    ("coord=", "coord", "On the command line: --coord NAME."),
    ("cube.sortby(", "sort", "On the command line: --sort."),
    ("mkdir(parents=True)", "overwrite", "On the command line: mkdir -p FOLDER."),
    ("is no model: it is", "model", "On the command line MODEL comes before IN."),
    ("holds no cubekit model", "model", "On the command line MODEL comes before IN."),
    ("no spectral coordinate", "port", "One plane is drawn by cubekit quicklook."),
    ("dataset[", "recipe", 'In the recipe: keep = ["NAME"], above its steps.'),
)
# what is told in a line; an ImportError names the extra that is missing
_TOLD = (CubekitError, ValueError, TypeError, OSError, ImportError)


class Command(click.Command):
    """Command with --quiet and --debug, whose errors are one line."""

    def __init__(
        self,
        name: str | None,
        *,
        params: list[click.Parameter] | None = None,
        **settings: Any,
    ) -> None:
        common: list[click.Parameter] = [
            click.Option(["-q", "--quiet"], is_flag=True, help="Print errors only."),
            click.Option(["--debug"], is_flag=True, help="Show where an error arose."),
        ]
        super().__init__(name, params=[*(params or []), *common], **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with `say` and `progress` in place of --quiet."""
        debug, quiet = ctx.params.pop("debug"), ctx.params.pop("quiet")
        ctx.params["say"] = _silent if quiet else click.echo
        ctx.params["progress"] = False if quiet else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if quiet else "default", UserWarning)
            warnings.showwarning = _warn
            try:
                return super().invoke(ctx)
            except BatchError as group:  # each was said when it arose
                if debug:
                    raise
                raise click.ClickException(_one_line(group.message)) from None
            except BrokenPipeError:  # whoever read the output has seen enough
                raise
            except _TOLD as error:
                if debug:
                    raise
                raise click.ClickException(told(error)) from None


def told(error: Exception) -> str:
    """What is wrong, in a line: the message, its notes, and options as they are typed.

    Nothing in it is what a terminal would act on.
    """
    parameters = click.get_current_context().params
    words = [str(error) or type(error).__name__, *getattr(error, "__notes__", [])]
    for found, parameter, remedy in _TYPED:
        if found in words[0] and parameter in parameters:
            words.append(remedy)
    text = " ".join(words)
    for name in parameters:  # a flag
        text = text.replace(f"{name}=True", f"--{name}")
    return _one_line(text)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    del where, more  # lines of source say nothing to who is not programming
    click.echo(f"Warning: {_one_line(str(message))}", err=True)


def _silent(text: str) -> None:
    del text
