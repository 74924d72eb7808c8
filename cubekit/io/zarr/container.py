"""A Zarr store under construction: structure by the zarr library, chunks as files.

A store of ours is of version 3. Every chunk is written, also one of nothing but fill
values, and carries a checksum; so one that is lost or changed is noticed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import os
import struct
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.io.codec import crc32
from cubekit.io.files import FILES, write_all
from cubekit.io.record import MARK
from cubekit.io.verifying import differs
from cubekit.io.zarr.metadata import RECORD, imported, nodes_of, record_for
from cubekit.io.zarr.reading import opened_array

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from cubekit.io.planning import PlannedVariable
    from cubekit.io.preparing import Output
    from cubekit.io.verifying import Checksums

__all__ = ["ZarrCodec", "ZarrContainer", "ZarrFormat"]

_THREADS = 8  # that wait for the disk


@dataclasses.dataclass(frozen=True)
class ZarrCodec:
    """How a chunk is encoded: compressed or not, and a checksum behind it.

    Parameters
    ----------
    level : "fast", int or None
        How hard to compress: a level of zstd (Blosc, with byte shuffle).
    """

    level: int | str | None

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        """Bytes to store for a whole chunk."""
        from google_crc32c import value as crc32c  # noqa: PLC0415  optional
        from numcodecs.blosc import Blosc  # noqa: PLC0415  optional, heavy

        data = np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<"))
        if self.level is None:
            stored = data.tobytes()
        else:
            stored = bytes(Blosc("zstd", self._number, Blosc.SHUFFLE).encode(data))
        return stored + struct.pack("<I", crc32c(stored))

    @property
    def _number(self) -> int:
        return 1 if self.level == "fast" else int(self.level or 0)

    def declared(self, zarr: Any, itemsize: int) -> list[Any]:
        """Return the same as the zarr library says it."""
        checksum = zarr.codecs.Crc32cCodec()
        if self.level is None:
            return [checksum]
        blosc = zarr.codecs.BloscCodec(
            typesize=itemsize, cname="zstd", clevel=self._number, shuffle="shuffle"
        )
        return [blosc, checksum]


def codec_of(meta: Mapping[str, Any]) -> ZarrCodec:
    """Codec of an array that was written here."""
    for codec in meta["codecs"]:
        if codec["name"] == "blosc":
            return ZarrCodec(int(codec["configuration"]["clevel"]))
    return ZarrCodec(None)


class ZarrFormat:
    """How `save_cube` writes a store."""

    on_workers = True

    @staticmethod
    def chunk_bytes(level: Any) -> int:
        """About how large chunks are by default."""
        del level  # all alike
        return 2**22  # each is a file

    @staticmethod
    def container(
        path: Path, output: Output, planned: list[PlannedVariable], level: Any
    ) -> ZarrContainer:
        """Begin a store at a path where nothing is."""
        container = ZarrContainer(path)
        _structure(path, output, planned, level)
        return container

    @staticmethod
    def codec(plan: PlannedVariable, level: int | str | None) -> ZarrCodec:
        """How the chunks of a variable are encoded."""
        del plan  # all alike
        return ZarrCodec(level)

    @staticmethod
    def verify(
        path: Path, plans: list[PlannedVariable], checksums: Checksums, workers: int
    ) -> None:
        """Raise unless a finished store holds what was written."""
        verify(path, plans, checksums, workers)


def _structure(
    path: Path, output: Output, planned: list[PlannedVariable], level: Any
) -> None:
    """Write all that is to be written but the chunks of the cubes."""
    zarr = imported(path, "save_cube")
    store = zarr.storage.LocalStore(path)
    attrs = {k: _json(v) for k, v in output.attrs.items()}
    group = zarr.create_group(store=store, attributes=attrs | {MARK: 1}, zarr_format=3)
    for plan in planned:
        variable = plan.variable
        text = variable.data.dtype.kind == "O"
        attrs = {k: _json(v) for k, v in variable.attrs.items()}
        fill = variable.fill
        if fill is not None and variable.data.dtype.kind in "iu":
            attrs["_FillValue"] = int(fill)
        codec = ZarrCodec(None if text else level)
        array = group.create_array(
            variable.name,
            shape=variable.data.shape,
            chunks=plan.chunk or tuple(max(1, n) for n in variable.data.shape),
            dtype=str if text else variable.data.dtype.newbyteorder("<"),
            fill_value=fill if fill is not None else ("" if text else 0),
            compressors=codec.declared(zarr, variable.data.dtype.itemsize),
            chunk_key_encoding={"name": "default", "separator": "."},  # one folder
            dimension_names=variable.dims,
            attributes=attrs,
            config={"write_empty_chunks": True},
        )
        if not plan.in_chunks and variable.data.size:
            array[...] = np.asarray(variable.data)


def _json(value: Any) -> Any:
    """Attribute of netCDF as JSON has it."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(value, float) and not math.isfinite(value):
        return f"cubekit-json:{json.dumps(value)}"
    if isinstance(value, list):
        whole = all(not isinstance(v, float) or math.isfinite(v) for v in value)
        return value if whole else f"cubekit-json:{json.dumps(value)}"
    return value


