"""Least squares of log rates per head on unit and month effects: the estimator that the wild bootstrap was made for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.models.absorbed import Absorbed, NotIdentified, Nuisance, two_way
from analysis.models.regression import Fit

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
        return fit_log_rate(self.values, regressors, self.nuisance, self.weight)

    def less(self, effect: np.ndarray) -> LogRate:
        return replace(self, values=self.values - effect)

    def units(self, kept: np.ndarray) -> LogRate:
        return LogRate(self.values[kept], self.nuisance.rows(kept), self.weight[kept])


def log_rate(counts: np.ndarray, population: np.ndarray, nuisance: Nuisance, weight: np.ndarray) -> LogRate:
    """Logs of counts per head. A count of zero has no logarithm: its cell is left out."""
    positive = np.where(counts > 0, counts, np.nan)
    return LogRate(np.log(positive / population), nuisance, weight)


def fit_log_rate(
    values: np.ndarray, regressors: np.ndarray, nuisance: Nuisance | None = None, weight: np.ndarray | None = None
) -> Fit:
    """Weighted least squares of ``values`` (n × T, NaN where missing) on ``regressors`` (k × n × T) and the effects.

    Raises
    ------
    NotIdentified
        A unit or month is never observed, or a regressor is collinear with the effects.
    """
    nuisance = nuisance or two_way(*values.shape)
    observed = np.isfinite(values)
    if not (observed.any(axis=1).all() and observed.any(axis=0).all()):
        raise NotIdentified("a unit or a month has no observed count above zero")
    weights = observed * (np.ones(len(values)) if weight is None else weight)[:, None]
    y = np.where(observed, values, 0.0)
    effects = Absorbed(weights, nuisance)
    residual_x = effects.residual(regressors)
    information = np.einsum("jnt,nt,knt->jk", residual_x, weights, residual_x)
    size = np.sqrt(np.einsum("jnt,nt->j", regressors**2, weights))
    identified = np.linalg.eigvalsh(information / np.maximum(np.outer(size, size), TINY))
    if len(regressors) and not identified[0] > COLLINEAR:
        raise NotIdentified("the regressors are collinear with the unit and month effects")
    coefficients = np.linalg.solve(information, np.einsum("jnt,nt,nt->j", residual_x, weights, y))
    treated = np.einsum("j,jnt->nt", coefficients, regressors)
    linear = effects.fitted(*effects.effects(y - treated)) + treated
    return Fit(coefficients, np.linalg.inv(information), residual_x, weights * (y - linear), linear, effects)
