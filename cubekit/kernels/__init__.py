"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract, thread_count
from cubekit.kernels.extremum import least, take
from cubekit.kernels.gaps import Latent, LatentSums, expect, solve
from cubekit.kernels.noise import Neighbours, Noise, neighbours
from cubekit.kernels.pieces import in_pieces, whole_along
from cubekit.kernels.pooling import Moments, merge
from cubekit.kernels.refit import LocalFit
from cubekit.kernels.scatter import moments
from cubekit.kernels.sharing import shared_out
from cubekit.kernels.sketch import Product, scatter_product
from cubekit.kernels.stack import Component, contract_each, contract_stack
from cubekit.kernels.symmetric import eigenvalues

__all__ = [
    "Component",
    "Latent",
    "LatentSums",
    "LocalFit",
    "Moments",
    "Neighbours",
    "Noise",
    "Product",
    "contract",
    "contract_each",
    "contract_stack",
    "eigenvalues",
    "expect",
    "in_pieces",
    "least",
    "merge",
    "moments",
    "neighbours",
    "scatter_product",
    "shared_out",
    "solve",
    "take",
    "thread_count",
    "whole_along",
]
