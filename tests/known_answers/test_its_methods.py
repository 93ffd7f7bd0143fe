"""Every method of the interrupted time series against R, textbooks, and code written again from the definition.

Tolerances. Least squares, Newey–West and quasi-Poisson 1e-9 of the size: R prints 15 digits, another QR decomposition.
Likelihoods of autoregressive errors: R's own maximum carries about 8 digits of φ, so that φ and what follows from it are met to
1e-7, coefficients to 1e-7 of their error; nlme's optimiser has 6 digits. Satterthwaite's and Kenward and Roger's degrees of
freedom 1e-6, against R's arithmetic, by differences too; emmeans agrees with that arithmetic to 3–4 digits only. ARIMA's
coefficients 1e-5 of their error; its errors 1e-4 of R's, a numerical Hessian of about four digits, but for coefficients of time
alone, where R's unscaled differences are off by as much as 6% (Seatbelts' trend): there, as everywhere, they are held against the
observed information of a likelihood written out, to 1e-4. Negative binomial 1e-6 of an error: α is a maximum of its own.
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
import statsmodels.api as sm
from scipy.linalg import toeplitz
from scipy.stats import norm
from scipy.stats import t as student

from analysis.estimation.its.autoregression import GRID, LAST_PHI, fit_autoregressive, prais_winsten, small_sample
from analysis.estimation.its.methods import METHODS, Fitted
from analysis.estimation.its.segments import Segments, segments
from analysis.estimation.its.terms import (
    ARIMA_ML,
    HAC,
    KENWARD_ROGER,
    NEGATIVE_BINOMIAL,
    OLS,
    PRAIS_WINSTEN,
    QUASI_POISSON,
    SATTERTHWAITE,
)
from analysis.estimation.regression.series import Series
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Its

BAN = pd.Timestamp("2005-01-01")
PROGRAMME = pd.Timestamp("2015-04-01")


@dataclass(frozen=True)
class Published:
    """A series with its design, what R finds, and R's names as weights of the design's coefficients."""

    series: Series
    design: Segments
    r: dict[str, Any]
    names: dict[str, np.ndarray]

    @property
    def outcome(self) -> np.ndarray:
        return self.series.log_rate[None]

    def coefficients(self, values: np.ndarray) -> dict[str, float]:
        return {name: float(contrast @ values) for name, contrast in self.names.items()}

    def errors(self, covariance: np.ndarray) -> dict[str, float]:
        return {name: float(np.sqrt(c @ covariance @ c)) for name, c in self.names.items()}


@pytest.fixture(scope="module")
def from_r(published_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((published_folder / "reference/r/reference.json").read_text())
    return found


@pytest.fixture(scope="module")
def sicily(published_folder: Path) -> pd.DataFrame:
    return pd.read_csv(published_folder / "reference/sicily.csv")


@pytest.fixture(scope="module")
def rule(protocol: Protocol) -> Its:
    return protocol.its


def written_out(months: pd.DatetimeIndex, **columns: np.ndarray) -> Segments:
    """A design of any columns, each a term of its own."""
    matrix = np.column_stack(list(columns.values())).astype(float)
    unit = np.eye(len(columns))
    return Segments(
        months, tuple(columns), matrix, np.zeros_like(matrix), np.ones(len(months), bool), dict(zip(columns, unit, strict=True))
    )  # fmt: skip


def _segmented(
    months: pd.DatetimeIndex, start: pd.Timestamp, harmonics: int, protocol: Protocol
) -> tuple[Segments, dict[str, np.ndarray]]:
    """The package's own design, and R's coefficients in it: R counts months from one."""
    rule = protocol.its.model_copy(update={"harmonics": harmonics})
    design = segments(months, start, rule, protocol.outcomes[0], protocol.specification("primary"))
    unit = dict(zip(design.columns, np.eye(len(design.columns)), strict=True))
    names = {
        "(Intercept)": unit["constant"] - unit["trend"], "time": unit["trend"],
        "smokban": unit["level_change"], "step": unit["level_change"], "time_since": unit["slope_change"],
    }  # fmt: skip
    return design, names


def _sicily_series(sicily: pd.DataFrame) -> Series:
    months = pd.DatetimeIndex(pd.to_datetime({"year": sicily.year, "month": sicily.month, "day": 1}))
    return Series(months, sicily.aces.to_numpy(float), sicily.stdpop.to_numpy(float))


def _of(which: str, from_r: dict[str, Any], sicily: pd.DataFrame, protocol: Protocol) -> Published:
    if which.startswith("its_log_rate"):
        series = _sicily_series(sicily)
        design, names = _segmented(series.months, BAN, 2 if which.endswith("harmonics") else 0, protocol)
        found = from_r["sicily"][which]
    elif which == "toy_ar1":
        y = np.array(from_r["toy_ar1"]["data"]["y"])
        months = pd.date_range("2013-04-01", periods=len(y), freq="MS")
        series = Series(months, np.exp(y), np.ones(len(y)))
        design, names = _segmented(months, PROGRAMME, 0, protocol)
        found = from_r["toy_ar1"]["its"]
    else:
        data = {name: np.array(values, float) for name, values in from_r["seatbelts"]["data"].items()}
        months = pd.date_range("1969-01-01", periods=len(data["drivers"]), freq="MS")
        series = Series(months, data["drivers"], np.ones(len(months)))
        season = {f"month{m}": months.month == m for m in range(2, 13)}
        design = written_out(
            months, constant=np.ones(len(months)), trend=np.arange(1, len(months) + 1), law=data["law"],
            log_petrol=np.log(data["PetrolPrice"]), **season,
        )  # fmt: skip
        names = {"(Intercept)" if name == "constant" else name: c for name, c in design.contrasts.items()}
        found = from_r["seatbelts"]["its"]
    return Published(series, design, found, {name: names[name] for name in found["ols"]["coef"]})


@pytest.fixture(params=["its_log_rate", "its_log_rate_two_harmonics", "seatbelts", "toy_ar1"])
def published(
    request: pytest.FixtureRequest, from_r: dict[str, Any], sicily: pd.DataFrame, protocol: Protocol
) -> Published:
    return _of(request.param, from_r, sicily, protocol)


@pytest.fixture
def toy(from_r: dict[str, Any], sicily: pd.DataFrame, protocol: Protocol) -> Published:
    return _of("toy_ar1", from_r, sicily, protocol)


@pytest.fixture
def ban(from_r: dict[str, Any], sicily: pd.DataFrame, protocol: Protocol) -> Published:
    return _of("its_log_rate_two_harmonics", from_r, sicily, protocol)


def _fit(one: Published, method: str, rule: Its) -> Fitted:
    return METHODS[method](one.series, one.design, rule)


# Least squares and Newey–West


def test_least_squares(published: Published, rule: Its) -> None:
    fit, r = _fit(published, OLS, rule), published.r["ols"]
    assert published.coefficients(fit.coefficients) == pytest.approx(r["coef"], rel=1e-9)
    assert published.errors(fit.covariance) == pytest.approx(r["se"], rel=1e-9)
    assert fit.degrees(published.design.matrix[0]) == r["df_residual"]


@pytest.mark.parametrize("lags", [3, 12])
def test_newey_west(published: Published, rule: Its, lags: int) -> None:
    """Bartlett weights 1 − j/(L + 1) with the factor n/(n − k); without that factor they are R's other ones."""
    fit = _fit(published, HAC, rule.model_copy(update={"hac_lags": lags}))
    r = published.r["newey_west_se"]
    assert published.errors(fit.covariance) == pytest.approx(r[f"lag{lags}_adjust_true"], rel=1e-9)
    months, columns = published.design.matrix.shape
    plain = published.errors(fit.covariance * (months - columns) / months)
    assert plain == pytest.approx(r[f"lag{lags}_adjust_false"], rel=1e-9)
    assert published.coefficients(fit.coefficients) == pytest.approx(published.r["ols"]["coef"], rel=1e-8)
    assert fit.degrees(published.design.matrix[0]) == months - columns
    assert fit.notes == f"Newey–West, {lags} lags"


