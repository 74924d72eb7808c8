"""How much room a cube takes on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubekit.io.envi_files import find_envi

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bytes_on_disk"]


def bytes_on_disk(path: Path) -> int:
    """Bytes of a file, of all files of a folder, or of an ENVI header and its data."""
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file()]
    else:
        files = [*(find_envi(path) or (path,))]
    return sum(p.stat().st_size for p in files)
