"""Codes as extracts write them → codes as they are compared, and which values of a column are known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from analysis.protocol.schema import Records
from analysis.records.definitions import (
    ADMISSION_METHODS,
    ADMISSION_SOURCES,
    BABIES,
    COMMISSIONER_WITH_SITE,
    DIAGNOSIS_FORM,
    EPISODE_STATUSES,
    FIRST_DATE,
    NO_EPISODE_ORDER,
    NO_PRACTICE,
    NO_PROVIDER,
    OLDEST,
    ORGANISATION_ITSELF,
    PATIENT_CLASSES,
    PRACTICE_CHARACTERS,
    PRACTICE_FORM,
    PROVIDER_FORM,
    WITH_SITES,
)

Check = Callable[[ir.StringValue], ir.BooleanValue]
MANY_UNKNOWN = 100  # codes, with which a comparison takes as long as the check itself


def known_values(
    t: ir.Table, rules: Records, practices: bool, codes: Mapping[str, Collection[str]] | None = None
) -> dict[str, ir.BooleanValue]:
    """For each column that a row's fate depends on, whether its value is one of those the dictionaries have; null or
    False where not.

    ``codes``: all values of a column, where that is known; then only the unknown ones, of which most extracts have few, are looked for in the rows.
    """

    def known(column: str, check: Check) -> ir.BooleanValue:
        unknown = _unknown_codes(codes[column], check) if codes and column in codes else None
        if unknown is None or len(unknown) > MANY_UNKNOWN:
            return check(t[column])
        return t[column].notin(unknown) if unknown else t[column].notnull()

    methods = in_either_case([*ADMISSION_METHODS, *rules.emergency_methods])
    values = {
        "EPISTAT": t.EPISTAT.isin(EPISODE_STATUSES),
        **{name: is_date(t[name], rules) for name in ("ADMIDATE", "EPISTART", "EPIEND")},
        "ADMIMETH": known("ADMIMETH", lambda code: code.isin(methods)),
        "CLASSPAT": known("CLASSPAT", lambda code: code.isin(PATIENT_CLASSES)),
        "ADMISORC": known("ADMISORC", lambda code: code.isin(ADMISSION_SOURCES)),
        "PROCODE3": known("PROCODE3", lambda code: code.re_search(PROVIDER_FORM) & code.notin(NO_PROVIDER)),
        "EPIORDER": (t.EPIORDER > 0) & (t.EPIORDER < NO_EPISODE_ORDER),
        "DIAG_01": known("DIAG_01", lambda code: code.re_search(DIAGNOSIS_FORM)),
    }
    if rules.by_age:
        values["STARTAGE"] = in_years(t.STARTAGE).notnull()
    if practices:
        values["GPPRAC"] = known("GPPRAC", lambda code: code.re_search(PRACTICE_FORM) & code.notin(in_either_case(NO_PRACTICE)))
    return values


def _unknown_codes(codes: Collection[str], check: Check) -> list[str]:
    table = ibis.memtable(pa.table({"code": pa.array([*codes], pa.string())}))
    return table.filter(~check(table.code)).to_pyarrow()["code"].to_pylist()


def expected_of(column: str, rules: Records) -> str:
    """What ``known_values`` takes for known, in words."""
    return {
        "EPISTAT": "an episode status: 1 or 3",
        "ADMIMETH": f"an admission method of the NHS Data Dictionary: {', '.join(sorted(ADMISSION_METHODS))}",
        "CLASSPAT": f"a patient classification: {', '.join(PATIENT_CLASSES)}",
        "ADMISORC": f"a source of admission of the NHS Data Dictionary: {', '.join(ADMISSION_SOURCES)}",
        "TOKEN_PERSON_ID": "a person",
        "PROCODE3": "a provider's code, such as RBA, or that of a site, such as RBA01",
        "EPIORDER": "the number of the episode in its spell, from 1",
        "DIAG_01": "a diagnosis of ICD-10, such as J189 or J18.9",
        "STARTAGE": f"an age in years up to {OLDEST}, or {BABIES[0]} to {BABIES[1]} for babies",
        "GPPRAC": "a practice's code, such as A81001",
    }.get(column, f"a date from {FIRST_DATE} to {rules.last_date}")


def is_date(value: ir.DateValue, rules: Records) -> ir.BooleanValue:
    return value.between(ibis.date(FIRST_DATE), ibis.date(rules.last_date.isoformat()))


def in_either_case(codes: Iterable[str]) -> list[str]:
    """A list to compare with, rather than a function of each row: so an engine can leave most of a file unread."""
    return list(dict.fromkeys(form for code in codes for form in (code.upper(), code.lower())))


def in_years(age: ir.IntegerValue) -> ir.IntegerValue:
    """Null where it is no age."""
    return ibis.cases((age.between(*BABIES), 0), (age.between(0, OLDEST), age), else_=ibis.null("int32"))


def provider_of(code: ir.StringValue) -> ir.StringValue:
    """The organisation, of a code that may be of one of its sites."""
    of_site = code.left(1).isin(in_either_case(WITH_SITES)) | (code.right(2) == ORGANISATION_ITSELF)
    return ((code.length() > 3) & of_site).ifelse(code.left(3), code).upper()


def diagnosis_of(code: ir.StringValue) -> ir.StringValue:
    """ICD-10 without its point."""
    return code.upper().replace(".", "")


def practice_of(code: ir.StringValue) -> ir.StringValue:
    """The practice, of a code that may be of one of its branches."""
    return code.upper().left(PRACTICE_CHARACTERS)


def commissioner_of(codes: pd.Series, known: Collection[str]) -> pd.Series:
    """The commissioner, of codes that may have two more characters (``05C00``, or a site's), where the first three are one of ``known``."""
    different = pd.Series(codes.unique()).dropna()
    upper = different.str.upper()
    parent = upper.str.extract(COMMISSIONER_WITH_SITE, expand=False)
    return codes.map(dict(zip(different, upper.mask(parent.isin(list(known)), parent), strict=True)))
