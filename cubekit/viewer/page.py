"""The viewer on a page: its widgets, and what a person does with them (Panel)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import bokeh.events
import numpy as np
import panel as pn

from cubekit.viewer import layers
from cubekit.viewer.collection import Collection
from cubekit.viewer.image_figure import ImageFigure
from cubekit.viewer.layers import Window
from cubekit.viewer.spectra_figure import SpectraFigure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubekit.reduction import PCA
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
_OF_ONE_BAND = {"band", "derivative"}
_TICK = 30  # ms between two parts of a picture
_WIDE = "stretch_width"
_NARROWEST, _WIDEST = 340, 900  # of the spectra, in pixels of the screen


class Page:
    """An image on the left, spectra on the right, and what changes them.

    Parameters
    ----------
    view : View
        The cube, and how it is read.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.collection = Collection(view)
        self.image = ImageFigure(view)
        self.spectra = SpectraFigure(view)
        self._model: PCA | None = None  # fitted when it is first shown
        self._frames: Iterator[Frame] = iter(())
        self._frame: Frame | None = None
        self._layer: Layer | None = None
        self._ticking: Any = None
        self._make_widgets()
        self.panes = (
            pn.pane.Bokeh(self.image.figure),
            pn.pane.Bokeh(self.spectra.figure, sizing_mode="stretch_width"),
        )
        # the image keeps its shape; the spectra take what is left beside it, or the
        # next line where that is little, as in a narrow notebook
        left = pn.Column(
            self.kind,
            self.panes[0],
            self.band,
            self.stretch,
            width=self.image.width,
            styles={"flex": "0 0 auto"},
        )
        right = pn.Column(
            pn.Row(self.window, self.polyorder, self.deriv, sizing_mode=_WIDE),
            self.panes[1],
            pn.Row(self.clear, self.csv, self.netcdf),
            styles={"flex": f"1 1 {_NARROWEST}px", "max-width": f"{_WIDEST}px"},
        )
        self.layout = pn.Column(
            pn.FlexBox(left, right, sizing_mode=_WIDE), self.words, sizing_mode=_WIDE
        )
        self._listen()
        self.show()

    def _make_widgets(self) -> None:
        axis, widgets = self.view.axis, pn.widgets
        order = np.argsort(axis.values)
        unit = f" {axis.units}" if axis.units else ""
        self.kind = widgets.RadioButtonGroup(options=_KINDS, value="colour")
        self.band = widgets.DiscreteSlider(
            label=axis.name,
            options={f"{axis.values[i]:.7g}{unit}": int(i) for i in order},
            value=int(order[len(order) // 2]),
            sizing_mode=_WIDE,
        )
        self.stretch = widgets.RangeSlider(
            label="stretch (percentiles)",
            end=100,
            step=0.5,
            value=(2, 98),
            sizing_mode=_WIDE,
        )
        longest = max(3, min(101, len(axis) - (len(axis) + 1) % 2))

        def slider(name: str, start: int, end: int, value: int, step: int = 1) -> Any:
            limits = {"start": start, "end": end, "value": min(value, end)}
            return widgets.IntSlider(
                label=name, step=step, min_width=80, sizing_mode=_WIDE, **limits
            )

        self.window = slider("window (bands)", 3, longest, 11, 2)
        self.polyorder = slider("degree", 1, 6, 3)
        self.deriv = slider("derivative", 1, 4, 1)
        self.clear = widgets.Button(label="clear", width=80)
        self.csv = widgets.FileDownload(
            callback=self._csv, filename="spectra.csv", label="CSV", width=90
        )
        self.netcdf = widgets.FileDownload(
            callback=self._netcdf, filename="spectra.nc", label="netCDF", width=90
        )
        self.csv.disabled = self.netcdf.disabled = True
        self.words = pn.pane.Str("", sizing_mode=_WIDE)

    def _listen(self) -> None:
        self.kind.param.watch(lambda _: self.show(), "value")
        self.band.param.watch(self._on_band, "value")
        self.stretch.param.watch(lambda _: self._paint(), "value")
        for slider in (self.window, self.polyorder, self.deriv):
            slider.param.watch(self._on_window, "value")
        self.clear.on_click(self._on_clear)
        for event, answer in (
            (bokeh.events.Tap, lambda event: self.pick(event.x, event.y)),
            (bokeh.events.SelectionGeometry, self._on_geometry),
            (bokeh.events.RangesUpdate, self._on_zoom),
            (bokeh.events.Reset, self._on_reset),
        ):
            self.image.figure.on_event(event, answer)
        for plot in (self.spectra.upper, self.spectra.lower):
            plot.on_event(bokeh.events.Tap, self._on_spectrum)

    # the image

    @property
    def savgol(self) -> Window:
        """How spectra are smoothed."""
        return Window(self.window.value, self.polyorder.value, self.deriv.value)

    def layer(self) -> Layer:
        """What is asked for.

        Raises
        ------
        ValueError
            If it cannot be had of this cube.
        """
        cube, axis, kind = self.view.cube, self.view.axis, self.kind.value
        if kind == "band":
            return layers.band(cube, axis, self.band.value)
        if kind == "derivative":
            return layers.derivative(cube, axis, self.band.value, self.savgol)
        if kind == "principal":
            if self._model is None:
                self._model = layers.fit_pca(cube, axis)
            return layers.principal(self._model)
        return layers.colour(axis)

    def show(self) -> None:
        """Read the picture that is asked for, and draw it.

        The first part is drawn at once, the others while the page answers.
        """
        one = self.kind.value in _OF_ONE_BAND
        self.spectra.mark_band(self.band.value if one else None)
        try:
            self._layer = self.layer()
        except ValueError as error:
            self._say(str(error))
            return
        self._say("")
        self._frames = self.view.frames(self._layer, self.image.window)
        self._tick()
        if self._frame is not None and self._frame.done < 1 and self._ticking is None:
            self._ticking = pn.state.add_periodic_callback(self._tick, period=_TICK)

    def _tick(self) -> None:
        """Draw the next part of the picture, if there is one."""
        frame = next(self._frames, None)
        if frame is not None:
            self._frame = frame
            self._paint()
        elif self._ticking is not None:
            self._ticking.stop()
            self._ticking = None

    def _paint(self) -> None:
        low, high = self.stretch.value
        if self._frame is None or self._layer is None:
            return
        if low == high:
            self._say("The ends of the stretch are the same. Move one of them.")
            return
        self.image.paint(self._frame, self._layer, (low, high))
        self._push()

    def _say(self, words: str) -> None:
        self.words.object = words

    def _push(self) -> None:
        """Send changes to a notebook; a server sends them by itself."""
        pn.io.push_notebook(*self.panes)

    # what a person does

    def pick(self, x: float, y: float) -> Picked | None:
        """Add the spectrum of the pixel at a place."""
        one = self.collection.add_pixel(x, y)
        self._draw()
        return one

    def pick_region(self, x: Any, y: Any) -> Picked | None:
        """Add the mean spectrum of a polygon."""
        one = self.collection.add_region(np.asarray(x, float), np.asarray(y, float))
        self._draw()
        if one is None:
            self._say("There is no pixel in this region.")
        return one

    def _draw(self) -> None:
        try:
            self.spectra.draw(self.collection, self.savgol)
        except ValueError as error:
            self._say(str(error))
            return
        self._say("")
        self.image.mark(self.collection.picked)
        self.csv.disabled = self.netcdf.disabled = not self.collection.picked
        self._push()

    def _on_geometry(self, event: Any) -> None:
        shape = event.geometry
        if event.final and shape["type"] == "rect":
            x0, x1, y0, y1 = (shape[k] for k in ("x0", "x1", "y0", "y1"))
            self.pick_region([x0, x1, x1, x0], [y0, y0, y1, y1])
        elif event.final and shape["type"] == "poly" and len(shape["x"]) > 2:
            self.pick_region(shape["x"], shape["y"])

    def _on_zoom(self, event: Any) -> None:
        x, y = sorted((event.x0, event.x1)), sorted((event.y0, event.y1))
        self.image.window = (x[0], x[1], y[0], y[1])
        self.show()

    def _on_reset(self, event: Any) -> None:
        del event
        self.image.window = self.view.whole
        self.show()

    def _on_spectrum(self, event: Any) -> None:
        """Show the band that was clicked."""
        self.band.value = int(np.abs(self.view.axis.values - event.x).argmin())

    def _on_band(self, event: Any) -> None:
        del event
        if self.kind.value in _OF_ONE_BAND:
            self.show()
        else:
            self.kind.value = "band"

    def _on_window(self, event: Any) -> None:
        del event
        self._draw()
        if self.kind.value == "derivative":
            self.show()

    def _on_clear(self, event: Any) -> None:
        del event
        self.collection.clear()
        self._draw()

    def _csv(self) -> io.BytesIO:
        return io.BytesIO(self.collection.to_csv(self.savgol).encode())

    def _netcdf(self) -> io.BytesIO:
        return io.BytesIO(self.collection.to_netcdf(self.savgol))
