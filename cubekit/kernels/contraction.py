"""Contract a sparse matrix into one axis of a NumPy array, tile by tile.

A tile is a dense block of the matrix: a few outputs, and just the inputs they touch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.kernels.blockwise import Blockwise
from cubekit.kernels.layout import memory_order, result_dtype

if TYPE_CHECKING:
    from cubekit.kernels.linear_map import LinearMap

__all__ = ["contract_array"]

Array = npt.NDArray[Any]


def contract_array(
    x: Array,
    linear: LinearMap,
    axis: int,
    *,
    threads: int = 1,
    out: Array | None = None,
) -> Array:
    """Contract a matrix into one axis of an array: ``matrix @ (x - shift) + offset``.

    Parameters
    ----------
    x : array, (..., n, ...)
        Real numbers of any dtype, order and strides.
    linear : LinearMap, n to m
        Its plan is kept for the next array.
    axis : int
        The axis of length n.
    threads : int
        Threads over blocks of spectra.
    out : array, (..., m, ...), optional
        Where to put the result: in the dtype of the result, one item of `empty_stack`.

    Returns
    -------
    array, (..., m, ...)
        NaN where the support of an output meets a NaN or Inf; every other output has
        the bits it would have without them. With a `fit`, NaN where there is none.
    """
    # work in the order of memory, so that no layout needs a transposed copy
    order = memory_order(x)
    ordered = x.transpose(order)
    at = order.index(axis)
    before, after = ordered.shape[:at], ordered.shape[at + 1 :]
    outputs, inputs = linear.matrix.shape
    if out is None:
        y = np.empty((*before, outputs, *after), result_dtype(x.dtype))
    else:
        y = out.transpose(order)
    flat = (math.prod(before), math.prod(after))
    x = ordered.reshape(flat[0], inputs, flat[1])
    planes = y.reshape(flat[0], outputs, flat[1])
    if y.size:
        plan = linear.plan(y.dtype, spectra=flat[1] == 1)
        Blockwise(x, planes, plan).run(threads)
    return y.transpose(np.argsort(order)) if out is None else out
