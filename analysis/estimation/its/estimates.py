"""Interrupted time series: segmented regression of one series by every method, and beside its pseudo-cohorts.

Single-group (``its``): a group's rate per head per day. Controlled (``cits``): the group against the rest of England, on the log
of the ratio of their rates. With the same design for both, the difference of two regressions is the regression of the
difference, whose own residuals carry the correlation between the two; what moves both drops out. ``cits_synthetic``: the
group against its synthetic control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.its.methods import METHODS, Fitted, check_series
from analysis.estimation.its.pseudo_cohorts import Judgement
from analysis.estimation.its.segments import Segments
from analysis.estimation.its.terms import CUMULATIVE, HAC, KENWARD_ROGER, LEVEL, MEAN, OLS, PSEUDO_COHORTS, SLOPE
from analysis.estimation.regression.estimates import COUNT, Rows, both_scales, minimum_detectable, single_scale
from analysis.estimation.regression.series import Series
from analysis.protocol.protocol import Protocol

FEWER_METHODS = (HAC, KENWARD_ROGER)  # where a choice is tried, and all methods would say little more

Judge = Callable[[np.ndarray], Judgement]  # of a contrast (k), the series beside its pseudo-cohorts


@dataclass(frozen=True)
class Interrupted:
    """A series with its design, and how to ``judge`` a contrast beside pseudo-cohorts, where the design has them."""

    series: Series
    design: Segments
    judge: Judge | None = None
    notes: str = ""


def its_rows(one: Interrupted, kind: str, methods: Iterable[str], protocol: Protocol) -> Rows:
    """Every contrast of the design by each method, the cumulative effect, and the smallest change that each could have found.

    Effects are log points of the rate (a month, for slopes and trends) and per cent; ``cumulative`` is counted in admissions, or
    whatever the outcome counts, over the months after the start.

    Raises
    ------
    NotIdentified
        A month of the series has no count or no people, or the series has no noise.
    """
    check_series(one.series, one.design)
    rows: Rows = []
    for name in methods:
        rows += _method_rows(one, kind, name, METHODS[name](one.series, one.design, protocol.its), protocol)
    if one.judge:
        rows += _pseudo_rows(one, kind, protocol)
    return rows


def its_path(one: Interrupted, protocol: Protocol) -> pd.DataFrame:
    """What a figure needs: [month, observed, fitted, counterfactual, counterfactual_low, counterfactual_high], log scale.

    By least squares and pseudo-cohorts where the series has any, else by REML. The band is where the counterfactual lies if the
    departure from it is at either end of its interval: it leaves out the fitted line where that interval leaves out zero. Months
    of phasing in have no fitted value, and months before the start no band.
    """
    design, conf_level = one.design, protocol.study.conf_level
    fit = METHODS[OLS if one.judge else KENWARD_ROGER](one.series, design, protocol.its)
    fitted = design.matrix @ fit.coefficients
    without = (design.matrix - design.change) @ fit.coefficients
    low, high = (np.full(len(fitted), np.nan) for _ in range(2))
    for month in np.flatnonzero(design.after):
        departure = design.change[month]  # the departure is this contrast of the coefficients
        interval = one.judge(departure).interval if one.judge else fit.test(departure, conf_level)[2]
        low[month], high[month] = fitted[month] - interval[1], fitted[month] - interval[0]
    phasing = np.array([name.startswith("phase_in") for name in design.columns])
    gone = design.matrix[:, phasing].any(axis=1)
    plain = without - design.matrix[:, phasing] @ fit.coefficients[phasing]
    return pd.DataFrame(
        {
            "month": design.months,
            "observed": one.series.log_rate,
            "fitted": np.where(gone, np.nan, fitted),
            "counterfactual": plain,
            "counterfactual_low": low,
            "counterfactual_high": high,
        }
    )


def _method_rows(one: Interrupted, kind: str, name: str, fit: Fitted, protocol: Protocol) -> Rows:
    conf_level = protocol.study.conf_level
    context: dict[str, Any] = {"design": kind, "n_obs": len(one.series.counts)}
    said = "; ".join(filter(None, [fit.notes, one.design.notes, one.notes]))
    rows: Rows = []
    for term, contrast in one.design.contrasts.items():
        estimate, error, interval, p_value = fit.test(contrast, conf_level)
        rows += both_scales(term, name, estimate, interval, std_error=error, p_value=p_value, notes=said, **context)
        rows += _detectable(term, name, kind, interval, context, protocol)
    if MEAN in one.design.contrasts:
        total, gradient = _cumulative(one, fit.coefficients)
        error = float(np.sqrt(gradient @ fit.covariance @ gradient))
        found = fit.judge(total, error, fit.degrees(one.design.contrasts[MEAN]), conf_level)
        rows.append(_count_row(name, found[0], found[2], error, found[3], said, context))
    return rows


def _pseudo_rows(one: Interrupted, kind: str, protocol: Protocol) -> Rows:
    """Least-squares estimates judged beside pseudo-cohorts. The ends of the cumulative effect are those of the mean effect, times the
    counts expected without it, so that its interval leaves out zero where the mean's does."""
    assert one.judge is not None
    context: dict[str, Any] = {"design": kind, "n_obs": len(one.series.counts)}
    judged: dict[str, Judgement] = {term: one.judge(contrast) for term, contrast in one.design.contrasts.items()}
    said = "; ".join(filter(None, [one.notes, one.design.notes]))
    rows: Rows = []
    for term, found in judged.items():
        rows += both_scales(
            term, PSEUDO_COHORTS, found.estimate, found.interval, std_error=found.std_error, p_value=found.p_value, notes=said, **context
        )  # fmt: skip
        rows += _detectable(term, PSEUDO_COHORTS, kind, found.interval, context, protocol)
    if MEAN in judged:
        coefficients = METHODS[OLS](one.series, one.design, protocol.its).coefficients
        total, _ = _cumulative(one, coefficients)
        mean, expected = judged[MEAN], float(_expected(one, coefficients).sum())
        low, high = (expected * float(np.expm1(end)) for end in mean.interval)
        rows.append(_count_row(PSEUDO_COHORTS, total, (low, high), np.nan, mean.p_value, said, context))
    return rows


