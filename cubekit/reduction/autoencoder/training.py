"""The loop: minibatches, a likelihood, held-out spectra that say when to stop."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cubekit.reduction.autoencoder.backend import load_torch
from cubekit.reduction.autoencoder.coordinates import Coordinates
from cubekit.reduction.autoencoder.network import (
    Layout,
    decode,
    encode,
    initial_weights,
    principal_start,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubekit.reduction.autoencoder.network import Weights
    from cubekit.reduction.autoencoder.spectra import Pool

__all__ = ["Schedule", "Trained", "train"]

Real = npt.NDArray[np.float64]

_EPOCH = (2**16, 2**17)  # spectra in an epoch, taken again if there are fewer
_ROUNDS = 256  # of an epoch at most: four spectra would be taken 16384 times
_PATIENCE = 8  # epochs without a gain, before steps become smaller
_SMALLER, _REDUCTIONS = 0.3, 3
_GAIN = 5e-4  # relative, in the mean squared error, that counts as one
_LEAST = 1e-12  # relative squared error below which float32 tells nothing
_MEMORY = 0.998  # part that an average of the weights keeps of itself at a step
FILLINGS = 3  # times that missing bands are estimated before a step


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How to train."""

    beta: float
    warm_up: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    start: str
    device: Any


class Trained(NamedTuple):
    """Weights, and the losses that led to them."""

    weights: dict[str, npt.NDArray[Any]]
    loss: Real  # (epoch,), of the training
    held_out_loss: Real  # (epoch,), the first before any training


def train(
    pool: Pool,
    layout: Layout,
    schedule: Schedule,
    report: Callable[[int, float, float], None],
) -> Trained:
    """Weights with the least held-out loss that were met.

    The loss of a spectrum of n bands is, in nats and up to a constant,

        n / 2 log(e) + beta KL,    e = squared error of the bands that are there,

    e being the mean over a batch in units of the mean variance of a band: what a normal
    likelihood becomes at its best variance.
    """
    torch = load_torch()
    with torch.inference_mode(False), torch.enable_grad():
        return _Training(pool, layout, schedule).run(report)


