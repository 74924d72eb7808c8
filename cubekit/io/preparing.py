"""What will be written, checked before a byte is: encoding rebuilt, never inherited."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from cubekit.io.attributes import encoded_attrs, is_name
from cubekit.io.history import with_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["Output", "OutputVariable", "prepared"]

_TIME_ATTRS = {"units", "calendar", "dtype", "_FillValue"}
_MAPPING_ATTRS = {"grid_mapping_name", "crs_wkt", "spatial_ref"}


@dataclasses.dataclass(frozen=True, eq=False)
class OutputVariable:
    """One variable as it will lie in the file."""

    name: str
    dims: tuple[str, ...]
    data: Any  # NumPy or Dask array
    attrs: dict[str, Any]
    fill: Any = None  # value for _FillValue
    is_data: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Output:
    """Variables, sizes of dims and attributes of a file."""

    variables: list[OutputVariable]
    sizes: dict[str, int]
    attrs: dict[str, Any]


def prepared(cube: xr.DataArray | xr.Dataset, action: str) -> Output:
    """Return what to write for a cube, or raise one error with all that cannot be."""
    problems: list[str] = []
    history = cube.attrs.get("history")
    if isinstance(cube, xr.DataArray):
        dataset = _as_dataset(cube, problems)
        attrs = {}
    else:
        dataset = cube
        attrs = dict(cube.attrs)
    _check_names(dataset, problems)
    variables = []
    for name, variable in dataset.variables.items():
        encoded = _encoded(str(name), variable, name in dataset.data_vars, problems)
        if encoded is not None:
            if isinstance(cube, xr.DataArray) and name in dataset.data_vars:
                encoded.attrs.pop("history", None)
            _refer(encoded, dataset)
            variables.append(encoded)
    attrs = encoded_attrs(attrs, "the dataset", problems)
    attrs["Conventions"] = "CF-1.11"
    attrs["history"] = with_line(history, action)
    unused = [c for c in dataset.coords if not _is_referred(c, dataset)]
    if unused:
        attrs["coordinates"] = " ".join(map(str, unused))
    if problems:
        raise TypeError(
            f"save_cube: {len(problems)} thing{'s' * (len(problems) > 1)} cannot be "
            f"stored in a file: {'; '.join(problems)}. Nothing was written."
        )
    return Output(variables, {str(d): n for d, n in dataset.sizes.items()}, attrs)


def _as_dataset(cube: xr.DataArray, problems: list[str]) -> xr.Dataset:
    name = "cube" if cube.name is None else cube.name
    if name in cube.coords or name in cube.dims:
        what = "coordinate" if name in cube.coords else "dim"
        problems.append(
            f"the cube has the name of its {what} {name!r} (rename it: "
            'cube.rename("cube"))'
        )
        name = object()  # any name that is free
    return cube.to_dataset(name=name)


def _check_names(dataset: xr.Dataset, problems: list[str]) -> None:
    for name in dict.fromkeys([*dataset.variables, *dataset.dims]):
        if not isinstance(name, str):
            if type(name) is not object:
                problems.append(f"name {name!r} is no text (rename it)")
        elif not is_name(name) or " " in name:
            problems.append(f"name {name!r} (use letters, digits and '_')")
    for name, index in dataset.indexes.items():
        if isinstance(index, pd.MultiIndex):
            problems.append(
                f"{name!r} is a MultiIndex (split it: cube.reset_index({name!r}))"
            )


def _encoded(
    name: str, variable: xr.Variable, is_data: bool, problems: list[str]
) -> OutputVariable | None:
    """One variable in dtypes that netCDF has."""
    variable = xr.Variable(variable.dims, variable.data, variable.attrs)  # no encoding
    kind = variable.dtype.kind
    if kind in "mMOUST":
        variable = variable.load()  # text and times: one by one, so in memory
    fill = None
    extra: dict[str, Any] = {}
    if kind in "mM" or (kind == "O" and _are_dates(variable)):
        try:
            variable = xr.conventions.encode_cf_variable(variable, name=name)
        except (ValueError, OverflowError) as error:
            problems.append(f"{name!r} holds times that cannot be encoded ({error})")
            return None
        extra = {k: v for k, v in variable.attrs.items() if k in _TIME_ATTRS}
        fill = extra.pop("_FillValue", None)
    elif kind == "b":
        variable = variable.astype(np.int8)
        extra = {"dtype": "bool"}
    elif kind in "OUST":
        if not _is_text(variable):
            problems.append(
                f"{name!r} holds Python objects that are not all text (convert them: "
                "cube.astype(str))"
            )
            return None
        variable = xr.Variable(
            variable.dims, np.asarray(variable.values, dtype=object), variable.attrs
        )
    elif kind == "f" and variable.dtype.itemsize == 2:
        variable = variable.astype(np.float32)
    elif kind not in "iuf" or variable.dtype.itemsize > 8:
        hint = (
            f"save the parts: {name}.real and {name}.imag"
            if kind == "c"
            else "convert it: cube.astype(float)"
        )
        problems.append(f"{name!r} has dtype {variable.dtype} ({hint})")
        return None
    if variable.dtype.kind in "iuf" and not variable.dtype.isnative:
        variable = variable.astype(variable.dtype.newbyteorder("="))
    if is_data and fill is None and variable.dtype.kind == "f":
        fill = variable.dtype.type(np.nan)
    hidden = {*extra, *(["_FillValue"] if kind in "mMO" else [])}
    attrs = encoded_attrs(
        {k: v for k, v in variable.attrs.items() if k not in hidden},
        repr(name),
        problems,
    )
    return OutputVariable(
        name,
        tuple(str(d) for d in variable.dims),
        variable.data,
        attrs | extra,
        fill,
        is_data or isinstance(variable.data, da.Array),
    )


def _are_dates(variable: xr.Variable) -> bool:
    return all(hasattr(v, "calendar") for v in variable.values.ravel())


def _is_text(variable: xr.Variable) -> bool:
    if variable.dtype.kind in "UT":
        return True
    return variable.dtype.kind == "O" and all(
        isinstance(v, str) for v in variable.values.ravel()
    )


def _refer(output: OutputVariable, dataset: xr.Dataset) -> None:
    """Name the coordinates of a data variable in its attributes, as CF does."""
    if output.name not in dataset.data_vars:
        return
    named = _auxiliary(dataset, dataset[output.name].coords)
    if named:
        output.attrs["coordinates"] = " ".join(map(str, named))
    mappings = [c for c in named if _MAPPING_ATTRS & set(dataset[c].attrs)]
    if mappings:
        output.attrs["grid_mapping"] = str(mappings[0])


def _auxiliary(dataset: xr.Dataset, names: Iterable[Hashable]) -> list[Hashable]:
    return [c for c in names if c not in dataset.dims]


def _is_referred(coord: Hashable, dataset: xr.Dataset) -> bool:
    return coord in dataset.dims or any(
        coord in variable.coords for variable in dataset.data_vars.values()
    )
