"""What is masked, drawn; and the return held against another publication."""

from __future__ import annotations

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    element_blank,
    element_text,
    facet_wrap,
    geom_line,
    geom_point,
    geom_tile,
    geom_vline,
    labs,
    scale_fill_manual,
    scale_x_datetime,
    theme,
)

from analysis.estimation.its.terms import CONTROLLED
from analysis.panel.quality import PENDING, TOO_HIGH, TOO_LOW
from analysis.protocol.protocol import ENGLAND_COHORT
from analysis.reporting.data.data_quality_words import FEW, masked_by_outcome
from analysis.reporting.figure import INK, MUTED, START, Figure, canvas, draw
from analysis.reporting.results import PRIMARY, Results
from analysis.reporting.wording import counted, headed, in_sentence, listed

RULES = {TOO_LOW: "missing return", TOO_HIGH: "too high", PENDING: "pending"}
COLOURS = {"missing return": "#333333", "too high": "#AA3377", "pending": "#949494"}  # no cohort's
MONTH = 31  # days, the width of a tile
ROW = 0.17  # inches that a place takes


def heat_map_figure(results: Results) -> Figure:
    """Places by months: what the rule flags, a panel for each outcome of the return."""
    protocol = results.protocol
    labels = {outcome.id: outcome.label for outcome in protocol.outcomes}
    rows = results.ledger[results.ledger.outcome.isin(labels)]
    names = rows.unit_name.str.removeprefix("NHS ").str.removesuffix(" CCG").str.title().str.replace(" And ", " and ")
    order = sorted(names.unique(), reverse=True)
    data = rows.assign(
        place=pd.Categorical(names, order),
        rule_name=rows.rule.map(RULES),
        label=pd.Categorical(
            rows.outcome.map(labels), [o.label for o in protocol.outcomes if o.id in set(rows.outcome)]
        ),
    )
    plot = (
        canvas(data, aes("month", "place", fill="rule_name"))
        + geom_vline(xintercept=protocol.study.programme_start, **START)
        + geom_tile(width=MONTH, height=0.8)
        + facet_wrap("label", ncol=2)
        + scale_fill_manual(values=COLOURS)
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y", limits=(protocol.study.start, protocol.study.end))
        + labs(x="", y="")
        + theme(strip_text=element_text(size=8, weight="bold", ha="left"), legend_title=element_blank())
    )
    counts = masked_by_outcome(results)
    said = listed([f"{row.masked:,} of {in_sentence(row.label)}" for row in counts.itertuples()])
    shares = listed([f"{row.share:.2%}" for row in counts.itertuples()])
    most = data[data.rule != PENDING].place.astype(str).value_counts().head(FEW)
    places = listed([f"{place} ({number})" for place, number in most.items()]) if len(most) else "none"
    panels = -(-len(counts) // 2)
    return Figure(
        svg=draw(plot, 0.9 + panels * (0.35 + ROW * len(order))),
        alt=f"Places by months. Masked unit-months: {said}, {shares} of all, in {counted(len(order))} places; the most, over all outcomes, in {places}.",
        caption=f"**Masked unit-months: {said}.** The {counted(len(order))} places that the rule flags, month by month; dotted line: the programme's start.",
        data=data[["label", "unit", "unit_name", "month", "rule", "ratio"]],
    )


def national_figure(results: Results) -> Figure:
    """England's total relative to another publication, with the segmented regression and its counterfactual."""
    check = results.protocol.its.national_checks[0]
    table = results.its_series
    rows = table[
        (table.design == CONTROLLED) & (table.cohort == ENGLAND_COHORT) & (table.outcome == check.outcome) & (table.specification == PRIMARY)
    ]  # fmt: skip
    values = ["observed", "fitted", "counterfactual"]
    data = rows.assign(**np.exp(rows[values]))
    after = data[data.month >= results.protocol.study.programme_start]
    name = in_sentence(results.protocol.outcome(check.outcome).label)
    plot = (
        canvas(data, aes("month", "observed"))
        + geom_vline(xintercept=results.protocol.study.programme_start, **START)
        + geom_point(size=1, color=MUTED)
        + geom_line(aes(y="fitted"), color=INK, size=0.8)
        + geom_line(aes(y="counterfactual"), data=after, color=INK, size=0.8, linetype="dashed")
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y")
        + labs(x="", y="Ratio")
    )
    low, high = data.observed.min(), data.observed.max()
    return Figure(
        svg=draw(plot, 2.4),
        alt=f"England's {name} divided by {in_sentence(check.label)}, by month: between {low:.2f} and {high:.2f}.",
        caption=f"**{headed(name)} run between {low:.2f} and {high:.2f} times {in_sentence(check.label)}.** England, by month; solid: segmented regression; dashed: its "
        "counterfactual; dotted line: the programme's start.",
        data=data[["month", *values]],
        source=f"{results.dataset_name}; NHS England, A&E attendances and emergency admissions",
    )
