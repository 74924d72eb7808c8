"""Coordinates of a cube: found by name or as the spectral one, and read as numbers."""

from __future__ import annotations

import difflib
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.axis.units import spectral_units
from cubekit.errors import CoordinateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

__all__ = [
    "companion",
    "coordinate",
    "flags",
    "numbers",
    "seconds",
    "spectral_coordinate",
]

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
# what is known of each band, beside where it is
_NO_AXES = {"fwhm", "good_band"}
# of lengths that are seldom wavelengths
_NOT_SPECTRAL_ALONE = {None, "m", "m-1"}


def numbers(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values as real numbers; times as seconds since the first sample."""
    if values.dtype.kind == "M":
        if np.isnat(values).any():
            at = int(np.flatnonzero(np.isnat(values))[0])
            raise CoordinateError(
                f"coordinate {name!r} is NaT at {at}. Every sample needs a place on "
                f"the axis. Drop it: cube.where(cube[{name!r}].notnull(), drop=True)."
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


def seconds(dtype: np.dtype[Any]) -> str | None:
    """Units of times as numbers; None for what is no time."""
    return "s" if dtype.kind in "mM" else None


def flags(given: npt.NDArray[Any] | None) -> npt.NDArray[np.bool_] | None:
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


def companion(cube: xr.DataArray, name: str, dim: Hashable) -> npt.NDArray[Any] | None:
    """Values of a coordinate that goes along a dim, if the cube has it."""
    if name in cube.coords and cube.coords[name].dims == (dim,):
        return np.asarray(cube.coords[name].values)
    return None


def coordinate(cube: xr.DataArray, name: Hashable) -> xr.DataArray:
    """One-dimensional coordinate of a cube, or an error that says how to get one."""
    given: object = name
    if not isinstance(given, Hashable):
        raise TypeError(
            f"a coordinate is asked for by {name!r}, a {type(given).__name__}. It is "
            f"known by its name. The cube has {', '.join(map(repr, cube.coords))}. "
            "Name one of these."
        )
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
    known = sorted(map(str, {*cube.coords, *cube.dims} - _NO_AXES))
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Name one of these."
    raise CoordinateError(
        f"no coordinate {name!r} in the cube; it has {', '.join(map(repr, known))}. "
        f"{hint}"
    )


def spectral_coordinate(cube: xr.DataArray) -> Hashable:
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
            spectral_units(candidates[name].attrs.get("units"))
            not in _NOT_SPECTRAL_ALONE
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
    # of these the caller hears what is wrong with them
    single = [name for name, c in cube.coords.items() if c.ndim == 0]
    for name in [*cube.dims, *single]:
        if str(name).lower() in _NAMES:
            return name
    held = ", ".join(map(repr, candidates)) or "its (no) one-dimensional coordinates"
    raise CoordinateError(
        f"no spectral coordinate in the cube: none of {held} has a spectral "
        'standard_name, name or units. Say which: coord="...".'
    )
