"""A new file read back, and compared with what was to be written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from cubekit.errors import CorruptFileError, WriteVerifyError
from cubekit.io.codec import crc32
from cubekit.io.direct import ChunkReader, direct_readers

if TYPE_CHECKING:
    from pathlib import Path

    from cubekit.io.planning import PlannedVariable
    from cubekit.io.source import Reader

__all__ = ["Checksums", "differs", "verify_file"]

# of encoded chunks, by variable and index
Checksums = dict[str, dict[tuple[int, ...], int]]
_BATCH = 16  # chunks checked by one task


def verify_file(
    path: Path, plans: list[PlannedVariable], checksums: Checksums, workers: int
) -> None:
    """Compare all that a finished file holds with what was to be written."""
    small = [plan for plan in plans if not plan.in_chunks]
    names = [*checksums, *(plan.variable.name for plan in small)]
    readers = dict(zip(names, direct_readers(path, names), strict=True))
    for plan in small:
        _verify_small(path, plan, readers[plan.variable.name])
    with ThreadPoolExecutor(workers) as pool:
        _verify_chunks(path, readers, checksums, pool)


def _verify_small(path: Path, plan: PlannedVariable, reader: Reader | None) -> None:
    """Compare the values of a variable that the netCDF library wrote."""
    given = np.asarray(plan.variable.data)
    if reader is None or reader.shape != given.shape:
        raise differs(plan.variable.name, "")
    try:
        found = reader.read(str(path), tuple(slice(0, n) for n in given.shape))
    except CorruptFileError as error:
        raise differs(plan.variable.name, "") from error
    if not np.array_equal(found, given, equal_nan=given.dtype.kind == "f"):
        raise differs(plan.variable.name, "")


def _verify_chunks(
    path: Path,
    readers: dict[str, Reader | None],
    checksums: Checksums,
    pool: ThreadPoolExecutor,
) -> None:
    """Compare the bytes of every chunk, at the place where readers will look for it."""

    def differing(part: tuple[str, list[tuple[int, ...]]]) -> str | None:
        name, indices = part
        reader = readers[name]
        if not isinstance(reader, ChunkReader):
            return "all of it"
        with path.open("rb", buffering=0) as file:
            for index in indices:
                try:
                    stored = reader.read_stored(file, index)
                except CorruptFileError:
                    stored = None
                if (
                    stored is None
                    or reader.skipped[index]
                    or crc32(stored) != checksums[name][index]
                ):
                    return f"chunk {index}"
        return None

    parts = [
        (name, indices[k : k + _BATCH])
        for name, indices in ((n, list(known)) for n, known in checksums.items())
        for k in range(0, len(indices), _BATCH)
    ]
    for part, wrong in zip(parts, pool.map(differing, parts), strict=True):
        if wrong:
            raise differs(part[0], f" at {wrong}")


def differs(name: str, where: str) -> WriteVerifyError:
    """Return the error for a variable, and a place in it."""
    return WriteVerifyError(
        f"save_cube: {name!r} read back{where} differs from what was written. The disk "
        "or the connection to it changed the data. Nothing was replaced. Save again, "
        "or elsewhere."
    )
