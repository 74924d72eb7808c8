"""rechunk: a file rewritten for another use, in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from cubekit.axis import coordinate, spectral_coordinate
from cubekit.io.layout import layout_shape
from cubekit.io.planning import parse_memory
from cubekit.io.reading import open_cube
from cubekit.io.writing import save_cube

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["rechunk"]


def rechunk(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    layout: Literal["spectra", "images", "balanced"] = "balanced",
    variable: str | None = None,
    coord: str | None = None,
    compression: Literal["fast"] | int | None = "fast",
    overwrite: bool = False,
    resume: bool = False,
    memory: str | int = "1GB",
    progress: bool | Callable[[int, int], None] | None = None,
) -> Path:
    """Path of a copy of a cube whose chunks suit another use.

    Parameters
    ----------
    source, target : str or Path
        Files, as for `open_cube` and `save_cube`.
    layout : {"balanced", "spectra", "images"}
        Chunks of about 1 MiB: of whole spectra, of parts of the image of one band, or
        of some of both.
    variable : str, optional
        As for `open_cube`.
    coord : str, optional
        The spectral coordinate; found if not given.
    compression, overwrite, resume, memory, progress
        As for `save_cube`.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the layout is unknown.
    CoordinateError
        If the spectral coordinate is missing or ambiguous.

    Notes
    -----
    **Missing values:** stay. **Chunks:** blocks hold whole spectra, and as much of the
    image as `memory` allows. **Cost:** one writing; one reading, or as many as
    ``plan(cube).times_read`` says where chunks of the source lie across the blocks.

    Examples
    --------
    >>> import cubekit as ck
    >>> ck.rechunk("a.nc", "b.nc", layout="volumes")
    Traceback (most recent call last):
    ValueError: rechunk: layout='volumes' is unknown. ...
    """
    if layout not in {"spectra", "images", "balanced"}:
        raise ValueError(
            f"rechunk: layout={layout!r} is unknown. It is what the file is read for. "
            'Use "spectra", "images" or "balanced".'
        )
    cube = open_cube(source, variable=variable)
    name = spectral_coordinate(cube) if coord is None else coord
    band = cube.get_axis_num(coordinate(cube, name).dims[0])  # in any order
    itemsize = cube.dtype.itemsize
    chunk = layout_shape(layout, cube.shape, itemsize, band)
    room = parse_memory(memory) // 16
    # whole spectra, and rows of chunks while there is room
    block = list(chunk)
    block[band] = cube.shape[band]
    for axis in reversed(range(cube.ndim)):
        fits = room // (itemsize * math.prod(block))
        block[axis] = min(cube.shape[axis], block[axis] * max(1, fits))
    sizes = dict(zip(map(str, cube.dims), block, strict=True))
    cube = open_cube(source, variable=variable, chunks=sizes)
    return save_cube(
        cube,
        target,
        chunks=dict(zip(map(str, cube.dims), chunk, strict=True)),
        compression=compression,
        overwrite=overwrite,
        resume=resume,
        memory=memory,
        progress=progress,
    )
