"""Run the steps of a recipe on a cube; what can be one matrix is one."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.errors import RecipeError
from cubekit.recipe.matrices import is_matrix
from cubekit.reduction import PCA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cubekit.operators import AxisOperator
    from cubekit.recipe.actions import Model
    from cubekit.recipe.matrices import Matrices
    from cubekit.recipe.steps import Step

__all__ = ["Made", "gathered", "run"]

Array = npt.NDArray[np.float64]


class Made(NamedTuple):
    """What was done for some steps: their numbers, in words, and the name it got."""

    numbers: str
    words: str
    name: str | None


def run(
    steps: Sequence[Step],
    outputs: Sequence[str],
    cube: xr.DataArray,
    matrices: Matrices,
) -> tuple[dict[str, Any], list[Made]]:
    """Results by name, and what was done for them."""
    if not isinstance(cube, xr.DataArray):
        raise TypeError(
            f"recipe: the cube is a {type(cube).__qualname__}. Steps need coordinates. "
            "Give a DataArray; open_cube reads one from a file."
        )
    values: list[Any] = []
    made: list[Made] = []
    for index, step in enumerate(steps):
        with _told(step):
            model = matrices.model(step)
            source: Any = cube if step.source is None else values[step.source]
            value: Any = None
            if isinstance(source, _Chain):
                value = source.then(step, model, matrices)
                if value is None:  # along another axis: the chain ends before it
                    made.append(source.made(None))
                    source = source.result()
            if value is None:
                _require_array(source, step)
                if _goes_on(index, steps, outputs):
                    value = _Chain.begun(source, step, matrices)
                else:
                    value = step.action(source, step.arguments, model)
                    made.append(Made(str(index + 1), step.words, step.output))
            if isinstance(value, _Chain):
                value.numbers.append(index + 1)
                if not _goes_on(index, steps, outputs):
                    made.append(value.made(step.output))
                    value = value.result()
            values.append(value)
    named = {step.output: value for step, value in zip(steps, values, strict=True)}
    if outputs:
        return {name: named[name] for name in outputs}, made
    name = getattr(values[-1], "name", None)
    return {str(name or "cube"): values[-1]}, made


@contextlib.contextmanager
def _told(step: Step) -> Iterator[None]:
    """Errors say which step they are of."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This is {step.place} of the recipe: {step.words}.")
        if "cube.sortby(" in str(error):
            error.add_note('In a recipe: a step before with do = "sort_bands".')
        raise


def _require_array(value: Any, step: Step) -> None:
    if isinstance(value, xr.Dataset):
        raise RecipeError(
            f"recipe, {step.place}: {step.do} is to take a result of several "
            f"variables, {', '.join(map(repr, value.data_vars))}. Steps take one cube. "
            'Take it from another result: from = "...".'
        )


