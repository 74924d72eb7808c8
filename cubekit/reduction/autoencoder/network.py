"""Encoder and decoder as functions of named weights: a line, and what bends it.

Both are a linear map plus a network whose last layer starts at zero, so that training
starts from principal components and only adds to them:

    scores = A x + g(x),    x = B scores + h(scores)

`x` are standardised spectra, (spectrum, band).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.reduction.autoencoder.backend import load_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Layout",
    "Start",
    "Weights",
    "decode",
    "encode",
    "initial_weights",
    "principal_start",
    "rearranged",
    "shapes",
]

Real = npt.NDArray[np.float64]
Weights = dict[str, Any]

_WIDTH = 5  # bands that a convolution sees at once
_LEAST_GAIN = 0.01  # of the noise, for a latent that has less variance than that


class Layout(NamedTuple):
    """Sizes of a network."""

    bands: int
    components: int
    layers: str  # "dense" or "conv1d"
    hidden: tuple[int, ...]  # widths, or channels
    variational: bool

    @property
    def lengths(self) -> list[int]:
        """Bands that each convolution leaves, the first all of them."""
        halves = itertools.accumulate(
            self.hidden, lambda length, _: (length + 1) // 2, initial=self.bands
        )
        return list(halves)

    @property
    def products(self) -> int:
        """Products of numbers that the largest layer takes for a spectrum."""
        every = shapes(self)
        if self.layers == "dense" or not self.hidden:
            return max(math.prod(shape) for shape in every.values())
        places = self.lengths[1]
        return places * max(math.prod(s) for s in every.values() if len(s) == 3)


class Start(NamedTuple):
    """Linear maps to start from, and the logarithm of the posterior variance."""

    encoder: Real  # (component, band)
    decoder: Real  # (band, component)
    spread: Real  # (component,)


def shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Shape of each of the weights by name."""
    bands, count, layers, hidden, variational = layout
    every: dict[str, tuple[int, ...]] = {
        "encoder_linear": (count, bands),
        "encoder_offset": (count,),
        "decoder_linear": (bands, count),
        "decoder_offset": (bands,),
    }
    if variational:
        every["encoder_spread"] = (count,)
    if not hidden:
        return every
    given = count * (2 if variational else 1)
    if layers == "dense":
        last: tuple[int, ...] = (bands, hidden[0])
        up = list(itertools.pairwise((bands, *hidden)))
        down = list(itertools.pairwise((count, *hidden[::-1])))
        inner = hidden[-1]
        for k, (size, into) in enumerate(up):
            every |= {f"encoder_{k}_weight": (into, size), f"encoder_{k}_bias": (into,)}
        for k, (size, into) in enumerate(down):
            every |= {f"decoder_{k}_weight": (into, size), f"decoder_{k}_bias": (into,)}
    else:
        inner = hidden[-1] * layout.lengths[-1]
        last = (1, hidden[0], _WIDTH)
        for k, (size, into) in enumerate(itertools.pairwise((1, *hidden))):
            every[f"encoder_{k}_weight"] = (into, size, _WIDTH)
            every[f"encoder_{k}_bias"] = (into,)
        every |= {"decoder_0_weight": (inner, count), "decoder_0_bias": (inner,)}
        for k, (size, into) in enumerate(itertools.pairwise(hidden[::-1]), 1):
            every[f"decoder_{k}_weight"] = (into, size, _WIDTH)
            every[f"decoder_{k}_bias"] = (into,)
    every |= {"encoder_last_weight": (given, inner), "encoder_last_bias": (given,)}
    return every | {"decoder_last_weight": last}


