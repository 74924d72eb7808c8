"""Checks of arguments that every public function words alike."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

__all__ = ["require_integer", "require_positive"]


def require_integer(function: str, name: str, value: Any, least: int) -> None:
    """Raise unless a value is an integer, and `least` or more."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
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
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not real:
        raise TypeError(
            f"{function}: {name}={value!r} is a {type(value).__name__}. It is a length "
            "on the axis. Give a positive number."
        )
    if not 0 < value < math.inf:
        raise ValueError(
            f"{function}: {name}={value} is out of range. It is a length on the axis. "
            "Give a positive number."
        )
    return float(value)
