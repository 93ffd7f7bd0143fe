"""Rambachan–Roth sensitivity sets against published numbers, closed forms, and the linear programs they do without.

Tolerances. 1e-3 against what R and Stata print of HonestDiD: it looks at effects on a grid of steps of 4e-4 and simulates its critical
values, so that its own versions differ by as much. 1e-9 where the answer is a formula. 1e-6 of η against HiGHS. 1e-4 of an interval's
length against diff-diff's search. Four Monte Carlo standard errors for what is simulated.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from diff_diff import HonestDiD, MultiPeriodDiDResults
from diff_diff.results import PeriodEffect
from scipy.optimize import linprog, minimize
from scipy.stats import norm

from analysis.estimation.inference.clustered import cr1_covariance
from analysis.estimation.parallel_trends import relative_magnitudes as relative
from analysis.estimation.parallel_trends.moment_inequalities import least_favourable, rejects
from analysis.estimation.parallel_trends.parallel_trends import (
    breakdown_relative,
    breakdown_smoothness,
    relative_magnitudes,
    smoothness,
)
from analysis.estimation.parallel_trends.smoothness import folded_quantile, frontier
from analysis.estimation.regression.absorbed import NotIdentified, two_way
from analysis.estimation.regression.log_rate import LogRate

LEVEL = 0.95
BOTH = pytest.mark.parametrize("hybrid", [False, True], ids=["conditional", "hybrid"])


@dataclass(frozen=True)
class EventStudy:
    estimates: np.ndarray
    covariance: np.ndarray
    before: int
    weights: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
        return self.estimates, self.covariance, self.before, self.weights

    @property
    def target(self) -> np.ndarray:
        return np.concatenate([np.zeros(self.before), self.weights])


def _random(seed: int, before: int, after: int, weights: np.ndarray | None = None) -> EventStudy:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(before + after, before + after + 3))
    covariance = root @ root.T / 10
    estimates = generator.multivariate_normal(np.zeros(before + after), covariance)
    return EventStudy(estimates, covariance, before, np.full(after, 1 / after) if weights is None else weights)


# Medicaid expansion, as in the READMEs of HonestDiD for R and Stata


@pytest.fixture(scope="module")
def medicaid(published_folder: Path) -> Callable[[float, float], EventStudy]:
    """Our own event study; its covariance counts year and treatment columns as fixest, which the README used, does."""
    table = pd.read_csv(published_folder / "reference/medicaid_ehec.csv")
    table = table[(table.year < 2016) & (table.yexp2 != 2015)]
    values = table.pivot(index="stfips", columns="year", values="dins").sort_index()
    treated = (table.drop_duplicates("stfips").set_index("stfips").yexp2 == 2014)[values.index].to_numpy()
    years = [year for year in values.columns if year != 2013]
    regressors = np.stack([np.outer(treated, values.columns == year) for year in years]).astype(float)
    fit = LogRate(values.to_numpy(float), two_way(*values.shape), np.ones(len(values))).fit(regressors)
    covariance = cr1_covariance(fit.bread, fit.unit_scores, np.arange(len(values))) * (344 - 1) / (344 - 15)
    return lambda *weights: EventStudy(fit.coefficients, covariance, 5, np.array(weights))


def test_medicaid_relative_magnitudes_are_rs(medicaid: Callable[..., EventStudy]) -> None:
    ours = relative_magnitudes(*medicaid(1, 0).parts, [0.5, 1, 1.5, 2], LEVEL, hybrid=True)
    theirs = [[0.0241, 0.0673], [0.0171, 0.0720], [0.00859, 0.0796], [-0.00107, 0.0883]]
    assert ours == pytest.approx(np.array(theirs), abs=1e-3)


def test_medicaid_relative_magnitudes_of_the_mean_are_statas(medicaid: Callable[..., EventStudy]) -> None:
    ours = relative_magnitudes(*medicaid(0.5, 0.5).parts, [0, 0.5, 1, 1.5, 2], LEVEL, hybrid=True)
    theirs = [[0.041, 0.075], [0.033, 0.080], [0.020, 0.090], [0.006, 0.103], [-0.008, 0.117]]
    assert ours == pytest.approx(np.array(theirs), abs=1e-3)


def test_medicaid_smoothness_is_rs(medicaid: Callable[..., EventStudy]) -> None:
    ours = smoothness(*medicaid(1, 0).parts, [0, 0.01, 0.02, 0.03, 0.04, 0.05], LEVEL)
    theirs = [
        [0.0259, 0.0607], [0.0132, 0.0787], [0.00286, 0.0907], [-0.00714, 0.101], [-0.0171, 0.111], [-0.0271, 0.121],
    ]  # fmt: skip
    assert ours == pytest.approx(np.array(theirs), abs=5e-4)


def test_medicaid_without_bends_is_exact(medicaid: Callable[..., EventStudy], published_folder: Path) -> None:
    from_r: dict[str, Any] = json.loads((published_folder / "reference/r/reference.json").read_text())
    [ours] = smoothness(*medicaid(1, 0).parts, [0], LEVEL)
    assert ours == pytest.approx(from_r["medicaid"]["smoothness_M_0"]["ci95"], abs=1e-9)


@pytest.mark.slow
def test_medicaid_breaks_down_where_the_readme_says(medicaid: Callable[..., EventStudy]) -> None:
    first_year = medicaid(1, 0).parts
    assert breakdown_relative(*first_year, LEVEL, hybrid=True) == pytest.approx(2, abs=0.1)
    assert 0.02 < breakdown_smoothness(*first_year, LEVEL) < 0.03


# Relative magnitudes: closed forms


@BOTH
def test_trends_that_go_on_unchanged_leave_the_usual_interval(hybrid: bool) -> None:
    study = _random(1, 4, 3)
    [found] = relative_magnitudes(*study.parts, [0], LEVEL, hybrid)
    error = np.sqrt(study.target @ study.covariance @ study.target)
    assert found == pytest.approx(
        study.target @ study.estimates + norm.ppf(0.975) * error * np.array([-1, 1]), abs=1e-6
    )


def test_one_period_either_side_and_a_clear_change_before_it() -> None:
    """Every other moment is far from binding, so that each end is a one-sided normal test of β₁ ∓ M̄u."""
    study = EventStudy(np.array([-8.0, 3.0]), np.array([[0.2, 0.05], [0.05, 0.3]]), 1, np.ones(1))
    reach, shared = 1.5 * 8, 2 * 1.5 * 0.05  # u is minus the estimate before, so the errors of β₁ − M̄u add up
    low = 3 - reach - norm.ppf(0.95) * np.sqrt(0.3 + 1.5**2 * 0.2 + shared)
    high = 3 + reach + norm.ppf(0.95) * np.sqrt(0.3 + 1.5**2 * 0.2 - shared)
    [found] = relative_magnitudes(*study.parts, [1.5], LEVEL, hybrid=False)
    assert found == pytest.approx([low, high], abs=1e-4)


def test_a_single_moment_is_a_one_sided_test_with_or_without_a_first_stage() -> None:
    levels, loadings = np.linspace(-1, 4, 501)[:, None], np.array([[1.0, 0.0]])
    expected = levels[:, 0] > norm.ppf(0.95)
    assert (rejects(levels, loadings, 0.05) == expected).all()
    ceiling = least_favourable(loadings, 0.005)
    assert ceiling == pytest.approx(norm.isf(0.005), abs=1e-6)
    assert (rejects(levels, loadings, 0.045 / 0.995, ceiling) == expected).all()


def test_far_out_the_conditional_test_keeps_its_digits() -> None:
    """Two equal, independent moments: the larger is cut at the smaller, and both tails are below the smallest float."""
    gaps = np.array([0.02, 0.2])
    levels = np.column_stack([40 + gaps, np.full(2, 40.0)])
    assert rejects(levels, np.eye(2), 0.05).tolist() == [False, True]  # exp(−40 · 0.02) = 0.45, exp(−40 · 0.2) = 0.0003


def test_a_moment_that_would_overtake_cuts_from_above() -> None:
    """x = 1.5 is largest until 2x − 1.6 passes it at 1.6: (Φ̄(1.5) − Φ̄(1.6)) ÷ Φ(1.6) = 0.013, though Φ̄(1.5) = 0.067."""
    levels, loadings = np.array([1.5, 1.4]), np.array([[1.0, 0.0], [2.0, 0.0]])
    tail = (norm.sf(1.5) - norm.sf(1.6)) / norm.cdf(1.6)
    assert not rejects(levels[:1], loadings[:1], 0.05)
    assert rejects(levels, loadings, tail * 1.001) and not rejects(levels, loadings, tail * 0.999)


def test_the_first_stage_rejects_above_its_ceiling_and_cuts_the_second_there() -> None:
    loadings, tail = np.array([[1.0, 0.0]]), (norm.sf(1.5) - norm.sf(1.6)) / norm.cdf(1.6)
    assert rejects(np.array([1.61]), loadings, 0.0, 1.6) and not rejects(np.array([1.59]), loadings, 0.0, 1.6)
    assert rejects(np.array([1.5]), loadings, tail * 1.001, 1.6)
    assert not rejects(np.array([1.5]), loadings, tail * 0.999, 1.6)


@pytest.mark.parametrize(
    ("loadings", "exact"),
    [
        ([[1.0, 0.0], [-1.0, 0.0]], norm.isf(0.0025)),
        ([[1.0, 0.0], [0.0, 1.0]], norm.ppf(np.sqrt(0.995))),
        ([[3.0, 4.0], [0.3, 0.4]], 5 * norm.isf(0.005)),
    ],
    ids=["two-sided", "independent", "one moment above another"],
)
def test_the_least_favourable_value_is_exact(loadings: list[list[float]], exact: float) -> None:
    assert least_favourable(np.array(loadings), 0.005) == pytest.approx(exact, rel=1e-5)


@pytest.mark.slow
def test_the_least_favourable_value_is_the_simulated_quantile() -> None:
    tested = relative.moments(*_random(2, 4, 3).parts, 1.0, LEVEL, hybrid=True)
    draws = np.random.default_rng(3).normal(size=(2, 200_000))
    above = ((tested.loadings @ draws).max(axis=1) > tested.ceiling[:, None]).mean(axis=1)
    assert len(above) == 8
    assert np.abs(above - 0.005).max() < 4 * np.sqrt(0.005 * 0.995 / 200_000)


# Relative magnitudes: Andrews, Roth & Pakes as HonestDiD writes it, with HiGHS


def _constraints(before: int, after: int, bound: float, chosen: int) -> np.ndarray:
    """A of Aδ ≤ 0: the changes after treatment are within ``bound`` times the ``chosen`` change, of either sign, before."""
    changes = np.delete(np.diff(np.eye(before + after + 1), axis=0), before, axis=1)
    largest = changes[chosen % before] * (1 if chosen < before else -1)
    after_rows = changes[before:]
    return np.vstack([after_rows - bound * largest, -after_rows - bound * largest])


def _by_linear_programs(
    study: EventStudy, bound: float, chosen: int, effect: float, size: float, ceiling: float
) -> tuple[bool, float]:
    """The test's verdict and η, from the dual program and a search for the values at which its solution stays optimal."""
    constraints = _constraints(study.before, len(study.weights), bound, chosen)
    turned = np.linalg.inv(np.vstack([study.weights, np.eye(len(study.weights))[1:]]))
    of_effects = constraints[:, study.before :] @ turned
    moments = constraints @ study.estimates - of_effects[:, 0] * effect
    covariance = constraints @ study.covariance @ constraints.T
    equalities = np.column_stack([np.sqrt(np.diag(covariance)), of_effects[:, 1:]]).T
    one = np.eye(len(equalities))[0]

    def solve(values: np.ndarray) -> tuple[float, np.ndarray]:
        solved = linprog(-values, A_eq=equalities, b_eq=one, bounds=(0, None), method="highs")
        assert solved.success
        return -solved.fun, solved.x

    eta, vertex = solve(moments)
    if eta > ceiling:
        return True, eta
    variance = vertex @ covariance @ vertex
    direction = covariance @ vertex / variance
    rest = moments - direction * eta

    def last(far: float) -> float:
        def optimal(value: float) -> bool:
            return abs(solve(rest + direction * value)[0] - value) < 1e-7 * max(1, abs(value))

        near = eta
        if optimal(far):
            return far
        for _ in range(50):
            middle = (near + far) / 2
            near, far = (middle, far) if optimal(middle) else (near, middle)
        return near

    error = np.sqrt(variance)
    low, high = last(eta - 30 * error), min(last(eta + 30 * error), ceiling)
    tail = norm.sf([low / error, eta / error, high / error])
    return bool(eta > 0 and (tail[1] - tail[2]) / (tail[0] - tail[2]) < size), eta


