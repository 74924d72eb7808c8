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
    BatchError,
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
    sort_bands,
    spectral_angle,
)
from cubekit.viewer import explore

__all__ = [  # noqa: RUF022  in the order of docs/api.md
    # files
    "open_cube",
    "save_cube",
    "plan",
    "rechunk",
    "good_samples",
    "orthorectify",
    "SavePlan",
    # spectra
    "savgol_filter",
    "mark_bad",
    "sort_bands",
    "resample",
    "remove_continuum",
    "normalize",
    "convert_axis",
    "spectral_angle",
    "band_ratio",
    "normalized_difference",
    # space
    "derivative",
    "gradient",
    "divergence",
    "hessian",
    "laplacian",
    "gradient_magnitude",
    "hessian_norm",
    "hessian_eigenvalues",
    "flattest",
    "local_model",
    "LocalModel",
    "integrate_gradient",
    # reduction
    "PCA",
    "MNF",
    "Autoencoder",
    "compare_reductions",
    "noise_covariance",
    # recipes
    "Recipe",
    "apply",
    # axes and operators
    "Axis",
    "AxisOperator",
    "savgol_operator",
    "derivative_operator",
    "resample_operator",
    # pictures
    "explore",
    "plotting",
    # scenes
    "datasets",
    # errors
    "CubekitError",
    "CoordinateError",
    "AxisMismatchError",
    "AmbiguousCubeError",
    "CorruptFileError",
    "IncompleteFileError",
    "OutputExistsError",
    "SameFileError",
    "DiskFullError",
    "WriteVerifyError",
    "ResumeMismatchError",
    "UnsafeFileError",
    "SizeLimitError",
    "ModelFormatError",
    "NotFittedError",
    "RecipeError",
    "BatchError",
    "ChunkError",
    "ClusterError",
]
