"""Hyperspectral datacubes on their real coordinates."""

# First and from here: reached through our own modules, the depth of the calls has
# CPython 3.11 map and unmap memory for its frames all along, a tenth of a second.
import dask.array  # noqa: F401

from cubekit import accessor as accessor
from cubekit import datasets, plotting
from cubekit._version import __version__ as __version__
from cubekit.axis import Axis
from cubekit.errors import (
    AmbiguousCubeError,
    AxisMismatchError,
    ChunkError,
    ClusterError,
    CoordinateError,
    CorruptFileError,
    CubekitError,
    DiskFullError,
    IncompleteFileError,
    ModelFormatError,
    NotFittedError,
    OutputExistsError,
    RecipeError,
    ResumeMismatchError,
    SameFileError,
    SizeLimitError,
    UnsafeFileError,
    WriteVerifyError,
)
from cubekit.integration import integrate_gradient
from cubekit.io import (
    SavePlan,
    good_samples,
    open_cube,
    orthorectify,
    plan,
    rechunk,
    save_cube,
)
from cubekit.operators import (
    AxisOperator,
    derivative_operator,
    resample_operator,
    savgol_operator,
)
from cubekit.recipe import Recipe, apply
from cubekit.reduction import (
    MNF,
    PCA,
    Autoencoder,
    compare_reductions,
    noise_covariance,
)
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
from cubekit.viewer import explore

__all__ = [
    "MNF",
    "PCA",
    "AmbiguousCubeError",
    "Autoencoder",
    "Axis",
    "AxisMismatchError",
    "AxisOperator",
    "ChunkError",
    "ClusterError",
    "CoordinateError",
    "CorruptFileError",
    "CubekitError",
    "DiskFullError",
    "IncompleteFileError",
    "LocalModel",
    "ModelFormatError",
    "NotFittedError",
    "OutputExistsError",
    "Recipe",
    "RecipeError",
    "ResumeMismatchError",
    "SameFileError",
    "SavePlan",
    "SizeLimitError",
    "UnsafeFileError",
    "WriteVerifyError",
    "apply",
    "band_ratio",
    "compare_reductions",
    "convert_axis",
    "datasets",
    "derivative",
    "derivative_operator",
    "divergence",
    "explore",
    "flattest",
    "good_samples",
    "gradient",
    "gradient_magnitude",
    "hessian",
    "hessian_eigenvalues",
    "hessian_norm",
    "integrate_gradient",
    "laplacian",
    "local_model",
    "mark_bad",
    "noise_covariance",
    "normalize",
    "normalized_difference",
    "open_cube",
    "orthorectify",
    "plan",
    "plotting",
    "rechunk",
    "remove_continuum",
    "resample",
    "resample_operator",
    "save_cube",
    "savgol_filter",
    "savgol_operator",
    "spectral_angle",
]
