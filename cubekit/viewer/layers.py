"""What can be seen of a cube from above: each a few weighted sums of its bands."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.operators import savgol_operator
from cubekit.plotting.colours import some_colour
from cubekit.plotting.labels import label_of
from cubekit.plotting.sampling import thinned
from cubekit.reduction import PCA

if TYPE_CHECKING:
    from cubekit.axis import Axis
    from cubekit.operators import AxisOperator

__all__ = [
    "Layer",
    "Window",
    "band",
    "colour",
    "derivative",
    "fit_pca",
    "principal",
]

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """One or three channels, each a weighted sum of a few bands.

    Parameters
    ----------
    title : str
        What is shown.
    label : str
        What the values of a single channel are, with units.
    sums : list of (bands, weights), one entry a channel
        Positions of the bands that a channel is made of, and their weights.
    joint : bool
        Whether the channels are stretched together.
    """

    title: str
    label: str
    sums: list[tuple[npt.NDArray[np.intp], Array]]
    joint: bool = False

    @property
    def bands(self) -> list[int]:
        """Positions of all bands that are needed, ascending."""
        every = np.concatenate([at for at, _ in self.sums])
        return [int(b) for b in np.unique(every)]

    def __call__(self, values: npt.NDArray[Any], bands: list[int]) -> Array:
        """Channels of values (..., band) that hold these bands; (..., channel)."""
        place = {b: k for k, b in enumerate(bands)}
        return np.stack(
            [
                values[..., [place[b] for b in at.tolist()]].astype(np.float64) @ weight
                for at, weight in self.sums
            ],
            axis=-1,
        )


@dataclasses.dataclass(frozen=True)
class Window:
    """How spectra are smoothed, and which derivative is taken."""

    window_length: int = 11
    polyorder: int = 3
    deriv: int = 1


def colour(axis: Axis) -> Layer:
    """True colour, or three bands of what is not in the visible."""
    index, is_true = some_colour(axis)
    title = "true colour" if is_true else "false colour"
    places = ", ".join(f"{axis.values[i]:.4g}" for i in index)
    return Layer(
        f"{title}: {places} {axis.units or ''}".rstrip(),
        "",
        [(np.array([i]), np.ones(1)) for i in index],
        joint=is_true,
    )


def band(cube: xr.DataArray, axis: Axis, position: int) -> Layer:
    """One band."""
    return Layer(
        f"{axis.name} {axis.values[position]:.5g} {axis.units or ''}".rstrip(),
        label_of(cube.name, cube.attrs),
        [(np.array([position]), np.ones(1))],
    )


def derivative(cube: xr.DataArray, axis: Axis, position: int, window: Window) -> Layer:
    """Derivative of the smoothed spectra at one band."""
    deriv = window.deriv
    operator = savgol_operator(
        axis, window.window_length, window.polyorder, deriv=deriv, max_gap="auto"
    ).isel(np.array([position]))
    # the label that the operator itself gives its result
    few = xr.DataArray(
        np.zeros(len(axis), np.float32), axis.to_coords(), axis.dim, cube.name
    )
    result = operator(few.assign_attrs(cube.attrs))
    words = {1: "slope", 2: "curvature"}.get(deriv, f"derivative {deriv}")
    return Layer(
        f"{words} at {axis.values[position]:.5g} {axis.units or ''}".rstrip(),
        label_of(result.name, result.attrs),
        _sums(operator),
    )


def fit_pca(cube: xr.DataArray, axis: Axis, *, max_pixels: int = 48) -> PCA:
    """Three principal components of a thinned cube."""
    others = tuple(d for d in cube.dims if d != axis.dim)
    return PCA(3, coord=axis.name).fit(thinned(cube, others, max_pixels).compute())


def principal(model: PCA) -> Layer:
    """Composite of three components; about no mean, which a stretch does not see."""
    share = model.explained_variance_ratio_.values
    percents = ", ".join(f"{100 * s:.3g} %" for s in share)
    return Layer(
        f"principal components 1, 2, 3 ({percents})", "", _sums(model.operator)
    )


def _sums(operator: AxisOperator) -> list[tuple[npt.NDArray[np.intp], Array]]:
    """Bands and weights of each output: all that it depends on, zeros too."""
    matrix, support = operator.matrix.toarray(), operator.support.toarray()
    rows = zip(matrix, support, strict=True)
    return [(np.flatnonzero(held), row[held]) for row, held in rows]
