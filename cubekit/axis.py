"""Axis: one strictly monotonic coordinate, read from a cube, checked and compared."""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_positive
from cubekit.errors import AxisMismatchError, CoordinateError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["Axis", "derivative_units", "wide_steps"]

_STANDARD_NAMES = {
    "radiation_wavelength",
    "sensor_band_central_radiation_wavelength",
    "radiation_frequency",
    "sensor_band_central_radiation_wavenumber",
    "radiation_wavenumber",
}
_NAMES = (
    "wavelength",
    "wavelengths",
    "wavenumber",
    "frequency",
    "energy",
    "energy_loss",
    "raman_shift",
    "shift",
    "band",
    "bands",
)
_UNITS = {
    *("nm", "nanometer", "nanometers", "nanometre", "nanometres"),
    *("um", "µm", "μm", "micrometer", "micrometers", "micron", "microns"),
    *("angstrom", "Angstrom", "cm-1", "cm^-1", "1/cm", "eV", "keV", "meV"),
    *("Hz", "MHz", "GHz", "THz"),
}
# a gap is a step wider than so many times the median of the steps about it
_GAP_FACTOR, _GAP_STEPS = 4, 11
_UNITLESS = {"1", "", "unitless", "dimensionless", "none", "-"}


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
        if not isinstance(cube, xr.DataArray):
            raise TypeError(
                f"cube is a {type(cube).__module__}.{type(cube).__qualname__}. "
                "cubekit needs a DataArray, whose coordinates say where the samples "
                'are: xarray.DataArray(values, dims=("y", "x", "wavelength"), '
                'coords={"wavelength": wavelengths}).'
            )
        name = _spectral_coordinate(cube) if coord is None else coord
        variable = _coordinate(cube, name)
        dim = variable.dims[0]
        units = variable.attrs.get("units")
        return cls(
            dim=str(dim),
            name=str(name),
            values=_numbers(str(name), variable.values),
            units=_seconds(variable.dtype) or (None if units is None else str(units)),
            good=_flags(_companion(cube, "good_band", dim)),
            fwhm=_companion(cube, "fwhm", dim),
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def __repr__(self) -> str:
        """Return dim, number of samples, range and units."""
        label = (
            repr(self.dim) if self.name == self.dim else f"{self.name!r} ({self.dim})"
        )
        span = f"{self.values[0]:g} to {self.values[-1]:g}" if len(self) else "empty"
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
        if self.units and other.units and self.units != other.units:
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
        coords = {self.name: xr.Variable(self.dim, self.values, attrs)}
        if self.good is not None:
            coords["good_band"] = xr.Variable(self.dim, self.good)
        if self.fwhm is not None:
            coords["fwhm"] = xr.Variable(self.dim, self.fwhm, attrs)
        return coords


def wide_steps(
    values: npt.NDArray[np.float64],
    max_gap: float | str | None,
    function: str,
) -> npt.NDArray[np.bool_]:
    """Whether each step between neighbouring values is a gap.

    ``max_gap="auto"`` compares with the median of the steps about it: where the
    sampling of a detector changes, half of those are of the new width.
    """
    step = np.abs(np.diff(values))
    if max_gap is None:
        return np.zeros(len(step), np.bool_)
    if max_gap != "auto":
        if isinstance(max_gap, str):
            raise ValueError(
                f"{function}: max_gap={max_gap!r} is unknown. A gap is a step wider "
                'than a length on the axis. Give that, or max_gap="auto".'
            )
        return step > require_positive(function, "max_gap", max_gap)
    about = min(_GAP_STEPS, len(step))
    if not about:
        return np.zeros(0, np.bool_)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(step, about), axis=1)
    nearest = np.arange(len(step)) - about // 2
    wide: npt.NDArray[np.bool_] = (
        step > _GAP_FACTOR * medians[np.clip(nearest, 0, len(medians) - 1)]
    )
    return wide


def derivative_units(
    units: str | None, axis_units: str | None, order: int
) -> str | None:
    """Units of a derivative of `order`, in CF style; None if they cannot be known.

    >>> from cubekit.axis import derivative_units
    >>> derivative_units("W m-2 nm-1", "nm", 1)
    'W m-2 nm-2'
    >>> derivative_units("1", "nm", 2)
    'nm-2'
    >>> derivative_units("m**2 s**-2", "m", 1)
    'm s-2'
    """
    if order == 0 or units is None or axis_units is None:
        return units if order == 0 else None
    factors: dict[str, int] = {}
    parts = [] if units.strip() in _UNITLESS else units.split()
    for part in parts:
        match = re.fullmatch(r"([A-Za-z_µμ°%$]+?)(?:\*\*|\^)?(-?\d+)?", part)
        if match is None:  # not CF style: append, never guess
            return f"{units} ({axis_units})-{order}"
        factors[match[1]] = factors.get(match[1], 0) + int(match[2] or 1)
    base = re.fullmatch(r"([A-Za-z_µμ°%$]+?)(?:\*\*|\^)?(-?\d+)?", axis_units)
    if base is None:
        return " ".join([*parts, f"({axis_units})-{order}"])
    factors[base[1]] = factors.get(base[1], 0) - order * int(base[2] or 1)
    named = [k if v == 1 else f"{k}{v}" for k, v in factors.items() if v]
    return " ".join(named) or "1"


