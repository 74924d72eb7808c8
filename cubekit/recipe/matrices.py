"""What the steps of a recipe need, built once: models, and matrices for each axis."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.arguments import require_periods
from cubekit.axis import Axis
from cubekit.operators import (
    derivative_operator,
    resample_operator,
    savgol_operator,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from pathlib import Path

    import xarray as xr

    from cubekit.operators import AxisOperator
    from cubekit.recipe.actions import Model
    from cubekit.recipe.steps import Step

__all__ = ["Matrices", "is_matrix"]

Array = npt.NDArray[np.float64]
_KEPT = 64  # a recipe has a few steps, and is applied to cubes of a few sensors


class Matrices:
    """Models that are read, and matrices that are built, the first time they are asked.

    Parameters
    ----------
    folder : Path
        Where paths of models begin.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Hashable, Any] = {}
        self._changing = threading.Lock()  # files are worked on in threads

    def __reduce__(self) -> tuple[type[Matrices], tuple[Path]]:
        """Return how a copy, also in another process, begins: with nothing known."""
        return type(self), (self._folder,)

    def model(self, step: Step) -> Model | None:
        """Model of a step, read again if its file was changed; none if it has none."""
        if step.action.model is None:
            return None
        path = self._folder / step.arguments["model"]
        try:
            file = path.stat()
        except OSError:
            return step.action.load(step.arguments, self._folder)  # it says what is so
        state = (file.st_ino, file.st_size, file.st_mtime_ns)
        model: Model = self._once(
            (step.action.model, str(path), state),
            lambda: step.action.load(step.arguments, self._folder),
        )
        return model

    def axis(self, step: Step, cube: xr.DataArray, model: Model | None) -> Axis:
        """Axis that a matrix takes: that of the model, or of the cube."""
        if model is not None:
            return self._of_model(model)[0].input
        return Axis.from_cube(cube, step.action.bound(step.arguments)["coord"])

    def of(
        self, step: Step, axis: Axis, model: Model | None
    ) -> tuple[AxisOperator, Array | None]:
        """Matrix of a step for an axis, and the mean that it takes off before."""
        if model is not None:
            return self._of_model(model)[:2]
        operator: AxisOperator = self._once(
            (step.words, *_content(axis)),
            lambda: _OPERATORS[step.do](axis, step.action.bound(step.arguments)),
        )
        return operator, None

    def _of_model(self, model: Model) -> tuple[AxisOperator, Array, Model]:
        """Matrix and mean; the model is held, so that no other one has its number."""
        found: tuple[AxisOperator, Array, Model] = self._once(
            ("model", id(model)),
            lambda: (model.operator, np.asarray(model.mean_.values), model),
        )
        return found

    def composed(self, later: AxisOperator, before: AxisOperator) -> AxisOperator:
        """Compose two matrices, held as well, as one."""
        found: tuple[AxisOperator, ...] = self._once(
            ("composed", id(later), id(before)),
            lambda: (later @ before, later, before),
        )
        return found[0]

    def _once(self, key: Hashable, build: Callable[[], Any]) -> Any:
        try:
            return self._known[key]
        except KeyError:
            value = build()
        with self._changing:
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            return self._known.setdefault(key, value)


def is_matrix(step: Step) -> bool:
    """Whether a step is a matrix along one axis, the same for every sample."""
    missing = step.action.bound(step.arguments).get("missing", "propagate")
    known = step.do in _OPERATORS or step.do.endswith(".transform")  # of a model
    return known and missing == "propagate"


def _content(axis: Axis) -> tuple[Hashable, ...]:
    arrays = (axis.values, axis.good, axis.fwhm)
    stored = (None if array is None else array.tobytes() for array in arrays)
    return (axis.dim, axis.name, axis.units, *stored)


def _savgol(axis: Axis, arguments: dict[str, Any]) -> AxisOperator:
    del arguments["missing"], arguments["coord"]
    return savgol_operator(axis, **arguments)


def _derivative(axis: Axis, arguments: dict[str, Any]) -> AxisOperator:
    del arguments["missing"]
    coord = arguments.pop("coord")
    periods = require_periods("derivative", arguments.pop("periodic"), [coord])
    return derivative_operator(axis, period=periods.get(coord), **arguments)


def _resample(axis: Axis, arguments: dict[str, Any]) -> AxisOperator:
    del arguments["coord"]
    return resample_operator(axis, **arguments)


_OPERATORS: Mapping[str, Callable[[Axis, dict[str, Any]], AxisOperator]] = {
    "savgol_filter": _savgol,
    "derivative": _derivative,
    "resample": _resample,
}
