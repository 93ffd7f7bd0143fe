"""Does the estimate rest on one site, and what does the method find where there is nothing to find?"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    facet_wrap,
    geom_col,
    geom_hline,
    geom_linerange,
    geom_point,
    geom_segment,
    geom_vline,
    labs,
    scale_color_manual,
    scale_x_continuous,
    scale_x_datetime,
    scale_y_continuous,
    scale_y_discrete,
)

from analysis.reporting.figure import MUTED, ROWS, Figure, canvas, draw, labelled, with_minus
from analysis.reporting.results import Results
from analysis.reporting.sensitivity.words import leave_one_out, placebo, placebo_starts
from analysis.reporting.wording import headed, listed, signed, span

BINS = 48
SEPARATOR = ": "


def leave_one_out_figure(results: Results, outcome: str) -> Figure:
    """The estimate of each model without each of its sites; the dashed line is the estimate with all of them."""
    protocol, labels_of = results.protocol, results.protocol.cohort_labels
    tables = [leave_one_out(results, outcome, model).assign(cohort=model) for model in protocol.model_ids]
    data = labelled(pd.concat(tables, ignore_index=True), protocol.cohort_labels)
    rows = data.cohort + SEPARATOR + data.site
    data["row"] = pd.Categorical(rows, rows[::-1])  # the lowest estimate of each model on top
    whole = pd.DataFrame({"cohort": protocol.model_ids})
    whole["estimate"] = [results.effect(outcome, model).value for model in protocol.model_ids]
    plot = (
        canvas(data, aes("estimate", "row", color="cohort"))
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_vline(
            aes(xintercept="estimate", color="cohort"), labelled(whole, labels_of), linetype="dashed", size=0.6
        )
        + geom_segment(aes(x="low", xend="high", yend="row"), size=1)
        + geom_point(size=2.2)
        + facet_wrap("label", ncol=1, scales="free_y")
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(labels=with_minus)
        + scale_y_discrete(
            labels=lambda names: [textwrap.fill(str(name).partition(SEPARATOR)[2], 44) for name in names]
        )
        + labs(x="Difference without the site, %", y="")
        + ROWS
    )
    said = []
    for label, rows in data.groupby("label", observed=True):
        low, high = rows.iloc[0], rows.iloc[-1]
        said.append(
            f"{label} from {signed(low.estimate)} (without {low.site}) to {signed(high.estimate)} (without {high.site})"
        )
    return Figure(
        svg=draw(plot, 1.2 + 0.22 * len(data)),
        alt=f"Difference-in-differences without each site in turn: {listed(said)}.",
        caption=f"**Without one site, the estimates run {listed(said)}.** Difference-in-differences over the programme, with "
        f"{protocol.study.conf_level:.0%} randomisation intervals; dashed: with all sites.",
        data=data[["label", "site", "estimate", "low", "high", "p_value"]],
    )


def placebo_starts_figure(results: Results, outcome: str) -> Figure:
    """Effects found at starts before the programme, from the months before it alone, a panel for each cohort."""
    protocol = results.protocol
    cohorts = list(protocol.treated_cohorts)
    tables = [placebo_starts(results, outcome, cohort).assign(cohort=cohort) for cohort in cohorts]
    data = labelled(pd.concat(tables, ignore_index=True), protocol.cohort_labels)
    plot = (
        canvas(data, aes("start", "estimate", color="cohort"))
        + geom_hline(yintercept=0, color=MUTED, size=0.5)
        + geom_linerange(aes(ymin="low", ymax="high"), size=0.8)
        + geom_point(size=1.8)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_datetime(date_breaks="4 months", date_labels="%b\n%Y")
        + scale_y_continuous(labels=with_minus)
        + labs(x="Placebo start", y="Difference, %")
    )
    clear = int(((data.low > 0) | (data.high < 0)).sum())
    spans = [
        f"{label} from {signed(rows.estimate.min())} to {signed(rows.estimate.max())}"
        for label, rows in data.groupby("label", observed=True)
    ]
    title = (
        f"{clear} of {len(data)} placebo starts show a difference."
        if clear
        else "No placebo start shows a clear difference."
    )
    return Figure(
        svg=draw(plot, 2.5),
        alt=f"Difference-in-differences at placebo starts before the programme: {listed(spans)}. {title}",
        caption=f"**{title}** Difference-in-differences of the months before the programme alone, before and from each placebo start, with "
        f"{protocol.study.conf_level:.0%} randomisation intervals: {listed(spans)}.",
        data=data[["label", "start", "estimate", "low", "high", "p_value"]],
    )


def placebo_places_figure(results: Results, outcome: str) -> Figure:
    """Distribution of the estimates of other choices of sites; the line is the actual one."""
    protocol = results.protocol
    draws = results.series("placebo_places").query("outcome == @outcome")
    draws = draws.assign(percent=100 * np.expm1(draws.estimate))
    others, actual = draws[draws.draw > 0], draws[draws.draw == 0]
    edges = np.linspace(others.percent.min(), others.percent.max(), BINS + 1)
    bars = [
        pd.DataFrame(
            {"cohort": cohort, "low": edges[:-1], "high": edges[1:], "count": np.histogram(rows.percent, edges)[0]}
        )
        for cohort, rows in others.groupby("cohort", sort=False)
    ]
    data = labelled(pd.concat(bars, ignore_index=True), protocol.cohort_labels)
    data["middle"] = (data.low + data.high) / 2
    line = labelled(actual, protocol.cohort_labels)
    plot = (
        canvas(data, aes("middle", "count"))
        + geom_col(fill="#c4ccd2", width=edges[1] - edges[0])
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_vline(aes(xintercept="percent", color="cohort"), line, size=1.1)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(labels=with_minus)
        + labs(x="Difference, %", y="Choices of sites")
    )
    said, inside = [], True
    for cohort in protocol.treated_cohorts:
        effect, found = results.effect(outcome, cohort), placebo(results, outcome, cohort, "placebo_places")
        if found is not None:
            said.append(f"{headed(protocol.cohort_labels[cohort])} {signed(effect.value)} among {span(found)}")
            inside = inside and found.low <= effect.value <= found.high
    title = (
        "The actual sites do not stand out among other choices of sites."
        if inside
        else "Some actual sites stand out among other choices of sites."
    )
    level = f"{protocol.study.conf_level:.0%}"
    return Figure(
        svg=draw(plot, 2.3),
        alt=f"Estimates of other choices of as many sites, and the actual one among their central {level}: {listed(said)}.",
        caption=f"**{title}** Bars: estimates of {len(others) // len(bars):,} other choices of as many sites; line: the actual one. Actual among "
        f"central {level}: {listed(said)}.",
        data=data[["label", "low", "high", "count"]],
    )