# Autoregressive errors by likelihood


@pytest.mark.parametrize("likelihood", ["reml", "ml"])
def test_generalised_least_squares(published: Published, likelihood: str) -> None:
    """R's direct maximum of the profile likelihood: φ, coefficients, their errors, the standard deviation of a month."""
    r = published.r[f"gls_{likelihood}_ar1"]
    fit = fit_autoregressive(published.design.matrix, published.outcome, restricted=likelihood == "reml")
    exact = r["by_arithmetic"]
    assert fit.phi[0] == pytest.approx(exact["phi"], abs=1e-7)
    assert np.sqrt(fit.variance[0]) == pytest.approx(exact["sigma"], rel=1e-7)
    errors = published.errors(fit.covariance[0])
    assert errors == pytest.approx(exact["se"], rel=1e-7)
    for name, value in published.coefficients(fit.coefficients[0]).items():
        assert abs(value - exact["coef"][name]) < 1e-7 * errors[name], name
    assert fit.phi[0] == pytest.approx(r["phi"], abs=1e-6)  # nlme's own optimiser


def test_both_reml_methods_have_the_estimates_of_reml(published: Published, rule: Its) -> None:
    exact = published.r["gls_reml_ar1"]["by_arithmetic"]
    for method in (SATTERTHWAITE, KENWARD_ROGER):
        fit = _fit(published, method, rule)
        assert published.coefficients(fit.coefficients) == pytest.approx(exact["coef"], rel=1e-5)
        assert fit.notes == f"φ = {exact['phi']:.2f}"
    plain = published.errors(_fit(published, SATTERTHWAITE, rule).covariance)
    assert plain == pytest.approx(exact["se"], rel=1e-6)


