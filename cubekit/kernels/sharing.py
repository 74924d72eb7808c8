"""Share work out to threads."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["shared_out"]

Part = TypeVar("Part")
Result = TypeVar("Result")


def shared_out(
    work: Callable[[Part], Result], parts: Sequence[Part], threads: int
) -> list[Result]:
    """Results of all parts in order, worked on by so many threads.

    This thread is one of them, and whichever is free takes the next part: a thread that
    waited for each part of the others would have to be woken for each, which takes as
    long as a small part.
    """
    threads = min(threads, len(parts))
    if threads <= 1:
        return [work(part) for part in parts]
    results: dict[int, Result] = {}
    left = iter(range(len(parts)))

    def take() -> None:
        try:
            for k in left:
                results[k] = work(parts[k])
        except BaseException:
            for _ in left:  # nobody takes what is left
                pass
            raise

    with concurrent.futures.ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(take) for _ in range(threads - 1)]
        take()
        for other in others:
            other.result()
    return [results[k] for k in range(len(parts))]
