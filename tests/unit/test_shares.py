"""Rows that fall out in a way that nobody expects stop the run, with the column and its values; those that fall out rightly do not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pytest
from extracts import checked, stay

from analysis.core.errors import DataError
from analysis.protocol.schema import Records
from analysis.records.counts import LATE, USED, ledger_of_rows
from analysis.records.definitions import ADMISSIONS
from analysis.records.engines import open_engine
from analysis.records.misread import long_by_year
from analysis.records.persons import check_possible
from analysis.stages.records import (
    how_many,
    of_absent,
    of_late_discharges,
    of_long_stays,
    of_unknown_codes,
    safe_ledger,
)

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


@pytest.mark.slow
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


@pytest.mark.cases(quick=0, push=3)
@pytest.mark.fault(
    "a code that no dictionary has, in every row of an extract, in some rows, or in one year",
    "the run stops before anything is written, with the column, the share and the values",
)
@pytest.mark.parametrize(("column", "value", "listed"), EVERYWHERE)
def test_an_unknown_value_is_named(column: str, value: Any, listed: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {column: value} if at % 4 else {}), tmp_path, by_age=True)
    assert problem.column == column and listed in problem.found and "Nothing was written" in problem.action


@pytest.mark.cases(quick=1, push=4)
@pytest.mark.parametrize(
    ("column", "value", "listed"), [entry for entry in EVERYWHERE if entry[0] not in ("STARTAGE", "GPPRAC")]
)
def test_nor_in_one_year(column: str, value: Any, listed: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {column: value} if year == 2014 and at % 4 else {}), tmp_path)
    assert problem.column == column and listed in problem.found


@pytest.mark.slow
def test_missing_persons_are_counted_and_never_listed(tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {"TOKEN_PERSON_ID": None} if at % 3 == 0 else {}), tmp_path)
    assert problem.column == "TOKEN_PERSON_ID" and problem.found.endswith("in no dictionary") and "33%" in problem.found


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"EPIEND": "2013-01-01"}, "EPIEND", "runs_backwards"),
        ({"DISDATE": "2013-01-01"}, "DISDATE", "runs_backwards"),
        ({"EPISTART": "2013-01-01"}, "EPISTART", "runs_backwards"),
        ({"EPIEND": "2027-01-01"}, "EPIEND", "runs_backwards"),
        ({"EPIEND": "2027-01-01", "DISDATE": None}, "EPIEND", "too_long"),
    ],
)
def test_an_unexpected_reason_is_named_without_dates(change: Row, column: str, reason: str, tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: change if at % 4 == 1 else {}), tmp_path)
    assert problem.column == column and f"left out as {reason} (" in problem.found and "2027" not in problem.found


@pytest.mark.slow
def test_the_column_to_blame_among_other_rows_out_of_order(tmp_path: Path) -> None:
    """A missing discharge written as a date is before the end too: the end is not to blame for it, but for rows of its own."""
    wrong: dict[int, Row] = {1: {"DISDATE": "1970-01-01"}, 5: {"EPIEND": "2013-03-01"}}
    problem = refusal(rows_of(lambda year, at: wrong.get(at % 8, {}) if at % 24 != 5 else {}), tmp_path)
    assert problem.column == "DISDATE" and "1970-01-01" in problem.found


@pytest.mark.cases(quick=0, push=2)
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


def of_several_episodes(change: Callable[[int, int], Row]) -> list[Row]:
    """Three years of spells of three episodes each, the date of discharge in the last alone, and three times as many planned day cases."""
    rows = []
    for year in (2013, 2014, 2015):
        for at in range(A_YEAR // 3):
            days = [pd.Timestamp(year, 4, 1) + pd.Timedelta(days=9 * at + step) for step in range(4)]
            for order, (starts, ends) in enumerate(pairwise(days), 1):
                dates = {"EPISTART": f"{starts:%F}", "EPIEND": f"{ends:%F}", "EPIORDER": order}
                left = f"{ends:%F}" if order == 3 else None
                who = {"TOKEN_PERSON_ID": f"{year} {at}", "CCG_RESPONSIBILITY": ("00A", "00B")[at % 2]}
                rows.append(stay(f"{days[0]:%F}", left, **dates, **who) | change(order, at))
                planned = {"ADMIMETH": "11", "CLASSPAT": "2", "TOKEN_PERSON_ID": f"planned {year} {at} {order}"}
                rows += [stay(f"{starts:%F}", f"{starts:%F}", **planned)] * 3
    return rows


@pytest.mark.slow
def test_spells_of_several_episodes_pass(tmp_path: Path) -> None:
    counts = checked(of_several_episodes(lambda order, at: {}), tmp_path, MONTHS)
    assert ledger_of_rows(counts, MONTHS)[USED] == 3 * A_YEAR


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.fault(
    "a missing date of discharge written as 1960-01-01, a class in one whole year, or a provider in every second row, that is not known",
    "the earliest column is named, not EPIORDER, from which the rows fall out in the end",
)
@pytest.mark.parametrize("date", ["1960-01-01", "1970-01-01"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_missing_discharge_written_as_a_date(date: str, every: int, tmp_path: Path) -> None:
    """Of all rows, planned ones too, few run backwards; many spells are without their first episode therefore."""
    rows = of_several_episodes(lambda order, at: {"DISDATE": date} if order == 1 and at % every == 0 else {})
    problem = refusal(rows, tmp_path, unexpected_share=0.05 if every == 1 else 0.1)
    assert problem.column == "DISDATE" and repr(date) in problem.found and "runs_backwards" in problem.found
    assert "'1'" not in problem.found and ("no_first_episode" in problem.found) == (every == 3)


@pytest.mark.slow
def test_a_class_that_is_another_in_one_year(tmp_path: Path) -> None:
    """Spells whose last episode has it not are without their first one therefore."""
    rows = of_several_episodes(lambda order, at: {})
    of_year = [row["ADMIDATE"] for row in rows if "2014-04-01" <= row["ADMIDATE"] <= "2015-03-31"]
    rows = [row | {"CLASSPAT": "5"} if row["ADMIDATE"] in of_year and row["EPIORDER"] < 3 else row for row in rows]
    problem = refusal(rows, tmp_path)
    assert problem.column == "CLASSPAT" and "2014/15" in problem.found and "'5'" in problem.found


@pytest.mark.slow
@pytest.mark.parametrize("code", ["89999", "89997"])
def test_a_default_code_of_a_provider_is_unknown_where_many_have_it(code: str, tmp_path: Path) -> None:
    problem = refusal(of_several_episodes(lambda order, at: {"PROCODE3": code} if order == 2 else {}), tmp_path)
    assert problem.column == "PROCODE3" and repr(code) in problem.found


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("change", [{"PROCODE3": "RZZ"}, {"EPIORDER": 4}, {"ADMIDATE": "2013-04-01"}], ids=str)
def test_spells_without_their_first_episode_name_every_column(change: Row, tmp_path: Path) -> None:
    first = 1 if "EPIORDER" in change else 2
    problem = refusal(of_several_episodes(lambda order, at: change if order == first else {}), tmp_path)
    assert problem.column is None and "no_first_episode" in problem.found and "not_emergency 75%" in problem.found
    assert "EPIORDER, PROCODE3, ADMIDATE, CLASSPAT, DISDATE, TOKEN_PERSON_ID" in problem.action and "'1'" not in problem.found


def of_providers(change: Callable[[int, int], Row]) -> list[Row]:
    """Stays of three years at thirty providers; ``change``, by year and number, is of the rows of R01."""
    rows = rows_of(lambda year, at: {"PROCODE3": f"R{at % 30:02d}", "EPIKEY": str(1000 * year + at)}) * 5
    rows = [
        row | {"TOKEN_PERSON_ID": f"{row['TOKEN_PERSON_ID']} {at}", "EPIKEY": str(at)} for at, row in enumerate(rows)
    ]
    return [
        row | change(int(row["ADMIDATE"][:4]), at) if row["PROCODE3"] == "R01" else row for at, row in enumerate(rows)
    ]


@pytest.mark.cases(quick=0, push=4)
@pytest.mark.fault(
    "a code that no dictionary has in the rows of one provider, few of the whole extract",
    "the run stops and names the column, the provider or commissioner and the values; a few such rows are unknown_code in the ledger, with a line",
)
@pytest.mark.parametrize(
    ("column", "value"), [("ADMIMETH", "EMERG"), ("ADMIMETH", None), ("CLASSPAT", "7"), ("EPISTAT", 9), ("EPIORDER", 99), ("EPIEND", None)],
)  # fmt: skip
def test_an_unknown_code_of_one_provider(column: str, value: Any, tmp_path: Path) -> None:
    problem = refusal(of_providers(lambda year, at: {column: value}), tmp_path, unexpected_share=0.05)
    listed = "empty 100%" if value is None else f"'{value}' 100%"
    assert problem.column == column and "provider 'R01'" in problem.found and listed in problem.found


def test_nor_of_one_provider_in_one_year(tmp_path: Path) -> None:
    """Of all years a share that need not be looked at."""
    rows = of_providers(lambda year, at: {"ADMIMETH": "EMERG"} if year == 2014 else {})
    problem = refusal(rows, tmp_path, unexpected_share=0.25)
    assert problem.column == "ADMIMETH" and "2014/15 of provider 'R01'" in problem.found


@pytest.mark.slow
def test_nor_of_one_commissioner(tmp_path: Path) -> None:
    """Spread over its providers, none of which has many."""
    rows = of_providers(lambda year, at: {})
    rows += [row | {"CCG_RESPONSIBILITY": "01H", "TOKEN_PERSON_ID": f"other {at}"} for at, row in enumerate(rows[::29])]
    rows = [row | {"ADMIMETH": "EMERG"} if row["CCG_RESPONSIBILITY"] == "01H" else row for row in rows]
    problem = refusal(rows, tmp_path, unexpected_share=0.05)
    assert problem.column == "ADMIMETH" and "commissioner '01H" in problem.found


@pytest.mark.cases(quick=0, push=3)
@pytest.mark.fault(
    "all rows of one provider unfinished, running backwards or of no commissioner", "the run stops and names the column and the provider"
)
@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("EPISTAT", {"EPISTAT": 1}), ("EPIEND", {"EPIEND": "2013-03-01"}), ("CCG_RESPONSIBILITY", {"CCG_RESPONSIBILITY": None}),
        ("ADMIDATE", {"ADMIDATE": None}),
    ],
)  # fmt: skip
def test_a_provider_whose_rows_all_fall_out(column: str, change: Row, tmp_path: Path) -> None:
    problem = refusal(of_providers(lambda year, at: change), tmp_path, unexpected_share=0.05)
    assert problem.column == column and "provider 'R01'" in problem.found


@pytest.mark.slow
def test_codes_that_a_spreadsheet_took_for_numbers(tmp_path: Path) -> None:
    """03E00 is 3.00E+00 to it; 8 rows of some thousand."""
    rows = [row | ({"CCG_RESPONSIBILITY": "3.00E+00"} if at % 150 == 1 else {}) for at, row in enumerate(of_providers(lambda year, at: {}))]
    problem = refusal(rows, tmp_path)
    assert problem.column == "CCG_RESPONSIBILITY" and "'3.00E+00' 100%" in problem.found and "less than 1%" in problem.found and "03E00" in problem.action


@pytest.mark.slow
@pytest.mark.fault(
    "codes of commissioners or providers that a spreadsheet took for numbers, in many rows",
    "the run stops with these codes and what happened to them, and does not offer a setting that lets them pass",
)
@pytest.mark.parametrize(("column", "value", "sound"), [("CCG_RESPONSIBILITY", "1.00E+00", "7A300"), ("PROCODE3", "5.00E+01", "89999")])
def test_nor_in_many_rows(column: str, value: str, sound: str, tmp_path: Path) -> None:
    """Codes that are rightly unknown, and more frequent, are not listed."""
    problem = refusal(rows_of(lambda year, at: {column: value if at % 20 == 1 else sound} if at % 10 == 1 or at % 3 == 2 else {}), tmp_path)
    assert problem.column == column and f"{value!r} 100%" in problem.found and sound not in problem.found
    assert "03E00" in problem.action and "unexpected_share" not in problem.action and problem.expected != "none"


@pytest.mark.slow
def test_codes_of_no_form_each_in_few_rows(tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {"CCG_RESPONSIBILITY": f"{at}.00E+00"} if at % 10 == 1 else {}), tmp_path)
    assert ".99A+99' and others" in problem.found and "unexpected_share" not in problem.action


@pytest.mark.slow
def test_codes_from_abroad_are_not_listed_as_unknown(tmp_path: Path) -> None:
    problem = refusal(rows_of(lambda year, at: {"CCG_RESPONSIBILITY": "5QG" if at % 10 == 1 else "7A300"} if at % 10 == 1 or at % 3 == 2 else {}), tmp_path)
    assert "'5QG' 100%" in problem.found and "7A300" not in problem.found and problem.expected.startswith("codes of commissioners")


@pytest.mark.slow
def test_a_commissioner_under_a_misspelt_code(tmp_path: Path) -> None:
    rows = [
        row | {"CCG_RESPONSIBILITY": ("00A", "00B", "0OC")[at // 30 % 3] if at % 90 else "01K"} for at, row in enumerate(of_providers(lambda year, at: {}))
    ]
    problem = refusal(rows[: len(rows) // 3 * 3], tmp_path, unexpected_share=0.5)
    assert "'0OC'" in problem.found


@pytest.mark.slow
@pytest.mark.parametrize("column", ["EPIEND", "ADMIDATE"])
def test_a_day_that_stands_for_an_unknown_date(column: str, tmp_path: Path) -> None:
    """The day of the extract in 6% of the ends, each of which would be a stay of years."""
    filler = {"DISDATE": "2016-03-31", "EPIEND": "2016-03-31"} if column == "EPIEND" else {"ADMIDATE": "2013-05-01", "EPISTART": "2013-05-01"}
    rows = [row | (filler if at % 16 == 1 else {}) for at, row in enumerate(of_providers(lambda year, at: {}))]
    problem = refusal(rows, tmp_path)
    assert problem.column == column and filler[column] in problem.found


def with_later_end(days: int, columns: tuple[str, ...], every: int) -> list[Row]:
    def later(row: Row) -> Row:
        return {column: f"{pd.Timestamp(row[column]) + pd.Timedelta(days=days):%F}" for column in columns}

    rows = [row | {"TOKEN_PERSON_ID": f"person {at}"} for at, row in enumerate(rows_of() * 8)]
    return [row | (later(row) if at % every == 1 else {}) for at, row in enumerate(rows)]


@pytest.mark.nightly
@pytest.mark.fault(
    "a year that is wrong in the end of one episode in two hundred, and in the discharge too or not",
    "the row is left out where it ends after its discharge; else the run stops with the share of the nights in stays of more than a year",
)
def test_a_wrong_year_in_few_ends(tmp_path: Path) -> None:
    sound = checked(with_later_end(0, ("EPIEND",), 200), tmp_path / "sound", MONTHS)
    counts = checked(with_later_end(365, ("EPIEND",), 200), tmp_path / "end", MONTHS)
    lost = counts.rows["runs_backwards"]
    assert 8 <= lost < 20 and counts.arrivals.nights.sum() == sound.arrivals.nights.sum() - 2 * lost
    problem = refusal(with_later_end(365, ("EPIEND", "DISDATE"), 200), tmp_path / "both")
    assert problem.column == "EPIEND" and "of the nights are of stays of more than a year" in problem.found and "long_stay_share" in problem.action
    raised = checked(with_later_end(365, ("EPIEND", "DISDATE"), 200), tmp_path / "raised", MONTHS, Records(long_stay_share=0.9))
    assert raised.arrivals.nights.sum() > sound.arrivals.nights.sum() * 1.3


@pytest.mark.slow
def test_long_stays_that_are_few_are_told(tmp_path: Path) -> None:
    counts = checked(with_later_end(365, ("EPIEND", "DISDATE"), 200), tmp_path, MONTHS, Records(long_stay_share=0.9))
    (sentence,) = of_long_stays(long_by_year(counts, MONTHS), Records())
    assert "of the nights are of stays of more than a year" in sentence
    assert of_long_stays(long_by_year(checked(rows_of(), tmp_path / "sound", MONTHS), MONTHS), Records()) == []


def test_commissioners_of_whom_there_is_no_row_are_told() -> None:
    index = pd.MultiIndex.from_product([["00A", "00B", "01C"], MONTHS[:2]], names=["unit", "month"])
    shown = pd.DataFrame({ADMISSIONS: [0, 0, 0, 10, None, None]}, index)
    assert of_absent(shown) == ["commissioners without an admission in the extract: 1 of 3; their counts are 0"]
    assert of_absent(shown.drop("00A")) == []


@pytest.mark.slow
def test_a_wrong_year_in_the_rows_of_one_year(tmp_path: Path) -> None:
    rows = [
        row | ({"DISDATE": None, "EPIEND": "2016-03-31"} if row["ADMIDATE"][:7] == "2014-12" and at % 3 else {})
        for at, row in enumerate(with_later_end(0, ("EPIEND",), 200))
    ]
    assert "of the nights of 2014/15" in refusal(rows, tmp_path, long_stay_share=0.85, unexpected_share=0.1).found


@pytest.mark.slow
@pytest.mark.fault(
    "one code of emergency admissions that is lost (2D read as a number) in fewer than one in a hundred of all rows, planned ones included",
    "the run stops: unknown methods are set against the rows that are counted",
)
@pytest.mark.parametrize("code", ["2.0", "2", '"2D"', None])
def test_an_emergency_code_that_is_lost_among_planned_rows(code: str | None, tmp_path: Path) -> None:
    planned = [row | {"ADMIMETH": "11", "CLASSPAT": "2"} for row in rows_of()] * 3
    rows = rows_of(lambda year, at: {"ADMIMETH": code} if at % 40 == 1 else {}) + planned
    problem = refusal(rows, tmp_path)
    assert problem.column == "ADMIMETH" and ("empty" if code is None else repr(code)) in problem.found


@pytest.mark.slow
@pytest.mark.fault(
    "V81999, which stands for a practice that is not known, in many rows", "a count by network stops, with the code and its share"
)
def test_practices_that_are_not_known(tmp_path: Path) -> None:
    rows = rows_of(lambda year, at: {"GPPRAC": "V81999" if at % 8 == 1 else "V81997"} if at % 4 == 1 else {})
    problem = refusal(rows, tmp_path, by_age=True)
    assert problem.column == "GPPRAC" and "'V81999' 100%" in problem.found and "V81997" not in problem.found
    checked(rows, tmp_path / "no networks", MONTHS)


@pytest.mark.slow
def test_few_rows_of_a_provider_are_left_to_the_ledger(tmp_path: Path) -> None:
    counts = checked(of_providers(lambda year, at: {"ADMIMETH": "EMERG"} if at % 7 == 0 else {}), tmp_path, MONTHS)
    ledger = ledger_of_rows(counts, MONTHS)
    assert 8 <= ledger["unknown_code"] < 20

    def said(ledger: dict[str, int]) -> list[str]:
        return of_unknown_codes(safe_ledger(ledger, Records())[0])

    (sentence,) = said(ledger)
    assert "unknown_code" in sentence
    assert said({"unknown_code": 7, USED: 60}) == []
    assert said({"unknown_code": 101, USED: 0})[0].startswith("about 100 rows are left out"), "of how many, the shown ledger does not tell"


def with_stays_of(person: str, stays: int, apart: int, nights: int = 6) -> list[Row]:
    """A sound extract, and the stays of one value of the person at so many providers, days apart."""
    more = []
    for at in range(stays):
        admitted = pd.Timestamp("2014-05-01") + pd.Timedelta(days=apart * at)
        dates = (f"{admitted:%F}", f"{admitted + pd.Timedelta(days=nights):%F}")
        more.append(stay(*dates, TOKEN_PERSON_ID=person, PROCODE3=f"R{at:02d}"))
    return rows_of() + more


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.fault(
    "a marker of a missing person that is not on any list",
    "a person who is in six hospitals on one day stops the run; the value is not printed",
)
@pytest.mark.parametrize(("stays", "apart", "nights"), [(6, 1, 6), (6, 0, 0), (30, 7, 1)], ids=str)
def test_a_person_who_is_several(stays: int, apart: int, nights: int, tmp_path: Path) -> None:
    """In six hospitals at once, admitted to six on one day, or at thirty within a year."""
    problem = refusal(with_stays_of("nobody we know of", stays, apart, nights), tmp_path)
    assert problem.column == "TOKEN_PERSON_ID" and "a value of 17 characters" in problem.found
    assert "nobody" not in problem.found and ("25 providers" if stays == 30 else "5 stays on one day") in problem.found


@pytest.mark.slow
def test_a_value_of_many_strangers_in_few_rows(tmp_path: Path) -> None:
    """Thirteen stays a year across the country, never six on a day: in 39 rows of 3,600 it is nobody, in 9 too few to tell."""
    rows = [
        row | {"TOKEN_PERSON_ID": f"person {at}", "PROCODE3": f"R{at * 7 % 97:02d}", "EPIKEY": f"row {at}"} for at, row in enumerate(rows_of() * 10)
    ]

    def withheld(every: int) -> list[Row]:
        return [row | ({"TOKEN_PERSON_ID": "WITHHELD"} if at % every == 1 else {}) for at, row in enumerate(rows)]

    problem = refusal(withheld(92), tmp_path / "many")
    assert problem.column == "TOKEN_PERSON_ID" and "more than 25 providers" in problem.found and "missing of the protocol" in problem.action
    checked(withheld(400), tmp_path / "few", MONTHS)


@pytest.mark.slow
def test_a_value_of_strangers_by_which_spells_lose_their_first_episode(tmp_path: Path) -> None:
    """The cause is named, and not the share that follows from it."""

    def unknown(order: int, at: int) -> Row:
        return {"PROCODE3": f"R{at:02d}"} | ({"TOKEN_PERSON_ID": "nobody we know of"} if order > 1 and at % 2 else {})

    problem = refusal(of_several_episodes(unknown), tmp_path, most_providers=15)
    assert problem.column == "TOKEN_PERSON_ID" and "more than 15 providers" in problem.found


@pytest.mark.slow
def test_one_who_comes_on_most_days_passes(tmp_path: Path) -> None:
    """At a handful of providers."""
    days = pd.date_range("2013-05-01", "2016-02-28", freq="D")[::2]
    often = [stay(f"{day:%F}", f"{day:%F}", TOKEN_PERSON_ID="often", PROCODE3=f"R0{at % 5}") for at, day in enumerate(days)]
    checked(rows_of() + often, tmp_path, MONTHS)


def test_one_value_in_few_rows_of_a_large_extract(tmp_path: Path) -> None:
    """At 30 providers; in 300,000 rows it would be none that counts."""
    each = pd.DataFrame({"rows": [30], "at_once": [0], "providers": [30], "named": [1], "person": ["x"]})
    engine = open_engine("duckdb", tmp_path)
    kept = ibis.memtable({"person": ["x"]})
    each["person"] = kept.select(key=engine.key_of(kept.person)).to_pyarrow()["key"].to_pylist()
    with pytest.raises(DataError, match="more than 25 providers"):
        check_possible(each, engine, kept, 290_000, Records(), "extract", "TOKEN_PERSON_ID")
    check_possible(each, engine, kept, 310_000, Records(), "extract", "TOKEN_PERSON_ID")


@pytest.mark.slow
def test_a_value_that_is_too_short_for_a_person_is_printed(tmp_path: Path) -> None:
    assert "'ZZ'" in refusal(with_stays_of("ZZ", 6, 1), tmp_path).found


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize(("stays", "apart", "nights"), [(5, 1, 6), (60, 5, 2), (25, 7, 1)], ids=str)
def test_one_who_comes_often_passes(stays: int, apart: int, nights: int, tmp_path: Path) -> None:
    rows = with_stays_of("someone", stays, apart, nights)
    rows = [
        row | {"PROCODE3": f"R0{int(row['PROCODE3'][1:]) % 4}"}
        if stays == 60 and row["TOKEN_PERSON_ID"] == "someone"
        else row
        for row in rows
    ]
    checked(rows, tmp_path, MONTHS)


@pytest.mark.slow
def test_the_bounds_are_the_protocols(tmp_path: Path) -> None:
    checked(with_stays_of("someone", 30, 1), tmp_path, MONTHS, Records(most_at_once=8, most_providers=30))
    refusal(with_stays_of("someone", 4, 1), tmp_path / "fewer", most_at_once=3)


@pytest.mark.cases(quick=0, push=3)
@pytest.mark.fault(
    "persons as a spreadsheet rounds them, 1.234E+09",
    "the run stops and names the column: one number is several persons",
)
@pytest.mark.parametrize("token", ["1.234E+09", "1,2E+12", "9e+09", "1.23456E+09"])
def test_persons_in_scientific_notation(token: str, tmp_path: Path) -> None:
    problem = refusal([*rows_of(), stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID=token)], tmp_path)
    assert problem.column == "TOKEN_PERSON_ID" and "scientific notation" in problem.found and token not in problem.found


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("token", ["12345678E1234567890ABCDEF0123456", "1E10", "A+E+B", "7E+12abc"])
def test_pseudonyms_that_look_like_it_pass(token: str, tmp_path: Path) -> None:
    checked([*rows_of(), stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID=token)], tmp_path, MONTHS)


FEW: list[Row] = [
    {"ADMIMETH": "Emergency"}, {"CLASSPAT": None}, {"CCG_RESPONSIBILITY": "Q99"}, {"TOKEN_PERSON_ID": None}, {"EPIEND": "1801-01-01"},
]  # fmt: skip


@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize("change", FEW)
def test_a_few_bad_rows_are_left_to_the_ledger(change: Row, tmp_path: Path) -> None:
    """Two in a hundred, and fewer than may be shown."""
    counts = checked(rows_of(lambda year, at: change if at in (1, 61) else {}), tmp_path, MONTHS)
    ledger = ledger_of_rows(counts, MONTHS)
    assert ledger[USED] + 6 * ("TOKEN_PERSON_ID" not in change) == 3 * A_YEAR * 3 // 4


@pytest.mark.slow
def test_a_year_that_holds_a_few_long_stays_is_not_compared(tmp_path: Path) -> None:
    """The first file of an extract holds those who came the year before; nobody planned stays that long."""
    months = pd.date_range("2012-04-01", "2016-03-01", freq="MS")
    early = [
        stay("2013-03-01", "2013-04-05", TOKEN_PERSON_ID=f"early {at}", EPISTAT=1 if at < 15 else 3) for at in range(20)
    ]
    counts = checked(rows_of() + early, tmp_path, months)
    assert ledger_of_rows(counts, months)["unfinished"] == 15


@pytest.mark.slow
def test_years_outside_the_study_are_not_looked_at(tmp_path: Path) -> None:
    """Before April 2013 commissioners were primary care trusts, with other codes."""
    trusts = [
        stay("2012-06-01", "2012-06-05", TOKEN_PERSON_ID=f"pct {at}", CCG_RESPONSIBILITY="5QG") for at in range(150)
    ]
    assert ledger_of_rows(checked(rows_of() + trusts, tmp_path, MONTHS), MONTHS)["unknown_commissioner"] == 150


@pytest.mark.slow
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
    table, _ = safe_ledger(ledger, Records())
    assert pd.isna(table.rows.iloc[-1]), "or the other would follow from the total"
    assert how_many(table) == "the number of counted episodes is suppressed"
    assert table.note.to_list() == ["suppressed", "", "suppressed"]
    assert table.to_csv(index=False).splitlines()[1:3] == [
        'no_date,,suppressed,"without a date of admission, start or end, or with an impossible one"',
        'runs_backwards,0,,"ends before it starts or after the discharge, or starts before the admission"',
    ]
    assert how_many(safe_ledger({"no_date": 0, USED: 61}, Records())[0]).startswith("about 60 episodes are in admissions that are shown, and any others")


@pytest.mark.fault(
    "an extract of so few rows that every count is suppressed", "its counted rows are called suppressed, in the run's last line and in ledger.csv, and England's count is empty"
)
def test_rows_that_are_all_in_suppressed_counts_are_not_printed_as_none() -> None:
    table, hidden = safe_ledger({"no_date": 12, LATE: 0, USED: 0}, Records())
    assert table.rows.isna().to_list() == [False, True, True] and table.note.to_list() == ["", "suppressed", "suppressed"]
    assert how_many(table) == "the number of counted episodes is suppressed"
    assert not hidden.rows.any(), "which cells are suppressed is remembered elsewhere"
    table, _ = safe_ledger({"no_date": 12, LATE: 0, USED: 35}, Records())
    assert table.rows.to_list() == [10, 0, 35]
    table, _ = safe_ledger({"no_date": 0, LATE: 26, USED: 35}, Records())
    assert how_many(table).startswith("about 60 episodes") and of_late_discharges(table)[0].startswith("about 25 rows are of a stay that is used")


@pytest.mark.slow
def test_many_late_discharges_stop_the_run(tmp_path: Path) -> None:
    """In 5% of the rows the end of the last episode may be the one that is wrong."""
    problem = refusal(rows_of(lambda year, at: {"DISDATE": "2016-03-31"} if at % 20 == 1 else {}), tmp_path)
    assert problem.column == "DISDATE" and "late_discharge" in problem.found and "left out" not in problem.found and "2016" not in problem.found


@pytest.mark.slow
def test_a_few_wrongly_linked_persons_stop_no_national_extract(tmp_path: Path) -> None:
    """In many rows, one value that is in six hospitals on a day changes nothing; in few, it does."""

    def rows(others: int) -> list[dict[str, Any]]:
        wrong = [stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID="linked", PROCODE3=f"RA{n}") for n in range(6)]
        return wrong + [stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID=f"person {n}") for n in range(others)]

    months = pd.date_range("2014-05-01", periods=1, freq="MS")
    with pytest.raises(DataError, match="stands for a person"):
        checked(rows(600), tmp_path / "few", months)
    assert checked(rows(7_000), tmp_path / "many", months).total == 7_006
