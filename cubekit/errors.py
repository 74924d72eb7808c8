"""The package's own exceptions, each also the builtin one a user would catch."""

__all__ = [
    "AxisMismatchError",
    "CoordinateError",
    "CubekitError",
    "ModelFormatError",
    "NotFittedError",
]


class CubekitError(Exception):
    """Anything cubekit refuses to do."""


class CoordinateError(CubekitError, ValueError):
    """A coordinate that is missing, ambiguous or not strictly monotonic."""


class AxisMismatchError(CubekitError, ValueError):
    """Two axes that should be one and the same, and are not."""


class ModelFormatError(CubekitError, ValueError):
    """A file that does not hold a model, or not one that this version can read."""


class NotFittedError(CubekitError, AttributeError):
    """A model that was used before it was fitted."""
