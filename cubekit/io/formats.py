"""What a file format that lies in chunks must have to be written by `save_cube`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from cubekit.io.planning import PlannedVariable
    from cubekit.io.preparing import Output
    from cubekit.io.verifying import Checksums

__all__ = ["ChunkCodec", "FileContainer", "Format"]


class FileContainer(Protocol):
    """A file under construction."""

    path: Path

    def write_chunk(
        self, variable: str, index: tuple[int, ...], data: bytes | memoryview
    ) -> None:
        """Add an encoded chunk."""

    def finish(self) -> None:
        """Bring everything into it, and take away the mark of the unfinished."""

    def add_record(self, variables: list[str]) -> None:
        """Add what proves it to be whole."""

    def fsync(self) -> None:
        """Wait until it is on the disk."""

    def close(self) -> None:
        """Close what is open."""


class ChunkCodec(Protocol):
    """How a chunk is encoded."""

    def encode(self, chunk: npt.NDArray[Any]) -> bytes | memoryview:
        """Bytes to store."""


class Format(Protocol):
    """How a file in chunks is written; each format has one."""

    on_workers: bool  # whether chunks can be added from any process

    def chunk_bytes(self, level: Any) -> int:
        """About how large chunks are by default."""

    def container(
        self, path: Path, output: Output, planned: list[PlannedVariable], level: Any
    ) -> FileContainer:
        """Begin a file at a path where nothing is."""

    def codec(self, plan: PlannedVariable, level: Any) -> ChunkCodec:
        """How chunks of a variable are encoded."""

    def verify(
        self,
        path: Path,
        plans: list[PlannedVariable],
        checksums: Checksums,
        workers: int,
    ) -> None:
        """Raise unless a finished file holds what was written."""
