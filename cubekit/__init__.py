"""Hyperspectral datacubes on their real coordinates."""

from cubekit import accessor as accessor
from cubekit import datasets, plotting
from cubekit._version import __version__ as __version__
from cubekit.axis import Axis
from cubekit.errors import (
    AxisMismatchError,
    CoordinateError,
    CorruptFileError,
    CubekitError,
    DiskFullError,
    IncompleteFileError,
    ModelFormatError,
    NotFittedError,
    OutputExistsError,
    SameFileError,
    WriteVerifyError,
)
from cubekit.io import open_cube, save_cube
from cubekit.operators import (
    AxisOperator,
    derivative_operator,
    resample_operator,
    savgol_operator,
)
from cubekit.reduction import PCA
from cubekit.spatial import (
    derivative,
    divergence,
    gradient,
    gradient_magnitude,
    hessian,
    hessian_eigenvalues,
    hessian_norm,
    laplacian,
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

__all__ = [
    "PCA",
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "CoordinateError",
    "CorruptFileError",
    "CubekitError",
    "DiskFullError",
    "IncompleteFileError",
    "ModelFormatError",
    "NotFittedError",
    "OutputExistsError",
    "SameFileError",
    "WriteVerifyError",
    "band_ratio",
    "convert_axis",
    "datasets",
    "derivative",
    "derivative_operator",
    "divergence",
    "gradient",
    "gradient_magnitude",
    "hessian",
    "hessian_eigenvalues",
    "hessian_norm",
    "laplacian",
    "mark_bad",
    "normalize",
    "normalized_difference",
    "open_cube",
    "plotting",
    "remove_continuum",
    "resample",
    "resample_operator",
    "save_cube",
    "savgol_filter",
    "savgol_operator",
    "spectral_angle",
]
