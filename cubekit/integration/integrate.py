"""Fields from their gradients, by least squares on the operators of `gradient`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit import kernels
from cubekit.arguments import (
    require_integer,
    require_periods,
    require_positive,
    require_real,
)
from cubekit.axis import Axis, derivative_units
from cubekit.integration.conditions import (
    anchor_place,
    checked_weights,
    require_weights,
)
from cubekit.integration.degrees import per_degree, units_of_components
from cubekit.integration.equations import compact_equations, same_equations
from cubekit.integration.normal import NormalEquations
from cubekit.integration.solver import GradientSolver, Solution
from cubekit.operators.attributes import METRIC, derived_attrs, units_of
from cubekit.warned import warn_caller

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
    geographic: bool = False,
    residual: bool = False,
    tolerance: float = 1e-11,
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
    geographic : bool, default False
        Whether the gradient is per metre on the WGS84 ellipsoid, as that of
        ``cubekit.gradient(..., geographic=True)``.
    residual : bool, default False
        Whether to return what no field explains, too.
    tolerance : float, default 1e-11
        Of conjugate gradients: at which reduction of the residual they stop.
    max_iterations : int, default 500
        Of conjugate gradients.

    Returns
    -------
    DataArray, dims of `gradient` without direction
        float32 or float64 as `gradient`. In memory, with gaps or weights, its attrs
        hold the number of ``iterations`` and the ``residual`` they left (the largest
        over all bands). Attrs cannot wait for a computation: of a lazy result take
        ``residual=True``, which gives both for each band, lazily.
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

    Warns
    -----
    RuntimeWarning
        If conjugate gradients stop before they reach the tolerance, for a lazy result
        when it is computed.

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
    give weights, where one is in centimetres and the other in degrees. A geographic
    gradient is brought to degrees, and its components count by that.

    **Missing values:** NaN, Inf and zero weights take no part; conjugate gradients are
    preconditioned by the solution on the whole grid, smoothed between the gaps. Each
    region that nothing ties to the others has a mean of zero, that of the anchor
    excepted; samples of which the gradient says nothing are NaN. What central
    differences leave open in a region away from the edges, a checkerboard, is set by
    the mean of the gradient between neighbours.
    Coast lines as rough as a few samples take more than a hundred iterations.
    **Chunks:** lazy; the grid of the directions becomes one chunk; other dims keep
    theirs, or are cut, with a warning, where chunks would be too large. **Cost:** an
    eigenvalue problem for each axis, done once; four dense and four sparse contractions
    for each coordinate, with gaps for each iteration two dense and about seventy sparse
    ones.

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
    require_real(gradient, _NAME)
    names = _names(gradient)
    if METRIC in gradient.attrs and not geographic:
        raise ValueError(
            f"{_NAME}: the gradient is per metre on {gradient.attrs[METRIC]}. The axes "
            "of the cube are in degrees. Use geographic=True."
        )
    require_positive(_NAME, "tolerance", tolerance)
    require_integer(_NAME, "max_iterations", max_iterations, 1)
    if scheme not in ("same", "compact"):
        raise ValueError(
            f"{_NAME}: scheme={scheme!r} is unknown. The operators are those of the "
            'gradient, or compact. Use scheme="same" or scheme="compact".'
        )
    axes = [Axis.from_cube(gradient, name) for name in names]
    if geographic:
        gradient = per_degree(gradient, axes)
    dims = [axis.dim for axis in axes]
    equations = compact_equations if scheme == "compact" else same_equations
    periods = require_periods(_NAME, periodic, names)
    pairs = [
        equations(axis, accuracy, edge_accuracy, periods.get(axis.name))
        for axis in axes
    ]
    solver = GradientSolver(
        NormalEquations(tuple(pairs)), float(tolerance), int(max_iterations)
    )
    place = None if anchor is None else anchor_place(anchor, axes)
    grid = ["direction", *dims]
    whole = gradient.drop_vars(list(gradient.coords))
    optional: dict[str, xr.DataArray] = {}
    if weights is not None:
        optional["weights"] = checked_weights(weights, whole, names, grid)
    if anchor is not None:
        optional["anchor"] = anchor.drop_vars(list(anchor.coords))
    if gradient.chunks is not None:
        along = [whole.get_axis_num(dim) for dim in grid]
        data = kernels.whole_along(whole.data, along, _NAME, layout="images")
        whole = whole.copy(data=data)
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
    if iterations.chunks is None and iterations.size and int(iterations.max()):
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
    count = len(solver.equations.axes)
    others, grid = gradient.shape[: -count - 1], gradient.shape[-count:]
    options = dict(zip(given, extra, strict=True))
    field = np.empty((*others, *grid), np.result_type(gradient.dtype, np.float32))
    iterations = np.zeros(others, np.int64)
    residual, curl = np.zeros(others), np.zeros(others)
    values = np.broadcast_to(options.get("anchor", 0.0), others)
    for band in np.ndindex(others):  # one at a time: in float64 they are large
        part = gradient[band]
        weight = np.isfinite(part)
        if "weights" in options:
            here = np.broadcast_to(options["weights"], gradient.shape)[band]
            require_weights(here)
            weight = np.where(weight, here, 0)
        if "weights" not in options and weight.all():
            found = Solution(solver.solve(part))
            weight = None
        else:
            found = solver.solve_weighted(part, weight)
            iterations[band], residual[band] = found.iterations, found.residual
            if found.residual > solver.tolerance:
                warn_caller(
                    f"{_NAME}: conjugate gradients stopped after {found.iterations} "
                    f"iterations at a residual of {found.residual:.1e}; the tolerance "
                    f"is {solver.tolerance:g}. Bring the coordinates to steps of like "
                    "size, or raise max_iterations or tolerance.",
                    RuntimeWarning,
                )
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


def _units(gradient: xr.DataArray, axes: list[Axis]) -> str | None:
    """Units of the field: those of the gradient times those of the coordinates."""
    found = {
        derivative_units(units, axis.units, -1)
        for units, axis in zip(units_of_components(gradient), axes, strict=True)
    }
    return found.pop() if len(found) == 1 else None
