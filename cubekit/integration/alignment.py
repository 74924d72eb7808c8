r"""What a gradient with gaps leaves open beside a constant, set by its neighbours.

Central differences leave a checkerboard open, :math:`(-1)^i` where the spacing is even:
it ties a sample to the second next, so that the even and the odd samples of a region
away from the edges of the grid are parts of their own. Where the spacing varies all are
tied, and still a wave from sample to sample, as high as the steps squared, has no
slope at any of them. One along each axis, and their products: the modes of a part.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cubekit.integration.regions import slabs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aligned"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.signedinteger[Any]]
Part = tuple[slice, ...]


class _Modes(NamedTuple):
    """Fields without a slope, of all parts."""

    waves: list[Floats]  # along each axis
    chosen: list[tuple[int, ...]]  # axes whose waves make a mode; none for a constant
    open: npt.NDArray[np.bool_]  # (part, mode), whether no equation tells of it

    def on(self, part: Part) -> list[Floats]:
        """Each mode on a part of the grid, ready to be broadcast."""
        count = len(self.waves)
        along = [
            wave[index].reshape([-1 if j == k else 1 for j in range(count)])
            for k, (wave, index) in enumerate(zip(self.waves, part, strict=True))
        ]
        return [
            math.prod((along[k] for k in axes), start=np.ones((1,) * count))
            for axes in self.chosen
        ]


def aligned(
    field: Floats,
    gradient: Array,
    weights: Array,
    *,
    rows: Sequence[Array],
    label: Labels,
    differences: Sequence[sparse.csr_array],
    coordinates: Sequence[Floats],
) -> Labels:
    """Add to each part what the gradient leaves open, so that neighbours agree with it.

    The mean of the gradient between neighbours sets them against one another, by least
    squares over all neighbours. `field` is changed.

    Parameters
    ----------
    field, gradient, weights : arrays, (*grid) and (direction, *grid)
    rows : sequence of arrays
        Weights of the equations.
    label : array, (*grid)
        Parts that the equations tie together.
    differences, coordinates : sequences
        The equations along each axis, and the samples.

    Returns
    -------
    label : array, (*grid)
        One label for each region.
    """
    count = int(label.max()) + 1
    modes = _modes(differences, rows, label, count)
    if count == 1 and not modes.open[:, 1:].any():
        return label
    pairs, grams, sides = _agreement(
        field, gradient, weights, label=label, coordinates=coordinates, modes=modes
    )
    from scipy.sparse import csgraph  # noqa: PLC0415  heavy

    height = _heights(pairs, grams, sides, modes.open.shape)
    start, stop = pairs
    graph = sparse.coo_array((np.ones(len(start)), (start, stop)), (count, count))
    _, region = csgraph.connected_components(graph, directed=False)
    for part in slabs(field.shape):
        for mode, high in zip(modes.on(part), height.T, strict=True):
            field[part] += mode * high[label[part]]
    return region.astype(label.dtype)[label]


def _modes(
    differences: Sequence[sparse.csr_array],
    rows: Sequence[Array],
    label: Labels,
    count: int,
) -> _Modes:
    waves, uncertain = [], []
    for k, (difference, row) in enumerate(zip(differences, rows, strict=True)):
        wave = _wave(difference)
        closed = np.ones(count, np.bool_)
        if wave is not None:
            slope = np.abs(difference @ wave)
            telling = np.flatnonzero(slope > 1e-8 * (abs(difference) @ np.abs(wave)))
            first = difference.indices[difference.indptr[telling]]
            weighted = np.take(row, telling, axis=k) > 0
            closed[:] = False
            closed[np.take(label, first, axis=k)[weighted]] = True
        waves.append(np.zeros(label.shape[k]) if wave is None else wave)
        uncertain.append(~closed)
    axes = range(label.ndim)
    chosen = [
        some for n in range(label.ndim + 1) for some in itertools.combinations(axes, n)
    ]
    is_open = [np.all([uncertain[k] for k in some], axis=0) for some in chosen[1:]]
    table = np.stack([np.ones(count, np.bool_), *is_open], axis=1)
    used = np.flatnonzero(table.any(axis=0))
    return _Modes(
        waves,
        [chosen[m] for m in used],
        table[:, used],
    )


def _wave(difference: sparse.csr_array) -> Floats | None:
    """Wave without a slope at inner samples; None if there is none beside parts."""
    n = difference.shape[1]
    if difference.shape[0] != n or n < 3:
        return None
    lean = difference.copy()
    lean.eliminate_zeros()
    inner = lean[1:-1].tocoo()
    if (np.abs(inner.col - inner.row - 1) > 1).any():
        return None
    below, middle, above = (
        lean.diagonal(k)[s]
        for k, s in ((-1, slice(None, -1)), (0, slice(1, -1)), (1, slice(1, None)))
    )
    if not middle.any() or not above.all():
        return None
    wave = [0.0, 1.0]
    for a, b, c in zip(below.tolist(), middle.tolist(), above.tolist(), strict=True):
        wave.append(-(a * wave[-2] + b * wave[-1]) / c)
    centred = np.array(wave)
    centred -= centred.mean()
    centred /= np.abs(centred).max()
    return centred


def _agreement(
    field: Floats,
    gradient: Array,
    weights: Array,
    *,
    label: Labels,
    coordinates: Sequence[Floats],
    modes: _Modes,
) -> tuple[tuple[Labels, Labels], Floats, Floats]:
    """Normal equations of neighbours, for each pair of parts that they belong to.

    Unknown are the heights of the modes of the one and of the other part.
    """
    count, size = modes.open.shape[0], 2 * modes.open.shape[1]
    loose = np.asarray(modes.open[:, 1:].any(axis=1))
    keys = [np.zeros(0, np.int64)]
    grams, sides = [np.zeros((0, size, size))], [np.zeros((0, size))]
    for k, x in enumerate(coordinates):
        step = np.diff(x).reshape([-1 if j == k else 1 for j in range(field.ndim)])
        ahead = (slice(None),) * k + (slice(1, None),)
        back = (slice(None),) * k + (slice(None, -1),)
        for part in slabs(field.shape, k):
            known, here = weights[k][part] > 0, label[part]
            both = known[back] & known[ahead]
            both &= (here[back] != here[ahead]) | loose[here[back]]
            if not both.any():  # the others agree already
                continue
            slope = gradient[k][part].astype(np.float64)
            mean = (slope[back] + slope[ahead]) / 2
            missed = (step * mean - np.diff(field[part], axis=k))[both]
            start, stop = here[back][both], here[ahead][both]
            on = [np.broadcast_to(mode, here.shape) for mode in modes.on(part)]
            sizes = [
                *(
                    -mode[back][both] * modes.open[start, m]
                    for m, mode in enumerate(on)
                ),
                *(mode[ahead][both] * modes.open[stop, m] for m, mode in enumerate(on)),
            ]
            key, place = np.unique(
                start.astype(np.int64) * count + stop, return_inverse=True
            )
            gram = np.empty((len(key), size, size))
            for i, j in itertools.combinations_with_replacement(range(size), 2):
                gram[:, i, j] = gram[:, j, i] = np.bincount(place, sizes[i] * sizes[j])
            keys.append(key)
            grams.append(gram)
            sides.append(np.stack([np.bincount(place, s * missed) for s in sizes], 1))
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    gram, side = np.zeros((len(key), size, size)), np.zeros((len(key), size))
    np.add.at(gram, place, np.concatenate(grams))
    np.add.at(side, place, np.concatenate(sides))
    return np.divmod(key, count), gram, side


def _heights(
    pairs: tuple[Labels, Labels], grams: Floats, sides: Floats, shape: tuple[int, ...]
) -> Floats:
    """Least-squares heights of the modes, (part, mode), of least norm."""
    from scipy.sparse import linalg  # noqa: PLC0415  heavy

    unknowns = np.arange(math.prod(shape)).reshape(shape)
    columns = np.concatenate([unknowns[part] for part in pairs], axis=1)
    # as many equations as each pair of parts has of its own
    values, V = np.linalg.eigh(grams)
    root = np.sqrt(np.maximum(values, 0))
    pair, number = np.nonzero(values > 1e-12 * values.max(axis=1, initial=0)[:, None])
    root, V = root[pair, number, None], V[pair, :, number]
    right = (V * sides[pair]).sum(axis=1) / root[:, 0]
    entries, columns = V * root, columns[pair]
    weight = np.bincount(columns.ravel(), (entries**2).ravel(), minlength=unknowns.size)
    scale = 1 / np.sqrt(np.where(weight > 0, weight, 1))
    equations = np.repeat(np.arange(len(columns)), columns.shape[1])
    places = (equations, columns.ravel())
    matrix = sparse.coo_array(
        ((entries * scale[columns]).ravel(), places), (len(columns), unknowns.size)
    ).tocsr()
    if not len(columns):
        return np.zeros(shape)
    heights = linalg.lsqr(matrix, right, atol=1e-14, btol=1e-14)[0]
    return (heights * scale).reshape(shape)
