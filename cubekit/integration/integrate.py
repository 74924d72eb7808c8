"""Fields from their gradients, by least squares on the operators of `gradient`."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse

from cubekit.arguments import (
    require_integer,
    require_periods,
    require_positive,
    require_real,
)
from cubekit.axis import Axis, derivative_units
from cubekit.errors import CoordinateError
from cubekit.integration.solver import AxisPair, GradientSolver, Solution
from cubekit.operators import derivative_operator
from cubekit.operators.attributes import METRIC, derived_attrs, units_of
from cubekit.operators.difference import checked_period

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["integrate_gradient"]

Floats = npt.NDArray[np.float64]
_NAME = "integrate_gradient"


def integrate_gradient(
    gradient: xr.DataArray,
    *,
    anchor: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    scheme: Literal["same", "compact"] = "same",
    accuracy: int = 2,
    edge_accuracy: int | None = None,
    periodic: Mapping[str, float] | None = None,
    residual: bool = False,
    tolerance: float = 1e-12,
    max_iterations: int = 500,
) -> xr.DataArray | xr.Dataset:
    r"""Field whose gradient is nearest to a given one, up to a constant.

    Parameters
    ----------
    gradient : DataArray, dims (direction, ..., y, x, ...)
        Real values; any chunks. The dim ``direction`` is labelled with the names of
        the coordinates, as `cubekit.gradient` returns it.
    anchor : DataArray, dims (...), optional
        Value of the field at one sample, which its scalar coordinates name:
        ``anchor=field.sel(y=0, x=0)``. The mean is zero if not given.
    weights : DataArray, optional
        How much each value of the gradient counts, zero for not at all; dims of
        `gradient`, some of them may be missing.
    scheme : {"same", "compact"}
        The operators of `cubekit.gradient`, which it inverts exactly; or differences of
        neighbours against the mean of the gradient at both, for gradients that were
        measured.
    accuracy, edge_accuracy, periodic
        Those that the gradient was taken with; for ``scheme="same"``.
    residual : bool, default False
        Whether to return what no field explains, too.
    tolerance : float, default 1e-12
        Of conjugate gradients: at which reduction of the residual they stop.
    max_iterations : int, default 500
        Of conjugate gradients.

    Returns
    -------
    DataArray, dims of `gradient` without direction
        float32 or float64 as `gradient`. In memory, with gaps or weights, its attrs
        hold the number of ``iterations`` and the ``residual`` they left (the largest
        over all bands).
    Dataset, if `residual`
        The field, ``curl_residual`` (root mean square of the part of the gradient that
        is no gradient of a field), ``iterations`` and ``residual``, one for each band.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type, or an axis is too short; if
        the anchor has no value, or is where the gradient says nothing (found when that
        is computed).
    CoordinateError
        If a coordinate is missing or not strictly monotonic.

    Notes
    -----
    .. math:: \min_\phi \sum_k \| D_k \phi - g_k \|^2

    Where the gradient is complete, with :math:`D_k^T D_k = V_k \Lambda_k V_k^T`,

    .. math:: \phi = V \left( V^T \left( \sum_k D_k^T g_k \right)
              / \left( \sum_k \Lambda_k \right) \right)

    with :math:`V` all :math:`V_k` in turn [1]_, [2]_, and once more for what rounding
    left of it. The fields without a gradient are found from the eigenvalues: constants,
    and on periodic axes of even length a checkerboard; the result has no part of them.

    Central differences hardly see a checkerboard either: in measured gradients its
    noise is as large as that of the longest waves. ``scheme="compact"`` has no such
    fields [3]_, at the price of a truncation error of second order.

    Components count by their numbers: bring coordinates to comparable units first, or
    give weights, where one is in centimetres and the other in degrees.

    **Missing values:** NaN, Inf and zero weights take no part; conjugate gradients are
    preconditioned by the solution on the whole grid. Each region that nothing ties to
    the others has a mean of zero, that of the anchor excepted; samples of which the
    gradient says nothing are NaN.
    **Chunks:** lazy; the grid of the directions becomes one chunk, other dims keep
    theirs. **Cost:** an eigenvalue problem for each axis, done once; four dense and
    four sparse contractions for each coordinate, with gaps for each iteration two of
    each.

    References
    ----------
    .. [1] Lynch, R. E., Rice, J. R. and Thomas, D. H. (1964), Numerische
       Mathematik 6, 185-199.
    .. [2] Harker, M. and O'Leary, P. (2015), J. Math. Imaging Vis. 51, 46-70.
    .. [3] Southwell, W. H. (1980), J. Opt. Soc. Am. 70, 998-1006.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> y = xr.DataArray([0.0, 1.0, 3.0, 4.0], dims="y", coords={"y": [0, 1, 3, 4]})
    >>> x = xr.DataArray([0.0, 2.0, 3.0], dims="x", coords={"x": [0, 2, 3]})
    >>> z = y**2 + x * y
    >>> back = ck.integrate_gradient(ck.gradient(z), anchor=z.sel(y=0, x=0))
    >>> bool(abs(back - z).max() < 1e-12)
    True
    """
    names = _names(gradient)
    if METRIC in gradient.attrs:
        raise ValueError(
            f"{_NAME}: the gradient is per metre on {gradient.attrs[METRIC]}. It is "
            "integrated along the axes of the cube, which are in degrees. Take the "
            "gradient without geographic=True."
        )
    require_real(gradient, _NAME)
    require_positive(_NAME, "tolerance", tolerance)
    require_integer(_NAME, "max_iterations", max_iterations, 1)
    if scheme not in ("same", "compact"):
        raise ValueError(
            f"{_NAME}: scheme={scheme!r} is unknown. The operators are those of the "
            'gradient, or compact. Use scheme="same" or scheme="compact".'
        )
    axes = [Axis.from_cube(gradient, name) for name in names]
    dims = [axis.dim for axis in axes]
    build = functools.partial(
        _compact if scheme == "compact" else _same,
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
    )
    periods = require_periods(_NAME, periodic, names)
    pairs = [build(axis, period=periods.get(axis.name)) for axis in axes]
    solver = GradientSolver(tuple(pairs), float(tolerance), int(max_iterations))
    place = None if anchor is None else _place(anchor, axes)
    grid = ["direction", *dims]
    whole = gradient.drop_vars(list(gradient.coords))
    optional: dict[str, xr.DataArray] = {}
    if weights is not None:
        optional["weights"] = _checked_weights(weights, whole, names, grid)
    if anchor is not None:
        optional["anchor"] = anchor.drop_vars(list(anchor.coords))
    if gradient.chunks is not None:
        whole = whole.chunk(dict.fromkeys(grid, -1))
    dtype = np.result_type(gradient.dtype, np.float32)
    core = {"weights": grid, "anchor": []}
    field: xr.DataArray
    field, iterations, left, curl = xr.apply_ufunc(
        _solve,
        whole,
        *optional.values(),
        input_core_dims=[grid, *(core[name] for name in optional)],
        output_core_dims=[dims, [], [], []],
        dask="parallelized",
        output_dtypes=[dtype, np.int64, np.float64, np.float64],
        kwargs={
            "solver": solver,
            "place": place,
            "given": list(optional),
            "inconsistency": residual,
        },
    )
    field = field.transpose(*(d for d in gradient.dims if d != "direction"))
    kept = {
        k: c.variable.copy(deep=False)
        for k, c in gradient.coords.items()
        if "direction" not in c.dims
    }
    field = field.assign_coords(kept)
    field.name = gradient.name
    field.attrs = derived_attrs(gradient, _units(gradient, axes))
    if residual:
        others = {k: v for k, v in kept.items() if not set(v.dims) & set(dims)}
        curl.attrs = {} if units_of(gradient) is None else {"units": units_of(gradient)}
        found = {"curl_residual": curl, "iterations": iterations, "residual": left}
        return xr.Dataset(
            {
                gradient.name or "field": field,
                **{name: part.assign_coords(others) for name, part in found.items()},
            }
        )
    if gradient.chunks is None and iterations.size and int(iterations.max()):
        field.attrs["iterations"] = int(iterations.max())
        field.attrs["residual"] = float(left.max())
    return field


def _solve(
    gradient: npt.NDArray[Any],
    *extra: npt.NDArray[Any],
    solver: GradientSolver,
    place: tuple[int, ...] | None,
    given: list[str],
    inconsistency: bool,
) -> tuple[npt.NDArray[Any], ...]:
    """Fields of gradients, (..., direction, *grid), and how they were found."""
    count = len(solver.axes)
    others, grid = gradient.shape[: -count - 1], gradient.shape[-count:]
    options = dict(zip(given, extra, strict=True))
    field = np.empty((*others, *grid), np.result_type(gradient.dtype, np.float32))
    iterations = np.zeros(others, np.int64)
    residual, curl = np.zeros(others), np.zeros(others)
    values = np.broadcast_to(options.get("anchor", 0.0), others)
    for band in np.ndindex(others):  # one at a time: in float64 they are large
        part = np.asarray(gradient[band], np.float64)
        if "weights" not in options and np.isfinite(part).all():
            found = Solution(solver.solve(part[None])[0])
            weight = None
        else:
            weight = np.isfinite(part).astype(np.float64)
            if "weights" in options:
                given_here = options["weights"]
                weight *= np.broadcast_to(given_here, gradient.shape)[band]
            found = solver.solve_weighted(part, weight)
            iterations[band], residual[band] = found.iterations, found.residual
        if inconsistency:
            curl[band] = solver.inconsistency(part, found.field, weight)
        if place is not None:
            if np.isnan(found.field[place]) and not np.isnan(found.field).all():
                raise ValueError(
                    f"{_NAME}: the anchor is at a sample of which the gradient says "
                    "nothing. The field would not be tied to it. Take an anchor where "
                    "the gradient has values."
                )
            shift = values[band] - found.field[place]
            one = ... if found.region is None else found.region == found.region[place]
            found.field[one] += shift
        field[band] = found.field
    return field, iterations, residual, curl


def _names(gradient: xr.DataArray) -> list[str]:
    """Names of the directions of a gradient, in its order."""
    if isinstance(gradient, xr.DataArray) and "direction" in gradient.indexes:
        names = [str(name) for name in gradient.indexes["direction"]]
        if len(set(names)) == len(names):
            return names
    raise ValueError(
        f"{_NAME}: the gradient has no dim 'direction' whose labels all differ. Each "
        "component is named after its coordinate, as by gradient. Build it: "
        'xr.concat([g_y, g_x], xr.Variable("direction", ["y", "x"])).'
    )


def _same(
    axis: Axis, *, accuracy: int, edge_accuracy: int | None, period: float | None
) -> AxisPair:
    """Operators of `gradient` along an axis; bad bands are gaps of the gradient."""
    operator = derivative_operator(
        dataclasses.replace(axis, good=None),
        accuracy=accuracy,
        edge_accuracy=edge_accuracy,
        period=period,
    )
    return AxisPair(operator.matrix, None, axis.values)


def _compact(
    axis: Axis, *, accuracy: int, edge_accuracy: int | None, period: float | None
) -> AxisPair:
    """Differences of neighbours along an axis, and means of two."""
    if accuracy != 2 or edge_accuracy is not None:
        raise ValueError(
            f'{_NAME}: accuracy={accuracy} is given with scheme="compact". That has an '
            'error of second order. Leave it out, or use scheme="same".'
        )
    x = axis.values
    if len(x) < 2:
        raise ValueError(
            f"{_NAME}: coordinate {axis.name!r} has {len(x)} samples. A difference "
            "needs 2. Leave this direction out."
        )
    here, there = np.arange(len(x) - 1), np.arange(1, len(x))
    step = np.diff(x)
    if period is not None:
        here, there = np.append(here, len(x) - 1), np.append(there, 0)
        turn = checked_period(_NAME, axis, period) * np.sign(step[0])
        step = np.append(step, x[0] + turn - x[-1])
    equation = np.arange(len(here))
    places = (np.tile(equation, 2), np.concatenate([here, there]))
    shape = (len(here), len(x))
    slope = np.concatenate([-1 / step, 1 / step])
    difference = sparse.coo_array((slope, places), shape).tocsr()
    mean = sparse.coo_array((np.full(2 * len(here), 0.5), places), shape).tocsr()
    return AxisPair(difference, mean, x)


def _place(anchor: xr.DataArray, axes: list[Axis]) -> tuple[int, ...]:
    """Sample that the scalar coordinates of an anchor name."""
    if not isinstance(anchor, xr.DataArray):
        raise TypeError(
            f"{_NAME}: anchor={anchor!r} is a {type(anchor).__name__}. It is a value "
            "and the place where it is. Select it from a field: "
            "anchor=field.sel(y=0, x=0)."
        )
    if anchor.chunks is None and not np.isfinite(anchor.values).any():
        raise ValueError(
            f"{_NAME}: the anchor is {anchor.values.ravel()[:1]}. It says how high the "
            "field is, so it must have a value. Select it where the field has one."
        )
    place = []
    for axis in axes:
        if axis.name not in anchor.coords or anchor.coords[axis.name].ndim:
            raise CoordinateError(
                f"{_NAME}: the anchor has no single value of {axis.name!r}. Its scalar "
                "coordinates say where it is. Select it from a field: "
                f"anchor=field.sel({axis.name}=...)."
            )
        where = anchor.coords[axis.name].values
        if where.dtype.kind == "M":
            raise CoordinateError(
                f"{_NAME}: the anchor is at the time {where}. Times count in seconds "
                "since the first sample here. Assign numbers to the coordinate first."
            )
        nearest = int(np.abs(axis.values - where).argmin())
        if axis.values[nearest] != where:
            raise CoordinateError(
                f"{_NAME}: the anchor is at {axis.name} = {where:g}. The nearest "
                f"sample is at {axis.values[nearest]:g}. Select it: "
                f'anchor=field.sel({axis.name}={where:g}, method="nearest").'
            )
        place.append(nearest)
    return tuple(place)


def _checked_weights(
    weights: xr.DataArray, whole: xr.DataArray, names: list[str], grid: list[str]
) -> xr.DataArray:
    """Weights with all dims of the grid, in the order of the gradient."""
    if not isinstance(weights, xr.DataArray) or not set(weights.dims) <= set(
        whole.dims
    ):
        found = getattr(weights, "dims", type(weights).__name__)
        raise ValueError(
            f"{_NAME}: the weights have dims {found!r}. The gradient has "
            f"{tuple(whole.dims)!r}. Give a DataArray with some of them."
        )
    if "direction" in weights.indexes:
        weights = weights.sel(direction=names)
    bare = weights.drop_vars(list(weights.coords))
    for dim, size in bare.sizes.items():
        if size != whole.sizes[dim]:
            raise ValueError(
                f"{_NAME}: the weights have {size} samples of {dim!r}. The gradient "
                f"has {whole.sizes[dim]}. Select the same."
            )
    lacking = {d: whole.sizes[d] for d in grid if d not in bare.dims}
    bare = bare.expand_dims(lacking)
    if bare.chunks is not None:
        return bare.chunk(dict.fromkeys(grid, -1))
    if not (np.asarray(bare.values) >= 0).all():
        raise ValueError(
            f"{_NAME}: the weights are not all zero or more (the least is "
            f"{np.min(bare.values):g}). A weight says how much a value counts. Use "
            "zero for not at all."
        )
    return bare


def _units(gradient: xr.DataArray, axes: list[Axis]) -> str | None:
    """Units of the field: those of the gradient times those of the coordinates."""
    found = set()
    for k, axis in enumerate(axes):
        units = units_of(gradient)
        if "units" in gradient.coords and gradient.coords["units"].dims == (
            "direction",
        ):
            units = str(gradient.coords["units"].values[k]) or None
        found.add(derivative_units(units, axis.units, -1))
    return found.pop() if len(found) == 1 else None
