"""Other chunks for a Dask array: smaller ones, or ones that hold an axis whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy.typing as npt
from dask.utils import parse_bytes

from cubekit.warned import warn_caller

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["in_pieces", "whole_along"]

Array = npt.NDArray[Any]

# samples that are worth a task: what is made of them is some times as large
_PIECE = 2**21


def in_pieces(x: Array | da.Array) -> Array | da.Array:
    """Dask array whose large chunks are cut along their first axes; any other as it is.

    The work on a piece holds pieces beside it, and no second chunk.
    """
    if not isinstance(x, da.Array):
        return x
    cut: da.Array = x.rechunk(_cut(x.chunks, _PIECE))
    return cut


def whole_along(
    x: da.Array,
    axes: Sequence[int],
    what: str,
    *,
    layout: str = "spectra",
) -> da.Array:
    """Dask array with some axes in one chunk; the chunks of the others stay.

    They are cut, with a warning, where they would be larger than Dask's own limit
    (``array.chunk-size``) with the whole axes.

    Parameters
    ----------
    x : Dask array
        Any chunks; as it is if the axes are whole.
    axes : sequence of int
    what : str
        Who asks, for the warning.
    layout : str, default "spectra"
        Of a file that needs no other chunks; see `cubekit.rechunk`.
    """
    if all(x.numblocks[axis] == 1 for axis in axes):
        return x
    chunks = list(x.chunks)
    for axis in axes:
        chunks[axis] = (x.shape[axis],)
    most = parse_bytes(dask.config.get("array.chunk-size")) // x.dtype.itemsize
    others = [axis for axis in range(x.ndim) if axis not in axes]
    cut = _cut(chunks, most, others)
    if cut != tuple(chunks):
        before, after = _largest(chunks), _largest(cut)
        warn_caller(
            f"{what}: {' and '.join(_lengths(x, axes))} wanted whole. Chunks of "
            f"{before} would take {math.prod(before) * x.dtype.itemsize / 1e9:.2g} GB, "
            f"so they are cut to {after}, and what is read of the others waits in "
            "memory. If the file is used more than once, rewrite it first: "
            f'cubekit.rechunk(..., layout="{layout}").'
        )
    # not by way of a cluster, so that the result can be computed here as well
    whole: da.Array = x.rechunk(cut, method="tasks")
    return whole


def _cut(
    chunks: Sequence[tuple[int, ...]], most: int, axes: Sequence[int] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Chunks cut along the first of some axes until none holds more samples."""
    cut = list(chunks)
    size = math.prod(_largest(chunks))
    for k in range(len(cut)) if axes is None else axes:
        longest = max(cut[k], default=0)
        if size <= most:
            break
        length = max(1, most * longest // size)
        cut[k] = tuple(
            min(length, whole - start)
            for whole in cut[k]
            for start in range(0, whole, length)
        )
        size = size // longest * length
    return tuple(cut)


def _largest(chunks: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(max(lengths, default=0) for lengths in chunks)


def _lengths(x: da.Array, axes: Sequence[int]) -> list[str]:
    """Axes in words."""
    return [
        f"{x.shape[k]} samples in {x.numblocks[k]} chunks"
        for k in axes
        if x.numblocks[k] > 1
    ]
