"""CF history: a line for each run."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from cubekit._version import __version__

__all__ = ["with_line"]


def with_line(earlier: Any, action: str) -> str:
    """History with one line more: the time, this version, and what was done.

    The time is that of the environment variable ``SOURCE_DATE_EPOCH`` if set, for
    files that are the same to the byte.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = (
        datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    )
    line = f"{now:%Y-%m-%dT%H:%M:%SZ} cubekit {__version__}: {action}"
    return f"{earlier}\n{line}" if earlier else line
