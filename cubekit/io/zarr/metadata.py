"""Metadata of a Zarr store as they lie in its folder: JSON, looked at with mistrust."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cubekit.errors import (
    CorruptFileError,
    IncompleteFileError,
    SizeLimitError,
    UnsafeFileError,
    how_to_install,
)
from cubekit.io.record import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "RECORD",
    "Node",
    "check_inside",
    "check_store",
    "digest_of",
    "imported",
    "is_store",
    "nodes_of",
    "record_for",
    "witness_of",
]

RECORD = "cubekit_record"
_FORMAT = 1
_ROOTS = ("zarr.json", ".zmetadata", ".zgroup", ".zarray")
# of version 3; others must be understood, and are not
_FIELDS = {
    *("zarr_format", "node_type", "attributes", "consolidated_metadata"),
    *("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value"),
    *("codecs", "storage_transformers", "dimension_names"),
}
_TEXT = 2**26  # bytes of one file of metadata
_NODES = 10**4
_DEPTH = 64
_CHUNK = 2**30
_COORDINATE = 2**28  # read at once when a store is opened
# codecs that only rearrange numbers; "pickle" runs what it reads
_CODECS = {
    *("bytes", "blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "crc32c"),
    *("transpose", "sharding_indexed", "vlen-utf8", "vlen-bytes", "shuffle", "delta"),
    *("crc32", "adler32", "fletcher32", "fixedscaleoffset", "packbits", "bitround"),
    *("quantize", "cast_value", "scale_offset", "pcodec", "zfpy", "jenkins_lookup3"),
}


def imported(path: Path, action: str) -> Any:
    """Return the module zarr, or say how to get it."""
    try:
        import zarr  # noqa: PLC0415  optional, heavy
    except ImportError as error:
        raise ImportError(
            f"{action}: {path} is a Zarr store. That needs the packages of the extra "
            f"zarr, which are not installed. {how_to_install('zarr')}"
        ) from error
    return zarr


def is_store(path: Path) -> bool:
    """Whether a folder has the metadata of a Zarr store."""
    return path.is_dir() and any((path / name).is_file() for name in _ROOTS)


def witness_of(path: Path) -> Path:
    """File that changes whenever the store does."""
    return next(path / name for name in _ROOTS if (path / name).is_file())


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One array or group: its place, what is known of it, and its attributes."""

    where: str
    version: int
    is_array: bool
    meta: dict[str, Any]
    attrs: dict[str, Any]

    @property
    def key(self) -> str:
        """Key of its metadata."""
        name = "zarr.json" if self.version == 3 else ".zarray"
        return f"{self.where}/{name}".lstrip("/")


def nodes_of(root: Path, trust: bool) -> list[Node]:
    """All arrays and groups of a store, by its folders."""
    found: list[Node] = []
    pending = [("", 0)]
    while pending:
        where, depth = pending.pop()
        if depth > _DEPTH or len(found) > _NODES:
            raise SizeLimitError(
                f"{root}: it has {len(found)} nodes, {depth} deep. The limit is "
                f"{_NODES} nodes, {_DEPTH} deep. Open a part of it, as a path."
            )
        node = _node(root, where, trust)
        if node is None:
            continue
        found.append(node)
        if not node.is_array:
            folders = sorted(_folders(root / where), reverse=True)
            pending += [(f"{where}/{name}".lstrip("/"), depth + 1) for name in folders]
    if not trust:
        _check_consolidated(root)
    return found