def test_satterthwaites_degrees_of_freedom(toy: Published, rule: Its, from_r: dict[str, Any]) -> None:
    """By R's arithmetic for each coefficient, and by emmeans for three; p by Student's t on them."""
    fit, r = _fit(toy, SATTERTHWAITE, rule), from_r["toy_ar1"]["small_sample_by_arithmetic"]
    for name, contrast in toy.names.items():
        assert fit.degrees(contrast) == pytest.approx(r[name]["satterthwaite_df"], rel=1e-6)
        assert fit.std_error(contrast) == pytest.approx(r[name]["se"], rel=1e-6)
        estimate, error, interval, p_value = fit.test(contrast, 0.95)
        assert p_value == pytest.approx(r[name]["satterthwaite_p"], rel=1e-5)
        reach = student.ppf(0.975, fit.degrees(contrast)) * error
        assert interval == pytest.approx((estimate - reach, estimate + reach), rel=1e-9)
    for name, degrees in from_r["toy_ar1"]["satterthwaite_df_emmeans"].items():
        assert fit.degrees(toy.names[name]) == pytest.approx(degrees, rel=1e-3)


def test_kenward_rogers_error_and_degrees_of_freedom(toy: Published, rule: Its, from_r: dict[str, Any]) -> None:
    """With the term of second derivatives, in the parametrisation by variance and φ."""
    fit, r = _fit(toy, KENWARD_ROGER, rule), from_r["toy_ar1"]["small_sample_by_arithmetic"]
    for name, contrast in toy.names.items():
        assert fit.std_error(contrast) == pytest.approx(r[name]["kenward_roger_se"], rel=1e-6)
        assert fit.std_error(contrast) != pytest.approx(r[name]["kenward_roger_se_first_order"], rel=1e-3)
        assert fit.degrees(contrast) == pytest.approx(r[name]["kenward_roger_df"], rel=1e-6)
        assert fit.test(contrast, 0.95)[3] == pytest.approx(r[name]["kenward_roger_p"], rel=1e-5)


def test_degrees_of_freedom_depend_on_the_contrast_and_not_on_its_scale(ban: Published, rule: Its) -> None:
    for method in (SATTERTHWAITE, KENWARD_ROGER):
        fit = _fit(ban, method, rule)
        level, slope = ban.names["smokban"], ban.names["time_since"]
        assert fit.degrees(7 * level) == pytest.approx(fit.degrees(level), rel=1e-9)
        assert fit.degrees(level) != pytest.approx(fit.degrees(slope), rel=1e-3)


def _dense_reml(matrix: np.ndarray, y: np.ndarray, phi: float, variance: float) -> float:
    """The restricted log-likelihood from determinants and inverses of T × T."""
    covariance = variance * toeplitz(phi ** np.arange(len(y)))
    inverse = np.linalg.inv(covariance)
    inner = matrix.T @ inverse @ matrix
    residual = y - matrix @ np.linalg.solve(inner, matrix.T @ inverse @ y)
    logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(inner)[1]
    return float(-0.5 * (logs + residual @ inverse @ residual))


