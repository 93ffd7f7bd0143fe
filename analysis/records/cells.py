"""A cell that is refused, in words that do not give a patient away: messages are sent to colleagues and to suppliers."""

from __future__ import annotations

import calendar
import re
import unicodedata

from analysis.core.untrusted import printable

# Columns of codes that are in use for thousands of patients each.
OF_CODES = ("EPISTAT", "EPIORDER", "ADMIMETH", "ADMISORC", "CLASSPAT")
SHORT_CODE = 4  # characters, fewer than an identifier or a date has
SHORT_NAME = 6  # of a provider, a practice or a diagnosis
AREA = re.compile(r"(?a)[ENSW]\d{8}")  # a code of the Office for National Statistics
LONGEST_FORM, LONGEST_VALUE = 40, 30
DATE = re.compile(r"(?a)(\d{4})-(\d{2})-(\d{2})")
CLOCK = re.compile(r"(?a)([ T])(\d{2}):(\d{2})(?::(\d{2}))?")
# Dates up to the first year and from the second are entered where none is known, as are those at which programs begin to count days.
NO_YEAR_OF_OURS = (1900, 2050)
FIRST_DAYS = ("1904-01-01", "1960-01-01", "1970-01-01", "1980-01-01", "2000-01-01")
# As a spreadsheet shows a code that it took for a number, 03E00: three digits, too few for an identifier.
SHORT_NUMBER = re.compile(r"(?a)\d[.,]\d\dE[+-]\d{2,3}")
REMARK = re.compile(r"(?ai)\(?\d+ (rows?|records?)( (affected|selected|returned|exported|read|written))?\)?\.?")


def cell(column: str, text: str) -> str:
    """A cell that cannot be read: as it is where it cannot be of anybody, as a short code or a day that no calendar has; else by its form.

    A row may be shifted by a column, so that the column alone does not show what the cell holds.
    """
    if column in OF_CODES and len(text) <= SHORT_CODE:
        return repr(printable(text))
    impossible = _impossible(text)
    form = form_of(text)
    if impossible is None:
        date = DATE.match(text)
        why = ", whose month is above 12" if date and int(date[2]) > 12 else ""
        return f"{form!r}{why} (9 is any digit, A any letter)"
    what, start, end = impossible
    rest = f" in {form!r}" if (start, end) != (0, len(text)) else ""
    return f"{text[start:end]!r}, {what},{rest}".removesuffix(",")


def common_value(text: str) -> str:
    """A value that many rows have: as it is where it is a code or what is left of one, words, or a date that is entered where none is known; else by its form."""
    date = DATE.match(text)
    if date:
        year = int(date[1])
        filler = not NO_YEAR_OF_OURS[0] < year < NO_YEAR_OF_OURS[1] or text in FIRST_DAYS
        return repr(text if filler else form_of(text))
    word = not re.search(r"\d{2}", text) or AREA.fullmatch(text) or SHORT_NUMBER.fullmatch(text)
    return repr(printable(text)[:LONGEST_VALUE]) if word or len(text) <= SHORT_NAME else repr(form_of(text))


def line(text: str) -> str:
    """A line of one cell below a table: what a program wrote there, such as "(60 rows affected)", or its form."""
    return repr(text) if REMARK.fullmatch(text) else repr(form_of(text))


def form_of(text: str) -> str:
    """Digits as 9 and letters as A; the rest as it is."""
    signs = [
        {"N": "9", "L": "A", "M": "A", "S": "?", "C": "?"}.get(unicodedata.category(sign)[0], sign) if not sign.isascii() else
        "9" if sign.isdigit() else "A" if sign.isalpha() else sign for sign in text[:LONGEST_FORM]
    ]  # fmt: skip
    return printable("".join(signs)) + (f"… ({len(text)} characters)" if len(text) > LONGEST_FORM else "")


def _impossible(text: str) -> tuple[str, int, int] | None:
    """What in a text of a date's form no calendar or clock has, and where it stands; None where all of it may be of somebody."""
    date = DATE.match(text)
    if date is None or text[date.end() : date.end() + 1].isdigit():
        return None
    year, month, day = (int(part) for part in date.groups())
    if not _exists(year, month, day):
        # With its day before its month it may be somebody's.
        return None if _exists(year, day, month) else ("a day that no calendar has", 0, date.end())
    clock = CLOCK.match(text, date.end())
    if clock and (int(clock[2]) > 23 or int(clock[3]) > 59 or int(clock[4] or 0) > 59):
        start, end = clock.start(2), clock.end()
        return "a time that no clock has", start, end
    return None


def _exists(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and day >= 1 and day <= (calendar.monthrange(year, month)[1] if year else 31)
