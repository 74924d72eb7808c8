"""Fitting in parts and merging, alike for every linear model."""

from __future__ import annotations

import abc
import os
from typing import TYPE_CHECKING, Any, Self

from cubekit.arguments import require_real
from cubekit.reduction.linear import LinearReduction
from cubekit.reduction.projection import Projection, projection_of
from cubekit.reduction.requirements import require_bands
from cubekit.reduction.samples import aligned
from cubekit.reduction.sources import each, opened
from cubekit.reduction.state import State, pack, unpack
from cubekit.reduction.statistics import Statistics, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import xarray as xr

    from cubekit.reduction.sources import Source

__all__ = ["Estimator"]


class Estimator(LinearReduction, abc.ABC):
    """Linear reduction that is found from statistics which add up over cubes."""

    _seen: Statistics | None = None

    def _fit_all(self, cubes: Source | Iterable[Source], **options: Any) -> Self:
        """Fit to cubes one after the other."""
        self._forget()
        for number, source in enumerate(each(cubes)):
            try:
                self._add(opened(source), **options)
            except Exception as error:
                self._forget()
                is_path = isinstance(source, str | os.PathLike)
                if is_path or source is not cubes:
                    which = f"{source!s:.200}" if is_path else f"cubes[{number}]"
                    error.add_note(f"{type(self).__name__}.fit: in {which}")
                raise
        if self._seen is None:
            raise ValueError(
                f"{type(self).__name__}.fit got no cube. There is nothing to fit. Give "
                "a DataArray, or a list of them."
            )
        self._solve()
        return self

    def merge(self, other: Self) -> Self:
        """Model of the cubes of two models.

        Parameters
        ----------
        other : model of the same class
            Fitted to the same bands, in the same units.

        Returns
        -------
        model
            What a fit of both cubes gives, with the parameters of this model.

        Raises
        ------
        TypeError
            If the other is no model of the same class.
        ValueError
            If bands, bad bands or units differ, or a model has no covariance.
        """
        kind = type(self).__name__
        if not isinstance(other, type(self)):
            raise TypeError(
                f"{kind}.merge: the other is a {type(other).__qualname__}. Only models "
                f"of one class can be joined. Give another {kind} that is fitted."
            )
        self._fitted("merge")
        other._fitted("merge")
        both = self._copy(self._options())
        both._seen = joined(self._statistics("merge"), other._statistics("merge"))
        both._history = self._history
        both._solve()
        return both

    def _packed(self) -> xr.Dataset:
        return pack(self._state, self._entries, self._options())

    @classmethod
    def _unpacked(cls, model: xr.Dataset) -> Self:
        state, options = unpack(model, cls._entries)
        loaded = cls._copy(options)
        loaded._set(state)
        return loaded

    @classmethod
    def _copy(cls, options: Mapping[str, Any]) -> Self:
        """Model with such parameters, not fitted."""
        given = dict(options)
        return cls(given.pop("n_components", None), **given)

    @abc.abstractmethod
    def __init__(self, n_components: int | None = None, **options: Any) -> None:
        """Take the parameters."""

    @abc.abstractmethod
    def _options(self) -> dict[str, Any]:
        """Parameters as plain values, for a file and for a copy."""

    @abc.abstractmethod
    def _add(self, cube: xr.DataArray) -> None:
        """Take the spectra of a cube into the statistics."""

    @abc.abstractmethod
    def _solve(self) -> None:
        """Find the components of the statistics so far."""

    @abc.abstractmethod
    def _project(self, state: State) -> None:
        """Set the matrices of the projection."""

    def _to_fit(self, cube: xr.DataArray) -> tuple[xr.DataArray, Projection]:
        """Cube as the statistics so far need it, and the template of all."""
        kind = type(self).__name__
        require_real(cube, kind)
        if self._seen is not None or self._projection is not None:
            template = self._statistics("partial_fit").template
            return aligned(cube, template, f"{kind}: fit"), template
        template = projection_of(cube, self.coord)
        require_bands(template, kind)
        return cube, template

    def _forget(self) -> None:
        self._projection, self._seen, self._published = None, None, {}

    def _take_in(self, found: Statistics, cube: xr.DataArray) -> None:
        self._seen = found if self._seen is None else joined(self._seen, found)
        self._history = str(cube.attrs.get("history", self._history))

    def _statistics(self, method: str) -> Statistics:
        if self._seen is None:
            raise ValueError(
                f"{type(self).__name__}.{method}: this model holds components, but no "
                "covariance. It was found in steps, or made from components alone. Fit "
                "one model to all cubes instead."
            )
        return self._seen

    def _set(self, state: State) -> None:
        """Set the fitted attributes and the projection."""
        if state.moments is not None:
            self._seen = Statistics(state.template, state.moments)
        self._project(state)
        self._publish(state)
