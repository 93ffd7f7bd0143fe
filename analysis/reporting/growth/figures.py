"""Growth per head by cohort beside the figures that NHS England published."""

from __future__ import annotations

import pandas as pd
from plotnine import (
    aes,
    geom_point,
    geom_segment,
    geom_text,
    geom_vline,
    labs,
    scale_color_manual,
    scale_shape_manual,
    scale_x_continuous,
    scale_y_discrete,
)

from analysis.protocol.protocol import REST
from analysis.reporting.absent import estimated
from analysis.reporting.figure import INK, MUTED, ROWS, Figure, canvas, draw, with_minus
from analysis.reporting.growth.words import growth_of, published_growth
from analysis.reporting.results import Results
from analysis.reporting.wording import headed, listed, plain, span

OURS, THEIRS = "This evaluation, with 95% interval", "NHS England, March 2017"


def growth_figure(results: Results, outcome: str, rule_id: str) -> Figure:
    """Our growth in percent with its interval, and the published point, a row per cohort."""
    rule = results.protocol.growth_rule(rule_id)
    labels = results.protocol.cohort_labels
    published = published_growth(results, rule.published)
    ours = OURS.replace("95%", f"{results.protocol.study.conf_level:.0%}")
    rows = []
    grown, _ = estimated(
        results, [*results.protocol.model_ids, REST], lambda cohort: growth_of(results, outcome, cohort, rule_id)
    )
    for cohort, found in grown.items():
        name = headed(labels[cohort])
        rows.append((name, cohort, ours, found.value, found.low, found.high, 0.0))
        if cohort in published:
            rows.append((name, cohort, THEIRS, published[cohort], float("nan"), float("nan"), 0.0))
    data = pd.DataFrame(rows, columns=["cohort", "id", "source", "growth", "low", "high", "zero"])
    order = list(dict.fromkeys(data.cohort))[::-1]
    data["label"] = [plain(value) for value in data.growth]
    mine, other = data[data.source == ours], data[data.source == THEIRS]
    plot = (
        canvas(data, aes("growth", "cohort", color="id"))
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_segment(aes(x="low", xend="high", yend="cohort"), data=mine, size=1.2)
        + geom_point(aes(shape="source"), size=3.6, fill="white", stroke=0.9)
        + geom_text(aes(label="label"), data=mine, nudge_y=0.42, size=7.5, color=INK)
        + geom_text(aes(label="label"), data=other, nudge_y=-0.41, size=7.5, color=INK)
        + scale_color_manual(values=results.protocol.cohort_colours, guide=None)
        + scale_shape_manual(values={ours: "o", THEIRS: "D"}, breaks=[ours, THEIRS][: 1 + bool(published)])
        + scale_x_continuous(labels=with_minus)
        + scale_y_discrete(limits=order, expand=(0, 0.6))
        + labs(x="Growth per head, %", y="")
        + ROWS
    )
    said = [f"{headed(labels[c])} {plain(e.value)} ({span(e)})" for c, e in grown.items()]
    theirs = [f"{r.cohort} {plain(r.growth)}" for r in other.itertuples()]
    beside = f" NHS England: {listed(theirs)}." if theirs else ""
    diamonds = " Diamonds: emergency admissions." if theirs else ""
    return Figure(
        svg=draw(plot, 2.0),
        alt=f"Growth per head, comparing {rule.label}. This evaluation: {listed(said)}.{beside}",
        caption=f"{_title(results, outcome, rule_id)} {headed(rule.label)}.{diamonds}",
        data=data[["cohort", "source", "growth", "low", "high"]],
        source=f"{results.dataset_name}; {THEIRS}" if theirs else "",
    )


def _title(results: Results, outcome: str, rule_id: str) -> str:
    models, labels = results.protocol.model_ids, results.protocol.cohort_labels
    gaps = {m: results.find("growth", outcome, m, f"growth_gap_{rule_id}", "linearised") for m in models}
    clear = [labels[model] for model, gap in gaps.items() if gap and gap.excludes_zero]
    if not clear:
        return f"**Growth in {listed([labels[model] for model in models])} sites cannot be told apart from the rest of England's.**"
    return (
        f"**Growth in {listed(clear)} sites differs from the rest of England's by more than chance easily explains.**"
    )
