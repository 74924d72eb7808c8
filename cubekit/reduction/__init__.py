"""From hundreds of bands to a few components."""

from cubekit.reduction.mnf import MNF
from cubekit.reduction.noise import noise_covariance
from cubekit.reduction.pca import PCA

__all__ = ["MNF", "PCA", "noise_covariance"]
