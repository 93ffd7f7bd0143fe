"""Pseudo-cohorts: each placebo fitted by itself, and the interval as the set of effects that the test does not reject.

Tolerances. One least-squares fit against another 1e-8. Ends of intervals: 1e-6 log points on either side, and the test decides.
The size of the test: 5% within three Monte Carlo standard errors and what ties add.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from synthetic import make_sample, months, row_of

from analysis.estimation.its.estimates import its_path, its_rows
from analysis.estimation.its.groups import Groups, leave_one_out
from analysis.estimation.its.pseudo_cohorts import Beside, Judgement, PseudoCohorts, placebo_sets
from analysis.estimation.its.segments import Segments, segments
from analysis.estimation.its.terms import AGAINST_SYNTHETIC, CONTROLLED, PSEUDO_COHORTS
from analysis.estimation.regression.poisson import fitted_without_treatment
from analysis.estimation.regression.sample import Sample
from analysis.estimation.synthetic.synthetic import Pool, synthetic_designs
from analysis.estimation.synthetic.synthetic_fit import SYNTHETIC_CONTROL, fit_synthetic
from analysis.protocol.protocol import Protocol

START, MONTHS, SEED = 24, 60, 5
TERMS = ["level", "slope", "effect_12", "effect_24", "effect_36", "effect_mean", "trend_before"]
OUTCOME = "non_elective_admissions"
DAYS = months().days_in_month.to_numpy()


def groups_of(sample: Sample, protocol: Protocol, draws: int = 999, **choices: Any) -> Groups:
    specification = protocol.specification("primary").model_copy(update=choices)
    pseudo = PseudoCohorts(sample.only(~sample.treated), draws, SEED, specification.fill_masked)
    return Groups(sample, protocol.outcome(OUTCOME), specification, protocol, pseudo)


@pytest.fixture(scope="module")
def design(protocol: Protocol) -> Segments:
    return segments(
        months(), months()[START], protocol.its, protocol.outcome(OUTCOME), protocol.specification("primary")
    )


def whole_counts(sample: Sample) -> np.ndarray:
    """Counts with what is masked filled by the model without treatment."""
    return np.where(sample.observed, sample.counts, fitted_without_treatment(sample) * sample.population_full)


def log_ratio(counts: np.ndarray, people: np.ndarray, weights: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The weighted group's log rate less that of the others, by definition."""
    ours = (weights @ counts) / (weights @ people * DAYS)
    theirs = counts[others].sum(axis=0) / (people[others].sum(axis=0) * DAYS)
    return np.log(ours / theirs)


def t_statistic(log_rates: np.ndarray, matrix: np.ndarray, contrast: np.ndarray) -> tuple[float, float]:
    fit = sm.OLS(log_rates, matrix).fit()
    estimate = float(contrast @ fit.params)
    return estimate, estimate / float(np.sqrt(contrast @ fit.cov_params() @ contrast))


def by_brute_force(sample: Sample, design: Segments, contrast: np.ndarray, doses: np.ndarray) -> np.ndarray:
    """The actual statistic and that of every set of controls, each by statsmodels; doses in the order of the set."""
    counts, people = whole_counts(sample), sample.population_full
    actual = log_ratio(counts, people, sample.dose * sample.treated, ~sample.treated)
    controls = sample.only(~sample.treated)
    counts, people = whole_counts(controls), controls.population_full
    number = len(controls.units)
    found = [t_statistic(actual, design.matrix, contrast)[1]]
    for chosen in combinations(range(number), len(doses)):
        weights = np.zeros(number)
        weights[list(chosen)] = np.sort(doses)
        ratio = log_ratio(counts, people, weights, weights == 0)
        found.append(t_statistic(ratio, design.matrix, contrast)[1])
    return np.array(found)


def rejected(statistics: np.ndarray, level: float = 0.05) -> bool:
    """Fewer than one in twenty are as far out as the actual one, which counts itself."""
    share = (np.abs(statistics) >= np.abs(statistics[0]) * (1 - 1e-9)).mean()
    return bool(share < level - 1e-12)


