"""AxisOperator, a matrix between two axes, and the functions that build one."""

from cubekit.operators.axis_operator import AxisOperator
from cubekit.operators.difference import derivative_operator
from cubekit.operators.savgol import savgol_operator

__all__ = ["AxisOperator", "derivative_operator", "savgol_operator"]
