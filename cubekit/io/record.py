"""What makes a file of ours complete, and proves that it is still whole.

While a file is written it carries a mark, which is taken away when everything else is
in place. Then a record is added behind the end of the HDF5 data, where no reader of
netCDF looks and from where any program that changes the file removes it: the size of
the file, and a checksum of every byte that is not the payload of a chunk. Chunks carry
their own. It is compared before HDF5 sees the file, which one bit can send round for
ever.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.errors import CorruptFileError, IncompleteFileError
from cubekit.io.direct import ChunkReader

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MARK", "check_finished", "check_record", "record_for"]

MARK = "cubekit_unfinished"
_FORMAT = 1
_END = struct.Struct("<II8s")  # bytes of the record, their checksum, magic
_MAGIC = b"cubekit\n"
_PIECE = 2**20


def record_for(path: Path, size: int, readers: list[Any]) -> bytes:
    """Record to add to a finished file of some size.

    Parameters
    ----------
    readers : list of Reader
        Of the variables whose chunks carry checksums.
    """
    payload = _payload(readers)
    content = {
        "format": _FORMAT,
        "size": size,
        "payload": payload,
        "digest": _digest(path, size, payload),
    }
    text = json.dumps(content).encode()
    return text + _END.pack(len(text), zlib.crc32(text), _MAGIC)


def _payload(readers: list[Any]) -> list[tuple[int, int]]:
    """Where chunks lie: beginnings and ends, chunks side by side taken together."""
    pieces = [
        np.stack([r.offset.ravel(), r.size.ravel()], 1)[r.offset.ravel() >= 0]
        for r in readers
        if isinstance(r, ChunkReader)
    ]
    taken = np.concatenate([*pieces, np.empty((0, 2), np.int64)])
    starts, sizes = taken[np.argsort(taken[:, 0])].T
    joins = starts[1:] == (starts + sizes)[:-1]
    first, last = np.append(True, ~joins)[: len(starts)], np.append(~joins, True)
    stops = (starts + sizes)[last[: len(starts)]]
    return list(zip(starts[first].tolist(), stops.tolist(), strict=True))


def _digest(path: Path, size: int, payload: list[tuple[int, int]]) -> int:
    """Checksum of the bytes of a file that are no payload."""
    starts = [0, *(stop for _, stop in payload)]
    stops = [*(start for start, _ in payload), size]
    digest = 0
    with path.open("rb") as file:
        for start, stop in zip(starts, stops, strict=True):
            if stop > start:
                file.seek(start)
            for k in range(start, stop, _PIECE):
                digest = zlib.crc32(file.read(min(_PIECE, stop - k)), digest)
            digest = zlib.crc32(struct.pack("<Q", start), digest)
    return digest


def check_finished(path: Path, attrs: dict[str, Any]) -> None:
    """Raise if the attributes of a file say that it was never finished."""
    if MARK in attrs:
        raise IncompleteFileError(
            f"{path} was never finished: the program that wrote it was stopped. Parts "
            "of it are missing. Make it again."
        )


def check_record(path: Path) -> None:
    """Raise if a file of ours is not what it was.

    Files without a record are somebody else's, or were changed by somebody since.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END.size))
        end = file.read()
        if len(end) != _END.size or not end.endswith(_MAGIC):
            return
        length, checksum, _ = _END.unpack(end)
        start = size - _END.size - length
        file.seek(max(0, start))
        text = file.read(length)
    if start < 0 or zlib.crc32(text) != checksum:
        raise _damaged(path, "its record does not match its checksum")
    try:
        content = json.loads(text)
        same = content["format"] == _FORMAT and content["size"] == start
        payload = [(int(first), int(last)) for first, last in content["payload"]]
        digest = int(content["digest"])
    except (KeyError, TypeError, ValueError):
        same = False
    if not same:
        raise _damaged(path, "its record is of another file or version")
    if _digest(path, start, payload) != digest:
        raise _damaged(path, "bytes outside its chunks have changed")


def _damaged(path: Path, why: str) -> CorruptFileError:
    return CorruptFileError(
        f"{path} is damaged: {why}. Its values cannot be trusted. Get it again, or "
        "make it again."
    )
