"""Published data sets through the package's own estimators, against R (data/reference) and textbooks.

Tolerances. R's numbers have 15 digits; two dense solvers agree to 1e-9 of a log point in coefficients and 1e-7 of
their size in standard errors. Textbook numbers are tested to the digits printed. A bootstrap with random signs is
compared within four Monte Carlo standard errors.

Conventions. ``cr1_covariance`` is CR1 = G/(G − 1) and nothing else: R's ``vcovCL(type = "HC0", cadjust = TRUE)``. It is
not fixest's default, which counts the month effects too. ``cr3_std_error`` carries (G − 1)/G: R's jackknife with that
factor. clubSandwich's CR3 and pyfixest's CRV3 with ``G_adj=False`` are larger by √(G/(G − 1)).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyfixest
import pytest
from causaldata import castle, organ_donations
from scipy.stats import t as student

from analysis.estimation.inference.bootstrap import cluster_bootstrap
from analysis.estimation.inference.clustered import cr1_covariance, cr3_std_error, t_interval
from analysis.estimation.inference.multiple import holm
from analysis.estimation.inference.randomisation import (
    RandomisationTest,
    assignment_matrix,
    draw_assignments,
    randomisation_test,
    statistics,
)
from analysis.estimation.regression.absorbed import Nuisance, two_way
from analysis.estimation.regression.log_rate import LogRate
from analysis.estimation.regression.regression import Comparison, Fit

# pyfixest's own calls of pandas, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")


@pytest.fixture(scope="module")
def from_r(published_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((published_folder / "reference/r/reference.json").read_text())
    return found


@dataclass(frozen=True)
class Staggered(Comparison):
    """A comparison in which ``dose`` is the treatment of every cell (n × T): places that start at different times."""

    @property
    def treatment(self) -> np.ndarray:
        return self.dose

    def without_cluster(self, cluster: int) -> Comparison:
        return Staggered(**vars(super().without_cluster(cluster)))


def _wide(table: pd.DataFrame, unit: str, time: str, value: str) -> pd.DataFrame:
    return table.pivot(index=unit, columns=time, values=value).sort_index().astype(float)


def _plain(values: pd.DataFrame, treatment: pd.DataFrame, weight: pd.Series | None = None) -> Staggered:
    """Least squares of ``values`` on unit and time effects and ``treatment``, every row a cluster."""
    n = len(values)
    model = LogRate(values.to_numpy(), two_way(*values.shape), np.ones(n) if weight is None else weight.to_numpy(float))
    return Staggered(model, treatment.to_numpy(float), np.ones(values.shape[1], bool), np.arange(n))


def _cr1(comparison: Comparison, fit: Fit) -> float:
    return float(np.sqrt(cr1_covariance(fit.bread, fit.unit_scores, comparison.cluster)[0, 0]))


# County teen employment (mpdta): 500 counties, 2003–2007, staggered minimum wages


@pytest.fixture(scope="module")
def counties(published_folder: Path) -> Staggered:
    table = pd.read_csv(published_folder / "reference/mpdta.csv")
    table["on"] = (table["first.treat"] > 0) & (table.year >= table["first.treat"])
    return _plain(*(_wide(table, "countyreal", "year", name) for name in ("lemp", "on")))


def test_mpdta_two_way_fixed_effects(counties: Staggered, from_r: dict[str, Any]) -> None:
    """The estimate −0.036549 of R, and CR1 in the convention G/(G − 1); fixest's 0.013265 counts month effects besides."""
    fit, twfe = counties.fit(), from_r["mpdta"]["twfe"]
    assert fit.coefficients[0] == pytest.approx(-0.036549, abs=5e-7)
    assert fit.coefficients[0] == pytest.approx(twfe["coef"]["treat_post"], abs=1e-9)
    error, by_convention = _cr1(counties, fit), twfe["se_by_arithmetic"]
    assert error == pytest.approx(by_convention["CR1"]["treat_post"], rel=1e-7)
    assert error == pytest.approx(twfe["se_sandwich_vcovCL"]["HC0_cadjust_true"]["treat_post"], rel=1e-7)
    assert error * np.sqrt(499 / 500) == pytest.approx(by_convention["CR0"]["treat_post"], rel=1e-7)
    fixest = error * np.sqrt((2500 - 1) / (2500 - 6))
    assert fixest == pytest.approx(by_convention["CR1_nested_not_counted"]["treat_post"], rel=1e-7)
    assert fixest == pytest.approx(0.013265, abs=5e-7)


