"""Segmented regression against noise-free series, the Newey–West formula, R, and statsmodels' formula interface.

Tolerances. Noise-free parameters 1e-10. The formula written out 1e-9 (inverses of one design by two routes). R's printed
numbers 1e-8 of their size: 15 digits, another QR decomposition.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import t as student
from synthetic import make_sample, months, protocol_with, row_of

from analysis.models.did import fitted_without_treatment
from analysis.models.its import cohort_series, segmented_regression
from analysis.protocol import Protocol

START, MONTHS = 24, 60


def _truth(level: float, slope: float, harmonics: list[tuple[float, float]]) -> np.ndarray:
    time, month = np.arange(MONTHS), months().month.to_numpy()
    series = -6.0 + 0.002 * time + (time >= START) * (level + slope * (time - START))
    for pair, (sine, cosine) in enumerate(harmonics, start=1):
        series = series + sine * np.sin(2 * np.pi * pair * month / 12) + cosine * np.cos(2 * np.pi * pair * month / 12)
    return series


@pytest.mark.parametrize(("level", "slope"), [(0.0, 0.0), (-0.07, 0.0), (0.05, -0.004)])
def test_noise_free_series_gives_back_its_parameters(protocol: Protocol, level: float, slope: float) -> None:
    """Level, slope and the effect in the 36th month come back, and the counterfactual is the path without them."""
    harmonics = [(0.05, -0.03), (0.01, 0.02)]
    rows, path = segmented_regression(months(), _truth(level, slope, harmonics), protocol)
    assert row_of(rows, "level")["estimate"] == pytest.approx(level, abs=1e-10)
    assert row_of(rows, "slope")["estimate"] == pytest.approx(slope, abs=1e-10)
    assert row_of(rows, "effect_36")["estimate"] == pytest.approx(level + 35 * slope, abs=1e-10)
    assert row_of(rows, "effect_36_percent")["estimate"] == pytest.approx(100 * np.expm1(level + 35 * slope), abs=1e-8)
    assert path.counterfactual.to_numpy() == pytest.approx(_truth(0, 0, harmonics), abs=1e-10)
    assert path.fitted.to_numpy() == pytest.approx(path.observed.to_numpy(), abs=1e-10)
    assert path.month.tolist() == months().tolist()


def _noisy(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    noise = np.zeros(MONTHS)
    for t in range(1, MONTHS):
        noise[t] = 0.5 * noise[t - 1] + generator.normal(0, 0.02)
    return _truth(-0.04, 0.001, [(0.05, -0.03)]) + noise


def _frame(outcome: np.ndarray) -> pd.DataFrame:
    time, angle = np.arange(MONTHS), 2 * np.pi * months().month.to_numpy() / 12
    return pd.DataFrame(
        {
            "y": outcome,
            "time": time,
            "after": (time >= START) * 1.0,
            "since": np.maximum(time - START, 0.0),
            "angle": angle,
        }
    )


def test_standard_errors_are_newey_west_by_hand(protocol: Protocol) -> None:
    """Bartlett-weighted autocovariances of the scores, written out, with the factor n/(n − k) and t(n − k)."""
    outcome = _noisy(1)
    data = _frame(outcome)
    waves = [wave(k * data.angle) for k in (1, 2) for wave in (np.sin, np.cos)]
    x = np.column_stack([np.ones(MONTHS), data.time, data.after, data.since, *waves])
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ outcome
    scores = x * (outcome - x @ beta)[:, None]
    meat = scores.T @ scores
    for lag in range(1, protocol.its.hac_lags + 1):
        crossed = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (protocol.its.hac_lags + 1)) * (crossed + crossed.T)
    covariance = bread @ meat @ bread * MONTHS / (MONTHS - 8)
    rows, _ = segmented_regression(months(), outcome, protocol)
    for term, contrast in {"level": [1, 0], "slope": [0, 1], "effect_36": [1, 35]}.items():
        estimate = float(np.dot(contrast, beta[2:4]))
        error = float(np.sqrt(np.array(contrast) @ covariance[2:4, 2:4] @ contrast))
        row, reach = row_of(rows, term), student.ppf(0.975, MONTHS - 8) * error
        assert row["estimate"] == pytest.approx(estimate, abs=1e-9)
        assert row["std_error"] == pytest.approx(error, rel=1e-9)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((estimate - reach, estimate + reach), abs=1e-9)
        assert row["p_value"] == pytest.approx(2 * student.sf(abs(estimate) / error, MONTHS - 8), abs=1e-9)


def test_against_a_formula_fit(protocol: Protocol) -> None:
    """statsmodels' formula interface gives the same, and the band is the counterfactual's mean interval."""
    outcome = _noisy(2)
    fit = smf.ols(
        "y ~ time + after + since + np.sin(angle) + np.cos(angle) + np.sin(2 * angle) + np.cos(2 * angle)",
        _frame(outcome),
    ).fit(cov_type="HAC", cov_kwds={"maxlags": 6, "use_correction": True}, use_t=True)
    rows, path = segmented_regression(months(), outcome, protocol)
    for term, name in {"level": "after", "slope": "since"}.items():
        row = row_of(rows, term)
        found = [row[key] for key in ("estimate", "std_error", "ci_low", "ci_high", "p_value")]
        expected = [fit.params[name], fit.bse[name], *fit.conf_int().loc[name], fit.pvalues[name]]
        assert found == pytest.approx(expected, abs=1e-9)
    band = fit.get_prediction(_frame(outcome).assign(after=0.0, since=0.0)).summary_frame(alpha=0.05)
    assert path.counterfactual_low.to_numpy() == pytest.approx(band["mean_ci_lower"].to_numpy(), abs=1e-9)
    assert path.counterfactual_high.to_numpy() == pytest.approx(band["mean_ci_upper"].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("lags", [3, 12])
def test_the_sicily_smoking_ban_as_r_gives_it(published_folder: Path, tmp_path: Path, lags: int) -> None:
    """log(events/population) with two harmonic pairs: coefficients and Newey–West errors are those of R's sandwich."""
    sicily = pd.read_csv(published_folder / "reference/sicily.csv")
    oracle = json.loads((published_folder / "reference/r/reference.json").read_text())["sicily"][
        "its_log_rate_two_harmonics"
    ]
    ban = protocol_with(
        tmp_path,
        ('start = "2013-04"', 'start = "2002-01"'),
        ('programme_start = "2015-04"', 'programme_start = "2005-01"'),
        ("hac_lags = 6", f"hac_lags = {lags}"),
    )
    when = pd.DatetimeIndex(pd.to_datetime({"year": sicily.year, "month": sicily.month, "day": 1}))
    rows, _ = segmented_regression(when, np.log(sicily.aces / sicily.stdpop).to_numpy(), ban)
    errors = oracle["newey_west_se"][f"lag{lags}_adjust_true"]
    for term, name in {"level": "smokban", "slope": "time_since"}.items():
        assert row_of(rows, term)["estimate"] == pytest.approx(oracle["ols"]["coef"][name], rel=1e-8)
        assert row_of(rows, term)["std_error"] == pytest.approx(errors[name], rel=1e-8)


