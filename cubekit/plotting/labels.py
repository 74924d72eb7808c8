"""Words and ranges on the axes of a picture, taken from the cube."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.axis import Axis
from cubekit.errors import CoordinateError
from cubekit.summary import printable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar

__all__ = [
    "COLOURS",
    "centres",
    "colour_bar",
    "edges",
    "label_of",
    "line_style",
    "new_axes",
    "sample_title",
]

# told apart with any kind of colour vision (Okabe and Ito); in grey by their lightness,
# and where that is alike by their dashes
COLOURS = ("#0072B2", "#E69F00", "#000000", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (7, 2)))
_DASH = (0, 0, 0, 1, 2, 3, 4)  # of each colour, the first time

_LONGEST = 32  # more would not fit beside an axis
_DEGREES = {"degrees_north": "°N", "degrees_east": "°E", "degC": "°C"}
_WITHOUT = {None, "", "1", "unitless", "dimensionless", "none", "-"}


def new_axes(ax: Axes | None) -> Axes:
    """Return `ax`, or the axes of a new figure."""
    if ax is not None:
        from matplotlib.axes import Axes  # noqa: PLC0415  heavy, as below

        if not isinstance(ax, Axes):
            raise TypeError(
                f"ax={ax!r} is of type {type(ax).__name__}. A picture is drawn on one "
                "Axes of matplotlib. Leave ax out for a new figure, or give one: "
                "ax=matplotlib.pyplot.figure().add_subplot()."
            )
        return ax
    from matplotlib import pyplot as plt  # noqa: PLC0415  heavy, and only wanted here

    return plt.subplots(layout="constrained")[1]


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of a line of many."""
    turn, colour = divmod(number, len(COLOURS))
    dashes = _DASHES[(_DASH[colour] + turn) % len(_DASHES)]
    return {"color": COLOURS[colour], "linestyle": dashes}


def colour_bar(ax: Axes, picture: Any, label: str, **how: Any) -> Colorbar:
    """Colour bar beside an axes, as high as what is drawn there."""
    beside = ax.inset_axes((1.03, 0, 0.045, 1))
    bar = ax.figure.colorbar(picture, cax=beside, label=label, **how)
    bar.ax.ticklabel_format(axis="y", scilimits=(-3, 4))
    return bar


def label_of(name: object, attrs: dict[str, Any]) -> str:
    """Long name with units, powers raised: ``radiance (W m⁻² nm⁻¹)``."""
    text = printable(str(attrs.get("long_name") or name or "value")).replace("_", " ")
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    text = text.replace("$", r"\$")  # else it would start a formula
    units = _written(attrs.get("units"))
    return f"{text} ({units})" if units else text


def sample_title(axis: Axis, index: Sequence[int]) -> str:
    """Name, values and units of samples, as on an axis: ``wavelength 850 nm``."""
    values = ", ".join(f"{axis.values[i]:.4g}" for i in index)
    return f"{label_of(axis.name, {})} {values} {_written(axis.units)}".rstrip()


def _written(units: object) -> str:
    """Units with powers raised; none for those of plain numbers."""
    if units in _WITHOUT:
        return ""
    if str(units) in _DEGREES:
        return _DEGREES[str(units)]
    units = printable(str(units).strip()).replace("$", "")  # some files write $nm$
    return re.sub(r"(?<=[A-Za-zµμ)])(?:\^|\*\*)?(-?\d+)", r"$^{\1}$", units)


def centres(cube: xr.DataArray, dim: Hashable) -> tuple[npt.NDArray[np.float64], str]:
    """Places of the samples along a dim and the label of that axis."""
    if dim in cube.coords:
        try:
            axis = Axis.from_cube(cube, dim)
        except CoordinateError:
            pass  # names, or out of order: drawn in the order of the samples
        else:
            attrs = {**cube.coords[dim].attrs, "units": axis.units}
            return axis.values, label_of(dim, attrs)
    return np.arange(float(cube.sizes[dim])), f"{dim} (sample)"


def edges(
    values: npt.NDArray[np.float64], lone: float = 1.0
) -> npt.NDArray[np.float64]:
    """Edges of the cells around values, half way between neighbours."""
    if len(values) == 1:
        return np.array([values[0] - lone / 2, values[0] + lone / 2])
    middle = (values[1:] + values[:-1]) / 2
    first, last = 2 * values[0] - middle[0], 2 * values[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])
