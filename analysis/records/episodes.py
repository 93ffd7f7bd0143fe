"""Rows of an extract → typed episodes that stay, and how many do not, by the first reason for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import ibis
import ibis.expr.types as ir
import pandas as pd

from analysis.protocol.schema import Records
from analysis.records.codes import (
    diagnosis_of,
    in_either_case,
    in_years,
    is_date,
    known_values,
    practice_of,
    provider_of,
)
from analysis.records.definitions import (
    AMBULATORY_CARE_SENSITIVE,
    FINISHED,
    FIRST_DATE,
    ORDINARY,
    TRANSFER_METHODS,
    TRANSFER_SOURCES,
)
from analysis.records.persons import named

EPOCH = "1970-01-01"
NO_AGE = -1
NO_YEAR = 0
APRIL = 4  # in which a financial year begins

# Reason → what it says; each episode is counted under the first that applies, or the last where that comes from a code that is not known.
OF_ROWS = {
    "unfinished": "not finished (EPISTAT): next year's file holds it again",
    "no_date": "without a date of admission, start or end, or with an impossible one",
    "runs_backwards": "ends before it starts or after the discharge, or starts before the admission",
    "not_emergency": "neither an emergency admission nor a transfer",
    "other_class": "not an ordinary admission (CLASSPAT)",
    "unknown_code": "an EPISTAT, ADMIMETH or CLASSPAT that no dictionary has, or none",
}
PLACES = {reason: place for place, reason in enumerate(OF_ROWS)}  # as the tally has them
# Column → the reason that a value of it which is not known leads to; those of other columns matter of rows that stay.
BLAMED = {
    "EPISTAT": "unfinished", "ADMIDATE": "no_date", "EPISTART": "no_date", "EPIEND": "no_date", "ADMIMETH": "not_emergency",
    "CLASSPAT": "other_class",
}  # fmt: skip
CODED = ("EPISTAT", "ADMIMETH", "CLASSPAT")  # each the only one to blame for its reason


@dataclass(frozen=True)
class Episodes:
    """Episodes that stay, as ``classified`` gives them; ``sorted_rows`` [reason, year, unknown, code, provider], a row of the extract each, with
    the provider as it is written; the ``columns`` that bits of ``unknown`` stand for, from the lowest; the ``years`` that a date may be of; and the
    rules."""

    kept: ir.Table
    sorted_rows: ir.Table
    columns: tuple[str, ...]
    years: range
    rules: Records

    @cached_property
    def tally_by_place(self) -> pd.DataFrame:
        """Rows [reason, year, unknown, code, provider, rows] of the extract, and for each column how many of them have a value that is not known.

        ``reason`` is a place in ``OF_ROWS``, from 0, the first that applies, and null for rows that stay; ``year`` the one in which the financial
        year of the admission begins, ``NO_YEAR`` where that is not known; ``code`` and ``provider`` as in ``kept``.
        """
        keys = ["reason", "year", "unknown", "code", "provider"]
        # By the provider as it is written first, since that is quick, and leaves few codes to be read.
        sums = self.sorted_rows.group_by(keys).aggregate(rows=lambda t: t.count())
        sums = sums.mutate(provider=provider_of(sums.provider)).group_by(keys).aggregate(rows=lambda t: t.rows.sum())
        tally = sums.to_pyarrow().to_pandas()
        tally["year"] = tally.year.where(tally.year.isin(self.years), NO_YEAR).astype(int)
        unknown = {column: tally.rows.where((tally.unknown & 2**at) > 0, 0) for at, column in enumerate(self.columns)}
        return tally.assign(**unknown)

    @cached_property
    def tally(self) -> pd.DataFrame:
        """The same of all places [reason, year, rows]."""
        keys = ["reason", "year", "unknown"]
        sums = self.tally_by_place.drop(columns=["code", "provider"]).groupby(keys, dropna=False).sum()
        return sums.reset_index().drop(columns="unknown")


def classified(
    table: ir.Table, rules: Records, practices: Collection[str] = (), codes: Mapping[str, Collection[str]] | None = None
) -> Episodes:
    """Typed episodes sorted into those that stay and, by reason, those that do not; days are numbers since 1970.

    A date before ``definitions.FIRST_DATE`` or after ``rules.last_date`` is none. ``codes`` are of ``known_values``.

    ``kept`` is [person, named, provider, code, order, month, admitted, discharged, starts, ends, emergency, transfer, sensitive], and ``age_band``
    and ``practice`` where the rules and ``practices`` ask for them; ``code``, of the commissioner, is empty where it has none, and ``practice``
    where it is not one of ``practices``; ``named`` is of ``persons``.
    """
    t = table
    dated = {name: is_date(t[name], rules) for name in ("ADMIDATE", "EPISTART", "EPIEND")}
    # What is asked of an episode that stays, of the columns as they come: so an engine can leave most rows unread.
    sound = {
        "unfinished": t.EPISTAT == FINISHED,
        "no_date": ibis.and_(*dated.values()),
        "runs_backwards": ibis.and_(*_in_order(t, rules).values()),
        "not_emergency": t.ADMIMETH.isin(in_either_case([*rules.emergency_methods, *TRANSFER_METHODS])),
        "other_class": t.CLASSPAT == ORDINARY,
    }
    cases = [(~sound[reason].fill_null(False), ibis.literal(place, "int8")) for place, reason in enumerate(sound)]
    year = (t.ADMIDATE.year() - (t.ADMIDATE.month() < APRIL).cast("int32")).cast("int32")
    with_reason = t.mutate(reason=ibis.cases(*cases, else_=ibis.null("int8")), year=year)
    known = known_values(with_reason, rules, bool(practices), codes)
    sorted_rows = with_reason.select(
        "reason", "year", unknown=_unknown(with_reason.reason, known), code=with_reason.CCG_RESPONSIBILITY.fill_null(""),
        provider=with_reason.PROCODE3.fill_null(""),
    )  # fmt: skip
    t = t.filter(*sound.values())
    left = is_date(t.DISDATE, rules).ifelse(t.DISDATE, ibis.null("date"))
    diagnosis = diagnosis_of(t.DIAG_01)
    conditions = [code for group in AMBULATORY_CARE_SENSITIVE.values() for code in group]
    sensitive = ibis.or_(*[diagnosis.left(n).isin([code for code in conditions if len(code) == n]) for n in (3, 4)])
    asked: dict[str, ir.Value] = {}
    if rules.by_age:
        asked["age_band"] = age_band(t.STARTAGE, rules.age_bands)
    if practices:
        practice = practice_of(t.GPPRAC)
        asked["practice"] = practice.isin(sorted(practices)).fill_null(False).ifelse(practice, "")
    kept = t.select(
        person=_person(t), named=named(t.TOKEN_PERSON_ID), provider=provider_of(t.PROCODE3).fill_null(""), code=t.CCG_RESPONSIBILITY.fill_null(""), order=t.EPIORDER,
        month=_day(t.ADMIDATE.truncate("M")), admitted=_day(t.ADMIDATE), discharged=_day(left), starts=_day(t.EPISTART), ends=_day(t.EPIEND),
        emergency=t.ADMIMETH.isin(in_either_case(rules.emergency_methods)),
        transfer=t.ADMIMETH.isin(in_either_case(TRANSFER_METHODS)) | t.ADMISORC.isin(TRANSFER_SOURCES).fill_null(False),
        sensitive=sensitive.fill_null(False), **asked,
    )  # fmt: skip
    years = range(dt.date.fromisoformat(FIRST_DATE).year - 1, rules.last_date.year + 1)
    return Episodes(kept, sorted_rows, tuple(known), years, rules)


def backwards(table: ir.Table, rules: Records) -> dict[str, ir.Table]:
    """Column → the rows with dates in which its date is out of order; each row is of the first such column."""
    rest = table.filter(*[is_date(table[name], rules) for name in ("ADMIDATE", "EPISTART", "EPIEND")])
    found = {}
    for column in _in_order(rest, rules):
        sound = _in_order(rest, rules)[column]
        found[column], rest = rest.filter(~sound), rest.filter(sound)
    return found


def _in_order(t: ir.Table, rules: Records) -> dict[str, ir.BooleanValue]:
    """Column → whether its date is in order; of two that may be to blame for a row, the first is."""

    def not_after_discharge(date: ir.DateValue) -> ir.BooleanValue:
        return ~((date > t.DISDATE) & is_date(t.DISDATE, rules)).fill_null(False)

    return {
        "DISDATE": not_after_discharge(t.ADMIDATE),
        "EPIEND": (t.EPIEND >= t.EPISTART) & not_after_discharge(t.EPIEND),
        "EPISTART": t.EPISTART >= t.ADMIDATE,
    }


def _unknown(reason: ir.IntegerValue, known: dict[str, ir.BooleanValue]) -> ir.IntegerValue:
    """A number whose bits say which columns have a value that is not known.

    A column is looked at in the rows that it may be to blame for, or that depend on it; which one it is, only where not all are known: this is asked of
    every row of the extract, and most are sound.
    """
    places = {name: place for place, name in enumerate(OF_ROWS)}
    columns: dict[int | None, list[tuple[ir.BooleanValue, int]]] = {}
    for at, (column, value) in enumerate(known.items()):
        columns.setdefault(places.get(BLAMED.get(column, "")), []).append((value, 2**at))
    cases = []
    for place, values in columns.items():
        bits = [value.ifelse(0, bit) for value, bit in values]
        all_known = ibis.and_(*[value for value, _ in values])
        cases.append(
            (reason.isnull() if place is None else reason == place, all_known.ifelse(0, sum(bits[1:], bits[0])))
        )
    return ibis.cases(*cases, else_=0)


def _person(t: ir.Table) -> ir.StringValue:
    """The person; an episode of nobody known stands alone, by its key and what it says: the keys of an extract may be lost, or rounded."""
    described = [
        t.PROCODE3,
        t.CCG_RESPONSIBILITY,
        t.DIAG_01,
        *[t[name].cast("string") for name in ("ADMIDATE", "EPISTART", "EPIEND")],
    ]
    key = ibis.literal(" ").join([value.fill_null("") for value in (t.EPIKEY, *described)])
    return t.TOKEN_PERSON_ID.notnull().ifelse(t.TOKEN_PERSON_ID, ibis.literal("episode ") + key)


def age_band(age: ir.IntegerValue, starts: list[int]) -> ir.IntegerValue:
    """The first age of each episode's band; ``NO_AGE`` where not known."""
    years = in_years(age)
    bands = [(years >= start, start) for start in sorted(starts, reverse=True)]
    return ibis.cases(*bands, else_=NO_AGE).cast("int32")


def _day(date: ir.DateValue) -> ir.IntegerValue:
    return date.delta(ibis.date(EPOCH), unit="day").cast("int32")
