"""Which samples of a field a gradient with gaps ties together.

Nothing here is a graph of the plane: ties are read from the stencils, a slab at a time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy import sparse

__all__ = ["regions", "slabs", "take_means_off"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.signedinteger[Any]]
Part = tuple[slice, ...]

_SLAB = 2**18  # samples: what is made of them stays in cache


def slabs(shape: Sequence[int], axis: int | None = None) -> Iterator[Part]:
    """Parts of a grid, that hold an axis whole if one is given."""
    others = [k for k in range(len(shape)) if k != axis]
    if not others:
        yield (slice(None),)
        return
    cut = max(others, key=lambda k: shape[k])
    size = max(1, _SLAB * shape[cut] // max(1, math.prod(shape)))
    for start in range(0, shape[cut], size):
        part = slice(start, start + size)
        yield tuple(part if k == cut else slice(None) for k in range(len(shape)))


def regions(
    differences: Sequence[sparse.csr_array], weights: Sequence[Array]
) -> tuple[Labels, int]:
    """Label the samples that equations with a weight tie together.

    Parameters
    ----------
    differences : sequence of csr_array, (equation, sample)
        The equations along each axis.
    weights : sequence of arrays, (..., equation, ...)
        Their weights: zero for none.

    Returns
    -------
    label : array, (*grid)
    count : int
        Number of labels, those of samples in no equation included.

    Notes
    -----
    Each sample points to another of its region, itself at first; ends of a tie that
    point to different ones hang the later of these on the earlier. Pointers are
    followed to their roots after each sweep over the ties, until no tie tells of two.
    """
    shape = tuple(d.shape[1] for d in differences)
    size = math.prod(shape)
    own: Labels = np.arange(size, dtype=np.int32 if size < 2**31 else np.int64)
    root = own.copy()
    label = root.reshape(shape)
    ties = [
        (k, *tie)
        for k, difference in enumerate(differences)
        for tie in _ties(difference)
    ]
    joined = True
    while joined:
        joined = False
        for k, rows, first, other in ties:
            for part in slabs(shape, k):
                tied = np.take(weights[k][part], rows, axis=k) > 0
                a = root[np.take(label[part], first, axis=k)[tied]]
                b = root[np.take(label[part], other, axis=k)[tied]]
                apart = a != b
                if apart.any():
                    joined = True
                    a, b = a[apart], b[apart]
                    root[np.maximum(a, b)] = np.minimum(a, b)
            _follow(root)
    is_root = root == own
    number: Labels = np.cumsum(is_root).astype(own.dtype)
    number -= 1
    return number[label], int(number[-1]) + 1


def _ties(difference: sparse.csr_array) -> Iterator[tuple[Array, Array, Array]]:
    """Equations of some length, and the first and another sample of each."""
    lean = difference.copy()
    lean.eliminate_zeros()
    length = np.diff(lean.indptr)
    for j in range(1, int(length.max(initial=0))):
        rows = np.flatnonzero(length > j)
        start = lean.indptr[rows]
        yield rows, lean.indices[start], lean.indices[start + j]


def _follow(root: Labels) -> None:
    """Let each pointer point to the end of its chain."""
    while True:
        further = root[root]
        if np.array_equal(further, root):
            return
        root[:] = further


def take_means_off(
    field: Floats, label: Labels, covered: npt.NDArray[np.bool_]
) -> None:
    """Take the mean off each region of a field; NaN where it is not covered."""
    count = int(label.max()) + 1
    number, total = np.zeros((2, count))
    for part in slabs(field.shape):
        inside = label[part][covered[part]]
        number += np.bincount(inside, minlength=count)
        total += np.bincount(inside, field[part][covered[part]], minlength=count)
    means = total / np.maximum(number, 1)
    for part in slabs(field.shape):
        field[part] -= means[label[part]]
    field[~covered] = np.nan
