"""Segmented regression: series whose truth is known, arithmetic written out, and what the controlled series must be.

Tolerances. Parameters of series that depart from their segments only at right angles to them 1e-9: least squares gives them
back exactly, whatever the noise. A formula written out 1e-9 (inverses of one design by two routes). A numerical gradient 1e-6 of
the size. The noise at right angles is made from a design written out here, so that a column too many or too few shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.stats import norm
from scipy.stats import t as student
from synthetic import make_sample, months, row_of

from analysis.estimation.its.estimates import Interrupted, its_path, its_rows
from analysis.estimation.its.groups import Groups, placebo_starts
from analysis.estimation.its.methods import METHODS
from analysis.estimation.its.pseudo_cohorts import PseudoCohorts
from analysis.estimation.its.segments import Break, Segments, segments
from analysis.estimation.its.terms import ARIMA_ML, CONTROLLED, HAC, KENWARD_ROGER, OLS, PSEUDO_COHORTS, SINGLE
from analysis.estimation.regression.calendar import easter_share, working_days
from analysis.estimation.regression.poisson import fitted_without_treatment
from analysis.estimation.regression.sample import Sample
from analysis.estimation.regression.series import Series, cohort_series
from analysis.protocol.protocol import Protocol

START, MONTHS = 24, 60
CONSTANT, TREND = -6.0, 0.002
TIME = np.arange(MONTHS)
EXPOSURE = 90_000.0 + 500 * TIME
ORDINARY, PLANNED = "non_elective_admissions", "elective_admissions"


@dataclass(frozen=True)
class Case:
    """A way to model a series; ``breaks``: month number → size of a further step."""

    seasonality: str = "harmonics"
    phase_in: int = 0
    breaks: dict[int, float] = field(default_factory=dict)
    outcome: str = ORDINARY
    shift: int = 0

    @property
    def first(self) -> int:
        return START + self.shift + self.phase_in

    def nuisance(self) -> np.ndarray:
        """Everything but the programme, written out: T × columns."""
        month = months().month.to_numpy()
        columns: list[np.ndarray] = [np.ones(MONTHS), TIME]
        if self.seasonality == "harmonics":
            columns += [wave(2 * np.pi * k * month / 12) for k in (1, 2) for wave in (np.sin, np.cos)]
        else:
            columns += [month == m for m in range(1, 12)]
        if self.outcome == PLANNED:
            columns += [np.log(working_days(months()) / months().days_in_month.to_numpy()), easter_share(months())]
        columns += [np.equal(TIME, t) for t in range(START + self.shift, self.first)]
        columns += [np.greater_equal(TIME, t) for t in self.breaks]
        return np.column_stack(columns).astype(float)

    def without(self) -> np.ndarray:
        """The log rate if nothing had begun: no phasing in either."""
        generator = np.random.default_rng(4)
        matrix = self.nuisance()
        sizes = np.asarray(generator.normal(0, 0.05, matrix.shape[1]))
        sizes[:2] = [CONSTANT, TREND]
        steps = len(self.breaks)
        sizes[matrix.shape[1] - steps :] = list(self.breaks.values())
        sizes[matrix.shape[1] - steps - self.phase_in : matrix.shape[1] - steps] = 0
        return np.asarray(matrix @ sizes)

    def series(self, level: float, slope: float, noise: float = 0.02) -> Series:
        """With the programme, its phasing in at an odd level, and noise at right angles to the whole design."""
        since = TIME - self.first
        path = self.without() + (since >= 0) * (level + slope * since)
        path = path + np.where((since < 0) & (START + self.shift <= TIME), 0.3 * np.cos(TIME), 0.0)
        whole = np.column_stack([self.nuisance(), since >= 0, np.maximum(since, 0)])
        left = np.random.default_rng(5).normal(0, noise, MONTHS)
        left -= whole @ np.linalg.lstsq(whole, left, rcond=None)[0]
        return Series(months(), EXPOSURE * np.exp(path + left), EXPOSURE)

    def design(self, protocol: Protocol, trends: bool = True) -> Segments:
        choices = {"seasonality": self.seasonality, "phase_in": self.phase_in, "start_shift": self.shift}
        specification = protocol.specification("primary").model_copy(update=choices)
        breaks = [Break(months()[t], "a step") for t in self.breaks]
        start = months()[START + self.shift]
        outcome = protocol.outcome(self.outcome)
        return segments(months(), start, protocol.its, outcome, specification, breaks, trends)

    def interrupted(self, protocol: Protocol, level: float, slope: float, noise: float = 0.02) -> Interrupted:
        return Interrupted(self.series(level, slope, noise), self.design(protocol))


CASES = {
    "harmonics": Case(),
    "calendar months": Case(seasonality="calendar_months"),
    "phasing in": Case(phase_in=3),
    "six months of phasing in": Case(phase_in=6, seasonality="calendar_months"),
    "a break after": Case(breaks={50: -0.31}),
    "breaks before and after": Case(breaks={12: 0.1, 40: -0.2}),
    "working days and Easter": Case(outcome=PLANNED),
    "everything": Case("calendar_months", 3, {45: 0.12}, PLANNED),
    "a later start": Case(shift=3),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


# What is put in comes back


@pytest.mark.cases(quick=10)
@every_case
@pytest.mark.parametrize(("level", "slope"), [(0.0, 0.0), (-0.07, 0.0), (0.05, -0.004)])
def test_a_series_gives_back_its_parameters(protocol: Protocol, case: Case, level: float, slope: float) -> None:
    """Level in the first month after phasing in, slope, the effects by month of the programme, their mean, the trend."""
    rows = its_rows(case.interrupted(protocol, level, slope), SINGLE, [OLS, HAC], protocol)
    lasted = MONTHS - case.first
    expected = {
        "level": level,
        "slope": slope,
        "effect_12": level + (11 - case.phase_in) * slope,
        "effect_24": level + (23 - case.phase_in) * slope,
        "effect_36": level + (35 - case.phase_in) * slope,
        "effect_mean": level + (lasted - 1) / 2 * slope,
        "trend_before": TREND,
    }
    if case.shift > 0:
        del expected["effect_36"]  # the series ends before it
        assert not any(row["term"] == "effect_36" for row in rows)
    for method in (OLS, HAC):
        for term, truth in expected.items():
            assert row_of(rows, term, method)["estimate"] == pytest.approx(truth, abs=1e-9), term
            percent = row_of(rows, f"{term}_percent", method)
            assert percent["estimate"] == pytest.approx(100 * np.expm1(truth), abs=1e-6)
            assert percent["scale"] == "percent"
        assert {row["n_obs"] for row in rows} == {MONTHS} and {row["design"] for row in rows} <= {SINGLE, "power"}


@pytest.mark.cases(quick=17)
@every_case
@pytest.mark.parametrize(("level", "slope"), [(0.0, 0.0), (-0.07, 0.001)])
def test_the_cumulative_effect_is_the_sum_over_the_months_after(
    protocol: Protocol, case: Case, level: float, slope: float
) -> None:
    """Exposure × the rate without the programme × (e^effect − 1), month by month; fewer counts are below zero."""
    rows = its_rows(case.interrupted(protocol, level, slope), SINGLE, [OLS], protocol)
    after = case.first <= TIME
    effect = level + slope * (TIME - case.first)
    truth = (EXPOSURE * np.exp(case.without()) * np.expm1(effect))[after].sum()
    row = row_of(rows, "cumulative", OLS)
    assert row["estimate"] == pytest.approx(truth, rel=1e-9, abs=1e-6)
    assert row["scale"] == "count"
    assert row["estimate"] <= 1e-6


@pytest.mark.parametrize("method", [OLS, HAC, KENWARD_ROGER, ARIMA_ML])
def test_the_error_of_the_cumulative_effect_is_that_of_the_delta_method(protocol: Protocol, method: str) -> None:
    """Its gradient by central differences; the interval and p with the distribution that the method has for the mean effect."""
    case = Case(phase_in=3)
    one = case.interrupted(protocol, -0.06, 0.001)
    fit = METHODS[method](one.series, one.design, protocol.its)
    names = list(one.design.columns)
    after = case.first <= TIME

    def total(coefficients: np.ndarray) -> float:
        change = coefficients[names.index("level_change")] + coefficients[names.index("slope_change")] * (
            TIME - case.first
        )
        fitted = one.design.matrix @ coefficients
        return float((EXPOSURE * (np.exp(fitted) - np.exp(fitted - change)))[after].sum())

    steps = 1e-6 * np.eye(len(names))
    gradient = np.array([(total(fit.coefficients + s) - total(fit.coefficients - s)) / 2e-6 for s in steps])
    error = float(np.sqrt(gradient @ fit.covariance @ gradient))
    row = row_of(its_rows(one, SINGLE, [method], protocol), "cumulative", method)
    assert row["estimate"] == pytest.approx(total(fit.coefficients), rel=1e-9)
    assert row["std_error"] == pytest.approx(error, rel=1e-6)
    degrees = fit.degrees(one.design.contrasts["effect_mean"])
    reach = (norm.ppf(0.975) if np.isinf(degrees) else student.ppf(0.975, degrees)) * error
    assert row["ci_high"] - row["estimate"] == pytest.approx(reach, rel=1e-6)
    assert row["estimate"] - row["ci_low"] == pytest.approx(reach, rel=1e-6)
    t = abs(row["estimate"]) / error
    assert row["p_value"] == pytest.approx(2 * (norm.sf(t) if np.isinf(degrees) else student.sf(t, degrees)), rel=1e-5)


def test_the_error_of_the_cumulative_effect_covers_draws_of_the_coefficients(protocol: Protocol) -> None:
    """Coefficients drawn from their covariance spread the cumulative effect by its error."""
    one = Case().interrupted(protocol, -0.06, 0.0)
    fit = METHODS[OLS](one.series, one.design, protocol.its)
    draws = np.random.default_rng(1).multivariate_normal(fit.coefficients, fit.covariance, 4000)
    after = TIME >= START
    added = np.exp(draws @ one.design.matrix.T) - np.exp(draws @ (one.design.matrix - one.design.change).T)
    spread = (EXPOSURE * added)[:, after].sum(axis=1).std()
    row = row_of(its_rows(one, SINGLE, [OLS], protocol), "cumulative", OLS)
    assert row["std_error"] == pytest.approx(spread, rel=0.05)


# The step alone


@pytest.mark.parametrize("case", [Case(), Case(phase_in=3), Case(shift=-3)], ids=["plain", "phasing in", "earlier"])
def test_step_and_mean_effect_differ_by_the_trend_between_the_midpoints(protocol: Protocol, case: Case) -> None:
    """Without seasons: mean effect = step − trend before × months between the middles of the two sides."""
    bare = protocol.model_copy(update={"its": protocol.its.model_copy(update={"harmonics": 0})})
    series = case.series(-0.05, 0.002)  # its seasons are noise here
    fits = {trends: METHODS[OLS](series, case.design(bare, trends), bare.its) for trends in (True, False)}
    of = {trends: case.design(bare, trends).contrasts for trends in fits}
    step = of[False]["step"] @ fits[False].coefficients
    mean, trend = (of[True][term] @ fits[True].coefficients for term in ("effect_mean", "trend_before"))
    start = START + case.shift
    distance = (case.first + MONTHS - 1) / 2 - (start - 1) / 2
    assert mean == pytest.approx(step - trend * distance, abs=1e-11)
    before, after = series.log_rate[:start], series.log_rate[case.first :]
    assert step == pytest.approx(after.mean() - before.mean(), abs=1e-11)
    assert set(of[False]) == {"step"}


def test_the_step_alone_has_one_term_and_no_cumulative_effect(protocol: Protocol) -> None:
    one = Interrupted(CASES["harmonics"].series(-0.05, 0.0), CASES["harmonics"].design(protocol, trends=False))
    rows = its_rows(one, SINGLE, [HAC, KENWARD_ROGER], protocol)
    assert {row["term"] for row in rows} == {"step", "step_percent"}
    waves = Case().nuisance()[:, 2:]
    by_hand = sm.OLS(one.series.log_rate, np.column_stack([np.ones(MONTHS), TIME >= START, waves])).fit()
    assert row_of(rows, "step", HAC)["estimate"] == pytest.approx(by_hand.params[1], abs=1e-9)


# Rows


def _noisy(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    noise = np.zeros(MONTHS)
    for t in range(1, MONTHS):
        noise[t] = 0.5 * noise[t - 1] + generator.normal(0, 0.02)
    return CASES["harmonics"].series(-0.04, 0.001, noise=0.0).log_rate + noise


def _one(log_rate: np.ndarray, protocol: Protocol) -> Interrupted:
    return Interrupted(Series(months(), EXPOSURE * np.exp(log_rate), EXPOSURE), Case().design(protocol))


def test_standard_errors_are_newey_west_by_hand(protocol: Protocol) -> None:
    """Bartlett-weighted autocovariances of the scores, written out, with the factor n/(n − k) and t(n − k)."""
    outcome = _noisy(1)
    x = np.column_stack([Case().nuisance(), TIME >= START, np.maximum(TIME - START, 0)])
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ outcome
    scores = x * (outcome - x @ beta)[:, None]
    meat = scores.T @ scores
    for lag in range(1, protocol.its.hac_lags + 1):
        crossed = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (protocol.its.hac_lags + 1)) * (crossed + crossed.T)
    covariance = bread @ meat @ bread * MONTHS / (MONTHS - 8)
    rows = its_rows(_one(outcome, protocol), SINGLE, [HAC], protocol)
    contrasts: dict[str, list[float]] = {
        "level": [1, 0],
        "slope": [0, 1],
        "effect_36": [1, 35],
        "effect_mean": [1, 17.5],
    }
    for term, contrast in contrasts.items():
        estimate = float(np.dot(contrast, beta[-2:]))
        error = float(np.sqrt(np.array(contrast) @ covariance[-2:, -2:] @ contrast))
        row, reach = row_of(rows, term), student.ppf(0.975, MONTHS - 8) * error
        assert row["estimate"] == pytest.approx(estimate, abs=1e-9)
        assert row["std_error"] == pytest.approx(error, rel=1e-9)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((estimate - reach, estimate + reach), abs=1e-9)
        assert row["p_value"] == pytest.approx(2 * student.sf(abs(estimate) / error, MONTHS - 8), abs=1e-9)
        assert "6 lags" in row["notes"]


def test_against_a_formula_fit(protocol: Protocol) -> None:
    """statsmodels' formula interface gives the same rows."""
    outcome = _noisy(2)
    frame = pd.DataFrame(
        {
            "y": outcome, "time": TIME, "after": (TIME >= START) * 1.0, "since": np.maximum(TIME - START, 0.0),
            "angle": 2 * np.pi * months().month.to_numpy() / 12,
        }
    )  # fmt: skip
    formula = "y ~ time + after + since + np.sin(angle) + np.cos(angle) + np.sin(2 * angle) + np.cos(2 * angle)"
    options = {"maxlags": 6, "use_correction": True}
    fits = {OLS: smf.ols(formula, frame).fit()}
    fits[HAC] = smf.ols(formula, frame).fit(cov_type="HAC", cov_kwds=options, use_t=True)
    rows = its_rows(_one(outcome, protocol), SINGLE, fits, protocol)
    for method, fit in fits.items():
        for term, name in {"level": "after", "slope": "since", "trend_before": "time"}.items():
            row = row_of(rows, term, method)
            found = [row[key] for key in ("estimate", "std_error", "ci_low", "ci_high", "p_value")]
            expected = [fit.params[name], fit.bse[name], *fit.conf_int().loc[name], fit.pvalues[name]]
            assert found == pytest.approx(expected, abs=1e-9)


