"""Pictures put at their real coordinates, the right way up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.plotting.labels import centres, edges

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.image import AxesImage

__all__ = ["hatch", "is_even", "place", "points_down"]

# so many times as long as wide, a picture true to shape shows nothing
_STRIP = 12


def place(
    ax: Axes,
    some: xr.DataArray,
    dims: tuple[Any, Any],
    colour: npt.NDArray[Any],
    **how: Any,
) -> AxesImage | QuadMesh:
    """Draw at the real coordinates; evenly spaced pixels as an image."""
    (y, y_label), (x, x_label) = (centres(some, d) for d in dims)
    step = [float(np.abs(np.diff(v)).mean()) if len(v) > 1 else None for v in (y, x)]
    y_edges = edges(y, step[0] or step[1] or 1.0)
    x_edges = edges(x, step[1] or step[0] or 1.0)
    from matplotlib.ticker import ScalarFormatter  # noqa: PLC0415  heavy

    ax.set(xlabel=x_label, ylabel=y_label)
    if is_even(x) and is_even(y):
        picture: AxesImage | QuadMesh = ax.imshow(
            colour,
            extent=(x_edges[0], x_edges[-1], y_edges[-1], y_edges[0]),
            interpolation="nearest",
            aspect="auto",
            **how,
        )
    else:
        picture = ax.pcolormesh(x_edges, y_edges, colour, **how)
    ax.set_xlim(min(x_edges), max(x_edges))
    low, high = min(y_edges), max(y_edges)
    ax.set_ylim(*((high, low) if points_down(some, dims[0]) else (low, high)))
    ax.set_aspect(_aspect((x_label, y_label), x_edges, y_edges))
    for axis in (ax.xaxis, ax.yaxis):  # a place on a map is read as it stands
        written = axis.get_major_formatter()
        if isinstance(written, ScalarFormatter):
            written.set_useOffset(False)
            written.set_powerlimits((-4, 8))
    if max(len(f"{v:.7g}") for v in ax.get_xlim()) > 5:  # long numbers need room
        ax.locator_params(axis="x", nbins=5)
    return picture


def _aspect(
    labels: tuple[str, str], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> Any:
    """Length on the page of a unit of y, in that of one of x."""
    units = tuple(label.rpartition("(")[2] for label in labels)
    if units == ("°E)", "°N)"):  # true to shape in the middle of the map
        middle = (y.min() + y.max()) / 2
        return 1 / max(0.2, float(np.cos(np.radians(middle))))
    sides = sorted((float(np.ptp(x)), float(np.ptp(y))))
    is_strip = sides[1] > _STRIP * sides[0]  # a section through a sea, a few samples
    return "equal" if units[0] == units[1] and not is_strip else "auto"


def points_down(cube: xr.DataArray, dim: Hashable) -> bool:
    """Whether values along a dim grow downwards: depths, and lines that are counted."""
    if dim not in cube.coords:
        return True
    attrs = cube.coords[dim].attrs
    if "positive" in attrs:
        return str(attrs["positive"]).lower() == "down"
    if attrs.get("standard_name") == "depth":
        return True
    values, _ = centres(cube, dim)
    return bool(values[-1] > values[0]) and not attrs.get("units")


def is_even(values: npt.NDArray[np.float64]) -> bool:
    """Whether all steps are the same, as far as one can see."""
    step = np.diff(values)
    return len(step) == 0 or bool(np.ptp(step) <= 1e-3 * abs(step.mean()))


def hatch(ax: Axes, missing: npt.ArrayLike) -> None:
    """Make the ground visible where there is no value."""
    if np.any(missing):
        ax.patch.set(facecolor="0.9", edgecolor="0.65", hatch="////", linewidth=0)
