"""Hyperspectral datacubes on their real coordinates."""

from cubekit.axis import Axis
from cubekit.errors import AxisMismatchError, CoordinateError, CubekitError
from cubekit.operators import (
    AxisOperator,
    derivative_operator,
    resample_operator,
    savgol_operator,
)
from cubekit.spectral import mark_bad, resample, savgol_filter

__version__ = "0.1.0"

__all__ = [
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "CoordinateError",
    "CubekitError",
    "derivative_operator",
    "mark_bad",
    "resample",
    "resample_operator",
    "savgol_filter",
    "savgol_operator",
]
