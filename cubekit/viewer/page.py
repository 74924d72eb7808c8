"""Widgets and figures of the viewer (Panel, Bokeh); what they show is made beside."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import bokeh.events
import bokeh.models as bm
import matplotlib as mpl
import numpy as np
import panel as pn
from bokeh.plotting import figure
from matplotlib.colors import to_hex

from cubekit.plotting.labels import edges, label_of
from cubekit.plotting.spectra import broken_line
from cubekit.viewer import layers
from cubekit.viewer.collection import Collection, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubekit.viewer.collection import Picked
    from cubekit.viewer.layers import Layer
    from cubekit.viewer.view import Frame, View

__all__ = ["Page"]

_KINDS = {
    "true colour": "colour",
    "one band": "band",
    "principal components": "principal",
    "derivative": "derivative",
}
_TICK = 30  # ms between two parts of a picture


class Page:
    """An image on the left, spectra on the right, and what changes them above.

    Parameters
    ----------
    view : View
        The cube, and how it is read.
    size : int
        Height of the image, in pixels of the screen.
    """

    def __init__(self, view: View, size: int = 520) -> None:
        self.view = view
        self.collection = Collection(view)
        self._size = size
        self._model: Any = None  # fitted when it is first shown
        self._frames: Iterator[Frame] = iter(())
        self._frame: Frame | None = None
        self._layer: Layer | None = None
        self._ticking: Any = None
        self._make_widgets()
        self._make_image()
        self._make_spectra()
        self.layout = self._arranged()
        self.show()

    # widgets

    def _make_widgets(self) -> None:
        axis = self.view.axis
        order = np.argsort(axis.values)
        unit = f" {axis.units}" if axis.units else ""
        self.kind = pn.widgets.RadioButtonGroup(
            name="shown", options=_KINDS, value="colour"
        )
        positions = {f"{axis.values[i]:.6g}{unit}": int(i) for i in order}
        middle = int(order[len(order) // 2])
        self.band = pn.widgets.DiscreteSlider(
            name=axis.name, options=positions, value=middle, sizing_mode="stretch_width"
        )
        self.stretch = pn.widgets.RangeSlider(
            name="stretch (percentiles)",
            start=0,
            end=100,
            step=0.5,
            value=(2, 98),
            width=230,
        )
        longest = max(3, min(101, len(axis) - (len(axis) + 1) % 2))
        self.window = pn.widgets.IntSlider(
            name="window (bands)",
            start=3,
            end=longest,
            step=2,
            value=min(11, longest),
            width=190,
        )
        self.polyorder = pn.widgets.IntSlider(
            name="degree", start=1, end=6, value=min(3, longest - 1), width=120
        )
        self.deriv = pn.widgets.IntSlider(
            name="derivative", start=1, end=4, value=1, width=120
        )
        self.clear = pn.widgets.Button(name="clear", width=80)
        self.csv = pn.widgets.FileDownload(
            callback=self._csv, filename="spectra.csv", label="CSV", width=110
        )
        self.netcdf = pn.widgets.FileDownload(
            callback=self._netcdf, filename="spectra.nc", label="netCDF", width=110
        )
        self.csv.disabled = self.netcdf.disabled = True
        self.words = pn.pane.Str("", sizing_mode="stretch_width", margin=(0, 10))
        self.kind.param.watch(self._on_layer, "value")
        self.band.param.watch(self._on_band, "value")
        self.stretch.param.watch(self._on_stretch, "value")
        for slider in (self.window, self.polyorder, self.deriv):
            slider.param.watch(self._on_window, "value")
        self.clear.on_click(self._on_clear)

    def _arranged(self) -> pn.Column:
        self.image_pane = pn.pane.Bokeh(self.image)
        self.spectra_pane = pn.pane.Bokeh(self.both)
        left = pn.Column(pn.Row(self.kind, self.stretch), self.image_pane, self.band)
        right = pn.Column(
            pn.Row(self.window, self.polyorder, self.deriv),
            self.spectra_pane,
            pn.Row(self.clear, self.csv, self.netcdf),
        )
        return pn.Column(pn.Row(left, right), self.words)

    # image

    def _make_image(self) -> None:
        view = self.view
        left, right, bottom, top = view.whole
        down = view.points_down
        self.image = figure(
            height=self._size,
            width=int(self._size * 1.25),
            x_range=bm.Range1d(left, right),
            y_range=bm.Range1d(*((top, bottom) if down else (bottom, top))),
            match_aspect=False,
            tools="pan,wheel_zoom,box_zoom,box_select,lasso_select,tap,reset",
            active_drag="pan",
            active_scroll="wheel_zoom",
            x_axis_label=_plain(view.x_label),
            y_axis_label=_plain(view.y_label),
            background_fill_color="#d8d8d8",
        )
        self.image.grid.visible = False
        if view.same_units:
            self._keep_aspect(right - left, top - bottom)
        self.pixels = bm.ColumnDataSource(
            {"image": [], "x": [], "y": [], "dw": [], "dh": []}
        )
        self.image.image_rgba(
            image="image", x="x", y="y", dw="dw", dh="dh", source=self.pixels
        )
        self.mapper = bm.LinearColorMapper(palette=["#000000", "#ffffff"])
        self.bar = bm.ColorBar(
            color_mapper=self.mapper, visible=False, title="", padding=4, width=14
        )
        self.image.add_layout(self.bar, "right")
        self.places = bm.ColumnDataSource({"x": [], "y": [], "name": [], "colour": []})
        self.outlines = bm.ColumnDataSource({"x": [], "y": [], "colour": []})
        self.image.patches(
            "x",
            "y",
            source=self.outlines,
            fill_color=None,
            line_color="colour",
            line_width=2.5,
        )
        self.image.scatter(
            "x",
            "y",
            source=self.places,
            size=10,
            fill_color="colour",
            line_color="white",
            line_width=1.5,
        )
        self.image.text(
            "x",
            "y",
            "name",
            source=self.places,
            x_offset=7,
            y_offset=-4,
            text_color="white",
            text_outline_color="black",
            text_font_style="bold",
        )
        self.image.on_event(bokeh.events.Tap, self._on_tap)
        self.image.on_event(bokeh.events.SelectionGeometry, self._on_geometry)
        self.image.on_event(bokeh.events.RangesUpdate, self._on_zoom)
        self.image.on_event(bokeh.events.Reset, self._on_reset)

    def _keep_aspect(self, width: float, height: float) -> None:
        """A unit is as long along x as along y, whatever the shape of the cube."""
        self.image.frame_height = self._size - 80
        self.image.frame_width = int(
            np.clip((self._size - 80) * width / height, 200, 700)
        )
        self.image.height = self.image.width = None
        self.image.x_range.bounds = self.image.y_range.bounds = None

    def layer(self) -> Layer:
        """What the widgets ask for."""
        cube, axis, kind = self.view.cube, self.view.axis, self.kind.value
        if kind == "band":
            return layers.band(cube, axis, self.band.value)
        if kind == "derivative":
            window = {
                "window_length": self.window.value,
                "polyorder": self.polyorder.value,
            }
            return layers.derivative(
                cube, axis, self.band.value, deriv=self.deriv.value, **window
            )
        if kind == "principal":
            if self._model is None:
                self._model = layers.fit_pca(cube, axis)
            return layers.principal(self._model)
        return layers.colour(axis)

    def show(self) -> None:
        """Read the picture of what the widgets and the axes say, and draw it.

        The first part is drawn at once, the others while the page stays responsive.
        """
        try:
            self._layer = self.layer()
            x, y = self.image.x_range, self.image.y_range
            window = (
                *sorted((float(x.start), float(x.end))),
                *sorted((float(y.start), float(y.end))),
            )
            self._frames = self.view.frames(self._layer, window)
        except ValueError as error:
            self.words.object = str(error)
            return
        self.words.object = ""
        self._tick()
        if self._frame is not None and self._frame.done < 1 and self._ticking is None:
            self._ticking = pn.state.add_periodic_callback(self._tick, period=_TICK)

    def _tick(self) -> None:
        """Draw the next part of the picture, if there is one."""
        frame = next(self._frames, None)
        if frame is None:
            if self._ticking is not None:
                self._ticking.stop()
                self._ticking = None
            return
        self._frame = frame
        self._paint()

    def finish(self) -> None:
        """Read and draw all parts of the picture now."""
        *_, self._frame = (self._frame, *self._frames)
        self._paint()

    def _paint(self) -> None:
        frame, layer = self._frame, self._layer
        if frame is None or layer is None:
            return
        low, high = self.stretch.value
        if low >= high:
            self.words.object = "The stretch is empty: its ends must differ."
            return
        rgba, (least, most), name = frame.rgba((low, high), joint=layer.joint)
        left, right, bottom, top = frame.window
        packed = np.ascontiguousarray(rgba).view(np.uint32)[..., 0]
        self.pixels.data = {
            "image": [packed],
            "x": [left],
            "y": [bottom],
            "dw": [right - left],
            "dh": [top - bottom],
        }
        self.bar.visible = bool(name)
        if name:
            shades = mpl.colormaps[name](np.linspace(0, 1, 256))
            self.mapper.palette = [to_hex(c) for c in shades]
            self.mapper.low, self.mapper.high = least, most
            self.bar.title = _plain(layer.label)
        self.image.title.text = layer.title + self._progress(frame)
        self._mark_band()
        self._push()

    def _progress(self, frame: Frame) -> str:
        words = f", one pixel in {frame.every}" if frame.every > 1 else ""
        return words + (f", {100 * frame.done:.0f} % read" if frame.done < 1 else "")

    def _push(self) -> None:
        """Send changes of the figures to a notebook; a server sends them by itself."""
        if hasattr(self, "layout"):
            pn.io.push_notebook(self.image_pane, self.spectra_pane)

    # spectra

    def _make_spectra(self) -> None:
        axis, cube = self.view.axis, self.view.cube
        ends = float(axis.values.min()), float(axis.values.max())
        shared = bm.Range1d(*ends)
        common: dict[str, Any] = {
            "width": 620,
            "height": (self._size + 40) // 2,
            "tools": "pan,xwheel_zoom,box_zoom,reset,tap,hover",
            "active_scroll": "xwheel_zoom",
            "x_range": shared,
        }
        coordinate = {"units": axis.units}
        x_label = _plain(label_of(axis.name, coordinate))
        self.upper = figure(
            **common,
            y_axis_label=_plain(label_of(cube.name, cube.attrs)),
            title="measured (dots) and smoothed",
        )
        self.lower = figure(**common, x_axis_label=x_label, y_axis_label="derivative")
        self.lines = {
            name: bm.ColumnDataSource({"x": [], "y": [], "colour": [], "name": []})
            for name in ("smooth", "derivative")
        }
        self.dots = bm.ColumnDataSource({"x": [], "y": [], "colour": [], "name": []})
        self.upper.scatter(
            "x", "y", source=self.dots, size=3, color="colour", alpha=0.6
        )
        for plot, name in ((self.upper, "smooth"), (self.lower, "derivative")):
            plot.multi_line(
                "x",
                "y",
                source=self.lines[name],
                line_color="colour",
                line_width=1.8,
                **({"legend_field": "name"} if plot is self.upper else {}),
            )
            plot.select_one(bm.HoverTool).tooltips = [
                ("", "@name"),
                (axis.name, "$x"),
                ("value", "$y"),
            ]
            plot.on_event(bokeh.events.Tap, self._on_spectrum)
        self.upper.legend.visible = False
        self.upper.legend.background_fill_alpha = 0.7
        self.cursors = [
            bm.Span(dimension="height", line_color="#444444", line_dash="dotted")
            for _ in range(2)
        ]
        for plot, cursor in zip((self.upper, self.lower), self.cursors, strict=True):
            plot.add_layout(cursor)
            for low, high in self._bad_ranges():
                plot.add_layout(
                    bm.BoxAnnotation(
                        left=low, right=high, fill_color="#dddddd", level="underlay"
                    )
                )
        self.both = bm.Column(children=[self.upper, self.lower])
        self._mark_band()

    def _bad_ranges(self) -> list[tuple[float, float]]:
        """Ends of the runs of bad bands."""
        axis = self.view.axis
        if axis.good is None:
            return []
        flips = np.flatnonzero(np.diff(np.pad(~axis.good, 1).astype(np.int8)))
        cells = edges(axis.values)
        return [
            tuple(sorted(map(float, cells[[a, b]]))) for a, b in flips.reshape(-1, 2)
        ]

    def _mark_band(self) -> None:
        for cursor in getattr(self, "cursors", ()):
            cursor.location = float(self.view.axis.values[self.band.value])
            cursor.visible = self.kind.value in {"band", "derivative"}

    def draw(self) -> None:
        """Draw the spectra that were picked."""
        picked, axis = self.collection.picked, self.view.axis
        window = self.savgol
        good = np.ones(len(axis), bool) if axis.good is None else axis.good
        try:
            smooth, slope = self.collection.processed(window)
        except ValueError as error:
            self.words.object = str(error)
            return
        self.words.object = ""
        count = int(good.sum())
        self.dots.data = {
            "x": np.tile(axis.values[good], len(picked)),
            "y": np.concatenate([p.values[good] for p in picked] or [np.empty(0)]),
            "colour": [p.colour for p in picked for _ in range(count)],
            "name": [p.label for p in picked for _ in range(count)],
        }
        for name, values in (("smooth", smooth), ("derivative", slope)):
            drawn = [broken_line(axis, one) for one in values.values]
            self.lines[name].data = {
                "x": [x for x, _ in drawn],
                "y": [y for _, y in drawn],
                "colour": [p.colour for p in picked],
                "name": [p.label for p in picked],
            }
        self.lower.yaxis.axis_label = _plain(
            f"derivative {window.deriv} of {label_of(slope.name, slope.attrs)}"
        )
        self.upper.legend.visible = bool(picked)
        self.places.data = {
            "x": [float(p.x.mean()) for p in picked],
            "y": [float(p.y.mean()) for p in picked],
            "name": [p.name for p in picked],
            "colour": [p.colour for p in picked],
        }
        regions = [p for p in picked if len(p.x) > 1]
        self.outlines.data = {
            "x": [p.x for p in regions],
            "y": [p.y for p in regions],
            "colour": [p.colour for p in regions],
        }
        self.csv.disabled = self.netcdf.disabled = not picked
        self._push()

    @property
    def savgol(self) -> Window:
        """How spectra are smoothed now."""
        return Window(self.window.value, self.polyorder.value, self.deriv.value)

    # what a person does

    def pick(self, x: float, y: float) -> Picked | None:
        """Add the spectrum of the pixel at a place."""
        one = self.collection.add_pixel(x, y)
        self.draw()
        return one

    def pick_region(self, x: Any, y: Any) -> Picked | None:
        """Add the mean spectrum of a polygon."""
        one = self.collection.add_region(np.asarray(x, float), np.asarray(y, float))
        if one is None:
            self.words.object = "There is no pixel in this region."
        else:
            self.draw()
        return one

    def _on_tap(self, event: Any) -> None:
        self.pick(event.x, event.y)

    def _on_geometry(self, event: Any) -> None:
        shape = event.geometry
        if not event.final:
            return
        if shape["type"] == "rect":
            x0, x1, y0, y1 = (shape[k] for k in ("x0", "x1", "y0", "y1"))
            self.pick_region([x0, x1, x1, x0], [y0, y0, y1, y1])
        elif shape["type"] == "poly" and len(shape["x"]) > 2:
            self.pick_region(shape["x"], shape["y"])

    def _on_zoom(self, event: Any) -> None:
        x, y = self.image.x_range, self.image.y_range
        x.start, x.end, y.start, y.end = event.x0, event.x1, event.y0, event.y1
        self.show()

    def _on_reset(self, event: Any) -> None:
        del event
        left, right, bottom, top = self.view.whole
        x, y = self.image.x_range, self.image.y_range
        x.start, x.end = left, right
        y.start, y.end = (top, bottom) if self.view.points_down else (bottom, top)
        self.show()

    def _on_spectrum(self, event: Any) -> None:
        """A click in the spectra chooses a band."""
        self.band.value = int(np.abs(self.view.axis.values - event.x).argmin())
        if self.kind.value not in {"band", "derivative"}:
            self.kind.value = "band"

    def _on_layer(self, event: Any) -> None:
        del event
        self.show()

    def _on_band(self, event: Any) -> None:
        del event
        if self.kind.value in {"band", "derivative"}:
            self.show()
        else:
            self.kind.value = "band"

    def _on_stretch(self, event: Any) -> None:
        del event
        self._paint()

    def _on_window(self, event: Any) -> None:
        del event
        self.draw()
        if self.kind.value == "derivative":
            self.show()

    def _on_clear(self, event: Any) -> None:
        del event
        self.collection.clear()
        self.draw()

    def _csv(self) -> io.StringIO:
        return io.StringIO(self.collection.to_csv(self.savgol))

    def _netcdf(self) -> io.BytesIO:
        return io.BytesIO(self.collection.to_netcdf(self.savgol))


def _plain(label: str) -> str:
    """Label without the marks of matplotlib for powers: Bokeh has others."""
    signs = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    pieces = label.split("$^{")
    return pieces[0] + "".join(
        power.translate(signs) + rest
        for power, _, rest in (piece.partition("}$") for piece in pieces[1:])
    )
