"""Across axes: derivatives of images and volumes on their real coordinates."""

from cubekit.spatial.divergence import divergence
from cubekit.spatial.first import derivative, gradient, gradient_magnitude
from cubekit.spatial.flatness import flattest
from cubekit.spatial.quadratic import LocalModel, local_model
from cubekit.spatial.second import (
    hessian,
    hessian_eigenvalues,
    hessian_norm,
    laplacian,
)

__all__ = [
    "LocalModel",
    "derivative",
    "divergence",
    "flattest",
    "gradient",
    "gradient_magnitude",
    "hessian",
    "hessian_eigenvalues",
    "hessian_norm",
    "laplacian",
    "local_model",
]
