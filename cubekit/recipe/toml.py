"""TOML, with the line that each entry of each step stands on."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from cubekit.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Lines", "lines_of", "read_toml", "written"]

_MOST = 1000  # rows; a recipe has a few dozen
# the line of the entry `key` of the step at an index; of the step itself with None;
# of an entry outside of all steps with -1
Lines = dict[tuple[int, str | None], int]


def read_toml(text: str) -> dict[str, Any]:
    """Content of a text in TOML, or an error that names the line."""
    rows = text.count("\n")
    if rows > _MOST or len(text) > 100 * _MOST:
        raise RecipeError(
            f"recipe: the text has {rows} lines and {len(text)} characters. A recipe "
            "has a few dozen lines. Give the path of a recipe."
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = str(error)
        found = re.search(r"\(at line (\d+)", what)
        where = f", line {found[1]}" if found else ""
        raise RecipeError(
            f"recipe{where}: this is no TOML: {what}. Texts are in quotes, steps begin "
            'with [[step]]. Write, for example: do = "savgol_filter".'
        ) from error
    except RecursionError as error:
        raise RecipeError(
            "recipe: the text nests too deeply. A step has numbers, texts and lists. "
            "Write it flat."
        ) from error


def lines_of(text: str) -> Lines:
    """Line on which each step and each of its entries begins.

    A statement ends with the first row that makes it TOML by itself, whatever quotes
    and brackets lie between.
    """
    lines: Lines = {}
    rows: list[str] = []
    index, inside = -1, None  # the table that statements belong to
    for number, row in enumerate(text.split("\n"), 1):
        rows.append(row)
        try:
            content = tomllib.loads("\n".join(rows))
        except tomllib.TOMLDecodeError:
            continue
        begin, rows = number - len(rows) + 1, []
        for key, value in content.items():
            if row.lstrip().startswith("["):
                index, inside = _table(key, value, index)
                lines.setdefault((index, inside), begin)
            elif index < 0 and key == "step":
                lines.update(dict.fromkeys(_inline(value), begin))
            else:
                lines.setdefault((index, inside or key), begin)
    return lines


def _table(key: str, value: Any, index: int) -> tuple[int, str | None]:
    """Table that a header begins: a step, a part of one, or neither."""
    if key != "step":
        return -1, key
    if isinstance(value, list):
        return index + 1, None
    return index, next(iter(value), None)


def _inline(steps: Any) -> Iterable[tuple[int, str | None]]:
    """Places of steps that are written as a list."""
    yield -1, "step"
    for k, step in enumerate(steps if isinstance(steps, list) else []):
        yield k, None
        for key in step if isinstance(step, dict) else ():
            yield k, key


def written(value: Any) -> str:
    """A text, number, truth, list or table in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        entries = (f"{_key(k)} = {written(v)}" for k, v in value.items())
        return f"{{ {', '.join(entries)} }}" if value else "{}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else written(key)
