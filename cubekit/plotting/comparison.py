"""Reductions side by side: the error of each band."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubekit.plotting.labels import label_of, new_axes
from cubekit.plotting.legends import entries
from cubekit.plotting.spectra import spectra

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["comparison"]

_LONGEST = 44


def comparison(
    table: xr.Dataset, *, coord: str | None = None, ax: Axes | None = None
) -> list[Line2D]:
    """Held-out error by band of several reductions, with a table beside the lines.

    Parameters
    ----------
    table : Dataset
        As given by `compare_reductions`.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    list of Line2D
        One for each model. The legend has its error over all bands, the variance that
        it leaves, and the time of its fit.

    Notes
    -----
    **Missing values:** the line is broken, as in gaps and bad bands. **Chunks:** none.
    **Cost:** none.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.alteration_scene((20, 30))
    >>> table = ck.compare_reductions(cube, [ck.PCA(3), ck.PCA(5)])
    >>> lines = ck.plotting.comparison(table)
    >>> lines[0].get_label()[:6]
    'PCA(3)'
    """
    ax = new_axes(ax)
    lines: list[Line2D] = []
    for k in range(table.sizes["model"]):
        row = table.isel(model=k)
        name = str(row.model.values)
        name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        label = (
            f"{name}: {float(row.rmse):.3g}, leaves "
            f"{1 - float(row.explained_variance):.2g} of the variance, "
            f"{float(row.fit_time):.2g} s"
        )
        line = row.band_rmse.drop_vars("model")
        lines += spectra(line, coord=coord, label=label, ax=ax)
    ax.set_ylabel(label_of("held-out error", table.rmse.attrs))
    # above the lines: its entries are long; and clear of the power of ten on the left
    ax.legend(
        *entries(ax),
        fontsize="small",
        edgecolor="none",
        loc="lower right",
        bbox_to_anchor=(1, 1),
    )
    ax.autoscale_view(scalex=False)  # no room for a legend inside
    ax.set_ylim(bottom=0)
    return lines
