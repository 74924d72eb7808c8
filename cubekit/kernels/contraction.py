"""Contract a sparse matrix into one axis of a NumPy array, tile by tile.

A tile is a dense block of the matrix: a few outputs, and just the inputs they touch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.kernels.blockwise import Blockwise
from cubekit.kernels.layout import memory_order, result_dtype

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Contracted", "contract_array", "contract_spectra"]

Array = npt.NDArray[Any]


def contract_array(
    x: Array,
    matrix: sparse.csr_array,
    axis: int,
    *,
    threads: int = 1,
    shift: Array | None = None,
    offset: Array | None = None,
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
    out : array, (..., m, ...), optional
        Where to put the result: in the dtype of the result, one item of `empty_stack`.

    Returns
    -------
    array, (..., m, ...)
        NaN where the support of an output meets a NaN or Inf; every other output has
        the bits it would have without them.
    """
    contracted = contract_spectra(
        x, matrix, axis, threads=threads, shift=shift, offset=offset, out=out
    )
    return contracted.result


class Contracted(NamedTuple):
    """Result of a contraction, and where its input had NaN or Inf."""

    result: Array
    x: Array  # (before, n, after), in the order of memory
    y: Array  # (before, m, after), a view of the result
    tainted: npt.NDArray[np.intp]  # spectra, by their place in (before, after)


def contract_spectra(
    x: Array,
    matrix: sparse.csr_array,
    axis: int,
    *,
    threads: int = 1,
    shift: Array | None = None,
    offset: Array | None = None,
    out: Array | None = None,
) -> Contracted:
    """Contract as `contract_array`, and tell which spectra had NaN or Inf."""
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
    tainted = np.zeros(0, np.intp)
    if y.size:
        work = Blockwise(x, planes, matrix, shift, offset)
        work.run(threads)
        tainted = np.sort(np.concatenate([tainted, *work.tainted]))
    result = y.transpose(np.argsort(order)) if out is None else out
    return Contracted(result, x, planes, tainted)
