"""What each choice does to the estimates of the specification curve."""

from __future__ import annotations

import pandas as pd

from analysis.reporting.choices.words import moves
from analysis.reporting.results import Results
from analysis.reporting.table import NONE, Table, number, unbroken
from analysis.reporting.wording import headed


def moves_table(results: Results, outcome: str) -> Table:
    """Crossed choices first, then those tried alone; for each cohort the change and, of crossed ones, rank and share of variance."""
    protocol = results.protocol
    every = pd.concat(
        [
            moves(results, outcome, cohort, crossed)
            for crossed in (True, False)
            for cohort in protocol.treated_cohorts
        ],
        ignore_index=True,
    )  # fmt: skip
    choices = every.drop_duplicates(["crossed", "choice"])
    order = {s.id: place for place, s in enumerate(protocol.specifications)}
    choices = choices.assign(order=choices.choice.map(order)).sort_values(["crossed", "order"], ascending=[False, True])
    cells = pd.DataFrame({"Choice": choices.label, "Made": choices.crossed.map({True: "with others", False: "alone"})})
    for cohort in protocol.treated_cohorts:
        theirs = every[every.cohort == cohort].set_index(["crossed", "choice"])
        keys = list(zip(choices.crossed, choices.choice, strict=True))
        cells[headed(protocol.cohort_labels[cohort])] = [
            _change(theirs.loc[key]) if key in theirs.index else NONE for key in keys
        ]
    return Table(
        cells=cells.reset_index(drop=True),
        numeric=tuple(cells.columns[2:]),
        caption="What each choice does to the estimate: change in percentage points (rank; share of variance)",
        data=every.drop(columns="outcome"),
        note="Made with others: mean of the specifications with the choice less mean of those without it, all the other crossed choices balanced; rank by size. "
        "Made alone: less the primary estimate. “–”: no choice for that cohort, or not run.",
        widths=(36, 14, 16, 16, 18),
    )


def _change(row: pd.Series) -> str:
    """−2.9 (1; 68%), or of a choice tried alone −2.9."""
    among = "" if pd.isna(row["rank"]) else f" ({row['rank']:.0f}; {row.variance_share:.0%})"
    return unbroken(number(row.change) + among)
