"""Along the band axis: smoothing, bad bands, order, sensors, units, preparation."""

from cubekit.spectral.bad_bands import mark_bad
from cubekit.spectral.continuum import remove_continuum
from cubekit.spectral.indices import band_ratio, normalized_difference
from cubekit.spectral.normalisation import normalize
from cubekit.spectral.ordering import sort_bands
from cubekit.spectral.resampling import resample
from cubekit.spectral.similarity import spectral_angle
from cubekit.spectral.smoothing import savgol_filter
from cubekit.spectral.units import convert_axis, nanometres

__all__ = [
    "band_ratio",
    "convert_axis",
    "mark_bad",
    "nanometres",
    "normalize",
    "normalized_difference",
    "remove_continuum",
    "resample",
    "savgol_filter",
    "sort_bands",
    "spectral_angle",
]
