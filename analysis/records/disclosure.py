"""Disclosure control: which counts may leave the private folder, and how they are shown.

Counts of 1 to 7 are suppressed and all others rounded to the nearest 5, as the HES analysis guide asks (README.md of this folder has the rules, their
sources, and why no released table tells a suppressed count). Two arguments carry the whole:

* A total and its parts are known apart from each other. So the parts of a total – the age bands of a commissioner, the networks of practices
  and the remainder of theirs – are shown in a month all together, or not at all. Of parts that are not shown, only the total is known.
* Where two outcomes add up to a third, neither is shown if one of them is small.

A zero is shown of a total, and then of everything in it. Of parts it counts as small: what has none today may have one in the next edition. Every later table, flag and model is made from what this module gives.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.records.definitions import ADMISSIONS, BED_DAYS, BY_DAY, LENGTH_OF_STAY, PARTS, SENSITIVE

ZERO_DAY, LONGER = PARTS


def suppressed_places(counts: pd.DataFrame, smallest: int, earlier: pd.DataFrame | None = None) -> pd.DataFrame:
    """Which cells of places may not be shown: True or False in the shape of ``counts``.

    Parameters
    ----------
    counts
        Exact counts: an index of [unit, month], a column an outcome.
    smallest
        The least count, but for none at all, that may be shown.
    earlier
        Which cells an earlier release suppressed; they stay so. Labels that ``counts`` has not are of no matter.
    """
    hidden = _of_earlier(earlier, counts)
    admissions = counts[ADMISSIONS]
    hidden[ADMISSIONS] = _with_second(admissions, hidden[ADMISSIONS] | _small(admissions, smallest), smallest)
    nobody = (admissions == 0) & ~hidden[ADMISSIONS]
    hidden = hidden.mask(hidden[ADMISSIONS], True)  # everything else is counted from admissions
    one_sided = _one_sided(counts, ZERO_DAY, smallest)
    split = one_sided | hidden[[ZERO_DAY, LONGER]].any(axis=1)
    hidden[ZERO_DAY] = hidden[LONGER] = _with_second(counts[LONGER], split, smallest, nobody)
    # Nights tell that enough people stayed, and that no more stayed than there were nights. Where few did not stay, both are to leave it open how many.
    tight = (admissions < 2 * smallest) | (counts[BED_DAYS] < admissions)
    few = (counts[LONGER] < smallest) | (one_sided & tight)
    hidden[BED_DAYS] = _with_second(counts[BED_DAYS], hidden[BED_DAYS] | few, smallest, nobody)
    sensitive = hidden[SENSITIVE] | _one_sided(counts, SENSITIVE, smallest)
    hidden[SENSITIVE] = _with_second(counts[SENSITIVE], sensitive, smallest, nobody)
    if BY_DAY in counts:
        hidden[BY_DAY] |= _series(counts, hidden[BED_DAYS], smallest)
    return hidden


def suppressed_parts(
    counts: pd.DataFrame, totals: pd.DataFrame, smallest: int, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Which cells of parts may not be shown, where their totals are known: a month's parts are shown together or not at all.

    Parameters
    ----------
    counts
        Exact counts: an index of [group, part, month], a column an outcome. The parts of a group add up to its total, so that one of them
        is the remainder where others are not the whole.
    totals
        Which totals are suppressed: an index of [group, month].
    smallest, earlier
        As of ``suppressed_places``.
    """
    group, _, month = counts.index.names
    before = _of_earlier(earlier, counts)
    of_month = [counts.index.get_level_values(level) for level in (group, month)]

    def of_line(cells: pd.Series | pd.DataFrame) -> pd.Series | pd.DataFrame:
        """In each cell, whether any cell of its group and month is."""
        return cells.groupby(of_month).transform("any")

    at = pd.MultiIndex.from_arrays(of_month)
    hidden = of_line(before) | totals.reindex(index=at, columns=counts.columns, fill_value=False).set_axis(counts.index)
    nobody = (counts[ADMISSIONS] == 0).groupby(of_month).transform("all") & ~hidden[ADMISSIONS]
    hidden[ADMISSIONS] |= of_line((counts[ADMISSIONS] < smallest) & ~nobody)
    hidden = hidden.mask(hidden[ADMISSIONS], True)
    of_stays = [ZERO_DAY, LONGER, BED_DAYS]
    stays = of_line(_one_sided(counts, ZERO_DAY, smallest)) | hidden[of_stays].any(axis=1)
    hidden[of_stays] = np.column_stack([stays & ~nobody] * len(of_stays))
    hidden[SENSITIVE] = (hidden[SENSITIVE] | of_line(_one_sided(counts, SENSITIVE, smallest))) & ~nobody
    if BY_DAY in counts:
        hidden[BY_DAY] |= _series(counts, hidden[BED_DAYS], smallest).groupby(level=group).transform("any")
    return hidden


