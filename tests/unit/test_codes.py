"""Forms of codes and dates that extracts have, read as what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from extracts import UNITS, counted, stay, write_extract

from analysis.protocol.schema import Records
from analysis.records.codes import commissioner_of
from analysis.records.counts import USED, ledger_of_rows, monthly, placed

MONTHS = pd.date_range("2014-04-01", "2014-08-01", freq="MS")
Row = dict[str, Any]
ENGINES = ["duckdb", pytest.param("spark", marks=pytest.mark.spark)]
AT_NIGHT = ["duckdb", pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.nightly])]


def answer(
    rows: list[Row], folder: Path, engine: str = "duckdb", rules: Records | None = None
) -> tuple[pd.Series, dict[str, int]]:
    """Outcome → total, and the ledger without its zeros."""
    counts = placed(counted(write_extract(rows, folder / "in"), folder / "private", engine, rules), UNITS, {})
    ledger = ledger_of_rows(counts, MONTHS)
    totals = monthly(counts, MONTHS, {"unit": sorted(set(UNITS.values()))}).sum()
    return totals, {reason: count for reason, count in ledger.items() if count}


def persons(changes: list[Row]) -> list[Row]:
    """A stay of two nights for each change, of a person of its own."""
    return [
        {**stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID=f"person {at}"), **change}
        for at, change in enumerate(changes)
    ]


@pytest.mark.fault(
    "commissioners written 05C00, 05c or with a site, providers with a site (RBA01, RBA00)",
    "the organisation is read; other forms are unknown, and named where they are many",
)
def test_commissioners_are_read_in_the_forms_they_have() -> None:
    forms = {"05C": "05C", "05C00": "05C", "05c00": "05C", "05C01": "05C", "05c": "05C"}
    others = {
        "05CXYZ": "05CXYZ",
        "QHM": "QHM",
        "7a1": "7A1",
        "ZT001": "ZT001",
        "99999": "99999",
        "E38000001": "E38000001",
        "": "",
    }
    codes = pd.Series([*forms, *others])
    assert commissioner_of(codes, {"05C"}).to_list() == [*forms.values(), *others.values()]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_each_form_of_a_commissioner_is_counted(engine: str, tmp_path: Path) -> None:
    forms = ["00A", "00A00", "00a", "00a00", "00A01", "7A1", "7a100", "X24", "Q99", "00AXY1", "5QG00", None]
    _, ledger = answer(persons([{"CCG_RESPONSIBILITY": form} for form in forms]), tmp_path, engine)
    assert ledger == {USED: 5, "outside_england": 3, "unknown_commissioner": 4}


@pytest.mark.cases(quick=0, push=5)
@pytest.mark.parametrize("engine", AT_NIGHT)
@pytest.mark.parametrize(
    ("first", "second", "spells"),
    [
        ("RBA", "RBA01", 1), ("RBA00", "rba02", 1), ("NT2", "NT201", 1), ("AXG", "AXG00", 1), ("8A101", "8a101", 1),
        ("RBA01", "RBB01", 2), ("8A101", "8A102", 2), ("A1B2C", "A1B3D", 2),
    ],
)  # fmt: skip
def test_sites_of_a_provider_are_one_provider(
    first: str, second: str, spells: int, engine: str, tmp_path: Path
) -> None:
    """The second episode is no admission of its own; without its first one it falls out."""
    rows = [
        stay("2014-05-10", None, EPIEND="2014-05-11", PROCODE3=first),
        stay("2014-05-10", "2014-05-15", EPISTART="2014-05-11", EPIORDER=2, PROCODE3=second),
    ]
    totals, ledger = answer(rows, tmp_path, engine)
    assert totals.emergency_bed_days == (5 if spells == 1 else 1)
    assert ledger == ({USED: 2} if spells == 1 else {USED: 1, "no_first_episode": 1})


@pytest.mark.parametrize("engine", AT_NIGHT)
def test_lower_case_methods_and_points_in_diagnoses(engine: str, tmp_path: Path) -> None:
    _, ledger = answer(
        persons([{"ADMIMETH": method} for method in ("2a", "2A", "2d", "2b")]), tmp_path / "methods", engine
    )
    assert ledger == {USED: 4}
    listed = ["J45.9", "j459", "J459", "I11.0", "i11.0", "I110", "I10X", "J45-", "I50.9D", "D50.1 Dysphagia"]
    others = ["J18.9", "J189X", "J189D", "j189", "D500", "D50.0", None]
    totals, _ = answer(persons([{"DIAG_01": code} for code in [*listed, *others]]), tmp_path / "diagnoses", engine)
    assert totals.ambulatory_care_sensitive == len(listed)


@pytest.mark.slow
def test_ages_that_are_none_and_branches_of_practices(tmp_path: Path) -> None:
    ages = {7001: 0, 7007: 0, 0: 0, 120: 85, 121: -1, 999: -1, 7000: -1, 7008: -1, -1: -1, 9999: -1}
    folder = write_extract(persons([{"STARTAGE": age} for age in ages]), tmp_path / "in")
    arrivals = counted(folder, tmp_path / "private", rules=Records(by_age=True)).arrivals
    assert arrivals.groupby("age_band").admissions.sum().to_dict() == pd.Series(ages).value_counts().to_dict()
    codes = ["A81001", "a81001", "A81001001", "A81002", "V81999", None]
    folder = write_extract(persons([{"GPPRAC": code} for code in codes]), tmp_path / "practices")
    arrivals = counted(folder, tmp_path / "private", practices=["A81001"]).arrivals
    assert arrivals.groupby("practice").admissions.sum().to_dict() == {"A81001": 3, "": 3}


NO_END = ["1800-01-01", "1801-01-01", "1582-10-15", "2045-01-01", "2099-12-31", "9999-12-31", None]


@pytest.mark.slow
@pytest.mark.fault(
    "a discharge of 9999-12-31, 2099 or 2045 for a stay that goes on",
    "it is no date: the stay ends with its last episode",
)
@pytest.mark.parametrize("engine", AT_NIGHT)
def test_a_discharge_that_is_no_date(engine: str, tmp_path: Path) -> None:
    rows = [{**row, "DISDATE": end} for row, end in zip(persons([{}] * len(NO_END)), NO_END, strict=True)]
    totals, ledger = answer(rows, tmp_path, engine)
    assert (totals.emergency_admissions, totals.emergency_bed_days) == (len(NO_END), 2 * len(NO_END))
    assert ledger == {USED: len(NO_END)}


@pytest.mark.slow
@pytest.mark.parametrize("column", ["ADMIDATE", "EPISTART", "EPIEND"])
def test_other_dates_out_of_bounds_are_none_too(column: str, tmp_path: Path) -> None:
    changes: list[Row] = [{column: date} for date in ("1582-10-15", "2031-01-01", "2099-12-31", "9999-12-31")]
    _, ledger = answer(persons([{}, *changes]), tmp_path)
    assert ledger == {USED: 1, "no_date": 4}


@pytest.mark.slow
@pytest.mark.fault(
    "a discharge years after the last episode of a short stay",
    "a stay longer than the protocol's bound is in the ledger as too_long, and swallows no later stay of the person",
)
@pytest.mark.parametrize("engine", AT_NIGHT)
def test_a_stay_that_is_too_long(engine: str, tmp_path: Path) -> None:
    rows = [
        stay("2014-05-10", "2024-05-10"),
        stay("2014-06-10", "2014-06-11"),
        stay("2014-05-10", "2019-05-10", TOKEN_PERSON_ID="five years to the day"),
        stay("1994-05-10", "2014-05-12", TOKEN_PERSON_ID="twenty years", EPISTART="2014-05-10"),
    ]
    totals, ledger = answer(rows, tmp_path / "usual", engine)
    assert (totals.emergency_admissions, totals.emergency_bed_days) == (2, 1 + 1826) and ledger == {
        USED: 2,
        "too_long": 2,
    }
    totals, ledger = answer(rows, tmp_path / "shorter", engine, Records(longest_stay=365))
    assert totals.emergency_bed_days == 1 and ledger == {USED: 1, "too_long": 3}


@pytest.mark.slow
@pytest.mark.fault("episodes with neither a person nor a key", "strangers stay strangers")
@pytest.mark.parametrize("engine", AT_NIGHT)
def test_rows_without_person_and_key_are_not_one_person(engine: str, tmp_path: Path) -> None:
    rows = [
        stay("2014-05-10", "2014-05-20", TOKEN_PERSON_ID=None, EPIKEY=None),
        stay("2014-05-12", "2014-05-15", TOKEN_PERSON_ID=None, EPIKEY=None, PROCODE3="RBB"),
        stay("2014-05-10", "2014-05-20", TOKEN_PERSON_ID=None, EPIKEY=None, CCG_RESPONSIBILITY="00B"),
    ]
    totals, ledger = answer(rows, tmp_path, engine)
    assert (totals.emergency_admissions, totals.emergency_bed_days) == (3, 23) and ledger == {USED: 3}