@pytest.mark.parametrize("seed", range(4))
def test_reml_is_a_maximum_of_the_restricted_likelihood(ban: Published, seed: int) -> None:
    """Nowhere near, and nowhere on a grid, is the likelihood from dense matrices higher; the best φ has a flat slope."""
    matrix = ban.design.matrix
    y = _autoregressive(np.random.default_rng(seed), 1, len(matrix), [0.8, 0.2, -0.5, 0.0][seed])[0]
    fit = fit_autoregressive(matrix, y[None])
    best = _dense_reml(matrix, y, fit.phi[0], fit.variance[0])
    for phi in np.linspace(-0.97, 0.985, 80):
        # For each φ the best variance is known.
        inverse = np.linalg.inv(toeplitz(phi ** np.arange(len(y))))
        residual = y - matrix @ np.linalg.solve(matrix.T @ inverse @ matrix, matrix.T @ inverse @ y)
        variance = residual @ inverse @ residual / np.subtract(*matrix.shape)
        assert _dense_reml(matrix, y, phi, variance) <= best + 1e-9
    for shift in (-1e-3, 1e-3):
        assert _dense_reml(matrix, y, fit.phi[0] + shift, fit.variance[0]) < best
        assert _dense_reml(matrix, y, fit.phi[0], fit.variance[0] * (1 + shift)) < best


