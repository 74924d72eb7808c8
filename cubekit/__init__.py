"""Hyperspectral datacubes on their real coordinates."""

from cubekit._version import __version__ as __version__
from cubekit.axis import Axis
from cubekit.errors import (
    AxisMismatchError,
    CoordinateError,
    CubekitError,
    ModelFormatError,
    NotFittedError,
)
from cubekit.operators import AxisOperator, derivative_operator, savgol_operator
from cubekit.reduction import MNF, PCA, noise_covariance
from cubekit.spectral import savgol_filter

__all__ = [
    "MNF",
    "PCA",
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "CoordinateError",
    "CubekitError",
    "ModelFormatError",
    "NotFittedError",
    "derivative_operator",
    "noise_covariance",
    "savgol_filter",
    "savgol_operator",
]
