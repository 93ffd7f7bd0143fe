"""Continuous spells → admissions, nights and departures by commissioner and day, and the ledger of rows; then tables by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.records.codes import commissioner_of
from analysis.records.definitions import ADMISSIONS, BED_DAYS, BY_DAY, OUTSIDE_ENGLAND, PARTS, SENSITIVE
from analysis.records.engines import Engine
from analysis.records.episodes import APRIL, CODED, OF_ROWS, Episodes
from analysis.records.persons import NOBODY, implausible
from analysis.records.spells import OF_SPELLS, continuous_spells, keys_of, provider_spells

USED, LATE = "used", "late_discharge"
OF_USED = {
    LATE: "of a stay that is used, and that is counted to the end of its last episode: the discharge (DISDATE) is more than a day later, or belongs to an episode that the extract lacks",
    USED: "of the emergency spells that are counted, where the month's admissions of the commissioner are shown",
}
BEFORE_PLACES = [*OF_SPELLS][: [*OF_SPELLS].index("outside_england")]
MEASURES = ["admissions", "nights", "zero_day", "sensitive"]
A_YEAR = 365  # nights
DAYS_TO_1970 = np.datetime64("1970-01-01", "D")


@dataclass(frozen=True)
class Counts:
    """``arrivals`` [code, day, admissions, nights, zero_day, sensitive, rows, late] by day of admission, ``late`` as ``provider_spells`` has it;
    ``departures`` [code, day, departures] by the day of the end, both by age band and practice too where asked, and in no order;
    ``left_out``, rows by financial year of admission and reason; ``total``, all rows; ``long_stays`` [day, stays, nights] of more than ``A_YEAR`` nights, by day of admission; ``nameless``, rows of no known person by year, which are counted one by one; ``persons`` who are none, as
    ``persons.implausible`` gives them."""

    arrivals: pd.DataFrame
    departures: pd.DataFrame
    left_out: pd.DataFrame
    total: int
    long_stays: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["day", "stays", "nights"], dtype=int))
    nameless: pd.Series = field(default_factory=lambda: pd.Series(dtype=int))
    persons: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def rows(self) -> dict[str, int]:
        """Rows that are left out, by reason."""
        return {str(reason): int(rows) for reason, rows in self.left_out.sum().items()}


def linked_counts(engine: Engine, episodes: Episodes) -> Counts:
    """Count with duplicates removed and spells joined."""
    tally, kept = episodes.tally, episodes.kept.drop("month")
    left_out, nameless, persons, long_stays = [_of_rows(tally)], [pd.Series(dtype=int)], [], []
    keys = [*keys_of(kept), "day"]
    arrivals, departures = _Sums(keys), _Sums(keys)
    spells_of = partial(provider_spells, longest_stay=episodes.rules.longest_stay)
    for spells in engine.by_person(kept, int(tally.rows[tally.reason.isna()].sum()), spells_of):
        left_out.append(_of_spells(spells.filter(spells.reason.notnull())))
        nameless.append(_nameless(spells))
        persons.append(implausible(spells, episodes.rules))
        with continuous_spells(spells.filter(spells.reason.isnull())).cache() as stays:
            alone = stays.filter(~stays.emergency)
            left_out.append(_of_spells(alone.mutate(reason=ibis.literal("transfer_alone"))))
            counted = stays.filter(stays.emergency)
            arrivals.add(_arrivals(counted))
            departures.add(_departures(counted))
            long_stays.append(_long_stays(counted))
    came = arrivals.frame()
    left_out.append(_duplicates(came.day, came.pop("duplicates")))
    without_person = pd.concat(nameless).groupby(level=0).sum()
    return Counts(
        came, departures.frame(), _by_year(left_out), int(tally.rows.sum()), pd.concat(long_stays), without_person, pd.concat(persons)
    )  # fmt: skip


def unlinked_counts(episodes: Episodes) -> Counts:
    """Count first and last episodes as they come, as published statistics do: neither duplicates nor transfers are looked for."""
    e = episodes.kept
    keys = keys_of(e)
    nights = e.discharged - e.admitted
    first, left = e.emergency & (e.order == 1), e.emergency & e.discharged.notnull()
    counts = e.group_by(*keys, day=e.month).aggregate(
        rows=e.count(), admissions=first.sum(), nights=nights.sum(where=left), zero_day=(left & (nights == 0)).sum(),
        sensitive=(first & e.sensitive).sum(),
    )  # fmt: skip
    departures = pd.DataFrame(columns=[*keys, "day", "departures"])
    left_out = _by_year([_of_rows(episodes.tally)])
    return Counts(_frame(counts.fill_null({"nights": 0})).assign(late=0), departures, left_out, int(episodes.tally.rows.sum()))


def placed(counts: Counts, unit_of: Mapping[str, str], network_of: Mapping[str, str]) -> Counts:
    """The same by codes of commissioners as ``unit_of`` has them, with ``unit``, and ``network`` where practices were asked for; null where the
    code is of none."""

    def with_places(table: pd.DataFrame) -> pd.DataFrame:
        network = {"network": table.practice.map(network_of)} if "practice" in table else {}
        code = commissioner_of(table.code, unit_of)
        return table.assign(code=code, unit=code.map(unit_of), **network)

    return replace(counts, arrivals=with_places(counts.arrivals), departures=with_places(counts.departures))


def ledger_by_year(counts: Counts, months: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows by reason, and those used (``OF_USED``), a column each, by financial year of admission; ``counts`` as ``placed`` gives them.

    Raises
    ------
    AssertionError
        Rows in are not rows used and rows by reason: some were lost.
    """
    came = counts.arrivals
    known = came.unit.notna()
    abroad = ~known & came.code.str.startswith(OUTSIDE_ENGLAND)
    inside = known & _month(came.day).isin(months)
    rows = {
        "outside_england": came.rows[abroad], "unknown_commissioner": came.rows[~known & ~abroad], "outside_window": came.rows[known & ~inside],
        LATE: came.late[inside], USED: (came.rows - came.late)[inside],
    }  # fmt: skip
    year = financial_year(came.day)
    by_place = {reason: of_place.groupby(year[of_place.index]).sum() for reason, of_place in rows.items()}
    ledger = counts.left_out.join(pd.DataFrame(by_place), how="outer").fillna(0).astype(int)
    accounted = int(ledger.to_numpy().sum())
    assert accounted == counts.total, f"{counts.total} rows came in, {accounted} are accounted for"
    return ledger


