"""How arrays are cut into blocks: for reading, and for the chunks of a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BLOCK_BYTES",
    "CHUNK_BYTES",
    "aligned_blocks",
    "block_shape",
    "chunk_shape",
    "layout_shape",
    "times_read",
]

BLOCK_BYTES = 2**24
_LARGEST = 2**27
CHUNK_BYTES = 2**20


def block_shape(
    shape: Sequence[int],
    itemsize: int,
    stored: Sequence[int] | None,
    whole: int | None = None,
) -> tuple[int, ...]:
    """Shape of blocks that follow the chunks of a file, whole along one axis.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    itemsize : int
        Bytes a value.
    stored : sequence of int, optional
        Shape of the chunks in the file; None if it lies in one piece.
    whole : int, optional
        Axis that is not cut.

    Returns
    -------
    tuple of int
        Multiples of the chunks of the file, about 16 MiB; chunks are cut only where
        blocks would have more than 128 MiB.
    """
    if stored is None:
        stored = [1] * (len(shape) - 1) + [*shape[-1:]]
    block = [min(c, n) for c, n in zip(stored, shape, strict=True)]
    if whole is not None:
        block[whole] = shape[whole]
    for axis in reversed(range(len(block))):
        room = BLOCK_BYTES // max(1, itemsize * math.prod(block))
        block[axis] = min(shape[axis], block[axis] * max(1, room))
    while itemsize * math.prod(block) > _LARGEST:
        others = [k for k in range(len(block)) if k != whole and block[k] > 1]
        if not others:
            break
        longest = max(others, key=lambda k: block[k])
        block[longest] = -(-block[longest] // 2)
    return tuple(max(1, n) for n in block)


def chunk_shape(
    blocks: Sequence[Sequence[int]],
    itemsize: int,
    whole: int | None = None,
    nbytes: int = CHUNK_BYTES,
) -> tuple[int, ...]:
    """Shape of the chunks of a new file, for an array in Dask blocks.

    About 1 MiB, which fits the caches of HDF5; not cut along one axis if that can be,
    and nesting in the blocks wherever these leave a choice.
    """
    # chunks may end where any block does
    nests = [math.gcd(*b[:-1]) if len(b) > 1 else 0 for b in blocks]
    chunk = [max(1, max(b, default=1)) for b in blocks]
    while itemsize * math.prod(chunk) > nbytes:
        others = [k for k in range(len(chunk)) if k != whole and chunk[k] > 1]
        if not others:
            others = [k for k in range(len(chunk)) if chunk[k] > 1]
        longest = max(others, key=lambda k: chunk[k])
        chunk[longest] = _smaller(chunk[longest], nests[longest])
    return tuple(chunk)


def _smaller(size: int, nest: int) -> int:
    """About half of a size: a divisor of `nest` if there is one not far below."""
    half = -(-size // 2)
    divisors = [d for d in range(-(-half // 2), half + 1) if nest and nest % d == 0]
    return max(divisors, default=half)


def aligned_blocks(
    blocks: Sequence[Sequence[int]], chunk: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Blocks that hold whole chunks only: the given ones wherever they do."""
    aligned = []
    for sizes, c in zip(blocks, chunk, strict=True):
        if all(b % c == 0 for b in sizes[:-1]):
            aligned.append(tuple(sizes))
            continue
        n = sum(sizes)
        step = c * max(1, max(sizes) // c)
        aligned.append(tuple(min(step, n - k) for k in range(0, n, step)))
    return tuple(aligned)


def times_read(blocks: Sequence[Sequence[int]], chunk: Sequence[int]) -> float:
    """How often the chunks of a file are read, when it is read in blocks."""
    factor = 1.0
    for sizes, c in zip(blocks, chunk, strict=True):
        touched, start = 0, 0
        for size in sizes:
            touched += -(-int(start + size) // c) - int(start) // c
            start += size
        factor *= touched / max(1, -(-start // c))
    return float(factor)


def layout_shape(
    layout: str, shape: Sequence[int], itemsize: int, band: int
) -> tuple[int, ...]:
    """Shape of chunks for a use: whole spectra, images of one band, or in between."""
    room = CHUNK_BYTES // itemsize
    bands = shape[band]
    depth = {
        "spectra": bands,
        "images": 1,
        # as many chunks in a spectrum as on the side of an image
        "balanced": min(
            bands, max(1, round((room * bands / _side(shape, band)) ** (1 / 3)))
        ),
    }[layout]
    chunk = [1] * len(shape)
    chunk[band] = depth
    others = [k for k in range(len(shape)) if k != band]
    for done, axis in enumerate(reversed(others)):
        left = len(others) - done
        side = max(1, int((room / math.prod(chunk)) ** (1 / left)))
        chunk[axis] = min(shape[axis], side)
    return tuple(chunk)


def _side(shape: Sequence[int], band: int) -> float:
    """Samples on the side of an image, about."""
    others = [n for k, n in enumerate(shape) if k != band]
    return max(1.0, math.pow(math.prod(others), 1 / max(1, len(others))))
