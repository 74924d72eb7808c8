"""A look at an HDF5 file before anything is read from it: what it is made of.

HDF5 files can name other files, and declare far more than they hold. Nothing is
followed here and no values are read; what no netCDF file needs is refused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from xarray.backends.locks import HDF5_LOCK

from cubekit.errors import CorruptFileError, SizeLimitError, UnsafeFileError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HDF5_START", "is_hdf5", "preflight"]

HDF5_START = b"\x89HDF\r\n\x1a\n"  # first bytes of a file
_FILTERS = {1, 2, 3, 4, 5, 6}  # those that HDF5 itself has: no plugin is looked for
_LARGE = 2**30  # declared bytes from which on a file must hold a fair part of them
_RATIO = 200
_CHUNK = 2**30
_COORDINATE = 2**28  # read at once when a file is opened
_OBJECTS = 10**5
_DEPTH = 64
_ATTRIBUTES = 10**4
_ATTRIBUTE = 2**24
_REMEDY = "If you know where it comes from: open_cube(..., trust=True)."


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does; netCDF-4 is HDF5."""
    with path.open("rb") as file:
        return file.read(len(HDF5_START)) == HDF5_START


def preflight(path: Path, remedy: str = _REMEDY) -> None:
    """Raise if a file refers to others, or would take more than it gives.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do about it, in a sentence.

    Raises
    ------
    UnsafeFileError
        At links, external storage, virtual datasets and filters from plugins.
    SizeLimitError
        Where far more is declared than stored, or there is too much of anything.
    """
    import h5py  # noqa: PLC0415  heavy

    with HDF5_LOCK:
        try:
            with h5py.File(path, "r") as file:
                _Walk(path, h5py, remedy).group(file, "", 0)
        except (UnsafeFileError, SizeLimitError):
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise CorruptFileError(
                f"{path} ({path.stat().st_size} bytes) cannot be opened as netCDF-4 "
                f"({error}). The file is damaged or cut short. Get it again."
            ) from error


class _Walk:
    """One walk over the objects of a file."""

    def __init__(self, path: Path, h5py: Any, remedy: str) -> None:
        self.path = path
        self.remedy = remedy
        self.h5py = h5py
        self.seen: set[Any] = set()

    def group(self, group: Any, where: str, depth: int) -> None:
        if depth > _DEPTH:
            raise self._too_large(f"groups in {where[:60]!r}", f"{depth} deep", _DEPTH)
        self._visit(group, where)
        self._attributes(group, where)
        kinds = self.h5py.h5l
        for name in group:
            if len(self.seen) > _OBJECTS:
                raise self._too_large("the file", f"{len(self.seen)} objects", _OBJECTS)
            here = f"{where}/{name}"
            kind = group.id.links.get_info(name.encode()).type
            if kind != kinds.TYPE_HARD:
                target = group.get(name, getlink=True)
                raise self._unsafe(
                    "an external link"
                    if kind == kinds.TYPE_EXTERNAL
                    else "a soft link",
                    here,
                    f"{getattr(target, 'filename', '')}:{target.path}".lstrip(":"),
                )
            found = group[name]
            if isinstance(found, self.h5py.Group):
                self.group(found, here, depth + 1)
            elif isinstance(found, self.h5py.Dataset):
                self.dataset(found, here)

    def dataset(self, dataset: Any, where: str) -> None:
        self._visit(dataset, where)
        self._attributes(dataset, where)
        plist = dataset.id.get_create_plist()
        if plist.get_external_count():
            name = plist.get_external(0)[0].decode(errors="replace")
            raise self._unsafe("external storage", where, name)
        if plist.get_layout() == self.h5py.h5d.VIRTUAL:
            name = plist.get_virtual_filename(0) if plist.get_virtual_count() else ""
            raise self._unsafe("a virtual dataset", where, name)
        for k in range(plist.get_nfilters()):
            number = plist.get_filter(k)[0]
            if number not in _FILTERS:
                raise self._unsafe("a filter from a plugin", where, f"filter {number}")
        self._sizes(dataset, plist, where)

    def _sizes(self, dataset: Any, plist: Any, where: str) -> None:
        itemsize = dataset.id.get_type().get_size()
        declared = math.prod(dataset.shape or ()) * itemsize
        stored = dataset.id.get_storage_size()
        if declared > _LARGE and declared > _RATIO * stored:
            raise self._too_large(
                f"{where!r}", f"{declared} bytes, and stores {stored}", _RATIO, "times"
            )
        chunk = math.prod(dataset.chunks or (0,)) * itemsize
        if chunk > _CHUNK:
            raise self._too_large(f"a chunk of {where!r}", f"{chunk} bytes", _CHUNK)
        if len(dataset.shape or ()) < 2 and declared > _COORDINATE:
            raise self._too_large(f"{where!r}", f"{declared} bytes", _COORDINATE)

    def _attributes(self, owner: Any, where: str) -> None:
        h5a = self.h5py.h5a
        count = h5a.get_num_attrs(owner.id)
        what = f"{where or '/'!r}"
        if count > _ATTRIBUTES:
            raise self._too_large(what, f"{count} attributes", _ATTRIBUTES)
        for k in range(count):
            size = h5a.open(owner.id, index=k).get_storage_size()
            if size > _ATTRIBUTE:
                raise self._too_large(what, f"an attribute of {size} bytes", _ATTRIBUTE)

    def _visit(self, found: Any, where: str) -> None:
        address = self.h5py.h5o.get_info(found.id).addr
        if address in self.seen:
            raise self._unsafe("a second link", where, "an object that has a name")
        self.seen.add(address)

    def _unsafe(self, what: str, where: str, target: str) -> UnsafeFileError:
        return UnsafeFileError(
            f"{self.path}: {where!r} is {what} to {target!r}. A file from elsewhere "
            f"could make you read, or run, what you did not mean to. {self.remedy}"
        )

    def _too_large(
        self, what: str, found: str, limit: int, unit: str = ""
    ) -> SizeLimitError:
        return SizeLimitError(
            f"{self.path}: {what} declares {found}. The limit is {limit}"
            f"{' ' * bool(unit)}{unit}. {self.remedy}"
        )
