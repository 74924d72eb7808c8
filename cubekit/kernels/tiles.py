"""Cut a sparse matrix into dense tiles, and join those that are alike.

A tile is a few outputs and just the inputs they touch. Tiles of one shape at a constant
step make a run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Run", "cut", "used_columns"]


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
    """Cut a matrix into tiles of some rows, and join those that are alike."""
    runs: list[Run] = []
    for first in range(0, matrix.shape[0], rows):
        stop = min(first + rows, matrix.shape[0])
        touched = np.unique(matrix.indices[matrix.indptr[first] : matrix.indptr[stop]])
        if not len(touched):
            tile = Run(first, stop - first, 1, 0, 0, 0)
        elif touched[-1] - touched[0] + 1 > 2 * len(touched) + 16:
            tile = Run(
                first, stop - first, 1, 0, len(touched), 0, touched.astype(np.intp)
            )
        else:
            start, columns = int(touched[0]), int(touched[-1] - touched[0] + 1)
            tile = Run(first, stop - first, 1, start, columns, 0)
        joined = _joined(runs[-1], tile) if runs else None
        if joined is None:
            runs.append(tile)
        else:
            runs[-1] = joined
    return runs


def _joined(run: Run, tile: Run) -> Run | None:
    alike = (run.rows, run.columns) == (tile.rows, tile.columns)
    if not alike or run.scattered is not None or tile.scattered is not None:
        return None
    step = tile.column - (run.column + (run.tiles - 1) * run.step)
    if run.tiles > 1 and step != run.step:
        return None
    return run._replace(tiles=run.tiles + 1, step=step)
