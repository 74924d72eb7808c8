"""The directions of a derivative in space: axes, their operators, units and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse

from cubekit.arguments import require_periods, require_real
from cubekit.axis import Axis, derivative_units
from cubekit.errors import AxisMismatchError, CoordinateError
from cubekit.operators import AxisOperator, derivative_operator
from cubekit.operators.attributes import derived_attrs, units_of
from cubekit.operators.metric import Metric, latitude_and_longitude, metric_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cubekit.kernels import Component

__all__ = ["Directions", "plain_units", "require_coords"]


@dataclasses.dataclass(frozen=True)
class Directions:
    """Axes of a cube to differentiate along, and how.

    ``first(k)`` and ``second(j, k)`` are the derivatives, as components for
    `cubekit.kernels.contract_each`.
    """

    function: str
    cube: xr.DataArray
    axes: list[Axis]
    accuracy: int = 2
    edge_accuracy: int | None = None
    periods: dict[str, float] = dataclasses.field(default_factory=dict)
    latitude: int = -1  # positions in `axes`, of geographic directions
    longitude: int = -1
    _cache: dict[Any, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        function: str,
        cube: xr.DataArray,
        coords: Sequence[str],
        *,
        accuracy: int = 2,
        edge_accuracy: int | None = None,
        periodic: Mapping[str, float] | None = None,
        geographic: bool = False,
    ) -> Directions:
        """Directions along some coordinates of a cube, checked."""
        names = require_coords(function, cube, coords)
        require_real(cube, function)
        axes = [Axis.from_cube(cube, name) for name in names]
        dims = [axis.dim for axis in axes]
        if len(set(dims)) < len(dims):
            raise CoordinateError(
                f"{function}: coords={names!r} lie on dims {dims!r}. Each direction "
                "needs a dim of its own. Leave one of them out."
            )
        periods = require_periods(function, periodic, names)
        latitude = longitude = -1
        if geographic:
            latitude, longitude = latitude_and_longitude(cube, names, function)
        return cls(
            function,
            cube,
            axes,
            accuracy,
            edge_accuracy,
            periods,
            latitude,
            longitude,
        )

    @property
    def names(self) -> list[str]:
        """Names of the coordinates."""
        return [axis.name for axis in self.axes]

    def number(self, k: int) -> int:
        """Position of a direction among the axes of the cube."""
        return int(self.cube.get_axis_num(self.axes[k].dim))

    def operator(self, k: int, order: int) -> AxisOperator:
        """Derivative along a direction, per unit of its coordinate."""
        if (k, order) not in self._cache:
            self._cache[k, order] = derivative_operator(
                self.axes[k],
                order,
                accuracy=self.accuracy,
                edge_accuracy=self.edge_accuracy,
                period=self.periods.get(self.axes[k].name),
            )
        operator: AxisOperator = self._cache[k, order]
        return operator

    @property
    def metric(self) -> Metric:
        """Lengths of a degree along the axis of latitude."""
        return metric_at(self.axes[self.latitude].values)

    def first(self, k: int) -> Component:
        """First derivative along a direction."""
        if k == self.latitude:
            return ((self._along_latitude("north"),),)
        along = (self.operator(k, 1).matrix, self.number(k))
        if k == self.longitude:
            return ((along, self._along_latitude("east")),)
        return ((along,),)

    def second(self, j: int, k: int, scheme: str = "compact") -> Component:
        """Second derivative along two directions, ``j <= k``.

        On a sphere or ellipsoid it is the covariant one, in the local frame of north
        and east, so that its trace is the Laplacian.
        """
        pair = {j, k}
        if pair == {self.latitude}:
            return ((self._along_latitude("north2"),),)
        if pair == {self.longitude}:
            along = (self.operator(j, 2).matrix, self.number(j))
            return (
                (along, self._along_latitude("east2")),
                (self._along_latitude("turning"),),
            )
        if pair == {self.latitude, self.longitude}:
            east = self.longitude
            along = (self.operator(east, 1).matrix, self.number(east))
            return ((along, self._along_latitude("mixed")),)
        if j == k and scheme == "compact":
            return (((self.operator(j, 2).matrix, self.number(j)),),)
        return ((*self.first(j)[0], *self.first(k)[0]),)

    def flux(self, k: int) -> Component:
        """Contribution of a component of a vector field to its divergence."""
        if k == self.latitude:
            return ((self._along_latitude("flux"),),)
        return self.first(k)

    def _along_latitude(self, what: str) -> tuple[sparse.csr_array, int]:
        r"""Matrices along the latitude that carry the metric.

        With :math:`m` and :math:`e` the lengths of a degree north and east and a prime
        for the derivative with respect to the latitude:
        """
        number = self.number(self.latitude)
        if what in self._cache:
            return self._cache[what], number
        m, e, dm, de = self.metric
        first = self.operator(self.latitude, 1).matrix
        if what == "north":  # f' / m
            matrix = _scaled(first, 1 / m)
        elif what == "east":  # 1 / e
            matrix = sparse.diags_array(1 / e).tocsr()
        elif what == "east2":  # 1 / e^2
            matrix = sparse.diags_array(1 / e**2).tocsr()
        elif what == "turning":  # e' f' / (e m^2)
            matrix = _scaled(first, de / (e * m**2))
        elif what == "north2":  # f'' / m^2 - m' f' / m^3
            second = self.operator(self.latitude, 2).matrix
            matrix = _sum(_scaled(second, 1 / m**2), _scaled(first, -dm / m**3))
        elif (
            what == "mixed"
        ):  # (f' - f e' / e) / (m e), of a derivative along longitude
            turn = sparse.diags_array(-de / e).tocsr()
            matrix = _scaled(_sum(first, turn), 1 / (m * e))
        else:  # flux: (e f)' / (m e)
            ring = np.where(np.isnan(e), 0, e)  # a circle about the pole has no length
            matrix = _scaled(first, 1 / (m * e))
            matrix.data *= ring[matrix.indices]
        self._cache[what] = matrix
        return matrix, number

    def units(self, *orders: int) -> str | None:
        """Units of a derivative of the cube, of some order along each direction."""
        units = units_of(self.cube)
        for k, order in enumerate(orders):
            units = derivative_units(units, self.axis_units(k), order)
        return units

    def axis_units(self, k: int) -> str | None:
        """Units that a first derivative is taken per."""
        if k in (self.latitude, self.longitude) and self.latitude >= 0:
            return "m"
        return self.axes[k].units

    def require_one_unit(self) -> None:
        """Raise unless the directions can be added: their units agree."""
        found = {
            axis.name: plain_units(units)
            for k, axis in enumerate(self.axes)
            if (units := self.axis_units(k)) is not None
        }
        if len(set(found.values())) > 1:
            said = ", ".join(f"{name!r} in {units}" for name, units in found.items())
            name = list(found)[-1]
            raise AxisMismatchError(
                f"{self.function}: the directions are added up. They have different "
                f"units: {said}. Convert one: "
                f"cube.assign_coords({name}=cube[{name!r}] * factor), with new units "
                "in its attrs."
            )

    def single(self, data: Any, units: str | None) -> xr.DataArray:
        """Cube of one quantity, with the dims of the cube."""
        cube = self.cube
        return xr.DataArray(
            data, self._coords(), cube.dims, cube.name, derived_attrs(cube, units)
        )

    def stacked(self, data: Any, dim: str, units: str | None) -> xr.DataArray:
        """Cube of several quantities of one kind, on a leading dim."""
        self._require_free(dim)
        return xr.DataArray(
            data,
            self._coords(),
            (dim, *self.cube.dims),
            self.cube.name,
            derived_attrs(self.cube, units),
        )

    def labelled(self, data: Any, order: int) -> xr.DataArray:
        """Cube with a leading dim of directions for each order of the derivative."""
        dims = ["direction", "direction_2"][:order]
        for dim in dims:
            self._require_free(dim)
        count = len(self.axes)
        units = np.empty((count,) * order, object)
        for place in np.ndindex(units.shape):
            units[place] = self.units(*(place.count(k) for k in range(count)))
        coords: dict[Hashable, Any] = {
            **self._coords(),
            **{dim: (dim, self.names) for dim in dims},
        }
        agree = len({plain_units(u) for u in units.flat}) == 1
        if not agree:
            text = ["" if u is None else u for u in units.flat]
            coords["units"] = (dims, np.reshape(text, units.shape))
        one = units.flat[0] if agree else None
        return xr.DataArray(
            data,
            coords,
            (*dims, *self.cube.dims),
            self.cube.name,
            derived_attrs(self.cube, one),
        )

    def _coords(self) -> dict[Hashable, Any]:
        return {k: c.variable.copy(deep=False) for k, c in self.cube.coords.items()}

    def _require_free(self, dim: str) -> None:
        if dim in self.cube.dims or dim in self.cube.coords:
            raise ValueError(
                f"{self.function}: the result has a dim {dim!r}. The cube has one "
                f'already. Rename that first: cube.rename({dim}="component").'
            )


def require_coords(
    function: str, cube: xr.DataArray, coords: Sequence[str]
) -> list[str]:
    """Names of coordinates as a list; raise if there are none, or one twice."""
    names = [coords] if isinstance(coords, str) else list(coords)
    for name in names:
        if not isinstance(name, Hashable):
            raise TypeError(
                f"{function}: {name!r} is a {type(name).__name__}. The name of one "
                f'coordinate is needed. Use for example {function}(cube, "y").'
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"{function}: coords={coords!r} names {len(names)} directions, "
            f"{len(set(names))} of them different. Each is a coordinate of the cube. "
            'Use for example coords=("y", "x").'
        )
    for name in names:
        if isinstance(cube, xr.DataArray) and name in cube.coords:
            found = cube.coords[name]
            if found.ndim == 2:
                both = tuple(n for n, c in cube.coords.items() if c.dims == found.dims)
                pair = tuple(names) if len(names) == 2 else both
                raise CoordinateError(
                    f"{function}: coordinate {name!r} has dims {found.dims}, a place "
                    "for each sample. Derivatives along it need both coordinates of "
                    f"the plane: gradient(cube, {pair!r}, curvilinear=True)."
                )
    return names


def plain_units(units: str | None) -> str | None:
    """Units without the compass: degrees_north and degrees_east can be added."""
    if units is None:
        return None
    for degrees in ("degrees_north", "degrees_east", "degree_north", "degree_east"):
        units = units.replace(degrees, "degrees")
    return units


def _scaled(
    matrix: sparse.csr_array, factor: npt.NDArray[np.float64]
) -> sparse.csr_array:
    """Rows of a matrix times a factor each, explicit zeros kept."""
    data = matrix.data * np.repeat(factor, np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), matrix.shape)


def _sum(a: sparse.csr_array, b: sparse.csr_array) -> sparse.csr_array:
    """Sum of two matrices, explicit zeros kept."""
    row = [np.repeat(np.arange(m.shape[0]), np.diff(m.indptr)) for m in (a, b)]
    entries = np.concatenate([a.data, b.data])
    places = (np.concatenate(row), np.concatenate([a.indices, b.indices]))
    return sparse.coo_array((entries, places), a.shape).tocsr()
