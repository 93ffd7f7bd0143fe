"""Interrupted time series as pictures: the series and its counterfactual, methods side by side, what the residuals hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    element_text,
    facet_wrap,
    geom_hline,
    geom_line,
    geom_linerange,
    geom_point,
    geom_ribbon,
    geom_segment,
    geom_vline,
    ggplot,
    labs,
    scale_color_manual,
    scale_fill_manual,
    scale_linetype_manual,
    scale_x_continuous,
    scale_x_datetime,
    scale_y_continuous,
    theme,
)

from analysis.estimation.its.terms import CONTROLLED, PSEUDO_COHORTS, SINGLE
from analysis.protocol.protocol import REST
from analysis.reporting.figure import MUTED, ROWS, START, Figure, canvas, draw, labelled, with_minus
from analysis.reporting.results import PRIMARY, Estimate, Results
from analysis.reporting.series.series_methods_words import SERIES_METHODS
from analysis.reporting.series.words import change, late_term
from analysis.reporting.wording import above_or_below, headed, listed, signed, span

VALUES = ["observed", "fitted", "counterfactual", "counterfactual_low", "counterfactual_high"]
WIDEST = 40.0  # percent; intervals further out are cut, and are in the table
DAYS, PEOPLE = 30, 1000  # of a rate as it is drawn


def controlled_series_figure(results: Results, outcome: str) -> Figure:
    """The models' rates relative to the rest's: months, segmented regression, and the dashed counterfactual with its band."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    late = _departures(results, outcome, protocol.model_ids, CONTROLLED)
    data = _paths(results, outcome, CONTROLLED, list(late))
    gaps = listed(
        [f"{above_or_below(e.value)} it for {protocol.cohort_labels[m]} ({span(e)})" for m, e in late.items()]
    )
    return Figure(
        svg=draw(_plot(results, data, "Rate ÷ rate in the rest of England"), 2.9),
        alt=f"Controlled interrupted time series. In month {month} the series stand, against their counterfactual, {gaps}.",
        caption=f"**{_departure_title(results, late)}** In month {month}, against the counterfactual: {gaps}. Rate relative to the rest of "
        "England by month; points: observed; solid: segmented regression; dashed: its counterfactual, with the band in which it lies at "
        f"{protocol.study.conf_level:.0%} confidence, by pseudo-cohorts; dotted line: the programme's start.",
        data=data[["label", "month", *VALUES]],
    )


def single_series_figure(results: Results, outcome: str) -> Figure:
    """Each group's own rate, the rest's too, with the counterfactual that its own path gives."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    cohorts = [*protocol.model_ids, REST]
    late = _departures(results, outcome, cohorts, SINGLE)
    data = _paths(results, outcome, SINGLE, list(late))
    data[VALUES] = data[VALUES] * DAYS * PEOPLE
    gaps = listed(
        [
            f"{protocol.cohort_labels[c]} {above_or_below(e.value)} its own earlier path ({span(e)})"
            for c, e in late.items()
        ]
    )
    name = protocol.outcome(outcome).label
    return Figure(
        svg=draw(_plot(results, data, f"Per {PEOPLE:,} people per {DAYS} days"), 2.7),
        alt=f"{name}, interrupted time series of single groups. In month {month}: {gaps}.",
        caption=f"**In month {month}: {gaps}.** {name} per {PEOPLE:,} people per {DAYS} days; points: months; solid: "
        f"segmented regression with seasons; dashed: its counterfactual, with its band at {protocol.study.conf_level:.0%} confidence (REML, "
        "Kenward–Roger); dotted line: the programme's start. A single series cannot tell the programme from what happened everywhere.",
        data=data[["label", "month", *VALUES]],
    )


def methods_figure(results: Results, outcome: str) -> Figure:
    """The controlled series' late departure by every method, a panel for each cohort."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    table = results.its_methods
    cohorts = list(protocol.treated_cohorts)
    rows = table[
        (table.outcome == outcome) & (table.design == CONTROLLED) & (table.term == late_term(results)) & table.cohort.isin(cohorts)
    ]  # fmt: skip
    data = labelled(rows.reset_index(drop=True), protocol.cohort_labels)
    names = [headed(name) for name in SERIES_METHODS.values()]
    shown = data.method.map(SERIES_METHODS).map(headed)
    data["name"] = pd.Categorical(shown, names[::-1])
    data["low"], data["high"] = data.ci_low.clip(lower=-WIDEST), data.ci_high.clip(upper=WIDEST)
    cut = (data.ci_low < -WIDEST) | (data.ci_high > WIDEST)
    plot = (
        canvas(data, aes(y="name", x="percent", color="cohort"))
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_segment(aes(x="low", xend="high", yend="name"), size=1.1)
        + geom_point(size=1.7)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(labels=with_minus)
        + labs(x=f"Departure in month {month}, %", y="")
        + ROWS
        + theme(strip_text=element_text(size=7.5, weight="bold", ha="left"))  # the longest label fits its panel
    )
    tests = data.dropna(subset="p_value").groupby("label", observed=False).p_value
    clear = tests.agg(["size", lambda p: int((p < protocol.study.level).sum())])
    methods = data.method.nunique()
    counts = listed([f"{count} of {total} for {label}" for label, total, count in clear.itertuples()])
    beside = data[data.method == PSEUDO_COHORTS]
    stands = [str(row.label) for row in beside.itertuples() if row.p_value < protocol.study.level]
    title = (
        f"beside other places the departure stands out for {listed(stands)}"
        if stands
        else "beside other places no departure stands out"
    )
    ends = data.groupby("label", observed=True).percent.agg(["min", "max"])
    spans = listed([f"{label} from {signed(low)} to {signed(high)}" for label, low, high in ends.itertuples()])
    return Figure(
        svg=draw(plot, 2.9),
        alt=f"Departure of the controlled series in month {month} by {methods} methods: {spans}. {headed(title)}. Methods that find one: {counts}.",
        caption=f"**{headed(title)}.** Methods that find one: {counts}. Departure of the controlled series from its counterfactual in month {month}, "
        f"with {protocol.study.conf_level:.0%} intervals, by method"
        + (f"; {int(cut.sum())} intervals reach beyond ±{WIDEST:.0f}% and are cut." if cut.any() else "."),
        data=data[["label", "method", "percent", "ci_low", "ci_high", "p_value"]],
    )


