"""Covariance of samples handed on to the results of a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

if TYPE_CHECKING:
    from scipy import sparse

    from cubekit.axis import Axis

__all__ = ["covariance"]


def covariance(
    name: str,
    sigma: xr.DataArray | npt.NDArray[np.floating],
    matrix: sparse.csr_array,
    ends: tuple[Axis, Axis],
) -> xr.DataArray:
    """Covariance of what a matrix makes of a spectrum on the first of two axes."""
    start, output = ends
    given = np.asarray(sigma, np.float64)
    n = len(start)
    if given.shape != (n, n):
        raise ValueError(
            f"covariance of {name}: sigma has shape {given.shape}. Axis "
            f"{start.name!r} has {n} samples. Give a matrix of shape ({n}, {n}); for "
            "independent errors, variance() takes one spectrum."
        )
    half = matrix @ given  # stored entries only, so no NaN spreads
    coords = output.to_coords()
    second = {
        f"{key}_2": xr.Variable(f"{output.dim}_2", c.values, c.attrs)
        for key, c in coords.items()
    }
    return xr.DataArray(
        (matrix @ half.T).T,
        coords={**coords, **second},
        dims=(output.dim, f"{output.dim}_2"),
        name=f"covariance of {name}",
    )