@pytest.mark.slow
def test_mpdta_jackknife(counties: Staggered, from_r: dict[str, Any]) -> None:
    """CR3 is the jackknife about the full estimate with (G − 1)/G; without that factor it is clubSandwich's CR3."""
    error, r = cr3_std_error(counties, counties.fit()), from_r["mpdta"]
    with_factor = r["jackknife"]["CR3_jackknife_with_factor_G_minus_1_over_G"]["treat_post"]
    assert error == pytest.approx(with_factor, rel=1e-7)
    without = error * np.sqrt(500 / 499)
    assert without == pytest.approx(r["jackknife"]["sum_of_squares_about_full_estimate"]["treat_post"], rel=1e-7)
    assert without == pytest.approx(r["clubsandwich_unit_absorbed"]["CR3"]["treat_post"]["se"], rel=1e-7)


@pytest.mark.slow
def test_mpdta_wild_bootstrap(counties: Staggered, from_r: dict[str, Any]) -> None:
    """The statistic that is bootstrapped is R's t with CR0 but for G/(G − 1), and p is R's of 99,000 draws."""
    fit, wild = counties.fit(), from_r["mpdta"]["wild_cluster_restricted_rademacher"]
    draws = 9999
    found = cluster_bootstrap(counties, draws, 20150401, fit.coefficients[0], _cr1(counties, fit), 0.95)
    assert found.statistics[0] * np.sqrt(500 / 499) == pytest.approx(wild["t_CR0"], rel=1e-7)
    assert not found.exact and len(found.statistics) == draws + 1
    error = np.hypot(wild["monte_carlo_se"], np.sqrt(wild["p"] / draws))
    assert abs(found.p_value - wild["p"]) < 4 * error
    # With 500 clusters of which many are treated the inverted interval is all but Student's with CR1.
    assert found.interval == pytest.approx(t_interval(fit.coefficients[0], _cr1(counties, fit), 499, 0.95)[0], abs=2e-3)


# Twelve clusters, three treated, and every one of the 4,096 sign vectors


@pytest.fixture(scope="module")
def twelve(from_r: dict[str, Any]) -> Comparison:
    """R's regression y ~ 1 + x + treated as a panel: y after nought, so that unit effects leave the change alone."""
    data = pd.DataFrame(from_r["wild_enumerated"]["data"])
    ones = np.ones(len(data))
    values = np.column_stack([0 * ones, data.y])
    model = LogRate(values, Nuisance(np.ones((2, 1)), np.column_stack([ones, data.x])), ones)
    return Comparison(model, data.treated.to_numpy(float), np.array([False, True]), data.cluster.to_numpy() - 1)


def test_the_enumerated_wild_bootstrap_is_exact(twelve: Comparison, from_r: dict[str, Any]) -> None:
    """Estimate, CR1, CR3 and the p-value over all 4,096 sign vectors are R's: p to the last draw, 638 of 4,096."""
    r, fit = from_r["wild_enumerated"], twelve.fit()
    assert fit.coefficients[0] == pytest.approx(r["coef"]["treated"], abs=1e-12)
    assert _cr1(twelve, fit) == pytest.approx(r["clubsandwich"]["CR1"]["treated"]["se"], rel=1e-10)
    found_cr3 = cr3_std_error(twelve, fit) * np.sqrt(12 / 11)
    assert found_cr3 == pytest.approx(r["clubsandwich"]["CR3"]["treated"]["se"], rel=1e-10)
    found = cluster_bootstrap(twelve, r["draws"], 1, fit.coefficients[0], _cr1(twelve, fit), 0.95)
    assert found.exact and len(found.statistics) == 4096
    assert found.statistics[0] * np.sqrt(12 / 11) == pytest.approx(r["t_CR0"], rel=1e-10)
    assert found.p_value == r["restricted"]["p_at_least"] == 638 / 4096
    t = np.abs(found.statistics)
    assert (t > t[0] * (1 + 1e-9)).mean() == r["restricted"]["p_strictly_above"]
    lower = (found.statistics <= found.statistics[0] + 1e-9).mean()
    upper = (found.statistics >= found.statistics[0] - 1e-9).mean()
    assert 2 * min(lower, upper) == r["restricted"]["p_equal_tailed"]


