"""The interactive viewer: a cube from above, and its spectra."""

from cubekit.viewer.explore import explore

__all__ = ["explore"]
