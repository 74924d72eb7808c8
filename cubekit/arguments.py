"""Checks of arguments that every public function words alike."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "require_dataarray",
    "require_integer",
    "require_periods",
    "require_positive",
    "require_real",
]


def require_integer(function: str, name: str, value: Any, least: int) -> None:
    """Raise unless a value is an integer, and `least` or more."""
    if not _is_number(value, numbers.Integral):
        raise TypeError(
            f"{function}: {name}={value!r} is a {type(value).__name__}. It counts, so "
            f"it must be an integer. Use {name}={least} or more."
        )
    if value < least:
        raise ValueError(
            f"{function}: {name}={value} is out of range. It must be at least {least}. "
            f"Use {name}={least} or more."
        )


def require_positive(function: str, name: str, value: Any) -> float:
    """Value as a float; raise unless it is a positive, finite real number."""
    if not _is_number(value, numbers.Real):
        raise TypeError(
            f"{function}: {name}={value!r} is a {type(value).__name__}. It measures, "
            "so it must be a number. Give a positive one."
        )
    if not 0 < value < math.inf:
        raise ValueError(
            f"{function}: {name}={value} is out of range. It must be finite, and more "
            "than zero. Give a positive number."
        )
    return float(value)


def require_periods(
    function: str, periodic: Mapping[str, float] | None, names: Sequence[str]
) -> dict[str, float]:
    """Periods by coordinate; raise unless each coordinate is one of some names."""
    if periodic is not None and not isinstance(periodic, Mapping):
        raise TypeError(
            f"{function}: periodic={periodic!r} is a {type(periodic).__name__}. The "
            "period of an axis belongs to its name. Write "
            f"periodic={{{names[-1]!r}: 360}}."
        )
    for name in periodic or {}:
        if name not in names:
            raise ValueError(
                f"{function}: periodic names {name!r}. The directions are "
                f"{', '.join(map(repr, names))}. Give the period of one of these."
            )
    return dict(periodic or {})


def require_dataarray(
    cube: Any, function: str | None = None, what: str = "cube"
) -> None:
    """Raise unless a cube, or what it is, is a DataArray."""
    if not isinstance(cube, xr.DataArray):
        asked = what if function is None else f"{function}: the {what}"
        remedy = (
            'Build one: xarray.DataArray(values, dims=("y", "x", "wavelength"), '
            'coords={"wavelength": wavelengths}).'
        )
        if isinstance(cube, xr.Dataset):
            held = ", ".join(map(repr, cube.data_vars)) or "no variable"
            name = next(iter(cube.data_vars), "name")
            remedy = f"This one holds {held}. Choose one: dataset[{name!r}]."
        raise TypeError(
            f"{asked} is a {type(cube).__module__}.{type(cube).__qualname__}. cubekit "
            f"needs a DataArray, whose coordinates say where the samples are. {remedy}"
        )


def require_real(cube: Any, name: str) -> None:
    """Raise unless a cube holds real numbers in NumPy or Dask arrays of known size."""
    require_dataarray(cube, name)
    if cube.dtype.kind in "iufb":
        meta = getattr(cube.data, "_meta", cube.data)
        if not isinstance(meta, np.ndarray):
            raise TypeError(
                f"{name}: the cube holds {type(meta).__qualname__} data. cubekit works "
                "on NumPy arrays, alone or as Dask chunks, with NaN for missing "
                "values. Convert it: cube.as_numpy()."
            )
        if any(np.isnan(size) for size in cube.shape):
            raise ValueError(
                f"{name}: the cube has chunks of unknown size. The axis must be known. "
                "Call cube.data.compute_chunk_sizes() first."
            )
        return
    if cube.dtype.kind == "c":
        raise TypeError(
            f"{name}: the cube is {cube.dtype}. Only real values are filtered, and the "
            "imaginary part is not dropped for you. Apply it to cube.real and "
            "cube.imag."
        )
    raise TypeError(
        f"{name}: the cube has dtype {cube.dtype}. Values must be real numbers. "
        "Convert them: cube.astype(float)."
    )


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a number of a kind; truths and times are by class alone."""
    truth_or_time = isinstance(value, bool | np.bool_ | np.timedelta64)
    return isinstance(value, kind) and not truth_or_time
