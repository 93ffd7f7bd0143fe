"""Confidence sets of the event study's mean effect as the departure from parallel trends that they allow grows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    coord_cartesian,
    facet_wrap,
    geom_hline,
    geom_linerange,
    geom_point,
    labs,
    scale_color_manual,
    scale_y_continuous,
)

from analysis.estimation.did.trend_sensitivity import FLCI, HYBRID, WHOLE
from analysis.reporting.figure import MUTED, Figure, canvas, draw, labelled, with_minus
from analysis.reporting.results import Estimate, Results
from analysis.reporting.trends.words import RELATIVE, SMOOTHNESS, confidence_sets
from analysis.reporting.wording import listed, span

METHOD = {RELATIVE: HYBRID, SMOOTHNESS: FLCI}
ALLOWED = {
    RELATIVE: "Departure allowed, in units of the largest from quarter to quarter before the start",
    SMOOTHNESS: "Bend of the trend allowed from quarter to quarter, hundredths of a log point",
}
TALLEST = 40.0  # percent; ends further out are cut, and are in the table


def relative_figure(results: Results, outcome: str) -> Figure:
    """Sets under relative magnitudes (hybrid), a panel for each cohort."""
    return _sets_figure(results, outcome, RELATIVE, 1)


def smoothness_figure(results: Results, outcome: str) -> Figure:
    """Sets under smoothness (intervals of fixed length), a panel for each cohort."""
    return _sets_figure(results, outcome, SMOOTHNESS, 100)


def _sets_figure(results: Results, outcome: str, kind: str, unit: float) -> Figure:
    """``unit``: how many printed units are one of the magnitudes."""
    protocol = results.protocol
    every = pd.concat(
        [confidence_sets(results, outcome, cohort).assign(cohort=cohort) for cohort in protocol.treated_cohorts]
    )
    shown = every[(every.target == WHOLE) & (every.kind == kind) & (every.method == METHOD[kind])]
    data = labelled(shown.reset_index(drop=True), protocol.cohort_labels)
    allowed = unit * data.magnitude
    data["allowed"] = pd.Categorical([f"{value:g}" for value in allowed], [f"{v:g}" for v in np.unique(allowed)])
    ends = data[["low", "high"]].replace([np.inf, -np.inf], np.nan)
    lowest, highest = max(float(ends.low.min()), -TALLEST), min(float(ends.high.max()), TALLEST)
    plot = (
        canvas(data, aes("allowed", "estimate", color="cohort"))
        + geom_hline(yintercept=0, color=MUTED, size=0.5)
        + geom_linerange(aes(ymin="low", ymax="high"), size=1.3, na_rm=True)
        + geom_point(size=1.6)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_y_continuous(labels=with_minus)
        + coord_cartesian(ylim=(lowest, highest))
        + labs(x=ALLOWED[kind], y="Mean effect, %")
    )
    parallel = data[data.magnitude == data.magnitude.min()]
    clear = parallel[(parallel.low > 0) | (parallel.high < 0)]
    start = "stay parallel" if kind == RELATIVE else "go on as straight lines"
    title = f"Even where trends {start}, zero is inside every set."
    if len(clear):
        title = f"Where trends {start}, zero is left out for {listed(list(clear.label))}."
    said = [
        f"{label} from ({span(_set(rows.iloc[0]))}) to ({span(_set(rows.iloc[-1]))})"
        for label, rows in data.groupby("label", observed=True)
    ]
    level = f"{protocol.study.conf_level:.0%}"
    beyond = bool((data.low < lowest).any() or (data.high > highest).any())
    cut = f" Sets that reach beyond {TALLEST:.0f}% are cut." if beyond else ""
    return Figure(
        svg=draw(plot, 2.5),
        alt=f"{level} confidence sets of the mean effect after the start, from no departure allowed to the largest: {listed(said)}. {title}",
        caption=f"**{title}** {level} confidence sets of the mean effect after the start, relative to the last quarter before it, by the departure "
        f"from parallel trends that they allow; points: the estimate with parallel trends.{cut}",
        data=data[["label", "magnitude", "estimate", "low", "high"]],
    )


def _set(row: pd.Series) -> Estimate:
    return Estimate(row.estimate, row.low, row.high, float("nan"))
