"""Disclosure control: what may leave the private folder.

Counts of 1 to 7 are suppressed, all others rounded to the nearest 5, as NHS Digital's rules for Hospital Episode Statistics have it. Totals are
summed after rounding, so that none tells what a suppressed cell holds; a second cell is suppressed beside one that is alone among
the cells of some total, so that a total from elsewhere does not either. What an earlier edition suppressed stays so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.cleaning.panel import CCG, england, tidy
from analysis.cleaning.quality import SMALL
from analysis.records.definitions import ADMISSIONS, BED_DAYS, LENGTH_OF_STAY, PARTS


def protect(counts: pd.Series, smallest: int, base: int, suppressed: pd.Series | None = None) -> pd.Series:
    """Counts that may be shown, NaN where suppressed.

    Parameters
    ----------
    counts
        Whole numbers by one or more labels, the levels of the index; over each of them there may be totals that are known.
    smallest
        The smallest count that may be shown; none at all may be.
    base
        Counts are rounded to multiples of it.
    suppressed
        True where a cell is suppressed for another reason; labels that ``counts`` has not are of no matter.
    """
    values = _cube(counts)
    hidden = (values > 0) & (values < smallest)
    if suppressed is not None:
        hidden |= _cube(suppressed.reindex(counts.index, fill_value=False).astype(float)) == 1
    hidden = _complemented(values, hidden, smallest)
    shown = np.where(hidden, np.nan, base * np.floor(values / base + 0.5))
    return pd.Series(shown.ravel(), _every_cell(counts.index)).reindex(counts.index)


def _every_cell(index: pd.Index) -> pd.Index:
    """Of every label of each level with every label of the others."""
    return pd.MultiIndex.from_product(index.levels) if isinstance(index, pd.MultiIndex) else index


def _cube(cells: pd.Series) -> np.ndarray:
    """An axis for each level of the index; NaN where there is no such cell."""
    shape = [len(level) for level in cells.index.levels] if isinstance(cells.index, pd.MultiIndex) else [len(cells)]
    return cells.reindex(_every_cell(cells.index)).to_numpy(float).reshape(shape)


def _complemented(values: np.ndarray, hidden: np.ndarray, smallest: int) -> np.ndarray:
    """Suppress cells until each line of cells, along every axis, that holds a suppressed one has two or more, one of them of ``smallest`` or more."""
    hidden = hidden.copy()
    while True:
        before = hidden.sum()
        for axis in range(values.ndim):
            table, cells = np.moveaxis(values, axis, -1), np.moveaxis(hidden, axis, -1)
            large = cells & (table >= smallest)
            lone = cells.any(axis=-1) & ((cells.sum(axis=-1) < 2) | ~large.any(axis=-1))
            for at in map(tuple, np.argwhere(lone)):
                _hide_one_more(table[at], cells[at], smallest)
        if hidden.sum() == before:
            return hidden


def _hide_one_more(line: np.ndarray, cells: np.ndarray, smallest: int) -> None:
    """The smallest that is large enough, or where there is none, one of none."""
    free = ~cells & ~np.isnan(line)
    choice = free & (line >= smallest) if (free & (line >= smallest)).any() else free
    if choice.any():
        cells[int(np.where(choice, line, np.inf).argmin())] = True


def safe_counts(counts: pd.DataFrame, smallest: int, base: int, safe: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """Every outcome of a table as it may be shown: an index of labels, a column an outcome.

    All are counted from admissions, so that where these are suppressed, everything else is; and two outcomes that add up to admissions are
    suppressed together. What is suppressed in one of the ``safe`` tables – of an earlier edition, or totals over some of the
    labels – is suppressed here.
    """
    gone = pd.DataFrame(False, counts.index, counts.columns)
    for table in safe:
        fewer = [level for level in counts.index.names if level not in table.index.names]
        cells = counts.index.droplevel(fewer)
        gone |= table.isna().reindex(index=cells, columns=counts.columns, fill_value=False).to_numpy(bool)
    admissions = protect(counts[ADMISSIONS], smallest, base, gone[ADMISSIONS])
    gone = gone.mask(admissions.isna(), True)
    parts = protect(counts[[*PARTS]].stack(), smallest, base, gone[[*PARTS]].stack()).unstack()
    others = {
        name: protect(counts[name], smallest, base, gone[name]) for name in counts.columns.drop([ADMISSIONS, *PARTS])
    }
    return pd.DataFrame({ADMISSIONS: admissions, **others}).join(parts)[[*counts.columns]]


def with_length_of_stay(shown: pd.DataFrame) -> pd.DataFrame:
    """The safe table with bed days for an admission, from its rounded counts; none where there is no admission."""
    length = (shown[BED_DAYS] / shown[ADMISSIONS].where(shown[ADMISSIONS] > 0)).round(2)
    return shown.assign(**{LENGTH_OF_STAY: length})


def safe_panel(panel: pd.DataFrame, shown: pd.Series, smallest: int) -> pd.DataFrame:
    """The panel of records as it may be shown, and as models are fitted on it: every number after this is made from safe ones.

    ``panel`` is as the data dictionary describes it, exact; ``shown``, by unit, month and outcome, what may be shown of it. A
    suppressed cell has neither value, and ``quality`` says so; one of none at all is shown but not used. England is summed anew, from what is shown.
    """
    units = panel[panel.geography == CCG]
    rows = units.merge(shown.rename("shown").reset_index(), on=["unit", "month", "outcome"], validate="1:1")
    used = rows.value.notna() & (rows.shown >= smallest)
    rows["quality"] = rows.quality.mask(rows.shown.isna(), SMALL)
    rows["value_published"], rows["value"] = rows.shown, rows.shown.where(used)
    rows["population"] = rows.population_published.where(used)
    rows = rows.drop(columns="shown")
    return tidy(pd.concat([rows, england(rows)]))


def rounded(counts: dict[str, int], smallest: int, base: int) -> dict[str, int | None]:
    """Counts of a list, whose sum may be known: None where suppressed."""
    values = protect(pd.Series(counts), smallest, base)
    return {name: None if pd.isna(value) else int(value) for name, value in values.items()}
