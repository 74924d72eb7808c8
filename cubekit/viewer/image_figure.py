"""The image of the viewer, and the marks on it (Bokeh)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bokeh.models as bm
import matplotlib as mpl
import numpy as np
from bokeh.plotting import figure
from matplotlib.colors import to_hex

if TYPE_CHECKING:
    from cubekit.viewer.collection import Picked
    from cubekit.viewer.layers import Layer
    from cubekit.viewer.view import Frame, View, Window

__all__ = ["ImageFigure", "plain"]

# in pixels of the screen
_HEIGHT = 320  # of the image itself
_LEFT, _RIGHT = 80, 100  # room for the numbers of the axis, and of the colour bar


class ImageFigure:
    """A figure that shows frames of a view at their places."""

    def __init__(self, view: View) -> None:
        self._view = view
        left, right, bottom, top = view.whole
        wide = _HEIGHT * ((right - left) / (top - bottom) if view.same_units else 1.25)
        wide = int(np.clip(wide, 220, 640))
        self.width = max(420, wide + _LEFT + _RIGHT)
        self.figure = figure(
            frame_height=_HEIGHT,
            frame_width=wide,
            x_range=bm.Range1d(left, right),
            y_range=bm.Range1d(bottom, top),
            tools="pan,wheel_zoom,box_zoom,box_select,lasso_select,reset",
            toolbar_location="above",
            toolbar_sticky=False,  # the title needs its line
            active_drag="pan",
            active_scroll="wheel_zoom",
            x_axis_label=plain(view.x_label),
            y_axis_label=plain(view.y_label),
            background_fill_color="#d8d8d8",
            min_border_left=_LEFT,
            min_border_right=_RIGHT,
            title=" ",
        )
        self.figure.grid.visible = False
        # a place on a map is read as it stands
        self.figure.axis.formatter = bm.BasicTickFormatter(
            power_limit_low=-4, power_limit_high=8
        )
        self.figure.select_one(bm.BoxZoomTool).match_aspect = view.same_units
        self.window = view.whole
        self._draw_pixels()
        self._draw_marks()

    def _draw_pixels(self) -> None:
        names = ("image", "x", "y", "dw", "dh")
        self.pixels = bm.ColumnDataSource({name: [] for name in names})
        self.figure.image_rgba(
            **{name: name for name in names}, source=self.pixels, name="pixels"
        )
        self.mapper = bm.LinearColorMapper(palette=["#000000", "#ffffff"])
        self.bar = bm.ColorBar(
            color_mapper=self.mapper,
            formatter=bm.BasicTickFormatter(power_limit_low=-5),
            visible=False,
            width=14,
        )
        self.figure.add_layout(self.bar, "right")

    def _draw_marks(self) -> None:
        columns = ("x", "y", "name", "colour")
        self.places = bm.ColumnDataSource({name: [] for name in columns})
        self.outlines = bm.ColumnDataSource({name: [] for name in columns})
        edge = {"fill_color": None, "line_color": "colour", "line_width": 2.5}
        self.figure.patches("x", "y", source=self.outlines, **edge)
        dot = {"fill_color": "colour", "line_color": "white", "line_width": 1.5}
        self.figure.scatter("x", "y", source=self.places, size=10, **dot)
        letter = {"text_color": "white", "text_outline_color": "black"}
        self.figure.text(
            *("x", "y", "name"),
            source=self.places,
            x_offset=7,
            y_offset=-4,
            text_font_style="bold",
            **letter,
        )
        for glyph in self.figure.renderers:  # a box is a region, and selects no marks
            glyph.nonselection_glyph = None

    @property
    def window(self) -> Window:
        """What is looked at."""
        x, y = self.figure.x_range, self.figure.y_range
        left, right = sorted((float(x.start), float(x.end)))
        bottom, top = sorted((float(y.start), float(y.end)))
        return left, right, bottom, top

    @window.setter
    def window(self, window: Window) -> None:
        x, y = self.figure.x_range, self.figure.y_range
        x.start, x.end, *ends = window
        y.start, y.end = ends[::-1] if self._view.points_down else ends

    def paint(
        self, frame: Frame, layer: Layer, percentile: tuple[float, float]
    ) -> None:
        """Show a frame, its colours stretched between two percentiles."""
        rgba, (least, most), name = frame.rgba(percentile, joint=layer.joint)
        left, right, bottom, top = frame.window
        self.pixels.data = {
            "image": [np.ascontiguousarray(rgba).view(np.uint32)[..., 0]],
            "x": [left],
            "y": [bottom],
            "dw": [right - left],
            "dh": [top - bottom],
        }
        self.bar.visible = bool(name)
        if name:
            shades = mpl.colormaps[name](np.linspace(0, 1, 256))
            self.mapper.palette = [to_hex(shade) for shade in shades]
            self.mapper.low, self.mapper.high = least, most
        thinned = f", one pixel in {frame.every}" if frame.every > 1 else ""
        read = f", {100 * frame.done:.0f} % read" if frame.done < 1 else ""
        what = f": {plain(layer.label)}" if layer.label else ""
        self.figure.title.text = layer.title + what + thinned + read

    def mark(self, picked: list[Picked]) -> None:
        """Letters at places, outlines of regions."""
        regions = [p for p in picked if len(p.x) > 1]
        for source, some, middle in (
            (self.places, picked, True),
            (self.outlines, regions, False),
        ):
            source.data = {
                "x": [float(p.x.mean()) if middle else p.x for p in some],
                "y": [float(p.y.mean()) if middle else p.y for p in some],
                "name": [p.name for p in some],
                "colour": [p.colour for p in some],
            }


def plain(label: str) -> str:
    """Label without the marks of matplotlib for powers, which Bokeh does not know."""
    signs = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    first, *others = label.replace(r"\$", "$").split("$^{")
    powers = (piece.partition("}$") for piece in others)
    return first + "".join(power.translate(signs) + rest for power, _, rest in powers)
