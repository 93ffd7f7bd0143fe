"""Effects with their intervals: by programme year, and under each choice about the data."""

from __future__ import annotations

import textwrap

import pandas as pd
from plotnine import (
    aes,
    facet_wrap,
    geom_point,
    geom_segment,
    geom_vline,
    labs,
    scale_color_manual,
    scale_x_continuous,
    scale_y_discrete,
)

from analysis.figures.theme import MUTED, ROWS, Figure, canvas, draw, with_minus
from analysis.results import Results
from analysis.wording import listed, signed


def choices_figure(results: Results, outcome: str) -> Figure:
    """The difference-in-differences estimate of each model under every specification that ran."""
    protocol = results.protocol
    ran = set(results.estimates.specification)
    rows = []
    for model in protocol.model_ids:
        for specification in protocol.specifications:
            if specification.id in ran:
                effect = results.effect(outcome, model, specification=specification.id)
                rows.append(
                    (
                        model,
                        protocol.cohort_labels[model],
                        textwrap.fill(specification.label, 28),
                        effect.value,
                        effect.low,
                        effect.high,
                    )
                )
    data = pd.DataFrame(rows, columns=["cohort", "label", "specification", "estimate", "low", "high"])
    data["label"] = pd.Categorical(data.label, [protocol.cohort_labels[model] for model in protocol.model_ids])
    plot = (
        canvas(data, aes("estimate", "specification", color="cohort"))
        + geom_vline(xintercept=0, color=MUTED, size=0.5)
        + geom_segment(aes(x="low", xend="high", yend="specification"), size=1)
        + geom_point(size=2.4)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(labels=with_minus)
        + scale_y_discrete(limits=list(dict.fromkeys(data.specification))[::-1])
        + labs(x="Difference, %", y="")
        + ROWS
    )
    spans = [
        f"{label} from {signed(rows.estimate.min())} to {signed(rows.estimate.max())}"
        for label, rows in data.groupby("label", observed=True)
    ]
    return Figure(
        svg=draw(plot, 3.2),
        alt=f"Difference-in-differences under each choice about the data: {listed(spans)}.",
        caption=f"**The choices move the estimates: {listed(spans)}.** Difference-in-differences over the programme under each choice "
        f"about the data, with {protocol.study.conf_level:.0%} randomisation intervals.",
        data=data.drop(columns="cohort").assign(specification=data.specification.str.replace("\n", " ")),
    )
