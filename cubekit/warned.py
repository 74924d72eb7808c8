"""Warnings that point to the line that called the package, however deep they arise."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_caller"]


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn the first caller that is no part of the package."""
    level, frame = 2, sys._getframe(1)  # Python 3.12 has skip_file_prefixes for this
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] == "cubekit":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