def test_every_method_has_every_term_and_says_what_it_used(protocol: Protocol) -> None:
    rows = its_rows(CASES["a break after"].interrupted(protocol, -0.05, 0.0), SINGLE, METHODS, protocol)
    for method in METHODS:
        terms = {row["term"] for row in rows if row["inference"] == method and row["design"] == SINGLE}
        named = {"level", "slope", "effect_12", "effect_24", "effect_36", "effect_mean", "trend_before"}
        assert terms == named | {f"{term}_percent" for term in named} | {"cumulative"}
    assert all("a further step in June 2017: a step" in row["notes"] for row in rows if row["design"] == SINGLE)
    assert "φ = " in row_of(rows, "level", KENWARD_ROGER)["notes"]


def test_detectable_changes_are_those_of_the_half_width(protocol: Protocol) -> None:
    """(1.96 + 0.84) ÷ 1.96 half-widths, for level, slope and the last of the named months, by Kenward and Roger alone."""
    rows = its_rows(Case().interrupted(protocol, -0.05, 0.0), SINGLE, METHODS, protocol)
    found = [row for row in rows if row["design"] == "power"]
    names = {f"mde_its_{term}" for term in ("level", "slope", "effect_36")}
    assert {row["term"] for row in found} == names | {f"{name}_percent" for name in names}
    assert {row["inference"] for row in found} == {KENWARD_ROGER}
    for term in ("level", "slope", "effect_36"):
        row = row_of(rows, term, KENWARD_ROGER)
        half = (row["ci_high"] - row["ci_low"]) / 2
        factor = (norm.ppf(0.975) + norm.ppf(0.8)) / norm.ppf(0.975)
        assert row_of(rows, f"mde_its_{term}")["estimate"] == pytest.approx(factor * half, rel=1e-9)