def principal_start(
    covariance: Real, scale: Real, number: int, *, variational: bool
) -> Start:
    """Principal components, or the posterior of probabilistic ones (Tipping, Bishop).

    The covariance is that of the data, `scale` what its bands are divided by.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :number]
    floor = float(np.finfo(np.float32).eps * values[0])
    noise = max(float(values[number:].mean()) if len(values) > number else 0.0, floor)
    values = np.maximum(values[:number], floor)
    gain = values
    spread = np.zeros(number)
    if variational:
        gain = np.maximum(values - noise, _LEAST_GAIN * noise)
        spread = np.log(np.minimum(noise / (gain + noise), 1.0))
        values = gain + noise
    size = np.sqrt(gain)
    return Start(
        (size / values)[:, None] * vectors.T * scale,
        vectors * size / scale[:, None],
        spread,
    )


def initial_weights(
    layout: Layout, start: Start | None, generator: Any, device: Any
) -> Weights:
    """Weights before training; the network adds nothing yet to the linear maps."""
    torch = load_torch()
    weights: Weights = {}
    for name, shape in shapes(layout).items():
        fan = int(np.prod(shape[1:])) or 1
        value = torch.zeros(shape, dtype=torch.float32)
        if start is not None and name in {"encoder_linear", "decoder_linear"}:
            given = start.encoder if name == "encoder_linear" else start.decoder
            value = torch.from_numpy(given.astype(np.float32))
        elif start is not None and name == "encoder_spread":
            value = torch.from_numpy(start.spread.astype(np.float32))
        elif name.endswith("_linear") or (
            name.endswith("_weight") and "_last_" not in name
        ):
            value.uniform_(-1, 1, generator=generator).div_(fan**0.5)
        elif name.startswith("decoder_") and name.endswith("_bias"):
            # bends that differ, though the scores have mean 0
            value.uniform_(-1, 1, generator=generator)
        weights[name] = value.to(device).requires_grad_()
    return weights


def encode(weights: Mapping[str, Any], x: Any, layout: Layout) -> tuple[Any, Any]:
    """Mean of the scores, and the logarithm of their variance (0 if there is none)."""
    torch = load_torch()
    act, linear = torch.nn.functional.silu, torch.nn.functional.linear
    mean = linear(x, weights["encoder_linear"], weights["encoder_offset"])
    spread = weights["encoder_spread"] if layout.variational else mean.new_zeros(1)
    spread = spread.expand_as(mean)
    if not layout.hidden:
        return mean, spread
    inner = x if layout.layers == "dense" else x[:, None, :]
    for k in range(len(layout.hidden)):
        weight, bias = weights[f"encoder_{k}_weight"], weights[f"encoder_{k}_bias"]
        if layout.layers == "dense":
            inner = act(linear(inner, weight, bias))
        else:
            convolve = torch.nn.functional.conv1d
            inner = act(convolve(inner, weight, bias, stride=2, padding=_WIDTH // 2))
    more = linear(
        inner.flatten(1), weights["encoder_last_weight"], weights["encoder_last_bias"]
    )
    mean = mean + more[:, : layout.components]
    if layout.variational:
        spread = spread + more[:, layout.components :]
    return mean, spread


def decode(weights: Mapping[str, Any], scores: Any, layout: Layout) -> Any:
    """Standardised spectra of scores."""
    torch = load_torch()
    act, linear = torch.nn.functional.silu, torch.nn.functional.linear
    spectra = linear(scores, weights["decoder_linear"], weights["decoder_offset"])
    if not layout.hidden:
        return spectra
    inner = act(linear(scores, weights["decoder_0_weight"], weights["decoder_0_bias"]))
    if layout.layers == "dense":
        for k in range(1, len(layout.hidden)):
            weight, bias = weights[f"decoder_{k}_weight"], weights[f"decoder_{k}_bias"]
            inner = act(linear(inner, weight, bias))
        return spectra + linear(inner, weights["decoder_last_weight"])
    convolve = torch.nn.functional.conv1d
    *lengths, shortest = layout.lengths
    inner = inner.unflatten(1, (layout.hidden[-1], shortest))
    for k, length in enumerate(lengths[::-1], 1):
        inner = inner.repeat_interleave(2, dim=2)[:, :, :length]
        if k < len(layout.hidden):
            weight, bias = weights[f"decoder_{k}_weight"], weights[f"decoder_{k}_bias"]
            inner = act(convolve(inner, weight, bias, padding=_WIDTH // 2))
    last = weights["decoder_last_weight"]
    return spectra + convolve(inner, last, padding=_WIDTH // 2)[:, 0, :]


def rearranged(
    weights: Mapping[str, npt.NDArray[Any]],
    layout: Layout,
    order: npt.NDArray[np.intp],
    shift: Real,
    size: Real,
) -> dict[str, npt.NDArray[Any]]:
    """Weights of a network whose scores are ``((old - shift) / size)[order]``."""
    count = layout.components
    new = {name: value.astype(np.float64) for name, value in weights.items()}
    new["encoder_linear"] = (new["encoder_linear"] / size[:, None])[order]
    new["encoder_offset"] = ((new["encoder_offset"] - shift) / size)[order]
    if layout.variational:
        spread = new["encoder_spread"] - 2 * np.log(np.abs(size))
        new["encoder_spread"] = spread[order]
    for name in ("encoder_last_weight", "encoder_last_bias") if layout.hidden else ():
        mean, more = new[name][:count], new[name][count:]
        mean = mean / size.reshape(-1, *[1] * (mean.ndim - 1))
        new[name] = np.concatenate([mean[order], more[order] if len(more) else more])
    inward = {"decoder_linear": "decoder_offset"}
    if layout.hidden:
        inward["decoder_0_weight"] = "decoder_0_bias"
    for matrix, offset in inward.items():
        new[offset] = new[offset] + new[matrix] @ shift
        new[matrix] = (new[matrix] * size)[:, order]
    # in one order of memory, so that a product is rounded alike wherever they come from
    return {name: value.astype(np.float32, order="C") for name, value in new.items()}
