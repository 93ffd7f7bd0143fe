"""Few treated sites: closed forms, toys worked by hand, and every bootstrap draw and placebo refitted the slow way.

Tolerances. Closed forms 1e-9: both sides are exact but for a fit that stops within 1e-10. Statistics against brute force
1e-8: the same least squares by another route. One-step statistics only approximate full Poisson refits: a correlation
above 0.999, p-values within 0.01.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations, product

import numpy as np
import pandas as pd
import pyfixest
import pytest
from brute_force import least_squares, poisson, studentised
from synthetic import comparison_of, make_sample

from analysis.estimation.inference.bootstrap import BootstrapTest, bootstrap_statistics, cluster_bootstrap, draw_signs
from analysis.estimation.inference.clustered import cr1_covariance, cr3_std_error
from analysis.estimation.inference.inversion import critical_value, p_value
from analysis.estimation.inference.randomisation import (
    Assignments,
    assignment_matrix,
    draw_assignments,
    one_step,
    randomisation_test,
    statistics,
)
from analysis.estimation.regression.absorbed import NotIdentified, Nuisance, two_way
from analysis.estimation.regression.log_rate import LogRate, log_rate
from analysis.estimation.regression.poisson import Poisson
from analysis.estimation.regression.regression import Comparison, Fit
from analysis.estimation.regression.sample import Sample

# pyfixest's own calls of pandas, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")

SITES = [0, 0, *range(1, 9)]  # nine clusters, the first of two units


def _cr1(comparison: Comparison, fit: Fit) -> float:
    return float(np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)[0, 0]))


def _log_rates(sample: Sample, post: np.ndarray, dose: np.ndarray | None = None) -> Comparison:
    """The same comparison by least squares of log rates."""
    n = len(sample.units)
    model = log_rate(sample.counts, sample.population, two_way(*sample.counts.shape), np.ones(n))
    return Comparison(model, sample.dose if dose is None else dose, post, sample.cluster)


# Two by two, and toys by hand


def test_poisson_two_by_two_is_a_ratio_of_ratios() -> None:
    """Sums 150 → 180 treated, 100 → 160 untreated, people as they were: the effect is log(180/150 ÷ 160/100) = log(3/4)."""
    counts = np.array([[100.0, 130.0], [50.0, 50.0], [70.0, 100.0], [30.0, 60.0]])
    population = np.repeat([[2000.0], [900.0], [4000.0], [100.0]], 2, axis=1)
    dose = np.array([1.0, 1, 0, 0])
    comparison = Comparison(
        Poisson(counts, population, two_way(4, 2)), dose, np.array([False, True]), np.array([0, 1, 2, 3])
    )
    assert comparison.fit().coefficients[0] == pytest.approx(np.log(3 / 4), abs=1e-9)
    # People twice as many afterwards among the treated: the rate, and so the ratio, is half as large.
    moved = population * np.array([[1, 2.0], [1, 2], [1, 1], [1, 1]])
    comparison = replace(comparison, model=Poisson(counts, moved, two_way(4, 2)))
    assert comparison.fit().coefficients[0] == pytest.approx(np.log(3 / 8), abs=1e-9)


def _toy(changes: list[float], dose: list[float], cluster: list[int] | None = None) -> Comparison:
    """Two months; the log rate of unit i changes by ``changes[i]``, which is all that least squares sees."""
    level = np.arange(len(changes)) * 0.7
    values = np.column_stack([level, level + changes])
    model = LogRate(values, two_way(len(changes), 2), np.ones(len(changes)))
    numbered = np.arange(len(changes)) if cluster is None else np.array(cluster)
    return Comparison(model, np.array(dose, float), np.array([False, True]), numbered)


def test_least_squares_two_by_two_is_a_difference_in_means() -> None:
    """Changes 5, 3 | 1, 2, 0: 4 − 1 = 3. Squares about the means 2 and 2, over 2² and 3², times 5/4: variance 65/72."""
    comparison = _toy([5, 3, 1, 2, 0], [1, 1, 0, 0, 0])
    fit = comparison.fit()
    assert fit.coefficients[0] == pytest.approx(3, abs=1e-12)
    assert _cr1(comparison, fit) ** 2 == pytest.approx((2 / 4 + 2 / 9) * 5 / 4, abs=1e-12)
    # Left out in turn: 3 − 1, 5 − 1 (treated); 4 − 1, 4 − 1/2, 4 − 3/2 (not). Shifts −1, 1, 0, 1/2, −1/2.
    assert cr3_std_error(comparison, fit) ** 2 == pytest.approx(4 / 5 * (1 + 1 + 0 + 1 / 4 + 1 / 4), abs=1e-12)


def test_one_treated_among_five_by_hand() -> None:
    """Changes 6 | 1, 2, 3, 0: each in turn against the mean m of the other four, with squares q about it.

    m = 1.5, 2.75, 2.5, 2.25, 3 and q = 5, 18.75, 21, 20.75, 14; the error is √(q/4² · 5/4). The 6 has the largest |t|, 7.2:
    p = 1/5, the least there is.
    """
    comparison = _toy([6, 1, 2, 3, 0], [1, 0, 0, 0, 0])
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 4, seed=1)
    test = randomisation_test(comparison, assignments, 4.5, 0.6, 0.75)
    assert test.exact and test.p_value == 1 / 5
    squares = np.array([5, 18.75, 21, 20.75, 14])
    by_hand = np.array([4.5, -1.75, -0.5, 0.75, -3]) / np.sqrt(squares / 16 * 5 / 4)
    assert by_hand[0] == pytest.approx(7.2)
    assert test.statistics == pytest.approx(by_hand, abs=1e-9)
    assert test.estimates == pytest.approx([4.5, -1.75, -0.5, 0.75, -3], abs=1e-12)
    # At 75%, p = 1/5 rejects: the ends are where 6 − θ stops being the most extreme of 6 − θ, 1, 2, 3, 0.
    low, high = test.interval
    assert low < 4.5 < high
    for theta in (low - 0.01, high + 0.01):
        assert p_value(statistics(comparison, assignment_matrix(assignments, comparison), theta)) == 1 / 5
    for theta in (low + 0.01, high - 0.01):
        assert p_value(statistics(comparison, assignment_matrix(assignments, comparison), theta)) > 1 / 5


def test_a_site_of_two_moves_together_by_hand() -> None:
    """Site A holds changes 4 and 2, sites B to D 1, 0, 2: as A, t is (3 − 1) ÷ √((0/4 + 2/9) · 4/3); p is its rank in four."""
    comparison = _toy([4, 2, 1, 0, 2], [1, 1, 0, 0, 0], [0, 0, 1, 2, 3])
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 99, seed=1)
    found = statistics(comparison, assignment_matrix(assignments, comparison))
    by_hand = [2 / np.sqrt((0 + 2 / 9) * 4 / 3)]
    for unit in (2, 3, 4):  # a single site: the other four units, A's two residuals summed before they are squared
        others = np.delete(np.array([4.0, 2, 1, 0, 2]), unit)
        rest = others - others.mean()
        meat = (rest[0] + rest[1]) ** 2 + rest[2] ** 2 + rest[3] ** 2
        change = [4.0, 2, 1, 0, 2][unit]
        by_hand.append((change - others.mean()) / np.sqrt(meat / 16 * 4 / 3))
    assert found == pytest.approx(by_hand, abs=1e-9)


# Every placebo refitted


@pytest.mark.slow
@pytest.mark.parametrize(("treated", "missing"), [([0, 3], 0.0), ([0, 3], 0.15), ([2], 0.15), ([1, 4, 6], 0.1)])
def test_every_least_squares_placebo_is_a_refit(treated: list[int], missing: float) -> None:
    """Every subset of as many sites, fitted whole: the same t, the same p, and no assignment left out or doubled."""
    sample, post = make_sample(SITES, treated, 12, seed=23, missing=missing, effect=-0.2, noise=0.1)
    comparison = _log_rates(sample, post)
    model = comparison.model
    assert isinstance(model, LogRate)
    others = [chosen for chosen in combinations(range(9), len(treated)) if list(chosen) != treated]
    refits = []
    for chosen in [tuple(treated), *others]:
        treatment = np.outer(np.isin(sample.cluster, chosen), post)[None].astype(float)
        fit = least_squares(model.values, model.observed.astype(float), treatment, model.nuisance, sample.cluster)
        refits.append(studentised(*fit))
    fit = comparison.fit()
    assignments = draw_assignments(sample.cluster, sample.treated, 999, seed=1)
    test = randomisation_test(comparison, assignments, float(fit.coefficients[0]), _cr1(comparison, fit), 0.9)
    assert test.exact
    assert test.statistics == pytest.approx(refits, abs=1e-8)
    assert test.p_value == np.mean(np.abs(refits) >= abs(refits[0]) - 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("treated", "missing"), [([0, 3], 0.0), ([1, 4, 6], 0.1)])
def test_every_poisson_placebo_is_nearly_a_refit(treated: list[int], missing: float) -> None:
    """statsmodels' GLM on every subset: one Newton step gives nearly the same estimate and t, and p one rank away at most."""
    sample, post = make_sample(SITES, treated, 10, seed=29, missing=missing, effect=-0.1, noise=0.08)
    comparison = comparison_of(sample, post)
    assignments = draw_assignments(sample.cluster, sample.treated, 999, seed=1)
    matrix = assignment_matrix(assignments, comparison)
    found, estimates = one_step(comparison, matrix, comparison.null())
    nuisance = two_way(*sample.counts.shape)
    fits = [
        poisson(sample.counts, sample.population, np.outer(column, post)[None], nuisance, sample.cluster)
        for column in matrix.toarray().T
    ]
    refits = np.array([studentised(*fit) for fit in fits])
    assert np.corrcoef(found, refits)[0, 1] > 0.999
    assert np.abs(estimates - [fit[0][0] for fit in fits]).max() < 0.01
    assert abs(p_value(found) - p_value(refits)) <= 1 / len(found)
    # The step starts at the null: the nearer an assignment's estimate is to no effect, the nearer the step.
    near = np.abs(estimates) < 0.02
    assert near.sum() > 3
    assert np.abs(estimates - [fit[0][0] for fit in fits])[near].max() < 5e-4