@pytest.mark.cases(quick=0, push=2)
@BOTH
@pytest.mark.parametrize("target", ["mean", "first", "any"])
def test_the_moments_are_the_vertices_of_the_linear_program(target: str, hybrid: bool) -> None:
    generator = np.random.default_rng([17, hybrid, len(target)])
    verdicts = []
    for draw in range(12):
        before, after = int(generator.integers(1, 5)), int(generator.integers(2, 5))
        weights = {"mean": np.full(after, 1 / after), "first": np.eye(after)[0], "any": generator.normal(size=after)}
        study = _random(draw, before, after, weights[target])
        bound, effect = float(generator.choice([0.3, 0.5, 1, 2])), float(generator.normal() * 2)
        chosen = int(generator.integers(2 * before))
        tested = relative.moments(*study.parts, bound, LEVEL, hybrid)
        levels = tested.slopes[chosen] @ [tested.change[chosen], tested.estimate - effect]
        ours = bool(rejects(levels, tested.loadings[chosen], tested.size, tested.ceiling[chosen]))
        theirs, eta = _by_linear_programs(study, bound, chosen, effect, tested.size, float(tested.ceiling[chosen]))
        assert levels.max() == pytest.approx(eta, abs=1e-6)
        assert ours == theirs
        verdicts.append(ours)
    assert 0 < sum(verdicts) < len(verdicts)


