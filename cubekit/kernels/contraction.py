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
    from scipy import sparse

    from cubekit.kernels.refit import LocalFit

__all__ = ["contract_array"]

Array = npt.NDArray[Any]


def contract_array(
    x: Array,
    matrix: sparse.csr_array,
    axis: int,
    *,
    threads: int = 1,
    shift: Array | None = None,
    offset: Array | None = None,
    fit: LocalFit | None = None,
    out: Array | None = None,
) -> Array:
    """Contract `matrix` into one axis of an array: ``matrix @ (x - shift) + offset``.

    Parameters
    ----------
    x : array, (..., n, ...)
        Real numbers of any dtype, order and strides.
    matrix : csr_array, (m, n)
        Its stored entries, zeros included, are the support. Indices are sorted.
    axis : int
        The axis of length n.
    threads : int
        Threads over blocks of spectra.
    shift : array, (n,), optional
        Taken off before the product, so that nothing cancels after it.
    offset : array, (m,), optional
        Added to the product.
    fit : LocalFit, optional
        What the rows of `matrix` are; given, windows with missing samples are fitted
        again to those that are left. Not with `shift` or `offset`.
    out : array, (..., m, ...), optional
        Where to put the result: in the dtype of the result, one item of `empty_stack`.

    Returns
    -------
    array, (..., m, ...)
        NaN where the support of an output meets a NaN or Inf; every other output has
        the bits it would have without them. With `fit`, NaN where there is no fit.
    """
    # work in the order of memory, so that no layout needs a transposed copy
    order = memory_order(x)
    ordered = x.transpose(order)
    at = order.index(axis)
    before, after = ordered.shape[:at], ordered.shape[at + 1 :]
    outputs, inputs = matrix.shape
    if out is None:
        y = np.empty((*before, outputs, *after), result_dtype(x.dtype))
    else:
        y = out.transpose(order)
    flat = (math.prod(before), math.prod(after))
    x = ordered.reshape(flat[0], inputs, flat[1])
    planes = y.reshape(flat[0], outputs, flat[1])
    if y.size:
        work = Blockwise(x, planes, matrix, shift=shift, offset=offset, fit=fit)
        work.run(threads)
    return y.transpose(np.argsort(order)) if out is None else out
