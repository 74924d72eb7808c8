"""The scene: an imaging spectrometer's view of the landscape, with its noise."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from cubekit.arguments import require_integer
from cubekit.datasets.arguments import checked_noise, checked_shape
from cubekit.datasets.computed import computed
from cubekit.datasets.landscape import EXTENT, cover, elevation, illumination
from cubekit.datasets.materials import MATERIALS, spectra
from cubekit.datasets.randomness import normal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["scene", "scene_truth"]

_HONEST = "Synthetic: computed from formulas. No instrument measured any of it."
_READ_NOISE = 90.0  # electrons
_FULL_SIGNAL = 9e5  # electrons at the brightest wavelength, from a white surface
_NOISE = 0  # stream of random numbers
_BLOCK = 1 << 16  # samples made at a time, so that they stay in cache


def scene(
    shape: tuple[int, int] = (120, 160),
    *,
    chunks: Mapping[str, int] | int | str | None = None,
    seed: int = 0,
    noise: float = 1.0,
    gap: tuple[float, float] | None = None,
) -> xr.DataArray:
    r"""Synthetic reflectance of a valley: a river, fields, woods, a quarry and a town.

    Parameters
    ----------
    shape : (int, int), default (120, 160)
        Pixels along y and x. The longer side is 6 km: another shape is the same valley
        at another resolution.
    chunks : dict, int, "auto" or None
        As in `xarray.DataArray.chunk`: makes the scene lazy. None computes it now.
    seed : int, default 0
        Another seed gives another valley and other noise.
    noise : float, default 1
        Factor on the standard deviation of the noise; 0 for the exact mixtures.
    gap : (float, float), optional
        No bands between these wavelengths in nm, as between two detectors.

    Returns
    -------
    DataArray, dims (y, x, wavelength)
        Reflectance, float32, with the coordinates y and x in m (north is up, so y
        descends), wavelength in nm (285 bands, steps of 7.38 to 7.46), fwhm in nm, and
        good_band, False where water vapour leaves next to no light.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Notes
    -----
    .. math:: \rho = e \sum_m a_m s_m + \varepsilon, \qquad
        \operatorname{var} \varepsilon = (N \rho + r^2) / N^2

    with the fractions :math:`a_m` of the materials in a pixel, their spectra
    :math:`s_m`, the illumination `e`, the electrons `N` that a white surface gives in
    a band, and the read noise `r`: all in `scene_truth`. Materials, light and noise are
    formulas of the right shape (chlorophyll and its red edge, leaf water, iron, clay,
    cellulose, carbonate), not measurements.

    **Missing values:** none. **Chunks:** the same values for any, bit by bit.
    **Cost:** about 30 ns for each value.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.scene((30, 40))
    >>> dict(cube.sizes)
    {'y': 30, 'x': 40, 'wavelength': 285}
    >>> ck.datasets.scene((3000, 4000), chunks="auto").nbytes  # nothing computed
    13680000000
    """
    ny, nx = checked_shape("scene", shape)
    require_integer("scene", "seed", seed, 0)
    strength = checked_noise("scene", noise)
    bands = _bands(gap)
    coords = _coordinates(ny, nx, bands)
    whole: dict[str, Any] = {
        "shape": (ny, nx),
        "seed": int(seed),
        "noise": strength,
    }
    block = functools.partial(_block, bands, **whole)
    data = computed((ny, nx, len(bands)), block)
    cube = xr.DataArray(
        xr.Variable(("y", "x", "wavelength"), data),
        coords=coords,
        name="reflectance",
        attrs={
            "units": "1",
            "long_name": "surface reflectance",
            "source": f"cubekit.datasets.scene(shape={(ny, nx)}, seed={seed}, "
            f"noise={strength:g})",
            "comment": _HONEST,
        },
    )
    return cube.load() if chunks is None else cube.chunk(chunks)


def scene_truth(
    shape: tuple[int, int] = (120, 160),
    *,
    seed: int = 0,
    gap: tuple[float, float] | None = None,
) -> xr.Dataset:
    """What the scene of the same arguments is made of.

    Parameters
    ----------
    shape, seed, gap
        As for `scene`.

    Returns
    -------
    Dataset
        ``abundance`` (material, y, x), which sums to 1; ``spectrum`` (material,
        wavelength); ``illumination`` (y, x); ``elevation`` (y, x) of the ground in m;
        ``electrons`` (wavelength) from a white surface; ``read_noise`` in electrons;
        ``transmission`` (wavelength) of the atmosphere, down and up.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Notes
    -----
    **Missing values:** none. **Chunks:** none, it is computed now. **Cost:** about a
    hundredth of the scene.

    Examples
    --------
    >>> import cubekit as ck
    >>> truth = ck.datasets.scene_truth((30, 40))
    >>> truth.material.values[:4].tolist()
    ['crop', 'forest', 'straw', 'soil']
    >>> water = truth.abundance.sel(material="water")
    >>> exact = ck.datasets.scene((30, 40), noise=0)
    >>> mixed = truth.illumination * (truth.abundance * truth.spectrum).sum("material")
    >>> bool(abs(exact - mixed).max() < 1e-6)
    True
    """
    ny, nx = checked_shape("scene", shape)
    require_integer("scene", "seed", seed, 0)
    bands = _bands(gap)
    seed = int(seed)
    coords = _coordinates(ny, nx, bands)
    wavelength = coords["wavelength"].values
    y, x = coords["y"].values, coords["x"].values
    one = {"units": "1"}
    return xr.Dataset(
        {
            "abundance": (("material", "y", "x"), cover(y, x, seed), one),
            "spectrum": (("material", "wavelength"), spectra(wavelength), one),
            "illumination": (("y", "x"), illumination(y, x, seed), one),
            "elevation": (("y", "x"), elevation(y, x, seed), {"units": "m"}),
            "electrons": ("wavelength", _electrons(wavelength)),
            "read_noise": ((), _READ_NOISE),
            "transmission": ("wavelength", _transmission(wavelength), one),
        },
        coords={**coords, "material": list(MATERIALS)},
        attrs={"comment": _HONEST},
    )


def _block(
    every: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    bands: npt.NDArray[np.int64],
    **whole: Any,
) -> npt.NDArray[np.float32]:
    """Block of the scene whose bands are these."""
    return _reflectance(rows, columns, every[bands], **whole)


def _reflectance(
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    bands: npt.NDArray[np.int64],
    *,
    shape: tuple[int, int],
    seed: int,
    noise: float,
) -> npt.NDArray[np.float32]:
    """Any block of the scene, (row, column, band), from its place in the whole."""
    wavelength = _centres()[bands]
    y, x = _position(rows, columns, shape)
    share = (cover(y, x, seed) * illumination(y, x, seed)).astype(np.float32)
    share = share.reshape(len(share), -1)  # (material, pixel)
    pixel = (rows[:, None] * shape[1] + columns).ravel()
    spectrum = spectra(wavelength).astype(np.float32)
    gain = np.float32(1) / _electrons(wavelength).astype(np.float32)
    floor = (_READ_NOISE * gain) ** 2
    cube = np.empty((len(pixel), len(bands)), np.float32)
    step = max(1, _BLOCK // max(1, len(bands)))
    for start in range(0, len(pixel), step):
        some = slice(start, start + step)
        # a matrix product would sum in an order that depends on the chunk
        value = share[0, some, None] * spectrum[0]
        for part, curve in zip(share[1:, some], spectrum[1:], strict=True):
            value += part[:, None] * curve
        if noise:
            deviation = np.sqrt(value * gain + floor)
            deviation *= normal(seed, _NOISE, pixel[some, None], bands)
            value += np.float32(noise) * deviation
        cube[some] = value
    return cube.reshape(len(rows), len(columns), len(bands))


def _centres() -> npt.NDArray[np.float64]:
    """Band centres in nm: steps of 7.38 at both ends, 7.46 in the middle."""
    along = np.linspace(-1, 1, 284)
    step = 7.38 + 0.08 * (1 - np.abs(along) ** 2.42)
    return np.round(381.0 + np.concatenate([[0.0], np.cumsum(step)]), 4)


def _bands(gap: tuple[float, float] | None) -> npt.NDArray[np.int64]:
    """Numbers of the bands that are not in the gap."""
    centres = _centres()
    if gap is None:
        return np.arange(len(centres))
    try:
        start, stop = (float(edge) for edge in gap)
    except (TypeError, ValueError):
        start = stop = math.nan
    if not start < stop:
        raise ValueError(
            f"scene: gap={gap!r} is not a range. It takes two wavelengths in nm, the "
            "shorter first. Use gap=(960, 1020)."
        )
    kept = np.flatnonzero((centres <= start) | (centres >= stop))
    if not len(kept):
        raise ValueError(
            f"scene: gap={gap!r} leaves no band. They are at {centres[0]:g} to "
            f"{centres[-1]:g} nm. Use gap=(960, 1020)."
        )
    return kept


def _transmission(wavelength: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of the atmosphere, down and up: water vapour, oxygen, carbon dioxide, haze."""
    gases = (
        *((720, 9, 0.12), (818, 12, 0.15), (940, 22, 0.75), (1130, 26, 0.9)),
        *((1380, 36, 5.0), (1870, 55, 5.5), (2600, 75, 3.0)),
        *((761, 4, 0.7), (2010, 12, 0.5), (2060, 12, 0.35)),
    )
    depth = sum(
        d * np.exp(-0.5 * ((wavelength - centre) / width) ** 2)
        for centre, width, d in gases
    )
    haze = 0.25 * (wavelength / 550) ** -1.6
    return np.exp(-(np.asarray(depth, np.float64) + haze))


