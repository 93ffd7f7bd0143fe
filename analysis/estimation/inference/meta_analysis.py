"""Random-effects meta-analysis: effects that differ between places, each known with an error, pooled and shrunken.

Effect i is estimated as y_i with error s_i around its own truth, which varies between places with mean μ and standard
deviation τ. Conventions, and digits, are those of R's metafor (Viechtbauer 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from analysis.estimation.regression.absorbed import NotIdentified

SETTLED = 1e-13  # of the typical variance: how far τ² may still move
MAX_ITERATIONS = 10_000

Test = Literal["knapp_hartung", "adhoc", "z"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class RandomEffects:
    """A pooled mean with what varies around it; the k ``shrunken`` effects with their errors and intervals (k × 2).

    ``statistic`` is the mean over its error; ``q`` is Cochran's. ``i_squared`` and its interval are shares, 0 to 1.
    """

    mean: float
    std_error: float
    interval: Interval
    statistic: float
    p_value: float
    prediction: Interval
    tau_squared: float
    tau_squared_error: float
    tau_squared_interval: Interval
    i_squared: float
    i_squared_interval: Interval
    q: float
    q_p_value: float
    shrunken: np.ndarray
    shrunken_errors: np.ndarray
    shrunken_intervals: np.ndarray

    @property
    def tau(self) -> float:
        return float(np.sqrt(self.tau_squared))


def random_effects(
    effects: np.ndarray, std_errors: np.ndarray, conf_level: float, test: Test = "knapp_hartung"
) -> RandomEffects:
    """Pool ``effects`` (k) with errors ``std_errors`` (k), in the effects' own unit; τ² by restricted likelihood (REML).

    The mean's error and interval are Knapp and Hartung's (2003), t with k − 1 degrees of freedom; ``adhoc`` never lets that
    error fall below the classical one; ``z`` is the classical one with the normal distribution. The prediction interval,
    where the effect of one more place would lie, is metafor's: mean ± the same quantile × √(τ² + error²). Shrunken effects
    are the best linear predictions y_i·λ_i + mean·(1 − λ_i) with λ_i = τ² ÷ (τ² + s_i²) (Raudenbush & Bryk 1985). The
    interval of τ² inverts Q's distribution (Viechtbauer 2007); I² is τ² ÷ (τ² + the typical s²) (Higgins & Thompson 2002).
    One effect alone has neither spread nor, but for ``z``, an interval: NaN.

    Raises
    ------
    NotIdentified
        There is no effect, one is not finite or has an error that is not above zero, or τ² does not settle.
    """
    effects, variances = np.asarray(effects, float), np.asarray(std_errors, float) ** 2
    number = len(effects)
    if number == 0:
        raise NotIdentified("there is no effect to pool")
    if not (np.isfinite(effects) & np.isfinite(variances) & (variances > 0)).all():
        raise NotIdentified("an effect to pool is not finite, or its error is not above zero")
    degrees = number - 1
    tau_squared, error_of_tau_squared = _reml(effects, variances)
    mean, precision, spread = _pooled(effects, variances, tau_squared)
    std_error = precision**-0.5
    if test != "z":
        factor = np.sqrt(spread / degrees) if degrees else np.nan
        std_error *= np.maximum(1.0, factor) if test == "adhoc" else factor
    distribution = norm if test == "z" else t(max(degrees, 1))
    quantile = distribution.ppf(0.5 + conf_level / 2)

    def around(error: float) -> Interval:
        return float(mean - quantile * error), float(mean + quantile * error)

    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # effects that do not differ at all have a Knapp–Hartung error of 0
        statistic = float(np.float64(mean) / std_error)
    trust = tau_squared / (tau_squared + variances)
    shrunken = trust * effects + (1 - trust) * mean
    errors = np.sqrt(trust * variances + (1 - trust) ** 2 * std_error**2)
    q = _pooled(effects, variances, 0.0)[2]
    bounds = _q_profile(effects, variances, conf_level)
    typical = _typical(variances)
    return RandomEffects(
        mean=mean, std_error=float(std_error), interval=around(std_error), statistic=statistic,
        p_value=float(2 * distribution.sf(abs(statistic))),
        prediction=around(np.sqrt(tau_squared + std_error**2)),
        tau_squared=tau_squared, tau_squared_error=error_of_tau_squared, tau_squared_interval=bounds,
        i_squared=tau_squared / (tau_squared + typical),
        i_squared_interval=(bounds[0] / (bounds[0] + typical), bounds[1] / (bounds[1] + typical)),
        q=q, q_p_value=float(chi2.sf(q, degrees)) if degrees else 1.0,
        shrunken=shrunken, shrunken_errors=errors,
        shrunken_intervals=shrunken[:, None] + quantile * errors[:, None] * np.array([-1, 1]),
    )  # fmt: skip


def _pooled(effects: np.ndarray, variances: np.ndarray, tau_squared: float) -> tuple[float, float, float]:
    """The weighted mean under τ², its precision Σw, and the weighted sum of squares around it."""
    weights = 1 / (variances + tau_squared)
    mean = weights @ effects / weights.sum()
    return float(mean), float(weights.sum()), float(weights @ (effects - mean) ** 2)


def _reml(effects: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    """τ² by Fisher scoring of the restricted likelihood, not below zero, and its standard error.

    With P the weights' matrix less its projection on the mean, a step is (y'PPy − tr P) ÷ tr PP. Steps that turn back are
    halved from then on: undamped, they can go to and fro for ever.
    """
    if len(effects) == 1:
        return 0.0, np.nan
    tau_squared = max(0.0, float(effects.var(ddof=1) - variances.mean()))
    scale = _typical(variances)
    previous, damping = 0.0, 1.0
    for _ in range(MAX_ITERATIONS):
        weights = 1 / (variances + tau_squared)
        total, second, third = weights.sum(), (weights**2).sum(), (weights**3).sum()
        residual = weights * (effects - weights @ effects / total)
        trace, information = total - second / total, second - 2 * third / total + (second / total) ** 2
        step = max((residual @ residual - trace) / information, -tau_squared)
        if abs(step) <= SETTLED * (scale + tau_squared):
            return float(tau_squared + step), float(np.sqrt(2 / information))
        damping *= 0.5 if step * previous < 0 else 1.0
        previous, tau_squared = step, tau_squared + damping * step
    raise NotIdentified(f"the variance between places did not settle in {MAX_ITERATIONS:,} iterations")


def _q_profile(effects: np.ndarray, variances: np.ndarray, conf_level: float) -> Interval:
    """The τ² under which Q, of k − 1 degrees of freedom, lies inside its central range; zero where no τ² brings it so low."""
    degrees = len(effects) - 1
    if not degrees:
        return np.nan, np.nan

    def end(probability: float) -> float:
        wanted = chi2.ppf(probability, degrees)

        def excess(tau_squared: float) -> float:
            return _pooled(effects, variances, tau_squared)[2] - wanted

        if excess(0.0) <= 0:
            return 0.0
        # Under τ² every weight is at most 1 ÷ τ², and so Q is below Σ(y − ȳ)² ÷ τ².
        highest = float(((effects - effects.mean()) ** 2).sum() / wanted)
        return float(brentq(excess, 0.0, highest, xtol=SETTLED * highest, rtol=1e-14))

    tail = (1 - conf_level) / 2
    return end(1 - tail), end(tail)


def _typical(variances: np.ndarray) -> float:
    """The typical s² of Higgins and Thompson: (k − 1)Σw ÷ ((Σw)² − Σw²), w = 1 ÷ s²; s² itself where there is one."""
    weights = 1 / variances
    if len(weights) == 1:
        return float(variances[0])
    return float((len(weights) - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum()))