# The path that a figure shows


@every_case
def test_the_counterfactual_is_the_path_without_the_programme(protocol: Protocol, case: Case) -> None:
    """All of it, months of phasing in too; the fitted path is missing in those, and the band before they end."""
    series = case.series(-0.07, 0.001, noise=1e-7)
    path = its_path(Interrupted(series, case.design(protocol)), protocol)
    since = TIME - case.first
    phasing = (START + case.shift <= TIME) & (since < 0)
    assert path.month.tolist() == months().tolist()
    assert path.observed.to_numpy() == pytest.approx(series.log_rate, abs=1e-12)
    assert path.counterfactual.to_numpy() == pytest.approx(case.without(), abs=1e-5)
    truth = case.without() + (since >= 0) * (-0.07 + 0.001 * since)
    assert path.fitted.to_numpy()[~phasing] == pytest.approx(truth[~phasing], abs=1e-5)
    assert path.fitted.isna().to_numpy().tolist() == phasing.tolist()
    for end in ("counterfactual_low", "counterfactual_high"):
        assert path[end].isna().to_numpy().tolist() == (since < 0).tolist()


@pytest.mark.parametrize("controlled", [False, True])
def test_the_band_leaves_out_the_fitted_line_where_the_interval_leaves_out_zero(
    protocol: Protocol, controlled: bool
) -> None:
    """Month by month, and in the months that the table names: at twelve, twenty-four and thirty-six."""
    inside = []
    for seed, effect in ((1, 0.0), (2, -0.12), (3, 0.1)):
        sample, _ = make_sample(list(range(30)), [0, 1], 60, seed=seed, noise=0.02)
        groups = _groups(_with_effect(sample, effect), protocol)
        one = groups.of(CONTROLLED if controlled else SINGLE)
        rows, path = its_rows(one, SINGLE, [KENWARD_ROGER], protocol), its_path(one, protocol)
        for number in (12, 24, 36):
            row = row_of(rows, f"effect_{number}", PSEUDO_COHORTS if controlled else KENWARD_ROGER)
            month = path.iloc[START + number - 1]
            assert month.fitted - month.counterfactual == pytest.approx(row["estimate"], abs=1e-9)
            assert month.counterfactual_low == pytest.approx(month.fitted - row["ci_high"], abs=1e-9)
            assert month.counterfactual_high == pytest.approx(month.fitted - row["ci_low"], abs=1e-9)
            holds_line = month.counterfactual_low <= month.fitted <= month.counterfactual_high
            assert holds_line == (row["ci_low"] <= 0 <= row["ci_high"])
            inside.append(bool(holds_line))
        band = path.iloc[START:]
        assert (band.counterfactual_low < band.counterfactual).all()
        assert (band.counterfactual < band.counterfactual_high).all()
    assert any(inside) and not all(inside)  # both were seen


