"""Hyperspectral datacubes on their real coordinates."""

from cubekit.axis import Axis
from cubekit.errors import AxisMismatchError, CoordinateError, CubekitError
from cubekit.operators import (
    AxisOperator,
    derivative_operator,
    resample_operator,
    savgol_operator,
)
from cubekit.spectral import (
    band_ratio,
    convert_axis,
    mark_bad,
    normalize,
    normalized_difference,
    remove_continuum,
    resample,
    savgol_filter,
    spectral_angle,
)

__version__ = "0.1.0"

__all__ = [
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "CoordinateError",
    "CubekitError",
    "band_ratio",
    "convert_axis",
    "derivative_operator",
    "mark_bad",
    "normalize",
    "normalized_difference",
    "remove_continuum",
    "resample",
    "resample_operator",
    "savgol_filter",
    "savgol_operator",
    "spectral_angle",
]
