"""Poisson pseudo-maximum likelihood with unit and month effects and a population offset.

E[y_it] = population_it · exp(α_i + γ_t + x_it'β). Consistent for β whenever this mean is right, whatever the
variance (Wooldridge 1999; Santos Silva & Tenreyro 2006). Fitted by iteratively reweighted least squares in which
the two sets of effects are projected out exactly at every step, so that a fit takes milliseconds. Without regressors
the effects are fitted by their margins alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.errors import EvaluationError

TOLERANCE = 1e-10
MAX_ITERATIONS = 50
MARGIN_TOLERANCE = 1e-13
MAX_MARGIN_ROUNDS = 5000
TINY, VANISHING = 1e-300, 1e-7


class NotIdentified(EvaluationError):
    """The data cannot tell the regressors from the unit and month effects, or the fit does not settle."""


@dataclass(frozen=True)
class PoissonFit:
    """``coefficients`` (k); ``bread`` (k × k), inverse information; ``unit_scores`` (n × k); ``fitted`` (n × T), 0 where unobserved.

    ``log_unit`` (n) and ``log_month`` (T) are the effects, α and γ.
    """

    coefficients: np.ndarray
    bread: np.ndarray
    unit_scores: np.ndarray
    fitted: np.ndarray
    log_unit: np.ndarray
    log_month: np.ndarray


class TwoWay:
    """Weighted projection off unit and month effects, for weights (n × T) that are 0 where a cell is missing."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights
        self.unit_total = weights.sum(axis=1)
        self.shares = weights / self.unit_total[:, None]
        schur = np.diag(weights.sum(axis=0)) - weights.T @ self.shares
        # The effects are fixed up to a constant, so the matrix maps a constant to zero. Adding that direction makes it
        # regular and leaves the residuals as they are, for a tenth of a pseudo-inverse's time.
        try:
            self.schur_inverse = np.linalg.inv(schur + np.trace(schur) / schur.size)
        except np.linalg.LinAlgError as problem:
            raise NotIdentified("the unit and month effects cannot be told apart") from problem

    def effects(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit (…, n) and month (…, T) effects of ``values`` (…, n, T)."""
        weighted = self.weights * values
        by_unit = weighted.sum(axis=-1)
        month = (weighted.sum(axis=-2) - by_unit @ self.shares) @ self.schur_inverse
        return by_unit / self.unit_total - month @ self.shares.T, month

    def residual(self, values: np.ndarray) -> np.ndarray:
        unit, month = self.effects(values)
        return values - unit[..., :, None] - month[..., None, :]


def fit_poisson(counts: np.ndarray, population: np.ndarray, regressors: np.ndarray) -> PoissonFit:
    """Fit counts (n × T, NaN where missing) on ``regressors`` (k × n × T) with offset log(population).

    ``k`` may be 0. Every unit and every month must have an observed positive count.

    Raises
    ------
    NotIdentified
        A unit or month has no observed count, a regressor is collinear with the effects, or the iterations
        do not settle.
    """
    observed = np.isfinite(counts) & np.isfinite(population)
    y = np.where(observed, counts, 0.0)
    if (y.sum(axis=1) <= 0).any() or (y.sum(axis=0) <= 0).any():
        raise NotIdentified("a unit or a month has no observed count above zero")
    exposure = np.where(observed, population, 0.0)
    log_unit, log_month = _fit_effects(y, exposure)
    coefficients = np.zeros(len(regressors))
    if len(regressors):
        coefficients, log_unit, log_month = _fit_regressors(y, exposure, regressors, log_unit, log_month)
    mean = _mean(exposure, log_unit, log_month, coefficients, regressors)
    residual_x = TwoWay(mean).residual(regressors)
    information = np.einsum("jnt,nt,knt->jk", residual_x, mean, residual_x)
    return PoissonFit(
        coefficients=coefficients,
        bread=np.linalg.inv(information),
        unit_scores=np.einsum("jnt,nt->nj", residual_x, y - mean),
        fitted=mean,
        log_unit=log_unit,
        log_month=log_month,
    )


def _fit_regressors(
    y: np.ndarray, exposure: np.ndarray, regressors: np.ndarray, log_unit: np.ndarray, log_month: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Iteratively reweighted least squares from the effects alone: coefficients, unit and month effects."""
    coefficients = np.zeros(len(regressors))
    mean = _mean(exposure, log_unit, log_month, coefficients, regressors)
    deviance = _deviance(y, mean)
    for _ in range(MAX_ITERATIONS):
        effects = TwoWay(mean)
        residual_x = effects.residual(regressors)
        information = np.einsum("jnt,nt,knt->jk", residual_x, mean, residual_x)
        size = np.sqrt(np.einsum("jnt,nt->j", regressors**2, mean))  # of each regressor with the effects still in it
        if not np.linalg.eigvalsh(information / np.maximum(np.outer(size, size), TINY))[0] > TOLERANCE:
            raise NotIdentified("the regressors are collinear with the unit and month effects")
        linear = log_unit[:, None] + log_month + np.einsum("j,jnt->nt", coefficients, regressors)
        working = np.where(exposure > 0, linear + (y - mean) / np.where(mean > 0, mean, 1.0), 0.0)
        coefficients = np.linalg.solve(information, np.einsum("jnt,nt,nt->j", residual_x, mean, working))
        log_unit, log_month = effects.effects(working - np.einsum("j,jnt->nt", coefficients, regressors))
        mean = _mean(exposure, log_unit, log_month, coefficients, regressors)
        previous, deviance = deviance, _deviance(y, mean)
        if abs(previous - deviance) <= TOLERANCE * (abs(deviance) + 1):
            break
    else:
        raise NotIdentified(f"the fit did not settle in {MAX_ITERATIONS} iterations")
    if (mean[exposure > 0] < VANISHING).any():
        raise NotIdentified("a regressor's cells count nothing, so that its effect has no bound")
    return coefficients, log_unit, log_month


def _fit_effects(y: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit and month effects without regressors: each in turn makes its margins right, which is maximum likelihood."""
    by_unit, by_month = y.sum(axis=1), y.sum(axis=0)
    month = np.ones(y.shape[1])
    for _ in range(MAX_MARGIN_ROUNDS):
        unit = by_unit / (exposure @ month)
        previous, month = month, by_month / (unit @ exposure)
        if np.abs(month / previous - 1).max() <= MARGIN_TOLERANCE:
            return np.log(unit), np.log(month)
    raise NotIdentified(f"the unit and month effects did not settle in {MAX_MARGIN_ROUNDS} rounds")


def _mean(
    exposure: np.ndarray, log_unit: np.ndarray, log_month: np.ndarray, coefficients: np.ndarray, regressors: np.ndarray
) -> np.ndarray:
    """Expected counts, 0 where nothing was observed."""
    return exposure * np.exp(log_unit[:, None] + log_month + np.einsum("j,jnt->nt", coefficients, regressors))


def _deviance(y: np.ndarray, mean: np.ndarray) -> float:
    positive = (y > 0) & (mean > 0)
    return float(2 * (np.sum(y[positive] * np.log(y[positive] / mean[positive])) - np.sum(y - mean)))
