"""Randomisation inference against brute force, by hand, and against refitting every assignment.

Tolerances. The statistics are 1e-9 of brute force: both are the same linear algebra in another order. The one-step
statistics only approximate those of full refits: a correlation above 0.999 and p-values within 0.01, since one Newton
step from the null is off by the square of the effect. The ends of an interval use a critical
value taken at a first guess of each end, so p is compared 2% of the half-width to either side on a panel like the real
one, 5% on a small one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from synthetic import comparison_of, dummies, every_assignment, make_sample, permuted, realistic_sample

from analysis.estimation.inference.clustered import cr1_covariance
from analysis.estimation.inference.randomisation import (
    Assignments,
    RandomisationTest,
    assignment_matrix,
    draw_assignments,
    randomisation_test,
    statistics,
)
from analysis.estimation.regression.poisson import fit_poisson
from analysis.estimation.regression.sample import Sample

SITES = [0, 0, 1, 2, 3, 4, 5, 6]  # the first cluster holds two units


def _brute_force(sample: Sample, post: np.ndarray, chosen: tuple[int, ...], theta: float) -> float:
    """One assignment's studentised one-step estimate, with every dummy written out."""
    counts = sample.counts * np.exp(-theta * np.outer(sample.treated, post))
    null = fit_poisson(counts, sample.population, np.empty((0, *counts.shape))).weights
    seen = sample.observed.ravel()
    weight, error = null.ravel()[seen], (counts - null).ravel()[seen]
    treatment = np.outer(np.isin(sample.cluster, chosen), post).astype(float).ravel()[seen]
    design, root = dummies(*counts.shape)[seen], np.sqrt(weight)
    effects = np.linalg.lstsq(design * root[:, None], treatment * root, rcond=None)[0]
    rest = treatment - design @ effects
    information = (weight * rest**2).sum()
    estimate = (rest * error).sum() / information
    scores = rest * (error - weight * rest * estimate)
    cluster = np.repeat(sample.cluster, counts.shape[1])[seen]
    total = int(sample.cluster.max()) + 1
    meat = sum(scores[cluster == g].sum() ** 2 for g in range(total))
    return float(estimate / np.sqrt(meat * total / (total - 1)) * information)


def _test(
    sample: Sample, post: np.ndarray, assignments: Assignments, conf_level: float = 0.95
) -> tuple[RandomisationTest, float]:
    """The test as the difference-in-differences runs it, and the estimate it starts from."""
    comparison = comparison_of(sample, post)
    fit = comparison.fit()
    std_error = float(cr1_covariance(fit.bread, fit.unit_scores, sample.cluster)[0, 0] ** 0.5)
    estimate = float(fit.coefficients[0])
    return randomisation_test(comparison, assignments, estimate, std_error, conf_level), estimate


def _statistics(sample: Sample, post: np.ndarray, assignments: Assignments, theta: float = 0.0) -> np.ndarray:
    comparison = comparison_of(sample, post)
    return statistics(comparison, assignment_matrix(assignments, comparison), theta)


def _p_value(values: np.ndarray) -> float:
    """Share of the assignments, the actual one included, whose |t| is at least the actual one's."""
    return float(np.mean(np.abs(values) >= abs(values[0]) * (1 - 1e-9)))


@pytest.mark.parametrize("theta", [0.0, 0.15])
@pytest.mark.parametrize(("treated", "missing"), [([0, 3], 0.0), ([0, 3], 0.2), ([1, 2, 4], 0.2)])
def test_statistics_are_brute_force(treated: list[int], missing: float, theta: float) -> None:
    """Every assignment's statistic, under no effect and under one, is that of weighted least squares on dummies."""
    sample, post = make_sample(SITES, treated, 10, seed=11, missing=missing, noise=0.1)
    assignments = draw_assignments(sample.cluster, sample.treated, 10_000, seed=1)
    assert assignments.exact
    found = _statistics(sample, post, assignments, theta)
    expected = [_brute_force(sample, post, tuple(chosen), theta) for chosen in assignments.clusters]
    assert np.abs(found - expected).max() < 1e-9


def test_every_assignment_is_listed_once_the_actual_one_first() -> None:
    """With few clusters the assignments are all subsets of that size, each once."""
    sample, _ = make_sample(SITES, [0, 3], 10, seed=11)
    listed = draw_assignments(sample.cluster, sample.treated, comb(7, 2) - 1, seed=1)
    assert listed.exact
    assert tuple(listed.clusters[0]) == (0, 3)
    assert sorted(tuple(sorted(row)) for row in listed.clusters) == every_assignment(7, 2)
    one_fewer = draw_assignments(sample.cluster, sample.treated, comb(7, 2) - 2, seed=1)
    assert not one_fewer.exact
    assert one_fewer.clusters.shape == (comb(7, 2) - 1, 2)


