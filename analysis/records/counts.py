"""Continuous spells → admissions, nights and departures by commissioner and day, and the ledger of rows; then tables by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.records.definitions import ADMISSIONS, BED_DAYS, OUTSIDE_ENGLAND, PARTS
from analysis.records.engines import Engine
from analysis.records.episodes import OF_ROWS, Episodes
from analysis.records.spells import OF_SPELLS, continuous_spells, keys_of, provider_spells

USED = "used"
MEASURES = ["admissions", "nights", "zero_day", "sensitive"]
DAYS_TO_1970 = np.datetime64("1970-01-01", "D")


@dataclass(frozen=True)
class Counts:
    """``arrivals`` [code, day, admissions, nights, zero_day, sensitive, rows] by day of admission; ``departures`` [code, day, departures]
    by day of discharge, both by age band and practice too where asked, and in no order; ``rows`` by reason, and in all."""

    arrivals: pd.DataFrame
    departures: pd.DataFrame
    rows: dict[str, int]
    total: int


def linked_counts(engine: Engine, episodes: Episodes) -> Counts:
    """Count with duplicates removed and spells joined."""
    rows, stay = _by_reason(episodes)
    total = sum(rows.values()) + stay
    kept = episodes.kept.drop("month")
    keys = [*keys_of(kept), "day"]
    arrivals, departures = _Sums(keys), _Sums(keys)
    for part in engine.by_person(kept, stay):
        with (
            provider_spells(part).cache() as spells,
            continuous_spells(spells.filter(spells.code.notnull())).cache() as stays,
        ):
            for reason, lost in (
                ("no_first_episode", spells.filter(spells.code.isnull())),
                ("transfer_alone", stays.filter(~stays.emergency)),
            ):
                left_out, duplicates = _left_out(lost)
                rows[reason] += left_out
                rows["duplicate"] += duplicates
            counted = stays.filter(stays.emergency)
            arrivals.add(_arrivals(counted))
            departures.add(_departures(counted))
    came = arrivals.frame()
    rows["duplicate"] += int(came.pop("duplicates").sum())
    return Counts(came, departures.frame(), rows, total)


def unlinked_counts(episodes: Episodes) -> Counts:
    """Count first and last episodes as they come, as published statistics do: neither duplicates nor transfers are looked for."""
    rows, stay = _by_reason(episodes)
    e = episodes.kept
    keys = keys_of(e)
    nights = e.discharged - e.admitted
    first, left = e.emergency & (e.order == 1), e.emergency & e.discharged.notnull()
    counts = e.group_by(*keys, day=e.month).aggregate(
        rows=e.count(), admissions=first.sum(), nights=nights.sum(where=left), zero_day=(left & (nights == 0)).sum(),
        sensitive=(first & e.sensitive).sum(),
    )  # fmt: skip
    departures = pd.DataFrame(columns=[*keys, "day", "departures"])
    return Counts(_frame(counts.fill_null({"nights": 0})), departures, rows, sum(rows.values()) + stay)


def placed(counts: Counts, unit_of: Mapping[str, str], network_of: Mapping[str, str]) -> Counts:
    """The same with ``unit``, and ``network`` where practices were asked for; null where the code is of none."""

    def with_places(table: pd.DataFrame) -> pd.DataFrame:
        network = {"network": table.practice.map(network_of)} if "practice" in table else {}
        return table.assign(unit=table.code.map(unit_of), **network)

    return replace(counts, arrivals=with_places(counts.arrivals), departures=with_places(counts.departures))


def ledger_of_rows(counts: Counts, months: pd.DatetimeIndex) -> dict[str, int]:
    """Rows by reason, and those used; ``counts`` as ``placed`` gives them. Rows in = rows used + rows by reason.

    Raises
    ------
    AssertionError
        They are not: rows were lost.
    """
    every = counts.arrivals
    known = every.unit.notna()
    abroad = ~known & every.code.str.startswith(OUTSIDE_ENGLAND)
    inside = known & _month(every.day).isin(months)
    places = {
        "outside_england": abroad, "unknown_commissioner": ~known & ~abroad, "outside_window": known & ~inside, USED: inside,
    }  # fmt: skip
    ledger = counts.rows | {reason: int(every.rows[chosen].sum()) for reason, chosen in places.items()}
    assert sum(ledger.values()) == counts.total, (
        f"{counts.total} rows came in, {sum(ledger.values())} are accounted for"
    )
    return ledger


def monthly(counts: Counts, months: pd.DatetimeIndex, by: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """A column an outcome (``definitions.OUTCOMES``), a row for every label of ``by`` with every other, and each month.

    ``counts`` as ``placed`` gives them; ``by`` has the labels of ``unit``, ``age_band`` or ``network``, the levels of the index before ``month``.
    """
    came, left = (table[table.unit.notna()] for table in (counts.arrivals, counts.departures))
    sums = came.groupby([*by, _month(came.day).rename("month")])[MEASURES].sum()
    table = pd.DataFrame(
        {
            ADMISSIONS: sums.admissions, BED_DAYS: sums.nights, PARTS[0]: sums.zero_day, PARTS[1]: sums.admissions - sums.zero_day,
            "ambulatory_care_sensitive": sums.sensitive,
        }
    )  # fmt: skip
    cells = pd.MultiIndex.from_product([*by.values(), months], names=[*by, "month"])
    table = table.reindex(cells, fill_value=0)
    if len(left):
        table["emergency_bed_days_by_day"] = _nights_by_month(came, left, [*by], months).reindex(cells, fill_value=0)
    return table


def _nights_by_month(came: pd.DataFrame, left: pd.DataFrame, by: list[str], months: pd.DatetimeIndex) -> pd.Series:
    """Beds that are occupied at the end of each day – those who came so far less those who left – summed by month."""
    change = (
        came.groupby([*by, "day"]).admissions.sum().sub(left.groupby([*by, "day"]).departures.sum(), fill_value=0)
    ).unstack(by, fill_value=0)
    days = range(int(change.index.min()), int(change.index.max()) + 1)
    occupied = change.reindex(days, fill_value=0).cumsum()
    by_month = occupied.groupby(_month(pd.Series(occupied.index, index=occupied.index))).sum()
    return by_month.reindex(months, fill_value=0).rename_axis("month").unstack()


def _by_reason(episodes: Episodes) -> tuple[dict[str, int], int]:
    """Rows that are left out one by one, by reason, with places for the reasons of whole spells; and those that stay."""
    table = _frame(episodes.rows)
    places = {reason: table.rows[table.reason == place].sum() for place, reason in enumerate(OF_ROWS)}
    rows = {reason: int(count) for reason, count in places.items()} | dict.fromkeys(OF_SPELLS, 0)
    return rows, int(table.rows[table.reason.isna()].sum())


def _left_out(spells: ir.Table) -> tuple[int, int]:
    """Rows of these spells, and how many duplicates there were beside them."""
    sums = (
        _frame(spells.aggregate(rows=spells.rows.sum(), duplicates=spells.duplicates.sum()))
        .fillna(0)
        .astype(int)
        .iloc[0]
    )
    return int(sums.rows - sums.duplicates), int(sums.duplicates)


def _arrivals(stays: ir.Table) -> ir.Table:
    nights = stays.ended - stays.admitted
    return stays.group_by(*keys_of(stays), day=stays.admitted).aggregate(
        admissions=stays.count(), nights=nights.sum(), zero_day=(nights == 0).sum(), sensitive=stays.sensitive.sum(),
        rows=stays.rows.sum() - stays.duplicates.sum(), duplicates=stays.duplicates.sum(),
    )  # fmt: skip


def _departures(stays: ir.Table) -> ir.Table:
    return stays.group_by(*keys_of(stays), day=stays.ended).aggregate(departures=stays.count())


def _frame(table: ir.Table) -> pd.DataFrame:
    return table.to_pyarrow().to_pandas()


class _Sums:
    """A table that is summed by its keys as parts are added, so that memory does not grow with them."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys
        self._parts: list[pa.Table] = []

    def add(self, part: ir.Table) -> None:
        self._parts.append(part.to_pyarrow())
        if len(self._parts) > 1:
            both = pa.concat_tables(self._parts)
            measures = [name for name in both.column_names if name not in self._keys]
            sums = both.group_by(self._keys).aggregate([(name, "sum") for name in measures])
            self._parts = [sums.rename_columns({f"{name}_sum": name for name in measures}).select(both.column_names)]

    def frame(self) -> pd.DataFrame:
        return self._parts[0].to_pandas()


def _month(day: pd.Series) -> pd.Series:
    return pd.Series(
        (DAYS_TO_1970 + day.to_numpy().astype(int)).astype("datetime64[M]").astype("datetime64[s]"), index=day.index
    )
