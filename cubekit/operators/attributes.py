"""Attributes of a result: which are kept, which would lie, and its units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["METRIC", "VALUE_ATTRS", "derived_attrs", "units_of"]

# marks vectors per metre on the ellipsoid, which plain axes must not take for their own
METRIC = "metric"
# attributes that describe the values of the input, and would lie about the output
VALUE_ATTRS = (
    "valid_range",
    "valid_min",
    "valid_max",
    "actual_range",
    "missing_value",
)


def units_of(cube: xr.DataArray) -> str | None:
    """Units of the values of a cube, as text; None if it has none."""
    units = cube.attrs.get("units")
    return None if units is None else str(units)


def derived_attrs(
    cube: xr.DataArray, units: str | None, *, how: str | None = None
) -> dict[str, Any]:
    """Attributes for another quantity made from a cube, in other units.

    A long name says `how` it was made, if that is given.
    """
    dropped = {*VALUE_ATTRS, "standard_name", "units", METRIC}
    attrs = {k: v for k, v in cube.attrs.items() if k not in dropped}
    if how is not None and "long_name" in attrs:
        attrs["long_name"] = f"{attrs['long_name']}, {how}"
    return attrs if units is None else {**attrs, "units": units}
