"""Where a surface is flattest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from cubekit import kernels
from cubekit.arguments import require_real
from cubekit.axis import Axis
from cubekit.spatial.first import gradient_magnitude
from cubekit.spatial.second import hessian_norm, laplacian

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["flattest"]

_MEASURES = ("hessian", "laplacian", "gradient")


def flattest(
    cube: xr.DataArray,
    coords: Sequence[str] = ("y", "x"),
    *,
    below: float | None = None,
    by: Literal["hessian", "laplacian", "gradient"] = "hessian",
    accuracy: int = 2,
    periodic: Mapping[str, float] | None = None,
    geographic: bool = False,
) -> xr.Dataset:
    r"""Where the surface is flattest, among the samples below a threshold.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, ...)
        Real values; any chunks.
    coords : sequence of str, default ("y", "x")
        One-dimensional coordinates; units must agree.
    below : float, optional
        Only samples with a smaller value count; all if not given.
    by : {"hessian", "laplacian", "gradient"}
        What is least: the Frobenius norm of the Hessian, the absolute value of the
        Laplacian, or the length of the gradient.
    accuracy, periodic, geographic
        As for `gradient` and `hessian`.

    Returns
    -------
    Dataset, dims of `cube` without those of `coords`
        The place, one variable for each coordinate; the ``value`` there; and the
        measure, named as `by`. One answer for every band; the first of equal ones. NaN
        where no sample counts.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or unknown, an axis is too short, or the units
        differ.

    Notes
    -----
    The three differ. A gradient of zero is a summit, hollow or saddle, however sharp; a
    Laplacian of zero may be a saddle, curved one way along one axis and the other way
    along the other. Only a Hessian of zero bends in no direction.

    **Missing values:** samples whose value or measure is NaN or Inf do not count.
    **Chunks:** lazy, in one pass; each chunk keeps its best sample only.
    **Cost:** that of the measure, and two tasks a chunk.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> y = xr.DataArray(np.arange(5.0), dims="y", coords={"y": np.arange(5.0)})
    >>> x = xr.DataArray(np.arange(6.0), dims="x", coords={"x": np.arange(6.0)})
    >>> place = ck.flattest((y - 2) ** 2 + (x - 4) ** 2, by="gradient")
    >>> float(place.y), float(place.x), float(place.value)
    (2.0, 4.0, 0.0)
    """
    if by not in _MEASURES:
        raise ValueError(
            f"flattest: by={by!r} is unknown. Flatness is measured by the Hessian, the "
            'Laplacian or the gradient. Use by="hessian".'
        )
    function = {
        "hessian": hessian_norm,
        "laplacian": laplacian,
        "gradient": gradient_magnitude,
    }[by]
    require_real(cube, "flattest")
    threshold = _threshold(below)
    # large chunks are cut first: what is made of each is several times as large
    cube = cube.copy(data=kernels.in_pieces(cube.data))
    measure = function(
        cube, coords, accuracy=accuracy, periodic=periodic, geographic=geographic
    )
    names = list(coords)
    dims = [Axis.from_cube(cube, name).dim for name in names]
    found = kernels.least(measure.data, cube.data, threshold, cube.get_axis_num(dims))
    rest = [d for d in cube.dims if d not in dims]
    flatness, value, position = (xr.Variable(rest, part) for part in found)
    places = {}
    for name, dim in reversed(list(zip(names, dims, strict=True))):
        index, position = position % cube.sizes[dim], position // cube.sizes[dim]
        place = kernels.take(cube[name].values, index.data)
        places[name] = xr.Variable(rest, place, cube[name].attrs)
    value = value.astype(measure.dtype)
    value.attrs = dict(cube.attrs)
    flatness = flatness.astype(measure.dtype)
    flatness.attrs = dict(measure.attrs)
    kept = {
        k: c.variable.copy(deep=False)
        for k, c in cube.coords.items()
        if not set(c.dims) & set(dims)
    }
    found_at = {name: places[name] for name in names}
    return xr.Dataset({**found_at, "value": value, by: flatness}, kept)


def _threshold(below: Any) -> float:
    """Threshold as a number; infinite if not given."""
    try:
        return math.inf if below is None else float(below)
    except (TypeError, ValueError):
        raise TypeError(
            f"flattest: below={below!r} is a {type(below).__name__}. It is a threshold "
            "for the values of the cube. Give one number in their units."
        ) from None
