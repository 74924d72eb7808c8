"""Smoothing and derivatives of spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cubekit.axis import Axis
from cubekit.operators import savgol_operator

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["savgol_filter"]


def savgol_filter(
    cube: xr.DataArray,
    window_length: int | None = None,
    polyorder: int = 2,
    *,
    deriv: int = 0,
    window_width: float | None = None,
    coord: str | None = None,
    max_gap: float | Literal["auto"] | None = None,
    missing: Literal["propagate", "refit"] = "propagate",
) -> xr.DataArray:
    """Smoothed spectra, or their derivative, by a Savitzky-Golay filter.

    Parameters
    ----------
    cube : DataArray, dims (..., band, ...)
        Real values; any chunks, the band axis anywhere.
    window_length : int, optional
        Samples in a window; odd. Give this or `window_width`.
    polyorder : int, default 2
        Degree of the polynomial; less than the samples in a window.
    deriv : int, default 0
        Order of the derivative, at most `polyorder`.
    window_width : float, optional
        Width of the window in units of the coordinate (seconds along times), at most
        that of the axis.
    coord : str, optional
        One-dimensional coordinate to filter along; the spectral one if not given.
    max_gap : float or "auto", optional
        No window reaches across a step wider than this, in units of the coordinate;
        "auto" takes 4 times the median of the 11 steps about it.
    missing : {"propagate", "refit"}
        "propagate": an output is NaN where its window meets NaN or Inf. "refit": the
        polynomial is fitted to the samples of the window that are left.

    Returns
    -------
    DataArray, same dims as `cube`
        float32 or float64 as `cube`, float32 at least; in units of `cube` per unit of
        the coordinate to the power `deriv`.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.
    CoordinateError
        If the coordinate is missing, ambiguous or not strictly monotonic.

    Warns
    -----
    UserWarning
        If a segment between gaps has fewer than ``polyorder + 1`` samples.

    Notes
    -----
    Equal to ``scipy.signal.savgol_filter(mode="interp")`` where the spacing is even; on
    any other axis the polynomial is fitted to the samples where they are.

    Bad bands (coordinate ``good_band`` False) are left out, as if they were not on the
    axis, and are NaN in the result; see `savgol_operator`.

    **Missing values:** NaN where any sample of the window is NaN or Inf; nowhere else.
    With ``missing="refit"`` only where fewer than ``polyorder + 1`` samples are left,
    or where they neither surround nor touch the output; see `AxisOperator`.
    **Chunks:** lazy; each chunk reads at most ``window_length - 1`` samples beyond it.
    **Cost:** one contraction.

    References
    ----------
    .. [1] Savitzky, A. and Golay, M. J. E. (1964), Anal. Chem. 36, 1627-1639.

    See Also
    --------
    savgol_operator : the filter as a matrix, to compose with others.

    Examples
    --------
    >>> import cubekit as ck
    >>> import xarray as xr
    >>> wavelength = [400.0, 410.0, 425.0, 430.0, 441.0]
    >>> line = xr.DataArray(
    ...     [1.0, 2.0, 3.5, 4.0, 5.1],
    ...     coords={"wavelength": wavelength},
    ...     dims="wavelength",
    ... )
    >>> ck.savgol_filter(line, window_length=5, polyorder=1, deriv=1).values.round(12)
    array([0.1, 0.1, 0.1, 0.1, 0.1])
    """
    operator = savgol_operator(
        Axis.from_cube(cube, coord),
        window_length,
        polyorder,
        deriv=deriv,
        window_width=window_width,
        max_gap=max_gap,
    )
    return operator(cube, missing=missing)