def test_observed_information_is_that_of_the_dense_likelihood(ban: Published) -> None:
    """Second differences of the dense likelihood in (log variance, atanh φ), and the covariance's derivatives by them."""
    matrix, y = ban.design.matrix, ban.outcome[0]
    fit = fit_autoregressive(matrix, y[None])
    small = small_sample(matrix, y, fit)
    at = np.array([np.log(fit.variance[0]), np.arctanh(fit.phi[0])])

    def value(point: np.ndarray) -> float:
        return _dense_reml(matrix, y, float(np.tanh(point[1])), float(np.exp(point[0])))

    observed = -_hessian(value, at, 1e-3)
    assert np.linalg.inv(small.observed_inverse) == pytest.approx(observed, rel=1e-3, abs=1e-3)

    def covariance(point: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(np.exp(point[0]) * toeplitz(np.tanh(point[1]) ** np.arange(len(y))))
        return np.asarray(np.linalg.inv(matrix.T @ inverse @ matrix))

    for which, gradient in enumerate(small.observed_gradients):
        step = 1e-5 * np.eye(2)[which]
        slope = (covariance(at + step) - covariance(at - step)) / 2e-5
        assert gradient == pytest.approx(slope, rel=1e-4, abs=1e-9)


def _hessian(value: Callable[[np.ndarray], float], at: np.ndarray, step: float) -> np.ndarray:
    k = len(at)
    e = step * np.eye(k)
    return np.array(
        [
            [
                (value(at + e[i] + e[j]) - value(at + e[i] - e[j]) - value(at - e[i] + e[j]) + value(at - e[i] - e[j]))
                / (4 * step**2)
                for j in range(k)
            ]
            for i in range(k)
        ]
    )


def test_small_samples_draw_the_degrees_of_freedom_below_the_residual_ones(toy: Published, rule: Its) -> None:
    for method in (SATTERTHWAITE, KENWARD_ROGER):
        for contrast in toy.names.values():
            assert 1 < _fit(toy, method, rule).degrees(contrast) < 56


# ARIMA


@pytest.mark.slow
def test_arima(published: Published, rule: Its) -> None:
    """R's exact maximum likelihood; and the errors of its numerical Hessian."""
    fit, r = _fit(published, ARIMA_ML, rule), published.r["arima_100_ml"]
    errors = published.errors(fit.covariance)
    for name, value in published.coefficients(fit.coefficients).items():
        assert abs(value - r["coef"][name]) < 1e-5 * errors[name], name
    assert fit.notes == f"φ = {r['coef']['ar1']:.2f}"
    assert np.isinf(fit.degrees(published.design.matrix[0]))
    for name, error in errors.items():
        of_time = name in ("time", "trend", "time_since")  # R's differences are too coarse for them
        assert error == pytest.approx(r["se"][name], rel=0.07 if of_time else 1e-4), name


@pytest.mark.slow
def test_arimas_errors_are_those_of_the_observed_information(published: Published, rule: Its) -> None:
    """All parameters at once, each in units of its own spread, the likelihood month by month."""
    matrix, y = published.design.matrix, published.outcome[0]
    ml = fit_autoregressive(matrix, published.outcome, restricted=False)
    basis, triangle = np.linalg.qr(matrix)
    sigma = float(np.sqrt(ml.variance[0]))
    k = matrix.shape[1]
    at = np.concatenate([triangle @ ml.coefficients[0] / sigma, [np.arctanh(ml.phi[0]), 0.0]])

    def value(point: np.ndarray) -> float:
        scale = sigma * np.exp(point[-1])
        phi, error = np.tanh(point[k]), (y - sigma * basis @ point[:k]) / scale
        shocks = (error[1:] - phi * error[:-1]) / np.sqrt(1 - phi**2)
        return (
            float(norm.logpdf(error[0]) + norm.logpdf(shocks).sum())
            - len(y) * np.log(scale)
            - (len(y) - 1) * 0.5 * np.log(1 - phi**2)
        )

    covariance = np.linalg.inv(-_hessian(value, at, 1e-3))[:k, :k]
    back = sigma * np.linalg.inv(triangle)
    exact = published.errors(back @ covariance @ back.T)
    assert published.errors(_fit(published, ARIMA_ML, rule).covariance) == pytest.approx(exact, rel=1e-4)


def test_arima_uses_the_normal_distribution(toy: Published, rule: Its) -> None:
    estimate, error, interval, p_value = _fit(toy, ARIMA_ML, rule).test(toy.names["step"], 0.95)
    reach = norm.ppf(0.975) * error
    assert interval == pytest.approx((estimate - reach, estimate + reach), rel=1e-12)
    assert p_value == pytest.approx(2 * norm.sf(abs(estimate) / error), rel=1e-9)


# Prais–Winsten


def _by_transforming(matrix: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Prais–Winsten as textbooks print it: transform every row, the first by √(1 − φ²), regress, and again."""
    phi = 0.0
    for _ in range(500):
        rows, values = matrix - phi * np.roll(matrix, 1, axis=0), y - phi * np.roll(y, 1)
        rows[0], values[0] = matrix[0] * np.sqrt(1 - phi**2), y[0] * np.sqrt(1 - phi**2)
        fit = sm.OLS(values, rows).fit()
        residual = y - matrix @ fit.params
        new = float(residual[1:] @ residual[:-1] / (residual[:-1] @ residual[:-1]))
        if abs(new - phi) < 1e-13:
            break
        phi = new
    return phi, fit.params, fit.cov_params()


def test_prais_winsten_is_the_textbooks_loop(published: Published, rule: Its) -> None:
    fit = prais_winsten(published.design.matrix, published.outcome)
    phi, coefficients, covariance = _by_transforming(published.design.matrix, published.outcome[0])
    assert fit.phi[0] == pytest.approx(phi, abs=1e-8)
    assert published.coefficients(fit.coefficients[0]) == pytest.approx(published.coefficients(coefficients), rel=1e-7)
    assert published.errors(fit.covariance[0]) == pytest.approx(published.errors(covariance), rel=1e-7)
    method = _fit(published, PRAIS_WINSTEN, rule)
    assert method.covariance == pytest.approx(fit.covariance[0], rel=1e-12)
    assert method.degrees(published.design.matrix[0]) == published.r["ols"]["df_residual"]
    assert method.notes == f"φ = {phi:.2f}"


def test_prais_winsten_is_generalised_least_squares_at_its_phi(published: Published) -> None:
    """statsmodels' GLS with the correlation φ^|s − t|, whose residuals have that φ again: a fixed point."""
    matrix, y = published.design.matrix, published.outcome[0]
    fit = prais_winsten(matrix, published.outcome)
    gls = sm.GLS(y, matrix, sigma=toeplitz(fit.phi[0] ** np.arange(len(y)))).fit()
    assert fit.coefficients[0] == pytest.approx(gls.params, rel=1e-7)
    assert fit.covariance[0] == pytest.approx(gls.cov_params(), rel=1e-6, abs=1e-14)
    assert fit.variance[0] == pytest.approx(gls.scale, rel=1e-8)
    residual = y - matrix @ fit.coefficients[0]
    assert residual[1:] @ residual[:-1] / (residual[:-1] ** 2).sum() == pytest.approx(fit.phi[0], abs=1e-8)


# Many series at once, and long ones


def _autoregressive(generator: np.random.Generator, number: int, length: int, phi: float) -> np.ndarray:
    shocks = generator.normal(0, 0.03, (number, length))
    series = np.empty_like(shocks)
    series[:, 0] = shocks[:, 0] / np.sqrt(1 - phi**2)
    for t in range(1, length):
        series[:, t] = phi * series[:, t - 1] + shocks[:, t]
    return series


@pytest.mark.slow
@pytest.mark.parametrize("restricted", [True, False, None], ids=["REML", "ML", "Prais–Winsten"])
def test_many_series_at_once_are_each_alone(ban: Published, restricted: bool | None) -> None:
    matrix = ban.design.matrix
    generator = np.random.default_rng(3)
    outcomes = np.vstack([_autoregressive(generator, 10, len(matrix), phi) for phi in (-0.6, 0.0, 0.5, 0.9)])

    def fit(of: np.ndarray) -> Any:
        return prais_winsten(matrix, of) if restricted is None else fit_autoregressive(matrix, of, restricted)

    together = fit(outcomes)
    assert len(np.unique(together.phi.round(6))) > 30
    for b in range(len(outcomes)):
        alone = fit(outcomes[[b]])
        assert together.phi[b] == pytest.approx(alone.phi[0], abs=1e-7)
        assert together.coefficients[b] == pytest.approx(alone.coefficients[0], abs=1e-7)
        assert together.variance[b] == pytest.approx(alone.variance[0], rel=1e-6)
        assert together.covariance[b] == pytest.approx(alone.covariance[0], rel=1e-5, abs=1e-14)


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.4, 0.9])
def test_long_series_give_back_phi_and_the_spread_of_a_month(phi: float) -> None:
    """Thirty series of two thousand months: φ within four standard errors, √((1 − φ²)/n) each, and the spread within 3%."""
    length, number = 2000, 30
    matrix = np.column_stack([np.ones(length), np.arange(length), np.arange(length) >= 900]).astype(float)
    outcomes = _autoregressive(np.random.default_rng(8), number, length, phi) + matrix @ [1.0, 0.001, -0.2]
    for fit in (fit_autoregressive(matrix, outcomes), prais_winsten(matrix, outcomes)):
        error = np.sqrt((1 - phi**2) / length / number)
        assert fit.phi.mean() == pytest.approx(phi, abs=4 * error + 4 / length)
        assert np.sqrt(fit.variance.mean()) == pytest.approx(0.03 / np.sqrt(1 - phi**2), rel=0.03)
        spread = np.sqrt(fit.covariance[:, 2, 2].mean())
        assert fit.coefficients[:, 2].mean() == pytest.approx(-0.2, abs=4 * spread / np.sqrt(number))
        assert fit.coefficients[:, 2].std() == pytest.approx(spread, rel=0.5)


