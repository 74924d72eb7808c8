"""Lengths on the WGS84 ellipsoid: what a degree is in metres, and how that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.errors import CoordinateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

__all__ = ["Metric", "latitude_and_longitude", "metric_at"]

Floats = npt.NDArray[np.float64]

_SEMI_MAJOR = 6378137.0
_FLATTENING = 1 / 298.257223563
_NAMES = {
    "latitude": ("lat", "nav_lat", "y"),
    "longitude": ("lon", "nav_lon", "x"),
}
_UNITS = {"latitude": "degrees_north", "longitude": "degrees_east"}


class Metric(NamedTuple):
    r"""Of the ellipsoid at some latitudes, in metres and degrees.

    `north` and `east` are the lengths of a degree, :math:`M` and :math:`N \cos\phi`
    times :math:`\pi/180`; `east` is NaN at a pole, which has no east. `d_north` and
    `d_east` are their derivatives with respect to the latitude.
    """

    north: Floats
    east: Floats
    d_north: Floats
    d_east: Floats


def metric_at(latitude: Floats) -> Metric:
    """Metric of WGS84 at some latitudes, in degrees."""
    degree = np.pi / 180
    sine, cosine = np.sin(latitude * degree), np.cos(latitude * degree)
    eccentricity = _FLATTENING * (2 - _FLATTENING)  # squared
    w = 1 - eccentricity * sine**2
    north = _SEMI_MAJOR * (1 - eccentricity) / w**1.5
    east = _SEMI_MAJOR * cosine / np.sqrt(w)
    d_north = north * 3 * eccentricity * sine * cosine / w
    d_east = -north * sine
    east = np.where(np.abs(latitude) >= 90, np.nan, east)
    return Metric(
        north * degree, east * degree, d_north * degree**2, d_east * degree**2
    )


def latitude_and_longitude(
    cube: xr.DataArray, coords: Sequence[str], function: str
) -> tuple[int, int]:
    """Which of the coordinates are latitude and longitude; both must be there."""
    found = [
        [k for k, name in enumerate(coords) if _is(cube.coords[name], what)]
        for what in ("latitude", "longitude")
    ]
    if [len(places) for places in found] != [1, 1]:
        raise CoordinateError(
            f"{function}: geographic=True needs a latitude and a longitude. They are "
            f"not told apart in {', '.join(map(repr, coords))}. Say which is which: "
            f'cube[{coords[0]!r}].attrs["standard_name"] = "latitude".'
        )
    latitude, longitude = found[0][0], found[1][0]
    for k in (latitude, longitude):
        units = str(cube.coords[coords[k]].attrs.get("units", "degrees"))
        if not units.startswith(("deg", "°")):
            raise CoordinateError(
                f"{function}: coordinate {coords[k]!r} is in {units}. geographic=True "
                "needs degrees. Convert it: "
                f"cube.assign_coords({coords[k]}=np.degrees(cube[{coords[k]!r}]))."
            )
    largest = float(np.abs(cube.coords[coords[latitude]].values).max())
    if largest > 90 + 1e-6:
        raise CoordinateError(
            f"{function}: latitude {coords[latitude]!r} reaches {largest:g} degrees. "
            "It must lie between -90 and 90. Are latitude and longitude exchanged?"
        )
    return latitude, longitude


def _is(coordinate: xr.DataArray, what: str) -> bool:
    """Whether a coordinate is latitude or longitude: by attributes, then by name."""
    standard = coordinate.attrs.get("standard_name", "")
    if standard in _UNITS or "latitude" in standard or "longitude" in standard:
        return bool(standard == what)
    units = coordinate.attrs.get("units")
    if units in _UNITS.values():
        return bool(units == _UNITS[what])
    name = str(coordinate.name).lower()
    return name.startswith(_NAMES[what][0]) or name in _NAMES[what]