def _cumulative(one: Interrupted, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
    """Counts added over the months after the start by the fitted change (negative: avoided), and its gradient (k).

    Both what was fitted and what would have been without the change are uncertain, and vary together.
    """
    design, after = one.design, one.design.after
    with_change, without = design.matrix[after], (design.matrix - design.change)[after]
    fitted = one.series.exposure[after] * np.exp(with_change @ coefficients)
    expected = _expected(one, coefficients)
    return float(fitted.sum() - expected.sum()), fitted @ with_change - expected @ without


def _expected(one: Interrupted, coefficients: np.ndarray) -> np.ndarray:
    """Counts of the months after the start without the change."""
    design, after = one.design, one.design.after
    return np.asarray(one.series.exposure[after] * np.exp((design.matrix - design.change)[after] @ coefficients))


def _count_row(
    name: str,
    total: float,
    interval: tuple[float, float],
    error: float,
    p_value: float,
    notes: str,
    context: dict[str, Any],
) -> dict[str, Any]:
    row = single_scale(CUMULATIVE, name, COUNT, total, interval, p_value=p_value, notes=notes, **context)
    return row | {"std_error": error}


def _detectable(
    term: str, name: str, kind: str, interval: tuple[float, float], context: dict[str, Any], protocol: Protocol
) -> Rows:
    if term not in (LEVEL, SLOPE, f"effect_{protocol.its.effect_month}") or name not in (KENWARD_ROGER, PSEUDO_COHORTS):
        return []
    half_width = (interval[1] - interval[0]) / 2
    found = minimum_detectable(half_width, protocol.study.conf_level, protocol.inference.power)
    return both_scales(f"mde_{kind}_{term}", name, found, **context | {"design": "power"})
