"""What the months leave of a segmented regression, against R, statsmodels called directly, and refits without each month.

Tolerances. R's statistics 1e-8 of the size; a refit against the formula of leaving one out 1e-9 log points.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import chi2
from statsmodels.tsa.stattools import acf, adfuller, kpss, pacf
from synthetic import months

from analysis.estimation.its.autoregression import fit_autoregressive
from analysis.estimation.its.checks import autocorrelation, diagnostics
from analysis.estimation.its.estimates import Interrupted
from analysis.estimation.its.segments import segments
from analysis.estimation.regression.series import Series
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Its

START, MONTHS = 24, 60


def _series(seed: int, phi: float = 0.4) -> Series:
    generator = np.random.default_rng(seed)
    noise = np.zeros(MONTHS)
    for t in range(1, MONTHS):
        noise[t] = phi * noise[t - 1] + generator.normal(0, 0.03)
    rate = np.exp(-6 + 0.002 * np.arange(MONTHS) + noise)
    exposure = np.linspace(2e6, 2.2e6, MONTHS)
    return Series(months(), np.round(rate * exposure), exposure)


def _one(series: Series, protocol: Protocol, rule: Its | None = None, **choices: Any) -> Interrupted:
    specification = protocol.specification("primary").model_copy(update=choices)
    start = series.months[START] if len(series.months) == MONTHS else pd.Timestamp("2005-01-01")
    return Interrupted(
        series, segments(series.months, start, rule or protocol.its, protocol.outcomes[0], specification)
    )


def _residuals(one: Interrupted) -> np.ndarray:
    matrix = one.design.matrix
    return np.asarray(one.series.log_rate - matrix @ np.linalg.lstsq(matrix, one.series.log_rate, rcond=None)[0])


def _ljung_box(residual: np.ndarray, lags: int) -> float:
    n, centred = len(residual), residual - residual.mean()
    r = np.array([centred[k:] @ centred[:-k] for k in range(1, lags + 1)]) / (centred @ centred)
    return float(n * (n + 2) * (r**2 / (n - np.arange(1, lags + 1))).sum())


@pytest.mark.parametrize(("which", "harmonics"), [("its_log_rate", 0), ("its_log_rate_two_harmonics", 2), ("toy", 0)])
def test_durbin_watson_and_ljung_box_are_those_of_r(
    published_folder: Path, protocol: Protocol, which: str, harmonics: int
) -> None:
    everything = json.loads((published_folder / "reference/r/reference.json").read_text())
    if which == "toy":
        y = np.array(everything["toy_ar1"]["data"]["y"])
        series, r = Series(months(), np.exp(y), np.ones(len(y))), everything["toy_ar1"]["its"]
    else:
        table = pd.read_csv(published_folder / "reference/sicily.csv")
        when = pd.DatetimeIndex(pd.to_datetime({"year": table.year, "month": table.month, "day": 1}))
        series, r = Series(when, table.aces.to_numpy(float), table.stdpop.to_numpy()), everything["sicily"][which]
    rule = protocol.its.model_copy(update={"harmonics": harmonics, "effect_months": [12], "diagnostic_lags": 12})
    one = _one(series, protocol, rule)
    found, expected = diagnostics(one, rule).iloc[0], r["ols"]["residuals"]
    assert found.durbin_watson == pytest.approx(expected["durbin_watson"], rel=1e-8)
    assert found.ljung_box_p == pytest.approx(expected["ljung_box_12"]["p"], rel=1e-7)
    assert found.phi == pytest.approx(r["gls_reml_ar1"]["by_arithmetic"]["phi"], abs=1e-6)
    wider = diagnostics(one, rule.model_copy(update={"diagnostic_lags": 24})).iloc[0]
    assert wider.ljung_box_p == pytest.approx(expected["ljung_box_24"]["p"], rel=1e-7)
    first = autocorrelation(one, rule).iloc[0]
    assert (first.lag, first.acf) == (1, pytest.approx(expected["acf_lag1"], rel=1e-7))


@pytest.mark.parametrize("choices", [{}, {"phase_in": 3}, {"seasonality": "calendar_months"}])
def test_checks_are_those_called_directly(protocol: Protocol, choices: dict[str, Any]) -> None:
    """Autocorrelation of the residuals, then of what the autoregression leaves; spread of the counts; drift."""
    one = _one(_series(1), protocol, **choices)
    found, matrix, lags = diagnostics(one, protocol.its), one.design.matrix, protocol.its.diagnostic_lags
    assert len(found) == 1
    row, residual = found.iloc[0], _residuals(one)
    assert row.durbin_watson == pytest.approx((np.diff(residual) ** 2).sum() / (residual**2).sum(), rel=1e-9)
    assert row.ljung_box_p == pytest.approx(chi2.sf(_ljung_box(residual, lags), lags), rel=1e-7)
    reml = fit_autoregressive(matrix, one.series.log_rate[None])
    assert row.phi == pytest.approx(reml.phi[0], abs=1e-12)
    left = one.series.log_rate - matrix @ reml.coefficients[0]
    innovations = left[1:] - reml.phi[0] * left[:-1]
    assert row.innovations_ljung_box_p == pytest.approx(chi2.sf(_ljung_box(innovations, lags), lags - 1), rel=1e-7)
    counts = sm.Poisson(one.series.counts, matrix, exposure=one.series.exposure).fit(disp=False, start_params=[
        np.log(one.series.counts.sum() / one.series.exposure.sum()), *[0.0] * (matrix.shape[1] - 1),
    ], maxiter=200)  # fmt: skip
    mean = counts.predict()
    pearson = ((one.series.counts - mean) ** 2 / mean).sum() / np.subtract(*matrix.shape)
    assert row.dispersion == pytest.approx(pearson, rel=1e-5)
    assert row.adf_p == pytest.approx(adfuller(residual, regression="n", result_object=True).pvalue, rel=1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the p-value lies beyond the table
        level = kpss(residual, regression="c", nlags="auto", result_object=True).pvalue
    assert row.kpss_p == pytest.approx(level, rel=1e-9)


def _without(one: Interrupted, month: int, contrast: np.ndarray) -> float:
    kept = np.arange(len(one.series.counts)) != month
    fit = np.linalg.lstsq(one.design.matrix[kept], one.series.log_rate[kept], rcond=None)[0]
    return float(contrast @ fit)


@pytest.mark.cases(quick=8)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("choices", [{}, {"phase_in": 3}, {"seasonality": "calendar_months"}])
def test_influence_is_what_leaving_the_month_out_does(protocol: Protocol, seed: int, choices: dict[str, Any]) -> None:
    """The month whose absence moves the effect at month 36 most, by how much, and in units of the effect's error."""
    one = _one(_series(seed), protocol, **choices)
    late = one.design.contrasts["effect_36"]
    fit = sm.OLS(one.series.log_rate, one.design.matrix).fit()
    moved = np.array([_without(one, month, late) - late @ fit.params for month in range(MONTHS)])
    row = diagnostics(one, protocol.its).iloc[0]
    largest = int(np.abs(moved).argmax())
    assert row.influential_month == f"{one.design.months[largest]:%Y-%m}"
    assert row.influence == pytest.approx(moved[largest], abs=1e-9)
    error = float(np.sqrt(late @ fit.cov_params() @ late))
    assert row.influence_errors == pytest.approx(abs(moved[largest]) / error, rel=1e-6)


