"""The header of an ENVI cube: what of its coordinates and attributes has a field."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.io.envi import envi_units

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["header_text"]

# as ENVI spells them
_UNIT_NAMES = {
    "nm": "Nanometers",
    "um": "Micrometers",
    "mm": "Millimeters",
    "cm": "Centimeters",
    "m": "Meters",
    "cm-1": "Wavenumber",
    "angstrom": "Angstroms",
    "GHz": "GHz",
    "MHz": "MHz",
    "THz": "THz",
    "eV": "eV",
}
_EVEN = 1e-6  # of a step, that places on a map may be off


def header_text(
    cube: xr.DataArray, dims: Mapping[str, str], interleave: str, code: int
) -> tuple[str, list[str]]:
    """Text of the header, and the names of coordinates that have no place in it."""
    sizes = {k: cube.sizes[d] for k, d in dims.items()}
    fields: dict[str, Any] = {
        "description": _listed([_described(cube)]),
        "samples": sizes.get("x", 1),
        "lines": sizes.get("y", 1),
        "bands": sizes.get("band", 1),
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": code,
        "interleave": interleave,
        "byte order": 0,
    }
    if cube.dtype.kind == "f":
        fields["data ignore value"] = "NaN"
    kept: set[str] = set()
    for part, names in (_band_fields(cube, dims), _map_fields(cube, dims)):
        fields |= part
        kept |= names
    lost = [str(name) for name in cube.coords if name not in kept]
    lines = [f"{key} = {value}" for key, value in fields.items()]
    return "\n".join(["ENVI", *lines, ""]), lost


def _described(cube: xr.DataArray) -> str:
    what = str(cube.attrs.get("long_name", cube.name))
    units = cube.attrs.get("units")
    text = f"{what} ({units})" if units is not None else what
    return _plain(text)


def _plain(text: str) -> str:
    """Text without what has a meaning in a header."""
    return " ".join(text.translate(str.maketrans("{}=;,", "()   ")).split())


def _listed(words: list[str]) -> str:
    return "{" + ", ".join(words) + "}"


def _numbers(values: npt.NDArray[Any]) -> str:
    return _listed([repr(v) for v in values.tolist()])  # to the last bit


def _band_fields(
    cube: xr.DataArray, dims: Mapping[str, str]
) -> tuple[dict[str, str], set[str]]:
    dim = dims.get("band")
    fields: dict[str, str] = {}
    kept: set[str] = set()
    on_bands = {str(n): c for n, c in cube.coords.items() if c.dims == (dim,)}
    centres = on_bands.get(str(dim))
    stated = None
    if centres is not None and centres.dtype.kind in "iuf":
        stated = centres.attrs.get("units")
        units = envi_units(stated) or str(stated)
        # without a word readers take what looks like nm for it
        name = "Unknown" if stated is None else _UNIT_NAMES.get(units, _plain(units))
        fields["wavelength units"] = name
        fields["wavelength"] = _numbers(centres.values.astype(float))
        kept.add(str(dim))
    width = on_bands.get("fwhm")
    if width is not None and width.attrs.get("units", stated) == stated:
        fields["fwhm"] = _numbers(width.values.astype(float))
        kept.add("fwhm")
    if "good_band" in on_bands:
        fields["bbl"] = _numbers(on_bands["good_band"].values.astype(int))
        kept.add("good_band")
    names = on_bands.get("band_name")
    if names is not None:
        fields["band names"] = _listed([_plain(str(name)) for name in names.values])
        kept.add("band_name")
    return fields, kept


def _map_fields(
    cube: xr.DataArray, dims: Mapping[str, str]
) -> tuple[dict[str, str], set[str]]:
    """Place on the map, where it is one grid of even steps whose units are known."""
    if not {"y", "x"} <= set(dims) or {dims["y"], dims["x"]} - set(cube.coords):
        return {}, set()
    y, x = cube[dims["y"]], cube[dims["x"]]
    units = _map_units(y), _map_units(x)
    dy, dx = _step(y.values), _step(x.values)
    if dy is None or dx is None or units[0] is None or units[0] != units[1]:
        return {}, set()
    kept = {dims["y"], dims["x"]}
    turned = [cube[k] for k in ("easting", "northing") if k in cube.coords]
    if [c.dims for c in turned] == 2 * [(dims["y"], dims["x"])]:
        words = _turned(y.values, x.values, dy, dx, *(c.values for c in turned))
        kept |= {"easting", "northing"}
    else:
        words = [1.5, 1.5, float(x.values[0]), float(y.values[0]), dx, -dy]
    degrees = units[0] == "Degrees"
    # a line that was upside down would be read so: ENVI has it as a negative step
    text = ["Geographic Lat/Lon" if degrees else "Arbitrary"]
    text += [repr(float(w)) for w in words[:6]]
    text += ["WGS-84"] if degrees else []
    text += [f"units={units[0]}"] + [f"rotation={w!r}" for w in words[6:]]
    fields = {"map info": _listed(text)}
    mapping = cube.coords.get("spatial_ref")
    wkt = None if mapping is None else mapping.attrs.get("crs_wkt")
    if wkt:
        fields["coordinate system string"] = "{" + str(wkt).replace("\n", " ") + "}"
        kept.add("spatial_ref")
    return fields, kept


def _map_units(coord: xr.DataArray) -> str | None:
    units = str(coord.attrs.get("units", "")).lower()
    if units.startswith("degree"):
        return "Degrees"
    names = {"m": "Meters", "metre": "Meters", "meter": "Meters", "ft": "Feet"}
    return names.get(units)


def _step(values: npt.NDArray[Any]) -> float | None:
    """Step of even coordinates; None if they are not."""
    if values.ndim != 1 or len(values) < 2 or values.dtype.kind not in "iuf":
        return None
    even = np.linspace(float(values[0]), float(values[-1]), len(values))
    step = float(even[-1] - even[0]) / (len(values) - 1)
    precise = 4 * np.finfo(values.dtype if values.dtype.kind == "f" else float).eps
    limit = _EVEN * abs(step) + precise * np.abs(even).max()
    return step if step and np.abs(values - even).max() <= limit else None


def _turned(  # noqa: PLR0917  the parts of a grid
    y: npt.NDArray[Any],
    x: npt.NDArray[Any],
    dy: float,
    dx: float,
    east: npt.NDArray[Any],
    north: npt.NDArray[Any],
) -> list[float]:
    """Map info of a grid whose lines are turned, and the angle in degrees."""
    angle = math.atan2(
        float(north[0, -1] - north[0, 0]) * np.sign(dx),
        float(east[0, -1] - east[0, 0]) * np.sign(dx),
    )
    sample, line = 1.5 - float(x[0]) / dx, 1.5 - float(y[0]) / dy
    cos, sin = math.cos(angle), math.sin(angle)
    easting = float(east[0, 0]) - cos * float(x[0]) + sin * float(y[0])
    northing = float(north[0, 0]) - sin * float(x[0]) - cos * float(y[0])
    return [sample, line, easting, northing, dx, -dy, math.degrees(angle)]
