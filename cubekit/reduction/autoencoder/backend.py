"""PyTorch, which is optional and heavy: loaded when used, never changed for others."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

from cubekit.errors import how_to_install
from cubekit.kernels import thread_count

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_torch", "require_torch", "training_device", "working_threads"]


_LARGE = 2**26


def require_torch() -> None:
    """Raise unless PyTorch is installed; do not load it."""
    if importlib.util.find_spec("torch") is None:
        raise ImportError(
            "Autoencoder: PyTorch is not installed. It is an extra, since it is large. "
            + how_to_install("torch"),
            name="torch",
        )


def load_torch() -> Any:
    """Module ``torch``."""
    require_torch()
    import torch  # noqa: PLC0415  optional, and heavy

    return torch


def training_device(asked: str | None) -> Any:
    """Device to train on: the one asked for, else a GPU if there is one."""
    torch = load_torch()
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        float(torch.zeros(1, device=device))  # there and back
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"Autoencoder: device={asked!r} cannot be used: "
            f"{str(error).splitlines()[0]}. Training needs a device that PyTorch "
            'reaches. Use device="cpu", or None for the best there is.'
        ) from error
    return device


@contextlib.contextmanager
def working_threads(products: int) -> Iterator[None]:
    """As many threads as Dask may use where a layer is large, else one.

    Threads wait for each other after each small product: two on a machine that does
    something else, too, were up to ten times slower than one. What they were comes back
    afterwards.

    Parameters
    ----------
    products : int
        Of numbers, in the largest layer of a step.
    """
    torch = load_torch()
    before = torch.get_num_threads()
    wanted = thread_count() if products >= _LARGE else 1
    try:
        if before != wanted:
            torch.set_num_threads(wanted)
        yield
    finally:
        if before != wanted:
            torch.set_num_threads(before)
