"""Published figures beside ours, and those that nothing public can be set beside."""

from __future__ import annotations

import math

import pandas as pd

from analysis.reporting.reconciliation.words import NOT_COMPARABLE, agreement_rule, reconciled
from analysis.reporting.results import Estimate, Results
from analysis.reporting.table import Table, bounds, number, unbroken
from analysis.reporting.wording import headed


def compared_table(results: Results, outcome: str) -> Table:
    """Every published figure with a number of ours beside it."""
    rows = reconciled(results, outcome)
    rows = rows[rows.verdict != NOT_COMPARABLE]
    cells = pd.DataFrame(
        {
            "Published by": rows.source.map(_publisher),
            "Of": rows.cohort,
            "What": [f"{headed(row.metric)}, {row.window}, on {row.baseline}" for row in rows.itertuples()],
            "Published, %": [
                _figure(row.published, row.published_low, row.published_high) for row in rows.itertuples()
            ],
            "Ours, %": [_figure(row.ours, row.low, row.high) for row in rows.itertuples()],
            "Verdict": rows.verdict,
        }
    )
    return Table(
        cells=cells,
        numeric=("Published, %", "Ours, %"),
        caption="Published figures and ours, on the matched window, baseline and scale",
        data=rows,
        note=f"Published: emergency admissions; ours: non-elective admissions, {results.protocol.study.conf_level:.0%} intervals. {agreement_rule(results)}",
        source=f"the publications named, in `{results.protocol.report.published}`; ours: {results.dataset_name}",
        widths=(17, 17, 24, 15, 17, 10),
    )


def not_comparable_table(results: Results, outcome: str) -> Table:
    """Published figures that no number from public data can be set beside, and why."""
    rows = reconciled(results, outcome)
    rows = rows[rows.verdict == NOT_COMPARABLE]
    cells = pd.DataFrame(
        {
            "Published by": rows.source.map(_publisher),
            "Of": rows.cohort,
            "What": [f"{headed(row.outcome)}: {row.metric}, {row.window}" for row in rows.itertuples()],
            "Published, %": [
                _figure(row.published, row.published_low, row.published_high) for row in rows.itertuples()
            ],
            "Why not": rows.reason.map(headed),
        }
    )
    return Table(
        cells=cells,
        numeric=("Published, %",),
        caption="Published figures without a number of ours beside them",
        data=rows,
        source=f"the publications named, in `{results.protocol.report.published}`",
        widths=(17, 17, 23, 15, 28),
    )


def _publisher(source: str) -> str:
    """The beginning of a source: who, and which publication; of a paper, its authors and year."""
    text = source.split(", as reported")[0]
    return text.split(",")[0] if " et al. " in text else text


def _figure(value: float, low: float, high: float) -> str:
    if math.isnan(low):
        return number(value)
    return unbroken(f"{number(value)} ({bounds(Estimate(value, low, high, math.nan))})")
