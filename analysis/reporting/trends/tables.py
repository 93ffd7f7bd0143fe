"""Confidence sets and breakdown values under departures from parallel trends."""

from __future__ import annotations

import pandas as pd

from analysis.reporting.results import Estimate, Results
from analysis.reporting.table import NONE, Table, bounds
from analysis.reporting.trends.words import METHODS, TARGETS, breakdown, breakdown_text, confidence_sets
from analysis.reporting.wording import headed

BREAKDOWN = "breakdown value"


def trends_table(results: Results, outcome: str, target: str) -> Table:
    """Every set of one target, kinds and departures in rows, cohorts in columns; each kind ends in its breakdown values."""
    protocol = results.protocol
    every = pd.concat([_with_breakdowns(results, outcome, cohort, target) for cohort in protocol.treated_cohorts])
    keys = ["kind", "method", "magnitude"]
    order = {key: place for place, key in enumerate(METHODS)}
    rows = every.drop_duplicates(keys).assign(
        order=lambda t: [order[key] for key in zip(t.kind, t.method, strict=True)]
    )
    rows = rows.sort_values(["order", "magnitude"], na_position="last", ignore_index=True)
    cells = pd.DataFrame(
        {
            "Departures bounded by": [headed(METHODS[key]) for key in zip(rows.kind, rows.method, strict=True)],
            "Allowed": [headed(BREAKDOWN) if pd.isna(size) else f"{size:g}" for size in rows.magnitude],
        }
    )
    index = pd.MultiIndex.from_frame(rows[keys].fillna(-1.0))
    for cohort in protocol.treated_cohorts:
        theirs = every[every.cohort == cohort]
        texts = pd.Series(list(theirs.text), index=pd.MultiIndex.from_frame(theirs[keys].fillna(-1.0)))
        cells[f"{headed(protocol.cohort_labels[cohort])}, %"] = list(texts.reindex(index).fillna(NONE))
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption=f"Sensitivity to parallel trends: {TARGETS[target]}, {protocol.study.conf_level:.0%} confidence sets",
        data=every[["cohort", "target", *keys, "estimate", "low", "high"]],
        note="Allowed: for relative magnitudes in units of the largest change from quarter to quarter before the start, for smoothness in log points. Breakdown "
        "value: the departure up to which every set leaves out zero, and 0 where the set with none allowed holds it. Smoothness: the shortest interval of fixed length, "
        "weighted anew for each bound, so that a looser bound may move an interval as well as widen it. Conditional and hybrid: two tests of Rambachan and Roth for "
        "such bounds, the first given which of them bind, the second joining it to a test that needs no such knowledge; the verdict uses the hybrid.",
    )


def _with_breakdowns(results: Results, outcome: str, cohort: str, target: str) -> pd.DataFrame:
    """The sets as text, and the breakdown values in rows without a magnitude, as ``estimate``."""
    found = confidence_sets(results, outcome, cohort)
    found = found[found.target == target]
    texts = [bounds(Estimate(row.estimate, row.low, row.high, float("nan"))) for row in found.itertuples()]
    largest = []
    for kind, method in dict.fromkeys(zip(found.kind, found.method, strict=True)):
        value = breakdown(results, outcome, cohort, target, kind, method)
        text = NONE if value is None or pd.isna(value) else breakdown_text(value)
        largest.append({"target": target, "kind": kind, "method": method, "estimate": value, "text": text})
    return pd.concat([found.assign(text=texts), pd.DataFrame(largest)], ignore_index=True).assign(cohort=cohort)