class ZarrContainer:
    """The folder on its way to the disk; can be sent to workers that share it.

    Parameters
    ----------
    path : Path
        Where to write it; nothing is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_chunk(
        self, variable: str, index: tuple[int, ...], data: bytes | memoryview
    ) -> None:
        """Add an encoded chunk; from any process, and once more does no harm."""
        path = self.path / key_of(variable, index)
        begun = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
        handle = FILES.create(begun)
        try:
            write_all(handle, data)
        finally:
            os.close(handle)
        FILES.replace(begun, path)

    def finish(self) -> None:
        """Take away what workers left that were stopped, and then the mark."""
        for path in self.path.glob("*/.*"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self._change({MARK: None})

    def add_record(self, variables: list[str]) -> None:
        """Add what proves the store to be whole."""
        del variables
        self._change({RECORD: record_for(nodes_of(self.path, True))})

    def _change(self, attrs: dict[str, Any]) -> None:
        """Set attributes of the store, or with None take them away."""
        change_attrs(self.path / "zarr.json", attrs)

    def close(self) -> None:
        """Nothing is open."""

    def fsync(self) -> None:
        """Wait until all files are on the disk, and their names."""
        files, folders = [], [self.path]
        for where, names, found in os.walk(self.path):
            files += [self.path / where / name for name in found]
            folders += [self.path / where / name for name in names]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fsync_path, files))
        for folder in folders:
            FILES.fsync_folder(folder)


def change_attrs(path: Path, attrs: Mapping[str, Any]) -> None:
    """Set attributes in a file of metadata, in one step; None takes one away."""
    meta = json.loads(path.read_bytes())
    both = {**meta.get("attributes", {}), **attrs}
    meta["attributes"] = {k: v for k, v in both.items() if v is not None}
    begun = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    handle = FILES.create(begun)
    try:
        write_all(handle, json.dumps(meta, indent=2).encode())
        FILES.fsync(handle)
    finally:
        os.close(handle)
    FILES.replace(begun, path)


def fsync_path(path: Path) -> None:
    """Wait until a file is on the disk."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        FILES.fsync(handle)
    finally:
        os.close(handle)


def verify(
    path: Path, plans: list[PlannedVariable], checksums: Checksums, workers: int
) -> None:
    """Compare the bytes of every chunk, and values as the zarr library reads them."""
    zarr = imported(path, "save_cube")
    nodes = {node.where: node for node in nodes_of(path, True) if node.is_array}
    for plan in plans:
        name = plan.variable.name
        if not plan.in_chunks:
            found = np.asarray(opened_array(zarr, path, nodes[name])[...])
            given = np.asarray(plan.variable.data)
            found = found.astype(object) if given.dtype.kind == "O" else found
            equal_nan = given.dtype.kind == "f"
            if not np.array_equal(found, given, equal_nan=equal_nan):
                raise differs(name, "")

    def wrong(part: tuple[str, tuple[int, ...], int]) -> bool:
        name, index, checksum = part
        try:
            return crc32((path / key_of(name, index)).read_bytes()) != checksum
        except FileNotFoundError:
            return True

    parts = [(n, i, c) for n, known in checksums.items() for i, c in known.items()]
    with ThreadPoolExecutor(workers) as pool:
        for part, is_wrong in zip(parts, pool.map(wrong, parts), strict=True):
            if is_wrong:
                raise differs(part[0], f" at chunk {part[1]}")
    for name, known in checksums.items():  # the metadata say how they are encoded
        for index in itertools.islice(known, 1):
            try:
                opened_array(zarr, path, nodes[name]).get_block_selection(index)
            except Exception as error:  # every codec has its own
                raise differs(name, f" at chunk {index}") from error


def key_of(variable: str, index: tuple[int, ...]) -> str:
    """Key of a chunk in a store of ours."""
    return f"{variable}/{'.'.join(map(str, ('c', *index)))}"
