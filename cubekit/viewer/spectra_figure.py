"""The spectra of the viewer: measured and smoothed above, their derivative below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bokeh.models as bm
import numpy as np
from bokeh.plotting import figure

from cubekit.plotting.labels import edges, label_of
from cubekit.plotting.spectra import broken_line
from cubekit.viewer.image_figure import plain

if TYPE_CHECKING:
    from cubekit.viewer.collection import Collection
    from cubekit.viewer.layers import Window
    from cubekit.viewer.view import View

__all__ = ["SpectraFigure"]

_COLUMNS = ("x", "y", "colour", "name")
_INVITATION = "click in the image to see a spectrum"


class SpectraFigure:
    """Two figures that zoom together along the bands."""

    def __init__(self, view: View) -> None:
        self._axis = axis = view.axis
        ends = float(axis.values.min()), float(axis.values.max())
        common: dict[str, Any] = {
            "sizing_mode": "stretch_width",
            "tools": "pan,xwheel_zoom,box_zoom,reset,hover",
            "toolbar_location": "above",
            "active_scroll": "xwheel_zoom",
            "x_range": bm.Range1d(*ends) if ends[0] < ends[1] else bm.DataRange1d(),
        }
        what = plain(label_of(view.cube.name, view.cube.attrs))
        coordinate = plain(label_of(axis.name, {"units": axis.units}))
        self.upper = figure(
            frame_height=160, y_axis_label=what, title=_INVITATION, **common
        )
        self.lower = figure(
            frame_height=160, title=" ", x_axis_label=coordinate, **common
        )
        self.figure = bm.Column(
            children=[self.upper, self.lower], sizing_mode="stretch_width"
        )
        self.dots, self.smooth, self.derivative = (
            bm.ColumnDataSource({name: [] for name in _COLUMNS}) for _ in range(3)
        )
        dot = {"size": 3, "color": "colour", "alpha": 0.6}
        self.upper.scatter("x", "y", source=self.dots, **dot)
        line: dict[str, Any] = {"line_color": "colour", "line_width": 1.8}
        smooth = self.upper.multi_line("x", "y", source=self.smooth, **line)
        self.lower.multi_line("x", "y", source=self.derivative, **line)
        # above the lines: beside them it would make the two figures differ in width
        entries = bm.LegendItem(label={"field": "name"}, renderers=[smooth])
        self.legend = bm.Legend(
            items=[entries],
            orientation="horizontal",
            ncols=4,
            location="left",
            margin=0,
            padding=0,
            border_line_alpha=0,
            visible=False,
        )
        self.upper.add_layout(self.legend, "above")
        self.cursors = []
        for plot in (self.upper, self.lower):
            hover = plot.select_one(bm.HoverTool)
            hover.tooltips = [("", "@name"), (axis.name, "$x"), ("value", "$y")]
            self.cursors.append(
                bm.Span(dimension="height", line_color="#444444", line_dash="dotted")
            )
            plot.add_layout(self.cursors[-1])
            for low, high in self._bad_ranges():
                shade = {"left": low, "right": high, "fill_color": "#dddddd"}
                plot.add_layout(bm.BoxAnnotation(level="underlay", **shade))

    def _bad_ranges(self) -> list[tuple[float, float]]:
        """Ends of the runs of bad bands."""
        axis = self._axis
        if axis.good is None:
            return []
        flips = np.flatnonzero(np.diff(np.pad(~axis.good, 1).astype(np.int8)))
        cells = edges(axis.values)
        ends = cells[flips.reshape(-1, 2)]
        return [(float(pair.min()), float(pair.max())) for pair in ends]

    def mark_band(self, position: int | None) -> None:
        """Line at the band that the image shows, if it shows one."""
        for cursor in self.cursors:
            cursor.visible = position is not None
            if position is not None:
                cursor.location = float(self._axis.values[position])

    def draw(self, collection: Collection, window: Window) -> None:
        """Draw spectra.

        Raises
        ------
        ValueError
            If they cannot be smoothed so.
        """
        axis, picked = self._axis, collection.picked
        good = np.ones(len(axis), bool) if axis.good is None else axis.good
        smooth, slope = collection.processed(window)
        count = int(good.sum())
        self.dots.data = {
            "x": np.tile(axis.values[good], len(picked)),
            "y": np.concatenate([np.empty(0), *(p.values[good] for p in picked)]),
            "colour": [p.colour for p in picked for _ in range(count)],
            "name": [p.label for p in picked for _ in range(count)],
        }
        for source, values in ((self.smooth, smooth), (self.derivative, slope)):
            drawn = [broken_line(axis, one) for one in values.values]
            source.data = {
                "x": [x for x, _ in drawn],
                "y": [y for _, y in drawn],
                "colour": [p.colour for p in picked],
                "name": [p.label for p in picked],
            }
        words = {1: "slope", 2: "curvature"}.get(
            window.deriv, f"derivative {window.deriv}"
        )
        self.lower.title.text = f"{words}, window of {window.window_length} bands"
        self.lower.yaxis.axis_label = plain(label_of(slope.name, slope.attrs))
        self.upper.title.text = "measured (dots), smoothed" if picked else _INVITATION
        self.legend.visible = bool(picked)
