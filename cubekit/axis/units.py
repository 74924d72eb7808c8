"""Units of derivatives, in the style of CF."""

from __future__ import annotations

import re

__all__ = ["derivative_units"]

_UNITLESS = {"1", "", "unitless", "dimensionless", "none", "-"}


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
