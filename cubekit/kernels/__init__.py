"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract
from cubekit.kernels.noise import Neighbours, Noise, neighbours
from cubekit.kernels.scatter import Moments, merge, moments

__all__ = [
    "Moments",
    "Neighbours",
    "Noise",
    "contract",
    "merge",
    "moments",
    "neighbours",
]