@pytest.mark.slow
def test_one_step_stands_for_999_refits() -> None:
    """Nine treated sites of 69 and 999 random placebos, each fitted anew: correlation above 0.999, p within 0.01."""
    clusters = [0, 0, *range(1, 69)]
    sample, post = make_sample(clusters, list(range(9)), 24, seed=41, missing=0.01, effect=-0.03)
    comparison = comparison_of(sample, post)
    assignments = draw_assignments(sample.cluster, sample.treated, 999, seed=5)
    found, estimates = one_step(comparison, assignment_matrix(assignments, comparison), comparison.null())
    refits = _refits(comparison, assignments)
    assert np.corrcoef(found, refits[:, 0])[0, 1] > 0.999
    assert np.corrcoef(estimates, refits[:, 1])[0, 1] > 0.999
    assert abs(p_value(found) - p_value(refits[:, 0])) <= 0.01
    assert abs(critical_value(found, 0.95) / critical_value(refits[:, 0], 0.95) - 1) < 0.02


def _refits(comparison: Comparison, assignments: Assignments) -> np.ndarray:
    """t and estimate (draws × 2) of the package's own full fit of every assignment, from a neighbour's solution."""
    start, found = comparison.null().linear, []
    for column in assignment_matrix(assignments, comparison).toarray().T:
        fit = replace(comparison, dose=column).fit(start)
        found.append((fit.coefficients[0] / _cr1(comparison, fit), fit.coefficients[0]))
    return np.array(found)