def _folders(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (e.name for e in entries if e.is_dir())


def _node(root: Path, where: str, trust: bool) -> Node | None:
    def parsed(name: str) -> dict[str, Any] | None:
        return _parsed(root, f"{where}/{name}".lstrip("/"), trust)

    meta = parsed("zarr.json")
    if meta is not None:
        odd = [k for k, v in meta.items() if k not in _FIELDS and not _optional(v)]
        if odd:
            key = f"{where}/zarr.json".lstrip("/")
            raise damaged(root, key, f"it has a field {odd[0]!r}")
        is_array = meta.get("node_type") == "array"
        return Node(where, 3, is_array, meta, dict(meta.get("attributes") or {}))
    meta = parsed(".zarray")
    group = None if meta else parsed(".zgroup")
    if meta is None and group is None:
        # a root without .zgroup has .zmetadata
        return None if where else Node(where, 2, False, {}, {})
    return Node(where, 2, meta is not None, meta or {}, parsed(".zattrs") or {})


def _optional(value: Any) -> bool:
    """Whether a field may be passed over by who does not know it."""
    return isinstance(value, dict) and value.get("must_understand") is False


def _parsed(root: Path, key: str, trust: bool) -> dict[str, Any] | None:
    """JSON object at a key; None if there is nothing."""
    path = root / key
    if not os.path.lexists(path):
        return None
    if not trust:
        check_inside(root, key)
    try:
        size = path.stat().st_size
        if size > _TEXT and not trust:
            raise SizeLimitError(
                f"{root}: {key!r} has {size} bytes. The limit for metadata is {_TEXT} "
                "bytes. If you know where the store comes from: "
                "open_cube(..., trust=True)."
            )
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, SizeLimitError):
            raise
        raise damaged(root, key, f"its metadata cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise damaged(root, key, "its metadata are no JSON object")
    return found


def check_inside(root: Path, key: str) -> None:
    """Raise unless what lies at a key, links followed, lies inside the store."""
    parts = key.replace("\\", "/").split("/")
    odd = "\0" in key or "" in parts or {".", ".."} & set(parts) or ":" in parts[0]
    real = "" if odd else os.path.realpath(root / key)
    if odd or os.path.commonpath([real, os.path.realpath(root)]) != os.path.realpath(
        root
    ):
        raise UnsafeFileError(
            f"{root}: the key {key!r} leads out of the store"
            f"{f', to {real!r}' * bool(real)}. A store from elsewhere could make you "
            "read what you did not mean to. If you know where it comes from: "
            "open_cube(..., trust=True)."
        )


def _check_consolidated(root: Path) -> None:
    """Raise if a list of all metadata names keys outside; it is not read otherwise."""
    listed = _parsed(root, ".zmetadata", False) or {}
    keys = list(listed.get("metadata") or {})
    inline = (_parsed(root, "zarr.json", False) or {}).get("consolidated_metadata")
    keys += list((inline or {}).get("metadata") or {})
    for key in keys:
        check_inside(root, key)


def check_store(root: Path, nodes: list[Node], trust: bool) -> bool:
    """Whether a store is ours, and whole; raise if it is ours, and is not.

    Raises
    ------
    IncompleteFileError
        If its writing was never finished.
    CorruptFileError
        If its metadata are not what was written.
    UnsafeFileError, SizeLimitError
        If a codec is not known, or far too much is declared.
    """
    attrs = nodes[0].attrs
    if MARK in attrs:
        region = attrs[MARK]
        what = f" of region={region!r}" if isinstance(region, dict) else ""
        again = "Save that region again" if what else "Make it again"
        raise IncompleteFileError(
            f"{root}: its writing{what} was never finished: the program that wrote it "
            f"was stopped. Values in it may be missing or old. {again}."
        )
    if trust:
        return False
    for node in nodes:
        if node.is_array:
            _check_array(root, node)
    record = attrs.get(RECORD)
    if record is None:
        return False
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise damaged(root, nodes[0].key, "its record is of another version")
    if set(record) != {"format", "arrays", "digest"}:
        raise damaged(root, nodes[0].key, "its record has other fields")
    gone = {str(name) for name in record["arrays"]} - {node.where for node in nodes}
    if gone:
        raise damaged(root, f"{min(gone)}/zarr.json", "it is missing")
    if record["digest"] != digest_of(nodes):
        raise CorruptFileError(
            f"{root}: its metadata are not what was written with its chunks: the store "
            "is damaged, or another program changed it. Get it again; if the change "
            "was meant: open_cube(..., trust=True)."
        )
    return True


def _check_array(root: Path, node: Node) -> None:
    meta = node.meta
    for name in _codec_names(meta):
        if name.rpartition(".")[2] not in _CODECS:
            raise UnsafeFileError(
                f"{root}: {node.where!r} is encoded by {name!r}. Codecs that are not "
                "known here could run what they read. If you know where the store "
                "comes from: open_cube(..., trust=True)."
            )
    try:
        grid = meta.get("chunks") or meta["chunk_grid"]["configuration"]["chunk_shape"]
        shape = [int(n) for n in meta["shape"]]
        chunk = np.prod([int(n) for n in grid], dtype=float)
        if len(shape) != len(grid) or min([*shape, 0]) < 0 or chunk <= 0:
            raise ValueError(f"shape {shape}, chunks {grid}")
    except (LookupError, TypeError, ValueError) as error:
        raise damaged(root, node.key, f"its metadata make no sense: {error}") from error
    declared = np.prod(shape, dtype=float)
    for what, count, limit in (
        (f"a chunk of {node.where!r}", chunk, _CHUNK),
        (f"{node.where!r}", declared if len(shape) < 2 else 0, _COORDINATE),
    ):
        if count > limit:
            raise SizeLimitError(
                f"{root}: {what} declares {count:.0f} values. The limit is {limit}. If "
                "you know where the store comes from: open_cube(..., trust=True)."
            )


def _codec_names(meta: Mapping[str, Any]) -> Iterator[str]:
    given = [*(meta.get("codecs") or []), *(meta.get("filters") or [])]
    given += [meta.get("compressor"), *(meta.get("storage_transformers") or [])]
    for codec in given:
        if isinstance(codec, dict):
            yield str(codec.get("name") or codec.get("id"))
            inner = codec.get("configuration")
            yield from _codec_names(inner if isinstance(inner, dict) else {})
        elif codec is not None:
            yield str(codec)


def digest_of(nodes: list[Node]) -> int:
    """Checksum of all metadata but the record itself."""
    content = {
        node.where: {
            **{k: v for k, v in node.meta.items() if k != "attributes"},
            "attributes": {k: v for k, v in node.attrs.items() if k != RECORD},
        }
        for node in nodes
    }
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def record_for(nodes: list[Node]) -> dict[str, Any]:
    """Record that proves a store to be whole: all its chunks are there from now on."""
    arrays = sorted(node.where for node in nodes if node.is_array)
    return {"format": _FORMAT, "arrays": arrays, "digest": digest_of(nodes)}


def damaged(root: Path, key: str, why: str) -> CorruptFileError:
    """Return the error for what lies at a key."""
    return CorruptFileError(
        f"{root}: {key!r} is damaged: {why}. The store is damaged or incomplete. Get "
        "it again, or make it again."
    )


def fill_of(node: Node, dtype: np.dtype[Any]) -> Any:
    """Value that marks what is missing, as xarray has it; NaN where none does.

    Stores of version 3 name it in an attribute, in base64 if it is floating. In those
    of version 2 it is what chunks hold that were never written.
    """
    given = node.attrs.get("_FillValue", node.meta.get("fill_value"))
    if node.version == 3:
        given = node.attrs.get("_FillValue")
    if isinstance(given, str) and dtype.kind == "f":
        try:
            if node.version == 3:
                return struct.unpack("<d", base64.standard_b64decode(given))[0]
            return float(given)
        except (ValueError, struct.error):
            return np.nan
    return np.nan if given is None or isinstance(given, str) else given
