"""The usual methods for an interrupted time series, side by side on one design.

The six that Turner et al. (2021), BMC Med Res Methodol 21:134, compare on published series: ordinary least squares,
Newey–West, Prais–Winsten, REML with and without Satterthwaite's degrees of freedom (here also Kenward and Roger's), and
ARIMA; and two models of counts. Each takes a series and a design, and gives coefficients in log points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import statsmodels.api as sm
from scipy.optimize import minimize_scalar
from scipy.special import stdtr, stdtrit
from statsmodels.tools.sm_exceptions import ConvergenceWarning
from statsmodels.tsa.arima.model import ARIMA

from analysis.estimation.its.autoregression import (
    LAST_PHI,
    Autoregressive,
    SmallSample,
    fit_autoregressive,
    prais_winsten,
    small_sample,
)
from analysis.estimation.its.segments import Segments
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
from analysis.estimation.regression.absorbed import LEAST_NOISE, NotIdentified
from analysis.estimation.regression.series import Series
from analysis.protocol.schema import Its

ENDLESS = 20.0  # log points, or so many errors: a half-width that says nothing
STEPS = 5  # that the optimiser of ARIMA may take from the maximum
LEAST_DISPERSION, MOST_DISPERSION = 1e-8, 1.0  # of the negative binomial


@dataclass(frozen=True)
class Fitted:
    """What a method makes of a series: ``coefficients`` (k), their ``covariance`` (k × k), and the ``degrees`` of freedom of
    Student's t for a contrast; infinite where the method uses the normal distribution."""

    coefficients: np.ndarray
    covariance: np.ndarray
    degrees: Callable[[np.ndarray], float]
    notes: str = ""

    def std_error(self, contrast: np.ndarray) -> float:
        return float(np.sqrt(contrast @ self.covariance @ contrast))

    def test(self, contrast: np.ndarray, conf_level: float) -> tuple[float, float, tuple[float, float], float]:
        """Estimate, standard error, interval and p-value of a contrast of the coefficients."""
        return self.judge(
            float(contrast @ self.coefficients), self.std_error(contrast), self.degrees(contrast), conf_level
        )

    @staticmethod
    def judge(
        estimate: float, error: float, degrees: float, conf_level: float
    ) -> tuple[float, float, tuple[float, float], float]:
        reach = float(stdtrit(degrees, 0.5 + conf_level / 2)) * error
        if not reach < ENDLESS * max(error, 1.0):  # with hardly a degree of freedom, there is no test to speak of
            return estimate, error, (-np.inf, np.inf), np.nan
        return estimate, error, (estimate - reach, estimate + reach), float(2 * stdtr(degrees, -abs(estimate) / error))


Method = Callable[[Series, Segments, Its], Fitted]


def ols(series: Series, design: Segments, rule: Its) -> Fitted:
    """Ordinary least squares of log rates, with its usual errors."""
    fit = sm.OLS(series.log_rate, design.matrix).fit()
    return Fitted(fit.params, fit.cov_params(), _residual(design))


def newey_west(series: Series, design: Segments, rule: Its) -> Fitted:
    """The same estimates with Newey–West errors: Bartlett weights, factor T/(T − k), Student's t on T − k."""
    options = {"maxlags": rule.hac_lags, "use_correction": True}
    fit = sm.OLS(series.log_rate, design.matrix).fit(cov_type="HAC", cov_kwds=options)
    return Fitted(fit.params, fit.cov_params(), _residual(design), f"Newey–West, {rule.hac_lags} lags")


def prais(series: Series, design: Segments, rule: Its) -> Fitted:
    """Prais–Winsten; statsmodels' GLSAR drops the first month."""
    fit = prais_winsten(design.matrix, series.log_rate[None])
    return Fitted(fit.coefficients[0], fit.covariance[0], _residual(design), _phi(fit))


def reml_satterthwaite(series: Series, design: Segments, rule: Its) -> Fitted:
    """REML with autoregressive errors, Satterthwaite's degrees of freedom."""
    fit, small = _reml(series, design)
    return Fitted(fit.coefficients[0], fit.covariance[0], small.satterthwaite, _phi(fit))


def reml_kenward_roger(series: Series, design: Segments, rule: Its) -> Fitted:
    """REML with autoregressive errors, Kenward and Roger's covariance and degrees of freedom."""
    fit, small = _reml(series, design)
    return Fitted(fit.coefficients[0], small.adjusted, small.kenward_roger, _phi(fit))