# Groups of units


def _with_effect(sample: Sample, effect: float, first: int = START) -> Sample:
    factor = np.exp(effect * np.outer(sample.treated, np.arange(len(sample.months)) >= first))
    return replace(sample, counts=sample.counts * factor)


def _groups(sample: Sample, protocol: Protocol, outcome: str = ORDINARY, **choices: Any) -> Groups:
    specification = protocol.specification("primary").model_copy(update=choices)
    pseudo = PseudoCohorts(sample.only(~sample.treated), 499, 1, specification.fill_masked)
    return Groups(sample, protocol.outcome(outcome), specification, protocol, pseudo)


@pytest.mark.parametrize("outcome", [ORDINARY, PLANNED])
@pytest.mark.parametrize("choices", [{}, {"seasonality": "calendar_months"}, {"phase_in": 3}, {"start_shift": 3}])
def test_a_controlled_estimate_is_the_difference_of_the_two_single_groups(
    protocol: Protocol, outcome: str, choices: dict[str, Any]
) -> None:
    """With one design for both, equation by equation least squares is the least squares of the difference (Zellner 1962)."""
    sample, _ = make_sample(list(range(12)), [0, 1], 60, seed=8, missing=0.02, effect=-0.05)
    groups = _groups(sample, protocol, outcome, **choices)
    ours, rest, both = groups.of(SINGLE), groups.rest(), groups.of(CONTROLLED)
    assert ours.design.columns == rest.design.columns == both.design.columns
    fits = [METHODS[OLS](one.series, one.design, protocol.its) for one in (ours, rest, both)]
    assert fits[2].coefficients == pytest.approx(fits[0].coefficients - fits[1].coefficients, abs=1e-10)
    assert both.series.log_rate == pytest.approx(ours.series.log_rate - rest.series.log_rate, abs=1e-12)
    assert np.array_equal(both.series.counts, ours.series.counts)
    # The variance of a difference: both variances less twice the covariance of their residuals.
    residuals = [
        one.series.log_rate - one.design.matrix @ fit.coefficients for one, fit in zip((ours, rest), fits, strict=False)
    ]
    degrees = np.subtract(*both.design.matrix.shape)
    inverse = np.linalg.inv(both.design.matrix.T @ both.design.matrix)
    crossed = np.array(residuals) @ np.array(residuals).T / degrees
    variance = crossed[0, 0] + crossed[1, 1] - 2 * crossed[0, 1]
    assert fits[2].covariance == pytest.approx(variance * inverse, rel=1e-6, abs=1e-14)