# Against the definition


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.03])
@pytest.mark.parametrize("treated", [[3], [0, 4]])
def test_p_is_the_share_of_sets_that_are_as_far_out(
    protocol: Protocol, design: Segments, treated: list[int], missing: float
) -> None:
    """Every set of the controls, and no treated place in any; each set against the controls that are not in it."""
    sample, _ = make_sample(list(range(12)), treated, MONTHS, seed=14, missing=missing, effect=-0.06)
    one = groups_of(sample, protocol).of(CONTROLLED)
    assert one.judge is not None
    for term in TERMS:
        contrast = design.contrasts[term]
        brute = by_brute_force(sample, design, contrast, np.ones(len(treated)))
        found = one.judge(contrast)
        assert found.statistics == pytest.approx(brute, rel=1e-7, abs=1e-8)
        assert found.p_value == pytest.approx((np.abs(brute) >= np.abs(brute[0]) - 1e-9).mean(), abs=1e-12)
        estimate, statistic = t_statistic(one.series.log_rate, design.matrix, contrast)
        assert found.estimate == pytest.approx(estimate, abs=1e-9)
        assert found.std_error == pytest.approx(abs(estimate / statistic), rel=1e-8)
    sets = len(list(combinations(range(12 - len(treated)), len(treated))))
    kind = "single controls" if len(treated) == 1 else "sets of 2 controls"
    assert one.notes == f"pseudo-cohorts: all {kind}, {sets} of them"


def test_the_treated_places_are_in_no_pseudo_cohort_and_in_no_comparison(protocol: Protocol, design: Segments) -> None:
    """What the programme did, however large, moves the actual statistic and none of the others."""
    sample, _ = make_sample(list(range(12)), [0, 1], MONTHS, seed=3)
    factor = np.exp(-0.7 * np.outer(sample.treated, np.arange(MONTHS) >= START))
    changed = replace(sample, counts=sample.counts * factor)
    contrast = design.contrasts["effect_mean"]
    found = []
    for each in (sample, changed):
        judge = groups_of(each, protocol).of(CONTROLLED).judge
        assert judge is not None
        found.append(judge(contrast))
    assert found[1].statistics[1:] == pytest.approx(found[0].statistics[1:], abs=1e-12)
    assert found[1].estimate == pytest.approx(found[0].estimate - 0.7, abs=1e-9)


