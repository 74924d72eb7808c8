"""Multiply a few of many spectra again, to the bit.

BLAS adds in another order where a product ends, on some processors, so the bits of a
result depend on the size of its product and on its place there. A spectrum is given the
same place in a product of the same size, which it shares with spectra from other places
of other products; the places that are left are zero.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from cubekit.kernels.tiling import Tiling

__all__ = ["multiply_again"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]


def multiply_again(
    tiling: Tiling,
    weights: list[Array],
    x: Array,
    y: Array,
    *,
    places: Places,
    total: int,
    block: int,
) -> None:
    """Multiply some spectra as the blocks that they are from did.

    Parameters
    ----------
    tiling, weights
        Tiles of the matrix.
    x : array, (hit, n) or (1, n, hit)
        The spectra, as the tiling has them.
    y : array, (hit, m) or (1, m, hit)
        Filled with the results.
    places : array, (hit,)
        Where they were, among `total` spectra that were multiplied in blocks.
    total, block : int
        How many spectra there were, and how many in a block.
    """
    x, y = (x, y) if tiling.spectra else (x[0].T, y[0].T)
    size, place = _in_products(places, total, block, tiling.piece)
    for spectra in np.unique(size):
        same = np.flatnonzero(size == spectra)
        same = same[np.argsort(place[same], kind="stable")]
        # the first spectrum of each place goes to the first product, and so on
        product = np.arange(len(same)) - np.searchsorted(place[same], place[same])
        order = np.argsort(product, kind="stable")
        same, product = same[order], product[order]
        edges = np.searchsorted(product, np.arange(product[-1] + 2))
        if tiling.spectra:
            room = np.zeros((spectra, x.shape[1]), x.dtype)
            result = np.empty((spectra, y.shape[1]), y.dtype)
            rows, results = room, result
        else:
            room = np.zeros((1, x.shape[1], spectra), x.dtype)
            result = np.empty((1, y.shape[1], spectra), y.dtype)
            rows, results = room[0].T, result[0].T
        inputs, outputs = tiling.inputs(room), tiling.outputs(result)
        for a, b in itertools.pairwise(edges):
            part, at = same[a:b], place[same[a:b]]
            rows[at] = x[part]
            tiling.multiply(weights, inputs, outputs)
            y[part] = results[at]
            rows[at] = 0


def _in_products(
    places: Places, total: int, block: int, piece: int
) -> tuple[Places, Places]:
    """Spectra of the product that each was in, and its place among them."""
    first = places // block * block
    size = np.minimum(block, total - first)
    # pieces are whole but for the last; a block of one piece has no other
    last = np.where(size > piece, size // piece * piece, 0)
    place = places - first
    in_last = place >= last
    return (
        np.where(in_last, size - last, piece),
        np.where(in_last, place - last, place % piece),
    )