def test_the_cumulative_effect_of_a_controlled_series_is_against_the_rate_of_the_rest(protocol: Protocol) -> None:
    """Expected counts: the group's people and days at the rate of the others, moved to the group's level and trend."""
    sample, _ = make_sample(list(range(12)), [0, 1], 60, seed=8, effect=-0.05)
    groups = _groups(sample, protocol)
    both, ours, rest = groups.of(CONTROLLED), groups.of(SINGLE), groups.rest()
    rows = its_rows(both, CONTROLLED, [OLS], protocol)
    coefficients = METHODS[OLS](both.series, both.design, protocol.its).coefficients
    change = coefficients[-2] + coefficients[-1] * (TIME - START)
    fitted = both.design.matrix @ coefficients
    expected = ours.series.exposure * rest.series.counts / rest.series.exposure
    total = (expected * np.exp(fitted) * (1 - np.exp(-change)))[START:].sum()
    assert row_of(rows, "cumulative", OLS)["estimate"] == pytest.approx(total, rel=1e-9)
    judged, mean = row_of(rows, "cumulative", PSEUDO_COHORTS), row_of(rows, "effect_mean", PSEUDO_COHORTS)
    assert judged["estimate"] == pytest.approx(total, rel=1e-9)
    assert judged["p_value"] == mean["p_value"]
    without = (expected * np.exp(fitted - change * (TIME >= START)))[START:].sum()
    ends = [without * np.expm1(mean[end]) for end in ("ci_low", "ci_high")]
    assert [judged["ci_low"], judged["ci_high"]] == pytest.approx(ends, rel=1e-9)
    assert np.isnan(judged["std_error"])


