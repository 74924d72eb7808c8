"""Axis: one strictly monotonic coordinate, and the units of what is done along it."""

from cubekit.axis.axis import Axis
from cubekit.axis.gaps import wide_steps
from cubekit.axis.units import derivative_units

__all__ = ["Axis", "derivative_units", "wide_steps"]
