"""AxisOperator, a matrix between two axes, and the functions that build one."""

from cubekit.operators.axis_operator import AxisOperator
from cubekit.operators.difference import derivative_operator
from cubekit.operators.resample import resample_operator
from cubekit.operators.savgol import savgol_operator

__all__ = [
    "AxisOperator",
    "derivative_operator",
    "resample_operator",
    "savgol_operator",
]