def shown(
    counts: pd.DataFrame | pd.Series, suppressed: pd.DataFrame | pd.Series, base: int
) -> pd.DataFrame | pd.Series:
    """Counts rounded to multiples of ``base`` (a half upwards), NaN where suppressed."""
    return (base * np.floor(counts / base + 0.5)).mask(suppressed)


def suppressed_list(counts: pd.Series, smallest: int, earlier: pd.Series | None = None) -> pd.Series:
    """Which counts of a list, whose sum may be known, may not be shown."""
    hidden = _small(counts, smallest)
    if earlier is not None:
        hidden |= earlier.reindex(counts.index, fill_value=False)
    return _with_second(counts, hidden, smallest)


def with_length_of_stay(table: pd.DataFrame) -> pd.DataFrame:
    """The shown counts with bed days for an admission, of the rounded counts; none where there is no admission."""
    length = (table[BED_DAYS] / table[ADMISSIONS].where(table[ADMISSIONS] > 0)).round(2)
    return table.assign(**{LENGTH_OF_STAY: length})


def _small(counts: pd.Series, smallest: int) -> pd.Series:
    return (counts > 0) & (counts < smallest)


def _one_sided(counts: pd.DataFrame, part: str, smallest: int) -> pd.Series:
    """Where an outcome, or what is left of admissions without it, is of fewer than ``smallest``, though there are admissions.

    None at all is fewer: were it shown, a later edition that suppresses the first few would tell them by how little the total grew.
    """
    left = counts[ADMISSIONS] - counts[part]
    return (counts[ADMISSIONS] > 0) & ((counts[part] < smallest) | (left < smallest))


def _of_earlier(earlier: pd.DataFrame | None, counts: pd.DataFrame) -> pd.DataFrame:
    if earlier is None:
        return pd.DataFrame(False, counts.index, counts.columns)
    return earlier.reindex(index=counts.index, columns=counts.columns, fill_value=False).astype(bool)


def _series(counts: pd.DataFrame, nights_hidden: pd.Series, smallest: int) -> pd.Series:
    """In each cell, whether nights by day are suppressed in all months of its place.

    One person may have nights in months in which nobody else is admitted, and what nights by day exceed the nights of admissions by, month
    after month, tells of those who stay. So a place has the whole series or none: each month needs enough stays of its own, or no night.
    """
    places = [level for level in counts.index.names if level != "month"]
    open_month = ~nights_hidden & ((counts[LONGER] >= smallest) | (counts[BY_DAY] == 0))
    return (~open_month).groupby(level=places).transform("any")


def _with_second(counts: pd.Series, hidden: pd.Series, smallest: int, known: pd.Series | None = None) -> pd.Series:
    """Suppress further cells, until none is alone among those over whose labels somebody else may know a total.

    Published totals of England by month, of a commissioner by year or of a file's rows are not ours to round. To suppress a cell whose count is
    ``known`` otherwise would hide nothing.
    """
    if known is not None:
        counts, hidden = counts.where(~known), hidden & ~known
    every = pd.MultiIndex.from_product(counts.index.levels) if isinstance(counts.index, pd.MultiIndex) else counts.index
    shape = [len(level) for level in every.levels] if isinstance(every, pd.MultiIndex) else [len(every)]
    values = counts.reindex(every).to_numpy(float).reshape(shape)
    cells = hidden.reindex(every, fill_value=False).to_numpy(bool).reshape(shape)
    return pd.Series(_complemented(values, cells, smallest).ravel(), every).reindex(counts.index)


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