# Bootstrap: every draw by its own definition


def _nuisance(kind: str, units: int, months: int) -> Nuisance:
    plain = two_way(units, months)
    if kind == "trends":
        return Nuisance(np.hstack([plain.within, np.linspace(-1, 1, months)[:, None]]), plain.across)
    if kind == "covariate":
        z = np.random.default_rng(8).normal(0, 1, (units, 1))
        return Nuisance(plain.within, np.hstack([plain.across, z]))
    return plain


@pytest.mark.cases(quick=6)
@pytest.mark.parametrize("theta", [0.0, 0.1])
@pytest.mark.parametrize("dose", ["whole", "shares"])
@pytest.mark.parametrize("kind", ["two effects", "trends", "covariate"])
@pytest.mark.parametrize("estimator", ["poisson", "log_rate"])
def test_bootstrap_statistics_are_refits_of_the_working_regression(
    estimator: str, kind: str, dose: str, theta: float
) -> None:
    """Flip the residuals of whole sites, refit the weighted regression with every dummy, studentise by CR1."""
    sample, post = make_sample(SITES, [0, 3, 5], 14, seed=31, missing=0.12, effect=-0.1, noise=0.08)
    nuisance = _nuisance(kind, len(sample.units), 14)
    shares = np.where(sample.treated, np.linspace(0.3, 1, len(sample.units)), 0.0)
    model: Poisson | LogRate = Poisson(sample.counts, sample.population, nuisance)
    if estimator == "log_rate":
        weight = np.linspace(0.5, 2, len(sample.units))
        model = log_rate(sample.counts, sample.population, nuisance, weight)
    comparison = Comparison(model, shares if dose == "shares" else sample.dose, post, sample.cluster)
    signs, _ = draw_signs(9, 24, seed=2)
    null = comparison.null(theta)
    residual = np.divide(null.scores, null.weights, out=np.zeros_like(null.scores), where=null.weights > 0)
    expected = []
    for draw in signs.T:
        flipped = draw[sample.cluster][:, None] * residual
        fit = least_squares(flipped, null.weights, comparison.treatment[None], nuisance, sample.cluster)
        expected.append(studentised(*fit))
    found = bootstrap_statistics(comparison, null, signs)
    assert found == pytest.approx(expected, abs=1e-8)
    assert found[0] == pytest.approx(comparison.statistic_along()(theta), abs=1e-10)
    placebo = draw_assignments(sample.cluster, comparison.dose != 0, 5, seed=1)
    assert found[0] == pytest.approx(statistics(comparison, assignment_matrix(placebo, comparison), theta)[0], abs=1e-9)


