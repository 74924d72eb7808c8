"""Components of a reduced cube: their spectra, their variances, their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_dataarray
from cubekit.plotting.labels import COLOURS, label_of, new_axes
from cubekit.plotting.sampling import thinned
from cubekit.plotting.spectra import spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.container import ErrorbarContainer
    from matplotlib.lines import Line2D

__all__ = ["components", "scores", "scree"]


def components(
    model: Any, n: int = 4, *, coord: str | None = None, ax: Axes | None = None
) -> list[Line2D]:
    """Spectra of the first components of a model, one above the other.

    Parameters
    ----------
    model : fitted model, or DataArray, dims (component, band)
        Anything with ``components_``, such as `PCA`; or the components. Those of `MNF`
        are weights; the spectra that they stand for are its ``patterns_``.
    n : int, default 4
        How many.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    list of Line2D
        Each shifted down from the one before; its zero is a thin line.

    Notes
    -----
    **Missing values:** the line is broken, as in gaps and bad bands. **Chunks:** any.
    **Cost:** none.

    Examples
    --------
    >>> import cubekit as ck
    >>> spectrum = ck.datasets.scene_truth((4, 4)).spectrum
    >>> lines = ck.plotting.components(spectrum.rename(material="component"), 2)
    >>> [line.get_label() for line in lines]
    ['crop', 'forest']
    """
    every = model if isinstance(model, xr.DataArray) else model.components_
    if "component" not in every.dims:
        raise ValueError(
            f"components: the dims {every.dims} have no 'component'. The spectra of "
            "components are drawn, not those of a cube. Use "
            "components(cubekit.PCA(4).fit(cube)), or spectra(cube)."
        )
    first = every.isel(component=slice(n)).transpose("component", ...)
    size = float(np.nanpercentile(np.abs(first.values), 99)) or 1.0
    names = first.coords.get("component")
    ax = new_axes(ax)
    lines: list[Line2D] = []
    for number in range(first.sizes["component"]):
        shift = -2.2 * size * number
        name = str(number + 1 if names is None else names.values[number])
        line = first.isel(component=number, drop=True) + shift
        lines += spectra(line.assign_attrs(first.attrs), coord=coord, label=name, ax=ax)
        ax.axhline(shift, color="0.7", linewidth=0.6, zorder=0.5)
    ax.set_yticks([-2.2 * size * k for k in range(len(lines))])
    ax.set_yticklabels([str(line.get_label()) for line in lines])
    ax.set_ylabel("component (each about its zero)")
    ax.legend().remove()  # they are named on the axis
    return lines


def scree(
    model: Any, n: int | None = None, *, ax: Axes | None = None
) -> ErrorbarContainer:
    r"""Variances of the components of a model, with North's error bars.

    Parameters
    ----------
    model : fitted model
        With ``explained_variance_`` and ``n_samples_``: `PCA`, or `MNF`, whose
        variances are over that of noise.
    n : int, optional
        How many components; all if not given.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    ErrorbarContainer

    Notes
    -----
    The bars are :math:`\lambda \sqrt{2 / N}` for `N` independent samples. Components
    whose bars overlap are mixtures of each other. Neighbouring pixels are not
    independent, so the bars are too short rather than too long.

    **Missing values:** none. **Chunks:** none. **Cost:** none.

    References
    ----------
    .. [1] North, G. R. et al. (1982), Mon. Weather Rev. 110, 699-706.

    Examples
    --------
    >>> import types
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> variance = xr.DataArray([4.0, 1.0], dims="component", attrs={"units": "1"})
    >>> model = types.SimpleNamespace(explained_variance_=variance, n_samples_=200)
    >>> bars = ck.plotting.scree(model)
    >>> bars.lines[0].axes.get_ylabel()
    'variance'
    """
    for needed in ("explained_variance_", "n_samples_"):
        if not hasattr(model, needed):
            raise TypeError(
                f"scree: a {type(model).__name__} has no {needed}. Variances are drawn "
                "of a model that was fitted. Use scree(cubekit.PCA().fit(cube))."
            )
    variance = np.asarray(model.explained_variance_.values, np.float64)[:n]
    error = variance * np.sqrt(2.0 / float(model.n_samples_))
    ax = new_axes(ax)
    bars = ax.errorbar(
        np.arange(1, len(variance) + 1),
        variance,
        error,
        color=COLOURS[0],
        marker="o",
        markersize=4,
        linewidth=0.8,
        elinewidth=1.5,
        capsize=3,
    )
    if (variance > 0).any():
        ax.set_yscale("log", nonpositive="clip")
    ax.locator_params(axis="x", integer=True)
    ax.set_xlabel("component (number)")
    what = "variance over noise" if hasattr(model, "snr_") else "variance"
    ax.set_ylabel(label_of(what, model.explained_variance_.attrs))
    return bars


def scores(
    scores: xr.DataArray,
    x: float = 1,
    y: float = 2,
    *,
    max_pixels: int = 100,
    ax: Axes | None = None,
) -> PathCollection:
    """Scores of one component against those of another, a point for each pixel.

    Parameters
    ----------
    scores : DataArray, dims (..., component)
        As given by ``transform``.
    x, y : default 1 and 2
        Values of the coordinate ``component``; numbers from one where there is none.
    max_pixels : int, default 100
        At most so many along each other dim are drawn.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    PathCollection
        Of all points. A few that lie far out do not squeeze the others: where they are
        beyond the axes, the title says how many.

    Raises
    ------
    ValueError
        If there is no such component.

    Notes
    -----
    **Missing values:** left out. **Chunks:** any; only the two components of the pixels
    drawn are computed. **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.scene((6, 8)).isel(wavelength=slice(3))
    >>> points = ck.plotting.scores(cube.rename(wavelength="component"), 381, 388)
    >>> len(points.get_offsets())
    48
    """
    require_dataarray(scores, "scores")
    if "component" not in scores.dims:
        raise ValueError(
            f"scores: the dims {scores.dims} have no 'component'. A model makes scores "
            "of a cube. Use scores(model.transform(cube))."
        )
    if "component" not in scores.coords:
        numbers = np.arange(1, scores.sizes["component"] + 1)
        scores = scores.assign_coords(component=numbers)
    known = scores.coords["component"].values
    for name, asked in (("x", x), ("y", y)):
        if not np.abs(known - asked).min() < 1:
            raise ValueError(
                f"scores: {name}={asked} is no component. There are "
                f"{known.min():g} to {known.max():g}. Give one of these."
            )
    dims = tuple(d for d in scores.dims if d != "component")
    some = thinned(scores, dims, max_pixels).sel(component=[x, y], method="nearest")
    points = some.transpose("component", ...).values.reshape(2, -1)
    points = points[:, np.isfinite(points).all(axis=0)]
    ax = new_axes(ax)
    # fainter the more there are, so that dense places stay visible
    alpha = float(np.clip(300 / max(points.shape[1], 1), 0.1, 0.8))
    drawn = ax.scatter(
        points[0], points[1], s=6, color=COLOURS[0], alpha=alpha, linewidths=0
    )
    names = [f"component {v}" for v in some.coords["component"].values]
    units = {"units": scores.attrs.get("units")}
    ax.set_xlabel(label_of(names[0], units))
    ax.set_ylabel(label_of(names[1], units))
    ax.ticklabel_format(scilimits=(-3, 4))
    _look_at_most(ax, points)
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0.5)
    ax.axvline(0, color="0.8", linewidth=0.6, zorder=0.5)
    return drawn


def _look_at_most(ax: Axes, points: npt.NDArray[Any]) -> None:
    """Limits without what lies far out, and how much that is."""
    if not points.shape[1]:
        return
    low, high = np.percentile(points, (5, 95), axis=1)
    room = 1.5 * (high - low)
    least, most = points.min(axis=1), points.max(axis=1)
    left, bottom = np.maximum(least, low - room) - 0.05 * room
    right, top = np.minimum(most, high + room) + 0.05 * room
    ends = (left, right, bottom, top)
    if not (np.isfinite(ends).all() and left < right and bottom < top):
        return
    ax.set(xlim=(left, right), ylim=(bottom, top))
    x, y = points
    beyond = int(((x < left) | (x > right) | (y < bottom) | (y > top)).sum())
    if beyond:
        are = "points lie" if beyond > 1 else "point lies"
        ax.set_title(f"{beyond} {are} outside", fontsize="medium")