def test_a_series_that_wanders_has_the_last_phi_allowed_and_says_so(toy: Published, rule: Its) -> None:
    """The steps of a random walk without a trend of its own: φ stops at 0.99, and the note says that it did."""
    walk = np.random.default_rng(11).normal(0, 0.02, (200, 60)).cumsum(axis=1)
    phi = fit_autoregressive(np.ones((60, 1)), walk).phi
    stuck = int(phi.argmax())
    assert phi[stuck] == pytest.approx(LAST_PHI, abs=1e-6) and GRID[-1] == LAST_PHI
    series = Series(toy.design.months, np.exp(walk[stuck]), np.ones(60))
    alone = written_out(toy.design.months, constant=np.ones(60))
    assert METHODS[SATTERTHWAITE](series, alone, rule).notes == "φ = 0.99, the last that is allowed"
    assert METHODS[SATTERTHWAITE](toy.series, toy.design, rule).notes == "φ = 0.58"


def test_hardly_a_degree_of_freedom_rules_nothing_out(rule: Its) -> None:
    """An interval of thousands of log points is endless; one of ordinary length is kept."""
    _, _, interval, p_value = Fitted.judge(0.1, 0.05, 0.3, 0.95)
    assert interval == (-np.inf, np.inf) and np.isnan(p_value)
    _, _, interval, _ = Fitted.judge(0.1, 0.05, 3.0, 0.95)
    assert interval == pytest.approx((0.1 - 0.05 * student.ppf(0.975, 3), 0.1 + 0.05 * student.ppf(0.975, 3)))


