"""Legends that lie over no line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["entries", "legend"]

_FEW = 5  # entries that find room above the lines; more stand beside them
_LETTER, _SIGN, _LINE = 0.62, 3.8, 1.6  # of an entry, in sizes of its letters


def entries(ax: Axes) -> tuple[list[Artist], list[str]]:
    """What has a label, and the labels: bad bands last."""
    found = zip(*ax.get_legend_handles_labels(), strict=True)
    some = sorted(found, key=lambda entry: entry[0].get_gid() == "bad bands")
    return [handle for handle, _ in some], [name for _, name in some]


def legend(ax: Axes) -> None:
    """Legend of all that has a label, in rows above the lines.

    Room is made for it inside the axes: outside it would be cut off, or lie on a
    neighbour. Where limits were set by hand, it lies where it hides least.
    """
    handles, names = entries(ax)
    drawn = ax.legend(
        handles, names, edgecolor="none", framealpha=0.8, fontsize="small"
    )
    if len(names) > _FEW:
        drawn.set(loc="center left")
        drawn.set_bbox_to_anchor((1, 0.5), transform=ax.transAxes)
    elif names and ax.get_autoscaley_on():
        letter = float(drawn.get_texts()[0].get_fontsize())  # in points
        room = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        columns = _columns(names, 72 * room.width / letter)
        down = [
            k for first in range(columns) for k in range(len(names))[first::columns]
        ]
        lines = -(-len(names) // columns)
        share = min(0.5, letter * _LINE * (lines + 0.6) / (72 * room.height))
        low, high = ax.get_ylim()
        # the next line that is drawn finds its own limits, and room anew
        ax.set_ylim(low, high + (high - low) * share / (1 - share), auto=None)
        ax.legend(  # which fills its columns one by one; it is read across
            [handles[k] for k in down],
            [names[k] for k in down],
            loc="upper center",
            ncols=columns,
            edgecolor="none",
            framealpha=1.0,  # clear of the shade of bad bands
            fontsize="small",
            columnspacing=1.2,
            handlelength=1.8,
            borderaxespad=0.3,
        )


def _columns(names: list[str], width: float) -> int:
    """Most columns of entries that fit a width, in sizes of a letter."""
    for columns in range(len(names), 1, -1):
        parts = [names[first::columns] for first in range(columns)]
        if sum(_LETTER * max(map(len, p)) + _SIGN for p in parts) <= width:
            return columns
    return 1
