"""A file appears whole or not at all: written beside its place, then moved there."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import signal
import sys
import threading
import uuid
from typing import IO, TYPE_CHECKING

from cubekit.errors import DiskFullError, OutputExistsError
from cubekit.io.files import FILES, NO_ROOM

if sys.platform != "win32":  # where there are no such locks, leftovers stay
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "check_room",
    "exists_error",
    "forget_resume",
    "hold",
    "publish",
    "publish_pair",
    "resume_folder",
    "room_errors",
    "staging",
    "stopped_by_signal",
]

# what file systems without hard links say
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Private folder beside `target`, gone afterwards; those of dead runs too."""
    _remove_leftovers(target)
    folder, lock = _held_folder(target)
    try:
        with lock:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _held_folder(target: Path) -> tuple[Path, IO[str]]:
    """Make a folder whose lock is held; again, if it was cleared away before that."""
    while True:
        folder = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
        folder.mkdir(mode=0o700)
        lock = (folder / "lock").open("w")
        hold(lock)
        if (folder / "lock").exists():
            return folder, lock
        lock.close()


def resume_folder(target: Path) -> Path:
    """Folder with what is finished of a save that can be resumed."""
    return target.with_name(f".{target.name}.resume.partial")


def forget_resume(target: Path) -> None:
    """Remove what was kept for a save that is now done, unless a run is at it."""
    with contextlib.suppress(OSError):
        folder = resume_folder(target)
        with (folder / "lock").open("r+") as lock:
            if hold(lock, wait=False):
                shutil.rmtree(folder)


def hold(lock: IO[str], wait: bool = True) -> bool:
    """Hold a lock until its file is closed; False if another process holds it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _remove_leftovers(target: Path) -> None:
    """Remove the folders of runs that ended without clearing up."""
    _put_back(target)
    if sys.platform == "win32":
        return
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        if folder == resume_folder(target):
            continue
        with contextlib.suppress(OSError), (folder / "lock").open("r+") as lock:
            if hold(lock, wait=False):
                shutil.rmtree(folder)


def publish(staged: Path, target: Path, overwrite: bool) -> None:
    """Move a finished file or folder, which is on the disk, to its place; durably."""
    if staged.is_dir():
        _move_folder(staged, target, overwrite)
    elif overwrite:
        with contextlib.suppress(FileNotFoundError):
            staged.chmod(target.stat().st_mode & 0o7777)
        FILES.replace(staged, target)
    else:
        _move_to_free_place(staged, target)
    try:
        FILES.fsync_folder(target.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{target} is written, but that it would outlive a power failure is not "
            f"confirmed ({error.strerror}). The disk is failing or remote. Save again.",
        ) from error


def publish_pair(
    staged: tuple[Path, Path], targets: tuple[Path, Path], overwrite: bool
) -> None:
    """Move a header and its data to their places, so that they never are of two cubes.

    The old header goes first and the new one comes last: stopped in between, there are
    data without a header, which nobody can take for what they are not.
    """
    (header, data), (staged_header, staged_data) = targets, staged
    aside = staged_header.with_name("old.hdr")
    if overwrite and header.exists():
        staged_header.chmod(header.stat().st_mode & 0o7777)
        FILES.replace(header, aside)
    try:
        publish(staged_data, data, overwrite)
    except BaseException:
        if aside.exists() and staged_data.exists():  # the old data are in their place
            FILES.replace(aside, header)
        raise
    publish(staged_header, header, overwrite)


def _move_folder(staged: Path, target: Path, overwrite: bool) -> None:
    """Rename a folder; one that is there is swapped with it, in one step if can be."""
    if overwrite and target.exists():
        staged.chmod(target.stat().st_mode & 0o7777)
        try:
            FILES.exchange(staged, target)
            return
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
        aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.replaced")
        FILES.replace(target, aside)
        try:
            FILES.replace(staged, target)
        except BaseException:
            FILES.replace(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
        return
    try:
        FILES.replace(staged, target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise
        raise exists_error(target) from None


def _put_back(target: Path) -> None:
    """Bring back a folder that a run set aside and then was stopped."""
    for aside in target.parent.glob(f".{glob.escape(target.name)}.*.replaced"):
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.replace(target)


def _move_to_free_place(staged: Path, target: Path) -> None:
    """Rename, unless something is there: also if it came this very moment."""
    try:
        FILES.link(staged, target)
    except FileExistsError:
        raise exists_error(target) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):  # a file system without hard links
            raise exists_error(target) from None
        FILES.replace(staged, target)


def exists_error(target: Path) -> OutputExistsError:
    """Return the error for a target that is there."""
    return OutputExistsError(
        f"save_cube: {target} exists. Nothing was written. Give another path, or "
        "replace it: overwrite=True."
    )


@contextlib.contextmanager
def stopped_by_signal() -> Iterator[None]:
    """Let a request to terminate end the work as an exception, so that it clears up."""
    plain = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not plain or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def check_room(target: Path, least: int) -> None:
    """Raise if it is known beforehand that the disk, or a limit, is too small."""
    if shutil.disk_usage(target.parent).free < least:
        raise _full(target, least, errno.ENOSPC)


@contextlib.contextmanager
def room_errors(target: Path, needed: int) -> Iterator[None]:
    """Turn errors for want of room into DiskFullError, with the figures."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM or isinstance(error, DiskFullError):
            raise
        raise _full(target, needed, error.errno) from error
    except RuntimeError as error:  # the netCDF library forgets the reason
        if "NetCDF: " not in str(error):
            raise
        if shutil.disk_usage(target.parent).free < needed:
            raise _full(target, needed, errno.ENOSPC) from error
        raise OSError(errno.EIO, f"{target} could not be written ({error})") from error


def _full(target: Path, needed: int, code: int | None) -> DiskFullError:
    free = shutil.disk_usage(target.parent).free
    return DiskFullError(
        f"save_cube: no room for {target}: up to {needed} bytes needed, {free} free. "
        "Nothing was changed. Free some space, or save elsewhere.",
        code or errno.ENOSPC,
    )