def test_one_draw_fewer_than_the_sign_vectors_is_random(twelve: Comparison) -> None:
    """4,095 draws cannot list 4,096 vectors: they are random, and p is near the exact one (4 Monte Carlo errors)."""
    found = cluster_bootstrap(twelve, 4095, 7, 0.68, 0.375, 0.95)
    assert not found.exact and len(found.statistics) == 4096
    exact = 638 / 4096
    assert 0 < abs(found.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / 4095)


# Medicaid expansion: an event study with seven coefficients


def test_medicaid_event_study_and_its_whole_covariance(published_folder: Path, from_r: dict[str, Any]) -> None:
    """Coefficients, errors and every covariance are R's, in its CR0 and CR1; fixest's counts 15 columns more."""
    table = pd.read_csv(published_folder / "reference/medicaid_ehec.csv")
    table = table[(table.year < 2016) & (table.yexp2 != 2015)]
    values = _wide(table, "stfips", "year", "dins")
    treated = (table.drop_duplicates("stfips").set_index("stfips").yexp2 == 2014)[values.index].to_numpy()
    years = [year for year in values.columns if year != 2013]
    regressors = np.stack([np.outer(treated, values.columns == year) for year in years]).astype(float)
    fit = LogRate(values.to_numpy(), two_way(*values.shape), np.ones(len(values))).fit(regressors)
    r, clusters = from_r["medicaid"], len(values)
    assert (treated.sum(), clusters, values.size) == (22, 43, 344)
    order = [f"treated_{year}" for year in years]
    assert order == r["vcov_order"]
    assert fit.coefficients == pytest.approx([r["event_study"]["coef"][name] for name in order], abs=1e-10)
    assert fit.coefficients[-2:] == pytest.approx([0.0464, 0.0692], abs=5e-5)
    covariance = cr1_covariance(fit.bread, fit.unit_scores, np.arange(clusters))
    cr0 = covariance * (clusters - 1) / clusters
    assert np.allclose(cr0, r["vcov_CR0"], rtol=1e-8, atol=1e-15)
    for ours, name in ((cr0, "CR0"), (covariance, "CR1")):
        theirs = [r["event_study"]["se_by_arithmetic"][name][term] for term in order]
        assert np.sqrt(np.diag(ours)) == pytest.approx(theirs, rel=1e-8)
    fixest = covariance * (344 - 1) / (344 - 15)
    assert np.allclose(fixest, r["vcov_CR1_nested_not_counted"], rtol=1e-8, atol=1e-15)
    assert np.sqrt(np.diag(fixest))[-2:] == pytest.approx([0.00915, 0.01035], abs=5e-6)


# Organ donations: one treated state among 27 (Kessler & Roth 2014; Huntington-Klein, The Effect, ch. 18)


@pytest.fixture(scope="module")
def states() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rate by state and quarter; California is treated from the third quarter of 2011."""
    table = organ_donations.load_pandas().data
    table["time"] = table.Quarter.str[2:] + table.Quarter.str[:2]
    rate = _wide(table, "State", "time", "Rate")
    return rate, np.asarray(rate.index == "California"), np.asarray(rate.columns >= "2011Q3")


@pytest.fixture(scope="module")
def california(states: tuple[pd.DataFrame, np.ndarray, np.ndarray]) -> Comparison:
    rate, treated, post = states
    model = LogRate(rate.to_numpy(), two_way(*rate.shape), np.ones(len(rate)))
    return Comparison(model, treated.astype(float), post, np.arange(len(rate)))


def _randomised(comparison: Comparison, level: float) -> RandomisationTest:
    fit = comparison.fit()
    assignments = draw_assignments(comparison.cluster, comparison.dose != 0, 999, 1)
    return randomisation_test(comparison, assignments, float(fit.coefficients[0]), _cr1(comparison, fit), level)


def test_organ_donations_is_a_difference_of_differences(
    states: tuple[pd.DataFrame, np.ndarray, np.ndarray], california: Comparison
) -> None:
    """The four means give the estimate; the book prints −0.022 and a clustered error of 0.006."""
    rate, treated, post = states
    y = rate.to_numpy()
    change = y[:, post].mean(axis=1) - y[:, ~post].mean(axis=1)
    fit = california.fit()
    assert fit.coefficients[0] == pytest.approx(change[treated][0] - change[~treated].mean(), abs=1e-12)
    assert fit.coefficients[0] == pytest.approx(-0.022, abs=5e-4)
    assert _cr1(california, fit) == pytest.approx(0.006, abs=5e-4)
    # One treated state fits itself, so that the error is the spread of the other 26 alone and far too small.
    spread = change[~treated] - change[~treated].mean()
    assert _cr1(california, fit) == pytest.approx(np.sqrt((spread**2).sum() / 26**2 * 27 / 26), abs=1e-12)


def test_organ_donations_p_cannot_be_below_one_in_27(
    states: tuple[pd.DataFrame, np.ndarray, np.ndarray], california: Comparison
) -> None:
    """All 27 assignments are listed and each statistic is arithmetic on 27 changes: California's is the fifth largest."""
    rate, _, post = states
    test = _randomised(california, 0.95)
    assert test.exact and len(test.statistics) == 27
    y = rate.to_numpy()
    change = y[:, post].mean(axis=1) - y[:, ~post].mean(axis=1)
    by_hand = []
    for state in np.r_[california.dose.argmax(), np.flatnonzero(california.dose == 0)]:
        others = np.delete(change, state)
        error = np.sqrt(((others - others.mean()) ** 2).sum() / 26**2 * 27 / 26)
        by_hand.append((change[state] - others.mean()) / error)
    assert test.statistics == pytest.approx(by_hand, rel=1e-9)
    assert test.p_value == sum(np.abs(by_hand) >= abs(by_hand[0]) - 1e-12) / 27 == 5 / 27
    # Student's t with the same error says p = 0.001: the flag on one treated cluster is no formality.
    assert 2 * student.sf(abs(by_hand[0]), 26) < 0.002