def test_what_moves_everyone_drops_out_of_the_controlled_series(protocol: Protocol) -> None:
    """A national step in the month of the start: the single group has it, the controlled series does not."""
    sample, _ = make_sample(list(range(12)), [0, 1], 60, seed=9)
    national = replace(sample, counts=sample.counts * np.exp(-0.2 * (TIME >= START)))
    levels = {}
    for kind in (SINGLE, CONTROLLED):
        found = [_groups(each, protocol).of(kind) for each in (sample, national)]
        fits = [METHODS[OLS](one.series, one.design, protocol.its) for one in found]
        levels[kind] = float((fits[1].coefficients - fits[0].coefficients) @ found[0].design.contrasts["level"])
    assert levels[SINGLE] == pytest.approx(-0.2, abs=1e-9)
    assert levels[CONTROLLED] == pytest.approx(0.0, abs=1e-9)


def test_a_known_break_has_a_step_of_its_own_where_the_group_holds_the_unit(protocol: Protocol) -> None:
    """The unit's own outcome and, of the two kinds of group, the one that it is in; never without being asked for."""
    sample, _ = make_sample(list(range(12)), [0, 1], 60, seed=9)
    known = protocol.its.known_breaks[-1]
    renamed = sample.units.to_numpy(str, copy=True)
    renamed[0] = known.unit
    named = replace(sample, units=pd.Index(renamed))
    column = f"break_{known.month:%Y_%m}"
    asked = _groups(named, protocol, known_breaks=True)
    assert column in asked.of(SINGLE).design.columns and column in asked.of(CONTROLLED).design.columns
    assert column not in asked.rest().design.columns
    assert column not in _groups(named, protocol).of(SINGLE).design.columns
    assert column not in _groups(named, protocol, PLANNED, known_breaks=True).of(SINGLE).design.columns
    fallen = replace(named, counts=named.counts * np.exp(-0.3 * np.outer(np.arange(12) < 2, TIME >= 53)))
    fits = [METHODS[OLS](each.series, each.design, protocol.its) for each in (
        asked.of(SINGLE), _groups(fallen, protocol, known_breaks=True).of(SINGLE),
    )]  # fmt: skip
    change = fits[1].coefficients - fits[0].coefficients
    names = np.array(asked.of(SINGLE).design.columns)
    assert change == pytest.approx(np.where(names == column, -0.3, 0.0), abs=1e-9)


