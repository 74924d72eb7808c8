"""From hundreds of bands to a few components."""

from cubekit.reduction.autoencoder import Autoencoder
from cubekit.reduction.comparison import compare_reductions
from cubekit.reduction.mnf import MNF
from cubekit.reduction.noise import noise_covariance
from cubekit.reduction.pca import PCA

__all__ = ["MNF", "PCA", "Autoencoder", "compare_reductions", "noise_covariance"]
