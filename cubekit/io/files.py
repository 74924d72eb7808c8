"""The few things done to files while writing: one layer, so that faults can be tried.

Every byte that is written, and every step that makes it durable or visible, goes
through `FILES`.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

__all__ = ["FILES", "NO_ROOM", "Files", "StagedFile", "write_all"]


_HERE, _EXCHANGE, _KEEP_SIZE = -100, 2, 1  # as in the headers of the systems
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# written bytes after which the disk is set to work, so that little is left to wait for
_PENDING = 2**24


class Files:
    """Operations on files, as the operating system has them."""

    def create(self, path: Path) -> int:
        """Open a new file; raise if something is there, a link included."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.open(path, flags, 0o666)

    def reserve(self, handle: int, size: int) -> None:
        """Set room aside for a new file, whose size stays; OSError if there is none.

        Writing takes half of the time where the system need not look for room at each
        page. Where it has no such call, nothing is done.
        """
        libc = _libc()
        # off_t has 64 bits in the first, if there is one
        call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
        if call and call(handle, _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)):
            code = ctypes.get_errno()
            if code in NO_ROOM:
                raise OSError(code, os.strerror(code))

    def write(self, handle: int, data: memoryview, offset: int) -> int:
        """Write at an offset; return how many bytes were."""
        if hasattr(os, "pwrite"):
            return os.pwrite(handle, data, offset)
        os.lseek(handle, offset, os.SEEK_SET)  # Windows
        return os.write(handle, data)

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """Read at an offset."""
        if hasattr(os, "pread"):
            return os.pread(handle, size, offset)
        os.lseek(handle, offset, os.SEEK_SET)  # Windows
        return os.read(handle, size)

    def truncate(self, handle: int, size: int) -> None:
        """Cut or extend a file."""
        os.ftruncate(handle, size)

    def fsync(self, handle: int) -> None:
        """Wait until a file is on the disk."""
        os.fsync(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Move a file over another."""
        source.replace(target)

    def exchange(self, source: Path, target: Path) -> None:
        """Swap two names in one step; OSError where the system has no such step."""
        libc = _libc()
        paths = os.fsencode(source), os.fsencode(target)
        if hasattr(libc, "renameat2"):  # Linux
            status = libc.renameat2(_HERE, paths[0], _HERE, paths[1], _EXCHANGE)
        elif hasattr(libc, "renamex_np"):  # macOS
            status = libc.renamex_np(*paths, _EXCHANGE)
        else:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if status:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(target))

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; raise if it is taken."""
        target.hardlink_to(source)

    def fsync_folder(self, folder: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        if os.name == "nt":  # folders cannot be opened there
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


FILES = Files()


def _libc() -> Any:
    """C library; on Windows, which has none of the calls used here, None."""
    return None if os.name == "nt" else ctypes.CDLL(None, use_errno=True)


def write_all(handle: int, data: bytes | memoryview, offset: int = 0) -> None:
    """Write all of a buffer at an offset."""
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += FILES.write(handle, view[done:], offset + done)


class StagedFile(io.RawIOBase):
    """A new file that HDF5 writes through, and that never fails in its face.

    HDF5 cannot be trusted with an error: it may forget it, or end the process. So the
    first error is kept for `check`, and what comes after is kept in memory. What is
    written goes on to the disk meanwhile, so that little is left to wait for.

    Parameters
    ----------
    path : Path
        Where nothing is.
    least : int
        Bytes that it will have at least.
    """

    def __init__(self, path: Path, least: int = 0) -> None:
        super().__init__()
        self.name = str(path)
        self.error: BaseException | None = None
        self._handle = FILES.create(path)
        self._position = 0
        self._size = 0
        self._unwritten: list[tuple[int, bytes]] = []
        self._pending = 0
        self._flusher = ThreadPoolExecutor(1)
        self._flush: Future[None] | None = None
        if least:
            try:
                FILES.reserve(self._handle, least)
            except BaseException:
                self.close()
                raise

    def check(self) -> None:
        """Raise the first error there was."""
        if self.error is not None:
            raise self.error

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set where to read or write next."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        """Where to read or write next."""
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))
        start = self._position
        try:
            data = FILES.read(self._handle, len(view), start)
            view[: len(data)] = data
        except OSError as error:
            self.error = self.error or error
        for offset, data in self._unwritten:
            low, high = max(offset, start), min(offset + len(data), start + len(view))
            if low < high:
                view[low - start : high - start] = data[low - offset : high - offset]
        self._position += len(view)
        return len(view)

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]
        """Write all of a buffer."""
        view = memoryview(data).cast("B")
        done = 0
        if self.error is None:
            try:
                while done < len(view):
                    offset = self._position + done
                    done += FILES.write(self._handle, view[done:], offset)
            except BaseException as error:
                self.error = error
        if self.error is not None:
            self._unwritten.append((self._position + done, bytes(view[done:])))
        self._position += len(view)
        self._size = max(self._size, self._position)
        self._pending += len(view)
        if self._pending > _PENDING and (self._flush is None or self._flush.done()):
            self._await_flush()
            self._pending = 0
            self._flush = self._flusher.submit(FILES.fsync, self._handle)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend the file."""
        self._size = self._position if size is None else size
        if self.error is None:
            try:
                FILES.truncate(self._handle, self._size)
            except OSError as error:
                self.error = error
        return self._size

    def fsync(self) -> None:
        """Wait until the file is on the disk; an error is final."""
        self._await_flush()
        self.check()
        FILES.fsync(self._handle)

    def _await_flush(self) -> None:
        """Keep its error: the system tells of it only once."""
        if self._flush is not None:
            self.error = self.error or self._flush.exception()

    def close(self) -> None:
        """Close the file, whatever happened to it."""
        if not self.closed:
            self._flusher.shutdown()
            os.close(self._handle)
        super().close()
