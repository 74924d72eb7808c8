"""Hyperspectral datacubes on their real coordinates."""

from cubekit._version import __version__ as __version__
from cubekit.axis import Axis
from cubekit.errors import (
    AxisMismatchError,
    CoordinateError,
    CorruptFileError,
    CubekitError,
    DiskFullError,
    IncompleteFileError,
    OutputExistsError,
    ResumeMismatchError,
    SameFileError,
    SizeLimitError,
    UnsafeFileError,
    WriteVerifyError,
)
from cubekit.io import SavePlan, open_cube, plan, rechunk, save_cube
from cubekit.operators import AxisOperator, derivative_operator, savgol_operator
from cubekit.spectral import savgol_filter

__all__ = [
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "CoordinateError",
    "CorruptFileError",
    "CubekitError",
    "DiskFullError",
    "IncompleteFileError",
    "OutputExistsError",
    "ResumeMismatchError",
    "SameFileError",
    "SavePlan",
    "SizeLimitError",
    "UnsafeFileError",
    "WriteVerifyError",
    "derivative_operator",
    "open_cube",
    "plan",
    "rechunk",
    "save_cube",
    "savgol_filter",
    "savgol_operator",
]