def ledger_of_rows(counts: Counts, months: pd.DatetimeIndex) -> dict[str, int]:
    """Rows by reason, and those used: ``ledger_by_year`` of all years."""
    return {str(reason): int(rows) for reason, rows in ledger_by_year(counts, months).sum().items()}


def used_where(counts: Counts, cells: pd.Series) -> dict[str, int]:
    """The used rows of the ledger, of the units and months where ``cells``, of [unit, month], is true."""
    came = counts.arrivals[counts.arrivals.unit.notna()]
    rows = came.groupby(["unit", _month(came.day).rename("month")])[["rows", "late"]].sum()
    late, both = rows[rows.index.isin(cells.index[cells])][["late", "rows"]].sum()
    return {LATE: int(late), USED: int(both - late)}


def financial_year(day: pd.Series) -> pd.Series:
    """The year in which the financial year of each day begins."""
    month = _month(day)
    return month.dt.year - (month.dt.month < APRIL)


def monthly(counts: Counts, months: pd.DatetimeIndex, by: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """A column an outcome (``definitions.OUTCOMES``), a row for every label of ``by`` with every other, and each month.

    ``counts`` as ``placed`` gives them; ``by`` has the labels of ``unit``, ``age_band`` or ``network``, the levels of the index before ``month``.
    """
    came, left = (table.dropna(subset=["unit", *by]) for table in (counts.arrivals, counts.departures))
    sums = came.groupby([*by, _month(came.day).rename("month")])[MEASURES].sum()
    table = pd.DataFrame(
        {
            ADMISSIONS: sums.admissions, BED_DAYS: sums.nights, PARTS[0]: sums.zero_day, PARTS[1]: sums.admissions - sums.zero_day,
            SENSITIVE: sums.sensitive,
        }
    )  # fmt: skip
    cells = pd.MultiIndex.from_product([*by.values(), months], names=[*by, "month"])
    table = table.reindex(cells, fill_value=0)
    if len(counts.departures):
        nights = _nights_by_month(came, left, [*by], months) if len(left) else pd.Series(0, cells)
        table[BY_DAY] = nights.reindex(cells, fill_value=0)
    return table


def _nights_by_month(came: pd.DataFrame, left: pd.DataFrame, by: list[str], months: pd.DatetimeIndex) -> pd.Series:
    """Beds that are occupied at the end of each day – those who came so far less those who left – summed by month.

    A stay that began before the first month is counted from its first day. Someone who comes adds a bed for each day that is left of the month, and for
    every day of the months after it; someone who leaves takes them away. So no table has a row for every day.
    """
    arrived = came.groupby([*by, "day"]).admissions.sum()
    departed = left.groupby([*by, "day"]).departures.sum()
    moves = pd.concat([arrived, -departed]).rename("beds").reset_index()
    moves["day"] = moves.day.clip(lower=day_of(months[0]))
    ends = [day_of(month + pd.offsets.MonthBegin()) for month in months]
    moves["month"] = np.searchsorted(ends, moves.day, side="right")
    moves = moves[moves.month < len(months)]
    moves["nights"] = moves.beds * (np.take(ends, moves.month) - moves.day)
    sums = moves.groupby([*by, "month"])[["beds", "nights"]].sum()
    beds, nights = (sums[name].unstack(fill_value=0).reindex(columns=range(len(months)), fill_value=0) for name in sums)
    occupied = beds.cumsum(axis=1).shift(axis=1, fill_value=0) * months.days_in_month + nights
    return occupied.set_axis(months.rename("month"), axis=1).stack()


def day_of(date: pd.Timestamp) -> int:
    return int((date.to_datetime64().astype("datetime64[D]") - DAYS_TO_1970).astype(int))


def _of_rows(tally: pd.DataFrame) -> pd.DataFrame:
    """Rows that are left out one by one [reason, year, rows]."""
    lost = tally[tally.reason.notna()]
    known = lost[[*CODED]].sum(axis=1) == 0
    first = lost.reason.astype(int).map(dict(enumerate(OF_ROWS)))
    return lost.assign(reason=first.where(known, "unknown_code"))[["reason", "year", "rows"]]


def _of_spells(lost: ir.Table) -> pd.DataFrame:
    """Rows of spells that are left out, and their duplicates [reason, year, rows]."""
    sums = _frame(
        lost.group_by("reason", day=lost.admitted).aggregate(rows=lost.rows.sum(), duplicates=lost.duplicates.sum())
    )
    rows = sums.assign(year=financial_year(sums.day), rows=sums.rows - sums.duplicates)
    return pd.concat([rows[["reason", "year", "rows"]], _duplicates(sums.day, sums.duplicates)])


def _nameless(spells: ir.Table) -> pd.Series:
    rows = _frame(spells.filter(spells.named == NOBODY).group_by(day=spells.admitted).aggregate(rows=spells.rows.sum()))
    return rows.rows.groupby(financial_year(rows.day)).sum()


def _duplicates(day: pd.Series, rows: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"reason": "duplicate", "year": financial_year(day), "rows": rows})


