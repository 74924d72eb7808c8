"""Autoencoder of spectra, with the contract of PCA where nothing is linear."""

from __future__ import annotations

import dataclasses
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from cubekit.arguments import require_integer, require_positive
from cubekit.reduction.autoencoder.backend import (
    require_torch,
    training_device,
    working_threads,
)
from cubekit.reduction.autoencoder.judging import judged, warn_if_poor
from cubekit.reduction.autoencoder.model_file import packed, unpacked
from cubekit.reduction.autoencoder.network import Layout
from cubekit.reduction.autoencoder.progress import reporting
from cubekit.reduction.autoencoder.requirements import (
    cubes_to_fit,
    require_beta,
    require_spectra,
    require_widths,
)
from cubekit.reduction.autoencoder.spectra import Blocks, Pool
from cubekit.reduction.autoencoder.trained import TrainedNetwork
from cubekit.reduction.autoencoder.training import Schedule, train
from cubekit.reduction.requirements import require_choice
from cubekit.reduction.state import Entry, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import xarray as xr

    from cubekit.reduction.autoencoder.coder import Coder

__all__ = ["Autoencoder"]

_HIDDEN = MappingProxyType({"dense": (64, 64), "conv1d": (16, 32)})


class Autoencoder(TrainedNetwork):
    r"""Reduction of spectra by a neural network: a curved surface in place of a plane.

    Parameters
    ----------
    n_components : int
        Number of latents.
    variational : bool, default True
        A distribution of the scores, normal and near to the standard one, in place of
        a point: a variational autoencoder [1]_.
    layers : {"dense", "conv1d"}
        Dense, or convolutions along the good bands, in their order.
    hidden : sequence of int, optional
        Widths of the layers of the encoder, or channels; those of the decoder are the
        same, reversed. (64, 64) if not given, (16, 32) for "conv1d"; none of them,
        ``()``, makes the model linear.
    beta : float, default 1
        Weight of the divergence from the standard normal distribution.
    coord : str, optional
        Coordinate of the bands; the spectral one if not given.
    missing : {"mask", "drop"}
        With "mask" missing bands take no part in the loss; the encoder sees what the
        model itself expects there. With "drop" spectra that miss a good band are left
        out of the fit, and their scores are NaN.
    seed : int, default 0
        Of weights, shuffling and noise. The same seed, cube and chunks give the same
        model; nothing global is seeded. Layers that are large enough for several
        threads, and GPUs, round in an order of their own: the same to rounding only.
    start : {"pca", "random"}
        Where training begins: at principal components, to which the network only adds,
        or anywhere.
    epochs : int, default 200
        At most; an epoch is about 100 000 spectra. Where the held-out spectra gain no
        more, steps become smaller, three times, and then training stops.
    warm_up : int, default 5
        Epochs until `beta` has its full weight; early stopping begins after that.
    batch_size : int, default 1024
        Spectra in a step.
    learning_rate : float, default 2e-3
        Of Adam [2]_; smaller by and by.
    device : str, optional
        Where to train, such as "cpu" or "cuda"; a GPU if there is one. All else is done
        on the CPU.

    Attributes
    ----------
    components_ : DataArray, dims (component, band)
        Jacobian at scores of zero: how each band answers to each latent there.
    mean_, scale_ : DataArray, dims (band,)
        With which spectra are standardised; NaN in bad bands.
    explained_variance_ratio_ : DataArray, dims (component,)
        Share of the variance of the held-out spectra that is lost if that score alone
        is zero. Components are sorted by it.
    activity_ : DataArray, dims (component,)
        Variance of the scores (the posterior means) over the held-out spectra [3]_.
    divergence_ : DataArray, dims (component,)
        With ``variational=True``: mean divergence from the standard normal, in nats.
    n_active_ : int
        Latents that carry something: with more than 0.01 of activity [3]_.
    loss_, held_out_loss_ : DataArray, dims (iteration,)
        By epoch, the first before training; in nats for a spectrum, up to a constant:
        for spectra of `n` bands ``n / 200`` is one per cent of the squared error. The
        held-out one is that of the weights averaged over some hundred steps, always
        with the same noise and `beta` whole. Those of its least are kept.
    rmse_, pca_rmse_ : float
        Of the held-out spectra that are whole, and what as many principal components
        leave there.
    n_components_ : int
        Latents, as asked for.
    n_samples_, n_dropped_ : int
        Spectra in the fit (a tenth of them, 32768 at most, held out), and those left
        out.

    Warns
    -----
    UserWarning
        If a latent carries nothing (posterior collapse), or if principal components
        would leave a held-out error that is smaller by more than 5 %.

    Notes
    -----
    Each pixel is a sample. Bands are standardised for the network, but errors count in
    units of the data, as in `PCA`: the squared error of a batch, `e`, has the loss
    :math:`\tfrac{n}{2} \log e + \beta\,\mathrm{KL}` for spectra of `n` bands, which is
    a normal likelihood at its best variance. A linear model that is not variational
    spans the principal components.

    Training sees spectra in their principal components, each in units of its standard
    deviation, so that small differences between bands are learnt as fast as what they
    have in common. The function stays the same; it only gets there sooner.

    Spectra are drawn from all chunks into a pool of 128 MiB or less, and shuffled
    there; after each epoch a part of the pool is replaced from the next chunk.

    **Missing values:** see `missing`. Scores are NaN where a spectrum has fewer bands
    than there are latents. Bad bands (coordinate ``good_band``) are left out: NaN in
    what comes back. **Chunks:** any; `fit` computes: all chunks once, and if the pool
    does not hold them all, one more each epoch. **Cost:** seconds to minutes.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M. (2014), Auto-encoding variational Bayes, Int.
       Conf. Learning Representations.
    .. [2] Kingma, D. P. and Ba, J. (2015), Adam: a method for stochastic optimization,
       Int. Conf. Learning Representations.
    .. [3] Burda, Y., Grosse, R. and Salakhutdinov, R. (2016), Importance weighted
       autoencoders, Int. Conf. Learning Representations.

    Examples
    --------
    >>> import cubekit as ck
    >>> cube = ck.datasets.alteration_scene((30, 40))
    >>> model = ck.Autoencoder(5, epochs=1).fit(cube)
    >>> model.transform(cube).dims
    ('y', 'x', 'component')
    """

    _entries = MappingProxyType(
        {
            "components": Entry(("component", "band"), "data"),
            "mean": Entry(("band",), "data"),
            "scale": Entry(("band",), "data"),
            "explained_variance_ratio": Entry(("component",)),
            "activity": Entry(("component",)),
            "divergence": Entry(("component",), is_optional=True),
            "loss": Entry(("iteration",)),
            "held_out_loss": Entry(("iteration",)),
            "rmse": Entry(),
            "pca_rmse": Entry(),
            "n_active": Entry(),
            "n_samples": Entry(),
            "n_dropped": Entry(),
        }
    )

    def __init__(
        self,
        n_components: int,
        *,
        variational: bool = True,
        layers: Literal["dense", "conv1d"] = "dense",
        hidden: Iterable[int] | None = None,
        beta: float = 1.0,
        coord: str | None = None,
        missing: Literal["mask", "drop"] = "mask",
        seed: int = 0,
        start: Literal["pca", "random"] = "pca",
        epochs: int = 200,
        warm_up: int = 5,
        batch_size: int = 1024,
        learning_rate: float = 2e-3,
        device: str | None = None,
    ) -> None:
        require_torch()
        require_integer("Autoencoder", "n_components", n_components, 1)
        require_choice("Autoencoder", "layers", layers, ("dense", "conv1d"))
        require_choice("Autoencoder", "missing", missing, ("mask", "drop"))
        require_choice("Autoencoder", "start", start, ("pca", "random"))
        sizes = require_widths(_HIDDEN[layers] if hidden is None else hidden)
        require_beta(beta)
        require_integer("Autoencoder", "seed", seed, 0)
        require_integer("Autoencoder", "epochs", epochs, 1)
        require_integer("Autoencoder", "warm_up", warm_up, 0)
        require_integer("Autoencoder", "batch_size", batch_size, 1)
        self.n_components: int = int(n_components)
        self.variational = bool(variational)
        self.layers = layers
        self.hidden = sizes
        self.beta = float(beta)
        self.coord = coord
        self.missing = missing
        self.seed = int(seed)
        self.start = start
        self.epochs = int(epochs)
        self.warm_up = int(warm_up)
        self.batch_size = int(batch_size)
        self.learning_rate = require_positive(
            "Autoencoder", "learning_rate", learning_rate
        )
        self.device = device

    def __repr__(self) -> str:
        """Return the parameters that are not the default."""
        usual = inspect.signature(type(self)).parameters
        given = [
            f"{name}={getattr(self, name)!r}"
            for name, parameter in list(usual.items())[1:]
            if getattr(self, name) != _default(parameter, self.layers)
        ]
        return f"Autoencoder({', '.join([str(self.n_components), *given])})"

    def fit(
        self,
        cube: xr.DataArray | Iterable[xr.DataArray],
        *,
        progress: bool | Callable[[int, float, float], None] | None = None,
    ) -> Self:
        """Train the network on the spectra of a cube, or of several as if one.

        Parameters
        ----------
        cube : DataArray, dims (..., band, ...), or iterable of them
            Real values; any chunks.
        progress : bool or callable, optional
            Show a bar with the losses; None shows it in a terminal. A callable gets the
            epoch, the loss and the held-out loss.

        Returns
        -------
        Autoencoder
            This model.

        Raises
        ------
        ValueError
            If there are fewer good bands or spectra than latents.
        CoordinateError
            If the coordinate is missing, ambiguous or not strictly monotonic.

        Warns
        -----
        UserWarning
            See the class.

        Notes
        -----
        **Missing values, chunks, cost:** see the class.
        """
        self._projection, self._published = None, {}
        device = training_device(self.device)
        cubes, template = cubes_to_fit(
            cube, self.coord, may_miss=self.missing == "mask"
        )
        layout = Layout(
            len(template.good),
            self.n_components,
            self.layers,
            self.hidden,
            self.variational,
        )
        pool = Pool(
            Blocks(cubes, template),
            self.seed,
            whole=self.missing == "drop",
            fewest=self.n_components - 1,
        )
        require_spectra(pool, template, self.n_components)
        schedule = Schedule(
            beta=self.beta,
            warm_up=self.warm_up,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
            start=self.start,
            device=device,
        )
        products = layout.products * self.batch_size
        with working_threads(products), reporting(progress, self.epochs) as report:
            trained = train(pool, layout, schedule, report)
            coder, found = judged(trained.weights, layout, pool, template)
        found |= {
            "loss": trained.loss,
            "held_out_loss": trained.held_out_loss,
            "n_samples": pool.samples,
            "n_dropped": pool.dropped,
        }
        self._history = str(cubes[-1].attrs.get("history", ""))
        self._set(State(template, found), coder)
        warn_if_poor(found)
        return self

    def _packed(self) -> xr.Dataset:
        return packed(self._state, self._entries, self._options(), self._coder)

    @classmethod
    def _unpacked(cls, model: xr.Dataset) -> Self:
        state, options, coder = unpacked(model, cls._entries)
        loaded = cls(options.pop("n_components"), **options)
        loaded._set(state, coder)
        return loaded

    def _set(self, state: State, coder: Coder) -> None:
        self._coder = coder
        template, found, _ = state
        self._projection = dataclasses.replace(
            template,
            mean=found["mean"][template.good],
            forward=found["components"][:, template.good],
        )
        self._publish(state)

    def _options(self) -> dict[str, Any]:
        """Parameters as plain values."""
        names = ("layers", "beta", "coord", "missing", "seed", "start", "epochs")
        more = ("warm_up", "batch_size", "learning_rate", "device")
        return {
            "n_components": self.n_components,
            "variational": int(self.variational),
            "hidden": " ".join(map(str, self.hidden)),
            **{name: getattr(self, name) for name in (*names, *more)},
        }


def _default(parameter: inspect.Parameter, layers: str) -> Any:
    """Value of a parameter that is not given."""
    return _HIDDEN[layers] if parameter.name == "hidden" else parameter.default
