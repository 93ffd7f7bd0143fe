"""The working calendar of England: what planned care follows, and emergencies hardly do."""

from __future__ import annotations

from functools import cache

import holidays
import numpy as np
import pandas as pd

EASTER_BEGINS, EASTER_DAYS = "Good Friday", 4


def working_days(months: pd.DatetimeIndex) -> np.ndarray:
    """Days of each month (T) that are neither at a weekend nor a bank holiday in England."""
    first, last = (day.to_numpy().astype("datetime64[D]") for day in (months, months + pd.offsets.MonthBegin(1)))
    off = pd.DatetimeIndex(list(_bank_holidays(*_years(months)))).to_numpy().astype("datetime64[D]")
    return np.asarray(np.busday_count(first, last, holidays=off))


def easter_share(months: pd.DatetimeIndex) -> np.ndarray:
    """Share of the days from Good Friday to Easter Monday that fall in each month (T): 0, 1, or a part."""
    days = [
        day
        for friday, name in _bank_holidays(*_years(months)).items()
        if name == EASTER_BEGINS
        for day in pd.date_range(friday, periods=EASTER_DAYS)
    ]
    found = pd.Series(1 / EASTER_DAYS, [day.to_period("M") for day in days]).groupby(level=0).sum()
    return found.reindex(months.to_period("M"), fill_value=0.0).to_numpy()


def _years(months: pd.DatetimeIndex) -> tuple[int, int]:
    return int(months[0].year), int(months[-1].year)


@cache
def _bank_holidays(first: int, last: int) -> dict[pd.Timestamp, str]:
    found = holidays.country_holidays("GB", subdiv="ENG", years=range(first, last + 1))
    return {pd.Timestamp(day): name for day, name in sorted(found.items())}
