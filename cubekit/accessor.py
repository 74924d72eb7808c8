"""DataArray.cube: the public functions as methods. No logic of its own."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import xarray as xr

from cubekit import (
    integration,
    io,
    plotting,
    reduction,
    spatial,
    spectral,
    viewer,
)
from cubekit.summary import describe

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CubeAccessor", "Pictures"]

_MODULES = (spectral, spatial, integration, reduction, io, viewer)


class Pictures:
    """Functions of cubekit.plotting that draw a cube, as methods of that cube.

    Examples
    --------
    >>> import cubekit as ck
    >>> picture = ck.datasets.scene((30, 40)).cube.plotting.image(850)
    >>> picture.axes.get_title()
    'wavelength 848.1 nm'
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._cube = cube


@xr.register_dataarray_accessor("cube")
class CubeAccessor:
    """Functions of cubekit that take a cube, as methods of that cube.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.scene((30, 40))
    >>> slope = cube.cube.savgol_filter(window_length=11, polyorder=3, deriv=1)
    >>> slope.attrs["units"]
    'nm-1'
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._cube = cube

    def __repr__(self) -> str:
        """Return axes, ranges, units, bad bands, chunks and size."""
        return f"<cubekit cube>\n{describe(self._cube)}"

    @property
    def plotting(self) -> Pictures:
        """Pictures of the cube: the functions of cubekit.plotting as methods."""
        return Pictures(self._cube)


def takes_cube(function: object) -> bool:
    """Whether the first parameter of a function is a DataArray."""
    if not inspect.isfunction(function):
        return False
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and "DataArray" in str(first.annotation)


def _as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: CubeAccessor | Pictures, *args: Any, **kwargs: Any) -> Any:
        return function(self._cube, *args, **kwargs)

    signature = inspect.signature(function)
    own, *others = signature.parameters.values()
    renamed = own.replace(name="self", annotation=inspect.Parameter.empty)
    vars(method)["__signature__"] = signature.replace(parameters=[renamed, *others])
    return method


for _owner, _module in (
    *((CubeAccessor, module) for module in _MODULES),
    (Pictures, plotting),
):
    for _name in _module.__all__:
        if takes_cube(getattr(_module, _name)):
            setattr(_owner, _name, _as_method(getattr(_module, _name)))
