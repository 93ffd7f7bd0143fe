"""Poisson pseudo-maximum likelihood with unit and month effects and a population offset.

E[y_it] = population_it · exp(α_i + γ_t + x_it'β). Consistent for β whenever this mean is right, whatever the
variance (Wooldridge 1999; Santos Silva & Tenreyro 2006). Fitted by iteratively reweighted least squares in which
the effects are projected out exactly at every step, so that a fit takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from analysis.estimation.regression.absorbed import (
    Absorbed,
    NotIdentified,
    Nuisance,
    not_identified_where_singular,
    two_way,
)
from analysis.estimation.regression.regression import Fit, Working, working_nulls
from analysis.estimation.regression.sample import Sample

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
        counts, touched = self.counts.copy(), effect.any(axis=1)
        counts[touched] *= np.exp(-effect[touched])
        return replace(self, counts=counts)

    def units(self, kept: np.ndarray) -> Poisson:
        return Poisson(self.counts[kept], self.population[kept], self.nuisance.rows(kept))

    def working_nulls(self, treatment: np.ndarray) -> Callable[[float], Working]:
        return _two_way_nulls(self, treatment) if self.nuisance.is_two_way else working_nulls(self, treatment)


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
    if nuisance.is_two_way and not len(regressors):
        linear, mean = _margins(y, exposure)
        fit = Fit(np.empty(0), regressors, mean, y - mean, linear, nuisance)
        _ = fit.effects  # The margins settle even where the data cannot separate unit from month effects; the projection refuses that.
        return fit
    linear, coefficients = _reweighted(y, exposure, regressors, nuisance, _margins(y, exposure)[0] if start is None else start)
    mean = exposure * np.exp(linear)
    return Fit(coefficients, regressors, mean, y - mean, linear, nuisance)


def _two_way_nulls(model: Poisson, treatment: np.ndarray) -> Callable[[float], Working]:
    """One effect for each unit and one for each month: the margins give the fit, and only those of treated units and of months change.

    The caller has fitted the model without treatment, which refuses data that cannot separate unit from month effects.
    """
    treated, months = np.flatnonzero(treatment.any(axis=1)), treatment.shape[1]
    theirs = treatment[treated]
    counts, exposure = (np.where(model.observed, cells, 0.0) for cells in (model.counts, model.population))

    def at(theta: float) -> Working:
        y = counts.copy()
        y[treated] *= np.exp(-theta * theirs)
        _, weights = _margins(y, exposure)
        shares = weights / weights.sum(axis=1)[:, None]
        unit = (shares[treated] * theirs).sum(axis=1)  # the treatment's effects of units, were there none of months
        schur = -weights.T @ shares
        schur[np.diag_indices(months)] += weights.sum(axis=0)
        schur += np.trace(schur) / months**2  # as in ``Absorbed``: a constant in all months is the unit effects' own
        with not_identified_where_singular():
            month = np.linalg.solve(schur, (weights[treated] * (theirs - unit[:, None])).sum(axis=0))
        left = treatment + (shares @ month)[:, None] - month
        left[treated] -= unit[:, None]
        return Working(weights, y - weights, left)

    return at


def _reweighted(
    y: np.ndarray, exposure: np.ndarray, regressors: np.ndarray, nuisance: Nuisance, linear: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Iteratively reweighted least squares: the linear predictor (n × T, log rate per head) and the coefficients (k)."""
    mean = exposure * np.exp(linear)
    counted = y > 0
    log_rate = np.log(np.where(counted, y, 1.0)) - np.log(np.where(counted, exposure, 1.0))

    def deviance_at(linear: np.ndarray, mean: np.ndarray) -> float:
        return float(2 * (np.vdot(y, log_rate - linear) - (y - mean).sum()))

    deviance = deviance_at(linear, mean)
    for _ in range(MAX_ITERATIONS):
        effects = Absorbed(mean, nuisance)
        working = np.where(exposure > 0, linear + (y - mean) / np.where(mean > 0, mean, 1.0), 0.0)
        residual = effects.residual(np.concatenate([regressors, working[None]]))
        residual_x = residual[:-1]
        information = np.einsum("jnt,nt,knt->jk", residual_x, mean, residual_x)
        size = np.sqrt(np.einsum("jnt,nt->j", regressors**2, mean))  # of each regressor with the effects still in it
        identified = np.linalg.eigvalsh(information / np.maximum(np.outer(size, size), TINY))
        if len(regressors) and not identified[0] > TOLERANCE:
            raise NotIdentified("the regressors are collinear with the unit and month effects")
        coefficients = np.linalg.solve(information, np.einsum("jnt,nt,nt->j", residual_x, mean, working))
        linear = working - residual[-1] + np.einsum("j,jnt->nt", coefficients, residual_x)
        mean = exposure * np.exp(linear)
        previous, deviance = deviance, deviance_at(linear, mean)
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


def _margins(y: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear predictor and mean of unit and month effects alone: each in turn makes its margins right, which is maximum likelihood."""
    by_unit, by_month = y.sum(axis=1), y.sum(axis=0)
    month = np.ones(y.shape[1])
    for _ in range(MAX_MARGIN_ROUNDS):
        unit = by_unit / (exposure @ month)
        previous, month = month, by_month / (unit @ exposure)
        if np.abs(month / previous - 1).max() <= MARGIN_TOLERANCE:
            return np.log(unit)[:, None] + np.log(month), exposure * np.outer(unit, month)
    raise NotIdentified(f"the unit and month effects did not settle in {MAX_MARGIN_ROUNDS} rounds")


def fitted_without_treatment(sample: Sample) -> np.ndarray:
    """Expected admissions per head, units × months, from unit and month effects alone: what fills a masked month."""
    return np.exp(fit_poisson(sample.counts, sample.population, np.empty((0, *sample.counts.shape))).linear)
