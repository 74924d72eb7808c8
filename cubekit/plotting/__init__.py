"""Pictures of cubes. Each draws on `ax` and gives back what it drew (matplotlib)."""

from cubekit.plotting.images import image, rgb
from cubekit.plotting.overview import distinct_places, overview
from cubekit.plotting.spectra import spectra

__all__ = ["distinct_places", "image", "overview", "rgb", "spectra"]
