"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract
from cubekit.kernels.refit import LocalFit
from cubekit.kernels.scatter import Moments, merge, moments

__all__ = ["LocalFit", "Moments", "contract", "merge", "moments"]
