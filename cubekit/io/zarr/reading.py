"""Structure and blocks of Zarr stores, of version 2 and 3."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.io.attributes import decoded_attrs
from cubekit.io.decoding import Decoding, decoding_from_attrs
from cubekit.io.netcdf import NetcdfFile, StoredVariable
from cubekit.io.source import FileArray, Source
from cubekit.io.zarr.metadata import (
    RECORD,
    Node,
    check_inside,
    check_store,
    damaged,
    fill_of,
    imported,
    is_store,
    nodes_of,
    witness_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ZarrReader", "is_store", "opened_array", "read_store", "read_variables"]

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class ZarrReader:
    """Blocks of an array, read by the zarr library; nothing is open in between.

    Parameters
    ----------
    array : zarr.Array
    where : str
        Its place in the store.
    whole : bool
        Every chunk was written, so that one that is not there is lost.
    trust : bool
        Follow links that lead out of the store.
    """

    array: Any
    where: str
    whole: bool
    trust: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples on each axis."""
        return tuple(int(n) for n in self.array.shape)

    @property
    def chunk(self) -> tuple[int, ...]:
        """Shape of the pieces that are files."""
        return tuple(int(n) for n in self.array.shards or self.array.chunks)

    def read(self, path: str, key: tuple[slice, ...]) -> Array:
        """Stored numbers at `key`."""
        root = Path(path)
        for index in self._touched(key):
            name = self._key_of(index)
            if not self.trust:
                check_inside(root, name)
            if self.whole and not (root / name).exists():
                raise damaged(root, name, "the chunk is missing")
        try:
            return np.asarray(self.array[key])
        except MemoryError:
            raise
        except Exception as error:  # every codec has its own
            raise damaged(root, self._culprit(key), str(error)) from error

    def _touched(self, key: tuple[slice, ...]) -> Iterator[tuple[int, ...]]:
        """Chunks that a block meets."""
        return itertools.product(
            *(
                range(k.start // c, -(-k.stop // c))
                for k, c in zip(key, self.chunk, strict=True)
            )
        )

    def _key_of(self, index: tuple[int, ...]) -> str:
        return f"{self.where}/{self.array.metadata.encode_chunk_key(index)}".lstrip("/")

    def _culprit(self, key: tuple[slice, ...]) -> str:
        """Key of the first chunk that cannot be read."""
        for index in self._touched(key):
            place = zip(index, self.chunk, self.shape, strict=True)
            try:
                self.array[
                    tuple(slice(c * i, min(n, c * (i + 1))) for i, c, n in place)
                ]
            except Exception:  # that is the question
                return self._key_of(index)
        return self.where


def read_store(path: Path, trust: bool = False) -> NetcdfFile:
    """Read what a Zarr store holds, without its values."""
    imported(path, "open_cube")
    root = path.resolve()
    source = Source.of(root, witness_of(root))
    nodes = nodes_of(root, trust)
    whole = check_store(root, nodes, trust)
    attrs = {k: v for k, v in nodes[0].attrs.items() if k != RECORD}
    variables = read_variables(root, nodes, whole, trust)
    return NetcdfFile(source, variables, decoded_attrs(attrs))


def read_variables(
    root: Path, nodes: list[Node], whole: bool, trust: bool = False
) -> dict[str, StoredVariable]:
    """Arrays of a store by their places."""
    zarr = imported(root, "open_cube")
    source = Source.of(root, witness_of(root))
    found = (_variable(zarr, source, n, whole, trust) for n in nodes if n.is_array)
    return {v.path: v for v in found}


def opened_array(zarr: Any, root: Path, node: Node) -> Any:
    """Array of the zarr library, of which nothing stays open."""
    store = zarr.storage.LocalStore(root, read_only=True)
    try:
        return zarr.open_array(
            store=store, path=node.where, mode="r", zarr_format=node.version
        )
    except Exception as error:  # of many kinds, for metadata that make no sense
        raise damaged(root, node.key, f"its metadata make no sense: {error}") from error


def _variable(
    zarr: Any, source: Source, node: Node, whole: bool, trust: bool
) -> StoredVariable:
    root = Path(source.path)
    array = opened_array(zarr, root, node)
    stored = np.dtype(array.dtype)
    name = node.where or root.stem  # a store that is one array
    attrs = {k: _plain(v) for k, v in node.attrs.items()}
    dims = attrs.pop("_ARRAY_DIMENSIONS", None) or node.meta.get("dimension_names")
    if dims is None or len(dims) != array.ndim:
        dims = [None] * array.ndim
    if stored.kind in "iuf":
        attrs["_FillValue"] = fill_of(node, stored)
        decoding = decoding_from_attrs(stored, attrs)
    else:
        decoding = Decoding(np.dtype(object) if stored.kind == "T" else stored)
    reader = ZarrReader(array, node.where, whole, trust)
    return StoredVariable(
        name,
        tuple(f"dim_{k}" if d is None else str(d) for k, d in enumerate(dims)),
        FileArray(source, reader, decoding, name),
        decoded_attrs(attrs),
        tuple(int(c) for c in array.chunks) if array.ndim else None,
    )


def _plain(value: Any) -> Any:
    """Attribute as netCDF would give it: a list of numbers as an array."""
    if isinstance(value, list) and len(value) > 1:
        kinds = {type(item) for item in value}
        if kinds <= {int, float}:
            return np.array(value)
    return value
