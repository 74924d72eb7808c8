"""explore: the viewer in Jupyter; serve: the same in a browser on this computer."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from cubekit.arguments import require_integer
from cubekit.errors import how_to_install
from cubekit.viewer.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = ["explore", "serve"]


def explore(
    cube: xr.DataArray, *, coord: str | None = None, max_pixels: int = 1000
) -> Any:
    """Interactive view of a cube: an image, and the spectra of what is clicked in it.

    Parameters
    ----------
    cube : DataArray, dims (..., y, x, band) in any order
        Of dims before the last two that are not the bands, the first sample is shown.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    max_pixels : int, default 1000
        A larger window is thinned to at most so many pixels along each side.

    Returns
    -------
    panel.Column
        Shows itself in Jupyter, with the extra ``viewer``. Elsewhere ``.show()`` opens
        a browser, and ``cubekit view FILE`` does without Python.

    Raises
    ------
    ImportError
        If Panel is not installed.
    ValueError
        If the cube has not two dims besides that of the bands.
    CoordinateError
        If the coordinate of the bands is missing or ambiguous.

    Notes
    -----
    The image shows true colour, one band, three principal components or a derivative; a
    click adds the spectrum of a pixel, the box and the lasso the mean of a region.
    Spectra are smoothed and differentiated as one moves the sliders
    (`savgol_filter`), and given out as CSV or netCDF. A click in the spectra chooses
    the band that is shown.

    **Missing values:** clear in the image, breaks in the spectra.
    **Chunks:** any; of the window that is shown every so many pixels are read, chunk by
    chunk; until then it looks like the nearest that was read. What was read is kept,
    256 MiB of it.
    **Cost:** reading the chunks that meet what is shown. A file that is laid out for
    spectra has all bands in them: all is read for the first band, a sketch of the
    others kept from that, and all read again to fill it in; see `rechunk`. A cell of a
    notebook that calls it keeps the scripts of the page, some 6 MB, so that it needs no
    network.

    Examples
    --------
    >>> import cubekit as ck
    >>> page = ck.explore(ck.datasets.scene((30, 40)))
    >>> type(page).__name__
    'Column'
    """
    require_integer("explore", "max_pixels", max_pixels, 1)
    _require_panel()
    return _layout(View(cube, coord, max_pixels=max_pixels))


def serve(
    make: Callable[[], xr.DataArray],
    *,
    coord: str | None = None,
    port: int = 0,
    title: str = "cubekit",
    show: bool = True,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve the viewer to browsers on this computer, until interrupted.

    Parameters
    ----------
    make : callable
        Gives the cube; called once.
    coord : str, optional
        As for `explore`.
    port : int, default 0
        Of the address; any that is free if 0.
    title : str
        Of the page.
    show : bool, default True
        Whether to open a browser.
    started : callable, optional
        Called with the address once the server answers.

    Notes
    -----
    The server listens on 127.0.0.1 alone: no other computer can reach it.
    """
    _require_panel()
    import panel as pn  # noqa: PLC0415  heavy and optional

    view_of = make()
    View(view_of, coord)  # errors now, not in the browser
    server = pn.serve(
        {"/": lambda: _layout(View(view_of, coord))},
        port=port,
        address="127.0.0.1",
        title=title,
        show=False,
        start=False,
        verbose=False,
        threaded=False,
    )
    address = f"http://127.0.0.1:{server.port}/"
    if started is not None:
        started(address)
    if show:
        server.io_loop.add_callback(server.show, "/")
    # not run_until_shutdown: with a page open that goes on after SIGTERM
    server.start()
    server.io_loop.start()  # until Ctrl-C
    server.stop()


def _layout(view: View) -> Any:
    import panel as pn  # noqa: PLC0415  heavy and optional

    from cubekit.viewer.page import Page  # noqa: PLC0415  needs the extra viewer

    # scripts from within the notebook: a page without a network would stay empty
    pn.extension(inline=True)
    return Page(view).layout


def _require_panel() -> None:
    if importlib.util.find_spec("panel") is None:
        raise ImportError(
            "explore: the viewer needs the package panel, which is not installed. It "
            f"comes with the extra viewer. {how_to_install('viewer')}"
        )
