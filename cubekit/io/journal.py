"""Finished chunks kept beside the target, so that a save can go on where it stopped.

A folder holds the encoded chunks one behind the other, and a journal: a line for each,
with its own checksum, written when the chunk is on the disk. The first line says what
is being saved. A line that is torn or damaged, or whose chunk is, counts as not
written.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from cubekit.errors import CorruptFileError, OutputExistsError, ResumeMismatchError
from cubekit.io.codec import crc32
from cubekit.io.computing import EncodedChunk
from cubekit.io.files import FILES, write_all
from cubekit.io.staging import hold, resume_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubekit.io.planning import PlannedVariable

__all__ = ["Journal", "resumable"]

_FORMAT = 1
_PENDING = 2**26  # bytes after which chunks are brought to the disk, or
_SECONDS = 5.0


class _Entry(NamedTuple):
    """Where a chunk lies among the finished ones, and its checksum."""

    offset: int
    size: int
    checksum: int


@contextlib.contextmanager
def resumable(target: Path, fingerprint: dict[str, Any]) -> Iterator[Journal]:
    """Journal of this save: that of an earlier run of the same, or a new one.

    Raises
    ------
    ResumeMismatchError
        If the earlier run saved something else; its first difference is named.
    """
    folder = resume_folder(target)
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        if not hold(lock, wait=False):
            raise OutputExistsError(
                f"save_cube: another run is writing {target}. Two cannot. Wait for it, "
                "or give another path."
            )
        journal = Journal(folder, target, fingerprint)
        try:
            yield journal
        finally:
            journal.close()


class Journal:
    """Chunks that are finished; `add` may be called from several threads."""

    def __init__(self, folder: Path, target: Path, fingerprint: dict[str, Any]) -> None:
        self.entries: dict[tuple[str, tuple[int, ...]], _Entry] = {}
        self._lock = threading.Lock()
        self._pending: list[str] = []
        self._pending_bytes = 0
        self._last = time.monotonic()
        content = {"format": _FORMAT, **fingerprint}
        path = folder / "journal"
        lines = _intact_lines(path)
        first = json.loads(lines[0]) if lines else None
        self._flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._flags |= getattr(os, "O_BINARY", 0)
        self._chunks = os.open(folder / "chunks", self._flags, 0o600)
        self._journal = os.open(path, self._flags, 0o600)
        if not isinstance(first, dict):
            FILES.truncate(self._chunks, 0)
            FILES.truncate(self._journal, 0)
            self._size = self._journal_size = 0
            self.first = content
            self._pending.append(_line(content))
            self._commit()
            return
        _compare(target, folder, first, content)
        self.first = first
        self._size = os.fstat(self._chunks).st_size
        self._journal_size = os.fstat(self._journal).st_size
        for line in lines[1:]:
            with contextlib.suppress(ValueError, TypeError):
                name, index, *numbers = json.loads(line)
                entry = _Entry(*numbers)
                if crc32(self._read(entry)) == entry.checksum:
                    self.entries[name, tuple(index)] = entry
        # a torn line must not swallow the next one
        self._pending.append("\n")

    def add(self, chunk: EncodedChunk) -> None:
        """Keep a chunk."""
        data = chunk.data
        with self._lock:
            entry = _Entry(self._size, len(data), chunk.checksum)
            write_all(self._chunks, data, self._size)
            self._size += len(data)
            self.entries[chunk.variable, chunk.index] = entry
            self._pending.append(_line([chunk.variable, list(chunk.index), *entry]))
            self._pending_bytes += len(data)
            if (
                self._pending_bytes > _PENDING
                or time.monotonic() - self._last > _SECONDS
            ):
                self._commit()

    def commit(self) -> None:
        """Bring everything to the disk."""
        with self._lock:
            self._commit()

    def has_block(self, plan: PlannedVariable, region: tuple[slice, ...]) -> bool:
        """Whether all chunks of a block are finished."""
        grid = (
            range(k.start // c, -(-k.stop // c))
            for k, c in zip(region, plan.chunk or (), strict=True)
        )
        name = plan.variable.name
        return all((name, index) in self.entries for index in itertools.product(*grid))

    def chunks(self) -> Iterator[EncodedChunk]:
        """All chunks, in the order of their places in the cube."""
        for (name, index), entry in sorted(self.entries.items()):
            data = self._read(entry)
            if crc32(data) != entry.checksum:
                raise CorruptFileError(
                    f"chunk {index} of {name!r} changed on the disk while it waited. "
                    "The disk is failing. Save again, elsewhere."
                )
            yield EncodedChunk(name, index, data, entry.checksum)

    def close(self) -> None:
        """Close the files; they stay for another run."""
        with self._lock, contextlib.suppress(OSError):
            self._commit()
        os.close(self._chunks)
        os.close(self._journal)

    def _read(self, entry: _Entry) -> bytes:
        data, size = b"", entry.size
        while len(data) < size:
            more = FILES.read(self._chunks, size - len(data), entry.offset + len(data))
            if not more:
                break
            data += more
        return data

    def _commit(self) -> None:
        """First the chunks, then the lines that say they are there."""
        FILES.fsync(self._chunks)
        text = "".join(self._pending).encode()
        write_all(self._journal, text, self._journal_size)
        self._journal_size += len(text)
        FILES.fsync(self._journal)
        self._pending.clear()
        self._pending_bytes = 0
        self._last = time.monotonic()


def _line(content: Any) -> str:
    text = json.dumps(content)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _intact_lines(path: Path) -> list[str]:
    """Texts of the lines that match their checksums; none if the first does not."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = []
    for number, line in enumerate(content.split(b"\n")):
        checksum, _, text = line.partition(b" ")
        if checksum == f"{zlib.crc32(text):08x}".encode():
            lines.append(text.decode())
        elif number == 0:
            return []
    return lines


def _compare(
    target: Path, folder: Path, before: dict[str, Any], now: dict[str, Any]
) -> None:
    for field, value in now.items():
        if field != "history" and before.get(field) != json.loads(json.dumps(value)):
            raise ResumeMismatchError(
                f"save_cube: resume=True, but the unfinished {target.name} differs "
                f"from this cube in its {field}: {_short(before.get(field))} then, "
                f"{_short(value)} now. Nothing was changed. Repeat the job as it was, "
                f"or begin anew: delete {folder}."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 120 else f"{text[:117]}..."
