"""Disclosure control: what may leave the private folder.

Counts of 1 to 7 are suppressed, all others rounded to the nearest 5, as NHS Digital's rules for Hospital Episode Statistics have it. Totals are
summed after rounding, so that none tells what a suppressed cell holds; a second cell of the same row or column is
suppressed beside a lone one, so that a total from elsewhere does not either. What an earlier edition suppressed stays so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.cleaning.panel import CCG, england, tidy
from analysis.cleaning.quality import SMALL

# Outcomes that add up to a third: where one is suppressed, so is the other.
PARTS = [("emergency_zero_day", "emergency_longer")]


def protect(counts: pd.DataFrame, smallest: int, base: int, earlier: pd.DataFrame | None = None) -> pd.DataFrame:
    """Counts that may be shown: rows × columns, NaN where suppressed.

    Parameters
    ----------
    counts
        Whole numbers, rows × columns, of which each row and each column may have a total that is known.
    smallest
        The smallest count that may be shown; none at all may be.
    base
        Counts are rounded to multiples of it.
    earlier
        True where an earlier edition suppressed a cell; labels that are not there are of no matter.
    """
    values = counts.to_numpy(float)
    hidden = (values > 0) & (values < smallest)
    if earlier is not None:
        hidden |= earlier.reindex(index=counts.index, columns=counts.columns, fill_value=False).to_numpy(bool)
    hidden = _complemented(values, hidden, smallest)
    shown = base * np.floor(values / base + 0.5)
    return pd.DataFrame(np.where(hidden, np.nan, shown), counts.index, counts.columns)


def _complemented(values: np.ndarray, hidden: np.ndarray, smallest: int) -> np.ndarray:
    """Suppress cells until every row and column with a suppressed one has two or more, one of them of ``smallest`` or more."""
    hidden = hidden.copy()
    while True:
        before = hidden.sum()
        for table, cells in ((values, hidden), (values.T, hidden.T)):
            large = cells & (table >= smallest)
            lone = cells.any(axis=1) & ((cells.sum(axis=1) < 2) | ~large.any(axis=1))
            for row in np.flatnonzero(lone):
                free = np.where(cells[row] | (table[row] < smallest), np.inf, table[row])
                if not np.isfinite(free).any():  # a row of small counts and of none: hide one of none
                    free = np.where(cells[row], np.inf, table[row])
                at = int(free.argmin())
                if np.isfinite(free[at]):
                    cells[row, at] = True
        if hidden.sum() == before:
            return hidden


def safe_panel(panel: pd.DataFrame, smallest: int, base: int, earlier: pd.DataFrame | None = None) -> pd.DataFrame:
    """The panel of records as it may be shown, and as models are fitted on it: every number after this is made from safe ones.

    ``panel`` and ``earlier`` (of an earlier edition, already safe) are as the data dictionary describes the panel. A suppressed cell has
    neither value, and ``quality`` says so; one of none at all is shown but not used. England is summed anew, from what is shown.
    """
    units = panel[panel.geography == CCG]
    shown = {
        outcome: protect(_wide(rows), smallest, base, None if earlier is None else _hidden(earlier, outcome))
        for outcome, rows in units.groupby("outcome")
    }
    for pair in PARTS:
        if set(pair) <= set(shown):
            either = shown[pair[0]].isna() | shown[pair[1]].isna()
            for outcome in pair:
                shown[outcome] = shown[outcome].mask(either)
    long = pd.concat(
        [
            table.rename_axis(columns="month")
            .stack(future_stack=True)
            .rename("shown")
            .reset_index()
            .assign(outcome=outcome)
            for outcome, table in shown.items()
        ]
    )
    rows = units.merge(long, on=["unit", "month", "outcome"], validate="1:1")
    used = rows.value.notna() & (rows.shown >= smallest)
    rows["quality"] = rows.quality.mask(rows.shown.isna(), SMALL)
    rows["value_published"], rows["value"] = rows.shown, rows.shown.where(used)
    rows["population"] = rows.population_published.where(used)
    rows = rows.drop(columns="shown")
    return tidy(pd.concat([rows, england(rows)]))


def rounded(counts: dict[str, int], smallest: int, base: int) -> dict[str, int | None]:
    """Counts of a list, each by itself: None where suppressed."""
    table = pd.DataFrame({"count": counts})
    values = protect(table, smallest, base)["count"]
    return {name: None if pd.isna(value) else int(value) for name, value in values.items()}


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.pivot(index="unit", columns="month", values="value_published")


def _hidden(panel: pd.DataFrame, outcome: str) -> pd.DataFrame:
    rows = panel[(panel.geography == CCG) & (panel.outcome == outcome)]
    return rows.pivot(index="unit", columns="month", values="value_published").isna()
