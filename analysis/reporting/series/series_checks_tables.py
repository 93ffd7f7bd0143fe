"""Tables of how far the interrupted time series can be trusted: residuals, placebo starts, power, error rates, England."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.estimation.its.terms import (
    AUTOREGRESSIVE,
    CONTROLLED,
    KENWARD_ROGER,
    LEVEL,
    OLS,
    PSEUDO_COHORTS,
    REAL_PLACES,
    SINGLE,
    SLOPE,
    TREND,
)
from analysis.protocol.protocol import ENGLAND_COHORT, REST
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.series_checks_words import diagnostics, placebo_starts, without_month
from analysis.reporting.series.series_errors_words import errors
from analysis.reporting.series.series_methods_words import SERIES_METHODS
from analysis.reporting.series.tables import NAMES, numbers, short
from analysis.reporting.series.words import TERMS, detectable_change, late_term, set_size
from analysis.reporting.table import NONE, Table, number, p_number
from analysis.reporting.wording import NO_BREAK, counted, headed, in_sentence


def residuals_table(results: Results, outcome: str) -> Table:
    """Autocorrelation, dispersion, influence and drift of each series' residuals."""
    protocol = results.protocol
    table = diagnostics(results, outcome)
    wanted = [(c, k) for c in protocol.treated_cohorts for k in NAMES] + [(REST, SINGLE)]
    rows = []
    for cohort, kind in wanted:
        for row in table[(table.cohort == cohort) & (table.design == kind)].itertuples():
            rows.append(
                [
                    headed(protocol.cohort_labels[cohort]), NAMES[kind], f"{row.phi:.2f}".replace("-", "\N{MINUS SIGN}"), f"{row.durbin_watson:.2f}",
                    p_number(row.ljung_box_p), p_number(row.innovations_ljung_box_p), f"{row.dispersion:.1f}",
                    f"{row.influential_month} ({_moved(results, outcome, cohort, kind, row.influence)})", p_number(row.adf_p), p_number(row.kpss_p),
                ]
            )  # fmt: skip
    headers = [
        "Cohort", "Series", "φ", "Durbin– Watson", "Ljung– Box, p", "after AR(1), p", "Disper- sion", "Month that matters most",
        "ADF, p", "KPSS, p",
    ]  # fmt: skip
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="What the months leave of the segmented regressions",
        data=table,
        note=f"φ: correlation of neighbouring months, by REML. Ljung–Box over {protocol.its.diagnostic_lags} months, of least squares' residuals and of what an "
        "autoregression of order one leaves. Dispersion: Pearson's, of Poisson counts. The month that matters most, and by how many percentage points the late "
        "departure moves without it. ADF: low p, no unit root; KPSS: low p, not stationary (its table ends at one in ten); both were made for series, not residuals.",
        widths=(11, 12, 7, 9, 9, 9, 9, 18, 8, 8),
    )


def _moved(results: Results, outcome: str, cohort: str, kind: str, influence: float) -> str:
    """Percentage points by which the late departure moves without the month that matters most."""
    late = results.find(kind, outcome, cohort, late_term(results), OLS)
    return NONE if late is None else number(without_month(late, influence) - late.value)


def placebo_starts_table(results: Results, outcome: str) -> Table:
    """Level and slope change of the controlled series at each placebo start."""
    protocol = results.protocol
    parts = [placebo_starts(results, outcome, cohort).assign(cohort=cohort) for cohort in protocol.treated_cohorts]
    table = pd.concat(parts, ignore_index=True)
    rows = []
    for (cohort, start), each in table.groupby(["cohort", "start"], sort=False):
        cells = []
        for term in TERMS:
            for method in (PSEUDO_COHORTS, KENWARD_ROGER):
                (row,) = each[(each.kind == term) & (each.inference == method)].itertuples()
                estimate = Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)
                cells += [short(estimate, 2 if term == SLOPE else 1)] if method == PSEUDO_COHORTS else []
                cells.append(p_number(row.p_value))
        rows.append([headed(protocol.cohort_labels[str(cohort)]), f"{pd.Timestamp(str(start)):%b{NO_BREAK}%Y}", *cells])
    headers = [
        "Cohort", "Start", "Level, %", "p, places", "p, REML", "Slope, % a month", "p,  places", "p,  REML",
    ]  # fmt: skip
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Starts in the months before: what the controlled series finds there",
        data=table[["cohort", "start", "kind", "inference", "estimate", "ci_low", "ci_high", "p_value"]],
        note="From the months before the programme alone. Estimate and interval by least squares and pseudo-cohorts; p by pseudo-cohorts (“places”) and by REML "
        f"with Kenward and Roger's degrees of freedom. {NONE}: the interval has no ends, so that there is no test.",
        widths=(14, 10, 21, 8, 9, 21, 8, 9),
    )


