"""Losses of a training, shown while it goes on."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["reporting"]


@contextlib.contextmanager
def reporting(
    show: bool | Callable[[int, float, float], None] | None, epochs: int
) -> Iterator[Callable[[int, float, float], None]]:
    """Give a function to call after each epoch, with its number and losses."""
    if callable(show):
        yield show
        return
    if show is False or (show is None and not sys.stderr.isatty()):
        yield lambda epoch, loss, held: None
        return
    from tqdm import tqdm  # noqa: PLC0415  heavy

    with tqdm(total=epochs, desc="fit", unit="epoch", file=sys.stderr) as bar:

        def update(epoch: int, loss: float, held: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4g}, held out {held:.4g}")
            bar.update(epoch - bar.n)

        yield update
        bar.total = bar.n  # it may have stopped early
        bar.refresh()
