"""Stops a run whose counted stays hold a code or a day that seems to stand for another.

Too few rows have it to move the share of a reason: one commissioner's code that a spreadsheet took for a number, or the day of the extract in place of
a discharge that is not known.
"""

from __future__ import annotations

import pandas as pd

from analysis.records.counts import DAYS_TO_1970, Counts, day_of, financial_year
from analysis.records.definitions import COMMISSIONER_FORM, OUTSIDE_ENGLAND
from analysis.records.falling_out import Extracted, long_stays, no_code, of_no_form, one_day, unknown_commissioner

LIKE_THE_OTHERS = 0.3  # of the rows of the median commissioner: a misspelt one has about as many
# The busiest real days have two or three times the stays of others.
TIMES_THE_OTHERS, FEWEST_DAYS = 10, 100


def check_forms(came: pd.DataFrame, months: pd.DatetimeIndex, extract: Extracted) -> None:
    """Refuse codes that have not the form of a commissioner's; ``came`` as ``Counts.arrivals`` has it, with ``unit``.

    Raises
    ------
    DataError
        There are such codes in as many rows as may be shown.
    """
    inside = _inside(came, months)
    odd = of_no_form(_strangers(inside), COMMISSIONER_FORM)
    if odd.sum() >= extract.rules.smallest_count:
        raise no_code("CCG_RESPONSIBILITY", odd, odd.sum() / inside.rows.sum(), extract)


def check_codes(came: pd.DataFrame, months: pd.DatetimeIndex, extract: Extracted) -> None:
    """Refuse a code that seems to be a misspelt one of a commissioner without rows; ``came`` as of ``check_forms``.

    Raises
    ------
    DataError
        There is such a code in as many rows as may be shown.
    """
    inside = _inside(came, months)
    rows = _strangers(inside)
    rows = rows[rows >= extract.rules.smallest_count]
    of_units = inside.groupby("unit").rows.sum()
    absent = sorted(set(extract.units) - set(of_units.index))
    # Few commissioners are absent from a national extract, and many from a local one, whose patients may come from anywhere.
    if len(rows) and absent and len(absent) <= len(rows) and rows.iloc[0] >= LIKE_THE_OTHERS * of_units.median():
        raise unknown_commissioner(rows.index[0], int(rows.iloc[0]), int(inside.rows.sum()), absent[0], extract)


def _inside(came: pd.DataFrame, months: pd.DatetimeIndex) -> pd.DataFrame:
    return came[(came.day >= day_of(months[0])) & (came.day < day_of(months[-1] + pd.offsets.MonthBegin()))]


def _strangers(inside: pd.DataFrame) -> pd.Series:
    """Rows by code of no English commissioner that is known, the most frequent first."""
    strangers = inside[inside.unit.isna() & (inside.code != "") & ~inside.code.str.startswith(OUTSIDE_ENGLAND)]
    return strangers.groupby("code").rows.sum().sort_values(ascending=False)


def check_days(counts: Counts, months: pd.DatetimeIndex, extract: Extracted) -> None:
    """Refuse a day, of the window or later, on which many times more stays begin or end than on others.

    Raises
    ------
    DataError
        There is such a day.
    """
    for column, table, name in (("EPIEND", counts.departures, "departures"), ("ADMIDATE", counts.arrivals, "admissions")):
        by_day = table[table.day >= day_of(months[0])].groupby("day")[name].sum()
        most, of_others = by_day.max(), TIMES_THE_OTHERS * by_day.median()
        if len(by_day) >= FEWEST_DAYS and most > max(of_others, extract.rules.unexpected_share * by_day.sum()):
            day = DAYS_TO_1970 + int(by_day.idxmax())
            raise one_day(column, str(day), most / by_day.sum(), extract)


def check_lengths(counts: Counts, months: pd.DatetimeIndex, extract: Extracted) -> None:
    """Refuse dates by which few stays, of more than a year, take an undue part of all nights: most of them have a wrong year.

    Raises
    ------
    DataError
        Their part is larger than ``long_stay_share``, of all nights or of those of a year of admission.
    """
    by_year = long_by_year(counts, months)
    for year, stays, taken, of in [(None, *by_year.sum()), *by_year.itertuples()]:
        if stays >= extract.rules.smallest_count and taken > extract.rules.long_stay_share * of:
            raise long_stays(year, taken / of, extract)


def long_by_year(counts: Counts, months: pd.DatetimeIndex) -> pd.DataFrame:
    """By financial year of admission, the number of stays of more than a year, their nights, and those of all stays [stays, nights, of]."""
    inside, long = _inside(counts.arrivals, months), _inside(counts.long_stays.astype(int), months)
    of = inside.nights.groupby(financial_year(inside.day)).sum().rename("of")
    return long[["stays", "nights"]].groupby(financial_year(long.day)).sum().reindex(of.index, fill_value=0).join(of)