def _checked_values(
    dim: str, name: str, given: npt.NDArray[Any], units: str | None
) -> npt.NDArray[np.float64]:
    label = f"coordinate {name!r}"
    if given.ndim != 1:
        raise CoordinateError(
            f"{label} has {given.ndim} dimensions. An axis needs one value for each "
            f"sample of {dim!r}."
        )
    values = np.array(_numbers(name, given), np.float64)
    values.flags.writeable = False
    unit = f" {units}" if units else ""
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise CoordinateError(
            f"{label} is {values[bad]} at {bad}. Every sample needs a place on the "
            f"axis. Drop it: cube.isel({dim}=np.isfinite(cube[{name!r}].values))."
        )
    step = np.diff(values)
    if (step > 0).all() or (step < 0).all():
        return values
    sign = 1 if np.count_nonzero(step > 0) >= np.count_nonzero(step < 0) else -1
    at = int(np.flatnonzero(sign * step <= 0)[0])
    if step[at] == 0 and (sign * step >= 0).all():
        raise CoordinateError(
            f"{label} has the value {values[at]:.10g}{unit} twice, at {at} and "
            f'{at + 1}. Keep one: cube.drop_duplicates("{dim}"), or average them: '
            f'cube.groupby("{name}").mean().'
        )
    duplicates = len(np.unique(values)) < len(values)
    then = f'.drop_duplicates("{dim}")' if duplicates else ""
    raise CoordinateError(
        f"{label} is not strictly monotonic: {values[at]:.10g}{unit} at {at} is "
        f"followed by {values[at + 1]:.10g}{unit}. Sort with "
        f'cube.sortby("{name}"){then}.'
    )


def _numbers(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values as real numbers; times as seconds since the first sample."""
    if values.dtype.kind == "M":
        if np.isnat(values).any():
            at = int(np.flatnonzero(np.isnat(values))[0])
            raise CoordinateError(
                f"coordinate {name!r} is NaT at {at}. Every sample needs a place on "
                f"the axis. Drop it: cube.isel(... = cube[{name!r}].notnull().values)."
            )
        values = values - values[:1]
    if values.dtype.kind == "m":
        return values / np.timedelta64(1, "s")
    if values.dtype.kind not in "iuf":
        raise CoordinateError(
            f"coordinate {name!r} has dtype {values.dtype}. An axis needs real numbers "
            f"or times. Assign numbers: cube.assign_coords({name}=...)."
        )
    return values


def _seconds(dtype: np.dtype[Any]) -> str | None:
    return "s" if dtype.kind in "mM" else None


def _flags(given: npt.NDArray[Any] | None) -> npt.NDArray[np.bool_] | None:
    """Whether each band is good: as it stands, or from 1 and 0."""
    if given is None or given.dtype.kind == "b":
        return given
    good: npt.NDArray[np.bool_] = given == 1
    unknown = given[~(good | (given == 0))]
    if len(unknown):
        raise CoordinateError(
            f"coordinate 'good_band' holds {unknown[0]!s}. A band is good, True or 1, "
            "or bad, False or 0. Assign that: "
            'cube.assign_coords(good_band=("wavelength", good)).'
        )
    return good


def _companion(cube: xr.DataArray, name: str, dim: Hashable) -> npt.NDArray[Any] | None:
    if name in cube.coords and cube.coords[name].dims == (dim,):
        return np.asarray(cube.coords[name].values)
    return None


def _coordinate(cube: xr.DataArray, name: Hashable) -> xr.DataArray:
    if name in cube.coords:
        variable: xr.DataArray = cube.coords[name]
        if variable.ndim == 1:
            return variable
        if variable.ndim == 0:
            raise CoordinateError(
                f"coordinate {name!r} is a single value. An axis needs a dim; keep it "
                f"with cube.isel({name}=[0]), or add it with "
                f'cube.expand_dims("{name}").'
            )
        raise CoordinateError(
            f"coordinate {name!r} has dims {variable.dims}, one axis for each place. "
            "Resample to a common one-dimensional coordinate first."
        )
    if name in cube.dims:
        raise CoordinateError(
            f"dim {name!r} has no coordinate, so the distance between its samples is "
            f"unknown. Add one: "
            f"cube.assign_coords({name}=np.arange({cube.sizes[name]})) for unit "
            "spacing."
        )
    known = sorted(map(str, {*cube.coords, *cube.dims}))
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Give one of these as coord=."
    raise CoordinateError(
        f"no coordinate {name!r} in the cube; it has {', '.join(map(repr, known))}. "
        f"{hint}"
    )


def _spectral_coordinate(cube: xr.DataArray) -> Hashable:
    """Name of the one coordinate that is spectral by standard_name, name or units."""
    candidates: Mapping[Hashable, xr.DataArray] = {
        name: c for name, c in cube.coords.items() if c.ndim == 1 and name != "fwhm"
    }
    tests: dict[str, Callable[[Hashable], bool]] = {
        "standard_name": lambda name: (
            candidates[name].attrs.get("standard_name") in _STANDARD_NAMES
        ),
        "name": lambda name: str(name).lower() in _NAMES,
        "units": lambda name: (
            str(candidates[name].attrs.get("units")).strip("$ ") in _UNITS
        ),
    }
    for what, test in tests.items():
        found = [name for name in candidates if test(name)]
        if what == "name" and found:  # wavelength before band
            rank = [_NAMES.index(str(name).lower()) for name in found]
            found = [n for n, r in zip(found, rank, strict=True) if r == min(rank)]
        if len(found) == 1:
            return found[0]
        if found:
            raise CoordinateError(
                f"several coordinates are spectral by their {what}: "
                f"{', '.join(map(repr, found))}. Say which: coord={found[0]!r}."
            )
    dims = [d for d in cube.dims if str(d).lower() in _NAMES]
    if dims:
        return dims[0]
    raise CoordinateError(
        "no spectral coordinate in the cube: none of "
        f"{', '.join(map(repr, cube.coords)) or 'its (no) coordinates'} has a spectral "
        'standard_name, name or units. Say which: coord="...".'
    )