def test_the_wild_bootstrap_is_that_of_the_textbook() -> None:
    """Least squares: restricted fit plus flipped residuals is a new outcome, and the whole regression is run on it."""
    sample, post = make_sample(SITES, [0, 3, 5], 12, seed=37, missing=0.1, effect=-0.1, noise=0.08)
    comparison = _log_rates(sample, post)
    model = comparison.model
    assert isinstance(model, LogRate)
    null, ones = comparison.null(), model.observed.astype(float)
    signs, exact = draw_signs(9, 2**9, seed=0)
    assert exact and signs.shape == (9, 512)
    residual = np.where(model.observed, model.values - null.linear, 0.0)
    expected = []
    for draw in signs.T[::16]:
        outcome = null.linear + draw[sample.cluster][:, None] * residual
        fit = least_squares(outcome, ones, comparison.treatment[None], model.nuisance, sample.cluster)
        expected.append(studentised(*fit))
    assert bootstrap_statistics(comparison, null, signs)[::16] == pytest.approx(expected, abs=1e-8)


def test_signs_are_all_there_or_random_with_the_data_first() -> None:
    """2^G columns where they fit into the draws, each once; else draws + 1, first all ones, evenly signed."""
    signs, exact = draw_signs(5, 32, seed=1)
    assert exact
    assert sorted(map(tuple, signs.T)) == sorted(product((-1.0, 1.0), repeat=5))
    assert (signs[:, 0] == 1).all()
    signs, exact = draw_signs(5, 31, seed=1)
    assert not exact and signs.shape == (5, 32) and (signs[:, 0] == 1).all()
    many, exact = draw_signs(200, 9999, seed=1)
    assert not exact and many.shape == (200, 10_000)
    assert np.abs(many[:, 1:].mean(axis=1)).max() < 5 / np.sqrt(9999)
    assert (draw_signs(200, 99, seed=1)[0] == draw_signs(200, 99, seed=1)[0]).all()
    assert (draw_signs(200, 99, seed=1)[0] != draw_signs(200, 99, seed=2)[0]).any()


def _bootstrap(comparison: Comparison, draws: int, level: float = 0.95) -> tuple[BootstrapTest, float]:
    fit = comparison.fit()
    estimate = float(fit.coefficients[0])
    return cluster_bootstrap(comparison, draws, 3, estimate, _cr1(comparison, fit), level), estimate


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("make", [comparison_of, _log_rates])
def test_the_bootstrap_interval_inverts_its_test(
    make: Callable[[Sample, np.ndarray], Comparison], level: float
) -> None:
    """Just inside each end the effect has p above one less the level, just outside not, by the same signs."""
    sample, post = make_sample([0, 0, *range(1, 30)], [0, 1, 2, 3, 4, 5], 16, seed=43, missing=0.02, effect=-0.1)
    comparison = make(sample, post)
    test, estimate = _bootstrap(comparison, 999, level)
    signs, _ = draw_signs(30, 999, 3)
    low, high = test.interval
    assert low < estimate < high
    for end, inside in ((low, 1), (high, -1)):
        step = 0.03 * inside * (high - low) / 2
        ps = [p_value(bootstrap_statistics(comparison, comparison.null(end + move), signs)) for move in (-step, step)]
        assert ps[0] <= 1 - level + 1e-9 < ps[1]


