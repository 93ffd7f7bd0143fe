"""How far may parallel trends fail before an effect can no longer be told from none? Rambachan & Roth (2023).

The estimates of an event study are effects plus a difference in trends that would have been there anyhow. Two ways to bound it:

- relative magnitudes: after treatment it changes from one period to the next by at most M̄ times its largest change before;
- smoothness: its slope changes from one period to the next by at most M.

Each bound has a set of effects that are not rejected, and each kind a breakdown value: the bound up to which the set stays clear of zero.
Estimates count as normal with known covariance, in all the literature as here.

Everywhere ``estimates`` (n, log points) and ``covariance`` (n × n) are an event study's in order of time, the base period, the one just
before treatment, left out; the first ``before`` of them are from before treatment, and ``weights`` (n − before) define the target as
a sum of the others. ``NotIdentified`` is raised where these do not add up: nothing before or after treatment, numbers that
are not finite, weights that are all zero, a covariance that is singular.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.estimation.parallel_trends import relative_magnitudes as relative
from analysis.estimation.parallel_trends.smoothness import frontier, shortest_interval
from analysis.estimation.regression.absorbed import NotIdentified

SINGULAR = 1e-11  # smallest eigenvalue of a correlation matrix, as a share of the largest, that counts as above zero
LARGEST_RELATIVE = 20.0  # relative magnitudes from which a breakdown value is not sought further
RELATIVE_STEP = 0.125  # steps by which the relative magnitudes are tried
SMOOTHNESS_STEPS = 64  # tried up to the bound at which zero is in the interval whatever the estimates
HALVINGS = 20


def smoothness(
    estimates: np.ndarray,
    covariance: np.ndarray,
    before: int,
    weights: np.ndarray,
    bounds: Sequence[float],
    conf_level: float,
) -> np.ndarray:
    """Shortest intervals of fixed length (FLCI) for each bound M (log points a period, twice): (len(bounds), 2)."""
    _check(estimates, covariance, before, weights, bounds)
    line = frontier(covariance, before, weights)
    return np.array([shortest_interval(line, estimates, covariance, bound, conf_level) for bound in bounds])


def relative_magnitudes(
    estimates: np.ndarray,
    covariance: np.ndarray,
    before: int,
    weights: np.ndarray,
    bounds: Sequence[float],
    conf_level: float,
    hybrid: bool,
) -> np.ndarray:
    """Ends of the confidence sets for each bound M̄: (len(bounds), 2); conditional, or ``hybrid`` with a least favourable first test."""
    _check(estimates, covariance, before, weights, bounds)
    tested = (relative.moments(estimates, covariance, before, weights, bound, conf_level, hybrid) for bound in bounds)
    return np.array([relative.confidence_set(moments) for moments in tested])


def breakdown_smoothness(
    estimates: np.ndarray, covariance: np.ndarray, before: int, weights: np.ndarray, conf_level: float
) -> float:
    """The M up to which zero is outside of the interval at every bound; 0 where it is inside already at M = 0."""
    _check(estimates, covariance, before, weights)
    line = frontier(covariance, before, weights)

    def clear(bound: float) -> bool:
        low, high = shortest_interval(line, estimates, covariance, bound, conf_level)
        return low > 0 or high < 0

    # Half an interval is at least M times the least bias, so that from here on it holds zero.
    enough = float(np.abs(line.weights @ estimates).max() / line.bias[0])
    return _breakdown(clear, enough / SMOOTHNESS_STEPS, 2 * enough)


def breakdown_relative(
    estimates: np.ndarray, covariance: np.ndarray, before: int, weights: np.ndarray, conf_level: float, hybrid: bool
) -> float:
    """The M̄ up to which zero is outside of the confidence set at every bound tried; 0 where it is inside already at M̄ = 0.

    Infinite where it is still outside at 20.
    """
    _check(estimates, covariance, before, weights)

    def clear(bound: float) -> bool:
        return relative.clear_of_zero(
            relative.moments(estimates, covariance, before, weights, bound, conf_level, hybrid)
        )

    return _breakdown(clear, RELATIVE_STEP, LARGEST_RELATIVE)


def _breakdown(clear: Callable[[float], bool], step: float, largest: float) -> float:
    """Where ``clear`` first fails going up from 0 by ``step``; infinite where it still holds at ``largest``."""
    if not clear(0.0):
        return 0.0
    holds = 0.0
    while clear(holds + step):
        holds += step
        if holds >= largest:
            return float("inf")
    fails = holds + step
    for _ in range(HALVINGS):
        middle = (holds + fails) / 2
        holds, fails = (middle, fails) if clear(middle) else (holds, middle)
    return holds


def _check(
    estimates: np.ndarray, covariance: np.ndarray, before: int, weights: np.ndarray, bounds: Sequence[float] = ()
) -> None:
    """Raise ``NotIdentified``, saying why, where nothing can be said."""
    periods = len(estimates)
    if before < 1:
        raise NotIdentified("no period before treatment but the base: nothing shows how trends differed")
    if before >= periods:
        raise NotIdentified("the event study has no period after treatment")
    if covariance.shape != (periods, periods) or len(weights) != periods - before:
        raise NotIdentified(
            f"{periods} estimates, {before} of them before treatment, do not fit a covariance of shape"
            f" {covariance.shape} and {len(weights)} weights"
        )
    if not all(np.isfinite(values).all() for values in (estimates, covariance, weights, np.asarray(bounds, float))):
        raise NotIdentified("the estimates, the covariance, the weights or the bounds hold a number that is not finite")
    if not np.any(weights):
        raise NotIdentified("the weights of the target are all zero")
    if any(bound < 0 for bound in bounds):
        raise NotIdentified("a bound on the difference in trends is below zero")
    for name, part in (("before treatment", covariance[:before, :before]), ("of all periods", covariance)):
        if _singular(part):
            raise NotIdentified(f"the covariance of the event study's estimates {name} is singular")


def _singular(covariance: np.ndarray) -> bool:
    variances = np.diag(covariance)
    if not (variances > 0).all():
        return True
    roots = np.sqrt(variances)
    eigenvalues = np.linalg.eigvalsh(covariance / np.outer(roots, roots))
    return bool(eigenvalues[0] <= SINGULAR * eigenvalues[-1])
