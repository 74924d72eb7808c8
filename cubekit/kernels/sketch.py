"""Products of a covariance too large to be formed, one pass over the data each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt

from cubekit.kernels.chunked import filled
from cubekit.kernels.products import product
from cubekit.kernels.tree import fold_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Product", "scatter_product"]

Array = npt.NDArray[Any]
Real = npt.NDArray[np.float64]
_BLOCK = 2**21  # samples x bands worked on at a time


class Product(NamedTuple):
    """Sums over whole spectra of deviations from a shift, and their products."""

    samples: int
    dropped: int
    total: Real  # (band,)
    squares: Real  # (band,)
    product: Real  # (band, column)
    missing: npt.NDArray[np.int64]  # (band,)


def scatter_product(
    x: Array | da.Array,
    axis: int,
    keep: npt.NDArray[np.intp],
    shift: Real,
    columns: Real,
) -> Product:
    """Sum of ``d d' columns`` over whole spectra, with d the deviation from a shift.

    Parameters
    ----------
    x : NumPy or Dask array, (..., n, ...)
        Real numbers; any chunks. Each chunk is read once.
    axis : int
        The axis of the bands.
    keep : array of int
        Bands to take.
    shift : array, (band,)
    columns : array, (band, column)

    Returns
    -------
    Product
    """
    argument = (keep, shift, columns)
    if isinstance(x, da.Array):
        return fold_chunks(filled(x), axis, _leaf, _added, argument=argument)
    return _leaf(x, axis, argument)


def _leaf(x: Array, axis: int, argument: tuple[Any, Real, Real]) -> Product:
    keep, shift, columns = argument
    flat = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    size = max(1, _BLOCK // max(1, len(keep)))
    nothing = np.empty((0, x.shape[axis]))
    parts = [flat[k : k + size] for k in range(0, len(flat), size)] or [nothing]
    return _added([_block(part[:, keep], shift, columns) for part in parts])


def _block(part: Array, shift: Real, columns: Real) -> Product:
    finite = np.isfinite(part)
    whole = finite.all(axis=1)
    apart = part[whole].astype(np.float64) - shift
    return Product(
        len(apart),
        len(part) - len(apart),
        apart.sum(axis=0),
        np.einsum("nb,nb->b", apart, apart),
        product(apart, apart @ columns),
        np.count_nonzero(~finite, axis=0),
    )


def _added(parts: Sequence[Product]) -> Product:
    return Product(*(sum(numbers) for numbers in zip(*parts, strict=True)))
