"""What the cohorts were like before the programme began."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import MONTHS_A_YEAR, NO_MODEL, REST
from analysis.reporting.results import Results
from analysis.reporting.wording import changes, in_sentence

DAYS_A_YEAR = 365.25


def baseline(results: Results, outcome: str) -> pd.DataFrame:
    """One row a cohort that has a unit covered as a whole: [units, people, share_75_plus, imd, last, before].

    ``people``: mean of a unit; ``share_75_plus`` (a share) and ``imd`` (score of 2015): means weighted by people, NaN where the data set has
    none; ``last`` and ``before``: counts per 1,000 people a year in the year before the start and in the one before that, masked months left
    out with their people; NaN where the window does not hold the year.
    """
    start = results.protocol.study.programme_start
    rows = results.panel[results.panel.geography.isin(ANALYSED) & (results.panel.outcome == outcome)]
    rows = rows[(rows.month < start) & (rows.month >= start - pd.DateOffset(years=2))]
    rows = rows[(rows.covered_share == 1) | (rows.model == NO_MODEL)]
    rows = rows.assign(cohort=rows.model.replace(NO_MODEL, REST), last=rows.month >= start - pd.DateOffset(years=1))
    like = results.units.set_index("unit")
    found = {}
    for cohort in [*results.protocol.model_ids, REST]:
        ours = rows[rows.cohort == cohort]
        if ours.empty:
            continue
        people = ours.groupby("unit").population_published.mean()
        theirs = like.reindex(people.index)
        found[cohort] = {
            "units": len(people),
            "people": people.mean(),
            "share_75_plus": np.average(theirs.share_75_plus, weights=people),
            "imd": np.average(theirs.imd_average_score, weights=people),
            "last": _rate(ours[ours["last"]]),
            "before": _rate(ours[~ours["last"]]),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def _rate(rows: pd.DataFrame) -> float:
    """Per 1,000 people and year; NaN where a month of the year lies outside the study's window."""
    if rows.month.nunique() < MONTHS_A_YEAR:
        return float("nan")
    return 1000 * DAYS_A_YEAR * rows.value.sum() / (rows.population * rows.days).sum()


def baseline_sentence(results: Results, outcome: str) -> str:
    """How the outcome moved in each cohort in the last year before the start, or that the window is too short to say."""
    labels = results.protocol.cohort_labels
    name = in_sentence(results.protocol.outcome(outcome).label)
    rates = baseline(results, outcome)
    if rates[["last", "before"]].isna().any(axis=None):
        return (
            f"The study has fewer than two years before the start, too few to say how {name} moved in the last of them."
        )
    parts = [
        (100 * (row.last / row.before - 1), f"in {'the ' if row.Index == REST else ''}{labels[row.Index]}")
        for row in rates.itertuples()
    ]
    return f"In the last year before the start, {name} per head {changes(parts)}."
