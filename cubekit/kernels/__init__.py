"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract
from cubekit.kernels.refit import LocalFit

__all__ = ["LocalFit", "contract"]