def test_the_rate_is_per_head_and_day() -> None:
    """February's 28 days do not read as a fall."""
    sample, _ = make_sample(list(range(4)), [0], MONTHS, seed=1)
    days = months().days_in_month.to_numpy()
    steady = type(sample)(
        sample.units, sample.months, 0.001 * sample.population_full * days, sample.population_full,
        sample.population_full, sample.treated, sample.cluster,
    )  # fmt: skip
    assert cohort_series(steady, np.ones(4, bool)).log_rate == pytest.approx(np.log(0.001), abs=1e-9)


def test_a_masked_members_months_are_filled_from_the_model() -> None:
    """The filled sum is observed counts plus the fitted counts of the masked; the other sum leaves both out."""
    sample, _ = make_sample(list(range(6)), [0, 1], 24, seed=3, missing=0.1)
    members = np.array([True, True, True, False, False, False])
    fitted = fitted_without_treatment(sample) * sample.population_full
    filled = np.where(sample.observed, sample.counts, fitted)[members].sum(axis=0)
    series = cohort_series(sample, members)
    assert series.counts == pytest.approx(filled, rel=1e-12)
    assert series.population == pytest.approx(sample.population_full[members].sum(axis=0), rel=1e-12)
    dropped = cohort_series(sample, members, complete=False)
    assert dropped.counts == pytest.approx(np.nansum(sample.counts[members], axis=0), rel=1e-12)
    assert dropped.population == pytest.approx(np.nansum(sample.population[members], axis=0), rel=1e-12)


def test_a_masked_large_member_does_not_bend_the_filled_series() -> None:
    """Noise-free two-way counts: masking the largest unit for half a year leaves the filled log rate as it was."""
    sample, _ = make_sample(list(range(6)), [0, 1], 24, seed=5)
    generator = np.random.default_rng(6)
    rate = np.exp(generator.normal(-5, 0.3, (6, 1)) + generator.normal(0, 0.1, 24))
    whole = type(sample)(
        sample.units,
        sample.months,
        sample.population_full * rate,
        *(sample.population_full,) * 2,
        sample.treated,
        sample.cluster,
    )
    gone = np.zeros((6, 24), bool)
    gone[0, 8:14] = True
    masked = type(sample)(
        sample.units, sample.months, np.where(gone, np.nan, whole.counts), np.where(gone, np.nan, whole.population),
        whole.population_full, sample.treated, sample.cluster,
    )  # fmt: skip
    everyone = np.ones(6, bool)
    assert cohort_series(masked, everyone).log_rate == pytest.approx(cohort_series(whole, everyone).log_rate, abs=1e-9)
    assert (
        np.abs(cohort_series(masked, everyone, complete=False).log_rate - cohort_series(whole, everyone).log_rate).max()
        > 0.01
    )
