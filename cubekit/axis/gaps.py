"""Gaps of an axis: steps too wide for a fit to reach across."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cubekit.arguments import require_positive

__all__ = ["wide_steps"]

# a gap is a step wider than so many times the median of the steps about it
_GAP_FACTOR, _GAP_STEPS = 4, 11


def wide_steps(
    values: npt.NDArray[np.float64],
    max_gap: float | str | None,
    function: str,
) -> npt.NDArray[np.bool_]:
    """Whether each step between neighbouring values is a gap.

    ``max_gap="auto"`` compares with the median of the steps about it: where the
    sampling of a detector changes, half of those are of the new width.
    """
    step = np.abs(np.diff(values))
    if max_gap is None:
        return np.zeros(len(step), np.bool_)
    if max_gap != "auto":
        if isinstance(max_gap, str):
            raise ValueError(
                f"{function}: max_gap={max_gap!r} is unknown. A gap is a step wider "
                'than a length on the axis. Give that, or max_gap="auto".'
            )
        return step > require_positive(function, "max_gap", max_gap)
    about = min(_GAP_STEPS, len(step))
    if not about:
        return np.zeros(0, np.bool_)
    medians = np.median(np.lib.stride_tricks.sliding_window_view(step, about), axis=1)
    nearest = np.arange(len(step)) - about // 2
    wide: npt.NDArray[np.bool_] = (
        step > _GAP_FACTOR * medians[np.clip(nearest, 0, len(medians) - 1)]
    )
    return wide
