"""What a model asks of its parameters and of the cubes it is fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.arguments import require_integer

if TYPE_CHECKING:
    from cubekit.kernels import Moments, Product
    from cubekit.reduction.projection import Projection

__all__ = [
    "is_count",
    "require_bands",
    "require_choice",
    "require_count",
    "require_number",
    "require_samples",
]


def is_count(number: Any) -> bool:
    """Whether it is a number of components, and no share or None."""
    return isinstance(number, int | np.integer)


def require_choice(model: str, name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise unless an option is one of those known."""
    if value not in known:
        raise ValueError(
            f"{model}: {name}={value!r} is unknown. It can be "
            f"{', '.join(map(repr, known))}. Use {name}={known[0]!r}."
        )


def require_count(model: str, number: Any, name: str = "n_components") -> None:
    """Raise unless it is a number of components, or None."""
    if number is not None:
        require_integer(model, name, number, 1)


def require_number(model: str, number: Any) -> None:
    """Raise unless it is a number of components, a share of variance, or None."""
    if not isinstance(number, float | np.floating):
        require_count(model, number)
    elif not 0 < number < 1:
        raise ValueError(
            f"{model}: n_components={number} is out of range. A float is the share of "
            "the variance to explain, between 0 and 1. Use an int for a number of "
            "components, or None for all."
        )


def require_bands(fitted: Projection, model: str) -> None:
    """Raise unless some band is good."""
    if not len(fitted.good):
        raise ValueError(
            f"{model}.fit: all bands are marked bad. There is nothing to fit. Look at "
            "the coordinate 'good_band'; True is good."
        )


def require_samples(
    moments: Moments | Product, fitted: Projection, asked: Any, model: str
) -> None:
    """Raise unless there are enough spectra and bands for the components."""
    bands, axis = len(fitted.good), fitted.axis
    every = moments.samples + moments.dropped
    gone = fitted.good[moments.missing == every]
    if not moments.samples and every and len(gone):
        unit = f" {axis.units}" if axis.units else ""
        some = ", ".join(f"{value:g}" for value in axis.values[gone][:5])
        more = ", ..." if len(gone) > 5 else ""
        raise ValueError(
            f"{model}.fit: no spectrum has all bands. {len(gone)} of {bands} bands "
            f"have no value at all: {some}{more}{unit}. Mark them bad: "
            f'cube.assign_coords(good_band=("{axis.dim}", '
            f'cube.notnull().any([d for d in cube.dims if d != "{axis.dim}"]).data)).'
        )
    if not moments.samples and not moments.missing.any():
        raise ValueError(
            f"{model}.fit: no spectrum counts. The cube is empty, or no spectrum has a "
            "weight above 0. Give spectra, and weights of which some count, or none."
        )
    if not moments.samples:
        raise ValueError(
            f"{model}.fit: none of {every} spectra has all of {bands} bands. Spectra "
            "with missing bands are left out. Mark the worst bands bad in the "
            "coordinate 'good_band', or fit PCA(n, missing=\"em\")."
        )
    most = min(moments.samples, bands)
    if is_count(asked) and asked > most:
        raise ValueError(
            f"{model}.fit: n_components={asked} is out of range. There are "
            f"{moments.samples} whole spectra of {bands} good bands. Use "
            f"n_components={most} or less."
        )