@pytest.mark.cases(quick=5)
@pytest.mark.parametrize(("term", "shape"), [("level", 0), ("effect_36", 0), ("effect_mean", 0), ("slope", 1)])
@pytest.mark.parametrize("controls", [39, 40, 60])
def test_the_interval_is_the_set_of_effects_that_are_not_rejected(
    design: Segments, term: str, shape: int, controls: int
) -> None:
    """Taking a constant effect (or, of a slope, a growing one) out of the actual series, just inside and just outside."""
    generator = np.random.default_rng(controls)
    rates = generator.normal(0, 0.03, (controls + 1, MONTHS)) + generator.normal(0, 0.02, (controls + 1, 1))
    contrast = design.contrasts[term]
    time = np.arange(MONTHS)
    change = (time >= START) * (time - START if shape else 1.0)
    assert contrast @ np.linalg.lstsq(design.matrix, change, rcond=None)[0] == pytest.approx(1)
    low, high = Beside(rates[0], rates[1:], design, 0.95)(contrast).interval
    assert -np.inf < low < high < np.inf

    def rejects(effect: float) -> bool:
        everyone = [rates[0] - effect * change, *rates[1:]]
        return rejected(np.array([t_statistic(each, design.matrix, contrast)[1] for each in everyone]))

    near = 1e-6 * (high - low)
    assert [rejects(at) for at in (low - near, low + near, (low + high) / 2, high - near, high + near)] == [
        True, False, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(("controls", "bounded"), [(18, False), (19, False), (20, True), (21, True)])
def test_with_too_few_sets_nothing_is_rejected(design: Segments, controls: int, bounded: bool) -> None:
    """Of twenty statistics the rarest has a p of exactly 5%, which does not reject: twenty controls are the fewest."""
    rates = np.random.default_rng(2).normal(0, 0.03, (controls + 1, MONTHS))
    rates[0, START:] -= 5.0
    found = Beside(rates[0], rates[1:], design, 0.95)(design.contrasts["level"])
    assert found.p_value == pytest.approx(1 / (controls + 1), abs=1e-12)
    assert np.isfinite(found.interval).all() == bounded
    assert (found.interval[1] < 0) == bounded
    if not bounded:
        assert found.interval == (-np.inf, np.inf)


def test_the_critical_value_is_the_statistic_that_others_reach_too_often() -> None:
    """Forty statistics at 95%: the second largest of all still has p = 2/40; the one that must be passed is the largest."""
    design = Segments(months(4), ("constant",), np.ones((4, 1)), np.zeros((4, 1)), np.ones(4, bool), {})
    noise = np.array([1.0, -1, 1, -1])
    error = np.sqrt(4 / 3) / 2
    placebos = np.arange(1, 40)[:, None] / 10 + noise
    found: Judgement = Beside(0.75 + noise, placebos, design, 0.95)(np.ones(1))
    assert found.std_error == pytest.approx(error, rel=1e-12)
    assert found.statistics[:3] == pytest.approx(np.array([0.75, 0.1, 0.2]) / error, rel=1e-12)
    assert found.critical_value == pytest.approx(3.9 / error, rel=1e-12)
    assert found.p_value == pytest.approx(33 / 40, abs=1e-12)
    assert found.interval == pytest.approx((0.75 - 3.9, 0.75 + 3.9), rel=1e-12)
    assert Beside(0.75 + noise, placebos, design, 0.9)(np.ones(1)).critical_value == pytest.approx(3.7 / error)


# Which sets


def test_few_sets_are_all_listed_and_many_are_drawn() -> None:
    every, all_of_them = placebo_sets(7, 3, 35, SEED)
    assert all_of_them and sorted(map(tuple, every.tolist())) == list(combinations(range(7), 3))
    drawn, all_of_them = placebo_sets(7, 3, 34, SEED)
    assert not all_of_them and drawn.shape == (34, 3)
    many, _ = placebo_sets(40, 4, 5000, SEED)
    assert all(len(set(row)) == 4 for row in many.tolist())
    assert np.bincount(many.ravel(), minlength=40) == pytest.approx(500, abs=5 * np.sqrt(450))
    assert np.array_equal(placebo_sets(40, 4, 50, 1)[0], placebo_sets(40, 4, 50, 1)[0])
    assert not np.array_equal(placebo_sets(40, 4, 50, 1)[0], placebo_sets(40, 4, 50, 2)[0])


def test_random_sets_are_those_of_the_seed_and_are_said_to_be(protocol: Protocol, design: Segments) -> None:
    sample, _ = make_sample(list(range(12)), [0, 1], MONTHS, seed=14)
    one = groups_of(sample, protocol, draws=20).of(CONTROLLED)
    assert one.judge is not None
    assert one.notes == "pseudo-cohorts: random sets of 2 controls, 20 of them"
    found = one.judge(design.contrasts["level"])
    every = by_brute_force(sample, design, design.contrasts["level"], np.ones(2))
    where = {chosen: k for k, chosen in enumerate(combinations(range(10), 2), start=1)}
    drawn = placebo_sets(10, 2, 20, SEED)[0]
    expected = [every[where[tuple(sorted(each))]] for each in drawn.tolist()]
    assert found.statistics[1:] == pytest.approx(expected, rel=1e-7)


def test_a_set_with_a_month_without_counts_is_left_out_and_counted(protocol: Protocol) -> None:
    """A control without a count in one month is in no set of its own; with another it is."""
    sample, _ = make_sample(list(range(12)), [0], MONTHS, seed=14)
    counts = sample.counts.copy()
    counts[5, 30] = 0.0
    empty = replace(sample, counts=counts)
    assert groups_of(empty, protocol).of(CONTROLLED).notes == "pseudo-cohorts: all single controls, 10 of them"
    two = replace(empty, treated=np.arange(12) < 2)
    assert groups_of(two, protocol).of(CONTROLLED).notes == "pseudo-cohorts: all sets of 2 controls, 45 of them"


def test_places_covered_in_part_count_with_their_part(protocol: Protocol, design: Segments) -> None:
    """The group is weighted by its shares; a pseudo-cohort has the same shares, from the smallest on; the note says it."""
    sample, _ = make_sample(list(range(12)), [2, 7], MONTHS, seed=21, missing=0.02)
    share = np.zeros(12)
    share[[2, 7]] = 1.0, 0.4
    dosed = replace(sample, share=share)
    one = groups_of(dosed, protocol).of(CONTROLLED)
    assert one.judge is not None
    contrast = design.contrasts["effect_24"]
    brute = by_brute_force(dosed, design, contrast, np.array([1.0, 0.4]))
    assert one.judge(contrast).statistics == pytest.approx(brute, rel=1e-7)
    assert "places weighted by the share covered; the part not covered dilutes the effect" in one.notes
    assert "weighted" not in groups_of(sample, protocol).of(CONTROLLED).notes
    whole = by_brute_force(sample, design, contrast, np.ones(2))
    assert np.abs(whole - brute).max() > 0.1


def test_rows_are_the_judgements_of_the_contrasts(protocol: Protocol) -> None:
    sample, _ = make_sample(list(range(12)), [0, 1], MONTHS, seed=14, effect=-0.06)
    one = groups_of(sample, protocol).of(CONTROLLED)
    assert one.judge is not None
    rows = its_rows(one, CONTROLLED, [], protocol)
    assert {row["inference"] for row in rows} == {PSEUDO_COHORTS}
    for term in TERMS:
        row, found = row_of(rows, term), one.judge(one.design.contrasts[term])
        assert (row["estimate"], row["std_error"], row["p_value"]) == (found.estimate, found.std_error, found.p_value)
        assert (row["ci_low"], row["ci_high"]) == found.interval
        assert row["notes"] == one.notes
    half = (row_of(rows, "slope")["ci_high"] - row_of(rows, "slope")["ci_low"]) / 2
    assert row_of(rows, "mde_cits_slope")["estimate"] == pytest.approx(2.8015852 / 1.9599640 * half, rel=1e-6)


# How often it rejects


def test_exchangeable_places_are_rejected_one_time_in_twenty(protocol: Protocol, design: Segments) -> None:
    """Forty places that wander with φ = 0.9, far from what least squares supposes: 5%, where Student's t rejects far oftener."""
    generator = np.random.default_rng(17)
    runs, places = 500, 40
    noise = generator.normal(0, 0.02, (runs, places, MONTHS + 40))
    for t in range(1, MONTHS + 40):
        noise[:, :, t] += 0.9 * noise[:, :, t - 1]
    rates = noise[:, :, 40:]
    contrast = design.contrasts["effect_36"]
    p_values, by_student = [], []
    for run in rates:
        actual = run[0] - run[1:].mean(axis=0)
        placebos = run[1:] - (run[1:].sum(axis=0) - run[1:]) / (places - 2)
        found = Beside(actual, placebos, design, 0.95)(contrast)
        p_values.append(found.p_value)
        by_student.append(abs(found.statistics[0]) > 2.0)
        assert (found.p_value < 0.05 - 1e-9) == (not found.interval[0] <= 0 <= found.interval[1])
    share = (np.array(p_values) <= 0.05 + 1e-9).mean()
    assert share == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / runs) + 0.002)
    assert np.mean(p_values) == pytest.approx(0.5 * 41 / 40, abs=0.04)
    assert np.mean(by_student) > 0.3


