"""Poisson pseudo-maximum likelihood with unit and month effects and a population offset.

E[y_it] = population_it · exp(α_i + γ_t + x_it'β). Consistent for β whenever this mean is right, whatever the
variance (Wooldridge 1999; Santos Silva & Tenreyro 2006). Fitted by iteratively reweighted least squares in which
the effects are projected out exactly at every step, so that a fit takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.models.absorbed import Absorbed, NotIdentified, Nuisance, two_way
from analysis.models.regression import Fit

TOLERANCE = 1e-10
MAX_ITERATIONS = 50
MARGIN_TOLERANCE = 1e-13
MAX_MARGIN_ROUNDS = 5000
TINY, VANISHING = 1e-300, 1e-7


@dataclass(frozen=True)
class Poisson:
    """``counts`` and ``population`` (n × T, NaN where missing) and the effects they are fitted with."""

    counts: np.ndarray
    population: np.ndarray
    nuisance: Nuisance

    @property
    def shape(self) -> tuple[int, int]:
        return self.counts.shape[0], self.counts.shape[1]

    @property
    def observed(self) -> np.ndarray:
        return np.isfinite(self.counts) & np.isfinite(self.population)

    def fit(self, regressors: np.ndarray, start: np.ndarray | None = None) -> Fit:
        return fit_poisson(self.counts, self.population, regressors, self.nuisance, start)

    def less(self, effect: np.ndarray) -> Poisson:
        return replace(self, counts=self.counts * np.exp(-effect))

    def units(self, kept: np.ndarray) -> Poisson:
        return Poisson(self.counts[kept], self.population[kept], self.nuisance.rows(kept))


def fit_poisson(
    counts: np.ndarray,
    population: np.ndarray,
    regressors: np.ndarray,
    nuisance: Nuisance | None = None,
    start: np.ndarray | None = None,
) -> Fit:
    """Fit counts (n × T, NaN where missing) on ``regressors`` (k × n × T) with offset log(population).

    ``k`` may be 0. Every unit and every month must have an observed positive count. Without ``nuisance`` the effects are
    one for each unit and one for each month. ``start`` is a linear predictor (n × T) near the solution.

    Raises
    ------
    NotIdentified
        A unit or month has no observed count, a regressor is collinear with the effects, or the iterations
        do not settle.
    """
    nuisance = nuisance or two_way(*counts.shape)
    observed = np.isfinite(counts) & np.isfinite(population)
    y = np.where(observed, counts, 0.0)
    if (y.sum(axis=1) <= 0).any() or (y.sum(axis=0) <= 0).any():
        raise NotIdentified("a unit or a month has no observed count above zero")
    exposure = np.where(observed, population, 0.0)
    simple = nuisance.within.shape[1] == nuisance.across.shape[1] == 1
    alone = simple and not len(regressors)
    linear = _margins(y, exposure) if start is None or alone else start
    coefficients = np.zeros(len(regressors))
    if not alone:
        linear, coefficients = _reweighted(y, exposure, regressors, nuisance, linear)
    mean = exposure * np.exp(linear)
    effects = Absorbed(mean, nuisance)
    residual_x = effects.residual(regressors)
    information = np.einsum("jnt,nt,knt->jk", residual_x, mean, residual_x)
    return Fit(coefficients, np.linalg.inv(information), residual_x, y - mean, linear, effects)


def _reweighted(
    y: np.ndarray, exposure: np.ndarray, regressors: np.ndarray, nuisance: Nuisance, linear: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Iteratively reweighted least squares: the linear predictor (n × T, log rate per head) and the coefficients (k)."""
    mean = exposure * np.exp(linear)
    deviance = _deviance(y, mean)
    for _ in range(MAX_ITERATIONS):
        effects = Absorbed(mean, nuisance)
        residual_x = effects.residual(regressors)
        information = np.einsum("jnt,nt,knt->jk", residual_x, mean, residual_x)
        size = np.sqrt(np.einsum("jnt,nt->j", regressors**2, mean))  # of each regressor with the effects still in it
        identified = np.linalg.eigvalsh(information / np.maximum(np.outer(size, size), TINY))
        if len(regressors) and not identified[0] > TOLERANCE:
            raise NotIdentified("the regressors are collinear with the unit and month effects")
        working = np.where(exposure > 0, linear + (y - mean) / np.where(mean > 0, mean, 1.0), 0.0)
        coefficients = np.linalg.solve(information, np.einsum("jnt,nt,nt->j", residual_x, mean, working))
        treated = np.einsum("j,jnt->nt", coefficients, regressors)
        linear = effects.fitted(*effects.effects(working - treated)) + treated
        mean = exposure * np.exp(linear)
        previous, deviance = deviance, _deviance(y, mean)
        if abs(previous - deviance) <= TOLERANCE * (abs(deviance) + 1):
            break
    else:
        raise NotIdentified(f"the fit did not settle in {MAX_ITERATIONS} iterations")
    if (mean[(exposure > 0) & _informed(y, nuisance)] < VANISHING).any():
        raise NotIdentified("a regressor's cells count nothing, so that its effect has no bound")
    return linear, coefficients


def _informed(y: np.ndarray, nuisance: Nuisance) -> np.ndarray:
    """Cells (n × T) whose own effects see a count above zero; the others fit a rate of zero, rightly."""
    seen = (y > 0).astype(float) @ np.abs(nuisance.within)
    return seen @ np.abs(nuisance.within).T > 0


def _margins(y: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Linear predictor of unit and month effects alone: each in turn makes its margins right, which is maximum likelihood."""
    by_unit, by_month = y.sum(axis=1), y.sum(axis=0)
    month = np.ones(y.shape[1])
    for _ in range(MAX_MARGIN_ROUNDS):
        unit = by_unit / (exposure @ month)
        previous, month = month, by_month / (unit @ exposure)
        if np.abs(month / previous - 1).max() <= MARGIN_TOLERANCE:
            return np.asarray(np.log(unit)[:, None] + np.log(month))
    raise NotIdentified(f"the unit and month effects did not settle in {MAX_MARGIN_ROUNDS} rounds")


def _deviance(y: np.ndarray, mean: np.ndarray) -> float:
    positive = (y > 0) & (mean > 0)
    return float(2 * (np.sum(y[positive] * np.log(y[positive] / mean[positive])) - np.sum(y - mean)))