# Smoothness


def test_one_period_either_side_leaves_no_choice() -> None:
    study = EventStudy(np.array([0.3, 1.1]), np.array([[0.04, 0.01], [0.01, 0.09]]), 1, np.ones(1))
    error, bound = np.sqrt(0.04 + 0.09 + 2 * 0.01), 0.2
    half = error * folded_quantile(bound / error, LEVEL)
    assert smoothness(*study.parts, [bound], LEVEL)[0] == pytest.approx([1.4 - half, 1.4 + half], abs=1e-9)
    assert norm.cdf((half - bound) / error) - norm.cdf((-half - bound) / error) == pytest.approx(LEVEL, abs=1e-9)


def test_without_bends_it_is_generalised_least_squares() -> None:
    """The target's effect as a parameter beside a straight line through zero at the base."""
    study = _random(4, 5, 3)
    time = np.array([-5, -4, -3, -2, -1, 1, 2, 3])
    design = np.column_stack([time, np.vstack([np.zeros((5, 3)), np.eye(3)])])
    precision = np.linalg.inv(study.covariance)
    variance = np.linalg.inv(design.T @ precision @ design)
    fitted, target = variance @ design.T @ precision @ study.estimates, np.concatenate([[0], study.weights])
    ends = target @ fitted + norm.ppf(0.975) * np.sqrt(target @ variance @ target) * np.array([-1, 1])
    assert smoothness(*study.parts, [0], LEVEL)[0] == pytest.approx(ends, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_bias_is_the_worst_of_all_trends_with_such_bends(seed: int) -> None:
    study = _random(seed, 4, 3, np.random.default_rng(seed).normal(size=3))
    line = frontier(study.covariance, study.before, study.weights)
    bends = np.delete(np.diff(np.eye(8), n=2, axis=0), 4, axis=1)
    for weights, bias in zip(line.weights, line.bias, strict=True):
        worst = linprog(-weights, A_ub=np.vstack([bends, -bends]), b_ub=np.ones(12), bounds=(None, None))
        assert -worst.fun == pytest.approx(bias, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("bound", [0.02, 0.1, 0.5])
def test_no_other_weights_make_a_shorter_interval(bound: float) -> None:
    study = _random(6, 4, 3)
    line = frontier(study.covariance, 4, study.weights)
    bends = np.delete(np.diff(np.eye(8), n=2, axis=0), 4, axis=1)
    free = np.linalg.svd(np.array([[-4.0, -3, -2, -1]]))[2][1:]  # weights before that leave a straight line as it is

    def length(shift: np.ndarray) -> float:
        weights = line.weights[0] + np.concatenate([shift @ free, np.zeros(3)])
        error = np.sqrt(weights @ study.covariance @ weights)
        # The weights are a sum of bends, in one way only: their coefficients make the bias.
        bias = np.abs(np.linalg.lstsq(bends.T, weights, rcond=None)[0]).sum()
        return 2 * error * folded_quantile(bound * bias / error, LEVEL)

    [found] = smoothness(*study.parts, [bound], LEVEL)
    searched = minimize(length, np.zeros(3), method="Powell", options={"xtol": 1e-9, "ftol": 1e-12})
    assert np.ptp(found) == pytest.approx(searched.fun, rel=1e-6)


def test_a_lasso_with_ties_ends_at_least_squares() -> None:
    """Equal variances and no covariance: many weights reach the penalty together."""
    study = EventStudy(np.arange(8.0), np.eye(8), 5, np.full(3, 1 / 3))
    line = frontier(study.covariance, 5, study.weights)
    time = np.array([-5, -4, -3, -2, -1])
    assert line.weights[-1, :5] == pytest.approx(-2 * time / (time @ time), abs=1e-9)
    assert (np.diff(line.bias) > -1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("bound", [0.0, 0.1, 0.5])
def test_smoothness_is_diff_diffs(bound: float) -> None:
    """Its weights are of the mean after treatment."""
    study = _random(7, 4, 3)
    periods = [-5, -4, -3, -2, 0, 1, 2]
    errors = np.sqrt(np.diag(study.covariance))
    effects = {
        period: PeriodEffect(period, float(estimate), float(error), 0.0, 1.0, (0.0, 0.0))
        for period, estimate, error in zip(periods, study.estimates, errors, strict=True)
    }
    results = MultiPeriodDiDResults(
        effects, 0.0, 1.0, 0.0, 1.0, (0.0, 0.0), 100, 10, 10, periods[:4], periods[4:], vcov=study.covariance,
        reference_period=-1, interaction_indices={period: row for row, period in enumerate(periods)},
    )  # fmt: skip
    theirs = HonestDiD(method="smoothness", M=bound).fit(results)
    [ours] = smoothness(*study.parts, [bound], LEVEL)
    assert ours == pytest.approx([theirs.ci_lb, theirs.ci_ub], abs=1e-4 * np.ptp(ours))


# What must hold of both

Sets = Callable[[EventStudy, list[float], float], np.ndarray]
KINDS: dict[str, Sets] = {
    "smoothness": lambda study, bounds, level: smoothness(*study.parts, bounds, level),
    "conditional": lambda study, bounds, level: relative_magnitudes(*study.parts, bounds, level, False),
    "hybrid": lambda study, bounds, level: relative_magnitudes(*study.parts, bounds, level, True),
}
EVERY_KIND = pytest.mark.parametrize("sets", KINDS.values(), ids=KINDS.keys())
BOUNDS = [0.0, 0.2, 0.5, 1.0, 2.0]


@pytest.mark.slow
@EVERY_KIND
def test_the_other_sign_mirrors_the_set(sets: Sets) -> None:
    study = _random(8, 4, 3)
    mirrored = EventStudy(-study.estimates, study.covariance, 4, study.weights)
    assert sets(mirrored, BOUNDS, LEVEL) == pytest.approx(-sets(study, BOUNDS, LEVEL)[:, ::-1], abs=1e-6)


@pytest.mark.slow
@EVERY_KIND
def test_other_units_only_rescale_the_set(sets: Sets) -> None:
    study = _random(9, 4, 3)
    small = EventStudy(study.estimates * 1e-3, study.covariance * 1e-6, 4, study.weights)
    in_units = [bound * 1e-3 for bound in BOUNDS] if sets is KINDS["smoothness"] else BOUNDS
    assert sets(small, in_units, LEVEL) * 1e3 == pytest.approx(sets(study, BOUNDS, LEVEL), abs=1e-5)


@pytest.mark.slow
@EVERY_KIND
def test_sets_grow_with_the_bound_and_with_confidence(sets: Sets) -> None:
    study = _random(10, 4, 3)
    found, surer = sets(study, BOUNDS, LEVEL), sets(study, BOUNDS, 0.99)
    assert (np.diff(np.ptp(found, axis=1)) > 0).all()
    assert (surer[:, 0] < found[:, 0]).all() and (surer[:, 1] > found[:, 1]).all()


def test_a_straight_line_in_the_trends_changes_nothing_under_smoothness() -> None:
    study = _random(11, 4, 3)
    time = np.array([-4, -3, -2, -1, 1, 2, 3])
    tilted = EventStudy(study.estimates + 5 * time, study.covariance, 4, study.weights)
    assert smoothness(*tilted.parts, BOUNDS, LEVEL) == pytest.approx(smoothness(*study.parts, BOUNDS, LEVEL), abs=1e-6)


def test_larger_changes_before_treatment_widen_the_relative_set() -> None:
    study = _random(12, 4, 3)
    jumped = EventStudy(study.estimates + np.array([30, 0, 0, 0, 0, 0, 0]), study.covariance, 4, study.weights)
    calm, jumpy = (relative_magnitudes(*each.parts, [0.5], LEVEL, True)[0] for each in (study, jumped))
    # The mean of three periods after moves by up to (1 + 2 + 3) ÷ 3 changes of half of 30.
    assert np.ptp(jumpy) - np.ptp(calm) == pytest.approx(2 * 2 * 15, rel=0.2)


@pytest.mark.slow
def test_the_hybrid_is_about_as_long_as_the_conditional_set() -> None:
    for seed in range(5):
        study = _random(seed, 5, 4)
        conditional, hybrid = (np.ptp(relative_magnitudes(*study.parts, BOUNDS, LEVEL, way)) for way in (False, True))
        assert hybrid == pytest.approx(conditional, rel=0.05)


@BOTH
def test_the_relative_breakdown_is_where_the_set_meets_zero(hybrid: bool) -> None:
    study = _random(13, 4, 3)
    clear = EventStudy(study.estimates + 6 * (study.target > 0), study.covariance, 4, study.weights)
    bound = breakdown_relative(*clear.parts, LEVEL, hybrid)
    below, above = relative_magnitudes(*clear.parts, [bound - 1e-3, bound + 1e-3], LEVEL, hybrid)
    assert 0 < bound < 20
    assert below[0] > 0 > above[0]


def test_the_smoothness_breakdown_is_where_the_interval_meets_zero() -> None:
    study = _random(13, 4, 3)
    clear = EventStudy(study.estimates - 20 * (study.target > 0), study.covariance, 4, study.weights)
    bound = breakdown_smoothness(*clear.parts, LEVEL)
    below, above = smoothness(*clear.parts, [bound * 0.999, bound * 1.001], LEVEL)
    assert bound > 0
    assert below[1] < 0 < above[1]


@pytest.mark.slow
def test_breakdowns_of_no_effect_and_of_an_effect_beyond_doubt() -> None:
    none = EventStudy(np.zeros(5), np.eye(5), 3, np.array([0.5, 0.5]))
    assert breakdown_relative(*none.parts, LEVEL, True) == breakdown_smoothness(*none.parts, LEVEL) == 0
    huge = EventStudy(np.array([0, 0, 0, 1e4, 1e4]), np.eye(5), 3, np.array([0.5, 0.5]))
    assert breakdown_relative(*huge.parts, LEVEL, True) == np.inf
    assert 1e3 < breakdown_smoothness(*huge.parts, LEVEL) < np.inf


# Bad input

GOOD = _random(14, 3, 2)
BLIND = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 2.0]])


