"""Units of spectral axes as files spell them, and units of derivatives."""

from __future__ import annotations

import re

__all__ = ["derivative_units", "differ", "spectral_units"]

# in any case, as the words of ENVI headers come
_WORDS = {
    word: name
    for name, words in [
        ("nm", "nanometer nanometre"),
        ("um", "micrometer micrometre micron"),
        ("angstrom", "angstrom"),
        ("m", "meter metre"),
    ]
    for word in words.split()
}
_SYMBOLS = {
    symbol: name
    for name, symbols in [
        ("um", "um µm μm"),
        ("angstrom", "Å"),
        ("cm-1", "cm-1 cm^-1 cm^{-1} cm**-1 cm⁻¹ 1/cm /cm"),
        ("m-1", "m-1 m^-1 m^{-1} m**-1 m⁻¹ 1/m /m"),
    ]
    for symbol in symbols.split()
} | {name: name for name in ["nm", "m", "eV", "meV", "keV", "Hz", "MHz", "GHz", "THz"]}

_UNITLESS = {"1", "", "unitless", "dimensionless", "none", "-"}


def spectral_units(given: object) -> str | None:
    """Short name of the units of a spectral axis; None for any other.

    >>> from cubekit.axis import spectral_units
    >>> [spectral_units(u) for u in ("Nanometers", "wavenumber (cm-1)", "$nm$", "inch")]
    ['nm', 'cm-1', 'nm', None]
    """
    text = str(given).strip("$ ")
    inside = re.search(r"[(\[]([^()\[\]]+)[)\]]$", text)  # after the name of the axis
    text = inside[1].strip("$ ") if inside else text
    return _SYMBOLS.get(text) or _WORDS.get(text.lower().removesuffix("s"))


def differ(first: str | None, second: str | None) -> bool:
    """Whether units are given twice and are not the same, however they are spelt."""
    if not first or not second:
        return False
    return (spectral_units(first) or first) != (spectral_units(second) or second)


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
