"""Steps of a recipe, checked before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.errors import RecipeError
from cubekit.recipe.actions import ACTIONS, EXAMPLES, Action, expected, fits
from cubekit.recipe.toml import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cubekit.recipe.toml import Lines

__all__ = ["CUBE", "Step", "checked", "plain"]

CUBE = "cube"  # what steps call the cube that the recipe is applied to
_WORDS = ("do", "from", "as")
_TOP = ("title", "keep", "step")


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: what it does, with what, to which result, and how its own is called."""

    do: str
    arguments: Mapping[str, Any]
    source: int | None  # the step whose result it takes; None is the cube
    output: str | None
    place: str  # for messages: "line 4", or "step 2" where there are no lines

    @property
    def action(self) -> Action:
        """The public function."""
        return ACTIONS[self.do]

    @property
    def words(self) -> str:
        """The call, as in Python."""
        given = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.do}({given})"


class _Place:
    """Where an entry stands: its line, or the number of its step."""

    def __init__(self, lines: Lines | None) -> None:
        self._lines = lines

    def __call__(self, index: int, key: str | None = None) -> str:
        if self._lines is not None:
            return f"line {self._lines[index, key]}"
        return "the recipe" if index < 0 else f"step {index + 1}"


def checked(
    content: Mapping[str, Any], lines: Lines | None = None
) -> tuple[tuple[Step, ...], str, tuple[str, ...]]:
    """Steps, title and names of the outputs; or an error that names the line."""
    place = _Place(lines)
    for key in content:
        if key not in _TOP:
            raise RecipeError(
                f"recipe, {place(-1, key)}: {key!r} has no meaning here. A recipe has "
                f"title, keep, and steps, each after a line [[step]]."
                f"{_near(key, _TOP)}"
            )
    entries = content.get("step", [])
    if not isinstance(entries, list) or not entries:
        raise RecipeError(
            "recipe: there is no step. A recipe is made of steps. Begin each with a "
            'line [[step]], then do = "savgol_filter" and its arguments.'
        )
    steps: list[Step] = []
    for index, entry in enumerate(entries):
        steps.append(_step(index, entry, steps, place))
    title = content.get("title", "")
    if not isinstance(title, str):
        raise RecipeError(
            f"recipe, {place(-1, 'title')}: title={title!r} is {_kind(title)}. It is a "
            'line for people. Write title = "...".'
        )
    return tuple(steps), title, _outputs(content, steps, place)


def _step(index: int, entry: Any, before: Sequence[Step], place: _Place) -> Step:
    if not isinstance(entry, dict) or "do" not in entry:
        raise RecipeError(
            f"recipe, {place(index)}: the step does not say what to do. Each names a "
            f'function. Add do = "savgol_filter", or another of '
            f"{', '.join(sorted(ACTIONS))}."
        )
    do = entry["do"]
    if not isinstance(do, str) or do not in ACTIONS:
        raise RecipeError(
            f"recipe, {place(index, 'do')}: there is no step {do!r}. A step is one of "
            f"{', '.join(sorted(ACTIONS))}.{_near(str(do), ACTIONS)}"
        )
    arguments = {k: v for k, v in entry.items() if k not in _WORDS}
    _check_arguments(ACTIONS[do], arguments, index, place)
    names = {step.output: k for k, step in enumerate(before) if step.output}
    source = entry.get("from", CUBE if not before else None)
    if source is not None and (
        not isinstance(source, str) or source not in (CUBE, *names)
    ):
        known = ", ".join(map(repr, (CUBE, *names)))
        raise RecipeError(
            f"recipe, {place(index, 'from')}: from={source!r} is no result so far. "
            f'Those are {known} ("cube" is the one that is read, others are named by '
            f"as).{_near(str(source), (CUBE, *names))}"
        )
    output = entry.get("as")
    if output is not None:
        _check_name(output, names, index, place)
    number = len(before) - 1 if source is None else names.get(source)
    return Step(do, arguments, number, output, place(index))


def _check_arguments(
    action: Action, arguments: Mapping[str, Any], index: int, place: _Place
) -> None:
    for name, value in arguments.items():
        if name not in action.parameters:
            known = ", ".join(action.parameters) or "no arguments"
            raise RecipeError(
                f"recipe, {place(index, name)}: {action.name} has no argument "
                f"{name!r}. It takes {known}.{_near(name, action.parameters)}"
            )
        annotation = str(action.parameters[name].annotation)
        if not fits(annotation, value):
            raise RecipeError(
                f"recipe, {place(index, name)}: {action.name} has {name}={value!r}, "
                f"which is {_kind(value)}. It takes {expected(annotation)}. "
                "Correct the line."
            )
    lacking = [name for name in action.required if name not in arguments]
    if lacking:
        line = f"{lacking[0]} = {written(EXAMPLES[lacking[0]])}"
        raise RecipeError(
            f"recipe, {place(index)}: {action.name} has no {lacking[0]!r}. It cannot "
            f"do without. Add a line such as: {line}"
        )


def _check_name(
    output: Any, names: Mapping[str, int], index: int, place: _Place
) -> None:
    if not isinstance(output, str) or not output.isidentifier() or output == CUBE:
        raise RecipeError(
            f"recipe, {place(index, 'as')}: as={output!r} cannot name a result. It "
            "becomes a variable of the file. Use letters, digits and _, and not "
            f"{CUBE!r}."
        )
    if output in names:
        raise RecipeError(
            f"recipe, {place(index, 'as')}: as={output!r} is taken by step "
            f"{names[output] + 1}. Each result has a name of its own. Use another."
        )


def _outputs(
    content: Mapping[str, Any], steps: Sequence[Step], place: _Place
) -> tuple[str, ...]:
    """Names of the results to keep; none for the result of the last step."""
    names = [step.output for step in steps if step.output]
    keep = content.get("keep", names)
    if not fits("Sequence[str]", keep) or ("keep" in content and not keep):
        raise RecipeError(
            f"recipe, {place(-1, 'keep')}: keep={keep!r} is no list of names. It says "
            "which results to keep. Leave it out to keep all that have a name."
        )
    for name in keep:
        if name not in names:
            known = ", ".join(map(repr, names)) or "none"
            raise RecipeError(
                f"recipe, {place(-1, 'keep')}: there is no result {name!r} to keep. "
                f"Those with a name (as) are {known}.{_near(name, names)}"
            )
    used = {step.source for step in steps}
    last = len(steps) - 1
    for index, step in enumerate(steps):
        wanted = step.output in keep if names else index == last
        if index not in used and not wanted:
            raise RecipeError(
                f"recipe, {place(index)}: nothing uses the result of {step.do}. No "
                "later step takes it, and it is not kept. Name it with as = "
                f'"{step.do.split(".")[-1]}", or leave the step out.'
            )
    return tuple(dict.fromkeys(keep))


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else " Use one of these."


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a number"}
    kinds |= {str: "a text", list: "a list", dict: "a table"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def plain(value: Any) -> Any:
    """A value as TOML has it: lists for arrays and tuples, Python's own numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value