@pytest.mark.parametrize(
    ("study", "bound", "reason"),
    [
        (EventStudy(np.ones(2), np.eye(2), 0, np.ones(2)), 1.0, "nothing shows how trends differed"),
        (EventStudy(np.ones(2), np.eye(2), 2, np.ones(0)), 1.0, "no period after treatment"),
        (EventStudy(np.ones(3), BLIND, 2, np.ones(1)), 1.0, "before treatment is singular"),
        (EventStudy(np.ones(3), BLIND[::-1, ::-1], 1, np.ones(2)), 1.0, "of all periods is singular"),
        (EventStudy(np.ones(2), np.diag([1.0, 0.0]), 1, np.ones(1)), 1.0, "of all periods is singular"),
        (EventStudy(np.array([1.0, np.nan]), np.eye(2), 1, np.ones(1)), 1.0, "not finite"),
        (EventStudy(np.ones(2), np.eye(2), 1, np.zeros(1)), 1.0, "weights of the target are all zero"),
        (EventStudy(np.ones(2), np.eye(2), 1, np.ones(3)), 1.0, "3 weights"),
        (GOOD, -0.1, "below zero"),
        (GOOD, np.inf, "not finite"),
    ],
)
@EVERY_KIND
def test_what_cannot_be_answered_says_why(sets: Sets, study: EventStudy, bound: float, reason: str) -> None:
    with pytest.raises(NotIdentified, match=reason):
        sets(study, [bound], LEVEL)


