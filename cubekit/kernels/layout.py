"""How arrays lie in memory, and how results are laid out like their input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["empty_stack", "memory_order", "result_dtype"]

Array = npt.NDArray[Any]


def result_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Floating dtype of the result for data of some dtype: float32 at least."""
    return np.result_type(dtype, np.float32)


def empty_stack(x: Array, count: int) -> Array:
    """Room for `count` results of the shape of `x`, each in its order of memory."""
    order = memory_order(x)
    shape = (count, *(x.shape[k] for k in order))
    stacked = np.empty(shape, result_dtype(x.dtype))
    return stacked.transpose([0, *(1 + np.argsort(order))])


def memory_order(x: Array) -> list[int]:
    """Axes of an array as they lie in memory, that of contiguous samples last."""
    return sorted(range(x.ndim), key=lambda k: -abs(x.strides[k]))
