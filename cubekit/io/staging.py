"""A file appears whole or not at all: written beside its place, then moved there."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import sys
import uuid
from typing import TYPE_CHECKING

from cubekit.errors import DiskFullError, OutputExistsError

if sys.platform != "win32":  # where there are no such locks, leftovers stay
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["publish", "room_errors", "staging"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Private folder beside `target`, gone afterwards; those of dead runs too."""
    _remove_leftovers(target)
    folder = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
    folder.mkdir(mode=0o700)
    try:
        with (folder / "lock").open("w") as lock:
            if sys.platform != "win32":
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove the folders of runs that ended without clearing up."""
    if sys.platform == "win32":
        return
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        with contextlib.suppress(OSError), (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if it is alive
            shutil.rmtree(folder)


def publish(staged: Path, target: Path, overwrite: bool) -> None:
    """Move a finished file to its place; durable when this returns."""
    with contextlib.suppress(FileNotFoundError):
        if overwrite:
            staged.chmod(target.stat().st_mode & 0o7777)
    _fsync(staged)
    if overwrite:
        staged.replace(target)
    else:
        _move_to_free_place(staged, target)
    try:
        _fsync(target.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{target} is written, but that it would outlive a power failure is not "
            f"confirmed ({error.strerror}). The disk is failing or remote. Save again.",
        ) from error


def _move_to_free_place(staged: Path, target: Path) -> None:
    """Rename, unless something is there: also if it came this very moment."""
    try:
        target.hardlink_to(staged)
    except FileExistsError:
        raise exists_error(target) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise exists_error(target) from None
        staged.rename(target)


def exists_error(target: Path) -> OutputExistsError:
    """Return the error for a target that is there."""
    return OutputExistsError(
        f"save_cube: {target} exists. Nothing was written. Give another path, or "
        "replace it: overwrite=True."
    )


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def room_errors(target: Path, needed: int) -> Iterator[None]:
    """Turn errors for want of room into DiskFullError, with the figures."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or isinstance(error, DiskFullError):
            raise
        raise _full(target, needed, error.errno) from error
    except RuntimeError as error:  # netCDF-C forgets the reason
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
