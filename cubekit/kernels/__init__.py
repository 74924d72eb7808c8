"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract

__all__ = ["contract"]