@pytest.mark.parametrize("breakdown", [lambda *a: breakdown_relative(*a, True), breakdown_smoothness])
def test_a_breakdown_of_a_singular_study_is_refused(breakdown: Callable[..., float]) -> None:
    with pytest.raises(NotIdentified, match="singular"):
        breakdown(np.ones(3), BLIND, 2, np.ones(1), LEVEL)


# Coverage


@pytest.mark.cases(quick=0, push=1)
@BOTH
@pytest.mark.parametrize("calm", [True, False], ids=["no change before", "a change before"])
def test_the_relative_set_covers_an_effect_at_the_edge(calm: bool, hybrid: bool) -> None:
    """Trends change by exactly M̄ times the largest change before, every period after. Clear of sampling error, the upper
    end alone can miss, in 5%; without any change before, the set is a union over many and covers at least as often."""
    study, draws = _random(15, 4, 3), 1500
    change = 0.0 if calm else 40.0
    trend = np.array(
        [change, 0, 0, 0, -change, -2 * change, -3 * change]
    )  # from before the base the first change is downwards
    generator = np.random.default_rng(16)
    covered = 0
    for estimates in generator.multivariate_normal(trend + 7.0 * (study.target > 0), study.covariance, size=draws):
        tested = relative.moments(estimates, study.covariance, 4, study.weights, 1.0, LEVEL, hybrid)
        covered += int(tested.accepted(np.array([7.0]))[0])
    margin = 4 * np.sqrt(0.05 * 0.95 / draws)
    assert covered / draws > LEVEL - margin
    assert calm or covered / draws < LEVEL + margin
