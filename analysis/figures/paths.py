"""Paths through time: admissions per head, the event study, and the controlled interrupted time series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    facet_wrap,
    geom_hline,
    geom_line,
    geom_linerange,
    geom_point,
    geom_ribbon,
    geom_vline,
    labs,
    scale_color_manual,
    scale_fill_manual,
    scale_linetype_manual,
    scale_x_continuous,
    scale_x_datetime,
    scale_y_continuous,
)

from analysis.cleaning.panel import ANALYSED
from analysis.figures.theme import MUTED, START, Figure, canvas, draw, labelled, with_minus
from analysis.narrative.effects import event_path
from analysis.narrative.series import late_departure
from analysis.narrative.wording import above_or_below, counted, headed, listed, signed, span
from analysis.protocol import NO_MODEL, REST
from analysis.results import Estimate, Results


def rate_figure(results: Results, outcome: str) -> Figure:
    """Admissions per 1,000 people per 30 days by cohort: months as points, a centred year's mean as a line."""
    protocol = results.protocol
    rows = results.panel[results.panel.geography.isin(ANALYSED) & (results.panel.outcome == outcome)]
    cohort = rows.model.where((rows.covered_share == 1) | (rows.model == NO_MODEL)).replace(NO_MODEL, REST)
    sums = rows.assign(cohort=cohort).groupby(["cohort", "month", "days"])[["value", "population"]].sum().reset_index()
    sums["rate"] = sums.value / sums.population * 1000 * 30 / sums.days
    sums["smooth"] = sums.groupby("cohort").rate.transform(lambda rate: rate.rolling(12, center=True).mean())
    data = labelled(sums, protocol.cohort_labels)
    plot = (
        canvas(data, aes("month", "rate", color="cohort"))
        + geom_vline(xintercept=protocol.study.programme_start, **START)
        + geom_point(size=0.9, alpha=0.65)
        + geom_line(aes(y="smooth"), size=1, na_rm=True)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y")
        + labs(x="", y="Per 1,000 people per 30 days")
    )
    ends = data.dropna(subset="smooth").groupby("label", observed=True).smooth.agg(["first", "last"])
    said = [f"{label} from {row['first']:.1f} to {row['last']:.1f}" for label, row in ends.iterrows()]
    name = protocol.outcome(outcome).label
    return Figure(
        svg=draw(plot, 2.5),
        alt=f"{name} per 1,000 people per 30 days, the mean over a year: {listed(said)}.",
        caption=f"**{name} rose in all three groups.** Per 1,000 people per 30 days, missing returns masked; points are months, lines "
        "the mean of the year around each month, the dotted line the programme's start."
        if (ends["last"] > ends["first"]).all()
        else f"**{name} did not move the same way everywhere.** Per 1,000 people per 30 days, missing returns masked; points "
        "are months, lines the mean of the year around each month, the dotted line the programme's start.",
        data=data[["label", "month", "rate", "smooth"]],
    )


def event_study_figure(results: Results, outcome: str, cohorts: Sequence[str] = ()) -> Figure:
    """Effect by quarter with pointwise intervals and the band for all quarters at once, a panel for each cohort or model."""
    protocol = results.protocol
    paths = [event_path(results, outcome, cohort).assign(cohort=cohort) for cohort in cohorts or protocol.model_ids]
    data = labelled(pd.concat(paths), protocol.cohort_labels)
    plot = (
        canvas(data, aes("event_time", "estimate", color="cohort"))
        + geom_hline(yintercept=0, color=MUTED, size=0.5)
        + geom_vline(xintercept=-0.5, **START)
        + geom_linerange(aes(ymin="band_low", ymax="band_high"), size=0.4, na_rm=True)
        + geom_linerange(aes(ymin="ci_low", ymax="ci_high"), size=1.3, na_rm=True)
        + geom_point(size=1.8)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(labels=with_minus)
        + scale_y_continuous(labels=with_minus, breaks=range(-60, 61, 10))
        + labs(x="Quarters from the programme's start", y="Difference, %")
    )
    measured = data.dropna(subset="ci_low")
    means = measured.groupby(["label", measured.event_time < 0], observed=True).estimate.mean().unstack()
    before, after = (
        listed([f"{label} {signed(mean)}" for label, mean in means[side].items()]) for side in (True, False)
    )
    found = f"Before the start, quarters averaged {before}; after it, {after}."
    outside = measured[(measured.band_low > 0) | (measured.band_high < 0)].groupby("label", observed=True).size()
    band = "every band includes zero"
    if len(outside):
        band = f"the band leaves out zero in {listed([f'{counted(n)} of {label}' for label, n in outside.items()])}"
    base, level = protocol.inference.event_study_base, f"{protocol.study.conf_level:.0%}"
    return Figure(
        svg=draw(plot, 2.6),
        alt=f"Event study by quarter, measured from the quarter that began in {base:%B %Y}. {found} {headed(band)}.",
        caption=f"**{found}** Difference from the rest of England by quarter, relative to the quarter that began in {base:%B %Y}. Thick bars: "
        f"pointwise {level} intervals (CR1); thin bars: a {level} band for all quarters at once, by randomisation; {band}.",
        data=data[["label", "event_time", "estimate", "ci_low", "ci_high", "band_low", "band_high"]],
    )


def controlled_series_figure(results: Results, outcome: str) -> Figure:
    """The cohort's rate relative to the rest's, the fitted segments, and the dashed counterfactual."""
    protocol = results.protocol
    rows = results.its_series.query("design == 'cits' and specification == 'primary' and outcome == @outcome")
    rows = rows[rows.cohort.isin(protocol.model_ids)]
    values = ["observed", "fitted", "counterfactual", "counterfactual_low", "counterfactual_high"]
    data = labelled(rows.assign(**np.exp(rows[values])), protocol.cohort_labels)
    after = data[data.month >= protocol.study.programme_start]
    lines = pd.concat(
        [
            data.assign(y=data.fitted, line="fitted"),
            after.assign(y=after.counterfactual, line="counterfactual"),
        ]
    )
    plot = (
        canvas(data, aes("month", color="cohort"))
        + geom_vline(xintercept=protocol.study.programme_start, **START)
        + geom_ribbon(
            aes(ymin="counterfactual_low", ymax="counterfactual_high", fill="cohort"),
            data=after,
            alpha=0.15,
            color="none",
        )
        + geom_point(aes(y="observed"), size=1, alpha=0.65)
        + geom_line(aes(y="y", linetype="line", group="line"), data=lines, size=0.8)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_fill_manual(values=protocol.cohort_colours, guide=None)
        + scale_linetype_manual(
            values={"fitted": "solid", "counterfactual": "dashed"}, breaks=["fitted", "counterfactual"]
        )
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y")
        + labs(x="", y="Rate ÷ rate in the rest of England")
    )
    month = protocol.its.effect_month
    late = {model: late_departure(results, outcome, model) for model in protocol.model_ids}
    gaps = listed(
        [f"{above_or_below(e.value)} it for {protocol.cohort_labels[m]} ({span(e)})" for m, e in late.items()]
    )
    return Figure(
        svg=draw(plot, 2.9),
        alt=f"Controlled interrupted time series. In month {month} the series stand, against their counterfactual, {gaps}.",
        caption=f"**{_departure_title(results, late)}** In month {month}, against the counterfactual: {gaps}. Rate relative to the rest of "
        "England by month; points: observed; solid: segmented regression; dashed: its counterfactual, with the interval of its mean.",
        data=data[["label", "month", *values]],
    )


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
