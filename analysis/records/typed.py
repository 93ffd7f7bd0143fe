"""Columns as they come → text without blanks at its ends, calendar dates and whole numbers; what is none of these, by example."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

import ibis
import ibis.expr.types as ir

from analysis.records.extract import COLUMNS, DATE, TEXT, WHOLE, Extract

PERSON = "TOKEN_PERSON_ID"
# Columns with few different values: to look at each value is much faster than to search every row.
CODES = tuple(column for column, kind in COLUMNS.items() if kind == TEXT and column not in (PERSON, "EPIKEY"))
MANY_CODES = 50_000

# Markers of a missing value in exports of HES (described in data_raw/README.md), in any case. Codes that mean "not known", such as 9, 99 or X,
# are no markers: what they mean depends on the column.
MISSING = (
    "-",
    "--",
    "&",
    ".",
    "?",
    "*",
    "NULL",
    "<NULL>",
    "(NULL)",
    "[NULL]",
    "#NULL!",
    r"\N",
    "NA",
    "<NA>",
    "N/A",
    "#N/A",
    "NaN",
    "NaT",
    "None",
    "nil",
    "unknown",
    "not known",
    "not available",
    "not applicable",
    "not stated",
    "not recorded",
    "missing",
)
# The empty text, hashed as persons are.
EMPTY_HASHED = [
    hashlib.new(name, usedforsecurity=False).hexdigest()
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
]
# Values that are no pseudonym of a person: zeros, alone or as a GUID; negative numbers; one character eight times or more; digits in their order; and words for
# an unknown patient.
NO_PERSON = "|".join(
    [
        "0+([.,]0*)?", "[{(]?0{8}-0{4}-0{4}-0{4}-0{12}[)}]?", "-[0-9]{1,9}([.,]0*)?", *(re.escape(each) + "{8,}" for each in "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-*#.?"),
        "0?12345678(90?)?", "N", "NK", "no nhs number", "(unknown|anonymous|dummy|test|no|missing)[ _-](patient|person)",
        "#(value!|ref!|num!|name[?]|div/0!)", *EMPTY_HASHED,
    ]
)  # fmt: skip

# White space of ASCII, no-break and other blanks of no width or a fixed one, NUL and the end-of-file mark of DOS.
BLANK = "[\\t\\n\\v\\f\\r \\x00\\x1a\u00a0\u2007\u200b\u202f\ufeff]"
BLANKS = "\t\n\v\f\r \x00\x1a\u00a0\u2007\u200b\u202f\ufeff"  # the same characters

_DAYS = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29"
_CLOCK = "[ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?"
_MIDNIGHT_THERE = "[ T]00:00(:00([.]0+)?)? ?(Z|UTC|[-+][0-9]{2}(:?[0-9]{2})?)"
# A day of the calendar, with a time of day or none. A time zone is read at midnight alone: there the date is the one that is written.
DAY = f"^([0-9]{{4}}-({_DAYS})|{_LEAP})({_CLOCK}|{_MIDNIGHT_THERE})?$"
NUMBER = "^[-+]?0*[0-9]{1,9}([.]0*)?$"  # so that it fits into 32 bits
LARGEST = 2**31 - 1
EXACT = 2**53  # up to which a floating-point number holds every whole one


def read_episodes(parts: Sequence[ir.Table], extract: Extract) -> ir.Table:
    """One table of the parts that ``Engine.read`` gives, typed.

    Text has no blanks at its ends and is null where it is empty or a marker of a missing value. What is no date or number of a known form
    is null too: ``unreadable`` finds it beforehand.
    """
    tables = [_typed(part, extract) for part in parts]
    return ibis.union(*tables) if len(tables) > 1 else tables[0]


def tidy_codes(parts: Sequence[ir.Table], extract: Extract) -> dict[str, tuple[str, ...]]:
    """All values of those of ``CODES`` in which none changes by being trimmed; none of an extract that is not Parquet, of which every look reads
    all columns.

    An engine compares these columns as they come, and so leaves most of a file unread where it chooses rows by them.
    """
    if not extract.is_parquet:
        return {}
    untidy = re.compile(_untidy(extract.missing))
    found = {column: _codes([part[column] for part in parts if column in part.columns]) for column in CODES}
    return {
        column: codes for column, codes in found.items() if codes is not None and not any(untidy.search(code) for code in codes)
    }  # fmt: skip


def _codes(columns: Sequence[ir.Column]) -> tuple[str, ...] | None:
    """All values as text; None where they are too many, or numbers with fractions."""
    codes: set[str] = set()
    for values in columns:
        if not (values.type().is_string() or values.type().is_integer()):
            return None
        different = values.cast("string").name("code").as_table().distinct().limit(MANY_CODES)
        codes |= {*different.to_pyarrow()["code"].drop_null().to_pylist()}
    return tuple(sorted(codes)) if len(codes) < MANY_CODES else None


def unreadable(parts: Sequence[ir.Table], extract: Extract) -> dict[str, tuple[str, str]]:
    """HES column → an example of what is no date, number or code, and what is expected; no entry where all is well."""
    found: dict[str, tuple[str, str]] = {}
    for part in parts:
        asked = {
            column: question for column in part.columns if (question := _question(part[column], column, extract)) is not None
        }  # fmt: skip
        if not asked:
            continue
        examples = (
            part.aggregate(**{column: example for column, (example, _) in asked.items()}).to_pyarrow().to_pylist()[0]
        )
        found |= {column: (text, asked[column][1]) for column, text in examples.items() if text is not None}
    return found


def as_read(value: ir.Value, markers: Collection[str]) -> ir.StringValue:
    """A value of a date or a number as the examples of ``unreadable`` have it."""
    return _tidied(value, markers) if value.type().is_string() else value.cast("string")


def text_or_instants(part: ir.Table, markers: Collection[str]) -> dict[str, ir.StringValue | ir.TimestampValue]:
    """HES column of dates → its values where their type allows a time of day; text is trimmed, and null where it is missing."""
    values = {name: part[name] for name in part.columns if COLUMNS[name] == DATE}
    return {
        name: _tidied(value, markers) if value.type().is_string() else value
        for name, value in values.items()
        if value.type().is_string() or value.type().is_timestamp()
    }


def _typed(part: ir.Table, extract: Extract) -> ir.Table:
    columns = {}
    for column in [name for name in COLUMNS if name in part.columns]:
        value, kind = part[column], COLUMNS[column]
        if kind == DATE:
            columns[column] = _date(value, extract.missing)
        elif kind == WHOLE:
            columns[column] = _whole(value, extract.missing)
        elif column in extract.codes or _is_plain(value, column, extract):
            columns[column] = value.cast("string")
        else:
            columns[column] = _tidied(_as_text(value), extract.missing, column)
    return part.select(**columns)


def _is_plain(value: ir.Value, column: str, extract: Extract) -> bool:
    """Whether it is a whole number, of which none is a marker of a missing value, but for persons or where the protocol names some."""
    return value.type().is_integer() and column != PERSON and not extract.missing


def _untidy(markers: Collection[str], column: str = "") -> str:
    """A pattern of texts that are to be trimmed or to be null; it means the same to Python, RE2 and Java."""
    missing = "|".join(re.escape(marker) for marker in (*MISSING, *markers))
    return f"(?i)^{BLANK}|{BLANK}$|^({missing}{'|' + NO_PERSON if column == PERSON else ''})?$"


def _tidied(text: ir.StringValue, markers: Collection[str], column: str = "") -> ir.StringValue:
    """Few texts change: a single search leaves the others alone."""
    pattern = _untidy(markers, column)
    trimmed = text.re_replace(f"^{BLANK}+", "").re_replace(f"{BLANK}+$", "")
    return text.re_search(pattern).ifelse(trimmed.re_search(pattern).ifelse(ibis.null("string"), trimmed), text)


def _as_text(value: ir.Value) -> ir.StringValue:
    if value.type().is_numeric() and not value.type().is_integer():
        value = _is_whole(value).ifelse(value, ibis.null(value.type())).cast("int64")
    return value.cast("string")


def _date(value: ir.Value, markers: Collection[str]) -> ir.DateValue:
    if not value.type().is_string():
        return value.cast("date")
    text = _tidied(value, markers)
    return text.re_search(DAY).ifelse(text.left(10), ibis.null("string")).cast("date")


def _whole(value: ir.Value, markers: Collection[str]) -> ir.IntegerValue:
    kind = value.type()
    if kind.is_string():
        text = _tidied(value, markers)
        return text.re_search(NUMBER).ifelse(text, ibis.null("string")).cast("float64").cast("int32")
    if not kind.is_integer():
        value = (_is_whole(value) & (value.abs() <= LARGEST)).ifelse(value, ibis.null(kind))
    elif kind.nbytes > 4 or kind.is_unsigned_integer():
        value = ((value <= LARGEST) & (value >= -LARGEST)).ifelse(value, ibis.null(kind))
    return value.cast("int32")


def _is_whole(value: ir.NumericValue) -> ir.BooleanValue:
    within = (value.abs() <= EXACT).ifelse(value, ibis.null(value.type()))  # an infinite one has no floor
    return (within == within.floor().cast(value.type())).fill_null(False)


def _question(value: ir.Value, column: str, extract: Extract) -> tuple[ir.StringScalar, str] | None:
    """The least value that cannot be read, and what is expected; None where the type leaves nothing to ask."""
    wanted, kind = COLUMNS[column], value.type()
    if wanted == DATE and kind.is_string():
        text = _tidied(value, extract.missing)
        return text.min(where=~text.re_search(DAY)), "days of the calendar as YYYY-MM-DD in every row"
    if wanted == WHOLE and kind.is_string():
        text = _tidied(value, extract.missing)
        return text.min(where=~text.re_search(NUMBER)), "whole numbers of at most nine digits in every row"
    if kind.is_floating() or kind.is_decimal():
        number = value.nullif(float("nan")) if kind.is_floating() else value
        limit = LARGEST if wanted == WHOLE else EXACT
        bad = number.notnull() & ~(_is_whole(number) & (number.abs() <= limit))
        return number.cast("string").min(where=bad), "whole numbers in every row"
    if wanted == WHOLE and kind.is_integer() and (kind.nbytes > 4 or kind.is_unsigned_integer()):
        return value.cast("string").min(where=(value > LARGEST) | (value < -LARGEST)), "numbers of 32 bits in every row"
    return None
