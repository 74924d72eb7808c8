"""From hundreds of bands to a few components."""

from cubekit.reduction.pca import PCA

__all__ = ["PCA"]
