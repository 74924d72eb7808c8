"""Networks in the file of a model: weights as plain arrays, checked when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.errors import ModelFormatError
from cubekit.reduction.autoencoder.coder import Coder
from cubekit.reduction.autoencoder.network import Layout, shapes
from cubekit.reduction.state import Entry, State, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["packed", "unpacked"]

_FORMAT = 1
_PREFIX = "weights_"
_BANDS = "network_bands"  # coordinates of the bands, in the order of the weights


def packed(
    state: State, entries: Mapping[str, Entry], options: Mapping[str, Any], coder: Coder
) -> xr.Dataset:
    """Dataset of all that a model knows, its weights included."""
    model = pack(state, entries, options)
    for name, value in coder.weights.items():
        dims = [f"{name}_{k}" for k in range(value.ndim)]
        model[f"{_PREFIX}{name}"] = (dims, value)
    template = state.template
    model[_BANDS] = ("network_band", template.axis.values[template.good])
    return model.assign_attrs(network_format=_FORMAT)


def unpacked(
    model: xr.Dataset, entries: Mapping[str, Entry]
) -> tuple[State, dict[str, Any], Coder]:
    """State, options and network of a model in a dataset."""
    number = model.attrs.get("network_format")
    if number != _FORMAT:
        raise ModelFormatError(
            f"Autoencoder.load: the network has format {number}. This version of "
            f"cubekit reads format {_FORMAT}. Update cubekit."
        )
    state, options = unpack(model, entries)
    try:
        options["hidden"] = tuple(int(size) for size in options["hidden"].split())
        options["variational"] = bool(options["variational"])
        good = state.template.good
        layout = Layout(
            len(good),
            int(options["n_components"]),
            options["layers"],
            options["hidden"],
            options["variational"],
        )
        weights = {
            name: _checked(model[f"{_PREFIX}{name}"].values, name, shape)
            for name, shape in shapes(layout).items()
        }
        if not np.array_equal(model[_BANDS].values, state.template.axis.values[good]):
            raise ValueError("its bands are in another order than its weights")
        mean = _checked(state.found["mean"][good], "mean", good.shape)
        scale = _checked(state.found["scale"][good], "scale", good.shape)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise ModelFormatError(
            f"Autoencoder.load: the saved model cannot be understood: {error}. It was "
            "changed after it was saved. Save the model again."
        ) from error
    whole = options["missing"] == "drop"
    return state, options, Coder(layout, weights, mean, scale, whole)


def _checked(values: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Array of numbers of some shape; raise ValueError if it is not."""
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(
            f"{name} has shape {values.shape} where {shape} finite numbers belong"
        )
    return values