def _electrons(wavelength: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Signal of a white surface: sunlight (a black body), air and detector."""
    heat = 14387768.8 / (5778.0 * wavelength)  # hc / (k T wavelength), nm
    photons = wavelength**-4.0 / np.expm1(heat)
    peak = 600.0**-4.0 / np.expm1(14387768.8 / (5778.0 * 600.0))
    signal: npt.NDArray[np.float64] = _FULL_SIGNAL * photons / peak
    return signal * _transmission(wavelength)


def _position(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Northing and easting of pixel centres in m, the first row in the north."""
    pixel = np.float64(EXTENT / max(shape))
    return (shape[0] - 0.5 - rows) * pixel, (columns + 0.5) * pixel


def _coordinates(
    ny: int, nx: int, bands: npt.NDArray[np.int64]
) -> dict[str, xr.Variable]:
    wavelength = _centres()[bands]
    y, x = _position(np.arange(ny), np.arange(nx), (ny, nx))
    fwhm = 8.4 + 0.4 * ((wavelength - 1400) / 1100) ** 2
    return {
        "y": xr.Variable("y", y, {"units": "m", "long_name": "northing"}),
        "x": xr.Variable("x", x, {"units": "m", "long_name": "easting"}),
        "wavelength": xr.Variable(
            "wavelength",
            wavelength,
            {
                "units": "nm",
                "long_name": "wavelength",
                "standard_name": "sensor_band_central_radiation_wavelength",
            },
        ),
        "fwhm": xr.Variable("wavelength", fwhm, {"units": "nm"}),
        "good_band": xr.Variable("wavelength", _transmission(wavelength) > 0.1),
    }
