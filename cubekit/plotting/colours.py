"""Which bands a picture is made of, and how their values become colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cubekit.errors import CoordinateError
from cubekit.spectral import nanometres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cubekit.axis import Axis

__all__ = [
    "about_zero",
    "colour_map",
    "colours",
    "is_diverging",
    "nearest_band",
    "some_colour",
    "span",
    "three_bands",
    "true_colour",
]

Array = npt.NDArray[np.float64]

_TRUE_COLOUR = {"red": 640.0, "green": 550.0, "blue": 460.0}  # nm
_WITHIN = 50.0  # nm: farther away it is another colour


def true_colour(axis: Axis) -> list[int]:
    """Positions of the good bands nearest to red, green and blue."""
    scale = nanometres(axis.units)
    middle = (axis.values[0] + axis.values[-1]) / 2
    paste = ", ".join(f"{v:.4g}" for v in (axis.values[-1], middle, axis.values[0]))
    remedy = f"Give three of its values: bands=({paste})."
    if scale is None:
        raise ValueError(
            f"rgb: true colour needs wavelengths. Coordinate {axis.name!r} is in "
            f"{axis.units or 'unknown units'}. {remedy}"
        )
    good = np.arange(len(axis)) if axis.good is None else np.flatnonzero(axis.good)
    index = []
    for colour, target in _TRUE_COLOUR.items():
        apart = np.abs(axis.values[good] * scale - target)
        if not len(good) or apart.min() > _WITHIN:
            raise ValueError(
                f"rgb: no good band within {_WITHIN:g} nm of {colour} ({target:g} nm). "
                f"Coordinate {axis.name!r} covers {axis.values.min():g} to "
                f"{axis.values.max():g} {axis.units}. {remedy}"
            )
        index.append(int(good[apart.argmin()]))
    return index


def some_colour(axis: Axis) -> tuple[list[int], bool]:
    """Positions of three bands, and whether they are true colour.

    What is not in the visible gets good bands at three quarters, half and a quarter of
    the axis, the shortest wavelength blue.
    """
    try:
        return true_colour(axis), True
    except ValueError:
        good = axis.good_samples if len(axis.good_samples) else np.arange(len(axis))
        return [int(good[len(good) * k // 4]) for k in (3, 2, 1)], False


def three_bands(axis: Axis, bands: Sequence[float]) -> list[int]:
    """Positions of the bands nearest to three values."""
    if np.shape(bands) != (3,):
        raise ValueError(
            f"rgb: bands={bands!r} are not three. Red, green and blue need one each. "
            "Give three values of the coordinate: bands=(2200, 850, 650)."
        )
    return [nearest_band("rgb", axis, band) for band in bands]


def nearest_band(function: str, axis: Axis, band: float) -> int:
    """Position of the band nearest to a value, which half a step may be off."""
    ascending = np.sort(axis.values)
    below, above = (np.ptp(ends) / 2 for ends in (ascending[:2], ascending[-2:]))
    low, high = ascending[0] - below, ascending[-1] + above
    if len(axis) > 1 and not low <= band <= high:
        unit = f" {axis.units}" if axis.units else ""
        raise CoordinateError(
            f"{function}: there is no band near {band:g}{unit}. {axis.name!r} goes "
            f"from {ascending[0]:g} to {ascending[-1]:g}{unit}. Give a place among "
            "its bands, in its units."
        )
    return int(np.abs(axis.values - band).argmin())


def span(
    function: str,
    values: Array,
    percentile: tuple[float, float],
    over: tuple[int, ...] | None = None,
) -> Array:
    """Lower and upper percentile of what is not missing; apart from each other."""
    if np.shape(percentile) != (2,) or not 0 <= percentile[0] < percentile[1] <= 100:
        raise ValueError(
            f"{function}: percentile={percentile!r} is no range. It says what is drawn "
            "darkest and what brightest, in percent. Use for example "
            "percentile=(2, 98)."
        )
    if not np.isfinite(values).any():
        return np.array([0.0, 1.0])
    low, high = np.nanpercentile(values, percentile, axis=over)
    return np.array([low, np.where(high > low, high, low + 1)])


def colours(values: Array, low: Array, high: Array) -> Array:
    """Red, green, blue and opacity, from 0 to 1: a pixel with any missing is clear."""
    missing = ~np.isfinite(values).all(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shade = np.clip((values - low) / (high - low), 0, 1)
    shade[missing] = 0
    return np.dstack([shade, ~missing])


def is_diverging(low: float, high: float) -> bool:
    """Whether values of either sign matter in a range."""
    return bool(low < 0 < high and min(-low, high) > 0.1 * max(-low, high))


def colour_map(diverging: bool) -> str:
    """Name of a colour map that works for any colour vision."""
    return "RdBu_r" if diverging else "cividis"


def about_zero(low: float, high: float) -> tuple[float, float]:
    """Smallest range about zero that holds another."""
    most = max(abs(low), abs(high)) or 1.0
    return -most, most
