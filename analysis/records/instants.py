"""Dates that were stored as instants: whether their times of day show that they are midnights of another time zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import ibis
import ibis.expr.types as ir
import pandas as pd

from analysis.records.typed import text_or_instants

QUARTER_HOUR = "^.{11}[0-9]{2}:(00|15|30|45)(:00|[^:]|$)"  # by which time zones differ, in any year of a window
# A database of 3 ms, or a day as a fraction, writes 23:00 as 22:59:59.997. A day's last second, 23:59:59, is of the day that is written.
JUST_BEFORE = "^.{11}[0-9]{2}:(14|29|44|59):59"
A_DAY = 24 * 60
NOON, OTHER = 12 * 60, -1
FIXED_TIMES = 3  # such as midnight of winter time, of summer time, and of the files that are right
# Of the rows, in all or in a year: how many have one of those times, and how many of them are after noon. Where nearly all are fixed, a monthly file
# in another zone, a twelfth of them, shows; where real times are mixed in, more is needed, since some hospitals enter a usual time.
NEARLY_ALL, APPRECIABLE = 0.95, 0.02
MOST, MANY = 0.5, 0.2


def midnights_elsewhere(
    part: ir.Table, days: tuple[dt.date, dt.date], markers: Collection[str], fewest: int
) -> dict[str, str]:
    """HES column → the times of day that show it to be midnights of another time zone; no entry for other columns.

    Such a column has most of its rows, in all or in a year, at three fixed times of day at most, some of them after noon: the date is that
    of midnight in a zone to the east, and the day that is stored is the one before. An instant at midnight in a zone to the west, which is
    in the morning, is of the right day, as is noon. Times that are spread over the day are real.

    Parameters
    ----------
    days
        The first and the last of the window: null dates lie outside.
    markers
        Further markers of a missing value.
    fewest
        Rows after noon below which nothing is concluded.
    """
    values = text_or_instants(part, markers)
    if not values:
        return {}
    inside = {column: _day(value).between(*days) for column, value in values.items()}
    latest = part.aggregate(**{column: _time(value).max(where=inside[column]) for column, value in values.items()})
    found = {}
    for column, time in latest.to_pyarrow().to_pylist()[0].items():
        if time is None or time <= NOON:
            continue
        value = values[column]
        rows = part.filter(inside[column]).select(year=_day(value).year(), time=_time(value))
        counts = rows.group_by("year", "time").aggregate(rows=lambda t: t.count()).to_pyarrow().to_pandas()
        if words := _fixed_times(counts, fewest):
            found[column] = words
    return found


def _day(value: ir.StringValue | ir.TimestampValue) -> ir.DateValue:
    return (value.left(10) if isinstance(value, ir.StringValue) else value).cast("date")


def _time(value: ir.StringValue | ir.TimestampValue) -> ir.IntegerValue:
    """Minutes after midnight, where they are a full quarter of an hour: 96 times at most are to be counted."""
    if not isinstance(value, ir.StringValue):
        minutes = value.hour() * 60 + value.minute()
        fixed = (minutes % 15 == 0) & (value.second() == 0)
        before = (minutes % 15 == 14) & (value.second() == 59)
        return ibis.cases((fixed, minutes), (before, (minutes + 1) % A_DAY), else_=OTHER)
    before = value.re_search(JUST_BEFORE)
    clock = (before | value.re_search(QUARTER_HOUR)).ifelse(value.substr(11, 5), ibis.null("string"))
    minutes = (clock.left(2).cast("int32") * 60 + clock.right(2).cast("int32") + before.cast("int32")) % A_DAY
    return (value.length() > len("2014-05-10")).ifelse(minutes.fill_null(OTHER), 0)


def _fixed_times(counts: pd.DataFrame, fewest: int) -> str:
    """The times in words, from [year, time, rows]; empty where they are not those of another zone."""
    for year, times in [(None, counts), *counts.groupby("year")]:
        share = times.groupby("time").rows.sum() / times.rows.sum()
        fixed = share.drop(OTHER, errors="ignore").nlargest(FIXED_TIMES)
        late = fixed[fixed.index > NOON].sum()
        enough = APPRECIABLE if fixed.sum() >= NEARLY_ALL else MANY if fixed.sum() >= MOST else None
        if enough is not None and late >= enough and round(late * times.rows.sum()) >= fewest:
            listed = {
                time: part for time, part in fixed.items() if part >= 0.01 and round(part * times.rows.sum()) >= fewest
            }
            shown = [f"{time // 60:02d}:{time % 60:02d} in {part:.0%}" for time, part in (listed or fixed[:1]).items()]
            shown[0] += f" of the rows of {year}" if year else " of the rows"
            return ", ".join(shown)
    return ""