def test_an_effect_far_beyond_chance_is_found(protocol: Protocol) -> None:
    sample, _ = make_sample(list(range(62)), [0, 1], MONTHS, seed=14, noise=0.01)
    factor = np.exp(-0.4 * np.outer(sample.treated, np.arange(MONTHS) >= START))
    changed = replace(sample, counts=sample.counts * factor)
    row = row_of(its_rows(groups_of(changed, protocol).of(CONTROLLED), CONTROLLED, [], protocol), "effect_mean")
    assert row["p_value"] == pytest.approx(1 / 1000, abs=1e-9)
    assert row["ci_low"] < -0.4 < row["ci_high"] < 0


# Against a synthetic control


def test_the_series_against_its_synthetic_control(protocol: Protocol, design: Segments) -> None:
    """Gaps from the weights that the synthetic design reports; every placebo's from a fit of its own."""
    fewer = protocol.model_copy(update={"inference": protocol.inference.model_copy(update={"variant_draws": 60})})
    sample, _ = make_sample(list(range(12)), [0, 1], MONTHS, seed=31, effect=-0.08)
    pool = Pool(sample, SEED, fewer)
    one = groups_of(sample, fewer).against_synthetic(pool)
    assert one.judge is not None
    assert one.notes == "placebos: all sets of 2 controls, 45 of them"
    rates = np.log(sample.counts / (sample.population_full * DAYS))
    people = sample.population_full
    ours = np.log(sample.counts[:2].sum(axis=0) / (people[:2].sum(axis=0) * DAYS))
    _, _, named, paths = synthetic_designs(sample, SEED, fewer, pool)
    weights = named[(named.design == SYNTHETIC_CONTROL) & (named.kind == "unit")].set_index("name").weight
    synthetic = weights.reindex(sample.units[2:], fill_value=0.0).to_numpy() @ rates[2:]
    assert one.series.log_rate == pytest.approx(ours - synthetic, abs=1e-9)
    path = paths[paths.design == SYNTHETIC_CONTROL]
    assert one.series.log_rate == pytest.approx((path.observed - path.synthetic).to_numpy(), abs=1e-9)
    assert one.series.counts == pytest.approx(sample.counts[:2].sum(axis=0))
    gaps = [ours - synthetic]
    for chosen in combinations(range(10), 2):
        at = np.array(chosen) + 2
        target = np.log(sample.counts[at].sum(axis=0) / (people[at].sum(axis=0) * DAYS))
        donors = np.ones((1, 10), bool)
        donors[0, list(chosen)] = False
        gaps.append(fit_synthetic(rates[2:], target[None], donors, START, SYNTHETIC_CONTROL, 2).gaps[0])
    for term in ("level", "slope", "effect_mean"):
        contrast = design.contrasts[term]
        brute = np.array([t_statistic(gap, design.matrix, contrast)[1] for gap in gaps])
        found = one.judge(contrast)
        assert found.statistics == pytest.approx(brute, rel=1e-4, abs=1e-5)
        assert found.p_value == pytest.approx((np.abs(brute) >= np.abs(brute[0]) - 1e-9).mean(), abs=1e-12)
    rows = its_rows(one, AGAINST_SYNTHETIC, [], fewer)
    assert {row["design"] for row in rows} == {AGAINST_SYNTHETIC, "power"}
    assert isinstance(its_path(one, fewer), pd.DataFrame)