# Counts: the Sicilian smoking ban

WAVES = {"sin1": (np.sin, 1), "cos1": (np.cos, 1), "sin2": (np.sin, 2), "cos2": (np.cos, 2)}


def _count_design(sicily: pd.DataFrame, model: str) -> Segments:
    columns: dict[str, np.ndarray] = {"(Intercept)": np.ones(len(sicily))}
    columns |= {"smokban": sicily.smokban.to_numpy(), "time": sicily.time.to_numpy()}
    if model != "step":
        angle = 2 * np.pi * sicily.time.to_numpy() / 12
        columns |= {name: wave(k * angle) for name, (wave, k) in WAVES.items()}
    since = {
        "slope_two_harmonics_smokban_by_time": ("smokban:time", sicily.smokban * sicily.time),
        "slope_two_harmonics_time_since": ("time_since", sicily.smokban * (sicily.time - 37)),
    }
    if model in since:
        columns |= {since[model][0]: since[model][1].to_numpy()}
    return written_out(_sicily_series(sicily).months, **columns)


COUNT_MODELS = [
    "step", "step_two_harmonics", "slope_two_harmonics_smokban_by_time", "slope_two_harmonics_time_since",
]  # fmt: skip
every_count_model = pytest.mark.parametrize("model", COUNT_MODELS)


@every_count_model
def test_quasi_poisson(sicily: pd.DataFrame, from_r: dict[str, Any], rule: Its, model: str) -> None:
    """Coefficients, errors and Pearson's dispersion of R; without the dispersion the errors are those of Poisson."""
    series, design, r = _sicily_series(sicily), _count_design(sicily, model), from_r["sicily"][model]
    fit = METHODS[QUASI_POISSON](series, design, rule)
    named = {name: float(c @ fit.coefficients) for name, c in design.contrasts.items()}
    errors = {name: fit.std_error(c) for name, c in design.contrasts.items()}
    assert named == pytest.approx(r["quasipoisson"]["coef"], rel=1e-9)
    assert errors == pytest.approx(r["quasipoisson"]["se"], rel=1e-9)
    dispersion = r["quasipoisson"]["dispersion"]
    plain = {name: error / np.sqrt(dispersion) for name, error in errors.items()}
    assert plain == pytest.approx(r["poisson"]["se"], rel=1e-9)
    assert fit.notes == f"dispersion {dispersion:.1f}"
    assert fit.degrees(design.matrix[0]) == r["quasipoisson"]["df_residual"]


@pytest.mark.slow
@every_count_model
def test_negative_binomial(sicily: pd.DataFrame, from_r: dict[str, Any], rule: Its, model: str) -> None:
    """R's coefficients at R's α; robust errors beside the sandwich written out and statsmodels' own at that α."""
    series, design, r = _sicily_series(sicily), _count_design(sicily, model), from_r["sicily"][model]
    fit, found = METHODS[NEGATIVE_BINOMIAL](series, design, rule), r["negative_binomial"]
    for name, contrast in design.contrasts.items():
        assert abs(contrast @ fit.coefficients - found["coef"][name]) < 1e-6 * found["se"][name], name
    assert fit.notes == f"α = {found['alpha']:.2g}"
    x, y = design.matrix, series.counts
    mean = series.exposure * np.exp(x @ fit.coefficients)
    scores = x * ((y - mean) / (1 + found["alpha"] * mean))[:, None]
    # The bread is the observed information: that of a log link has the residual in it.
    weight = mean * (1 + found["alpha"] * y) / (1 + found["alpha"] * mean) ** 2
    bread = np.linalg.inv(x.T @ (x * weight[:, None]))
    factor = len(y) / np.subtract(*x.shape)
    sandwich = factor * bread @ scores.T @ scores @ bread
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(np.sqrt(np.diag(sandwich)), rel=1e-4)
    family = sm.families.NegativeBinomial(alpha=found["alpha"])
    robust = sm.GLM(y, x, family=family, offset=np.log(series.exposure)).fit(cov_type="HC0")
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(np.sqrt(factor) * robust.bse, rel=1e-4)
    assert fit.degrees(design.matrix[0]) == np.subtract(*x.shape)
    # Robust errors are not those of the model, which R prints.
    assert fit.std_error(design.contrasts["smokban"]) != pytest.approx(found["se"]["smokban"], rel=0.01)


