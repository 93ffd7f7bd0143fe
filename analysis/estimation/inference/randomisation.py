"""Studentised randomisation inference over sites for a difference-in-differences.

The treated sites are compared with placebo assignments of as many clusters (a site's units move together; a
control is its own cluster). Under the null that the effect is θ₀, the outcome less θ₀D follows the model without
treatment (for Poisson: counts × exp(−θ₀D)): that model is fitted once, and the statistic of every assignment, the
one-step estimate over its CR1 standard error, is then linear algebra. Exact when clusters are exchangeable and the
effect is constant; studentising keeps it close when variances differ (MacKinnon & Webb 2020; Conley & Taber 2011).
Intervals invert the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from math import comb, perm

import numpy as np
from scipy.sparse import csc_array, csr_array, hstack

from analysis.estimation.inference.inversion import invert, p_value
from analysis.estimation.inference.placebo_sets import random_sets
from analysis.estimation.regression.regression import Comparison, Fit

LEAST_LEFT = 1e-9  # of Σ W D² when the effects are taken off: less is rounding, and there is no estimate
ASSIGNMENTS_AT_ONCE = 500  # whose arrays fit a processor's cache


@dataclass(frozen=True)
class Assignments:
    """Placebo assignments: ``clusters`` (draws × treated clusters), the actual one first; ``exact`` if all are listed.

    The clusters of a row are in random order (the actual one's in order of number), as doses that differ need.
    """

    clusters: np.ndarray
    exact: bool


@dataclass(frozen=True)
class RandomisationTest:
    """``statistics`` and one-step ``estimates`` are those of every assignment under no effect, the actual one first."""

    p_value: float
    interval: tuple[float, float]
    statistics: np.ndarray
    estimates: np.ndarray
    exact: bool


def draw_assignments(cluster: np.ndarray, dose: np.ndarray, draws: int, seed: int) -> Assignments:
    """Assignments of as many clusters as were treated: all of them where they number ``draws`` or fewer, else random.

    ``dose`` (n) is 0, or false, for controls. Where it differs between treated clusters, who gets which counts too.
    """
    actual = np.unique(cluster[dose != 0])
    total = int(cluster.max()) + 1
    doses = {float(dose[(cluster == number) & (dose != 0)].mean()) for number in actual}
    every, number = (combinations, comb) if len(doses) == 1 else (permutations, perm)
    if number(total, len(actual)) - 1 <= draws:
        others = [c for c in every(range(total), len(actual)) if c != tuple(actual)]
        return Assignments(np.array([actual, *others]), exact=True)
    return Assignments(np.vstack([actual, random_sets(total, len(actual), draws, seed)]), exact=False)


def randomisation_test(
    comparison: Comparison, assignments: Assignments, estimate: float, std_error: float, conf_level: float
) -> RandomisationTest:
    """Test of no effect, and the interval of effects (log rate) that the test does not reject.

    ``estimate`` and ``std_error`` only start the search for the interval. An end that no finite effect reaches is infinite.
    """
    everyone = assignment_matrix(assignments, comparison)
    none = comparison.null()
    studentised, estimates = one_step(comparison, everyone, none)
    interval = invert(
        everywhere=lambda theta: one_step(comparison, everyone, comparison.null(theta, none))[0],
        actual=comparison.statistic_along(),
        under_null=studentised, estimate=estimate, std_error=std_error, conf_level=conf_level,
    )  # fmt: skip
    return RandomisationTest(p_value(studentised), interval, studentised, estimates, assignments.exact)


def assignment_matrix(assignments: Assignments, comparison: Comparison) -> csc_array:
    """Units × assignments: the dose of each unit. The first column is the actual one.

    In a placebo assignment each chosen cluster gets the mean dose of one of the treated clusters, in all its units.
    """
    cluster, dose = comparison.cluster, comparison.dose
    draws, treated = assignments.clusters.shape
    doses = np.array([dose[(cluster == number) & (dose != 0)].mean() for number in assignments.clusters[0]])
    chosen = csc_array(
        (np.tile(doses, draws), (assignments.clusters.ravel(), np.repeat(np.arange(draws), treated))),
        shape=(comparison.clusters, draws),
    )
    members = csc_array((np.ones(len(cluster)), (np.arange(len(cluster)), cluster)))
    placebo = csc_array(members @ chosen)
    if (placebo[:, [0]].toarray()[:, 0] == dose).all():
        return placebo
    return csc_array(hstack([csc_array(dose[:, None]), placebo[:, 1:]]))


def statistics(comparison: Comparison, assigned: csc_array, theta: float = 0.0) -> np.ndarray:
    """Studentised one-step estimates, one per column of ``assigned``, under a true effect of ``theta`` log points."""
    return one_step(comparison, assigned, comparison.null(theta))[0]


def one_step(comparison: Comparison, assigned: csc_array, null: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Studentised one-step estimates from the fit without treatment, and the estimates, one per column of ``assigned``.

    For every assignment D̃ is the treatment less its weighted unit and month effects. The estimate is Σ D̃e ÷ Σ WD̃²,
    and its CR1 variance sums the squared cluster scores Σ D̃(e − W D̃ β).
    """
    basis = _Basis(null, comparison.post.astype(float), comparison.cluster)
    doses = assigned.T  # assignments × units, so that one assignment's numbers lie side by side
    pieces = range(0, doses.shape[0], ASSIGNMENTS_AT_ONCE)
    found = [basis.studentised(doses[k : k + ASSIGNMENTS_AT_ONCE]) for k in pieces]
    return np.concatenate([t for t, _ in found]), np.concatenate([beta for _, beta in found])


class _Basis:
    """The treatment of each single unit less its effects, from which that of any assignment is a sum.

    With Z the units' columns, C the months' and p the months of treatment, D̃ = D p − Z u − C m: for unit k's own
    indicator u and m are columns here, and sums over months of products with D̃ are matrices units × units. Terms with a
    unit's own dose are nothing where it is not treated: they are taken for the treated units of an assignment alone.
    """

    def __init__(self, null: Fit, post: np.ndarray, cluster: np.ndarray) -> None:
        effects = null.effects
        across = effects.nuisance.across
        units, months = effects.weights.shape
        weighted = effects.weights * post
        own = np.einsum("nat,t->na", effects.weighted_within, post)  # Σ W p Z
        unit = np.einsum("nab,nb->na", effects.block_inverse, own)
        seen = weighted - np.einsum("nat,na->nt", effects.shares, own)
        stacked = effects.schur_inverse @ np.einsum("nq,nt->qtn", across, seen).reshape(-1, units)
        month = stacked.reshape(-1, months, units)  # q × T × units assigned

        def along(cells: np.ndarray) -> np.ndarray:
            """Σ_t cells · C m: units × units assigned."""
            return np.asarray(sum((cells * across[:, [q]]) @ month[q] for q in range(across.shape[1])))

        smoothed = [along(effects.shares[:, a]) for a in range(effects.shares.shape[1])]
        shared = along(weighted) - sum(own[:, [a]] * part for a, part in enumerate(smoothed))
        self.size = weighted @ post  # Σ W D², the effects still in it
        self.alone = self.size - (unit * own).sum(axis=1)  # Σ W D̃² with no effects of months
        self.score = null.scores @ post
        # Units assigned × units (or months).
        self.shared, self.residual = np.ascontiguousarray(shared.T), np.ascontiguousarray(along(null.scores).T)
        self.smoothed = [np.ascontiguousarray(part.T) for part in smoothed]
        self.month = [np.ascontiguousarray(part.T) for part in month]
        q, a = range(across.shape[1]), range(len(self.smoothed))
        self.scaled = [(i, j, (effects.weights * (across[:, i] * across[:, j])[:, None]).T) for i in q for j in q]
        self.blocks = [(i, j, effects.block[:, i, j]) for i in a for j in a if effects.block[:, i, j].any()]
        members = [np.flatnonzero(cluster == site) for site in np.flatnonzero(np.bincount(cluster) > 1)]
        self.clusters, self.sites = int(cluster.max()) + 1, [list(each) for each in members]

    def studentised(self, doses: csr_array) -> tuple[np.ndarray, np.ndarray]:
        """The statistic and the estimate of each row of ``doses`` (assignments × units).

        Where the assigned units have too few observed cells for an estimate, that is NaN and the statistic infinite, so that the draw never speaks
        against the null.
        """
        row, unit, dose = np.repeat(np.arange(doses.shape[0]), np.diff(doses.indptr)), doses.indices, doses.data
        alone, shared = dose**2 * self.alone[unit], dose * (doses @ self.shared)[row, unit]
        denominator = np.bincount(row, alone - shared, doses.shape[0])
        no_estimate = denominator <= LEAST_LEFT * np.bincount(row, dose**2 * self.size[unit], doses.shape[0])
        estimate = (doses @ self.score) / np.where(no_estimate, np.nan, denominator)

        # Σ_t W D̃² of each unit
        month, smoothed = [doses @ part for part in self.month], [doses @ part for part in self.smoothed]
        spread = sum((month[q] * month[r]) @ weights for q, r, weights in self.scaled)
        for a, b, block in self.blocks:
            spread -= smoothed[a] * smoothed[b] * block
        spread[row, unit] += alone - 2 * shared

        scores = spread
        scores *= -estimate[:, None]
        scores -= doses @ self.residual
        scores[row, unit] += dose * self.score[unit]
        for first, *others in self.sites:  # the sum of a site's stands in the place of its first unit's
            scores[:, first] += scores[:, others].sum(axis=1)
            scores[:, others] = 0.0
        meat, clusters = np.einsum("du,du->d", scores, scores), self.clusters
        statistic = estimate * denominator / np.sqrt(meat * clusters / (clusters - 1))
        return np.where(no_estimate, np.inf, statistic), np.asarray(estimate)
