"""Checks of the arguments of scenes, worded alike."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from cubekit.arguments import require_integer

__all__ = ["checked_noise", "checked_shape"]


def checked_shape(function: str, shape: Any) -> tuple[int, int]:
    """Pixels along y and x; raise unless they are two numbers of them."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise TypeError(
            f"{function}: shape={shape!r} is not a pair. It counts the pixels along y "
            "and x. Use shape=(120, 160)."
        )
    for size in shape:
        require_integer(function, "shape", size, 1)
    return int(shape[0]), int(shape[1])


def checked_noise(function: str, noise: Any) -> float:
    """Factor on the noise; raise unless it is a number, and not negative."""
    real = isinstance(noise, numbers.Real) and not isinstance(noise, bool | np.bool_)
    if not real or not 0 <= noise < math.inf:
        raise ValueError(
            f"{function}: noise={noise!r} is out of range. It multiplies the noise of "
            "the instrument. Use 0 for none, 1 for all of it."
        )
    return float(noise)
