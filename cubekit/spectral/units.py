"""One spectral axis in the units of another: wavelength, wavenumber, energy, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_real
from cubekit.axis import Axis, derivative_units, spectral_units
from cubekit.errors import CoordinateError
from cubekit.operators.attributes import VALUE_ATTRS, derived_attrs, units_of

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["convert_axis", "nanometres"]

Floats = npt.NDArray[np.float64]

_LIGHT = 299792458.0  # m s-1, exact as all three
_PLANCK = 6.62607015e-34  # J s
_CHARGE = 1.602176634e-19  # C


class _Unit(NamedTuple):
    name: str
    quantity: str
    exponent: int  # power of ten to the base unit of the quantity


# base unit of each quantity but wavelength (m), in waves per metre
_WAVES = {
    "wavenumber": 1.0,
    "frequency": 1 / _LIGHT,
    "energy": _CHARGE / (_PLANCK * _LIGHT),
}
_STANDARD_NAMES = {
    "wavelength": "radiation_wavelength",
    "wavenumber": "radiation_wavenumber",
    "frequency": "radiation_frequency",
}
_UNITS = {
    name: _Unit(name, quantity, exponent)
    for name, quantity, exponent in [
        ("nm", "wavelength", -9),
        ("um", "wavelength", -6),
        ("angstrom", "wavelength", -10),
        ("m", "wavelength", 0),
        ("cm-1", "wavenumber", 2),
        ("m-1", "wavenumber", 0),
        ("eV", "energy", 0),
        ("meV", "energy", -3),
        ("keV", "energy", 3),
        ("Hz", "frequency", 0),
        ("MHz", "frequency", 6),
        ("GHz", "frequency", 9),
        ("THz", "frequency", 12),
    ]
}
# differences from a laser line or a loss, which no reciprocal turns into anything
_SHIFTS = {"raman_shift", "shift", "energy_loss"}


def convert_axis(
    cube: xr.DataArray,
    units: str,
    *,
    coord: str | None = None,
    density: bool = False,
) -> xr.DataArray:
    r"""Cube whose spectral axis is in other units.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Any values; any chunks.
    units : str
        "nm", "um", "m", "angstrom", "cm-1", "m-1", "eV", "meV", "keV", "Hz", "MHz",
        "GHz" or "THz"; other spellings of these ("Nanometers", "1/cm") are understood.
    coord : str, optional
        One-dimensional coordinate of the bands; the spectral one if not given.
    density : bool, default False
        Whether the values are a density, per unit of the axis. They are then multiplied
        by :math:`|d\,\mathrm{old} / d\,\mathrm{new}|`, so that integrals are kept. A
        reflectance is no density.

    Returns
    -------
    DataArray, same dims as `cube`
        In the same order: an ascending wavelength becomes a descending energy, which
        all functions take; ``sortby`` turns it round. The coordinate ``fwhm`` is
        converted too. A coordinate (and dim) that is named after its quantity takes the
        name of the new one: "wavelength", "wavenumber", "energy", "frequency".

    Raises
    ------
    CoordinateError
        If the axis has no units; if it is to become a wavelength, or was one, and is a
        shift or not positive; if the new name is taken.
    ValueError
        If `units` are unknown.

    Notes
    -----
    With wavelengths in vacuum, :math:`E = h c / \lambda = h c \tilde\nu = h \nu`.
    Widths are converted with the slope at the centre, so that they survive the way
    back.

    **Missing values:** as they are. **Chunks:** lazy. **Cost:** none; with `density`
    one multiplication.

    References
    ----------
    .. [1] Mooney, J. and Kambhampati, P. (2013), J. Phys. Chem. Lett. 4, 3316-3318.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> wavelength = ("wavelength", [500.0, 620.0], {"units": "nm"})
    >>> cube = xr.DataArray([0.2, 0.4], {"wavelength": wavelength}, "wavelength")
    >>> ck.convert_axis(cube, "eV")["energy"].values.round(4)
    array([2.4797, 1.9997])
    """
    axis = Axis.from_cube(cube, coord)
    old, new = _unit_of(axis), _unit(units)
    if new is None:
        raise ValueError(
            f"convert_axis: units={units!r} are unknown. An axis can be in "
            f"{', '.join(_UNITS)}. Use one of "
            'them: cubekit.convert_axis(cube, "nm").'
        )
    if _is_reciprocal(old, new):
        _require_reciprocal(axis)
        values = _converted(axis.values, old, new)
        jacobian = np.abs(axis.values / values)  # new is k / old
    else:
        values = _converted(axis.values, old, new)
        jacobian = 1 / _converted(np.ones(len(axis)), old, new)

    name = (
        new.quantity if axis.name in {old.quantity, f"{old.quantity}s"} else axis.name
    )
    attrs = _coordinate_attrs(cube.coords[axis.name], old, new)
    result = cube.copy(deep=False)
    if density:
        require_real(cube, "convert_axis")
        dtype = np.result_type(cube.dtype, np.float32)
        factor = xr.DataArray(jacobian.astype(dtype), dims=axis.dim)
        result = cube.copy(data=(cube.variable * factor.variable).data)
        per_base = derivative_units(units_of(cube), old.name, -1)
        result.attrs = derived_attrs(cube, derivative_units(per_base, new.name, 1))
    if name != axis.name:
        if name in cube.coords or name in cube.dims:
            raise CoordinateError(
                f"convert_axis: {axis.name!r} would become {name!r}. The cube has that "
                f"already. Rename it: cube.rename({name}=...)."
            )
        result = result.rename({axis.name: name})
    dim = name if axis.dim == axis.name else axis.dim
    coords: dict[Hashable, xr.Variable] = {name: xr.Variable(dim, values, attrs)}
    if axis.fwhm is not None:
        width_attrs = cube.coords["fwhm"].attrs | {"units": new.name}
        coords["fwhm"] = xr.Variable(dim, axis.fwhm / jacobian, width_attrs)
    return result.assign_coords(coords)


def nanometres(units: str | None) -> float | None:
    """Nanometres in a unit of wavelength; None for any other unit."""
    unit = _unit(units)
    if unit is None or unit.quantity != "wavelength":
        return None
    return 10.0 ** (unit.exponent + 9)


def _unit(units: str | None) -> _Unit | None:
    name = spectral_units(units)
    return None if name is None else _UNITS[name]


def _unit_of(axis: Axis) -> _Unit:
    unit = _unit(axis.units)
    if unit is None:
        found = f"is in {axis.units!r}" if axis.units else "has no units"
        raise CoordinateError(
            f"convert_axis: coordinate {axis.name!r} {found}. Its own units must be "
            f'known. Set them: cube[{axis.name!r}].attrs["units"] = "nm".'
        )
    return unit


def _is_reciprocal(old: _Unit, new: _Unit) -> bool:
    return (old.quantity == "wavelength") != (new.quantity == "wavelength")


def _require_reciprocal(axis: Axis) -> None:
    if axis.name.lower() in _SHIFTS:
        raise CoordinateError(
            f"convert_axis: coordinate {axis.name!r} is a shift, no wavelength and no "
            "energy. It has no reciprocal. Add the line it is counted from first: "
            f"cube.assign_coords(wavenumber=laser - cube[{axis.name!r}])."
        )
    if (axis.values <= 0).any():
        at = int(np.flatnonzero(axis.values <= 0)[0])
        raise CoordinateError(
            f"convert_axis: coordinate {axis.name!r} is {axis.values[at]:g} at {at}. "
            "Wavelengths and energies are positive. Leave it out: "
            f"cube.isel({axis.dim}=cube[{axis.name!r}].values > 0)."
        )


def _converted(values: Floats, old: _Unit, new: _Unit) -> Floats:
    if old.quantity == new.quantity:
        return _scaled(values, old.exponent - new.exponent)
    base = _scaled(values, old.exponent)
    waves = 1 / base if old.quantity == "wavelength" else base * _WAVES[old.quantity]
    base = 1 / waves if new.quantity == "wavelength" else waves / _WAVES[new.quantity]
    return _scaled(base, -new.exponent)


def _scaled(values: Floats, exponent: int) -> Floats:
    """Values times a power of ten, rounded once."""
    return values * 10.0**exponent if exponent >= 0 else values / 10.0**-exponent


def _coordinate_attrs(
    coordinate: xr.DataArray, old: _Unit, new: _Unit
) -> dict[Hashable, str]:
    attrs = {k: v for k, v in coordinate.attrs.items() if k not in VALUE_ATTRS}
    if old.quantity != new.quantity:
        attrs.pop("long_name", None)
        if attrs.pop("standard_name", None) and new.quantity in _STANDARD_NAMES:
            attrs["standard_name"] = _STANDARD_NAMES[new.quantity]
    return attrs | {"units": new.name}
