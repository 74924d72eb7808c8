"""A valley as a formula of place: what covers the ground, and how it is lit.

Everything is a function of position alone, so that any piece of the scene can be made
without its neighbours. Lengths are in units of `EXTENT`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cubekit.datasets.materials import MATERIALS
from cubekit.datasets.randomness import uniform

__all__ = ["EXTENT", "cover", "elevation", "illumination", "waves"]

EXTENT = 6000.0  # metres across the valley

Map = npt.NDArray[np.float64]
_SOFT = 0.004  # boundaries are a few tens of metres wide
_INDEX = {name: i for i, name in enumerate(MATERIALS)}


def cover(y: Map, x: Map, seed: int) -> Map:
    """Fraction of the ground that each material covers, (material, y, x); sums to 1."""
    v, u = y[:, None] / EXTENT, x[None, :] / EXTENT
    shares = _fields(u, v, seed)
    rough = waves(u, v, seed, 1, frequency=5.0)
    hills = _edge(v - 0.58 - 0.05 * rough)
    _paint(shares, hills, {"forest": 0.93, "soil": 0.07})
    clearing = _edge(0.055 - _distance(u, v, 0.34, 0.67) + 0.012 * rough)
    _paint(shares, clearing, {"crop": 0.85, "straw": 0.15})
    quarry = _edge(0.055 - _distance(u, v, 0.76, 0.6) + 0.014 * rough)
    _paint(shares, quarry, {"limestone": 0.8, "soil": 0.2})
    _build_town(shares, u, v, seed)
    _paint(shares, 0.6 * _edge(0.017 - abs(_river(u, v, seed))), {"forest": 1.0})
    _paint(shares, _edge(0.011 - abs(_river(u, v, seed))), {"water": 1.0})
    lake = _edge(0.06 - _distance(u, 1.5 * v, 0.17, 0.72) + 0.012 * rough)
    _paint(shares, lake, {"water": 1.0})
    return shares


def illumination(y: Map, x: Map, seed: int) -> Map:
    """Sunlight on the slopes, (y, x), one on level ground."""
    v, u = y[:, None] / EXTENT, x[None, :] / EXTENT
    slope = waves(u, v, seed, 2, frequency=3.0) + 0.5 * waves(u, v, seed, 3, 9.0)
    relief = 0.05 + 0.2 * _edge((v - 0.55) / 10)
    return 1 + relief * slope


def elevation(y: Map, x: Map, seed: int) -> Map:
    """Height of the ground in m, (y, x): a valley between ridges, the river lowest."""
    v, u = y[:, None] / EXTENT, x[None, :] / EXTENT
    away = _river(u, v, seed)
    rise = 900 * _rise(away / 0.45) + 350 * _rise(-away / 0.3)
    rough = np.zeros_like(rise)
    for octave in range(4):
        wave = waves(u, v, seed, 14 + octave, frequency=2.0 * 2**octave)
        crest = 1 - np.sqrt(wave**2 + 0.05 / 2**octave)  # rounded: it has derivatives
        rough += 0.5**octave * crest
    return 400 + rise * (0.8 + 0.3 * rough) - 60 * u


def _rise(distance: Map) -> Map:
    """Zero on one side, smoothly towards one on the other."""
    up: Map = -np.expm1(-(np.maximum(distance, 0) ** 2))
    return up


def _paint(shares: Map, opacity: Map, mixture: dict[str, float]) -> None:
    """Cover what is there with a mixture, in place."""
    shares *= 1 - opacity
    for material, part in mixture.items():
        shares[_INDEX[material]] += part * opacity


def _edge(signed_distance: Map) -> Map:
    """One inside, zero outside, smooth between."""
    inside: Map = 1 / (1 + np.exp(-np.clip(signed_distance / _SOFT, -40, 40)))
    return inside


def _distance(u: Map, v: Map, u0: float, v0: float) -> Map:
    return np.sqrt((u - u0) ** 2 + (v - v0) ** 2)


def waves(u: Map, v: Map, seed: int, stream: int, frequency: float) -> Map:
    """Smooth random field of variance about one."""
    rng = np.random.default_rng([seed, stream])
    total = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    for _ in range(8):
        direction, phase = rng.uniform(0, 2 * np.pi, 2)
        wavenumber = 2 * np.pi * frequency * rng.uniform(0.4, 1.0)
        along = np.cos(direction) * u + np.sin(direction) * v
        total += 0.5 * np.sin(wavenumber * along + phase)
    return total


def _river(u: Map, v: Map, seed: int) -> Map:
    """Distance from the middle of the river, positive to its north."""
    phase = np.random.default_rng([seed, 4]).uniform(0, 2 * np.pi, 2)
    middle = 0.28 + 0.06 * np.sin(5.5 * u + phase[0]) + 0.02 * np.sin(15 * u + phase[1])
    bend = 0.33 * np.cos(5.5 * u + phase[0]) + 0.3 * np.cos(15 * u + phase[1])
    north: Map = (v - middle) / np.sqrt(1 + bend**2)
    return north


def _fields(u: Map, v: Map, seed: int) -> Map:
    """Parcels of one crop each, with hedges between."""
    along = 0.92 * u + 0.39 * v + 0.02 * waves(u, v, seed, 12, frequency=3.0)
    across = 0.92 * v - 0.39 * u + 0.016 * waves(u, v, seed, 13, frequency=3.0)
    strip = np.floor(across / 0.085)
    shift = uniform(seed, 5, strip)
    length = 0.06 + 0.12 * uniform(seed, 6, strip)
    parcel = np.floor(along / length + shift)
    kind, vigour = uniform(seed, 7, strip, parcel), uniform(seed, 8, strip, parcel)

    shares = np.zeros((len(MATERIALS), *kind.shape))
    green, dry = kind < 0.5, kind > 0.76
    patchy = 0.06 * waves(u, v, seed, 9, frequency=12.0)
    ripe = np.clip(0.55 + 0.4 * vigour + patchy, 0, 1)
    shares[_INDEX["crop"]] = np.where(green, ripe, np.where(dry, 0.08, 0.12 * vigour))
    shares[_INDEX["straw"]] = np.where(dry, (1 - 0.08) * ripe, 0.0)
    shares[_INDEX["soil"]] = 1 - shares.sum(0)

    from_side = abs(along / length + shift - parcel - 0.5) * length
    from_end = abs(across / 0.085 - strip - 0.5) * 0.085
    inside = np.minimum(0.5 * length - from_side, 0.0425 - from_end)
    _paint(shares, 0.6 * np.exp(-((inside / _SOFT) ** 2)), {"forest": 0.7, "crop": 0.3})
    return shares


def _build_town(shares: Map, u: Map, v: Map, seed: int) -> None:
    """Blocks of houses with gardens, and streets between, on both banks."""
    phase = np.random.default_rng([seed, 4]).uniform(0, 2 * np.pi, 2)
    centre = 0.28 + 0.06 * np.sin(5.5 * 0.6 + phase[0]) + 0.05
    outline = 0.13 - _distance(u, 1.35 * v, 0.6, 1.35 * centre)
    town = _edge(outline + 0.02 * waves(u, v, seed, 10, frequency=7.0))
    along, across = 0.97 * u - 0.24 * v, 0.97 * v + 0.24 * u
    size = 0.026
    row, column = np.floor(across / size), np.floor(along / size)
    density = 0.25 + 0.6 * uniform(seed, 11, row, column)
    to_street = 0.5 * size - np.maximum(
        abs(along - (column + 0.5) * size), abs(across - (row + 0.5) * size)
    )
    block = _edge((to_street - 0.005) * 1.5)
    _paint(shares, town, {"asphalt": 0.85, "roof_tile": 0.15})
    _paint(shares, town * block * density, {"roof_tile": 0.9, "asphalt": 0.1})
    _paint(shares, town * block * (0.5 - 0.5 * density), {"crop": 0.6, "forest": 0.4})