def test_random_assignments_are_uniform_over_the_clusters() -> None:
    """Each draw holds different clusters, and every cluster is drawn equally often (within 5 standard errors)."""
    drawn = draw_assignments(np.arange(40), np.arange(40) < 6, 20_000, seed=2).clusters[1:]
    assert all(len(set(row)) == 6 for row in drawn)
    times = np.bincount(drawn.ravel(), minlength=40)
    assert np.abs(times - 20_000 * 6 / 40).max() < 5 * np.sqrt(20_000 * 0.15 * 0.85)


def test_units_of_a_site_are_assigned_together() -> None:
    """The assignment matrix treats both units of the two-unit cluster or neither."""
    comparison = comparison_of(*make_sample(SITES, [0, 3], 10, seed=11))
    matrix = assignment_matrix(Assignments(np.array([[0, 3], [1, 2]]), exact=True), comparison).toarray()
    assert matrix.T.tolist() == [[1, 1, 0, 0, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("draws", [99, 10_000])
def test_p_value_by_hand(draws: int) -> None:
    """p = (1 + placebo statistics at least as large in size) ÷ (1 + placebo assignments), random or complete."""
    sample, post = make_sample([0, 0, *range(1, 12)], [0, 4, 7], 12, seed=6, missing=0.1, effect=-0.1, noise=0.1)
    assignments = draw_assignments(sample.cluster, sample.treated, draws, seed=3)
    test, _ = _test(sample, post, assignments)
    actual, placebo = abs(test.statistics[0]), np.abs(test.statistics[1:])
    assert test.exact == (draws > comb(12, 3))
    assert test.p_value == (1 + sum(value >= actual * (1 - 1e-9) for value in placebo)) / (1 + len(placebo))


def _few_treated(seed: int) -> tuple[Sample, np.ndarray]:
    return make_sample([0, 0, *range(1, 36)], [0, 1, 2, 3], 16, seed, missing=0.02, effect=-0.12, noise=0.08)


@pytest.mark.cases(quick=2)
@pytest.mark.parametrize("conf_level", [0.90, 0.95])
@pytest.mark.parametrize(
    ("make", "seed", "within"),
    [(realistic_sample, 0, 0.02), *((_few_treated, seed, 0.05) for seed in range(4))],
)
def test_interval_inverts_the_test(
    make: Callable[[int], tuple[Sample, np.ndarray]], seed: int, within: float, conf_level: float
) -> None:
    """Just inside each end the test does not reject that effect; just outside it does."""
    sample, post = make(seed)
    assignments = draw_assignments(sample.cluster, sample.treated, 999, seed=4)
    test, estimate = _test(sample, post, assignments, conf_level)
    low, high = test.interval
    step = within * (high - low) / 2
    assert low < estimate < high

    def rejects(theta: float) -> bool:
        return _p_value(_statistics(sample, post, assignments, theta)) <= 1 - conf_level + 1e-9

    assert [rejects(theta) for theta in (low - step, low + step, estimate, high - step, high + step)] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_too_few_assignments_give_no_end() -> None:
    """With ten assignments no effect can be rejected at 5%: the interval is the whole line."""
    sample, post = make_sample(list(range(10)), [0], 12, seed=6)
    test, _ = _test(sample, post, draw_assignments(sample.cluster, sample.treated, 999, 1))
    assert test.interval == (-float("inf"), float("inf"))


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize("seed", [0, 1, 6, 7])
def test_an_extreme_placebo_neither_breaks_nor_narrows_the_interval(seed: int) -> None:
    """One treated site, and a control with nine lost months unmasked: its placebo statistic is in the hundreds.

    At 95% and 36 assignments an effect is rejected only where the actual statistic is the largest of all, so that
    every effect inside the interval must have p > 5%, as far out as that may be.
    """
    sample, post = make_sample([0, 0, *range(1, 36)], [0], 60, seed, noise=0.005)
    lost = sample.counts.copy()
    lost[20, 21:30] *= 0.1
    sample = replace(sample, counts=lost)
    assignments = draw_assignments(sample.cluster, sample.treated, 49, 1)
    test, estimate = _test(sample, post, assignments)
    assert np.abs(test.statistics).max() > 150
    assert test.interval[0] < estimate < test.interval[1]
    for end in test.interval:
        if np.isfinite(end):
            ps = [
                _p_value(_statistics(sample, post, assignments, estimate + share * (end - estimate)))
                for share in (0.95, 1.05)
            ]
            assert ps[0] > 0.05 >= ps[1]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "effect"), [(21, 0.0), (22, -0.03), (23, 0.06)])
