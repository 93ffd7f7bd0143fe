"""Population of every unit and month: ONS level, moved through time by registered lists.

The ONS mid-2015 estimate fixes the level. The GP-registered list size of the CCG's latest area gives the
growth, scaled so that the anchor month equals ONS; quarterly steps are interpolated; before the first list
it is extended backwards at the rate of the list's first year.
"""

from __future__ import annotations

import datetime as dt

import pandas as pd

from analysis.core.errors import DataError
from analysis.panel.geography import Geography
from analysis.protocol.schema import Population

CONSERVED_WITHIN = 1.0  # people


def unit_population(
    mid_year: pd.DataFrame,
    lists: pd.DataFrame,
    geography: Geography,
    months: pd.DatetimeIndex,
    rule: Population,
    listed_on: dt.date,
) -> pd.DataFrame:
    """Population by unit and month [unit, month, population], in persons.

    Parameters
    ----------
    mid_year
        [ccg_code, persons], the ONS estimate, one row per CCG.
    lists
        [month, area, registered_patients], one row per area and month.
    listed_on
        The date whose CCGs are the areas of ``lists``.

    Raises
    ------
    DataError
        A CCG or an area has no unit, or the crosswalk loses or invents people.
    """
    unit_of = geography.unit_of
    current = dict(zip(geography.units.ccg_code, geography.units.current_code, strict=True))
    uncounted = sorted(set(current.values()) - {current.get(code) for code in mid_year.ccg_code})
    if uncounted:
        raise _unmatched("mid-year population", "CCG", uncounted)
    strangers = sorted(set(mid_year.ccg_code) - set(unit_of))
    if strangers:
        raise _unmatched("mid-year population", "CCG", strangers)
    level = mid_year.assign(unit=mid_year.ccg_code.map(unit_of)).groupby("unit").persons.sum().astype(float)
    size = list_size_by_month(lists, months.union([rule.anchor]), rule.back_rate_months)
    areas = geography.areas(listed_on)
    unknown = size[months].isna().any()
    if unknown.any():
        raise DataError(
            "GP-registered lists",
            f"no list size for {unknown.idxmax():%B %Y}",
            "list sizes up to the end of the study's window",
            "Supply a later file of list sizes, or set an earlier study.end (or study.data_to) in the protocol: list sizes reach "
            f"{last_listed_month(lists):%B %Y}.",
        )
    missing = sorted(set(areas.area) - set(size.index))
    if missing:
        raise _unmatched("GP-registered lists", "area", missing)
    by_unit = areas.merge(size, left_on="area", right_index=True).drop(columns="area").groupby("unit").sum()
    growth = by_unit.div(by_unit[rule.anchor], axis=0)
    population = growth.mul(level, axis=0)
    _check_conserved(population[rule.anchor].sum(), float(mid_year.persons.sum()))
    return population[months].rename_axis(columns="month").stack().rename("population").reset_index()


def last_listed_month(lists: pd.DataFrame) -> pd.Timestamp:
    """The last month in which a figure that is no repetition of an earlier one appears in [month, area, registered_patients]."""
    return pd.Timestamp(_knots(lists).columns[-1])


def list_size_by_month(lists: pd.DataFrame, months: pd.DatetimeIndex, back_rate_months: int) -> pd.DataFrame:
    """Registered patients by area (rows) and month (columns), steps interpolated, extended backwards."""
    figures = _knots(lists)
    wanted = months.union(pd.DatetimeIndex(lists.month.unique()))
    knots = figures.reindex(columns=wanted)
    inside = knots.T.interpolate(method="time", limit_area="inside").T
    first = figures.columns[0]
    rate = (inside[first + pd.DateOffset(months=back_rate_months)] / inside[first]) ** (1 / back_rate_months)
    for month in wanted[wanted < first]:
        distance = (first.year - month.year) * 12 + first.month - month.month
        inside[month] = inside[first] * rate**-distance
    return inside[months]


def _knots(lists: pd.DataFrame) -> pd.DataFrame:
    """Registered patients by area and month, of the months in which a figure first appears: a quarterly one is repeated until the next."""
    table = lists.pivot(index="area", columns="month", values="registered_patients").astype(float)
    return table.loc[:, table.ne(table.shift(axis=1)).any()]


def _check_conserved(found: float, expected: float) -> None:
    if abs(found - expected) > CONSERVED_WITHIN:
        raise DataError(
            "crosswalk from CCGs to units",
            f"{found:,.1f} people",
            f"{expected:,.0f} people, as published",
            "Check ccg_changes.csv: a code is missing from it or stands in it twice.",
        )


def _unmatched(what: str, kind: str, codes: list[str]) -> DataError:
    return DataError(
        what,
        f"{kind} {', '.join(codes[:5])} without a match",
        "every code in ccg_changes.csv or the list of CCGs, and begun by the date of study.boundaries",
        "Add the change that created the code to data_raw/ccg_changes.csv, with its date; if it began after study.boundaries, set "
        "a later date there.",
    )
