"""A return with one thing wrong is refused, and the message says where, what, what instead, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from mar_workbook import ENGLAND_ROW, FIRST_ROW, HEADER_ROW, NON_ELECTIVE, MarWorkbook

from analysis.core.errors import DataError
from analysis.sources.mar import MEASURES, check_organisations, read_all_mar, read_mar

APRIL = date(2017, 4, 1)
KNOWN = {"01H", "01K", "X24"}


def read(book: MarWorkbook, folder: Path) -> object:
    return read_mar(book.write(folder / "MAR-Apr-17.xls"), APRIL, KNOWN)


def set_count(label: str, row: int, value: object) -> Callable[[MarWorkbook], None]:
    return lambda book: book.rows[row].__setitem__(book.column(label), value)


def rename_header(old: str, new: str) -> Callable[[MarWorkbook], None]:
    return lambda book: book.header.__setitem__(book.column(old), new)


def remove_column(label: str) -> Callable[[MarWorkbook], None]:
    def spoil(book: MarWorkbook) -> None:
        position = book.column(label)
        for row in (book.header, *book.rows):
            del row[position]
        del book.england[position - 6]

    return spoil


def add_column(label: str) -> Callable[[MarWorkbook], None]:
    def spoil(book: MarWorkbook) -> None:
        for row in book.rows:
            row.append(1)
        book.england.append(3)
        book.header.append(label)

    return spoil


def duplicate(book: MarWorkbook) -> None:
    book.rows.append(list(book.rows[1]))


def attribute(name: str, value: object) -> Callable[[MarWorkbook], None]:
    return lambda book: setattr(book, name, value)


def code(row: int, value: str) -> Callable[[MarWorkbook], None]:
    return set_count("Org Code", row, value)


def england(value: object) -> Callable[[MarWorkbook], None]:
    return lambda book: book.england.__setitem__(list(MEASURES).index(NON_ELECTIVE), value)


# What is spoilt → row, column, words in `found`, words in `expected`, words in `action`. The second organisation, 01K,
# is in row 18; non-elective admissions are the eighth measure, so England's are 8 times 550.
FAULTS: dict[str, tuple[Callable[[MarWorkbook], None], int | None, str, str, str, str]] = {
    "another month": (attribute("period", "March 2017"), 5, "Period:", "'March 2017'", "April 2017", "manifest"),
    "no month": (attribute("period", "-"), 5, "Period:", "'-'", "April 2017", "manifest"),
    "another sheet": (
        attribute("sheet", "Provider"),
        None,
        "",
        "'Provider', 'Region', 'Notes'",
        "'Commissioner'",
        "right",
    ),
    "no header row": (
        rename_header("Org Code", "Code"),
        None,
        "",
        "no cell that reads 'Org Code'",
        "header row",
        "layout",
    ),
    "renamed measure": (
        rename_header(NON_ELECTIVE, "Total Emergency Admissions"),
        HEADER_ROW,
        "Total Emergency Admissions",
        "'Total Emergency Admissions' (column O)",
        f"the missing {NON_ELECTIVE!r}",
        "MEASURES",
    ),
    "missing measure": (remove_column(NON_ELECTIVE), HEADER_ROW, NON_ELECTIVE, "no such", NON_ELECTIVE, "fetch"),
    "extra measure": (
        add_column("Emergency Admissions"),
        HEADER_ROW,
        "Emergency Admissions",
        "'Emergency Admissions' (column V)",
        "no further column",
        "MEASURES",
    ),
    "measure twice": (add_column(NON_ELECTIVE), HEADER_ROW, NON_ELECTIVE, "(column V)", "no further column", "look"),
    "text": (
        set_count(NON_ELECTIVE, 1, "n/a"),
        FIRST_ROW + 1,
        NON_ELECTIVE,
        "'n/a', which is not a number (column O)",
        "a number of admissions",
        "fetch the file again",
    ),
    "digits as text": (set_count(NON_ELECTIVE, 1, "1,600"), 18, NON_ELECTIVE, "'1,600'", "a number", "fetch"),
    "empty cell": (set_count(NON_ELECTIVE, 1, ""), 18, NON_ELECTIVE, "an empty cell", "a number", "fetch"),
    "negative": (set_count(NON_ELECTIVE, 1, -5), 18, NON_ELECTIVE, "-5, below zero", "zero or more", "fetch"),
    "a fraction": (
        set_count(NON_ELECTIVE, 1, 1234.5),
        18,
        NON_ELECTIVE,
        "1,234.5, which is no whole",
        "a whole",
        "fetch",
    ),
    "absurd": (set_count(NON_ELECTIVE, 1, 16_000_000), 18, NON_ELECTIVE, "above 1,000,000", "a number", "fetch"),
    "above England": (
        set_count(NON_ELECTIVE, 1, 4_401),
        18,
        NON_ELECTIVE,
        "England's 4,400",
        "no organisation",
        "typed",
    ),
    "not the sum": (
        set_count(NON_ELECTIVE, 1, 1_601),
        ENGLAND_ROW,
        NON_ELECTIVE,
        "England 4,400, the sum of the rows 4,401 (difference +1)",
        "the sum of the rows",
        "fetch the file again",
    ),
    "a row lost": (lambda book: book.rows.pop(), ENGLAND_ROW, "Elective", "difference -50", "sum of the rows", "lost"),
    "no England": (attribute("total", "All"), HEADER_ROW + 1, "Org Code", "named 'All'", "but England's", "typed"),
    "text in England's row": (england("total"), ENGLAND_ROW, NON_ELECTIVE, "'total'", "a number", "fetch"),
    "organisation twice": (
        duplicate,
        FIRST_ROW + 3,
        "F",
        "organisation 01K again, already in row 18",
        "one row",
        "which",
    ),
    "unknown code": (code(1, "02K"), 18, "Org Code", "unknown organisation code 02K", "X24", "CCG changes"),
    "impossible code": (code(1, "1K"), 18, "Org Code", "'1K'", "such as 01K", "correct the code"),
    "no code": (code(1, ""), 18, "Org Code", "'NHS MORECAMBE BAY CCG'", "a commissioner's code", "fetch"),
}


@pytest.fixture
def book() -> MarWorkbook:
    return MarWorkbook()


def test_the_built_return_reads_cleanly(book: MarWorkbook, tmp_path: Path) -> None:
    mar = read_mar(book.write(tmp_path / "MAR-Apr-17.xls"), APRIL, KNOWN)
    assert mar.organisations["org_code"].tolist() == ["01H", "01K", "X24"]
    assert mar.organisations["non_elective_admissions"].tolist() == [2400, 1600, 400]
    assert mar.england["non_elective_admissions"] == 4400
    assert (mar.published, mar.revised) == (date(2017, 6, 9), date(2019, 6, 13))
    assert mar.notes == ("The following organisation did not submit:", "RTE")


@pytest.mark.parametrize("fault", FAULTS)
def test_refusal_names_the_place_and_what_to_do(fault: str, book: MarWorkbook, tmp_path: Path) -> None:
    spoil, row, column, found, expected, action = FAULTS[fault]
    read(book, tmp_path)
    spoil(book)
    with pytest.raises(DataError) as refusal:
        read(book, tmp_path)
    error = refusal.value
    assert Path(error.file).name == "MAR-Apr-17.xls"
    assert error.sheet == "Commissioner"
    assert error.row == row
    assert (error.column or "").startswith(column) and bool(error.column) == bool(column)
    assert found in error.found
    assert expected in error.expected
    assert action in error.action
    message = str(error)
    assert "MAR-Apr-17.xls" in message and "'Commissioner'" in message
    assert row is None or f"row {row}" in message


def test_codes_are_not_checked_against_the_study_before_april_2013(book: MarWorkbook, tmp_path: Path) -> None:
    book.period = "March 2013"
    book.header[2:4] = ["SHA Code", "SHA Name"]
    for row, pct in zip(book.rows, ("5PT", "TAC", "YDD82"), strict=True):
        row[book.column("Org Code")] = pct
    mar = read_mar(book.write(tmp_path / "MAR-Mar-13.xls"), date(2013, 3, 1), KNOWN)
    assert mar.organisations["org_code"].tolist() == ["5PT", "TAC", "YDD82"]


@pytest.mark.fault(
    "a count with a fraction, 1234.5, in a return",
    "refused with its cell; the one count that was published so, 4459.1 in November 2012, is read",
)
@pytest.mark.parametrize(
    ("month", "code", "label", "count", "row"),
    [
        ("November 2012", "5PT", NON_ELECTIVE, 4459.1, None),
        ("November 2012", "5PT", NON_ELECTIVE, 4459.2, 18),
        ("November 2012", "5PT", "GP Referrals Made (All specialties)", 4459.1, 18),
        ("November 2012", "5PS", NON_ELECTIVE, 4459.1, 18),
        ("October 2012", "5PT", NON_ELECTIVE, 4459.1, 18),
    ],
)
def test_one_count_has_a_fraction(
    month: str, code: str, label: str, count: float, row: int | None, book: MarWorkbook, tmp_path: Path
) -> None:
    book.period = month
    for each, pct in zip(book.rows, ("5PR", code, "TAC"), strict=True):
        each[book.column("Org Code")] = pct
    book.rows[1][book.column(label)] = count
    at = list(MEASURES).index(label)
    book.england[at] = 10_000 + count
    book.rows[0][book.column(label)] = 10_000 - float(str(book.rows[2][book.column(label)]))
    path, first = book.write(tmp_path / "MAR.xls"), datetime.strptime(month, "%B %Y").date()
    if row is None:
        mar = read_mar(path, first)
        assert (
            mar.organisations[MEASURES[label]].tolist()[1] == count and mar.england[MEASURES[label]] == 10_000 + count
        )
        return
    with pytest.raises(DataError, match=f"{count:,}, which is no whole number") as refusal:
        read_mar(path, first)
    assert (refusal.value.row, refusal.value.column) == (row, label)


def test_englands_total_with_a_fraction(book: MarWorkbook, tmp_path: Path) -> None:
    england(4400.005)(book)  # so near to the sum that it passes for it
    with pytest.raises(DataError, match="which is no whole number") as refusal:
        read(book, tmp_path)
    assert refusal.value.row == ENGLAND_ROW


def test_the_earliest_month_at_fault_is_reported(book: MarWorkbook, tmp_path: Path) -> None:
    april = book.write(tmp_path / "april.xls")
    book.period = "May 2017"
    may = book.write(tmp_path / "may.xls")
    months = {date(2017, 5, 1): may, APRIL: april}
    assert [mar.month for mar in read_all_mar(months)] == [APRIL, date(2017, 5, 1)]
    with pytest.raises(DataError, match=r"april\.xls"):
        read_all_mar(months, known_codes={"01H"})


def test_organisations_missing_from_a_month(book: MarWorkbook, tmp_path: Path) -> None:
    mar = read_mar(book.write(tmp_path / "MAR-Apr-17.xls"), APRIL)
    check_organisations(mar, KNOWN, "MAR-Apr-17.xls")
    with pytest.raises(DataError, match=r"missing: 14L; extra: 01K") as refusal:
        check_organisations(mar, {"01H", "14L", "X24"}, "MAR-Apr-17.xls")
    assert "3 commissioners of April 2017" in refusal.value.expected