def test_placebo_starts_see_the_months_before_alone(protocol: Protocol) -> None:
    """Nine months on either side leave seven starts; what happens later changes none of them; each is a fit of its own."""
    sample, _ = make_sample(list(range(12)), [0, 1], 60, seed=12)
    rows = placebo_starts(_groups(sample, protocol), 499, 1)
    later = placebo_starts(_groups(_with_effect(sample, -0.5), protocol), 499, 1)
    assert [row["estimate"] for row in rows] == [row["estimate"] for row in later]
    terms = {row["term"] for row in rows if row["scale"] == "log_rate"}
    starts = pd.date_range("2014-01-01", "2014-07-01", freq="MS")
    assert terms == {f"{term}_from_{start:%Y-%m}" for term in ("level", "slope") for start in starts}
    earlier = sample.restrict(TIME < START)
    ours, rest = (cohort_series(earlier, members).log_rate for members in (sample.treated, ~sample.treated))
    early = TIME[:START]
    for first, start in enumerate(starts, start=9):
        x = np.column_stack([Case().nuisance()[:START, :6], early >= first, np.maximum(early - first, 0)])
        expected = sm.OLS(ours - rest, x).fit()
        row = row_of(rows, f"slope_from_{start:%Y-%m}", PSEUDO_COHORTS)
        assert row["estimate"] == pytest.approx(expected.params[-1], abs=1e-9)
        assert row["std_error"] == pytest.approx(expected.bse[-1], rel=1e-9)
        assert row["n_obs"] == START


# Sums of units


def _steady(sample: Sample, rate: np.ndarray | float) -> Sample:
    """Nobody masked, counts at this rate per head and day."""
    counts = rate * sample.population_full * sample.months.days_in_month.to_numpy()
    return replace(sample, counts=counts, population=sample.population_full)