def test_flipping_every_sign_leaves_p_alone_and_all_signs_bound_it() -> None:
    """The statistics of a sign vector and of its mirror image are opposite, so that p is never below 2/2^G."""
    sample, post = make_sample([0, 0, *range(1, 7)], [0, 1, 2], 12, seed=47, effect=-0.9, noise=0.02)
    test, _ = _bootstrap(comparison_of(sample, post), 128)
    assert test.exact and len(test.statistics) == 128
    assert test.statistics == pytest.approx(-test.statistics[::-1], abs=1e-9)
    assert test.p_value >= 2 / 128
    few, _ = make_sample([0, 1, 2, 3], [0, 1], 8, seed=47, effect=-0.9, noise=0.02)
    test, _ = _bootstrap(comparison_of(few, np.arange(8) >= 4), 999)
    assert test.p_value >= 2 / 16 > 0.05  # sixteen sign vectors can never reject at 5%
    assert test.interval == (-np.inf, np.inf)


# Dose


@pytest.fixture
def dosed() -> Comparison:
    """Two treated sites, one of two units with different shares."""
    sample, post = make_sample(SITES, [0, 3], 12, seed=53, missing=0.1, effect=-0.15, noise=0.08)
    shares = np.where(sample.treated, np.linspace(0.25, 0.95, len(sample.units)), 0.0)
    return replace(comparison_of(sample, post), dose=shares)


def test_doses_enter_the_randomisation_statistic_as_they_are(dosed: Comparison) -> None:
    """The actual statistic holds each unit's own share; a placebo site gets a treated site's mean share in all its units."""
    assignments = draw_assignments(dosed.cluster, dosed.dose != 0, 20, seed=1)
    matrix = assignment_matrix(assignments, dosed).toarray()
    assert (matrix[:, 0] == dosed.dose).all()
    means = [dosed.dose[dosed.cluster == site].mean() for site in (0, 3)]
    for column, chosen in zip(matrix.T[1:], assignments.clusters[1:], strict=True):
        for site in range(9):
            share = means[list(chosen).index(site)] if site in chosen else 0.0
            assert (column[dosed.cluster == site] == share).all()
    null = dosed.null()
    residual = np.divide(null.scores, null.weights, out=np.zeros_like(null.scores), where=null.weights > 0)
    found = statistics(dosed, assignment_matrix(assignments, dosed))
    for column, statistic in zip(matrix.T, found, strict=True):
        treatment = np.outer(column, dosed.post)[None]
        fit = least_squares(residual, null.weights, treatment, two_way(10, 12), dosed.cluster)
        assert statistic == pytest.approx(studentised(*fit), abs=1e-8)


def test_all_or_nothing_doses_are_the_binary_comparison() -> None:
    """Shares of one and nought give, bit for bit, what whole treatment gives."""
    sample, post = make_sample(SITES, [0, 3], 12, seed=53, missing=0.1, effect=-0.15)
    dosed = replace(sample, share=sample.treated.astype(float))
    tests = []
    for candidate in (sample, dosed):
        comparison = comparison_of(candidate, post)
        fit = comparison.fit()
        assignments = draw_assignments(candidate.cluster, comparison.dose != 0, 999, 1)
        test = randomisation_test(comparison, assignments, float(fit.coefficients[0]), _cr1(comparison, fit), 0.9)
        tests.append((fit.coefficients[0], test.p_value, test.interval, test.statistics.tolist()))
    assert tests[0] == tests[1]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_doses_in_other_units_rescale_the_estimate_and_nothing_else(dosed: Comparison, factor: float) -> None:
    """Doses times c: estimate, errors and interval over c; t, randomisation p and bootstrap p as they were."""
    scaled = replace(dosed, dose=dosed.dose * factor)
    found = []
    for comparison in (dosed, scaled):
        fit = comparison.fit()
        estimate, error = float(fit.coefficients[0]), _cr1(comparison, fit)
        assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 999, 1)
        test = randomisation_test(comparison, assignments, estimate, error, 0.9)
        bootstrap = cluster_bootstrap(comparison, 512, 1, estimate, error, 0.9)
        sizes = np.array([estimate, error, cr3_std_error(comparison, fit), *test.interval, *bootstrap.interval])
        found.append((sizes, test.statistics, (test.p_value, bootstrap.p_value)))
    assert np.isfinite(found[0][0]).all()
    assert found[1][0] * factor == pytest.approx(found[0][0], abs=1e-4)  # ends are sought to 1e-5 of a log point
    assert found[1][0][:3] * factor == pytest.approx(found[0][0][:3], rel=1e-7)
    assert found[1][1] == pytest.approx(found[0][1], abs=1e-8)
    assert found[1][2] == found[0][2]


