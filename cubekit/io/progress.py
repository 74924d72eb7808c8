"""Progress that is true: bytes and blocks done, shown when someone looks."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(
    show: bool | Callable[[int, int], None] | None, total: int, label: str
) -> Iterator[Callable[..., None]]:
    """Give a function to call with bytes, and blocks (1), that were done.

    The bar is full only at the end.

    Parameters
    ----------
    show : bool, callable or None
        None shows a bar if the standard error is a terminal, or in a notebook. A
        callable is called with the bytes done and the total.
    """
    lock = threading.Lock()
    done = finished = 0
    if callable(show):

        def report(count: int, blocks: int = 1) -> None:
            nonlocal done
            with lock:
                done += count
                show(min(done, total), total + 1)

        yield report
        show(total + 1, total + 1)
        return
    if show is False or (show is None and not _someone_looks()):
        yield lambda count, blocks=1: None
        return
    with _bar(total + 1, label) as bar:

        def update(count: int, blocks: int = 1) -> None:
            nonlocal finished
            with lock:
                finished += blocks
                bar.set_postfix_str(f"blocks: {finished}", refresh=False)
                bar.update(count)

        yield update
        bar.update(total + 1 - bar.n)


def _someone_looks() -> bool:
    return _in_notebook() or sys.stderr.isatty()


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and "IPKernelApp" in getattr(
        shell.get_ipython(), "config", {}
    )


def _bar(total: int, label: str) -> Any:
    options: dict[str, Any] = {
        "total": total,
        "desc": label,
        "unit": "B",
        "unit_scale": True,
        "unit_divisor": 1024,
        "file": sys.stderr,
        "leave": True,
    }
    if _in_notebook():
        with contextlib.suppress(ImportError):
            import ipywidgets  # noqa: F401, PLC0415  without it the bar would only warn
            from tqdm.notebook import tqdm as notebook_bar  # noqa: PLC0415  heavy

            return notebook_bar(**options)
    from tqdm import tqdm  # noqa: PLC0415  heavy

    return tqdm(**options)
