"""Interrupted time series: segmented regression of monthly log rates, single-group and controlled.

log(rate per head per day) = level + trend + harmonics + level change + slope change · months since the start.
The controlled series is the log of the ratio of the cohort's rate to the rest's, so that what moves both drops out.
Ordinary least squares with Newey–West errors (Bartlett weights, small-sample factor n/(n − k), Student's t).
Source of the model: Bernal, Cummins & Gasparrini (2017), Int J Epidemiol 46(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm

from analysis.models.did import fitted_without_treatment
from analysis.models.estimates import both_scales
from analysis.models.sample import Sample
from analysis.protocol import Protocol

HAC = "HAC"
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Series:
    """Monthly counts and population of a group of units, and the days in each month."""

    months: pd.DatetimeIndex
    counts: np.ndarray
    population: np.ndarray

    @property
    def log_rate(self) -> np.ndarray:
        """Log of the count per head per day."""
        return np.log(self.counts / self.population / self.months.days_in_month.to_numpy())


def cohort_series(sample: Sample, members: np.ndarray, complete: bool = True) -> Series:
    """Sum the units where ``members`` is true.

    ``complete`` fills what is masked with fitted values from the Poisson model without treatment, so that the sum
    stands for the same people in every month; otherwise masked people leave the sum, numerator and denominator.
    """
    counts = np.nan_to_num(sample.counts)
    population = np.nan_to_num(sample.population)
    if complete:
        absent = np.maximum(sample.population_full - population, 0.0)
        counts = counts + fitted_without_treatment(sample) * absent
        population = population + absent
    return Series(sample.months, counts[members].sum(axis=0), population[members].sum(axis=0))


def segmented_regression(
    months: pd.DatetimeIndex, outcome: np.ndarray, protocol: Protocol, **context: Any
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Level and slope change and the effect late in the programme, and the series that a figure needs.

    ``outcome`` is a log rate, or a log rate ratio, by month. The slope is in log points a month; the effect is the
    fitted departure from the counterfactual in the protocol's ``effect_month``, counted from 1.

    Returns
    -------
    rows of the estimates table, and [month, observed, fitted, counterfactual, counterfactual_low, counterfactual_high]
    (log scale; the band is the interval of the counterfactual's mean).
    """
    rule, conf_level = protocol.its, protocol.study.conf_level
    design = _design(months, protocol)
    fit = sm.OLS(outcome, design).fit(
        cov_type="HAC", cov_kwds={"maxlags": rule.hac_lags, "use_correction": True}, use_t=True
    )
    late = rule.effect_month - 1
    contrasts = {
        "level": {"level_change": 1.0},
        "slope": {"slope_change": 1.0},
        f"effect_{rule.effect_month}": {"level_change": 1.0, "slope_change": float(late)},
    }
    rows: list[dict[str, Any]] = []
    for term, weights in contrasts.items():
        contrast = pd.Series(weights).reindex(design.columns, fill_value=0.0)
        test = fit.t_test(contrast.to_numpy())
        low, high = test.conf_int(alpha=1 - conf_level)[0]
        rows += both_scales(
            term, HAC, test.effect.item(), (float(low), float(high)), std_error=float(test.sd.item()),
            p_value=float(test.pvalue), n_obs=len(outcome),
            notes=f"Newey–West, {rule.hac_lags} lags; {rule.harmonics} harmonic pairs", **context,
        )  # fmt: skip
    without = fit.get_prediction(design.assign(level_change=0.0, slope_change=0.0)).summary_frame(alpha=1 - conf_level)
    path = pd.DataFrame(
        {
            "month": months,
            "observed": outcome,
            "fitted": np.asarray(fit.fittedvalues),
            "counterfactual": without["mean"].to_numpy(),
            "counterfactual_low": without["mean_ci_lower"].to_numpy(),
            "counterfactual_high": without["mean_ci_upper"].to_numpy(),
        }
    )
    return rows, path


def _design(months: pd.DatetimeIndex, protocol: Protocol) -> pd.DataFrame:
    start = months.get_loc(protocol.study.programme_start)
    time = np.arange(len(months), dtype=float)
    columns = {"constant": np.ones(len(months)), "trend": time}
    for pair in range(1, protocol.its.harmonics + 1):
        angle = 2 * np.pi * pair * months.month.to_numpy() / MONTHS_A_YEAR
        columns |= {f"sine_{pair}": np.sin(angle), f"cosine_{pair}": np.cos(angle)}
    after = (time >= start).astype(float)
    columns |= {"level_change": after, "slope_change": after * (time - start)}
    return pd.DataFrame(columns)
