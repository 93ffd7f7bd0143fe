"""Unit and month effects, projected out exactly: what every regression of the study has in common.

The effects are, for each unit, a coefficient on each column of ``within`` (a constant; or a calendar-month dummy; or a
constant and a trend) and, for each month, a coefficient on each column of ``across`` (a constant, and covariates of the
units). The units' part is solved block by block and the months' part by its Schur complement, so that nothing larger
than months × covariates is ever inverted (Frisch & Waugh 1933; Lovell 1963).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import orth

from analysis.core.errors import EvaluationError

LEAST_NOISE = 1e-9  # log points: a spread below it is rounding, by which nothing can be judged
SINGULAR = 1e11  # condition number from which the months' effects are taken for not identified
CONFOUNDED = "the unit and month effects cannot be told apart"


class NotIdentified(EvaluationError):
    """The data cannot tell the regressors from the unit and month effects, or the fit does not settle."""


@contextmanager
def not_identified_where_singular() -> Iterator[None]:
    """A system of equations without one solution is a property of the data: it is refused like any other, where it is recorded.

    Raises
    ------
    NotIdentified
        In the place of numpy's error.
    """
    try:
        yield
    except np.linalg.LinAlgError as problem:
        raise NotIdentified(f"the data do not determine the terms of the model ({problem})") from problem


@dataclass(frozen=True)
class Nuisance:
    """``within`` (T × a) has a coefficient for each unit, ``across`` (n × q) one for each month."""

    within: np.ndarray
    across: np.ndarray

    def rows(self, kept: np.ndarray) -> Nuisance:
        return Nuisance(self.within, self.across[kept])

    @property
    def is_two_way(self) -> bool:
        """One effect for each unit and one for each month, of a constant each."""
        return self.within.shape[1] == self.across.shape[1] == 1

    @cached_property
    def in_common(self) -> np.ndarray:
        """What a unit's columns can mimic with the months', as a projection (qT × qT)."""
        mimicked = np.kron(np.eye(self.across.shape[1]), orth(self.within))
        return np.asarray(mimicked @ mimicked.T)


def two_way(units: int, months: int) -> Nuisance:
    """One effect for each unit and one for each month."""
    return Nuisance(np.ones((months, 1)), np.ones((units, 1)))


class Absorbed:
    """Weighted projection off the effects, for weights (n × T) that are 0 where a cell is missing."""

    def __init__(self, weights: np.ndarray, nuisance: Nuisance) -> None:
        _units, months = weights.shape
        within, across = nuisance.within, nuisance.across
        self.weights, self.nuisance = weights, nuisance
        self.weighted_within = weights[:, None, :] * within.T  # n × a × T
        self.block = self.weighted_within @ within  # n × a × a
        self.block_inverse = _inverses(self.block)
        self.shares = self.block_inverse @ self.weighted_within  # n × a × T: month effects seen from a unit
        q = across.shape[1]
        parts = np.empty((q, months, q, months))
        for j in range(q):
            for k in range(q):
                scale = across[:, j] * across[:, k]
                part = (self.weighted_within * scale[:, None, None]).reshape(-1, months)
                parts[j, :, k, :] = np.diag(scale @ weights) - part.T @ self.shares.reshape(-1, months)
        schur = parts.reshape(q * months, q * months)
        # What a unit's columns can mimic with the months' maps to zero. Adding those directions makes the matrix regular
        # and leaves the residuals as they are, for a tenth of a pseudo-inverse's time.
        regular = schur + np.trace(schur) / len(schur) * nuisance.in_common
        try:
            self.schur_inverse = np.linalg.inv(regular)
        except np.linalg.LinAlgError as problem:
            raise NotIdentified(CONFOUNDED) from problem
        # A matrix that is singular but for rounding still has an inverse, of no meaning.
        if not np.linalg.norm(regular, 1) * np.linalg.norm(self.schur_inverse, 1) < SINGULAR:
            raise NotIdentified(CONFOUNDED)

    def effects(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit (…, n, a) and month (…, q, T) effects of ``values`` (…, n, T)."""
        across = self.nuisance.across
        weighted = self.weights * values
        by_unit = weighted @ self.nuisance.within
        seen = weighted - self._back(by_unit)
        by_month = across.T @ seen
        stacked = by_month.reshape(*by_month.shape[:-2], len(self.schur_inverse))
        month = (stacked @ self.schur_inverse).reshape(by_month.shape)
        across_month = across @ month
        unit = np.einsum("nab,...nb->...na", self.block_inverse, by_unit) - np.einsum("nat,...nt->...na", self.shares, across_month)
        return unit, month

    def fitted(self, unit: np.ndarray, month: np.ndarray) -> np.ndarray:
        """What the effects add up to (…, n, T)."""
        return unit @ self.nuisance.within.T + self.nuisance.across @ month

    def residual(self, values: np.ndarray) -> np.ndarray:
        return values - self.fitted(*self.effects(values))

    def _back(self, by_unit: np.ndarray) -> np.ndarray:
        """Weighted fit of the units' own part, from its normal equations' right-hand side (…, n, a)."""
        return np.asarray(np.einsum("...na,nat->...nt", by_unit, self.shares))


def _inverses(blocks: np.ndarray) -> np.ndarray:
    """Inverses of symmetric blocks (n × a × a); a column that a unit never observes gets no coefficient."""
    diagonal = np.einsum("naa->na", blocks)
    if np.count_nonzero(blocks) > np.count_nonzero(diagonal):
        return np.asarray(np.linalg.pinv(blocks, hermitian=True))
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    return np.asarray(inverse[:, :, None] * np.eye(blocks.shape[-1]))
