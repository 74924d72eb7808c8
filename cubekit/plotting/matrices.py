"""An operator as a picture of its matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cubekit.axis import derivative_units
from cubekit.plotting.labels import colour_bar, edges, label_of, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

    from cubekit.axis import Axis
    from cubekit.operators import AxisOperator

__all__ = ["operator"]


def operator(
    operator: AxisOperator, *, colorbar: bool = True, ax: Axes | None = None
) -> QuadMesh:
    """Matrix of an operator, drawn on its axes: a row for each output.

    Parameters
    ----------
    operator : AxisOperator
        Any.
    colorbar : bool, default True
        Whether to draw one.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.

    Returns
    -------
    QuadMesh
        Positive weights are red, negative ones blue, zeros inside the support white.

    Notes
    -----
    The first row is on top, as in a formula, whatever the direction of the axis. Grey
    is outside the support: an output does not depend on these inputs, not even on
    whether they are missing.

    **Missing values:** rows of undefined outputs are black. **Chunks:** none.
    **Cost:** the dense matrix.

    Examples
    --------
    >>> import cubekit as ck
    >>> axis = ck.Axis("wavelength", [400.0, 410.0, 425.0, 430.0, 441.0], units="nm")
    >>> picture = ck.plotting.operator(ck.savgol_operator(axis, 3, 1))
    >>> picture.axes.get_ylabel()
    'output wavelength (nm)'
    """
    weights = operator.matrix.toarray()
    undefined = np.isnan(weights).any(axis=1)
    outside = ~operator.support.toarray()
    most = float(np.abs(weights[~undefined]).max(initial=0.0)) or 1.0
    ax = new_axes(ax)
    ax.set_facecolor("0.85")
    column, row = (edges(axis.values) for axis in (operator.input, operator.output))
    drawn = np.ma.array(weights, mask=outside | undefined[:, None])
    picture = ax.pcolormesh(column, row, drawn, cmap="RdBu_r", vmin=-most, vmax=most)
    for at in np.flatnonzero(undefined):
        ax.axhspan(row[at], row[at + 1], color="black", linewidth=0)
    ax.set_xlim(column[0], column[-1])
    ax.set_ylim(row[-1], row[0])
    if _is_counted(operator.input):
        ax.locator_params(axis="x", integer=True)
    if _is_counted(operator.output):
        ax.locator_params(axis="y", integer=True)
    ax.set_xlabel(f"input {_label(operator.input)}")
    ax.set_ylabel(f"output {_label(operator.output)}")
    ax.set_title(operator.name, fontsize="medium")
    if colorbar:
        order = operator.order
        units = derivative_units("1", operator.input.units, order) if order else None
        colour_bar(ax, picture, label_of("weight", {"units": units}))
    return picture


def _label(axis: Axis) -> str:
    return label_of(axis.name, {"units": axis.units})


def _is_counted(axis: Axis) -> bool:
    """Whether only whole numbers are places of it: components, not wavelengths."""
    return not (axis.values % 1).any()
