"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract
from cubekit.kernels.gaps import Latent, LatentSums, expect, solve
from cubekit.kernels.noise import Neighbours, Noise, neighbours
from cubekit.kernels.scatter import Moments, merge, moments
from cubekit.kernels.sketch import Product, scatter_product

__all__ = [
    "Latent",
    "LatentSums",
    "Moments",
    "Neighbours",
    "Noise",
    "Product",
    "contract",
    "expect",
    "merge",
    "moments",
    "neighbours",
    "scatter_product",
    "solve",
]
