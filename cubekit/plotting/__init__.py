"""Pictures of cubes. Each draws on `ax` and gives back what it drew (matplotlib)."""

from cubekit.plotting.comparison import comparison
from cubekit.plotting.fields import gradient_field, hessian
from cubekit.plotting.images import image, rgb
from cubekit.plotting.matrices import operator
from cubekit.plotting.models import components, scores, scree
from cubekit.plotting.overview import distinct_places, overview
from cubekit.plotting.quality import quality
from cubekit.plotting.quicklook import quicklook
from cubekit.plotting.report import report
from cubekit.plotting.spectra import spectra

__all__ = [
    "comparison",
    "components",
    "distinct_places",
    "gradient_field",
    "hessian",
    "image",
    "operator",
    "overview",
    "quality",
    "quicklook",
    "report",
    "rgb",
    "scores",
    "scree",
    "spectra",
]
