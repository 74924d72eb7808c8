"""Pure arrays: the one place that knows chunks, dtypes and missing values."""

from cubekit.kernels.chunked import contract
from cubekit.kernels.extremum import least, take
from cubekit.kernels.refit import LocalFit
from cubekit.kernels.scatter import Moments, merge, moments
from cubekit.kernels.stack import Component, contract_each, contract_stack
from cubekit.kernels.symmetric import eigenvalues

__all__ = [
    "Component",
    "LocalFit",
    "Moments",
    "contract",
    "contract_each",
    "contract_stack",
    "eigenvalues",
    "least",
    "merge",
    "moments",
    "take",
]
