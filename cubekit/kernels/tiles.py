"""Cut a sparse matrix into dense tiles, and join those that are alike.

A tile is a few outputs and just the inputs they touch. Tiles of one shape at a constant
step make a run.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Run", "cut", "used_columns"]


_SLACK = 2  # columns of zeros that a tile may have on either side


class Run(NamedTuple):
    """Tiles of equal shape, whose first inputs are `step` apart."""

    row: int
    rows: int
    tiles: int
    column: int
    columns: int
    step: int
    scattered: npt.NDArray[np.intp] | None = None  # inputs, where they are far apart


def used_columns(
    matrix: sparse.csr_array,
) -> tuple[npt.NDArray[np.intp] | None, sparse.csr_array]:
    """Inputs that outputs depend on, None if that is all, and the matrix of those.

    A band that no output depends on is not read: its NaN need not be kept out.
    """
    used = np.unique(matrix.indices).astype(np.intp)
    if len(used) in {0, matrix.shape[1]}:
        return None, matrix
    indices = np.searchsorted(used, matrix.indices)
    shape = (matrix.shape[0], len(used))
    return used, sparse.csr_array((matrix.data, indices, matrix.indptr), shape)


def cut(matrix: sparse.csr_array, rows: int) -> list[Run]:
    """Cut a matrix into tiles of some rows, and join those that are alike.

    A single row that is left goes with the tile before: BLAS has other ways to multiply
    a vector, whose bits depend on where the other factor lies.
    """
    outputs = matrix.shape[0]
    firsts = np.arange(0, max(outputs - 1, min(outputs, 1)), rows)
    stops = np.minimum(firsts + rows, outputs)
    stops[-1:] = outputs
    begin, end = matrix.indptr[firsts], matrix.indptr[stops]
    filled = begin < end
    start, span, longest = np.zeros((3, len(firsts)), np.intp)
    if filled.any():
        start[filled] = np.minimum.reduceat(matrix.indices, begin[filled])
        span[filled] = np.maximum.reduceat(matrix.indices, begin[filled]) + 1
        longest = np.maximum.reduceat(np.diff(matrix.indptr), firsts)
    span -= start
    if len(firsts):
        _align(firsts, stops, start, span, matrix.shape[1])
    runs: list[Run] = []
    tiles = zip(firsts.tolist(), stops.tolist(), start.tolist(), strict=True)
    for k, (first, stop, column) in enumerate(tiles):
        tile = Run(first, stop - first, 1, column, int(span[k]), 0)
        if _is_wide(tile, longest[k]):  # a single row shows that most tiles are not
            touched = np.unique(matrix.indices[begin[k] : end[k]])
            if _is_wide(tile, len(touched)):
                tile = tile._replace(
                    column=0, columns=len(touched), scattered=touched.astype(np.intp)
                )
        joined = _joined(runs[-1], tile) if runs else None
        if joined is None:
            runs.append(tile)
        else:
            runs[-1] = joined
    return runs


def _align(
    firsts: npt.NDArray[np.intp],
    stops: npt.NDArray[np.intp],
    start: npt.NDArray[np.intp],
    span: npt.NDArray[np.intp],
    inputs: int,
) -> None:
    """Widen neighbouring tiles by a few zero columns, so that they make one run.

    The stencils of an uneven axis lean now to one side and now to the other.
    """
    before, after = start - firsts, start + span - stops
    edges: list[int] = [0]
    least: list[int] = []
    most: list[int] = []
    for k, reach in enumerate(zip(before.tolist(), after.tolist(), strict=True)):
        least = list(map(min, least or reach, reach))
        most = list(map(max, most or reach, reach))
        if max(b - a for a, b in zip(least, most, strict=True)) > _SLACK:
            edges.append(k)
            least, most = list(reach), list(reach)
    for group in itertools.starmap(slice, itertools.pairwise([*edges, len(firsts)])):
        first = np.maximum(firsts[group] + before[group].min(), 0)
        last = np.minimum(stops[group] + after[group].max(), inputs)
        start[group], span[group] = first, last - first


def _is_wide(tile: Run, touched: int) -> bool:
    """Whether the inputs of a tile that touches so many are far apart."""
    return tile.columns > 2 * touched + 16


def _joined(run: Run, tile: Run) -> Run | None:
    alike = (run.rows, run.columns) == (tile.rows, tile.columns)
    if not alike or run.scattered is not None or tile.scattered is not None:
        return None
    step = tile.column - (run.column + (run.tiles - 1) * run.step)
    if run.tiles > 1 and step != run.step:
        return None
    return run._replace(tiles=run.tiles + 1, step=step)