def test_one_step_statistics_stand_for_refits(seed: int, effect: float) -> None:
    """On a panel like the real one, 199 one-step statistics and p are those of fitting every assignment anew."""
    sample, post = realistic_sample(seed, effect=effect)
    assignments = draw_assignments(sample.cluster, sample.treated, 199, seed=5)
    one_step = _statistics(sample, post, assignments)
    refit = []
    for chosen in assignments.clusters:
        treatment = np.outer(np.isin(sample.cluster, chosen), post)[None].astype(float)
        fit = fit_poisson(sample.counts, sample.population, treatment)
        refit.append(fit.coefficients[0] / cr1_covariance(fit.bread, fit.unit_scores, sample.cluster)[0, 0] ** 0.5)
    assert np.corrcoef(one_step, refit)[0, 1] > 0.999
    assert abs(_p_value(one_step) - _p_value(np.array(refit))) <= 0.01


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    """Assignments depend on the seed alone."""
    cluster, treated = np.arange(60), np.arange(60) < 5
    drawn = [draw_assignments(cluster, treated, 500, seed).clusters for seed in (7, 7, 8)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


def test_the_order_of_units_does_not_matter() -> None:
    """With every assignment listed, p, interval and the set of statistics are the same in any order of units."""
    sample, post = make_sample([0, 0, *range(1, 20)], [0, 5], 12, seed=9, missing=0.05, effect=0.1, noise=0.1)
    tests = []
    for candidate in (sample, permuted(sample, np.random.default_rng(1).permutation(len(sample.units)))):
        assignments = draw_assignments(candidate.cluster, candidate.treated, 1000, seed=1)
        tests.append(_test(candidate, post, assignments)[0])
    assert tests[0].exact
    assert tests[0].p_value == tests[1].p_value
    assert tests[0].interval == pytest.approx(tests[1].interval, abs=1e-5)
    assert np.sort(tests[0].statistics) == pytest.approx(np.sort(tests[1].statistics), abs=1e-9)


@pytest.mark.slow
def test_the_test_holds_its_level_under_the_null() -> None:
    """Over 200 panels without effect and with exchangeable units, p ≤ 10% in 10% of them (within 3 standard errors)."""
    rejected = 0
    for seed in range(200):
        sample, post = make_sample(list(range(14)), [0, 1], 8, 1000 + seed, noise=0.1)
        assignments = draw_assignments(sample.cluster, sample.treated, 1000, seed=1)
        values = _statistics(sample, post, assignments)
        rejected += _p_value(values) <= 0.10
    assert abs(rejected / 200 - 0.10) < 3 * np.sqrt(0.1 * 0.9 / 200)


def test_a_large_effect_is_found_and_its_sign_kept() -> None:
    """An effect of −30% gives the smallest p there is, and an interval that holds it and lies below zero."""
    sample, post = realistic_sample(31, effect=np.log(0.7))
    test, _ = _test(sample, post, draw_assignments(sample.cluster, sample.treated, 199, 1))
    assert test.p_value == 1 / 200
    assert test.interval[0] < np.log(0.7) < test.interval[1] < 0
    assert test.statistics[0] < 0


def test_masked_values_never_enter() -> None:
    """What stands under a mask is not read: another population there changes nothing."""
    sample, post = make_sample(SITES, [0, 3], 10, seed=11, missing=0.2)
    masked = replace(sample, population=np.where(sample.observed, sample.population, 1e9))
    assignments = draw_assignments(sample.cluster, sample.treated, 1000, 1)
    tests = [_test(s, post, assignments)[0] for s in (sample, masked)]
    assert (tests[0].statistics == tests[1].statistics).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("after", [True, False])
def test_a_draw_without_an_estimate_never_speaks_against_the_null(after: bool) -> None:
    """Of units that were seen in no month after the start, or in no month before, there is none: such a draw counts as an extreme one."""
    sample, post = make_sample(SITES, [0], 10, seed=11)
    unseen = (sample.cluster == 6)[:, None] & (post if after else ~post)
    sample = replace(sample, counts=np.where(unseen, np.nan, sample.counts))
    assignments = draw_assignments(sample.cluster, sample.treated, 100, seed=1)
    values = _statistics(sample, post, assignments)
    without = assignments.clusters[:, 0] == 6
    assert np.isinf(values[without]).all() and np.isfinite(values[~without]).all()
