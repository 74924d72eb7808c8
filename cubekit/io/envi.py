"""ENVI files: a text header beside raw numbers, in any interleave."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.axis import spectral_units
from cubekit.errors import CorruptFileError
from cubekit.io.decoding import Decoding
from cubekit.io.source import FileArray, FileCube, RawReader, Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DTYPES", "INTERLEAVES", "envi_units", "read_envi"]

DTYPES = {
    1: "u1",
    2: "i2",
    3: "i4",
    4: "f4",
    5: "f8",
    6: "c8",
    9: "c16",
    12: "u2",
    13: "u4",
    14: "i8",
    15: "u8",
}
# where lines (y), samples (x) and bands lie in the file, slowest first
INTERLEAVES = {
    "bsq": ("band", "y", "x"),
    "bil": ("y", "band", "x"),
    "bip": ("y", "x", "band"),
}
# what ENVI spells in a way of its own
_UNITS = {
    "millimeters": "mm",
    "mm": "mm",
    "centimeters": "cm",
    "cm": "cm",
    **dict.fromkeys(("wavenumber", "wavenumbers"), "cm-1"),
    **{name.lower(): name for name in ("GHz", "MHz", "THz", "eV")},
}


def envi_units(stated: object) -> str | None:
    """Short name of units as an ENVI header spells them, in any case."""
    word = str(stated).strip().lower()
    return _UNITS.get(word) or spectral_units(word) or spectral_units(stated)


def read_envi(header: Path, data: Path) -> FileCube:
    """Read the header of an ENVI cube, and what lies beside it without its values."""
    fields = _parse(header)
    source = Source.of(data)
    lines, samples, bands = (
        _integer(header, fields, k) for k in ("lines", "samples", "bands")
    )
    library = "spectral library" in fields.get("file type", "").lower()
    interleave = fields.get("interleave", "bsq").strip().lower()
    if interleave not in INTERLEAVES:
        raise CorruptFileError(
            f"{header}: interleave = {interleave}. ENVI knows bsq, bil and bip. "
            "Correct that line of the header."
        )
    sizes = {"y": lines, "x": samples, "band": bands}
    dims: tuple[str, ...] = INTERLEAVES[interleave]
    if library:  # one spectrum a line
        sizes, dims = {"spectrum": lines, "band": samples}, ("spectrum", "band")
        bands = samples
    reader = RawReader(
        _dtype(header, fields),
        _integer(header, fields, "header offset", 0),
        tuple(sizes[d] for d in dims),
    )
    _check_size(header, source, reader)
    decoding = _decoding(header, fields, reader.dtype, dims, bands)
    coords = _band_coords(header, fields, bands)
    dim = "wavelength" if "wavelength" in coords else "band"
    dims = tuple(dim if d == "band" else d for d in dims)
    if library:
        names = _words(fields.get("spectra names", ""))
        if len(names) == lines:
            coords["spectrum_name"] = xr.Variable("spectrum", np.array(names))
    else:
        coords |= _map_coords(fields, lines, samples)
    attrs = {}
    if fields.get("description"):
        attrs["description"] = " ".join(fields["description"].split())
    token = f"envi from byte {reader.offset}"
    return FileCube(
        dims, FileArray(source, reader, decoding, token), coords, attrs, header.stem
    )


def _parse(path: Path) -> dict[str, str]:
    """Fields of a header; keys in lower case, braces removed."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    kept = [line for line in text.splitlines()[1:] if not line.startswith(";")]
    found = re.findall(
        r"^[ \t]*([^={}\n]+?)[ \t]*=[ \t]*(\{[^}]*\}|[^\n]*)", "\n".join(kept), re.M
    )
    return {
        " ".join(key.lower().split()): value.strip("{} \t\r\n") for key, value in found
    }


def _integer(
    path: Path, fields: Mapping[str, str], key: str, default: int | None = None
) -> int:
    text = fields.get(key, "" if default is None else str(default))
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < (1 if default is None else 0):
        raise CorruptFileError(
            f"{path}: {key} = {text or 'nothing'}. The header must say how many "
            f"{key} there are. Add or correct the line {key!r}."
        )
    return value


def _dtype(path: Path, fields: Mapping[str, str]) -> np.dtype[Any]:
    code = _integer(path, fields, "data type")
    if code not in DTYPES:
        raise CorruptFileError(
            f"{path}: data type = {code}. ENVI knows {', '.join(map(str, DTYPES))}. "
            "Correct that line of the header."
        )
    # without the line: written by a program of its day, that is little-endian
    order = ">" if _integer(path, fields, "byte order", 0) == 1 else "<"
    return np.dtype(order + DTYPES[code])


def _check_size(path: Path, source: Source, reader: RawReader) -> None:
    needed = reader.offset + reader.dtype.itemsize * math.prod(reader.shape)
    size = source.identity[2]
    if size < needed:
        raise CorruptFileError(
            f"{source.path} has {size} bytes. Its header {path.name} describes "
            f"{needed}. The data are cut short, or the header belongs to another file."
        )


