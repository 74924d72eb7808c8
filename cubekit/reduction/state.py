"""All that a fitted model knows: published as attributes, and kept in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from cubekit.axis import Axis
from cubekit.errors import ModelFormatError
from cubekit.kernels import Moments
from cubekit.reduction.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "State", "labelled", "pack", "unpack"]

_OTHER = "_other"  # what the dims of a matrix between bands end in


class Entry(NamedTuple):
    """Dims and units of a fitted attribute: of "component", "band", "other band"."""

    dims: tuple[str, ...] = ()
    units: str = ""  # "data", "squared" or none
    is_optional: bool = False


class State(NamedTuple):
    """Everything a fitted model knows."""

    template: Projection
    found: dict[str, Any]
    moments: Moments | None = None


def labelled(state: State, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Fitted attributes by name: DataArrays, and numbers where there are no dims."""
    axis = state.template.axis
    number = len(state.found["components"])
    component = {"component": ("component", np.arange(1, number + 1))}
    bands = axis.to_coords()
    other = {
        f"{axis.name}{_OTHER}": (
            f"{axis.dim}{_OTHER}",
            axis.values,
            bands[axis.name].attrs,
        )
    }
    coords: dict[str, Mapping[str, Any]] = {
        "component": component,
        "band": bands,
        "other band": other,
    }
    out = {}
    for name, entry in entries.items():
        if name not in state.found:
            continue
        value = state.found[name]
        if not entry.dims:
            out[name] = value
            continue
        units = _units(state.template.units, entry.units)
        out[name] = xr.DataArray(
            value,
            dims=_dims(entry, axis),
            coords={k: v for dim in entry.dims for k, v in coords[dim].items()},
            name=name,
            attrs={} if units is None else {"units": units},
        )
    return out


def pack(
    state: State, entries: Mapping[str, Entry], options: Mapping[str, Any]
) -> xr.Dataset:
    """Dataset of all that a model knows."""
    template, _, moments = state
    dim = template.axis.dim
    values = labelled(state, entries)
    arrays = {k: v for k, v in values.items() if entries[k].dims}
    attrs = {
        **{k: v for k, v in values.items() if not entries[k].dims},
        **{f"option_{k}": v for k, v in options.items() if v is not None},
        "ddof": 1,
        "band_coordinate": template.axis.name,
        "data_name": template.name or "",
        "data_units": template.units or "",
    }
    if moments is not None:
        full = template.on_axis(template.on_axis(moments.scatter).T)
        arrays["scatter"] = ((dim, f"{dim}{_OTHER}"), full)
        arrays["missing_spectra"] = (
            dim,
            template.on_axis(moments.missing.astype(np.float64), 0.0),
        )
        attrs |= {f"moments_{k}": getattr(moments, k) for k in _NUMBERS}
    return xr.Dataset(arrays, attrs=attrs)


def unpack(
    model: xr.Dataset, entries: Mapping[str, Entry]
) -> tuple[State, dict[str, Any]]:
    """State and options of a model in a dataset, whatever the order of its bands."""
    attrs = model.attrs
    try:
        name = str(attrs["band_coordinate"])
        dim = str(model[name].dims[0])
        order = np.argsort(model[name].values)
        if not np.array_equal(order[::-1], np.arange(len(order))):
            dims = {d: order for d in (dim, f"{dim}{_OTHER}") if d in model.dims}
            model = model.isel(dims)
        template = Projection(
            Axis.from_cube(model["mean"], name),
            name=str(attrs["data_name"]) or None,
            units=str(attrs["data_units"]) or None,
        )
        found = {
            key: model[key].transpose(*_dims(entry, template.axis)).values
            if entry.dims
            else attrs[key].item()
            for key, entry in entries.items()
            if not entry.is_optional or key in (model if entry.dims else attrs)
        }
        state = State(template, found, _moments(model, template))
        options = {
            key.removeprefix("option_"): getattr(value, "item", lambda v=value: v)()
            for key, value in attrs.items()
            if key.startswith("option_")
        }
    except (KeyError, ValueError, IndexError) as error:
        raise ModelFormatError(
            f"the saved model cannot be understood: {error}. It was changed after it "
            "was saved. Save the model again."
        ) from error
    return state, options


_NUMBERS = ("samples", "dropped", "weight", "squares", "epsilon", "rounding")


def _moments(model: xr.Dataset, template: Projection) -> Moments | None:
    if "scatter" not in model:
        return None
    good = template.good
    numbers = {key: model.attrs[f"moments_{key}"].item() for key in _NUMBERS}
    return Moments(
        mean=model["mean"].values[good],
        scatter=model["scatter"].values[np.ix_(good, good)],
        missing=model["missing_spectra"].values[good].astype(np.int64),
        **numbers,
    )


def _dims(entry: Entry, axis: Axis) -> tuple[str, ...]:
    names = {
        "component": "component",
        "band": axis.dim,
        "other band": f"{axis.dim}{_OTHER}",
    }
    return tuple(names[dim] for dim in entry.dims)


def _units(units: str | None, kind: str) -> str | None:
    if units is None or not kind:
        return None
    if kind == "data" or units == "1":
        return units
    return f"{units}2" if units.isalpha() else f"({units})2"