def _by_year(left_out: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows by year, a column for every reason for which rows or spells are left out, in the order of the ledger."""
    table = pd.concat(left_out).groupby(["year", "reason"]).rows.sum().unstack(fill_value=0)
    return table.reindex(columns=[*OF_ROWS, *BEFORE_PLACES], fill_value=0).astype(int)


def _arrivals(stays: ir.Table) -> ir.Table:
    nights = stays.ended - stays.admitted
    return stays.group_by(*keys_of(stays), day=stays.admitted).aggregate(
        admissions=stays.count(), nights=nights.sum(), zero_day=(nights == 0).sum(), sensitive=stays.sensitive.sum(),
        rows=stays.rows.sum() - stays.duplicates.sum(), duplicates=stays.duplicates.sum(), late=stays.late.sum(),
    )  # fmt: skip


def _departures(stays: ir.Table) -> ir.Table:
    return stays.group_by(*keys_of(stays), day=stays.ended).aggregate(departures=stays.count())


def _long_stays(stays: ir.Table) -> pd.DataFrame:
    with_nights = stays.mutate(nights=stays.ended - stays.admitted)
    long = with_nights.filter(with_nights.nights > A_YEAR)
    return _frame(long.group_by(day=long.admitted).aggregate(stays=long.count(), nights=long.nights.sum()))


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
