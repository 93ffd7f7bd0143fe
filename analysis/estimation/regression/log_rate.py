"""Least squares of log rates per head on unit and month effects: the estimator that the wild bootstrap was made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.estimation.regression.absorbed import Absorbed, NotIdentified, Nuisance
from analysis.estimation.regression.regression import Fit, Working, working_nulls

COLLINEAR = 1e-10
TINY = 1e-300


@dataclass(frozen=True)
class LogRate:
    """``values`` (n × T): logs of the counts per head, NaN where missing; ``weight`` (n) of each unit."""

    values: np.ndarray
    nuisance: Nuisance
    weight: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    @property
    def observed(self) -> np.ndarray:
        return np.isfinite(self.values)

    def fit(self, regressors: np.ndarray, start: np.ndarray | None = None) -> Fit:
        return _least_squares(self.values, regressors, self.effects)

    @cached_property
    def effects(self) -> Absorbed:
        """The projection off the effects, which depends on the weights alone.

        Raises
        ------
        NotIdentified
            A unit or month is never observed, or the data cannot separate unit from month effects.
        """
        observed = self.observed
        if not (observed.any(axis=1).all() and observed.any(axis=0).all()):
            raise NotIdentified("a unit or a month has no observed count above zero")
        return Absorbed(observed * self.weight[:, None], self.nuisance)

    def less(self, effect: np.ndarray) -> LogRate:
        less = replace(self, values=self.values - effect)
        less.__dict__["effects"] = self.effects  # they depend on the weights alone
        return less

    def units(self, kept: np.ndarray) -> LogRate:
        return LogRate(self.values[kept], self.nuisance.rows(kept), self.weight[kept])

    def working_nulls(self, treatment: np.ndarray) -> Callable[[float], Working]:
        return working_nulls(self, treatment)


def log_rate(counts: np.ndarray, population: np.ndarray, nuisance: Nuisance, weight: np.ndarray) -> LogRate:
    """Logs of counts per head. A count of zero has no logarithm: its cell is left out."""
    positive = np.where(counts > 0, counts, np.nan)
    return LogRate(np.log(positive / population), nuisance, weight)


def _least_squares(values: np.ndarray, regressors: np.ndarray, effects: Absorbed) -> Fit:
    """Weighted least squares of ``values`` (n × T) on ``regressors`` (k × n × T) and the effects.

    Raises
    ------
    NotIdentified
        A regressor is collinear with the effects.
    """
    weights = effects.weights
    y = np.where(np.isfinite(values), values, 0.0)
    residual = effects.residual(np.concatenate([regressors, y[None]]))
    residual_x, left = residual[:-1], residual[-1]
    information = np.einsum("jnt,nt,knt->jk", residual_x, weights, residual_x)
    size = np.sqrt(np.einsum("jnt,nt->j", regressors**2, weights))
    identified = np.linalg.eigvalsh(information / np.maximum(np.outer(size, size), TINY))
    if len(regressors) and not identified[0] > COLLINEAR:
        raise NotIdentified("the regressors are collinear with the unit and month effects")
    coefficients = np.linalg.solve(information, np.einsum("jnt,nt,nt->j", residual_x, weights, y))
    linear = y - left + np.einsum("j,jnt->nt", coefficients, residual_x)
    fit = Fit(coefficients, regressors, weights, weights * (y - linear), linear, effects.nuisance)
    fit.__dict__.update(effects=effects, regressors=residual_x)
    return fit
