"""What the months leave of a segmented regression: autocorrelation, dispersion, single months, drift."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.stats.stattools import durbin_watson
from statsmodels.tools.sm_exceptions import InterpolationWarning
from statsmodels.tsa.stattools import acf, adfuller, kpss, pacf

from analysis.estimation.its.autoregression import fit_autoregressive
from analysis.estimation.its.estimates import Interrupted
from analysis.estimation.its.methods import fit_counts
from analysis.protocol.schema import Its


def diagnostics(one: Interrupted, rule: Its) -> pd.DataFrame:
    """One row of checks of the residuals of least squares, unless another fit is named.

    Returns
    -------
    [phi (REML), durbin_watson, ljung_box_p, innovations_ljung_box_p, dispersion, influential_month, influence,
    influence_errors, adf_p, kpss_p]. ``ljung_box_p`` is over the protocol's lags; the second one is of what REML's
    autoregression leaves, with a degree of freedom less. ``dispersion``: Pearson's, of Poisson counts. ``influence``: by how much
    the month that matters most moves the latest effect (log points), and in units of its error. The tests of drift (augmented
    Dickey–Fuller: low p, no unit root; KPSS: low p, not stationary) are made for series, not residuals: their p are rough.
    """
    series, matrix = one.series, one.design.matrix
    fit = sm.OLS(series.log_rate, matrix).fit()
    residual = np.asarray(fit.resid)
    reml = fit_autoregressive(matrix, series.log_rate[None])
    phi = float(reml.phi[0])
    departure = series.log_rate - matrix @ reml.coefficients[0]
    innovations = departure[1:] - phi * departure[:-1]
    lags = min(rule.diagnostic_lags, len(residual) // 2 - 1)
    counts = fit_counts(series, one.design, sm.families.Poisson())
    late = one.design.latest
    moved = _influence(matrix, residual, late)
    month = int(np.abs(moved).argmax())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterpolationWarning)  # the p-value lies beyond KPSS's table
        stationary = kpss(residual, regression="c", nlags="auto", result_object=True).pvalue
    return pd.DataFrame(
        {
            "phi": [phi],
            "durbin_watson": durbin_watson(residual),
            "ljung_box_p": acorr_ljungbox(residual, lags=[lags]).lb_pvalue.iloc[0],
            "innovations_ljung_box_p": acorr_ljungbox(innovations, lags=[lags], model_df=1).lb_pvalue.iloc[0],
            "dispersion": counts.pearson_chi2 / counts.df_resid,
            "influential_month": one.design.months[month].strftime("%Y-%m"),
            "influence": moved[month],
            "influence_errors": abs(moved[month]) / float(np.sqrt(late @ fit.cov_params() @ late)),
            "adf_p": adfuller(residual, regression="n", result_object=True).pvalue,
            "kpss_p": stationary,
        }
    )


def autocorrelation(one: Interrupted, rule: Its) -> pd.DataFrame:
    """[lag, acf, pacf, bound] of the residuals of least squares; ``bound``: 1.96 ÷ √T, which white noise passes one time in twenty."""
    residual = np.asarray(sm.OLS(one.series.log_rate, one.design.matrix).fit().resid)
    lags = min(rule.diagnostic_lags, len(residual) // 2 - 1)
    table = pd.DataFrame({"acf": acf(residual, nlags=lags), "pacf": pacf(residual, nlags=lags, method="ywm")})
    return table.iloc[1:].rename_axis("lag").reset_index().assign(bound=1.96 / np.sqrt(len(residual)))


def _influence(matrix: np.ndarray, residual: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Change of a contrast (T) when each month is left out: c'(X'X)⁻¹x e ÷ (1 − h), with the sign of leaving it out.

    A month that has a coefficient of its own is fitted exactly, and moves nothing.
    """
    inverse = np.linalg.inv(matrix.T @ matrix)
    leverage = np.einsum("tk,kl,tl->t", matrix, inverse, matrix)
    room = 1 - leverage
    own = room < 1e-9
    return np.asarray(np.where(own, 0.0, -(matrix @ inverse @ contrast) * residual / np.where(own, 1.0, room)))
