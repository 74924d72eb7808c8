"""Which samples of a field a gradient with gaps ties together, and how firmly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aligned", "regions"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]


def regions(
    differences: Sequence[sparse.csr_array], weights: Sequence[Floats]
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
    """
    shape = tuple(d.shape[1] for d in differences)
    size = math.prod(shape)
    # half the memory, and the graph is the largest thing here
    narrow = np.int32 if size < 2**31 else np.int64
    sample = np.arange(size, dtype=narrow).reshape(shape)
    ends = []
    for k, (difference, weight) in enumerate(zip(differences, weights, strict=True)):
        lean = difference.copy()
        lean.eliminate_zeros()
        length = np.diff(lean.indptr)
        for j in range(1, int(length.max(initial=0))):
            rows = np.flatnonzero(length > j)
            tied = np.take(weight, rows, axis=k) > 0
            first = np.take(sample, lean.indices[lean.indptr[rows]], axis=k)[tied]
            other = np.take(sample, lean.indices[lean.indptr[rows] + j], axis=k)[tied]
            ends.append((first, other))
    from scipy.sparse import csgraph  # noqa: PLC0415  heavy

    start, stop = (np.concatenate(part) for part in zip(*ends, strict=True))
    ends.clear()
    graph = sparse.coo_array(
        (np.ones(len(start), np.int8), (start, stop)), (size, size)
    ).tocsr()
    del start, stop
    count, label = csgraph.connected_components(graph, directed=False)
    return label.reshape(shape).astype(np.intp), int(count)


def aligned(
    field: Floats,
    gradient: Floats,
    known: npt.NDArray[np.bool_],
    label: Labels,
    coordinates: Sequence[Floats],
) -> tuple[Floats, Labels]:
    """Shift interleaved parts of a field so that neighbours agree with the gradient.

    Central differences tie a sample to the second next: away from the edges of the
    grid the even and the odd samples of a region are parts of their own. The mean of
    the gradient between neighbours sets them against one another.

    Returns
    -------
    field : array, (*grid)
    label : array, (*grid)
        One label for each region.
    """
    starts, stops, shifts = [], [], []
    for k, x in enumerate(coordinates):
        ahead = (slice(None),) * k + (slice(1, None),)
        back = (slice(None),) * k + (slice(None, -1),)
        both = known[k][back] & known[k][ahead]
        both &= label[back] != label[ahead]  # the others agree already
        here = np.nonzero(both)
        there = (*here[:k], here[k] + 1, *here[k + 1 :])
        mean = (gradient[k][here] + gradient[k][there]) / 2
        starts.append(label[here])
        stops.append(label[there])
        shifts.append(np.diff(x)[here[k]] * mean - (field[there] - field[here]))
    start, stop, shift = map(np.concatenate, (starts, stops, shifts))
    from scipy.sparse import csgraph, linalg  # noqa: PLC0415  heavy

    count = int(label.max()) + 1
    equation = np.arange(len(shift))
    ones = np.ones(len(shift))
    matrix = sparse.coo_array(
        (
            np.concatenate([-ones, ones]),
            (np.concatenate([equation, equation]), np.concatenate([start, stop])),
        ),
        (len(shift), count),
    ).tocsr()
    constant = np.zeros(count)
    if len(shift):
        constant = linalg.lsqr(matrix, shift, atol=1e-14, btol=1e-14)[0]
    graph = sparse.coo_array((ones, (start, stop)), (count, count))
    _, region = csgraph.connected_components(graph, directed=False)
    return field + constant[label], region[label].astype(np.intp)