@pytest.mark.parametrize(("level", "finite"), [(0.90, True), (0.95, True), (0.99, False)])
def test_one_treated_state_bounds_its_effect_only_up_to_its_27_assignments(
    california: Comparison, level: float, finite: bool
) -> None:
    """1/27 lies below 5% and above 1%: the interval has ends at 95% and none at 99%, and p turns at each end."""
    test = _randomised(california, level)
    assert np.isfinite(test.interval).all() == finite
    if not finite:
        assert test.interval == (-np.inf, np.inf)
        return
    assignments = draw_assignments(california.cluster, california.dose != 0, 999, 1)
    matrix, estimate = assignment_matrix(assignments, california), california.fit().coefficients[0]
    for end in test.interval:
        inside, outside = (
            np.abs(statistics(california, matrix, estimate + share * (end - estimate))) for share in (0.99, 1.01)
        )
        assert (inside >= inside[0] - 1e-9).mean() >= 1 - level > (outside >= outside[0] - 1e-9).mean()


# Castle doctrine: 50 states, 2000–2010, staggered laws (Cheng & Hoekstra 2013)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_castle_doctrine_against_pyfixest(weighted: bool) -> None:
    """Homicide on self-defence laws, plain and weighted by population: estimate, CR1 and CR3 are pyfixest's."""
    table = castle.load_pandas().data.astype({"popwt": float, "l_homicide": float})
    weight = table.groupby("sid").popwt.first() if weighted else None
    comparison = _plain(*(_wide(table, "sid", "year", name) for name in ("l_homicide", "post")), weight)
    fit = comparison.fit()

    def theirs(method: str, adjusted: bool) -> pyfixest.Feols:
        return pyfixest.feols(
            "l_homicide ~ post | sid + year", table, vcov={method: "sid"}, weights="popwt" if weighted else None,
            demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12), ssc=pyfixest.ssc(k_adj=False, G_adj=adjusted),
        )  # fmt: skip

    assert (comparison.clusters, int(comparison.dose.any(axis=1).sum())) == (50, 21)
    oracle = theirs("CRV1", True)
    assert fit.coefficients[0] == pytest.approx(oracle.coef()["post"], abs=1e-9)
    assert _cr1(comparison, fit) == pytest.approx(oracle.se()["post"], rel=1e-7)
    jackknife = theirs("CRV3", False).se()["post"]
    assert cr3_std_error(comparison, fit) == pytest.approx(jackknife * np.sqrt(49 / 50), rel=1e-6)


# More than one test


def test_holm_is_rs_with_ties(from_r: dict[str, Any]) -> None:
    """Nine p-values, two of them equal, in order and out of it."""
    r = from_r["multiple_testing"]
    assert holm(r["p"]) == pytest.approx(r["holm"], abs=1e-14)
    order = np.random.default_rng(4).permutation(len(r["p"]))
    assert holm(np.array(r["p"])[order].tolist()) == pytest.approx(np.array(r["holm"])[order], abs=1e-14)
    assert holm([0.4, 0.9, 0.6]) == [1.0, 1.0, 1.0]
    assert holm([0.03]) == [0.03]
