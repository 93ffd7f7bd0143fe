"""What could an evaluation of this length have seen?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from plotnine import (
    aes,
    expand_limits,
    geom_line,
    geom_point,
    geom_text,
    labs,
    scale_color_manual,
    scale_linetype_manual,
    scale_x_log10,
)

from analysis.reporting.certainty.tables import cohort_people
from analysis.reporting.certainty.words import places
from analysis.reporting.figure import INK, Figure, canvas, draw
from analysis.reporting.results import Results
from analysis.reporting.wording import headed

MEASURED, BOUND = "within the sizes of the data", "smaller than any unit: at least"
LINE = 0.08  # height of a line of text, as a part of the axis


def evaluability_figure(results: Results, outcome: str) -> Figure:
    """The smallest fall that an evaluation of one place mostly finds, by its people; and that of the cohorts as they were."""
    protocol = results.protocol
    table = results.series("evaluability")
    curve = table[table.kind == "curve"]
    smallest = table[table.kind == "unit"].population.min()
    line = pd.DataFrame({"people": curve.population, "fall": 100 * -np.expm1(-curve.detectable)})
    # The two parts of the curve meet where the data end.
    joint = pd.DataFrame({"people": [smallest], "fall": [np.interp(np.log(smallest), np.log(line.people), line.fall)]})
    below, above = line[line.people < smallest], line[line.people >= smallest]
    parts = {BOUND: pd.concat([below, joint]), MEASURED: pd.concat([joint, above])}
    data = pd.concat([rows.assign(part=part) for part, rows in parts.items()], ignore_index=True)
    single = pd.DataFrame([(place.people, place.fall, f"{place.people:,}") for place in places(results, outcome)])
    single.columns = ["people", "fall", "text"]
    cohorts = pd.DataFrame(
        [
            (cohort, people, results.fall_found(outcome, cohort)[0], headed(protocol.cohort_labels[cohort]))
            for cohort, people in cohort_people(results).items()
        ],
        columns=["cohort", "people", "fall", "text"],
    )
    cohorts = cohorts.dropna(subset="fall").sort_values("fall", ascending=False)
    cohorts["height"] = _spread(cohorts.fall, data.fall.max() * LINE)
    plot = (
        canvas(data, aes("people", "fall"))
        + geom_line(aes(linetype="part"), color=INK, size=0.9)
        + geom_point(data=single, size=2, color=INK)
        + geom_point(aes(color="cohort"), data=cohorts, size=2.8)
        + geom_text(aes(y="height", label="text", color="cohort"), data=cohorts, nudge_x=-0.07, size=8, ha="right")
        + scale_color_manual(values=protocol.cohort_colours, guide=None)
        + scale_linetype_manual(values={MEASURED: "solid", BOUND: "dashed"}, breaks=[MEASURED, BOUND])
        + scale_x_log10(labels=lambda values: [f"{value:,.0f}" for value in values])
        + expand_limits(y=0)
        + labs(x="People in the place evaluated", y="Detectable fall, %")
    )
    found = places(results, outcome)
    large, small = found[-1], found[0]
    least = "at least " if small.bound else ""
    needed = f"{'at least ' if large.bound else ''}{large.fall:.0f}%"
    title = f"Alone, a place of {large.people:,} people would have needed a fall of {needed} to be found."
    return Figure(
        svg=draw(plot, 3.0),
        alt=f"Smallest fall mostly found, by people: one place of {small.people:,} {least}{small.fall:.1f}%, of {large.people:,} {large.fall:.1f}%"
        f"{'; ' if len(cohorts) else ''}{', '.join(f'{row.text} {row.fall:.1f}%' for row in cohorts.itertuples())}.",
        caption=f"**{title}** True fall that an evaluation of these years finds {protocol.inference.power:.0%} of the time: curve and black "
        "points, one place against the rest; coloured points, the cohorts with all their sites, each by the width of its own interval.",
        data=pd.concat([data, single.assign(part="place"), cohorts.assign(part="cohort")])[
            ["part", "people", "fall", "text"]
        ],
    )


def _spread(heights: pd.Series, least: float) -> list[float]:
    """Falling heights moved down where they are closer than ``least``, so that their labels do not meet."""
    found: list[float] = []
    for height in heights:
        found.append(min(height, found[-1] - least) if found else height)
    return found
