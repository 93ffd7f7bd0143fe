"""Nights by day: those of the window, and no table of every day from the first date of the extract to the last."""

from __future__ import annotations

import datetime as dt
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from analysis.records.counts import Counts, monthly

MONTHS = pd.date_range("2013-04-01", "2018-03-01", freq="MS")
FIRST = (dt.date(2013, 4, 1) - dt.date(1970, 1, 1)).days
LATEST = (dt.date(9999, 12, 31) - dt.date(1970, 1, 1)).days


def counted(stays: pd.DataFrame) -> Counts:
    """Stays [unit, age_band, day, left] as ``placed`` gives their counts; some are of one unit and day, and counted together."""
    zero = {"nights": 0, "zero_day": 0, "sensitive": 0}
    came = stays.groupby(["unit", "age_band", "day"]).size().rename("admissions").reset_index().assign(**zero)
    left = stays.groupby(["unit", "age_band", "left"]).size().rename("departures").reset_index()
    return Counts(came, left.rename(columns={"left": "day"}), pd.DataFrame(), len(stays))


def drawn(seed: int, rows: int, days: tuple[int, int], longest: int, units: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    day = rng.integers(*days, rows)
    columns = {"unit": rng.integers(0, units, rows), "age_band": rng.choice([0, 65], rows), "day": day, "left": day + rng.integers(0, longest + 1, rows)}  # fmt: skip
    return pd.DataFrame(columns)


def by_hand(stays: pd.DataFrame, labels: list[str]) -> pd.Series:
    """Each night of each stay, one by one."""
    inside = stays[stays.day < LATEST - 1].assign(
        night=[range(max(row.day, FIRST), min(row.left, FIRST + 1826)) for row in stays.itertuples()]
    )
    nights = inside.explode("night").dropna(subset="night")
    month = pd.to_datetime(nights.night.astype(int), unit="D").dt.to_period("M").dt.to_timestamp()
    return nights.groupby([*labels, month.rename("month")]).size()


@pytest.mark.cases(quick=5)
@pytest.mark.parametrize("labels", [["unit"], ["unit", "age_band"]])
@pytest.mark.parametrize(
    ("days", "longest"),
    [
        ((FIRST - 900, FIRST + 1900), 40),  # some before the window, in it and after
        ((FIRST - 20, FIRST + 3), 60),
        ((FIRST + 1800, FIRST + 1826), 3_000),
        ((FIRST - 5_000, FIRST - 4_990), 5_100),
        ((FIRST - 50, FIRST - 40), 10),  # all gone before the window
        ((FIRST + 1826, FIRST + 1830), 10),  # all after it
        ((FIRST + 30, FIRST + 31), 0),
    ],
)
@pytest.mark.parametrize("rows", [1, 300])
def test_nights_are_those_of_the_window(labels: list[str], days: tuple[int, int], longest: int, rows: int) -> None:
    stays = drawn(3, rows, days, longest)
    table = monthly(counted(stays), MONTHS, {label: sorted(stays[label].unique()) for label in labels})
    expected = by_hand(stays, labels).reindex(table.index, fill_value=0)
    assert table.emergency_bed_days_by_day.astype(int).to_list() == expected.to_list()


@pytest.mark.slow
@pytest.mark.parametrize("day", ["left", "day"])
@pytest.mark.fault(
    "one discharge in 9999 in an extract of hundreds of commissioners", "memory is that of the study's window"
)
def test_a_far_day_takes_no_memory(day: str) -> None:
    stays = drawn(3, 20_000, (FIRST, FIRST + 1800), 20, units=206)
    usual = monthly(counted(stays), MONTHS, {"unit": range(206)})
    stays.loc[7, ["day", "left"]] = {"left": [stays.day[7], LATEST], "day": [-14_600, stays.left[7]]}[day]
    counts = counted(stays)
    tracemalloc.start()
    table = monthly(counts, MONTHS, {"unit": range(206)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6, f"{peak / 1e6:.0f} MB"
    assert (table.emergency_bed_days_by_day != usual.emergency_bed_days_by_day).sum() >= 1
    assert table.emergency_bed_days_by_day.max() < 206 * 31
