"""Recipe: what is done to a cube, written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cubekit.errors import RecipeError
from cubekit.io import plan
from cubekit.io.history import with_line
from cubekit.io.reading import history_of
from cubekit.recipe.matrices import Matrices
from cubekit.recipe.running import gathered, run
from cubekit.recipe.steps import CUBE, Step, checked, plain
from cubekit.recipe.toml import lines_of, read_toml, written
from cubekit.summary import describe

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["Recipe"]

# a line of history: time, version, and the recipe in TOML
_IN_HISTORY = re.compile(r"\S+ cubekit \S+: (recipe = \{.*\})")


class Recipe:
    """Steps to take with a cube: public functions and their arguments, nothing else.

    Parameters
    ----------
    steps : sequence of mapping
        Each says what to ``"do"``, the name of a function, and its arguments; may say
        what to take it ``"from"``, a result before (by default that of the step before)
        or ``"cube"``; and how its result is called, ``"as"``.
    title : str, optional
        A line for people.
    keep : sequence of str, optional
        The results wanted; by default all that have a name, and that of the last step
        where none has.

    Raises
    ------
    RecipeError
        If a step, an argument, its type or a name is not known. It names the line, and
        what is nearest.

    Notes
    -----
    A step is a function that makes a cube of a cube, `savgol_filter` or `gradient`, or
    a method of a saved model, ``"PCA.transform"`` with ``model`` the path of the file.
    Nothing else can be called, whoever wrote the recipe.

    Steps that follow each other along one axis, and are matrices, become one matrix,
    where nothing else takes the results between: `savgol_filter`, `derivative`,
    `resample`, then `PCA.transform` or `MNF.transform`. So they are one contraction
    with one rounding, as ``(slope @ smooth)(cube)`` is; `explain` shows where. Steps
    with ``missing="refit"`` are taken one by one.

    Examples
    --------
    >>> import cubekit as ck
    >>> recipe = ck.Recipe.from_toml('''
    ... [[step]]
    ... do = "savgol_filter"
    ... window_length = 11
    ... as = "smooth"
    ...
    ... [[step]]
    ... do = "derivative"
    ... coord = "wavelength"
    ... as = "slope"
    ... ''')
    >>> result = recipe(ck.datasets.scene((4, 5)))
    >>> list(result.data_vars)
    ['smooth', 'slope']
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Any]],
        *,
        title: str = "",
        keep: Sequence[str] | None = None,
    ) -> None:
        content: dict[str, Any] = {"step": [plain(dict(step)) for step in steps]}
        for entry in content["step"]:
            for key in [key for key, value in entry.items() if value is None]:
                del entry[key]  # as if not given; TOML has no word for it
        if title:
            content["title"] = title
        if keep is not None:
            content["keep"] = list(keep)
        self._set(content, None, Path())

    def _set(self, content: dict[str, Any], text: str | None, folder: Path) -> None:
        lines = None if text is None else lines_of(text)
        self._steps, self._title, self._outputs = checked(content, lines)
        self._content = content
        self._folder = folder
        self._matrices = Matrices(folder)

    @classmethod
    def from_toml(cls, source: str | os.PathLike[str]) -> Self:
        """Recipe from a file, or from the text itself.

        Parameters
        ----------
        source : path or str
            A text with more than one line is taken for the recipe itself. Paths of
            models are relative to the folder of the file.

        Returns
        -------
        Recipe

        Raises
        ------
        RecipeError
            If it is no TOML, or no recipe.
        """
        if isinstance(source, str) and "\n" in source:
            return cls._from_text(source, Path())
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(
                f"recipe: there is no file {str(path)!r} (in {Path.cwd()}). A recipe "
                "is a text in TOML, or the path of one. Check the path."
            )
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(
                f"recipe: {path} is no text in UTF-8. A recipe is a text in TOML. "
                "Give its path."
            ) from error
        return cls._from_text(text, path.parent)

    @classmethod
    def _from_text(cls, text: str, folder: Path) -> Self:
        recipe = cls.__new__(cls)
        recipe._set(read_toml(text), text, folder)
        return recipe

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Recipe that a result was made by, from its ``history``.

        Parameters
        ----------
        path : path
            A file that `save_cube` wrote of the result of a recipe. If its history
            tells of several recipes, one after the other, it is the last.

        Returns
        -------
        Recipe

        Raises
        ------
        RecipeError
            If the history tells of no recipe.
        """
        lines = history_of(path).split("\n")
        found = [line for line in map(_IN_HISTORY.fullmatch, lines) if line]
        if not found:
            raise RecipeError(
                f"recipe: {path} records no recipe. Results of a recipe that were "
                "saved whole do. Save recipe(cube), not one of its variables."
            )
        recipe = cls.__new__(cls)
        recipe._set(read_toml(found[-1][1])["recipe"], None, Path())
        return recipe

    def to_toml(self) -> str:
        """Recipe as text; `from_toml` reads it back."""
        return _as_toml(self._content)

    def __call__(self, cube: xr.DataArray) -> xr.Dataset:
        """Results of the steps, a variable for each.

        Parameters
        ----------
        cube : DataArray
            Dask: lazy; what the results share is read and computed once when they are
            saved together.

        Returns
        -------
        Dataset
            The last line of its attribute ``history`` is the recipe, with the full
            paths of its models; `from_file` reads it. Where two results have different
            coordinates of one name, those of the later one get its name behind:
            ``wavelength_resampled``.
        """
        results, _ = run(self._steps, self._outputs, cube, self._matrices)
        result = gathered(results)
        words = f"recipe = {written(_ordered(self._absolute()))}"
        result.attrs["history"] = with_line(cube.attrs.get("history"), words)
        return result

    def explain(self, cube: xr.DataArray, *, memory: str | int = "1GB") -> str:
        """What will be done with a cube: which steps are one matrix, chunks and memory.

        Parameters
        ----------
        cube : DataArray
            Nothing of it is computed if it is lazy.
        memory : str or int, default "1GB"
            As for `save_cube`.

        Returns
        -------
        str
            Some lines; print them.
        """
        results, made = run(self._steps, self._outputs, cube, self._matrices)
        rows = [
            (numbers, f"{words}{f' -> {name}' if name else ''}")
            for numbers, words, name in made
        ]
        width = max(len(numbers) for numbers, _ in rows) + 2
        saved = str(plan(gathered(results), memory=memory))
        return "\n".join(
            [
                *([self._title] if self._title else []),
                describe(cube),
                *(f"{numbers:{width}}{words}" for numbers, words in rows),
                saved,
            ]
        )

    def _absolute(self) -> dict[str, Any]:
        """Content with paths that mean the same in any folder."""
        steps = [dict(entry) for entry in self._content["step"]]
        for entry in steps:
            if "model" in entry:
                entry["model"] = str((self._folder / entry["model"]).absolute())
        return {**self._content, "step": steps}

    def __eq__(self, other: object) -> bool:
        """Whether two recipes have the same steps, title and results."""
        if not isinstance(other, Recipe):
            return NotImplemented
        return self._absolute() == other._absolute()

    def __hash__(self) -> int:
        """Return the same for equal recipes."""
        return hash(_as_toml(self._absolute()))

    def __repr__(self) -> str:
        """Return the steps, a line each."""
        rows = [f"<Recipe {self._title}".rstrip()]
        rows += [f"  {_row(step, self._steps)}" for step in self._steps]
        return "\n".join(rows) + ">"


def _row(step: Step, steps: Sequence[Step]) -> str:
    number = next(k for k, other in enumerate(steps) if other is step)
    before = number - 1 if number else None
    source = "" if step.source == before else f"{_name(step.source, steps)}: "
    return f"{source}{step.words}{f' -> {step.output}' if step.output else ''}"


def _name(source: int | None, steps: Sequence[Step]) -> str:
    return CUBE if source is None else str(steps[source].output)


def _as_toml(content: Mapping[str, Any]) -> str:
    ordered = _ordered(content)
    steps = ordered.pop("step")
    blocks = [_rows(ordered)] if ordered else []
    blocks += [f"[[step]]\n{_rows(step)}" for step in steps]
    return "\n\n".join(blocks) + "\n"


def _rows(entries: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {written(value)}" for key, value in entries.items())


def _ordered(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content in the order that it reads best: title and keep, then the steps."""
    steps = []
    for entry in content["step"]:
        words = {k: entry[k] for k in ("from", "do") if k in entry}
        others = {k: v for k, v in entry.items() if k not in {"from", "do", "as"}}
        last = {"as": entry["as"]} if "as" in entry else {}
        steps.append({**words, **others, **last})
    return {**{k: v for k, v in content.items() if k != "step"}, "step": steps}
