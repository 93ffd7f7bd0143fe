"""The sites one by one, ordered by model and name, and against their size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    coord_cartesian,
    element_text,
    facet_grid,
    facet_wrap,
    geom_hline,
    geom_linerange,
    geom_point,
    geom_segment,
    geom_vline,
    ggplot,
    labs,
    scale_color_manual,
    scale_x_continuous,
    scale_x_log10,
    scale_y_continuous,
    scale_y_discrete,
    theme,
)

from analysis.estimation.sites.sites import WHOLE
from analysis.reporting.figure import MUTED, ROWS, Figure, canvas, draw, labelled, with_minus
from analysis.reporting.results import Estimate, Results
from analysis.reporting.sites.places_words import pool, sites
from analysis.reporting.wording import counted, headed, listed, signed, span

MEAN = "Mean of the sites covered as a whole"
WIDEST = 45.0  # percent; ends further out are cut, and are in the table
LONGEST = 66  # letters of a name
SEPARATOR = ": "
MARGIN = 1.1  # wider by less than a tenth is not called wider
MARKS = "Filled: covered as a whole; hollow: covered in part, and so diluted"


def forest_figure(results: Results, outcome: str) -> Figure:
    """Every site's estimate by model and name; below them the model's mean with its prediction interval."""
    protocol = results.protocol
    single = _estimates(results, outcome)
    data = labelled(pd.concat([single, _means(results, outcome)], ignore_index=True), protocol.cohort_labels)
    data = data.sort_values("label", kind="stable", ignore_index=True)
    rows = data.cohort + SEPARATOR + data.site
    data["row"] = pd.Categorical(rows, rows[::-1])
    heights = data.label.value_counts(sort=False)
    plot = (
        canvas(data, aes("estimate", "row", color="cohort"))
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_segment(aes(x="prediction_low", xend="prediction_high", yend="row"), size=0.5, na_rm=True)
        + geom_segment(aes(x="low", xend="high", yend="row"), size=1)
        + facet_grid("label", scales="free_y", space={"x": [1], "y": list(heights[heights > 0])})
        + scale_x_continuous(labels=with_minus)
        + scale_y_discrete(labels=lambda names: [_short(str(name).partition(SEPARATOR)[2]) for name in names])
        + coord_cartesian(xlim=_limits(data))
        + labs(x="Difference, %", y="")
        + ROWS
        + theme(axis_text_y=element_text(size=7.5))
    )
    parts = []
    for model in protocol.model_ids:
        found, label = pool(results, outcome, model), protocol.cohort_labels[model]
        if found:
            own, more = span(found.cautious), span(found.prediction)
            parts.append(
                f"{label} {signed(found.mean.value)} ({own}; one more site {'the same' if more == own else more})"
            )
    means = f"Means: {listed(parts)}." if parts else "No mean could be made."
    clear = int(((single.low > 0) | (single.high < 0)).sum())
    title = (
        f"{headed(counted(clear))} of the {len(single)} single sites' intervals {'leaves' if clear == 1 else 'leave'} out zero."
        if clear
        else "Every single site's interval includes zero."
    )
    level = f"{protocol.study.conf_level:.0%}"
    return Figure(
        svg=draw(_marked(plot, data, results), 0.75 + 0.185 * len(data)),
        alt=f"Estimates of {len(single)} sites one by one, by model and name. {title} {means}",
        caption=f"**{title}** {means} Each site against the rest of England with {level} intervals from placebo sites, scaled to its size. {MARKS}; diamonds: "
        "means by random effects, thick their intervals, thin where one more site would lie.",
        data=data[["label", "site", "coverage", "estimate", "low", "high", "prediction_low", "prediction_high"]],
    )


def funnel_figure(results: Results, outcome: str) -> Figure:
    """Estimates against population; the dashed line is the model's mean."""
    protocol = results.protocol
    data = labelled(_estimates(results, outcome).dropna(subset="population"), protocol.cohort_labels)
    means = labelled(_means(results, outcome), protocol.cohort_labels)
    plot = (
        canvas(data, aes("population", "estimate", color="cohort"))
        + geom_hline(yintercept=0, color=MUTED, size=0.5)
        + geom_hline(aes(yintercept="estimate", color="cohort"), means, linetype="dashed", size=0.6)
        + geom_linerange(aes(ymin="low", ymax="high"), size=0.6)
        + facet_wrap("label", nrow=1)
        + scale_x_log10(labels=lambda values: [f"{float(value) / 1000:,.0f}" for value in values])
        + scale_y_continuous(labels=with_minus)
        + coord_cartesian(ylim=_limits(data))
        + labs(x="People, thousands", y="Difference, %")
    )
    small, large = (data.loc[index] for index in (data.population.idxmin(), data.population.idxmax()))
    widths = f"{_width(small)} at {small.population:,.0f} people ({small.site}) and {_width(large)} at {large.population:,.0f} ({large.site})"
    apart = [
        f"{label} from {signed(rows.estimate.min())} to {signed(rows.estimate.max())}"
        for label, rows in data.groupby("label", observed=True)
    ]
    title = (
        "Small sites have wider intervals than large ones."
        if _small_are_wider(data)
        else "Small sites' intervals are no wider than large ones'."
    )
    return Figure(
        svg=draw(_marked(plot, data, results), 2.7),
        alt=f"Estimates of single sites against their population: {listed(apart)}. {title} The intervals run {widths}.",
        caption=f"**{title}** Estimates by the number of people, {listed(apart)}; the intervals run {widths}. {MARKS}; dashed: the model's mean.",
        data=data[["label", "site", "coverage", "population", "estimate", "low", "high"]],
    )


def _estimates(results: Results, outcome: str) -> pd.DataFrame:
    """Sites with an estimate, by model and name."""
    found = sites(results, outcome)
    found = found[found.estimate.notna()].rename(columns={"model": "cohort", "ci_low": "low", "ci_high": "high"})
    return found[["cohort", "site", "coverage", "population", "estimate", "low", "high"]]


def _means(results: Results, outcome: str) -> pd.DataFrame:
    rows = []
    for model in results.protocol.model_ids:
        found = pool(results, outcome, model)
        if found:
            rows.append((model, MEAN, WHOLE, *_ends(found.cautious), *_ends(found.prediction)[1:]))
    columns = ["cohort", "site", "coverage", "estimate", "low", "high", "prediction_low", "prediction_high"]
    return pd.DataFrame(rows, columns=columns)


def _marked(plot: ggplot, data: pd.DataFrame, results: Results) -> ggplot:
    """Points on top: hollow where covered in part, a diamond for a mean."""
    part, mean = data.coverage != WHOLE, data.site == MEAN
    return (
        plot
        + geom_point(data=data[~part & ~mean], size=2.2)
        + geom_point(data=data[part], size=2.2, fill="white")
        + geom_point(data=data[mean], size=3, shape="D")
        + scale_color_manual(values=results.protocol.cohort_colours, guide=None)
    )


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    ends = data[["low", "high"]].replace([np.inf, -np.inf], np.nan)
    return max(float(ends.low.min()), -WIDEST), min(float(ends.high.max()), WIDEST)


def _ends(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _small_are_wider(data: pd.DataFrame) -> bool:
    """Whether intervals in the smaller half of the sites are wider on average, by a margin that can be seen, as ratios."""
    widths = np.log1p(data.high / 100) - np.log1p(data.low / 100)
    small = data.population <= data.population.median()
    return bool(widths[small].mean() > MARGIN * widths[~small].mean())


def _width(row: pd.Series) -> str:
    return span(Estimate(row.estimate, row.low, row.high, np.nan))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 2].rstrip()} …"