def series_power_table(results: Results, outcome: str) -> Table:
    """The smallest step, change of slope and late departure that each series mostly finds."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    terms = (LEVEL, SLOPE, late_term(results))
    rows, data = [], []
    wanted = [(c, k) for c in protocol.treated_cohorts for k in NAMES] + [(REST, SINGLE), (ENGLAND_COHORT, SINGLE)]
    for cohort, kind in wanted:
        found = {term: detectable_change(results, outcome, cohort, term, kind) for term in terms}
        if None in found.values():
            continue
        falls = {term: pair[0] if np.isfinite(pair[1]) else np.nan for term, pair in found.items() if pair is not None}
        cells = [NONE if np.isnan(fall) else f"{fall:.{2 if term == SLOPE else 1}f}" for term, fall in falls.items()]
        rows.append([headed(protocol.cohort_labels.get(cohort, cohort)), NAMES[kind], *cells])
        data += [(cohort, kind, term, fall) for term, fall in falls.items()]
    headers = ["Cohort", "Series", "Step, %", "Slope, % a month", f"Departure in month {month}, %"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="The smallest falls that the time series would mostly have found",
        data=pd.DataFrame(data, columns=["cohort", "series", "term", "fall_percent"]),
        note=f"The true fall found {protocol.inference.power:.0%} of the time, by the width of the intervals of @tbl-its-all, and for England of @tbl-england. {NONE}: no size would have been.",
    )


def series_errors_table(results: Results) -> Table:
    """How often each method rejects where nothing changed: by autocorrelation, and in real places."""
    protocol = results.protocol
    rows = errors(results, AUTOREGRESSIVE)
    real = errors(results, REAL_PLACES)
    late = late_term(results)
    values = sorted(rows.phi.unique())
    cells = []
    for method, label in SERIES_METHODS.items():
        ours = rows[(rows.method == method) & (rows.term == late)].set_index("phi").size_or_power
        if ours.empty:
            continue
        there = real[(real.method == method) & (real.term == late)].size_or_power
        cells.append(
            [
                headed(label),
                *[f"{100 * ours[phi]:.1f}" for phi in values],
                f"{100 * there.iloc[0]:.0f}" if len(there) else NONE,
            ]
        )
    headers = ["Method", *[f"φ{NO_BREAK}={NO_BREAK}{phi:g}" for phi in values], "Real places"]
    both = pd.concat([rows, real])
    few, many = f"{rows.draws.min():,}", f"{rows.draws.max():,}"
    return Table(
        cells=pd.DataFrame(cells, columns=headers),
        numeric=tuple(headers[1:]),
        caption=f"Series without a change: share, %, in which each method finds a departure in month {protocol.its.effect_month} at the {protocol.study.level:.0%} level",
        data=both.reset_index(drop=True),
        note=f"{many} series for each autocorrelation ({few} where a method is slow), {int(real.draws.max()) if len(real) else 0:,} sets of {counted(set_size(results))} real controls; Monte Carlo standard error at most "
        f"{100 * both.monte_carlo_se.max():.1f} percentage points. Made by `make its-simulation` with seed {rows.seed.iloc[0]} from commit {rows.commit.iloc[0]}. Pseudo-cohorts are not "
        "judged in real places, being those sets themselves.",
    )


def national_table(results: Results) -> Table:
    """England's own series, by where each begins, and its total against the other publication."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    wanted = [(outcome.id, SINGLE, outcome.label) for outcome in protocol.outcomes]
    for check in protocol.its.national_checks:
        ours = protocol.outcome(check.outcome).label
        wanted += [(check.id, SINGLE, check.label), (check.outcome, CONTROLLED, f"{ours} ÷ {in_sentence(check.label)}")]
    terms = (TREND, LEVEL, SLOPE, late_term(results))
    rows, data = [], []
    for outcome, kind, label in wanted:
        for choice in protocol.specifications:
            found = {
                term: results.find(kind, outcome, ENGLAND_COHORT, term, KENWARD_ROGER, choice.id) for term in terms
            }
            if None in found.values():
                continue
            key = f"{kind}/{outcome}/{ENGLAND_COHORT}/{choice.id}/{LEVEL}/{KENWARD_ROGER}"
            window = results.estimates.loc[key].window.split("/")[0]
            rows.append(
                [label, window, *[short(e, 2 if term in (SLOPE, TREND) else 1) for term, e in found.items() if e]]
            )
            data += [(outcome, kind, window, term, *numbers(e)) for term, e in found.items()]
    headers = [
        "Series", "From", "Trend before, % a month", "Level, %", "Slope, % a month", f"Month {month}, %",
    ]  # fmt: skip
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="England's totals at the programme's start, by where the series begins",
        data=pd.DataFrame(data, columns=["outcome", "series", "from", "term", "percent", "ci_low", "ci_high"]),
        note=f"{protocol.study.conf_level:.0%} intervals by REML with Kenward and Roger's degrees of freedom. Per day, not per head.",
        widths=(26, 10, 17, 16, 16, 15),
    )