def _decoding(
    path: Path,
    fields: Mapping[str, str],
    dtype: np.dtype[Any],
    dims: tuple[str, ...],
    bands: int,
) -> Decoding:
    shape = [bands if d == "band" else 1 for d in dims]

    def factor(key: str) -> npt.NDArray[np.float32] | None:
        values = _numbers(path, fields, key, bands)
        return None if values is None else values.astype("f4").reshape(shape)

    scale: Any = factor("data gain values")
    offset = factor("data offset values")
    reflectance = _floats(fields.get("reflectance scale factor", ""))
    if scale is None and len(reflectance) == 1 and reflectance[0] not in (0, 1):
        scale = np.float32(1 / reflectance[0])
    fills = []
    for ignore in _floats(fields.get("data ignore value", "")):
        if dtype.kind == "f" or (
            dtype.kind in "iu"
            and ignore % 1 == 0
            and np.iinfo(dtype).min <= ignore <= np.iinfo(dtype).max
        ):
            value = dtype.type(ignore)
            fills += [] if np.isnan(value) else [value]
    return Decoding(dtype, tuple(fills), scale, offset)


def _band_coords(
    path: Path, fields: Mapping[str, str], bands: int
) -> dict[str, xr.Variable]:
    wavelength = _numbers(path, fields, "wavelength", bands)
    fwhm = _numbers(path, fields, "fwhm", bands)
    good = _numbers(path, fields, "bbl", bands)
    dim = "band" if wavelength is None else "wavelength"
    coords: dict[str, xr.Variable] = {}
    attrs: dict[str, str] = {}
    if wavelength is not None:
        attrs = _wavelength_attrs(fields.get("wavelength units", ""), wavelength)
        coords["wavelength"] = xr.Variable(dim, wavelength, attrs)
    else:
        names = _words(fields.get("band names", ""))
        if len(names) == bands:
            coords["band_name"] = xr.Variable(dim, np.array(names))
    if fwhm is not None:
        units = {"units": attrs["units"]} if "units" in attrs else {}
        coords["fwhm"] = xr.Variable(dim, fwhm, units)
    if good is not None:
        coords["good_band"] = xr.Variable(dim, good != 0)  # bbl: 1 is good
    return coords


def _wavelength_attrs(stated: str, values: npt.NDArray[np.float64]) -> dict[str, str]:
    """Units as stated; nanometres where none are, and the numbers leave no doubt.

    No doubt: from the visible on (first centre 350 to 700), and nothing beyond 2600.
    Micrometres are below 50 there, wavenumbers of an infrared spectrometer go beyond
    or start above, Raman shifts start below.
    """
    stated = stated.strip()
    units = envi_units(stated)
    if units is not None:
        return {"units": units}
    if stated and stated.lower() not in {"unknown", "index"}:
        return {"units": stated}
    safe = 350 <= values.min() <= 700 and values.max() <= 2600 and len(values) > 1
    if not stated and safe:
        return {
            "units": "nm",
            "comment": "the header states no units; nm inferred from the range",
        }
    return {}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.rstrip(" \t\r\n,").split(",")]


def _floats(text: str) -> list[float]:
    try:
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return []


def _numbers(
    path: Path, fields: Mapping[str, str], key: str, bands: int
) -> npt.NDArray[np.float64] | None:
    """One number a band, or None where the header has no such line."""
    if not fields.get(key):
        return None
    values = _floats(fields[key])
    if len(values) != bands:
        raise CorruptFileError(
            f"{path}: {key!r} has {len(values)} numbers. The cube has {bands} bands. "
            "Correct that line of the header."
        )
    return np.array(values)


def _map_coords(
    fields: Mapping[str, str], lines: int, samples: int
) -> dict[str, xr.Variable]:
    """Centres of the pixels on the map: 1-D, or 2-D where the grid is turned.

    A turned grid has ``y`` and ``x`` too: lengths along its own lines and samples.
    """
    words = _words(fields.get("map info", ""))
    numbers = [_floats(word) for word in words[1:7]]
    if len(numbers) < 6 or not all(len(n) == 1 for n in numbers):
        return {}
    sample, line, easting, northing, dx, dy = (n[0] for n in numbers)
    named = dict(re.findall(r"(\w+)\s*=\s*([^,}]+)", ",".join(words[7:])))
    degrees = words[0].lower().startswith("geographic")
    units = named.get("units", "degrees" if degrees else "meters").strip().lower()
    units = {"meters": "m", "feet": "ft", "degrees": "degrees"}.get(units, units)
    along_x = (np.arange(samples) + 1.5 - sample) * dx
    along_y = (np.arange(lines) + 1.5 - line) * -dy
    angle = math.radians((_floats(named.get("rotation", "0")) or [0.0])[0])
    if angle == 0:
        return {
            "y": xr.Variable("y", northing + along_y, _map_attrs("y", degrees, units)),
            "x": xr.Variable("x", easting + along_x, _map_attrs("x", degrees, units)),
        }
    # counter-clockwise, in degrees
    east = easting + math.cos(angle) * along_x - math.sin(angle) * along_y[:, None]
    north = northing + math.sin(angle) * along_x + math.cos(angle) * along_y[:, None]
    grid = {"units": units, "comment": "along the grid, which is turned on the map"}
    return {
        "y": xr.Variable("y", along_y, grid),
        "x": xr.Variable("x", along_x, grid),
        "northing": xr.Variable(
            ("y", "x"),
            north,
            {"units": units, "standard_name": "projection_y_coordinate"},
        ),
        "easting": xr.Variable(
            ("y", "x"),
            east,
            {"units": units, "standard_name": "projection_x_coordinate"},
        ),
    }


def _map_attrs(axis: str, degrees: bool, units: str) -> dict[str, str]:
    if degrees:
        name, direction = (
            ("latitude", "north") if axis == "y" else ("longitude", "east")
        )
        return {"units": f"degrees_{direction}", "standard_name": name}
    return {"units": units, "standard_name": f"projection_{axis}_coordinate"}
