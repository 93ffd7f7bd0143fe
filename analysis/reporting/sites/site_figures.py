"""One site's rate beside that of the rest of England."""

from __future__ import annotations

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    geom_line,
    geom_point,
    geom_vline,
    labs,
    scale_color_manual,
    scale_linetype_manual,
    scale_x_datetime,
)

from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import NO_MODEL
from analysis.reporting.figure import START, Figure, canvas, draw
from analysis.reporting.results import Results
from analysis.reporting.wording import headed

PEOPLE, DAYS, YEAR = 1000, 30, 12


def site_figure(results: Results, outcome: str, site: str) -> Figure:
    """Months as points, the mean of the year around each as a line; the rest of England as a dashed line."""
    protocol = results.protocol
    rows = results.panel[results.panel.geography.isin(ANALYSED) & (results.panel.outcome == outcome)]
    model = rows.model[rows.site == site].iloc[0]
    rest = headed(protocol.pooled.rest_label)
    who = np.where(rows.site == site, site, np.where(rows.model == NO_MODEL, rest, ""))
    sums = (
        rows.assign(who=who)[who != ""].groupby(["who", "month", "days"])[["value", "population"]].sum().reset_index()
    )
    sums["rate"] = (sums.value / sums.population * PEOPLE * DAYS / sums.days).where(sums.population > 0)
    sums["smooth"] = sums.groupby("who").rate.transform(
        lambda rate: rate.rolling(YEAR, center=True, min_periods=YEAR // 2).mean()
    )
    data = sums.assign(who=pd.Categorical(sums.who, [site, rest]))
    colours = {site: protocol.cohort_colours[model], rest: protocol.pooled.rest_colour}
    plot = (
        canvas(data, aes("month", "rate", color="who"))
        + geom_vline(xintercept=protocol.study.programme_start, **START)
        + geom_point(data=data[data.who == site], size=0.9, alpha=0.65, na_rm=True)
        + geom_line(aes(y="smooth", linetype="who"), size=1, na_rm=True)
        + scale_color_manual(values=colours)
        + scale_linetype_manual(values={site: "solid", rest: "dashed"})
        + scale_x_datetime(date_breaks="1 year", date_labels="%Y")
        + labs(x="", y=f"Per {PEOPLE:,} people per {DAYS} days")
    )
    ends = data.dropna(subset="smooth").groupby("who", observed=True).smooth.agg(["first", "last"])
    said = "; ".join(f"{name} from {row['first']:.1f} to {row['last']:.1f}" for name, row in ends.iterrows())
    name = protocol.outcome(outcome).label
    return Figure(
        svg=draw(plot, 2.6),
        alt=f"{name} per {PEOPLE:,} people per {DAYS} days, the mean over a year: {said}.",
        caption=f"**{said}.** {name} per {PEOPLE:,} people per {DAYS} days, missing returns masked; points: the site's months; lines: the mean of the year around each "
        "month; dotted line: the programme's start.",
        data=data[["who", "month", "rate", "smooth"]],
    )
