"""Rows of an extract → typed episodes that stay, and how many do not, by the first reason for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from analysis.records.definitions import (
    AMBULATORY_CARE_SENSITIVE,
    FINISHED,
    FIRST_DATE,
    ORDINARY,
    TRANSFER_METHODS,
    TRANSFER_SOURCES,
)
from analysis.rules import Records

EPOCH = "1970-01-01"
NO_AGE = -1

# Reason → what it says; each episode is counted under the first that applies.
OF_ROWS = {
    "unfinished": "not finished (EPISTAT): next year's file holds it again",
    "no_date": "without a date of admission, start or end, or with an impossible one",
    "runs_backwards": "ends before it starts, or starts before the admission",
    "not_emergency": "neither an emergency admission nor a transfer",
    "other_class": "not an ordinary admission (CLASSPAT)",
}


@dataclass(frozen=True)
class Episodes:
    """Episodes that stay, as ``classified`` gives them, and the ``rows`` [reason, rows] of all: ``reason`` is a place in ``OF_ROWS``, from 0, and null
    for those that stay."""

    kept: ir.Table
    rows: ir.Table


def classified(table: ir.Table, rules: Records, practices: Collection[str] = ()) -> Episodes:
    """Typed episodes sorted into those that stay and, by reason, those that do not; days are numbers since 1970.

    A date before ``definitions.FIRST_DATE`` is none.

    ``kept`` is [person, provider, code, order, month, admitted, discharged, starts, ends, emergency, transfer, sensitive], and ``age_band``
    and ``practice`` where the rules and ``practices`` ask for them; ``code``, of the commissioner, is empty where it has none, and ``practice``
    where it is not one of ``practices``.
    """
    t = table
    is_date = {name: t[name] >= ibis.date(FIRST_DATE) for name in ("ADMIDATE", "DISDATE", "EPISTART", "EPIEND")}
    left = is_date["DISDATE"].ifelse(t.DISDATE, ibis.null("date"))
    # What is asked of an episode that stays, of the columns as they come: so an engine can leave most rows unread.
    sound = {
        "unfinished": t.EPISTAT == FINISHED,
        "no_date": is_date["ADMIDATE"] & is_date["EPISTART"] & is_date["EPIEND"],
        "runs_backwards": (t.EPIEND >= t.EPISTART) & (t.EPISTART >= t.ADMIDATE) & (left >= t.ADMIDATE).fill_null(True),
        "not_emergency": t.ADMIMETH.isin([*rules.emergency_methods, *TRANSFER_METHODS]),
        "other_class": t.CLASSPAT == ORDINARY,
    }
    cases = [(~sound[reason].fill_null(False), ibis.literal(place, "int8")) for place, reason in enumerate(OF_ROWS)]
    reasons = t.select(reason=ibis.cases(*cases, else_=ibis.null("int8")))
    t = t.filter(*sound.values())
    codes = [code for group in AMBULATORY_CARE_SENSITIVE.values() for code in group]
    sensitive = ibis.or_(*[t.DIAG_01.left(n).isin([code for code in codes if len(code) == n]) for n in (3, 4)])
    asked: dict[str, ir.Value] = {}
    if rules.by_age:
        asked["age_band"] = age_band(t.STARTAGE, rules.age_bands)
    if practices:
        asked["practice"] = t.GPPRAC.isin(sorted(practices)).fill_null(False).ifelse(t.GPPRAC, "")
    named = (t.TOKEN_PERSON_ID != "").fill_null(False)
    kept = t.select(
        person=named.ifelse(t.TOKEN_PERSON_ID, ibis.literal("episode ") + t.EPIKEY.fill_null("")),
        provider=t.PROCODE3.fill_null(""), code=t.CCG_RESPONSIBILITY.fill_null(""), order=t.EPIORDER,
        month=_day(t.ADMIDATE.truncate("M")), admitted=_day(t.ADMIDATE), discharged=_day(left), starts=_day(t.EPISTART), ends=_day(t.EPIEND),
        emergency=t.ADMIMETH.isin(rules.emergency_methods),
        transfer=t.ADMIMETH.isin(TRANSFER_METHODS) | t.ADMISORC.isin(TRANSFER_SOURCES).fill_null(False),
        sensitive=sensitive.fill_null(False), **asked,
    )  # fmt: skip
    return Episodes(kept, reasons.group_by("reason").aggregate(rows=lambda t: t.count()))


def age_band(age: ir.IntegerValue, starts: list[int]) -> ir.IntegerValue:
    """The first age of each episode's band; HES ages of 7001 to 7007 are babies under a year. ``NO_AGE`` where not known."""
    years = (age >= 7001).ifelse(0, age)
    bands = [(years >= start, start) for start in sorted(starts, reverse=True)]
    return ibis.cases(*bands, else_=NO_AGE).cast("int32")


def _day(date: ir.DateValue) -> ir.IntegerValue:
    return date.delta(ibis.date(EPOCH), unit="day").cast("int32")