def test_every_assignment_of_unequal_doses_is_listed() -> None:
    """Two sites with shares 0.4 and 0.9 among five: twenty ordered choices, not ten, are what chance could have made."""
    sample, post = make_sample(list(range(5)), [0, 1], 8, seed=3)
    comparison = replace(comparison_of(sample, post), dose=np.array([0.4, 0.9, 0, 0, 0]))
    assignments = draw_assignments(comparison.cluster, comparison.dose, 999, 1)
    assert assignments.exact
    columns = {tuple(column) for column in assignment_matrix(assignments, comparison).toarray().T.round(12)}
    assert columns == set(permutations((0.4, 0.9, 0.0, 0.0, 0.0)))


# Jackknife


@pytest.mark.slow
def test_the_poisson_jackknife_is_a_loop_of_pyfixest() -> None:
    """Every site left out and fepois run on the rest; the site of two units leaves as one."""
    sample, post = make_sample(SITES, [0, 3, 5], 12, seed=59, missing=0.1, effect=-0.1, noise=0.08)
    comparison = comparison_of(sample, post)
    unit, month = np.nonzero(sample.observed)
    table = pd.DataFrame(
        {
            "y": sample.counts[unit, month], "offset": np.log(sample.population[unit, month]), "unit": unit,
            "month": month, "site": sample.cluster[unit], "x": comparison.treatment[unit, month],
        }
    )  # fmt: skip
    estimates = [
        pyfixest.fepois(
            "y ~ x | unit + month", table[table.site != site], offset="offset", iwls_tol=1e-12, iwls_maxiter=100,
            demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12),
        ).coef()["x"]
        for site in range(9)
    ]  # fmt: skip
    fit = comparison.fit()
    expected = np.sqrt(8 / 9 * ((np.array(estimates) - fit.coefficients[0]) ** 2).sum())
    assert cr3_std_error(comparison, fit) == pytest.approx(expected, rel=1e-6)


def test_without_its_only_treated_site_there_is_no_jackknife() -> None:
    """One treated site, or one untreated: leaving it out leaves nothing to compare, which is said."""
    for treated in ([4], [site for site in range(9) if site != 4]):
        sample, post = make_sample(SITES, treated, 12, seed=61)
        comparison = comparison_of(sample, post)
        with pytest.raises(NotIdentified, match="leaves no comparison"):
            cr3_std_error(comparison, comparison.fit())


# Critical values by counting


def test_critical_value_is_the_largest_statistic_that_is_not_rejected() -> None:
    """Forty draws at 95%: only a statistic above all others has p = 1/40 < 5%; at 90% one among the three largest."""
    others = np.arange(1.0, 40.0)
    rng = np.random.default_rng(1)
    for level, limit in ((0.95, 39.0), (0.90, 37.0)):
        mixed = np.r_[0.0, rng.permutation(others) * rng.choice([-1, 1], 39)]
        assert critical_value(mixed, level) == limit
        for actual, rejected in ((limit + 0.5, True), (limit - 0.5, False)):
            assert (p_value(np.r_[actual, mixed[1:]]) < 1 - level - 1e-12) == rejected
    assert critical_value(np.r_[0.0, np.arange(1.0, 20.0)], 0.95) == np.inf  # p is never below 1/20
    assert critical_value(np.r_[0.0, np.arange(1.0, 21.0)], 0.95) == 20.0
