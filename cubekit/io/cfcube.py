"""From the variables of a netCDF file to one cube: which, and with what coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from cubekit.errors import AmbiguousCubeError

if TYPE_CHECKING:
    from pathlib import Path

    from cubekit.io.netcdf import NetcdfFile, StoredVariable

__all__ = ["choose_variable", "cube_coords"]

# what sensors call the same thing, in lower case
_SPECTRAL = {"wavelength", "wavelengths", "wavenumber", "wavenumbers", "raman_shift"}
_SPECTRAL |= {"wavelength_3d", "blue_wavelength", "red_wavelength", "swir_wavelength"}
_BAND_NAMES = {
    **{name: "wavelength" for name in _SPECTRAL if "wavelength" in name},
    **dict.fromkeys(("good_wavelengths", "good_bands", "good_band"), "good_band"),
}
_BAND_GROUPS = {"sensor_band_parameters"}
_PLACE_GROUPS = {"location", "geolocation_data", "navigation_data"}
_SURFACES = {"elev", "elevation", "height"}  # of places, or what a file is about
_PLACES = {"lat", "lon", "latitude", "longitude", *_SURFACES}
_FLAGS = {"band_mask", "quality_flags", "l2_flags"}


def choose_variable(
    path: Path, file: NetcdfFile, variable: str | None
) -> StoredVariable:
    """Return the variable asked for, or the one that can be meant."""
    if variable is not None:
        if variable in file.variables:
            return file.variables[variable]
        inside = [v for v in file.variables.values() if v.name == variable]
        if len(inside) == 1:
            return inside[0]
        data = ", ".join(repr(v.path) for v in _candidates(file)) or "no data"
        raise ValueError(
            f"open_cube: variable={variable!r} is not in {path}. It holds {data}. "
            "Give one of these."
        )
    candidates = _candidates(file)
    if not candidates:
        raise ValueError(
            f"open_cube: {path} holds no data variable: nothing but coordinates and "
            f"text. Its variables are "
            f"{', '.join(map(repr, file.variables)) or 'none'}. Give one as variable=."
        )
    for test in (
        lambda v: v.array.ndim >= 3,
        lambda v: v.name.lower() not in _SURFACES,
        lambda v: v.array.ndim >= 2,
        lambda v: v.array.ndim >= 1,
        lambda v: _spectral(file, v) is not None,
        lambda v: not v.group,
    ):
        kept = [v for v in candidates if test(v)]
        candidates = kept or candidates
        if len(candidates) == 1:
            return candidates[0]
    names = tuple(v.path for v in candidates)
    raise AmbiguousCubeError(
        f"open_cube: {path} holds several cubes: {', '.join(map(repr, names))}. Which "
        "is meant cannot be known. Say which: "
        f"open_cube(..., variable={names[0]!r}).",
        names,
    )


def _candidates(file: NetcdfFile) -> list[StoredVariable]:
    """Variables that can be cubes: numbers, not describing another."""
    describing = {
        name
        for v in file.variables.values()
        for key in ("coordinates", "bounds", "ancillary_variables", "grid_mapping")
        for name in str(v.attrs.get(key, "")).split()
    }
    return [
        v
        for v in file.variables.values()
        if v.array.dtype.kind in "iufb"
        and v.name not in describing
        and v.name not in v.dims
        and v.group.rpartition("/")[2] not in _PLACE_GROUPS | _BAND_GROUPS
        and v.name.lower() not in _PLACES - _SURFACES | _FLAGS | {"fwhm", *_BAND_NAMES}
    ]


def _spectral(file: NetcdfFile, cube: StoredVariable) -> StoredVariable | None:
    """Variable with the band centres of a cube."""
    for v in file.variables.values():
        if (
            len(v.dims) == 1
            and v.dims[0] in cube.dims
            and _is_beside(v, cube)
            and (v.name.lower() in _SPECTRAL or "wavelength" in _standard_name(v))
            and v.array.dtype.kind in "iuf"
            and v.array.shape == (cube.array.shape[cube.dims.index(v.dims[0])],)
        ):
            return v
    return None


def _standard_name(variable: StoredVariable) -> str:
    return str(variable.attrs.get("standard_name", ""))


def _is_beside(variable: StoredVariable, cube: StoredVariable) -> bool:
    """Whether a variable lies where one looks for what describes a cube."""
    group = variable.group
    above = not group or cube.group == group or cube.group.startswith(f"{group}/")
    return above or group.rpartition("/")[2] in _BAND_GROUPS | _PLACE_GROUPS


def cube_coords(
    file: NetcdfFile, cube: StoredVariable
) -> tuple[dict[str, str], dict[str, StoredVariable]]:
    """Coordinates of a cube.

    Returns
    -------
    renamed : dict
        New name of the band dim, if its centres have another name than the dim.
    coords : dict
        Variables by the name they get.
    """
    sizes = dict(zip(cube.dims, cube.array.shape, strict=True))
    named = str(cube.attrs.get("coordinates", "")).split()
    mapping = str(cube.attrs.get("grid_mapping", ""))
    spectral = _spectral(file, cube)
    coords: dict[str, StoredVariable] = {}
    for v in sorted(file.variables.values(), key=lambda v: v.group != cube.group):
        fits = all(
            sizes.get(d) == n for d, n in zip(v.dims, v.array.shape, strict=True)
        )
        if v is cube or not fits or not _is_beside(v, cube):
            continue
        group = v.group.rpartition("/")[2]
        on_bands = spectral is not None and v.dims == spectral.dims
        if (
            v is spectral
            or (v.dims == (v.name,) and _was_written(v))
            or v.name in named
            or (v.name == mapping and not v.dims)
            or (group in _BAND_GROUPS and len(v.dims) == 1)
            or (on_bands and v.name.lower() in {"fwhm", *_BAND_NAMES})
            or (v.name.lower() in _PLACES and len(v.dims) == 2)
        ):
            coords.setdefault(_BAND_NAMES.get(v.name.lower(), v.name), v)
    renamed = {}
    if spectral is not None:
        name = _BAND_NAMES.get(spectral.name.lower(), spectral.name)
        dim = spectral.dims[0]
        if name != dim and name not in cube.dims:
            renamed[dim] = name
            coords.pop(dim, None)  # numbers of the bands, now without a dim
    return renamed, coords


def _was_written(variable: StoredVariable) -> bool:
    """Whether a coordinate has values: not zero throughout, nor missing."""
    values = variable.array[(slice(None),) * variable.array.ndim]
    if values.dtype.kind not in "iuf" or values.size < 2:
        return True
    return bool(np.any((values != 0) & ~np.isnan(values)))


def good_bands(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Flags of good bands from numbers: 1 is good, missing is not."""
    return np.asarray((values != 0) & ~np.isnan(values))


def as_coordinate(name: str, variable: xr.Variable) -> xr.Variable:
    """Return a coordinate under its name: flags of good bands as booleans."""
    if name == "good_band" and variable.dtype.kind in "iuf":
        return xr.Variable(variable.dims, good_bands(variable.values))
    return variable
