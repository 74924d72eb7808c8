"""The two files of an ENVI cube: its header, and raw data beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["data_files", "find_envi", "header_files"]

_DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bil", ".bip", ".bsq", ".sli", ".bin")


def find_envi(path: Path) -> tuple[Path, Path] | None:
    """Header and data file of an ENVI cube, given one of them; None if it is none."""
    if path.suffix.lower() == ".hdr":
        if not _is_header(path):
            return None
        found = [p for p in data_files(path) if p.is_file()]
        if not found:
            raise FileNotFoundError(
                f"{path} is an ENVI header without data. There is no {path.stem} "
                f"beside it, alone or with {', '.join(_DATA_SUFFIXES[1:])}. Put the "
                "data file there, or open the data file itself."
            )
        return path, found[0]
    for header in header_files(path):
        if header.is_file() and _is_header(header):
            return header, path
    return None


def data_files(header: Path) -> list[Path]:
    """Where the data of a header may lie, in the order in which one looks."""
    beside = [header.with_suffix(s) for s in _DATA_SUFFIXES]
    return beside + [header.with_suffix(s.upper()) for s in _DATA_SUFFIXES[1:]]


def header_files(data: Path) -> list[Path]:
    """Where the header of a data file may lie, in the order in which one looks."""
    return [
        place
        for suffix in (".hdr", ".HDR")
        for place in (data.with_name(data.name + suffix), data.with_suffix(suffix))
    ]


def _is_header(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \r\n").startswith(b"ENVI")