def autocorrelation_figure(results: Results, outcome: str) -> Figure:
    """Autocorrelation and partial autocorrelation of the controlled series' residuals, a panel for each cohort."""
    protocol = results.protocol
    table = results.series("its_autocorrelation")
    cohorts = list(protocol.treated_cohorts)
    rows = table[(table.outcome == outcome) & (table.design == CONTROLLED) & table.cohort.isin(cohorts)]
    data = labelled(rows.reset_index(drop=True), protocol.cohort_labels)
    bound = float(data.bound.iloc[0])
    lines = pd.concat(
        [
            data.assign(value=data.acf, at=data.lag - 0.15, kind="autocorrelation"),
            data.assign(value=data.pacf, at=data.lag + 0.15, kind="partial"),
        ]
    )
    plot = (
        canvas(lines, aes("at", "value", color="cohort"))
        + geom_hline(yintercept=0, color=MUTED, size=0.4)
        + geom_hline(yintercept=[-bound, bound], color=MUTED, size=0.4, linetype="dotted")
        + geom_linerange(aes(ymin=0, ymax="value", linetype="kind"), size=0.9)
        + geom_point(size=1.2)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_linetype_manual(values={"autocorrelation": "solid", "partial": "dashed"})
        + scale_x_continuous(breaks=[1, 3, 6, 9, 12])
        + scale_y_continuous(labels=with_minus)
        + labs(x="Months apart", y="Correlation of residuals")
    )
    first = data[data.lag == 1].set_index("label").acf
    said = listed([f"{value:.2f} for {label}".replace("-", "\N{MINUS SIGN}") for label, value in first.items()])
    return Figure(
        svg=draw(plot, 2.5),
        alt=f"Autocorrelation of the controlled series' residuals by lag. Neighbouring months correlate by {said}.",
        caption=f"**Residuals of neighbouring months correlate by {said}.** Autocorrelation (solid) and partial autocorrelation (dashed) of "
        f"the residuals of least squares; white noise passes the dotted lines one time in twenty.",
        data=data[["label", "lag", "acf", "pacf", "bound"]],
    )


def _paths(results: Results, outcome: str, kind: str, cohorts: Sequence[str]) -> pd.DataFrame:
    """Paths of the first specification, on the scale of rates or of rate ratios."""
    table = results.its_series
    rows = table[
        (table.design == kind) & (table.specification == PRIMARY) & (table.outcome == outcome) & table.cohort.isin(cohorts)
    ]  # fmt: skip
    return labelled(rows.assign(**np.exp(rows[VALUES])), results.protocol.cohort_labels)


def _plot(results: Results, data: pd.DataFrame, axis: str) -> ggplot:
    protocol = results.protocol
    after = data[data.month >= protocol.study.programme_start]
    lines = pd.concat(
        [data.assign(y=data.fitted, line="fitted"), after.assign(y=after.counterfactual, line="counterfactual")]
    )
    # A band that no limit holds would flatten everything else.
    low, high = data.observed.min(), data.observed.max()
    room = (high - low) * 1.5
    band = after.assign(
        low=after.counterfactual_low.clip(low - room), high=after.counterfactual_high.clip(upper=high + room)
    )
    return (
        canvas(data, aes("month", color="cohort"))
        + geom_vline(xintercept=protocol.study.programme_start, **START)
        + geom_ribbon(aes(ymin="low", ymax="high", fill="cohort"), data=band, alpha=0.15, color="none")
        + geom_point(aes(y="observed"), size=1, alpha=0.65)
        + geom_line(aes(y="y", linetype="line", group="line"), data=lines, size=0.8, na_rm=True)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_fill_manual(values=protocol.cohort_colours, guide=None)
        + scale_linetype_manual(
            values={"fitted": "solid", "counterfactual": "dashed"}, breaks=["fitted", "counterfactual"]
        )
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y")
        + labs(x="", y=axis)
    )


def _departures(results: Results, outcome: str, cohorts: Sequence[str], kind: str) -> dict[str, Estimate]:
    found = {cohort: change(results, outcome, cohort, late_term(results), kind) for cohort in cohorts}
    return {cohort: late for cohort, late in found.items() if late is not None}


def _departure_title(results: Results, late: dict[str, Estimate]) -> str:
    labels = results.protocol.cohort_labels
    clear = {model: effect for model, effect in late.items() if effect.excludes_zero}
    unclear = [labels[model] for model in late if model not in clear]
    parts = [
        f"{labels[m]} stands {'below' if e.value < 0 else 'above'} where its earlier trend points"
        for m, e in clear.items()
    ]
    parts += [f"for {listed(unclear)} no difference is clear"] if unclear else []
    return f"{headed('; '.join(parts))}."
