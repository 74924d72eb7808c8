"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["COORD", "IN", "MAX_GAP", "OUT", "POLYORDER", "SORT", "VARIABLE"]

IN = click.Path(path_type=Path)
OUT = click.Path(path_type=Path)
VARIABLE = click.option(
    "--variable", metavar="NAME", help="Which variable, if the file holds several."
)
COORD = click.option(
    "--coord", metavar="NAME", help="Coordinate to work along.  [default: the bands]"
)
SORT = click.option(
    "--sort",
    is_flag=True,
    help="Sort the bands first, where some lie out of order.",
)
POLYORDER = click.option(
    "--polyorder",
    metavar="P",
    type=int,
    default=2,
    show_default=True,
    help="Degree of the polynomial, less than the bands in a window.",
)


class _Gap(click.ParamType):  # type: ignore[type-arg]
    name = "gap"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | str:
        """Width, or the word."""
        try:
            return "auto" if value == "auto" else float(value)
        except ValueError:
            self.fail(f"{value!r} is no width such as 20, nor auto", param)


MAX_GAP = click.option(
    "--max-gap",
    metavar="G",
    type=_Gap(),
    help="Never fit across a step wider than this, in units of the coordinate; auto: "
    "than four times the steps about it.",
)
