"""The specification curve: every estimate in order, and below it the choices that each was made with."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    element_text,
    facet_wrap,
    geom_hline,
    geom_point,
    geom_polygon,
    labs,
    scale_color_manual,
    scale_fill_manual,
    scale_x_continuous,
    scale_y_continuous,
    theme,
)

from analysis.protocol.protocol import Protocol
from analysis.reporting.choices.words import curve
from analysis.reporting.figure import INK, MUTED, Figure, canvas, draw, labelled
from analysis.reporting.results import PRIMARY, Results
from analysis.reporting.wording import MINUS, share_text, signed

UNCLEAR = "#7d878e"
STRIP = 0.135  # from one strip to the next, as a part of the curve's height
THICKNESS = 0.72  # of a strip, as a part of that
ALONE = "Another choice, by itself"


def curve_figure(results: Results, outcome: str) -> Figure:
    """A panel for each cohort; estimates with p under the level are dots, others dashes, the primary one is marked by a diamond."""
    protocol, level = results.protocol, results.protocol.study.level
    tables = [
        curve(results, outcome, cohort).assign(cohort=cohort, place=lambda rows: np.arange(1, len(rows) + 1))
        for cohort in protocol.treated_cohorts
    ]
    data = labelled(pd.concat(tables, ignore_index=True), protocol.cohort_labels)
    data["label"] = data.label.cat.rename_categories(lambda label: textwrap.fill(label, 16))
    data["clear"] = data.p_value < level
    low, high = min(data.percent.min(), 0), max(data.percent.max(), 0)
    step = STRIP * (high - low)
    marks, heights = _strips(data, protocol, low, step)
    values = [value for value in _whole(low, high) if low - 0.4 * step <= value <= high]
    plot = (
        canvas(data, aes("place", "percent"))
        + geom_hline(yintercept=0, color=MUTED, size=0.5)
        + geom_polygon(aes("place", "height", fill="cohort", group="strip"), marks)
        + geom_point(data=data[~data.clear], shape="_", color=UNCLEAR, size=1.4, stroke=0.5)
        + geom_point(aes(color="cohort"), data[data.clear], size=1.1)
        + geom_point(data=data[data.id == PRIMARY], shape="D", color="white", fill=INK, size=2.6, stroke=0.4)
        + facet_wrap("label", nrow=1)
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_fill_manual(values=protocol.cohort_colours, guide=None)
        + scale_x_continuous(breaks=_places(data.place.max()))
        + scale_y_continuous(
            breaks=[*values, *heights.values()],
            labels=[*[f"{value:g}".replace("-", MINUS) for value in values], *heights],
        )
        + labs(x="Specifications, from the lowest estimate", y="")
        + theme(axis_text_y=element_text(size=6.5))
    )
    said = []
    for label, rows in data.groupby("label", observed=True):
        said.append(
            f"{_line(label)} from {signed(rows.percent.min())} to {signed(rows.percent.max())} over {len(rows)} specifications, "
            f"{share_text((rows.percent < 0).mean())} below zero, {share_text(rows.clear.mean())} with p under {level:.0%}"
        )
    return Figure(
        svg=draw(plot, 5.7),
        alt=f"Specification curve: estimates in percent in order of size, and strips that show which choices each was made with. {'; '.join(said)}.",
        caption=f"**{_title(data, protocol)}** Every specification's estimate, in %, from the lowest: dots where p is under {level:.0%} by randomisation, dashes where it is not, diamond: the "
        "primary one. Strips: the specifications in which a choice is made.",
        data=data.assign(label=data.label.map(_line))[["label", "id", "percent", "p_value", "n_units", "n_treated"]],
    )


def _title(data: pd.DataFrame, protocol: Protocol) -> str:
    """How many of each model's estimates share a sign and are clear."""
    said = []
    for model in protocol.model_ids:
        rows = data[data.cohort == model]
        if len(rows):
            below, clear = (rows.percent < 0).mean(), rows.clear.mean()
            side, share = ("below", below) if below >= 0.5 else ("above", (rows.percent > 0).mean())
            label = protocol.cohort_labels[model]
            said.append(
                f"{label}: {share_text(share)} lie {side} zero, {share_text(clear)} with p under {protocol.study.level:.0%}"
            )
    return f"{'; '.join(said)}."


def _strips(data: pd.DataFrame, protocol: Protocol, low: float, step: float) -> tuple[pd.DataFrame, dict[str, float]]:
    """Outlines of every strip's marks [place, height, cohort, label, strip], below ``low``; and the strips' labels with their heights."""
    crossed = protocol.specification_curve.crossed
    made = {
        textwrap.fill(protocol.specification(id).label, 30): data.choices.map(lambda c, id=id: id in c)
        for id in crossed
    }
    made[ALONE] = data.choices.map(lambda choices: bool(choices - set(crossed)))
    made = {name: where for name, where in made.items() if where.any()}
    heights = {name: low - (k + 1.6) * step for k, name in enumerate(made)}
    half = THICKNESS * step / 2
    parts = [
        _outline(rows.place.to_numpy(), heights[name], half).assign(
            cohort=cohort, label=rows.label.iloc[0], strip=f"{cohort} {name}"
        )
        for name, where in made.items()
        for cohort, rows in data[where].groupby("cohort", sort=False)
    ]
    marks = pd.concat(parts) if parts else pd.DataFrame(columns=["place", "height", "cohort", "label", "strip"])
    return marks.assign(label=pd.Categorical(marks.label, data.label.cat.categories)), heights


def _outline(places: np.ndarray, height: float, half: float) -> pd.DataFrame:
    """One line around a bar at each place: a single shape is far smaller on a page than a bar each."""
    left, right = places - 0.5, places + 0.5
    across = np.column_stack([left, left, right, right]).ravel()
    return pd.DataFrame({"place": across, "height": np.tile([-half, half, half, -half], len(places)) + height})


def _line(label: str) -> str:
    return label.replace("\n", " ")


def _places(most: int) -> range:
    """Places to mark, at most five of them where there are up to 800."""
    step = next((step for step in (10, 20, 50, 100) if most <= 4 * step), 200)
    return range(0, int(most) + 1, step)


def _whole(low: float, high: float) -> list[int]:
    """Whole percentages to mark, at most seven of them."""
    step = max(1, int(np.ceil((high - low) / 6)))
    return [value for value in range(int(np.floor(low)), int(np.ceil(high)) + 1) if value % step == 0]
