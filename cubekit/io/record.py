"""What makes a file of ours complete, and proves that it is still whole.

While a file is written it carries a mark, which is taken away when everything else is
in place. Then a record is added behind the end of the HDF5 data, where no reader of
netCDF looks and from where any program that changes the file removes it: the size of
the file, and a checksum of every byte that is not the payload of a chunk. Chunks carry
their own.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.errors import CorruptFileError, IncompleteFileError
from cubekit.io.direct import ChunkReader, chunk_readers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MARK", "check_finished", "check_record", "digest_of", "record_for"]

MARK = "cubekit_unfinished"
_FORMAT = 1
_END = struct.Struct("<II8s")  # bytes of the record, their checksum, magic
_MAGIC = b"cubekit\n"
_PIECE = 2**20


def record_for(size: int, variables: list[str], digest: int) -> bytes:
    """Record to add to a finished file of some size.

    Parameters
    ----------
    variables : list of str
        The variables whose chunks carry checksums.
    digest : int
        Checksum of all other bytes.
    """
    content = {
        "format": _FORMAT,
        "size": size,
        "variables": variables,
        "digest": digest,
    }
    text = json.dumps(content).encode()
    return text + _END.pack(len(text), zlib.crc32(text), _MAGIC)


def digest_of(path: Path, size: int, readers: list[Any]) -> int:
    """Checksum of the bytes of a file that lie in no chunk of some variables."""
    pieces = [
        np.stack([r.offset.ravel(), r.size.ravel()], 1)[r.offset.ravel() >= 0]
        for r in readers
        if isinstance(r, ChunkReader)
    ]
    taken = np.concatenate([*pieces, np.empty((0, 2), np.int64)])
    taken = taken[np.argsort(taken[:, 0])]
    starts = np.concatenate([[0], taken.sum(axis=1)]).tolist()
    stops = np.concatenate([taken[:, 0], [size]]).tolist()
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
    content = json.loads(text)
    if content["format"] != _FORMAT or content["size"] != start:
        raise _damaged(path, "its record is of another file or version")
    readers = chunk_readers(path, content["variables"])
    if digest_of(path, start, readers) != content["digest"]:
        raise _damaged(path, "bytes outside its chunks have changed")


def _damaged(path: Path, why: str) -> CorruptFileError:
    return CorruptFileError(
        f"{path} is damaged: {why}. Its values cannot be trusted. Get it again, or "
        "make it again."
    )
