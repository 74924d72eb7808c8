"""How much of a cube is missing, band by band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.axis import Axis
from cubekit.plotting.labels import new_axes
from cubekit.plotting.legends import legend
from cubekit.plotting.sampling import thinned
from cubekit.plotting.spectra import spectra

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["quality"]


def quality(
    cube: xr.DataArray,
    *,
    coord: str | None = None,
    max_pixels: int = 200,
    ax: Axes | None = None,
) -> list[Line2D]:
    """Share of values in each band that are missing, zero or negative.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Any dims besides that of the bands.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    max_pixels : int, default 200
        At most so many along each other dim are looked at.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    list of Line2D
        For missing (NaN or Inf), zero, and negative values, in per cent; bad bands are
        shaded, and drawn too.

    Notes
    -----
    **Missing values:** counted. **Chunks:** any; only the pixels looked at are
    computed. **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> lines = ck.plotting.quality(ck.datasets.scene((30, 40)))
    >>> [line.get_label() for line in lines]
    ['missing', 'zero', 'negative']
    """
    axis = Axis.from_cube(cube, coord)
    dims = tuple(d for d in cube.dims if d != axis.dim)
    some = thinned(cube, dims, max_pixels).transpose(..., axis.dim).compute()
    values = some.values.reshape(-1, len(axis))
    with np.errstate(invalid="ignore"):
        shares = {
            "missing": ~np.isfinite(values),
            "zero": values == 0,
            "negative": values < 0,
        }
    ax = new_axes(ax)
    lines: list[Line2D] = []
    frame = some.isel(dict.fromkeys(dims, 0), drop=True)
    # each narrower than the one before: all show where they run along the axis
    for width, (name, share) in zip((4.2, 2.6, 1.2), shares.items(), strict=True):
        percent = frame.copy(data=100.0 * share.mean(axis=0))
        how: dict[str, Any] = {
            "linewidth": width,
            "zorder": 3,
            "clip_on": False,
            "show_bad": True,
        }
        lines += spectra(percent, coord=axis.name, label=name, ax=ax, **how)
    ax.set_ylabel("share of values (%)")
    most = max(float(100 * share.mean(axis=0).max()) for share in shares.values())
    ax.set_ylim(0, max(5.0, 1.05 * most), auto=None)
    legend(ax)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= 100])  # room above
    return lines
