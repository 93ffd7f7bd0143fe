"""Studentised randomisation inference over sites for the Poisson difference-in-differences.

The treated sites are compared with placebo assignments of as many clusters (a site's units move together; a
control is its own cluster). Under the null that treatment multiplies the mean by exp(θ₀), counts × exp(−θ₀D) follow
the model without treatment: that model is fitted once, and the statistic of every assignment, the one-step
estimate over its CR1 standard error, is then linear algebra. Exact when clusters are exchangeable and the effect is
constant; studentising keeps it close when variances differ (MacKinnon & Webb 2020; Conley & Taber 2011).
Intervals invert the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csc_array

from analysis.models.poisson import NotIdentified, TwoWay, fit_poisson
from analysis.models.sample import Sample

ROUNDING = 1e-9
FIRST_REACH, LAST_REACH = 2.0, 5.0  # from the estimate, in standard errors and in log points: where an end is sought
ROUNDS, SETTLED = (
    4,
    0.003,
)  # looks at the critical value, and the share of the half-width by which an end may still move
COLUMNS_AT_ONCE = 500  # assignments whose arrays fit a processor's cache


@dataclass(frozen=True)
class Assignments:
    """Placebo assignments: ``clusters`` (draws × treated clusters), the actual one first; ``exact`` if all are listed."""

    clusters: np.ndarray
    exact: bool


@dataclass(frozen=True)
class RandomisationTest:
    """``statistics`` are those of every assignment under no effect, the actual one first."""

    p_value: float
    interval: tuple[float, float]
    statistics: np.ndarray
    exact: bool


def draw_assignments(cluster: np.ndarray, treated: np.ndarray, draws: int, seed: int) -> Assignments:
    """Assignments of as many clusters as were treated: all of them where they number ``draws`` or fewer, else random."""
    actual = np.unique(cluster[treated])
    total = int(cluster.max()) + 1
    if comb(total, len(actual)) - 1 <= draws:
        others = [c for c in combinations(range(total), len(actual)) if c != tuple(actual)]
        return Assignments(np.array([actual, *others]), exact=True)
    generator = np.random.default_rng(seed)
    order = generator.random((draws, total)).argpartition(len(actual), axis=1)[:, : len(actual)]
    return Assignments(np.vstack([actual, order]), exact=False)


def randomisation_test(
    sample: Sample, post: np.ndarray, assignments: Assignments, estimate: float, std_error: float, conf_level: float
) -> RandomisationTest:
    """Test of no effect, and the interval of effects (log rate) that the test does not reject.

    ``post`` (T booleans) are the months in which treatment acts; ``estimate`` and ``std_error`` only start the search for
    the interval. An end that no finite effect reaches is infinite.
    """
    everyone = assignment_matrix(assignments, sample.cluster)
    actual = everyone[:, [0]]
    under_null = statistics(sample, post, everyone, 0.0)
    as_extreme = np.abs(under_null[1:]) >= np.abs(under_null[0]) * (1 - ROUNDING)
    p_value = (int(as_extreme.sum()) + 1) / len(under_null)

    def critical(values: np.ndarray) -> float:
        """The largest |t| of the actual assignment that these placebo statistics do not reject."""
        placebo = np.sort(np.abs(values[1:]))[::-1]
        allowed = int(np.ceil((1 - conf_level) * len(values) - ROUNDING)) - 2  # p = 1 − level exactly is not rejected
        return float(placebo[allowed]) if allowed >= 0 else float("inf")

    def boundary(excess: Callable[[float], float], side: int) -> float:
        """Where ``excess`` turns positive going outwards from the estimate; infinite beyond LAST_REACH."""
        inner, reach = estimate, FIRST_REACH * std_error
        while reach <= LAST_REACH:
            outer = estimate + side * reach
            try:
                if excess(outer) > 0:
                    return float(brentq(excess, inner, outer, xtol=1e-5))
            except NotIdentified:
                break
            inner, reach = outer, 1.5 * reach
        return side * float("inf")

    def against(threshold: float) -> Callable[[float], float]:
        return lambda theta: abs(float(statistics(sample, post, actual, theta)[0])) - threshold

    def rejected(theta: float) -> float:
        values = statistics(sample, post, everyone, theta)
        return abs(float(values[0])) - critical(values)

    def end(side: int) -> float:
        """The critical value moves little with θ₀ where many sites are treated: it is taken anew at each end found until
        the end settles. Where it does not settle, every assignment is looked at for every θ₀.
        """
        threshold, previous = critical(under_null), float("nan")
        for _ in range(ROUNDS):
            found = boundary(against(threshold), side)
            if not np.isfinite(found):
                break
            if abs(found - previous) <= SETTLED * abs(found - estimate):
                return found
            previous, threshold = found, critical(statistics(sample, post, everyone, found))
        return boundary(rejected, side) if np.isfinite(critical(under_null)) else side * float("inf")

    ends = [end(side) for side in (-1, 1)]
    return RandomisationTest(p_value, (ends[0], ends[1]), under_null, assignments.exact)


def assignment_matrix(assignments: Assignments, cluster: np.ndarray) -> csc_array:
    """Units × assignments, 1 where the unit is treated."""
    draws, treated = assignments.clusters.shape
    chosen = csc_array(
        (np.ones(draws * treated), (assignments.clusters.ravel(), np.repeat(np.arange(draws), treated))),
        shape=(int(cluster.max()) + 1, draws),
    )
    members = csc_array(
        (np.ones(len(cluster)), (np.arange(len(cluster)), cluster)), shape=(len(cluster), chosen.shape[0])
    )
    return members @ chosen


def statistics(sample: Sample, post: np.ndarray, assigned: csc_array, theta: float) -> np.ndarray:
    """Studentised one-step estimates, one per column of ``assigned``, under a true log rate ratio ``theta``.

    For every assignment D̃ is the treatment indicator less its weighted unit and month effects. The estimate is
    Σ D̃e ÷ Σ WD̃², and its CR1 variance sums the squared cluster scores Σ D̃(e − W D̃ β).
    """
    untreated = sample.counts * np.exp(-theta * np.outer(sample.treated, post))
    null = fit_poisson(untreated, sample.population, np.empty((0, *sample.counts.shape)))
    residual = np.where(sample.observed, untreated, 0.0) - null.fitted
    members = csc_array((np.ones(len(sample.cluster)), (sample.cluster, np.arange(len(sample.cluster)))))
    pieces = range(0, assigned.shape[1], COLUMNS_AT_ONCE)
    effects = TwoWay(null.fitted)
    return np.concatenate(
        [_studentised(effects, residual, post, members, assigned[:, k : k + COLUMNS_AT_ONCE]) for k in pieces]
    )


def _studentised(
    effects: TwoWay, residual: np.ndarray, post: np.ndarray, members: csc_array, assigned: csc_array
) -> np.ndarray:
    weights_post = effects.weights * post
    exposure = weights_post.sum(axis=1)
    # Month effects of each single unit's indicator (T × n); those of an assignment are sums of these columns.
    month_basis = effects.schur_inverse @ (weights_post - exposure[:, None] * effects.shares).T

    month = _times(month_basis, assigned)

    def along(matrix: np.ndarray) -> np.ndarray:
        """matrix · month, by whichever order of the products is the shorter."""
        return _times(matrix @ month_basis, assigned) if assigned.shape[1] > len(exposure) else matrix @ month

    treated = assigned.toarray()
    smoothed = along(effects.shares)
    unit = treated * (exposure / effects.unit_total)[:, None] - smoothed
    overlap = treated * along(weights_post)
    exposed = treated * exposure[:, None]

    score = (residual * post).sum(axis=1)
    denominator = (exposed * (1 - unit) - overlap).sum(axis=0)
    estimate = (assigned.T @ score) / denominator
    spread = (
        exposed * (1 - 2 * unit)
        - 2 * overlap
        + effects.unit_total[:, None] * unit * (unit + 2 * smoothed)
        + effects.weights @ month**2
    )
    unit_scores = treated * score[:, None] - along(residual) - spread * estimate
    clusters = members.shape[0]
    meat = ((members @ unit_scores) ** 2).sum(axis=0)
    return estimate * denominator / np.sqrt(meat * clusters / (clusters - 1))


def _times(matrix: np.ndarray, assigned: csc_array) -> np.ndarray:
    return np.asarray((assigned.T @ matrix.T).T)
