"""Rows that fall out in a way that nobody expects stop the run, with the column and its values; those that fall out rightly do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from extracts import checked, stay

from analysis.errors import DataError
from analysis.records.counts import USED, ledger_of_rows
from analysis.records.disclosure import rounded
from analysis.rules import Records
from analysis.stages.records import how_many, safe_ledger

MONTHS = pd.date_range("2013-04-01", "2016-03-01", freq="MS")
A_YEAR = 120
Row = dict[str, Any]
Change = Callable[[int, int], Row]  # of the year in which the financial year begins, and the row's number in it


def rows_of(change: Change = lambda year, at: {}) -> list[Row]:
    """Three years of emergency stays, each of its own person; one row in four is a planned day case."""
    rows = []
    for year in (2013, 2014, 2015):
        for at in range(A_YEAR):
            admitted = pd.Timestamp(year, 4, 1) + pd.Timedelta(days=3 * at)
            usual: Row = {"TOKEN_PERSON_ID": f"{year} {at}", "CCG_RESPONSIBILITY": ("00A", "00B")[at % 2]}
            planned: Row = {"ADMIMETH": "11", "CLASSPAT": "2"} if at % 4 == 0 else {}
            row = stay(f"{admitted:%F}", f"{admitted + pd.Timedelta(days=2):%F}", **(usual | planned))
            rows.append(row | change(year, at))
    return rows


def refusal(rows: list[Row], folder: Path, **rules: Any) -> DataError:
    asked = Records(**rules)
    with pytest.raises(DataError) as caught:
        checked(rows, folder, MONTHS, asked, ["A81001"] if "by_age" in rules else ())
    return caught.value


def test_a_sound_extract_passes(tmp_path: Path) -> None:
    counts = checked(rows_of(), tmp_path, MONTHS)
    assert ledger_of_rows(counts, MONTHS)[USED] == 3 * A_YEAR * 3 // 4


EVERYWHERE: list[tuple[str, Any, str]] = [
    ("ADMIMETH", "Emergency", "'Emergency' 100%"),
    ("ADMIMETH", "21.0", "'21.0' 100%"),
    ("ADMIMETH", "021", "'021' 100%"),
    ("ADMIMETH", None, "empty 100%"),
    ("CLASSPAT", "01", "'01' 100%"),
    ("EPISTAT", 9, "'9' 100%"),
    ("ADMISORC", "Home", "'Home' 100%"),
    ("EPIORDER", 0, "'0' 100%"),
    ("EPIORDER", 99, "'99' 100%"),
    ("PROCODE3", "Royal Hospital", "'Royal Hospital' 100%"),
    ("DIAG_01", "Pneumonia", "'Pneumonia' 100%"),
    ("CCG_RESPONSIBILITY", "E38000001", "'E38000001' 100%"),
    ("CCG_RESPONSIBILITY", "5QG", "'5QG' 100%"),
    ("EPIEND", "2099-01-01", "'2099-01-01' 100%"),
    ("EPISTART", None, "empty 100%"),
    ("STARTAGE", 999, "'999' 100%"),
    ("GPPRAC", "Dr Foster", "'Dr Foster' 100%"),
]


@pytest.mark.fault(
    "a code that no dictionary has, in every row of an extract, in some rows, or in one year",
    "the run stops before anything is written, with the column, the share and the values",
)
@pytest.mark.parametrize(("column", "value", "listed"), EVERYWHERE)
def test_an_unknown_value_is_named(column: str, value: Any, listed: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {column: value} if at % 4 else {}), tmp_path, by_age=True)
    assert problem.column == column and listed in problem.found and "Nothing was written" in problem.action


@pytest.mark.parametrize(
    ("column", "value", "listed"), [entry for entry in EVERYWHERE if entry[0] not in ("STARTAGE", "GPPRAC")]
)
def test_nor_in_one_year(column: str, value: Any, listed: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {column: value} if year == 2014 and at % 4 else {}), tmp_path)
    assert problem.column == column and listed in problem.found


def test_missing_persons_are_counted_and_never_listed(tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {"TOKEN_PERSON_ID": None} if at % 3 == 0 else {}), tmp_path)
    assert problem.column == "TOKEN_PERSON_ID" and problem.found.endswith("in no dictionary") and "33%" in problem.found


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"EPIORDER": 2}, "EPIORDER", "no_first_episode"),
        ({"EPIEND": "2013-01-01"}, "EPIEND", "runs_backwards"),
        ({"EPIEND": "2027-01-01"}, "DISDATE", "too_long"),
    ],
)
def test_an_unexpected_reason_is_named_without_dates(change: Row, column: str, reason: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: change if at % 4 == 1 else {}), tmp_path)
    assert problem.column == column and f"left out as {reason} (" in problem.found and "2027" not in problem.found


@pytest.mark.parametrize(
    ("change", "column"),
    [({"ADMIMETH": "11"}, "ADMIMETH"), ({"CLASSPAT": "2"}, "CLASSPAT"), ({"EPISTAT": 1}, "EPISTAT")],
)
def test_a_known_code_whose_share_changes_in_one_year(change: Row, column: str, tmp_path: Path) -> None:
    """Each row is rightly left out; that nine in ten are in one year, and a quarter in the others, is not right."""
    problem = refusal(rows_of(lambda year, at: change if year == 2014 and at % 10 else {}), tmp_path)
    assert problem.column == column and "2014/15" in problem.found and "in other years" in problem.found
    checked(
        rows_of(lambda year, at: change if year == 2014 and at % 10 else {}),
        tmp_path / "raised",
        MONTHS,
        Records(share_change=0.95),
    )


FEW: list[Row] = [
    {"ADMIMETH": "Emergency"}, {"CLASSPAT": None}, {"CCG_RESPONSIBILITY": "Q99"}, {"TOKEN_PERSON_ID": None}, {"EPIEND": "1801-01-01"},
]  # fmt: skip


@pytest.mark.parametrize("change", FEW)
def test_a_few_bad_rows_are_left_to_the_ledger(change: Row, tmp_path: Path) -> None:
    """Two in a hundred, and fewer than may be shown."""
    counts = checked(rows_of(lambda year, at: change if at in (1, 61) else {}), tmp_path, MONTHS)
    ledger = ledger_of_rows(counts, MONTHS)
    assert ledger[USED] + 6 * ("TOKEN_PERSON_ID" not in change) == 3 * A_YEAR * 3 // 4


def test_a_year_that_holds_a_few_long_stays_is_not_compared(tmp_path: Path) -> None:
    """The first file of an extract holds those who came the year before; nobody planned stays that long."""
    months = pd.date_range("2012-04-01", "2016-03-01", freq="MS")
    early = [
        stay("2013-03-01", "2013-04-05", TOKEN_PERSON_ID=f"early {at}", EPISTAT=1 if at < 15 else 3) for at in range(20)
    ]
    counts = checked(rows_of() + early, tmp_path, months)
    assert ledger_of_rows(counts, months)["unfinished"] == 15


def test_years_outside_the_study_are_not_looked_at(tmp_path: Path) -> None:
    """Before April 2013 commissioners were primary care trusts, with other codes."""
    trusts = [
        stay("2012-06-01", "2012-06-05", TOKEN_PERSON_ID=f"pct {at}", CCG_RESPONSIBILITY="5QG") for at in range(150)
    ]
    assert ledger_of_rows(checked(rows_of() + trusts, tmp_path, MONTHS), MONTHS)["unknown_commissioner"] == 150


@pytest.mark.fault("an extract of which no row is counted", "the run stops, with the reasons and their shares")
@pytest.mark.parametrize(
    ("change", "reason"), [({"ADMIMETH": "12"}, "not_emergency"), ({"CCG_RESPONSIBILITY": "7A1"}, "outside_england")]
)
def test_an_extract_of_which_nothing_is_counted(change: Row, reason: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: change), tmp_path)
    assert "no row is counted" in problem.found and f"% are left out as {reason} (" in problem.found


@pytest.mark.fault(
    "one other reason with 1 to 7 rows, so that the number of counted rows is suppressed with it",
    "it is called suppressed, in the run's last line and in ledger.csv",
)
def test_a_suppressed_count_is_not_printed_as_none() -> None:
    ledger = {"no_date": 3, "runs_backwards": 0, USED: 60}
    assert rounded(ledger, 8, 5)[USED] is None, "or the other would follow from the total"
    table = safe_ledger(ledger, Records())
    assert how_many(table) == "how many episodes are counted is suppressed"
    assert table.note.to_list() == ["suppressed", "", "suppressed"]
    assert table.to_csv(index=False).splitlines()[1:3] == [
        'no_date,,suppressed,"without a date of admission, start or end, or with an impossible one"',
        'runs_backwards,0,,"ends before it starts, or starts before the admission"',
    ]
    assert how_many(safe_ledger({"no_date": 0, USED: 61}, Records())) == "about 60 episodes are counted"
