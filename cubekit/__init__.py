"""Hyperspectral datacubes on their real coordinates."""

from cubekit.axis import Axis
from cubekit.errors import AxisMismatchError, CoordinateError, CubekitError
from cubekit.integration import integrate_gradient
from cubekit.operators import AxisOperator, derivative_operator, savgol_operator
from cubekit.spatial import (
    LocalModel,
    derivative,
    divergence,
    flattest,
    gradient,
    gradient_magnitude,
    hessian,
    hessian_eigenvalues,
    hessian_norm,
    laplacian,
    local_model,
)
from cubekit.spectral import mark_bad, savgol_filter

__version__ = "0.1.0"

__all__ = [
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "CoordinateError",
    "CubekitError",
    "LocalModel",
    "derivative",
    "derivative_operator",
    "divergence",
    "flattest",
    "gradient",
    "gradient_magnitude",
    "hessian",
    "hessian_eigenvalues",
    "hessian_norm",
    "integrate_gradient",
    "laplacian",
    "local_model",
    "mark_bad",
    "savgol_filter",
    "savgol_operator",
]