def test_a_month_that_was_miscounted_is_the_influential_one(protocol: Protocol) -> None:
    """The last month at half its count pulls the late effect down; without it the effect is higher."""
    series = _series(4, phi=0.0)
    counts = series.counts.copy()
    counts[-1] /= 2
    row = diagnostics(_one(Series(series.months, counts, series.exposure), protocol), protocol.its).iloc[0]
    assert row.influential_month == "2018-03"
    assert row.influence > 0 and row.influence_errors > 0.3
    # In a month of phasing in, which has a coefficient of its own, it would matter not at all.
    counts = series.counts.copy()
    counts[START + 1] /= 10
    phased = [
        diagnostics(_one(Series(series.months, each, series.exposure), protocol, phase_in=3), protocol.its).iloc[0]
        for each in (series.counts, counts)
    ]
    assert phased[0].influential_month == phased[1].influential_month
    assert phased[0].influence == pytest.approx(phased[1].influence, abs=1e-12)


def test_autocorrelations_are_those_of_the_residuals_of_least_squares(protocol: Protocol) -> None:
    one = _one(_series(5), protocol)
    table, residual = autocorrelation(one, protocol.its), _residuals(one)
    assert table.lag.tolist() == list(range(1, protocol.its.diagnostic_lags + 1))
    for lag in (1, 2, 7):
        by_hand = residual[lag:] @ residual[:-lag] / (residual @ residual)  # residuals have mean zero
        assert table.acf[lag - 1] == pytest.approx(by_hand, rel=1e-7)
    assert table.acf.to_numpy() == pytest.approx(acf(residual, nlags=12)[1:], rel=1e-9)
    assert table.pacf.to_numpy() == pytest.approx(pacf(residual, nlags=12, method="ywm")[1:], rel=1e-9)
    assert table.pacf[0] == pytest.approx(table.acf[0], rel=1e-9)
    assert table.pacf[1] == pytest.approx((table.acf[1] - table.acf[0] ** 2) / (1 - table.acf[0] ** 2), rel=1e-7)
    assert table.bound.to_numpy() == pytest.approx(1.96 / np.sqrt(60), rel=1e-12)


@pytest.mark.slow
def test_white_noise_passes_and_autocorrelation_shows(protocol: Protocol) -> None:
    """The order of magnitude that a reader sees: strong correlation is found, and the innovations are white again."""
    strong = [diagnostics(_one(_series(seed, 0.8), protocol), protocol.its).iloc[0] for seed in range(10)]
    white = [diagnostics(_one(_series(seed, 0.0), protocol), protocol.its).iloc[0] for seed in range(10)]
    assert np.mean([row.ljung_box_p < 0.05 for row in strong]) > 0.6
    assert np.mean([row.innovations_ljung_box_p < 0.05 for row in strong]) < 0.5
    assert np.mean([row.durbin_watson for row in strong]) < 1.3 < np.mean([row.durbin_watson for row in white])
    assert np.mean([row.phi for row in strong]) > np.mean([row.phi for row in white]) + 0.3
