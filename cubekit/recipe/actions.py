"""What a step can do: public functions by name, and what their arguments may be."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from cubekit import integration, spatial, spectral
from cubekit.reduction import MNF, PCA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import xarray as xr

__all__ = ["ACTIONS", "EXAMPLES", "Action", "Model", "expected", "fits"]

Model = PCA | MNF
# what could stand for each argument that must be given
EXAMPLES: Mapping[str, Any] = {
    "a": 860,
    "b": 660,
    "coord": "wavelength",
    "model": "model.nc",
    "ranges": [[1340, 1450], [1800, 1950]],
    "target": [490, 560, 665, 842],
    "units": "nm",
}
_METHODS = ("transform", "inverse_transform", "residual", "denoise")
_MODEL = inspect.Parameter(
    "model", inspect.Parameter.KEYWORD_ONLY, annotation="str"
)  # path of the file that `save` wrote


@dataclasses.dataclass(frozen=True)
class Action:
    """A public function whose first argument is a cube, or a method of a saved model.

    Parameters
    ----------
    name : str
        As in a recipe.
    function : callable
    parameters : dict
        All but the cube, by name.
    model : type, optional
        Class of the model whose method it is.
    """

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, inspect.Parameter]
    model: type[Model] | None = None

    @property
    def required(self) -> list[str]:
        """Names of the arguments that must be given."""
        empty = inspect.Parameter.empty
        return [name for name, p in self.parameters.items() if p.default is empty]

    def bound(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments, those not given with their defaults."""
        given = {k: p.default for k, p in self.parameters.items()}
        return {**given, **arguments}

    def load(self, arguments: Mapping[str, Any], folder: Path) -> Model | None:
        """Model from the file that the arguments name; none if it takes none."""
        if self.model is None:
            return None
        return self.model.load(folder / arguments["model"])

    def __call__(
        self, cube: xr.DataArray, arguments: Mapping[str, Any], model: Model | None
    ) -> Any:
        """Do it."""
        if model is None:
            return self.function(cube, **arguments)
        others = {k: v for k, v in arguments.items() if k != "model"}
        return self.function(model, cube, **others)


def _actions() -> dict[str, Action]:
    found = {}
    for module in (spectral, spatial, integration):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                action = _action(name, function, 1)
                if action is not None:
                    found[name] = action
    for kind in (PCA, MNF):
        for method in _METHODS:
            function = getattr(kind, method, None)
            if function is not None:
                name = f"{kind.__name__}.{method}"
                action = _action(name, function, 2, kind)
                if action is not None:
                    found[name] = action
    return found


def _action(
    name: str, function: Callable[..., Any], own: int, model: type[Model] | None = None
) -> Action | None:
    """Step of a function, if it makes a cube of a cube and of what TOML can say."""
    signature = inspect.signature(function)
    others = list(signature.parameters.values())[own:]
    parameters = {p.name: p for p in others if expected(str(p.annotation))}
    if model is not None:
        parameters = {"model": _MODEL, **parameters}
    unsaid = [p for p in others if p.name not in parameters and p.default is p.empty]
    gives = {part.strip() for part in str(signature.return_annotation).split("|")}
    if unsaid or not gives <= {"xr.DataArray", "xr.Dataset"}:
        return None
    return Action(name, function, parameters, model)


def fits(annotation: str, value: Any) -> bool:
    """Whether a value read from TOML is of a type that an annotation allows."""
    return any(_fits(node, value) for node in _alternatives(annotation))


def expected(annotation: str) -> str:
    """What an annotation allows of that which TOML can say, in words."""
    words = [_words(node) for node in _alternatives(annotation)]
    return " or ".join(dict.fromkeys(filter(None, words)))


def _alternatives(annotation: str) -> list[ast.expr]:
    nodes = [ast.parse(annotation, mode="eval").body]
    while isinstance(nodes[0], ast.BinOp):
        nodes[:1] = [nodes[0].left, nodes[0].right]
    return nodes


def _fits(node: ast.expr, value: Any) -> bool:  # noqa: PLR0911  one return a type
    match node:
        case ast.Name(id="bool"):
            return isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="str"):
            return isinstance(value, str)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return isinstance(value, str) and value in _choices(choices)
        case ast.Subscript(value=ast.Name(id="Sequence" | "Iterable"), slice=item):
            return isinstance(value, list) and all(_fits(item, v) for v in value)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            same = isinstance(value, list) and len(value) == len(items)
            return same and all(map(_fits, items, value))
        case ast.Subscript(
            value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[_, item])
        ):
            return isinstance(value, dict) and all(
                _fits(item, v) for v in value.values()
            )
    return False


def _words(node: ast.expr) -> str:  # noqa: PLR0911  one return a type
    match node:
        case ast.Name(id="bool"):
            return "true or false"
        case ast.Name(id="int"):
            return "an integer"
        case ast.Name(id="float"):
            return "a number"
        case ast.Name(id="str"):
            return "a text"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return " or ".join(f'"{c}"' for c in _choices(choices))
        case ast.Subscript(value=ast.Name(id="Sequence" | "Iterable"), slice=item):
            return f"a list of {_plural(_words(item))}"
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            return f"a list [{', '.join(map(_words, items))}]"
        case ast.Subscript(
            value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[_, item])
        ):
            return f"a table of {_plural(_words(item))}, {{ name = value }}"
    return ""


def _choices(node: ast.expr) -> tuple[str, ...]:
    found = ast.literal_eval(node)
    return found if isinstance(found, tuple) else (found,)


def _plural(words: str) -> str:
    _, _, noun = words.partition(" ")
    return words.replace("a list", "lists") if "[" in words else f"{noun}s"


ACTIONS: Mapping[str, Action] = _actions()
