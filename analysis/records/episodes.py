"""Rows of an extract → typed episodes, each with the first reason for which it is left out."""

from __future__ import annotations

from collections.abc import Collection

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
from analysis.records.extract import COLUMNS, DATE, WHOLE, Extract
from analysis.rules import Records

EPOCH = "1970-01-01"
NO_AGE = -1
ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"

# Reason → what it says; each episode is counted under the first that applies.
OF_ROWS = {
    "unfinished": "not finished (EPISTAT): next year's file holds it again",
    "no_date": "without a date of admission, start or end, or with an impossible one",
    "runs_backwards": "ends before it starts, or starts before the admission",
    "not_emergency": "neither an emergency admission nor a transfer",
    "other_class": "not an ordinary admission (CLASSPAT)",
}


def read_episodes(extract: ir.Table, source: Extract) -> ir.Table:
    """The columns that are read, under their HES names, typed; dates that stand for null are null.

    Text that is no date or number of the expected form is null here: ``unreadable`` finds it beforehand.
    """
    columns = {}
    for column, kind in COLUMNS.items():
        if column not in source.names:  # one that nothing asks for
            continue
        value = extract[source.names[column]]
        if kind == DATE:
            value = _date(value)
        elif kind == WHOLE:
            value = value.strip().nullif("").cast("int32") if value.type().is_string() else value.cast("int32")
        else:
            value = value.cast("string")
        columns[column] = value
    return extract.select(**columns)


def unreadable(extract: ir.Table, source: Extract) -> ir.Table:
    """One row: for each text column that should be a date or a number, an example of what is neither; null where all is well."""
    examples = {}
    for column, name in source.names.items():
        value, kind = extract[name], COLUMNS[column]
        if kind in (DATE, WHOLE) and value.type().is_string():
            text = value.strip()
            bad = (text != "") & ~text.re_search(ISO_DATE if kind == DATE else r"^-?\d+$")
            examples[column] = text.min(where=bad)
    return extract.aggregate(**examples) if examples else extract.limit(1).select(none=ibis.null("string"))


def _date(value: ir.Value) -> ir.DateValue:
    if value.type().is_string():
        text = value.strip()
        value = text.re_search(ISO_DATE).ifelse(text, ibis.null("string"))
    date = value.cast("date")
    return (date >= ibis.date(FIRST_DATE)).ifelse(date, ibis.null("date"))


def classified(table: ir.Table, rules: Records, practices: Collection[str] = ()) -> ir.Table:
    """Typed episodes with what later steps need; days are numbers since 1970.

    Returns [person, provider, code, order, month, admitted, discharged, starts, ends, emergency, transfer, sensitive, reason], and
    ``age_band`` and ``practice`` where the rules and ``practices`` ask for them. ``reason`` is the place of a reason in ``OF_ROWS``, from
    0, null where the row stays; ``code``, of the commissioner, is empty where it has none, and ``practice`` where it is not one of
    ``practices``.
    """
    t = table
    no_date = t.ADMIDATE.isnull() | t.EPISTART.isnull() | t.EPIEND.isnull()
    backwards = (t.EPIEND < t.EPISTART) | (t.DISDATE < t.ADMIDATE).fill_null(False) | (t.EPISTART < t.ADMIDATE)
    found = {
        "unfinished": (t.EPISTAT != FINISHED).fill_null(True),
        "no_date": no_date,
        "runs_backwards": backwards,
        "not_emergency": ~t.ADMIMETH.isin([*rules.emergency_methods, *TRANSFER_METHODS]).fill_null(False),
        "other_class": (t.CLASSPAT != ORDINARY).fill_null(True),
    }
    cases = [(found[reason], ibis.literal(place, "int8")) for place, reason in enumerate(OF_ROWS)]
    t = t.mutate(reason=ibis.cases(*cases, else_=ibis.null("int8")))
    stays = t.reason.isnull()  # of all other rows nothing more is asked, which saves half the time
    codes = [code for group in AMBULATORY_CARE_SENSITIVE.values() for code in group]
    sensitive = ibis.or_(*[t.DIAG_01.left(n).isin([code for code in codes if len(code) == n]) for n in (3, 4)])
    transfer = t.ADMIMETH.isin(TRANSFER_METHODS) | t.ADMISORC.isin(TRANSFER_SOURCES).fill_null(False)
    asked: dict[str, ir.Value] = {}
    if rules.by_age:
        asked["age_band"] = age_band(t.STARTAGE, rules.age_bands)
    if practices:
        asked["practice"] = t.GPPRAC.isin(sorted(practices)).fill_null(False).ifelse(t.GPPRAC, "")
    named = (t.TOKEN_PERSON_ID != "").fill_null(False)
    return t.select(
        person=named.ifelse(t.TOKEN_PERSON_ID, ibis.literal("episode ") + t.EPIKEY.fill_null("")),
        provider=t.PROCODE3.fill_null(""), code=t.CCG_RESPONSIBILITY.fill_null(""), order=t.EPIORDER,
        month=stays.ifelse(_day(t.ADMIDATE.truncate("M")), 0),
        admitted=_day(t.ADMIDATE), discharged=_day(t.DISDATE), starts=_day(t.EPISTART), ends=_day(t.EPIEND),
        emergency=stays.ifelse(t.ADMIMETH.isin(rules.emergency_methods), False), transfer=stays.ifelse(transfer, False),
        sensitive=stays.ifelse(sensitive.fill_null(False), False), reason=t.reason, **asked,
    )  # fmt: skip


def age_band(age: ir.IntegerValue, starts: list[int]) -> ir.IntegerValue:
    """The first age of each episode's band; HES ages of 7001 to 7007 are babies under a year. ``NO_AGE`` where not known."""
    years = (age >= 7001).ifelse(0, age)
    bands = [(years >= start, start) for start in sorted(starts, reverse=True)]
    return ibis.cases(*bands, else_=NO_AGE).cast("int32")


def _day(date: ir.DateValue) -> ir.IntegerValue:
    return date.delta(ibis.date(EPOCH), unit="day").cast("int32")
