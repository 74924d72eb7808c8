"""Multiply a few of many spectra again, to the bit.

BLAS adds in another order where a product ends, on some processors, so the bits of a
result depend on the size of its product and on its place there. In each tile a spectrum
is given the same place in a product of the same size, which it shares with spectra from
other places of other products; what is at the places that are left does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubekit.kernels.tiling import Tiling

__all__ = ["Again", "multiply_again"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]

_VALUES = 2**17  # of a room for products


class Again(NamedTuple):
    """Outputs of a tile for some spectra, one for one."""

    spectrum: Places  # (result,)
    output: Places  # (result, row)
    values: Array  # (result, row)


def multiply_again(
    tiling: Tiling,
    weights: list[Array],
    x: Array,
    bad: Array,
    *,
    places: Places,
    total: int,
    block: int,
) -> Iterator[Again]:
    """Multiply some spectra as their blocks did, in the tiles that a bad value touches.

    Parameters
    ----------
    tiling, weights
        Tiles of the matrix.
    x : array, (hit, n) or (1, n, hit)
        The spectra, as the tiling has them, with zeros in place of bad values.
    bad : array, as `x`
        Whether a value is bad.
    places : array, (hit,)
        Where the spectra were, among `total` that were multiplied in blocks.
    total, block : int
        How many spectra there were, and how many in a block.
    """
    size, place = _in_products(places, total, block, tiling.piece)
    views = zip(weights, tiling.inputs(x), tiling.inputs(bad), strict=True)
    for run, (w, values, flags) in zip(tiling.runs, views, strict=True):
        if tiling.spectra:
            tiles, samples = w, values.swapaxes(1, 2)  # (tile, column, hit)
            tile, hit = np.nonzero(flags.any(axis=2))
        else:
            tiles, samples = w[:, 0], values[:, 0]
            tile, hit = np.nonzero(flags[:, 0].any(axis=1))
        for spectra in np.unique(size[hit]):
            same = np.flatnonzero(size[hit] == spectra)
            at_once = max(1, _VALUES // (run.columns * spectra))
            product = _Product(tiles, spectra, at_once, tiling.spectra)
            # few tiles at a time, so that the room for their products stays in cache
            starts = range(0, run.tiles, at_once)
            parts = np.split(same, np.searchsorted(tile[same], starts[1:]))
            for first, part in zip(starts, parts, strict=True):
                for group in _turns(tile[part] * spectra + place[hit[part]]):
                    of, who = tile[part[group]], hit[part[group]]
                    output = run.row + of[:, None] * run.rows + np.arange(run.rows)
                    found = product(samples[of, :, who], first, of - first, place[who])
                    yield Again(who, output, found)


class _Product:
    """Products of a few tiles with as many spectra as a block had.

    Parameters
    ----------
    weights : array, (tile, column, row) or (tile, row, column)
        The former where spectra are contiguous.
    spectra : int
    tiles : int
        At once, at the most.
    contiguous : bool
        Whether spectra are, in memory; else pixels.
    """

    def __init__(
        self, weights: Array, spectra: int, tiles: int, contiguous: bool
    ) -> None:
        self.weights, self.contiguous = weights, contiguous
        columns = weights.shape[1 if contiguous else 2]
        shape = (spectra, columns) if contiguous else (columns, spectra)
        self.room = np.zeros((tiles, *shape), weights.dtype)

    def __call__(self, values: Array, first: int, tile: Places, place: Places) -> Array:
        """Results (one for one, row) of values (one for one, column).

        Tiles are counted from `first`.
        """
        weights = self.weights[first : first + len(self.room)]
        room = self.room[: len(weights)]
        where: Any = (tile, place) if self.contiguous else (tile, slice(None), place)
        room[where] = values
        pair = (room, weights) if self.contiguous else (weights, room)
        found: Array = np.matmul(*pair)[where]
        return found


def _turns(keys: Places) -> list[Places]:
    """Groups of indices, as few as can be, with no key twice in one."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    turn = np.arange(len(keys)) - np.searchsorted(ordered, ordered)
    return [order[turn == k] for k in range(turn.max(initial=-1) + 1)]


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
