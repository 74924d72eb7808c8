"""The package's own exceptions, each also the builtin one a user would catch.

And what errors about packages that are not installed tell to do.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "AmbiguousCubeError",
    "AxisMismatchError",
    "BatchError",
    "ChunkError",
    "ClusterError",
    "CoordinateError",
    "CorruptFileError",
    "CubekitError",
    "DiskFullError",
    "IncompleteFileError",
    "ModelFormatError",
    "NotFittedError",
    "OutputExistsError",
    "RecipeError",
    "ResumeMismatchError",
    "SameFileError",
    "SizeLimitError",
    "UnsafeFileError",
    "WriteVerifyError",
    "how_to_install",
]


def how_to_install(extra: str) -> str:
    """Say how to get the packages of an extra; cubekit is installed from its folder."""
    return f'In your copy of cubekit: pip install ".[{extra}]".'


class CubekitError(Exception):
    """Anything cubekit refuses to do."""


class CoordinateError(CubekitError, ValueError):
    """A coordinate that is missing, ambiguous or not strictly monotonic."""


class AxisMismatchError(CubekitError, ValueError):
    """Two axes that should be one and the same, and are not."""


class AmbiguousCubeError(CubekitError, ValueError):
    """A file with several cubes, of which none was named.

    Attributes
    ----------
    variables : tuple of str
        Those that can be meant.
    """

    def __init__(self, message: str, variables: tuple[str, ...]) -> None:
        super().__init__(message, variables)
        self.variables = variables

    def __str__(self) -> str:
        """Return the message alone."""
        return str(self.args[0])


class RecipeError(CubekitError, ValueError):
    """A recipe with a step, an argument or a name that is not known."""


class BatchError(CubekitError, ExceptionGroup[Exception]):
    """Files of many that failed, each with an error of its own.

    Attributes
    ----------
    files : tuple of Path
        Those that failed, in the order of their errors (``exceptions``).
    """

    files: tuple[Path, ...]

    def __new__(
        cls, message: str, errors: Sequence[Exception], files: Sequence[Path]
    ) -> Self:
        """Group of errors, as `ExceptionGroup` makes it."""
        self = super().__new__(cls, message, errors)
        self.files = tuple(files)
        return self

    def derive(self, errors: Sequence[Exception]) -> Self:  # type: ignore[override]
        """Return the part of some of the errors, as ``except*`` takes it."""
        known = {id(error): k for k, error in enumerate(self.exceptions)}
        files = [self.files[known[id(e)]] for e in errors if id(e) in known]
        return type(self)(self.message, errors, files)


class ChunkError(CubekitError, ValueError):
    """A block that no worker of a cluster has the memory for."""


class ClusterError(CubekitError, RuntimeError):
    """A cluster that died, or lost the workers that computed a block."""


class SameFileError(CubekitError, OSError):
    """A file that would be written over the data it is computed from."""


class OutputExistsError(CubekitError, FileExistsError):
    """A file that is there already, and was not to be overwritten."""


class DiskFullError(CubekitError, OSError):
    """No room left for a file; ``errno`` is ENOSPC, EDQUOT or EFBIG."""

    def __init__(self, text: str, code: int = errno.ENOSPC) -> None:
        super().__init__(code, text)

    def __str__(self) -> str:
        """Return the text alone."""
        return str(self.strerror)


class WriteVerifyError(CubekitError, OSError):
    """A file that, read back, does not hold what was written."""


class CorruptFileError(CubekitError, OSError):
    """A file that is damaged, cut short, or not what its name says."""


class IncompleteFileError(CorruptFileError):
    """A file whose writing was never finished."""


class UnsafeFileError(CubekitError, PermissionError):
    """A file that refers to other files, or needs code that is not here."""


class ResumeMismatchError(CubekitError, ValueError):
    """A job to go on with that is not the job that was begun."""


class SizeLimitError(CubekitError, MemoryError):
    """A file that declares far more than it holds, or than can be taken in."""


class ModelFormatError(CubekitError, ValueError):
    """A file that does not hold a model, or not one that this version can read."""


class NotFittedError(CubekitError, AttributeError):
    """A model that was used before it was fitted."""