def _goes_on(index: int, steps: Sequence[Step], outputs: Sequence[str]) -> bool:
    """Whether the one use of a matrix is to be multiplied by that of a later step."""
    users = [step for step in steps if step.source == index]
    return (
        len(users) == 1
        and steps[index].output not in outputs
        and steps[index].action.model is None
        and is_matrix(steps[index])
        and is_matrix(users[0])
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Chain:
    """Steps along one axis that are to be one matrix.

    The template is the result of the steps, one after the other, for one sample on
    every other dim: it has their names, attributes and coordinates.
    """

    base: xr.DataArray
    template: xr.DataArray
    operator: AxisOperator
    mean: Array | None = None  # taken off before the last matrix
    last: AxisOperator | None = None
    numbers: list[int] = dataclasses.field(default_factory=list)

    @classmethod
    def begun(cls, cube: xr.DataArray, step: Step, matrices: Matrices) -> _Chain:
        """Chain of one step."""
        axis = matrices.axis(step, cube, None)
        operator, _ = matrices.of(step, axis, None)
        dim = axis.dim
        sample = cube.isel({d: slice(0, 1) for d in cube.dims if d != dim})
        return cls(cube, _labelled(step, sample, None, operator), operator)

    def then(
        self, step: Step, model: Model | None, matrices: Matrices
    ) -> _Chain | None:
        """Chain with one step more, unless that is along another axis."""
        if isinstance(model, PCA) and model.missing != "drop":
            return None
        axis, given = matrices.axis(step, self.template, model), self.operator.output
        if axis.dim != given.dim or not np.array_equal(axis.values, given.values):
            return None
        operator, mean = matrices.of(step, axis, model)
        return dataclasses.replace(
            self,
            template=_labelled(step, self.template, model, operator),
            operator=matrices.composed(operator, self.operator),
            mean=mean,
            last=operator,
            numbers=list(self.numbers),
        )

    def result(self) -> xr.DataArray:
        """Apply the matrix, and label the result as the steps would have."""
        if self.mean is None or self.last is None:
            result = self.operator(self.base)
        else:
            shift = self._shift()
            offset = -_product(self.last, self.mean)
            if shift is not None:
                offset += _product(self.operator, shift)
            result = self.operator.affine(self.base, shift=shift, offset=offset)
        dim = self.operator.output.dim
        coords = {
            name: (coord if coord.dims == (dim,) else result.coords[name]).variable
            for name, coord in self.template.coords.items()
        }
        return xr.DataArray(
            result.data, coords, result.dims, self.template.name, self.template.attrs
        )

    def _shift(self) -> Array | None:
        """Mean near that of the input, which costs digits if it is not taken off first.

        Smoothing leaves a mean about as it is; a derivative takes it off by itself.
        """
        if self.operator.order or self.mean is None:
            return None
        if len(self.mean) != len(self.operator.input):
            return None
        touched = np.zeros(len(self.mean), np.bool_)
        touched[self.operator.matrix.indices] = True
        shift = np.where(touched, self.mean, 0.0)
        return shift if np.isfinite(shift).all() else None

    def made(self, name: str | None) -> Made:
        """What was done, in words."""
        first, last = self.numbers[0], self.numbers[-1]
        if first == last:
            return Made(str(first), self.operator.name, name)
        rows, columns = self.operator.matrix.shape
        words = f"{self.operator.name}: one matrix, {rows} x {columns}"
        return Made(", ".join(map(str, self.numbers)), words, name)


def _product(operator: AxisOperator, spectrum: Array) -> Array:
    return np.asarray(operator.matrix @ spectrum)  # of stored entries: no NaN spreads


def _labelled(
    step: Step, sample: xr.DataArray, model: Model | None, operator: AxisOperator
) -> xr.DataArray:
    """Result for a sample; what it warns of was said when the matrix was built."""
    if step.do in {"savgol_filter", "derivative"}:  # that and no more is what they do
        return operator(sample)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result: xr.DataArray = step.action(sample, step.arguments, model)
    return result


def gathered(results: Mapping[str, xr.DataArray | xr.Dataset]) -> xr.Dataset:
    """Results in one Dataset; a coordinate that differs gets a name of its own."""
    dataset = xr.Dataset()
    for name, result in results.items():
        parts = (
            {name: result}
            if isinstance(result, xr.DataArray)
            else {f"{name}_{k}": v for k, v in result.data_vars.items()}
        )
        for own, part in parts.items():
            dataset[own] = _fitting(name, part, dataset)
            dataset[own].attrs.pop("history", None)
    return dataset


def _fitting(name: str, part: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """Array whose dims and coordinates are those of a Dataset, or have other names."""
    if name in {*part.coords, *part.dims, *dataset.coords}:
        raise RecipeError(
            f"recipe: as={name!r} is the name of a coordinate. A variable of the file "
            f'needs its own. Use as = "{name}_values".'
        )
    other = {d for d, n in part.sizes.items() if dataset.sizes.get(d, n) != n}
    for key, coord in part.coords.items():
        if key in dataset.coords and not coord.variable.equals(
            dataset.coords[key].variable
        ):
            other.add(key)
    # what lies on a dim that is another one is another one
    dims = other & set(part.dims)
    other |= {k for k, c in part.coords.items() if dims & set(c.dims)}
    renamed = part.rename({key: f"{key}_{name}" for key in other})
    renamed.attrs = dict(part.attrs)
    return renamed