def test_alpha_is_where_the_likelihood_is_highest(sicily: pd.DataFrame, from_r: dict[str, Any], rule: Its) -> None:
    """Where the counts spread no more than Poisson's, α goes to its lower end and the estimates are Poisson's."""
    months = _sicily_series(sicily).months
    design = _count_design(sicily, "step")
    even = Series(months, np.round(1000 * np.exp(0.002 * sicily.time.to_numpy())), np.ones(len(months)))
    fits = [METHODS[name](even, design, rule) for name in (NEGATIVE_BINOMIAL, QUASI_POISSON)]
    assert fits[0].coefficients == pytest.approx(fits[1].coefficients, abs=1e-5)
    assert float(fits[0].notes.removeprefix("α = ")) < 1e-6


def test_the_published_numbers_of_the_smoking_ban(sicily: pd.DataFrame, from_r: dict[str, Any], rule: Its) -> None:
    """Bernal, Cummins & Gasparrini (2017): rate ratios to the digits printed, their intervals by the normal distribution."""
    series = _sicily_series(sicily)

    def ratio(model: str, term: str, dispersion: float = 1.0) -> tuple[float, float, float]:
        design = _count_design(sicily, model)
        fit = METHODS[QUASI_POISSON](series, design, rule)
        estimate = float(design.contrasts[term] @ fit.coefficients)
        reach = norm.ppf(0.975) * fit.std_error(design.contrasts[term]) / np.sqrt(dispersion)
        low, middle, high = np.exp([estimate - reach, estimate, estimate + reach])
        return float(middle), float(low), float(high)

    exactly = pytest.approx
    assert ratio("step", "smokban", 3.55918676) == exactly((0.8944, 0.8647, 0.9251), abs=5e-5)  # Poisson
    assert ratio("step", "smokban") == exactly((0.8944, 0.8392, 0.9532), abs=5e-5)
    assert ratio("step_two_harmonics", "smokban") == exactly((0.8851, 0.8394, 0.9332), abs=5e-5)
    by_time = "slope_two_harmonics_smokban_by_time"
    assert ratio(by_time, "smokban") == exactly((0.8309, 0.7054, 0.9788), abs=5e-5)
    assert ratio(by_time, "smokban:time")[0] == exactly(1.0015, abs=5e-5)


def test_the_packages_own_design_is_the_published_one(sicily: pd.DataFrame, protocol: Protocol) -> None:
    """Level at the beginning of time, as published, is a contrast of the level in the first month and the slope."""
    series = _sicily_series(sicily)
    design, _ = _segmented(series.months, BAN, 2, protocol)
    fit = METHODS[QUASI_POISSON](series, design, protocol.its)
    assert np.exp(design.contrasts["slope"] @ fit.coefficients) == pytest.approx(1.0015, abs=5e-5)
    at_zero = design.contrasts["level"] - 37 * design.contrasts["slope"]
    assert np.exp(at_zero @ fit.coefficients) == pytest.approx(0.8309, abs=5e-5)
    assert fit.std_error(at_zero) == pytest.approx(0.0835609157788857, rel=1e-6)
    twelfth = design.contrasts["level"] + 11 * design.contrasts["slope"]
    assert design.contrasts["effect_12"] == pytest.approx(twelfth, abs=1e-12)
    assert design.contrasts["effect_mean"] == pytest.approx(
        design.contrasts["level"] + 11 * design.contrasts["slope"], abs=1e-12
    )  # 23 months after: the middle one is the twelfth
    assert "effect_24" not in design.contrasts
