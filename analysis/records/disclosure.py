"""Disclosure control: which counts may leave the private folder, and how they are shown.

Counts of 1 to 7 are suppressed and all others rounded to the nearest 5, as the HES analysis guide asks (README.md of this folder has the rules, their
sources, and why no released table tells a suppressed count). Two arguments carry the whole:

* A total and its parts are known apart from each other. So the parts of a total – the age bands of a commissioner, the networks of practices
  and the remainder of theirs – are shown in a month all together, or not at all. Of parts that are not shown, only the total is known.
* Where two outcomes add up to a third, neither is shown if one of them is small.

Zeros are shown. Every later table, flag and model is made from what this module gives.
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
    hidden = hidden.mask(hidden[ADMISSIONS], True)  # everything else is counted from admissions
    parts = counts[[ZERO_DAY, LONGER]].stack()
    both = _with_second(parts, hidden[[ZERO_DAY, LONGER]].stack() | _small(parts, smallest), smallest).unstack()
    hidden[[ZERO_DAY, LONGER]] = both
    # Nights tell that enough people stayed. Where few did not stay, whose number is suppressed, it is left open from 1 to 7 by enough admissions.
    few = _small(counts[LONGER], smallest) | (both[LONGER] & (admissions > 0) & (admissions < 2 * smallest))
    hidden[BED_DAYS] = _with_second(counts[BED_DAYS], hidden[BED_DAYS] | few, smallest)
    sensitive = counts[SENSITIVE]
    hidden[SENSITIVE] = _with_second(sensitive, hidden[SENSITIVE] | _few_sensitive(counts, smallest), smallest)
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
    group, part, month = counts.index.names
    before = _of_earlier(earlier, counts)
    of_month = [counts.index.get_level_values(level) for level in (group, month)]

    def of_line(cells: pd.Series | pd.DataFrame) -> pd.Series | pd.DataFrame:
        """In each cell, whether any cell of its group and month is."""
        return cells.groupby(of_month).transform("any")

    small = pd.DataFrame({name: _small(counts[name], smallest) for name in (ADMISSIONS, ZERO_DAY, LONGER)})
    small[SENSITIVE] = _few_sensitive(counts, smallest)
    at = pd.MultiIndex.from_arrays(of_month)
    hidden = of_line(before) | totals.reindex(index=at, columns=counts.columns, fill_value=False).set_axis(counts.index)
    hidden[ADMISSIONS] |= of_line(small[ADMISSIONS])
    hidden = hidden.mask(hidden[ADMISSIONS], True)
    of_stays = [ZERO_DAY, LONGER, BED_DAYS]
    stays = of_line(small[ZERO_DAY] | small[LONGER]) | hidden[of_stays].any(axis=1)
    hidden[of_stays] = np.column_stack([stays] * len(of_stays))
    hidden[SENSITIVE] |= of_line(small[SENSITIVE])
    if BY_DAY in counts:
        hidden[BY_DAY] |= _series(counts, hidden[BED_DAYS], smallest).groupby(level=group).transform("any")
    # A part that has nobody in any month is no secret: it would be suppressed beside the others for nothing.
    nobody = (counts == 0).all(axis=1).groupby(level=[group, part]).transform("all")
    return hidden.mask(nobody, before)


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


def _few_sensitive(counts: pd.DataFrame, smallest: int) -> pd.Series:
    """Where few admissions are sensitive to ambulatory care, or few are not: the two add up to admissions, though the second is not released."""
    sensitive = counts[SENSITIVE]
    return _small(sensitive, smallest) | _small(counts[ADMISSIONS] - sensitive, smallest)


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


def _with_second(counts: pd.Series, hidden: pd.Series, smallest: int) -> pd.Series:
    """Suppress further cells, until none is alone among those over whose labels somebody else may know a total.

    Published totals of England by month, of a commissioner by year or of a file's rows are not ours to round.
    """
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
