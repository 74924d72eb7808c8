"""Along the band axis: smoothing, bad bands, other sensors, units, preparation."""

from cubekit.spectral.bad_bands import mark_bad
from cubekit.spectral.resampling import resample
from cubekit.spectral.smoothing import savgol_filter

__all__ = ["mark_bad", "resample", "savgol_filter"]