def test_leaving_out_a_site_is_the_departure_of_the_others(protocol: Protocol) -> None:
    """Each row is the late departure of a sample without that site, beside sets of as many units as are left."""
    sample, _ = make_sample([0, 0, 1, *range(2, 22)], [0, 1], 60, seed=12)
    specification = protocol.specification("primary")
    few = protocol.model_copy(update={"its": protocol.its.model_copy(update={"pseudo_cohorts": 99})})

    def groups(of: Sample) -> Groups:
        controls = PseudoCohorts(of.only(~of.treated), 99, 3)
        return Groups(of, few.outcome(few.primary_outcomes[0].id), specification, few, controls)

    rows = leave_one_out(groups(sample))
    assert sample.site is not None
    for site, units in (("Site 0", 1), ("Site 1", 2)):
        one = groups(sample.only(~(sample.treated & (sample.site == site)))).of("cits")
        assert one.judge is not None
        expected = one.judge(one.design.contrasts["effect_36"])
        row = row_of(rows, f"effect_36_without_{site.lower().replace(' ', '_')}")
        assert (row["estimate"], row["ci_low"], row["p_value"]) == (
            expected.estimate, expected.interval[0], expected.p_value,
        )  # fmt: skip
        sets = "single controls" if units == 1 else f"sets of {units} controls"
        assert row["notes"].startswith(f"without {site}; ") and sets in row["notes"]