def test_the_rate_is_per_head_and_day() -> None:
    """February's 28 days do not read as a fall."""
    sample, _ = make_sample(list(range(4)), [0], MONTHS, seed=1)
    steady = _steady(sample, 0.001)
    assert cohort_series(steady, np.ones(4, bool)).log_rate == pytest.approx(np.log(0.001), abs=1e-9)
    february = months().month == 2
    exposure = cohort_series(steady, np.ones(4, bool)).exposure
    days = np.where(february, np.where(months().is_leap_year, 29, 28), 0)[february]
    assert exposure[february] == pytest.approx(sample.population_full.sum(axis=0)[february] * days, rel=1e-12)


def test_a_group_is_a_weighting_of_units() -> None:
    """Members count whole, part members by their part, and several groups at once are each alone."""
    sample, _ = make_sample(list(range(5)), [0, 1], MONTHS, seed=2)
    weights = np.array([[1, 0.25], [0, 0.5], [0, 0], [1, 1], [0, 0]])
    both = cohort_series(sample, weights)
    assert both.counts.shape == (2, MONTHS)
    days = months().days_in_month.to_numpy()
    for group in range(2):
        alone = cohort_series(sample, weights[:, group])
        assert both[group].counts == pytest.approx(alone.counts, rel=1e-12)
        assert alone.counts == pytest.approx((weights[:, [group]] * sample.counts).sum(axis=0), rel=1e-12)
        people = (weights[:, [group]] * sample.population_full).sum(axis=0) * days
        assert both.exposure[group] == pytest.approx(people, rel=1e-12)


def test_a_masked_members_months_are_filled_from_the_model() -> None:
    """The filled sum is observed counts plus the fitted counts of the masked; the other sum leaves both out."""
    sample, _ = make_sample(list(range(6)), [0, 1], 24, seed=3, missing=0.1)
    members = np.array([True, True, True, False, False, False])
    days = sample.months.days_in_month.to_numpy()
    fitted = fitted_without_treatment(sample) * sample.population_full
    filled = np.where(sample.observed, sample.counts, fitted)[members].sum(axis=0)
    assert not sample.observed[members].all()
    series = cohort_series(sample, members)
    assert series.counts == pytest.approx(filled, rel=1e-12)
    assert series.exposure == pytest.approx(sample.population_full[members].sum(axis=0) * days, rel=1e-12)
    dropped = cohort_series(sample, members, complete=False)
    assert dropped.counts == pytest.approx(np.nansum(sample.counts[members], axis=0), rel=1e-12)
    assert dropped.exposure == pytest.approx(np.nansum(sample.population[members], axis=0) * days, rel=1e-12)


def test_a_masked_large_member_does_not_bend_the_filled_series(protocol: Protocol) -> None:
    """Noise-free two-way counts: masking the largest unit for half a year leaves the filled log rate as it was."""
    sample, _ = make_sample(list(range(6)), [0, 1], MONTHS, seed=5)
    generator = np.random.default_rng(6)
    whole = _steady(sample, np.exp(generator.normal(-5, 0.3, (6, 1)) + generator.normal(0, 0.1, MONTHS)))
    gone = np.zeros((6, MONTHS), bool)
    gone[0, 8:14] = True
    masked = replace(
        whole, counts=np.where(gone, np.nan, whole.counts), population=np.where(gone, np.nan, whole.population)
    )
    everyone = np.ones(6, bool)
    assert cohort_series(masked, everyone).log_rate == pytest.approx(cohort_series(whole, everyone).log_rate, abs=1e-9)
    dropped = cohort_series(masked, everyone, complete=False).log_rate
    assert np.abs(dropped - cohort_series(whole, everyone).log_rate).max() > 0.01
    # The specification decides which of the two a job sees.
    assert _groups(masked, protocol).of(SINGLE).series.log_rate == pytest.approx(
        cohort_series(whole, whole.treated).log_rate, abs=1e-9
    )
    assert _groups(masked, protocol, fill_masked=False).of(SINGLE).series.counts == pytest.approx(
        np.nansum(masked.counts[masked.treated], axis=0), rel=1e-12
    )
