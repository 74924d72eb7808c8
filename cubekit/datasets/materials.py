"""Reflectance spectra of a few materials, from formulas; wavelengths in nm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MATERIALS", "spectra"]

Spectrum = npt.NDArray[np.float64]


def _bell(wavelength: Spectrum, centre: float, width: float) -> Spectrum:
    """Gaussian of height one and standard deviation `width`."""
    return np.exp(-0.5 * ((wavelength - centre) / width) ** 2)


def _step(wavelength: Spectrum, centre: float, width: float) -> Spectrum:
    """Smooth step from zero to one."""
    return 0.5 * (1 + np.tanh((wavelength - centre) / (2 * width)))


def _absorbed(wavelength: Spectrum, *bands: tuple[float, float, float]) -> Spectrum:
    """Transmission of absorption bands given as centre, width and optical depth."""
    depth = sum(d * _bell(wavelength, centre, width) for centre, width, d in bands)
    return np.exp(-np.asarray(depth, np.float64))


def _leaf_water(wavelength: Spectrum, thickness: float) -> Spectrum:
    bands = ((975, 30, 0.1), (1190, 40, 0.25), (1450, 55, 1.5), (1935, 75, 2.2))
    scaled = [(centre, width, thickness * depth) for centre, width, depth in bands]
    return _absorbed(wavelength, *scaled, (2600, 270, thickness * 1.9))


def _leaves(wavelength: Spectrum, edge: float, plateau: float) -> Spectrum:
    """Chlorophyll in the visible, the red edge, and the plateau beyond it."""
    visible = (
        0.035 + 0.06 * _bell(wavelength, 552, 34) + 0.01 * _bell(wavelength, 640, 40)
    )
    return visible + (plateau - visible) * _step(wavelength, edge, 9)


def _crop(wavelength: Spectrum) -> Spectrum:
    return _leaves(wavelength, 718, 0.52) * _leaf_water(wavelength, 1.0)


def _forest(wavelength: Spectrum) -> Spectrum:
    return 0.62 * _leaves(wavelength, 722, 0.46) * _leaf_water(wavelength, 1.3)


def _straw(wavelength: Spectrum) -> Spectrum:
    slope = 0.07 + 0.42 * (1 - np.exp(-np.maximum(wavelength - 360, 0) / 420))
    cellulose = ((2100, 35, 0.18), (2310, 45, 0.15), (1730, 30, 0.06))
    water = ((1450, 50, 0.12), (1930, 55, 0.2), (490, 60, 0.12))
    return slope * _absorbed(wavelength, *cellulose, *water)


def _soil(wavelength: Spectrum) -> Spectrum:
    slope = 0.04 + 0.34 * (1 - np.exp(-np.maximum(wavelength - 350, 0) / 600))
    iron = ((490, 50, 0.18), (880, 80, 0.1))
    clay = ((1414, 18, 0.13), (1912, 28, 0.22), (2165, 14, 0.05), (2206, 14, 0.2))
    return slope * _absorbed(wavelength, *iron, *clay)


def _limestone(wavelength: Spectrum) -> Spectrum:
    slope = 0.42 + 0.2 * _step(wavelength, 520, 70)
    carbonate = ((2335, 28, 0.42), (2160, 16, 0.05), (1995, 22, 0.06), (1875, 22, 0.08))
    return slope * _absorbed(wavelength, *carbonate, (1420, 25, 0.05))


def _roof_tile(wavelength: Spectrum) -> Spectrum:
    slope = 0.05 + 0.1 * _step(wavelength, 580, 14) + 0.2 * _step(wavelength, 760, 60)
    return slope * _absorbed(wavelength, (870, 55, 0.22), (2206, 16, 0.06))


def _asphalt(wavelength: Spectrum) -> Spectrum:
    slope = 0.1 + 0.08 * (1 - np.exp(-np.maximum(wavelength - 380, 0) / 900))
    return slope * _absorbed(wavelength, (2310, 40, 0.05))


def _water(wavelength: Spectrum) -> Spectrum:
    upwelling = 0.045 * _bell(wavelength, 470, 60) + 0.035 * _bell(wavelength, 565, 50)
    return 0.006 + upwelling * (1 - 0.9 * _step(wavelength, 710, 25))


MATERIALS: dict[str, Callable[[Spectrum], Spectrum]] = {
    "crop": _crop,
    "forest": _forest,
    "straw": _straw,
    "soil": _soil,
    "limestone": _limestone,
    "roof_tile": _roof_tile,
    "asphalt": _asphalt,
    "water": _water,
}


def spectra(wavelength: Spectrum) -> npt.NDArray[np.float64]:
    """Reflectance of each material, (material, wavelength)."""
    return np.stack([formula(wavelength) for formula in MATERIALS.values()])
