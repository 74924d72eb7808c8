"""Axis: one strictly monotonic coordinate, read from a cube, checked and compared."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_dataarray
from cubekit.axis.coordinates import (
    companion,
    coordinate,
    flags,
    numbers,
    seconds,
    spectral_coordinate,
)
from cubekit.axis.gaps import wide_steps
from cubekit.axis.units import differ
from cubekit.errors import AxisMismatchError, CoordinateError

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Axis", "require_axis"]


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """One-dimensional coordinate of a cube: where the samples along a dim really are.

    Parameters
    ----------
    dim : str
        The dim it belongs to.
    values : array, (dim,)
        Strictly increasing or strictly decreasing, finite.
    name : str, optional
        Name of the coordinate; that of the dim if not given.
    units : str, optional
        Units of `values`.
    good : array of bool, (dim,), optional
        False where the sample is a bad band; all good if not given.
    fwhm : array, (dim,), optional
        Full width at half maximum of the response of each band, in `units`.
    long_name : str, optional
        What it is called on the axis of a picture; no part of a comparison.

    Raises
    ------
    CoordinateError
        If the values are not finite, numeric and strictly monotonic.

    Notes
    -----
    **Missing values:** none allowed. **Chunks:** values are in memory. **Cost:** none.

    Examples
    --------
    >>> import cubekit as ck
    >>> ck.Axis("wavelength", [400.0, 410.0, 425.0], units="nm")
    <Axis 'wavelength': 3 samples, 400 to 425 nm>
    """

    dim: str
    values: npt.NDArray[np.float64]
    name: str = ""
    units: str | None = None
    good: npt.NDArray[np.bool_] | None = None
    fwhm: npt.NDArray[np.float64] | None = None
    long_name: str | None = None

    def __post_init__(self) -> None:
        """Check the values, make them float64 and read-only."""
        name = self.name or self.dim
        object.__setattr__(self, "name", name)
        values = _checked_values(self.dim, name, np.asarray(self.values), self.units)
        object.__setattr__(self, "values", values)
        for field, dtype in (("good", np.bool_), ("fwhm", np.float64)):
            given = getattr(self, field)
            if given is None:
                continue
            extra = np.array(given, dtype)
            if extra.shape != values.shape:
                raise CoordinateError(
                    f"{field} of axis {name!r} has shape {extra.shape}. The axis has "
                    f"{len(values)} samples. Give one value for each."
                )
            extra.flags.writeable = False
            object.__setattr__(self, field, extra)

    @classmethod
    def from_cube(cls, cube: xr.DataArray, coord: Hashable | None = None) -> Axis:
        """Axis of a cube along one coordinate.

        Parameters
        ----------
        cube : DataArray
            Any cube with a one-dimensional coordinate.
        coord : str, optional
            Name of the coordinate. If not given, the spectral coordinate is found by
            its CF ``standard_name``, then by its name, then by its units.

        Returns
        -------
        Axis
            With `good` from the coordinate ``good_band`` and `fwhm` from ``fwhm``,
            where the cube has them on the same dim.

        Raises
        ------
        CoordinateError
            If there is no such coordinate, several could be meant, or its values are
            not strictly monotonic.
        TypeError
            If `cube` is not a DataArray.

        Notes
        -----
        **Missing values:** refused. **Chunks:** only the coordinate is read.
        **Cost:** none.
        """
        require_dataarray(cube)
        name = spectral_coordinate(cube) if coord is None else coord
        variable = coordinate(cube, name)
        dim = variable.dims[0]
        units, long_name = (variable.attrs.get(k) for k in ("units", "long_name"))
        return cls(
            dim=str(dim),
            name=str(name),
            values=numbers(str(name), variable.values),
            units=seconds(variable.dtype) or (None if units is None else str(units)),
            good=flags(companion(cube, "good_band", dim)),
            fwhm=companion(cube, "fwhm", dim),
            long_name=None if long_name is None else str(long_name),
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def __repr__(self) -> str:
        """Return dim, number of samples, range and units."""
        label = (
            repr(self.dim) if self.name == self.dim else f"{self.name!r} ({self.dim})"
        )
        span = f"{self.values[0]:g} to {self.values[-1]:g}"
        bad = "" if self.good is None else f", {np.count_nonzero(~self.good)} bad"
        unit = f" {self.units}" if self.units else ""
        return f"<Axis {label}: {len(self)} samples, {span}{unit}{bad}>"

    def __eq__(self, other: object) -> bool:
        """Return whether dim, values and (where both are known) units are equal."""
        if not isinstance(other, Axis):
            return NotImplemented
        return self.difference(other) is None

    def __hash__(self) -> int:
        """Return a hash of dim and values."""
        return hash((self.dim, self.values.tobytes()))

    @property
    def is_descending(self) -> bool:
        """Whether the values decrease."""
        return len(self) > 1 and bool(self.values[1] < self.values[0])

    @property
    def good_samples(self) -> npt.NDArray[np.intp]:
        """Positions of the good samples, by ascending coordinate."""
        good = np.ones(len(self), np.bool_) if self.good is None else self.good
        positions = np.flatnonzero(good)
        return positions[::-1] if self.is_descending else positions

    def segments(self, max_gap: float | Literal["auto"] = "auto") -> list[slice]:
        """Stretches of the axis between its gaps.

        Parameters
        ----------
        max_gap : float or "auto", default "auto"
            A wider step between neighbouring good samples is a gap. "auto" takes 4
            times the median of the 11 steps about it.

        Returns
        -------
        list of slice
            Positions, each from a good sample to a good sample; bad bands between
            segments belong to none.

        Raises
        ------
        ValueError, TypeError
            If `max_gap` is neither a positive number nor "auto".

        Notes
        -----
        **Missing values:** bad bands have no place in a step. **Chunks:** none.
        **Cost:** none.

        Examples
        --------
        >>> import cubekit as ck
        >>> axis = ck.Axis("wavelength", [400.0, 410.0, 420.0, 500.0, 510.0])
        >>> axis.segments()
        [slice(0, 3, None), slice(3, 5, None)]
        """
        samples = np.sort(self.good_samples)
        if not len(samples):
            return []
        wide = wide_steps(self.values[samples], max_gap, "segments")
        first = samples[np.concatenate([[True], wide])]
        last = samples[np.concatenate([wide, [True]])]
        return [
            slice(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)
        ]

    def difference(self, other: Axis) -> str | None:
        """Say in words how `other` differs from this axis; None if it does not."""
        if self.dim != other.dim:
            return f"the dim is {self.dim!r} in one, {other.dim!r} in the other"
        if len(self) != len(other):
            return (
                f"axis {self.dim!r} has {len(self)} samples, "
                f"the other gives {len(other)}"
            )
        if differ(self.units, other.units):
            return (
                f"{self.name!r} is in {self.units} in one, {other.units} in the other"
            )
        if not np.array_equal(self.values, other.values):
            apart = np.abs(self.values - other.values)
            worst = int(apart.argmax())
            unit = f" {self.units or other.units or ''}".rstrip()
            return (
                f"{self.name!r} differs by up to {apart[worst]:.2g}{unit} (at {worst})"
            )
        return None

    def require_equal(self, other: Axis, doing: str, remedy: str) -> None:
        """Raise AxisMismatchError, with what was being done, unless axes agree."""
        found = self.difference(other)
        if found is not None:
            raise AxisMismatchError(f"cannot {doing}: {found}. {remedy}")

    def isel(self, index: npt.NDArray[np.integer] | slice) -> Axis:
        """Axis of some of the samples."""
        return dataclasses.replace(
            self,
            values=self.values[index],
            good=None if self.good is None else self.good[index],
            fwhm=None if self.fwhm is None else self.fwhm[index],
        )

    def to_coords(self) -> dict[str, xr.Variable]:
        """Coordinate variables for a cube that has this axis."""
        attrs = {} if self.units is None else {"units": self.units}
        named = {} if self.long_name is None else {"long_name": self.long_name}
        coords = {self.name: xr.Variable(self.dim, self.values, {**named, **attrs})}
        if self.good is not None:
            coords["good_band"] = xr.Variable(self.dim, self.good)
        if self.fwhm is not None:
            coords["fwhm"] = xr.Variable(self.dim, self.fwhm, attrs)
        return coords


def require_axis(function: str, axis: Any) -> None:
    """Raise unless what an operator is to be built from is an Axis."""
    if not isinstance(axis, Axis):
        raise TypeError(
            f"{function}: a {type(axis).__qualname__} is no Axis. An operator needs to "
            "know where the samples are. Build one: Axis.from_cube(cube)."
        )


def _checked_values(
    dim: str, name: str, given: npt.NDArray[Any], units: str | None
) -> npt.NDArray[np.float64]:
    label = f"coordinate {name!r}"
    if given.ndim != 1:
        raise CoordinateError(
            f"{label} has {given.ndim} dimensions. An axis needs one value for each "
            f"sample of {dim!r}."
        )
    if not given.size:
        raise CoordinateError(
            f"{label} has no samples. An axis needs one at least. Look at what was "
            "selected: the cube is empty."
        )
    values = np.array(numbers(name, given), np.float64)
    values.flags.writeable = False
    unit = f" {units}" if units else ""
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise CoordinateError(
            f"{label} is {values[bad]} at {bad}. Every sample needs a place on the "
            f"axis. Drop it: cube.isel({dim}=np.isfinite(cube[{name!r}].values))."
        )
    # a dim with no coordinate of its own has no duplicates to drop
    swap = "" if name == dim else f'.swap_dims({{"{dim}": "{name}"}})'
    unique = f'{swap}.drop_duplicates("{name}")'
    step = np.diff(values)
    if (step > 0).all() or (step < 0).all():
        return values
    sign = 1 if np.count_nonzero(step > 0) >= np.count_nonzero(step < 0) else -1
    at = int(np.flatnonzero(sign * step <= 0)[0])
    if step[at] == 0 and (sign * step >= 0).all():
        raise CoordinateError(
            f"{label} has the value {values[at]:.10g}{unit} twice, at {at} and "
            f"{at + 1}. Keep one: cube{unique}, or average them: "
            f'cube.groupby("{name}").mean().'
        )
    duplicates = len(np.unique(values)) < len(values)
    then = unique if duplicates else ""
    raise CoordinateError(
        f"{label} is not strictly monotonic: {values[at]:.10g}{unit} at {at} is "
        f"followed by {values[at + 1]:.10g}{unit}. Sort with "
        f'cube.sortby("{name}"){then}.'
    )
