"""Axis: one strictly monotonic coordinate, and the units of what is done along it."""

from cubekit.axis.axis import Axis, require_axis
from cubekit.axis.coordinates import coordinate, numbers, spectral_coordinate
from cubekit.axis.gaps import wide_steps
from cubekit.axis.units import derivative_units, spectral_units

__all__ = [
    "Axis",
    "coordinate",
    "derivative_units",
    "numbers",
    "require_axis",
    "spectral_coordinate",
    "spectral_units",
    "wide_steps",
]