def arima(series: Series, design: Segments, rule: Its) -> Fitted:
    """ARIMA(1, 0, 0) with the design as regressors, by exact maximum likelihood; errors from the observed information.

    By itself the library's optimiser stops short of the maximum: it starts from the one that ``autoregression`` finds. A log
    rate is scaled by the residuals' spread, since the optimiser works in absolute steps.
    """
    exact = fit_autoregressive(design.matrix, series.log_rate[None], restricted=False)
    basis, triangle = np.linalg.qr(design.matrix)
    scale = float(np.sqrt(exact.variance[0]))
    start = np.append(triangle @ exact.coefficients[0] / scale, [exact.phi[0], 1 - exact.phi[0] ** 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it has nothing left to climb
        model = ARIMA(series.log_rate / scale, exog=basis, order=(1, 0, 0), trend="n")
        fit = model.fit(start_params=start, cov_type="approx", method_kwargs={"maxiter": STEPS})
    number = design.matrix.shape[1]
    back = np.linalg.inv(triangle) * scale
    covariance = back @ fit.cov_params()[:number, :number] @ back.T
    return Fitted(back @ fit.params[:number], covariance, _normal, f"φ = {fit.params[number]:.2f}")


def quasi_poisson(series: Series, design: Segments, rule: Its) -> Fitted:
    """Poisson regression of counts with the exposure as offset, errors scaled by Pearson's dispersion, Student's t on T − k."""
    fit = fit_counts(series, design, sm.families.Poisson(), scale="X2")
    return Fitted(fit.params, fit.cov_params(), _residual(design), f"dispersion {fit.scale:.1f}")


def negative_binomial(series: Series, design: Segments, rule: Its) -> Fitted:
    """Negative binomial regression (variance μ + αμ²) by maximum likelihood, heteroscedasticity-robust errors.

    The sandwich has the factor T/(T − k); Student's t on T − k.
    """

    def loss(log_alpha: float) -> float:
        return -float(fit_counts(series, design, sm.families.NegativeBinomial(alpha=float(np.exp(log_alpha)))).llf)

    ends = (float(np.log(LEAST_DISPERSION)), float(np.log(MOST_DISPERSION)))
    alpha = float(np.exp(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x))
    fit = fit_counts(series, design, sm.families.NegativeBinomial(alpha=alpha), cov_type="HC0")
    factor = len(series.counts) / (len(series.counts) - design.matrix.shape[1])
    return Fitted(fit.params, fit.cov_params() * factor, _residual(design), f"α = {alpha:.2g}")


METHODS: dict[str, Method] = {
    OLS: ols, HAC: newey_west, PRAIS_WINSTEN: prais, SATTERTHWAITE: reml_satterthwaite, KENWARD_ROGER: reml_kenward_roger,
    ARIMA_ML: arima, QUASI_POISSON: quasi_poisson, NEGATIVE_BINOMIAL: negative_binomial,
}  # fmt: skip


def check_series(series: Series, design: Segments) -> None:
    """Raises
    ------
    NotIdentified
        A month has no known count above zero, or nothing that counts could come from; there are no more months than coefficients; or the
        series has no noise: a constant one, say.
    """
    for values, absence in ((series.exposure, "no people or days"), (series.counts, "no known count above zero")):
        bad = np.flatnonzero(~((values > 0) & np.isfinite(values)))
        if len(bad):
            raise NotIdentified(f"{absence} in {series.months[bad[0]]:%B %Y}")
    months, number = design.matrix.shape
    if months <= number:
        raise NotIdentified(f"{months} months for {number} coefficients")
    left = series.log_rate - design.matrix @ np.linalg.lstsq(design.matrix, series.log_rate, rcond=None)[0]
    if np.sqrt((left**2).sum() / (months - number)) < LEAST_NOISE:
        raise NotIdentified("the series departs from its segments nowhere: there is no noise to judge a change by")


def fit_counts(series: Series, design: Segments, family: sm.families.Family, **options: Any) -> Any:
    """A generalised linear model of the counts, with the exposure as offset, started from least squares of log rates.

    Left to itself the library starts from the counts, which it cannot do where all of them are the same.
    """
    start = np.linalg.lstsq(design.matrix, series.log_rate, rcond=None)[0]
    model = sm.GLM(series.counts, design.matrix, family=family, offset=np.log(series.exposure))
    return model.fit(start_params=start, **options)


def _residual(design: Segments) -> Callable[[np.ndarray], float]:
    degrees = float(design.matrix.shape[0] - design.matrix.shape[1])
    return lambda contrast: degrees


@lru_cache(maxsize=2)
def _reml(series: Series, design: Segments) -> tuple[Autoregressive, SmallSample]:
    """Two methods rest on it, and the path that a figure shows."""
    outcome = series.log_rate
    fit = fit_autoregressive(design.matrix, outcome[None])
    return fit, small_sample(design.matrix, outcome, fit)


def _phi(fit: Autoregressive) -> str:
    """The estimated correlation, and whether it is the last that is allowed: then the errors hardly have a mean to return to."""
    return f"φ = {fit.phi[0]:.2f}" + (", the last that is allowed" if fit.phi[0] > LAST_PHI - 1e-6 else "")


def _normal(contrast: np.ndarray) -> float:
    return float("inf")
