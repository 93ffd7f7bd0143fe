"""Paths through time: admissions per head, and the event study."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from plotnine import (
    aes,
    facet_wrap,
    geom_hline,
    geom_line,
    geom_linerange,
    geom_point,
    geom_vline,
    labs,
    scale_color_manual,
    scale_x_continuous,
    scale_x_datetime,
    scale_y_continuous,
)

from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import NO_MODEL, REST
from analysis.reporting.effects.words import event_path
from analysis.reporting.figure import MUTED, START, Figure, canvas, draw, labelled, with_minus
from analysis.reporting.results import Results
from analysis.reporting.wording import counted, headed, listed, signed


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
    groups = "both groups" if len(ends) == 2 else f"all {counted(len(ends))} groups"
    return Figure(
        svg=draw(plot, 2.5),
        alt=f"{name} per 1,000 people per 30 days, the mean over a year: {listed(said)}.",
        caption=f"**{name} rose in {groups}.** Per 1,000 people per 30 days, missing returns masked; points are months, lines "
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