class _Training:
    def __init__(self, pool: Pool, layout: Layout, schedule: Schedule) -> None:
        torch = load_torch()
        self.torch, self.pool, self.layout, self.how = torch, pool, layout, schedule
        device = schedule.device
        # of the spectra, of the first weights, and of the noise of the latents
        seeds = np.random.SeedSequence(schedule.seed).generate_state(3)
        self.rng = np.random.default_rng(seeds[0])
        generator = torch.Generator().manual_seed(int(seeds[1]))
        self.noise = torch.Generator(device).manual_seed(int(seeds[2]))
        variance = np.where(pool.is_equal, 0.0, pool.scale**2)
        variance = variance / (variance.mean() or 1.0)
        self.importance = torch.from_numpy(variance.astype(np.float32)).to(device)
        root = np.sqrt(variance)
        root[root == 0] = 1.0
        covariance = pool.covariance() * np.outer(root, root)
        coordinates = Coordinates.of(covariance, root)
        self.coordinates = coordinates.to(device)
        begin = None
        if schedule.start == "pca":
            begin = coordinates.start(
                principal_start(
                    covariance,
                    root,
                    layout.components,
                    variational=layout.variational,
                )
            )
        self.trained = initial_weights(layout, begin, generator, device)
        # steps jitter about a place that their average is near to
        self.average, self.steps = self.copied(self.trained), 0
        held = pool.held if len(pool.held) else pool.train[:4096]
        self.held = torch.from_numpy(held).to(device)
        self.held_noise = torch.randn(
            (len(held), layout.components),
            generator=self.noise,
            device=device,
            dtype=torch.float32,
        )
        self.has_holes = pool.has_holes

    def run(self, report: Callable[[int, float, float], None]) -> Trained:
        torch, how = self.torch, self.how
        rate = how.learning_rate
        best, kept = self.held_out(), self.copied(self.average)
        mark, still, reductions = best, 0, 0
        losses, held = [math.nan], [best]
        optimiser = torch.optim.Adam(list(self.trained.values()), lr=rate)
        least = self.layout.bands / 2 * _GAIN
        for epoch in range(1, how.epochs + 1):
            losses.append(self.epoch(optimiser, epoch))
            held.append(self.held_out())
            report(epoch, losses[-1], held[-1])
            # losses may rise while the weight does: patience begins after that
            rising = self.layout.variational and epoch < how.warm_up
            is_finite = math.isfinite(held[-1])
            if (rising and is_finite) or held[-1] < mark - least:
                mark, still = held[-1], 0
            else:
                still += 1
            if held[-1] < best:
                best, kept = held[-1], self.copied(self.average)
            if is_finite and still < _PATIENCE:
                self.pool.refresh(self.rng)
                continue
            reductions += 1
            if reductions > _REDUCTIONS:
                break
            # smaller steps, from the best place so far
            rate, still = rate * _SMALLER, 0
            with torch.no_grad():
                for name, value in kept.items():
                    self.trained[name].copy_(value)
                    self.average[name].copy_(value)
            optimiser = torch.optim.Adam(list(self.trained.values()), lr=rate)
        network = self.coordinates.network(kept, self.layout)
        arrays = {name: value.cpu().numpy() for name, value in network.items()}
        return Trained(arrays, np.array(losses), np.array(held))

    def epoch(self, optimiser: Any, number: int) -> float:
        """Mean loss over the steps of an epoch."""
        torch, size = self.torch, min(self.how.batch_size, len(self.pool.train))
        beta = self.how.beta * min(1.0, number / max(1, self.how.warm_up))
        total = torch.zeros((), device=self.how.device)
        steps = 0
        for places in self.batches(size):
            x = torch.from_numpy(self.pool.train[places]).to(self.how.device)
            optimiser.zero_grad(set_to_none=True)
            loss = self.loss(self.trained, x, beta, None)
            loss.backward()
            optimiser.step()
            self.follow()
            total += loss.detach()
            steps += 1
        return float(total) / steps

    def follow(self) -> None:
        """Move the average on by a step; a short one at first, from a far start."""
        self.steps += 1
        memory = min(_MEMORY, self.steps / (self.steps + 10))
        with self.torch.no_grad():
            for name, value in self.average.items():
                value.lerp_(self.trained[name], 1 - memory)

    def batches(self, size: int) -> list[npt.NDArray[np.intp]]:
        """Places in the pool: shuffled, all alike often, in batches of one size."""
        many = len(self.pool.train)
        least, most = _EPOCH
        rounds = min(max(1, least // many), _ROUNDS)
        order = np.concatenate([self.rng.permutation(many) for _ in range(rounds)])
        order = order[: max(most, size)]
        stop = len(order) - len(order) % size
        return np.split(order[:stop], stop // size)

    def loss(self, trained: Weights, x: Any, beta: float, noise: Any) -> Any:
        """Loss of a batch, NaN where bands are missing; noise drawn if None."""
        torch, layout = self.torch, self.layout
        weights = self.coordinates.network(trained, layout)
        valid = None
        if self.has_holes:
            valid = torch.isfinite(x)
            x = torch.where(valid, x, 0.0)
            with torch.no_grad():
                for _ in range(FILLINGS):
                    mean, _ = encode(weights, x, layout)
                    x = torch.where(valid, x, decode(weights, mean, layout))
        mean, spread = encode(weights, x, layout)
        scores, divergence = mean, 0.0
        if layout.variational:
            if noise is None:
                noise = torch.randn(
                    mean.shape,
                    generator=self.noise,
                    device=mean.device,
                    dtype=mean.dtype,
                )
            scores = mean + torch.exp(spread / 2) * noise
            divergence = (mean**2 + spread.exp() - 1 - spread).sum(1).mean() / 2
        squares = (decode(weights, scores, layout) - x) ** 2 * self.importance
        if valid is None:
            error, bands = squares.mean(), layout.bands
        else:
            error = torch.where(valid, squares, 0.0).sum() / valid.sum()
            bands = valid.sum() / len(x)
        return bands / 2 * torch.log(error + _LEAST) + beta * divergence

    def held_out(self) -> float:
        """Loss of the held-out spectra, with `beta` whole and always the same noise."""
        with self.torch.no_grad():
            return float(
                self.loss(self.average, self.held, self.how.beta, self.held_noise)
            )

    def copied(self, weights: Weights) -> Weights:
        return {name: value.detach().clone() for name, value in weights.items()}
