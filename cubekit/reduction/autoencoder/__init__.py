"""Reduction by a neural network: one spectrum a sample, the contract of PCA."""

from cubekit.reduction.autoencoder.model import Autoencoder

__all__ = ["Autoencoder"]
