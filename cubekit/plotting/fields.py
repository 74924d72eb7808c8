"""Fields and their derivatives across axes: arrows over a surface, a Hessian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cubekit.arguments import require_dataarray
from cubekit.operators.attributes import METRIC
from cubekit.plotting.colours import about_zero, span
from cubekit.plotting.images import image
from cubekit.plotting.labels import centres, label_of, new_axes
from cubekit.plotting.placing import is_even
from cubekit.plotting.sampling import thinned, thinning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.quiver import Quiver

__all__ = ["gradient_field", "hessian"]


def gradient_field(
    field: xr.DataArray,
    gradient: xr.DataArray,
    *,
    arrows: int = 20,
    mark: Sequence[float] | Mapping[Any, Any] | None = None,
    ax: Axes | None = None,
    **how: Any,
) -> Quiver:
    """Arrows of a gradient over the field they belong to.

    Parameters
    ----------
    field : DataArray, two dims
        Drawn down and across in the order of its dims, as by `image`.
    gradient : DataArray, dims (direction, ...)
        As given by `gradient`; the labels of ``direction`` are the dims of `field`.
    arrows : int, default 20
        At most so many along the longer side of the picture, and as far apart along the
        other, on any axes.
    mark : Dataset, dict or (float, float), optional
        A place to mark: as found by `flattest`, by the names of the dims of `field`, or
        in their order.
    ax : matplotlib Axes, optional
        Where to draw; on a new figure if not given.
    **how
        Handed to `image`, such as `cmap` or `label`.

    Returns
    -------
    Quiver
        Arrows point uphill in units of the axes; where those of the two axes differ,
        uphill as it is drawn; those of a gradient per metre, on a map of degrees, north
        and east. Arrows are as long as it is steep; the longest reach from
        one to the next, and the title says how steep it is there. Where a tenth of
        the places or less, such as a cliff, is much steeper than all else, its arrows
        are no longer than that.

    Raises
    ------
    ValueError
        If the directions are not the dims of the field.

    Notes
    -----
    **Missing values:** no arrow. **Chunks:** any; only what is drawn is computed.
    **Cost:** reading that.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> x = xr.DataArray(np.arange(5.0), dims="x", coords={"x": np.arange(5.0)})
    >>> y = xr.DataArray(np.arange(4.0), dims="y", coords={"y": np.arange(4.0)})
    >>> plane = y + 2 * x
    >>> slopes = xr.concat([plane * 0 + 1, plane * 0 + 2], "direction")
    >>> slopes = slopes.assign_coords(direction=["y", "x"])
    >>> arrows = ck.plotting.gradient_field(plane, slopes)
    >>> arrows.U[0] / arrows.V[0]
    np.float64(2.0)
    """
    ax = new_axes(ax)
    image(field, ax=ax, **how)
    rows, columns = (str(d) for d in field.dims)
    known = _labels("gradient_field", gradient, "direction", "gradient")
    if any(gradient.coords[d].ndim > 1 for d in known if d in gradient.coords):
        raise ValueError(
            f"gradient_field: the directions {known} are two-dimensional coordinates. "
            f"Arrows are drawn along the dims of the field, {[rows, columns]}. Draw "
            f"one component: image(gradient.sel(direction={known[0]!r}))."
        )
    if set(known) != {rows, columns}:
        raise ValueError(
            f"gradient_field: the directions are {known}. The field has dims "
            f"{[rows, columns]}. Use gradient(field, coords={(rows, columns)})."
        )
    aspect = ax.get_aspect()
    most = dict.fromkeys((rows, columns), arrows)
    if aspect != "auto":
        (y, _), (x, _) = centres(gradient, rows), centres(gradient, columns)
        sides = {rows: float(np.ptp(y)) * float(aspect), columns: float(np.ptp(x))}
        longer = max(sides.values()) or 1.0
        most = {d: max(2, round(arrows * s / longer)) for d, s in sides.items()}
    some = gradient.isel({d: _some(gradient, d, n) for d, n in most.items()})
    up = some.sel(direction=rows).transpose(rows, columns).values
    along = some.sel(direction=columns).transpose(rows, columns).values
    (y, _), (x, _) = centres(some, rows), centres(some, columns)
    # lengths on the page: of a unit of y, in that of one of x
    unit = float(aspect) if aspect != "auto" else _spacing(x) / _spacing(y)
    is_per_metre = METRIC in gradient.attrs  # alike in all directions, as on the page
    if not is_per_metre:
        up = up / unit
    steepness = np.hypot(along, up)
    longest, is_capped = _longest(steepness[np.isfinite(steepness)])
    with np.errstate(invalid="ignore", divide="ignore"):
        shorter = np.minimum(1.0, longest / steepness)
    between = min(_spacing(x), _spacing(y) * unit)
    drawn = ax.quiver(
        x,
        y,
        np.ma.masked_invalid(along * shorter),
        np.ma.masked_invalid(up * shorter / unit),
        angles="xy",
        scale_units="xy",
        scale=longest / between if longest > 0 else 1.0,
        color="white",
        edgecolor="black",
        linewidth=0.6,
        units="height" if most[rows] > most[columns] else "width",
        width=0.005,
        pivot="middle",
    )
    if aspect == 1.0 or is_per_metre:
        size = label_of(_written(longest), {"units": gradient.attrs.get("units")})
    else:
        rise = label_of(
            _written(longest * between), {"units": field.attrs.get("units")}
        )
        size = f"a rise of {rise} to the next"
    words = f"longest arrows: {size}{', or more' if is_capped else ''}"
    ax.set_title(words, fontsize="medium")
    if mark is not None:
        if isinstance(mark, Mapping):
            mark = [float(mark[d]) for d in (rows, columns)]
        for colour, width in (("black", 3.5), ("#E69F00", 1.8)):
            ax.plot(mark[1], mark[0], "o", ms=11, mfc="none", mec=colour, mew=width)
    return drawn


def hessian(
    hessian: xr.DataArray,
    *,
    percentile: tuple[float, float] = (2, 98),
    figure: Figure | None = None,
) -> list[AxesImage | QuadMesh]:
    """Second derivatives of a field, one picture for each pair of directions.

    Parameters
    ----------
    hessian : DataArray, dims (direction, direction_2, ...)
        As given by `hessian`, of a field of two dims.
    percentile : (float, float), default (2, 98)
        Range of values that the colours span: the same in all pictures, unless the
        units of the axes differ, and with them those of the derivatives.
    figure : matplotlib Figure, optional
        Where to draw; on a new one if not given.

    Returns
    -------
    list of AxesImage or QuadMesh
        Row by row, as in the matrix.

    Notes
    -----
    **Missing values:** hatched. **Chunks:** any; only the pixels drawn are computed.
    **Cost:** reading them.

    Examples
    --------
    >>> import cubekit as ck
    >>> import numpy as np
    >>> import xarray as xr
    >>> second = xr.DataArray(
    ...     np.ones((2, 2, 3, 4)),
    ...     dims=("direction", "direction_2", "y", "x"),
    ...     coords={"direction": ["y", "x"], "direction_2": ["y", "x"]},
    ... )
    >>> len(ck.plotting.hessian(second))
    4
    """
    names = _labels("hessian", hessian, "direction", "hessian")
    _labels("hessian", hessian, "direction_2", "hessian")
    if figure is None:
        from matplotlib import pyplot as plt  # noqa: PLC0415  heavy, only wanted here

        figure = plt.figure(figsize=(9, 7), layout="constrained")
    dims = tuple(d for d in hessian.dims if d not in {"direction", "direction_2"})
    some = thinned(hessian, dims, 1000).compute()
    values = np.where(np.isfinite(some.values), some.values, np.nan)
    differ = "units" in some.coords  # of each derivative: its own colours
    limits = about_zero(*span("hessian", values, percentile))
    grid = figure.subplots(
        len(names), len(names), sharex=True, sharey=True, squeeze=False
    )
    pictures = []
    for first, row in zip(names, grid, strict=True):
        for second, ax in zip(names, row, strict=True):
            part = some.sel(direction=first, direction_2=second)
            picture = image(
                part,
                diverging=True,
                percentile=percentile,
                colorbar=differ,
                label="",  # the title says it
                ax=ax,
            )
            if not differ:
                picture.set_clim(*limits)
            for axis in (ax.xaxis, ax.yaxis):  # two of them share one side
                axis.label.set_fontsize("small")
            title = f"$\\partial^2 / \\partial {first} \\, \\partial {second}$"
            own = {"units": part.coords["units"].item()} if differ else {}
            title = f"{title} {label_of(' ', own).strip()}".rstrip()
            ax.set_title(title, fontsize="medium")
            ax.label_outer()
            pictures.append(picture)
    if differ:
        return pictures
    bar = figure.colorbar(
        pictures[0],
        ax=grid,
        label=f"second derivative of {label_of(hessian.name, hessian.attrs)}",
        extend="both",
        shrink=0.8,
    )
    bar.ax.ticklabel_format(axis="y", scilimits=(-3, 4))
    return pictures


def _some(field: xr.DataArray, dim: str, most: int) -> slice | npt.NDArray[np.intp]:
    """Samples that lie about evenly, at most so many."""
    places, _ = centres(field, dim)
    if is_even(places):
        every: slice = thinning(field, (dim,), most).get(dim, slice(None))
        return every
    ends = np.linspace(places.min(), places.max(), most + 1)
    middles = (ends[1:] + ends[:-1]) / 2
    nearest = np.abs(places[:, None] - middles).argmin(axis=0)
    return np.asarray(np.unique(nearest), np.intp)


def _longest(steepness: npt.NDArray[Any]) -> tuple[float, bool]:
    """Steepness of the longest arrows, and whether some places are steeper."""
    if not len(steepness):
        return 0.0, False
    most, usual = float(steepness.max()), float(np.percentile(steepness, 90))
    return (usual, True) if most > 1.5 * usual > 0 else (most, False)


def _written(value: float) -> str:
    """Three digits, those of thousands written out."""
    return f"{float(f'{value:.3g}'):g}"


def _spacing(values: Any) -> float:
    return float(np.abs(np.diff(values)).mean()) if len(values) > 1 else 1.0


def _labels(function: str, field: xr.DataArray, dim: str, made_by: str) -> list[str]:
    """Names along a dim of directions."""
    require_dataarray(field, function)
    if dim not in field.indexes:
        raise ValueError(
            f"{function}: the dims {field.dims} have no labelled {dim!r}. It says "
            f"which derivative is which. Take it from cubekit.{made_by}(field)."
        )
    return [str(name) for name in field.indexes[dim]]
