"""Episodes → spells → counts, on rows whose answer is plain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from extracts import UNITS, counted, made_up, stay, write_extract
from records_in_pandas import counts_in_pandas

from analysis.protocol.schema import Records
from analysis.records.counts import LATE, USED, Counts, ledger_of_rows, linked_counts, monthly, placed, unlinked_counts
from analysis.records.engines import open_engine
from analysis.records.episodes import classified
from analysis.records.extract import find_extract
from analysis.records.synthesise import TRUTH
from analysis.records.typed import read_episodes

MONTHS = pd.date_range("2014-04-01", "2014-08-01", freq="MS")
ENGINES = ["duckdb", pytest.param("spark", marks=pytest.mark.spark)]
Row = dict[str, Any]


def tabulated(counts: Counts) -> pd.DataFrame:
    """Outcomes by unit and month."""
    return monthly(placed(counts, UNITS, {}), MONTHS, {"unit": sorted(set(UNITS.values()))})


def answer(rows: list[Row], tmp_path: Path, engine: str = "duckdb") -> tuple[pd.Series, dict[str, int]]:
    """Outcome → total, and the ledger without its zeros."""
    counts = counted(write_extract(rows, tmp_path / "in"), tmp_path / "private", engine)
    ledger = ledger_of_rows(placed(counts, UNITS, {}), MONTHS)
    return tabulated(counts).sum(), {reason: count for reason, count in ledger.items() if count}


def assert_same(one: Counts, other: Counts) -> None:
    """The same counts, in whatever order, and the same rows under the same reasons."""
    for name in ("arrivals", "departures"):
        tables = [getattr(counts, name).sort_values(["code", "day"], ignore_index=True) for counts in (one, other)]
        pd.testing.assert_frame_equal(*tables, check_dtype=False)
    assert dict.fromkeys(other.rows, 0) | one.rows == dict.fromkeys(one.rows, 0) | other.rows
    assert one.total == other.total


@pytest.mark.slow
def test_a_stay_of_two_nights(tmp_path: Path) -> None:
    totals, ledger = answer([stay("2014-05-10", "2014-05-12")], tmp_path)
    assert totals.to_dict() == {
        "ambulatory_care_sensitive": 0, "emergency_admissions": 1, "emergency_bed_days": 2, "emergency_bed_days_by_day": 2,
        "emergency_longer": 1, "emergency_zero_day": 0,
    }  # fmt: skip
    assert ledger == {USED: 1}


@pytest.mark.slow
def test_days_fall_in_the_month_in_which_the_night_begins(tmp_path: Path) -> None:
    rows = [stay("2014-05-30", "2014-06-02")]
    by_month = tabulated(counted(write_extract(rows, tmp_path / "in"), tmp_path / "private")).loc["00A"]
    assert by_month.emergency_bed_days.to_list() == [0, 3, 0, 0, 0]
    assert by_month.emergency_bed_days_by_day.to_list() == [0, 2, 1, 0, 0]


@pytest.mark.slow
def test_episodes_of_one_spell_are_one_admission(tmp_path: Path) -> None:
    first = stay("2014-05-10", None, EPIEND="2014-05-11")
    second = stay("2014-05-10", "2014-05-15", EPISTART="2014-05-11", EPIORDER=2, DIAG_01="J45")
    totals, ledger = answer([first, second], tmp_path)
    assert (totals.emergency_admissions, totals.emergency_bed_days, totals.ambulatory_care_sensitive) == (1, 5, 0)
    assert ledger == {USED: 2}


@pytest.mark.cases(quick=2, push=3)
@pytest.mark.parametrize(
    ("gap", "other", "admissions", "nights"),
    [
        ("2014-05-12", {"ADMIMETH": "81"}, 1, 6),
        ("2014-05-14", {"ADMIMETH": "2B"}, 1, 6),
        ("2014-05-14", {"ADMISORC": "51"}, 1, 6),
        ("2014-05-15", {"ADMISORC": "51"}, 2, 5),  # three days later
        ("2014-05-12", {}, 2, 8),  # the same day, and no transfer
        ("2014-05-11", {}, 1, 6),  # while the first goes on
    ],
)  # fmt: skip
def test_a_sequel_elsewhere(gap: str, other: Row, admissions: int, nights: int, tmp_path: Path) -> None:
    rows = [
        stay("2014-05-10", "2014-05-12"),
        stay(gap, "2014-05-16", PROCODE3="RBB", CCG_RESPONSIBILITY="00B", **other),
    ]
    totals, ledger = answer(rows, tmp_path)
    expected = nights if admissions == 1 else 2 + (pd.Timestamp("2014-05-16") - pd.Timestamp(gap)).days
    assert (totals.emergency_admissions, totals.emergency_bed_days) == (admissions, expected)
    assert ledger == {USED: 2}


LEFT_OUT: list[tuple[Row, str]] = [
    ({"EPISTAT": 1, "EPIEND": None, "DISDATE": None}, "unfinished"),
    ({"ADMIDATE": "1800-01-01"}, "no_date"),
    ({"EPISTART": None}, "no_date"),
    ({"EPIEND": "1801-01-01"}, "no_date"),
    ({"EPIEND": "2014-05-09"}, "runs_backwards"),
    ({"DISDATE": "2014-05-01"}, "runs_backwards"),
    ({"EPISTART": "2014-05-08"}, "runs_backwards"),
    ({"ADMIMETH": "11"}, "not_emergency"),
    ({"CLASSPAT": "2"}, "other_class"),
    ({"EPISTAT": 9}, "unknown_code"),
    ({"ADMIMETH": None}, "unknown_code"),
    ({"ADMIMETH": "EMERG"}, "unknown_code"),
    ({"CLASSPAT": "7"}, "unknown_code"),
    ({"CLASSPAT": None}, "unknown_code"),
    ({"ADMIMETH": "11", "CLASSPAT": None}, "not_emergency"),
    ({"EPIORDER": 2}, "no_first_episode"),
    ({"ADMIMETH": "81"}, "transfer_alone"),
    ({"CCG_RESPONSIBILITY": "7A3"}, "outside_england"),
    ({"CCG_RESPONSIBILITY": "Q99"}, "unknown_commissioner"),
    ({"CCG_RESPONSIBILITY": None}, "unknown_commissioner"),
    ({"ADMIDATE": "2013-05-10", "EPISTART": "2013-05-10", "EPIEND": "2013-05-11", "DISDATE": "2013-05-11"}, "outside_window"),
]  # fmt: skip


@pytest.mark.slow
def test_each_reason_is_counted(tmp_path: Path) -> None:
    good = stay("2014-06-10", "2014-06-12", TOKEN_PERSON_ID="b")
    usual = stay("2014-05-10", "2014-05-12")
    rows = [{**usual, "TOKEN_PERSON_ID": f"person {at}", **change} for at, (change, _) in enumerate(LEFT_OUT)]
    totals, ledger = answer([good, *rows], tmp_path)
    assert totals.emergency_admissions == 1
    assert ledger == {USED: 1} | Counter(reason for _, reason in LEFT_OUT)


@pytest.mark.slow
def test_a_discharge_of_1800_or_1801_is_none(tmp_path: Path) -> None:
    """HES has them for null and for invalid: the spell ends with its last episode."""
    rows = [
        stay("2014-05-10", no_date, EPIEND="2014-05-13", TOKEN_PERSON_ID=no_date) for no_date in ("1800-01-01", "1801-01-01")
    ]  # fmt: skip
    totals, ledger = answer(rows, tmp_path)
    assert (totals.emergency_admissions, totals.emergency_bed_days) == (2, 6) and ledger == {USED: 2}


@pytest.mark.cases(quick=0, push=4)
@pytest.mark.fault(
    "a date of discharge that is years too late, where the ends of the episodes are right",
    "the stay ends with its last episode; ledger.csv has such rows as late_discharge, and many of them stop the run",
)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("left", "late"), [("2014-05-13", 0), ("2014-05-14", 1), ("2015-05-12", 1), ("2018-05-12", 1)])
def test_a_discharge_after_the_last_episode_adds_no_night(left: str, late: int, engine: str, tmp_path: Path) -> None:
    """Nor does it join the person's next stay; its rows are counted as such, duplicates apart."""
    wrong = stay("2014-05-10", left, EPIEND="2014-05-12")
    rows = [wrong, wrong, stay("2014-06-10", "2014-06-12")]
    totals, ledger = answer(rows, tmp_path, engine)
    assert (totals.emergency_admissions, totals.emergency_bed_days, totals.emergency_bed_days_by_day) == (2, 4, 4)
    assert ledger == Counter({"duplicate": 1, LATE: late, USED: 2 - late}) - Counter()


@pytest.mark.slow
def test_a_discharge_on_every_episode_is_that_of_the_last(tmp_path: Path) -> None:
    """Some extracts repeat it. Where the last episode is missing, as at the end of an extract, the stay ends with the last that is there."""
    first = stay("2014-05-10", "2014-05-15", EPIEND="2014-05-11")
    last = stay("2014-05-10", "2014-05-15", EPISTART="2014-05-11", EPIORDER=2)
    totals, ledger = answer([first, last, {**first, "TOKEN_PERSON_ID": "b"}], tmp_path)
    assert (totals.emergency_admissions, totals.emergency_bed_days) == (2, 6)
    assert ledger == {USED: 2, LATE: 1}


@pytest.mark.slow
def test_a_duplicate_is_counted_once(tmp_path: Path) -> None:
    row = stay("2014-05-10", "2014-05-12")
    totals, ledger = answer([row, row, row], tmp_path)
    assert totals.emergency_admissions == 1 and ledger == {USED: 1, "duplicate": 2}


@pytest.mark.slow
def test_rows_without_a_person_stand_alone(tmp_path: Path) -> None:
    row = stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID=None)
    totals, ledger = answer([row, row], tmp_path)
    assert totals.emergency_admissions == 2 and ledger == {USED: 2}


def test_age_bands_where_asked(tmp_path: Path) -> None:
    rows = [stay("2014-05-10", "2014-05-12", STARTAGE=age, TOKEN_PERSON_ID=str(age)) for age in (7003, 17, 64, 85, 101)]
    counts = counted(write_extract(rows, tmp_path / "in"), tmp_path / "private", rules=Records(by_age=True))
    table = monthly(placed(counts, UNITS, {}), MONTHS, {"unit": ["00A"], "age_band": [0, 18, 65, 75, 85]})
    assert table.emergency_admissions.groupby("age_band").sum().to_dict() == {0: 2, 18: 1, 65: 0, 75: 0, 85: 2}
    assert table.emergency_bed_days_by_day.groupby("age_band").sum().to_dict() == {0: 4, 18: 2, 65: 0, 75: 0, 85: 4}


@pytest.mark.slow
def test_networks_of_practices_where_asked(tmp_path: Path) -> None:
    """The practice is that of the first episode; practices that no network names are counted by commissioner alone."""
    rows = [
        stay("2014-05-10", None, EPIEND="2014-05-11", GPPRAC="A81001"),
        stay("2014-05-10", "2014-05-15", EPISTART="2014-05-11", EPIORDER=2, GPPRAC="A81009"),
        stay("2014-05-10", "2014-05-12", GPPRAC="A81002", TOKEN_PERSON_ID="b", CCG_RESPONSIBILITY="00B"),
        stay("2014-05-10", "2014-05-12", GPPRAC="A81009", TOKEN_PERSON_ID="c"),
        stay("2014-05-10", "2014-05-12", GPPRAC=None, TOKEN_PERSON_ID="d"),
    ]
    networks = {"A81001": "North", "A81002": "North", "A81003": "South"}
    counts = counted(write_extract(rows, tmp_path / "in"), tmp_path / "private", practices=networks)
    places = placed(counts, UNITS, networks)
    table = monthly(places, MONTHS, {"network": ["North", "South"]})
    assert table.emergency_admissions.groupby("network").sum().to_dict() == {"North": 2, "South": 0}
    assert table.emergency_bed_days.groupby("network").sum().to_dict() == {"North": 7, "South": 0}
    assert table.emergency_bed_days_by_day.groupby("network").sum().to_dict() == {"North": 7, "South": 0}
    assert tabulated(counts).emergency_admissions.sum() == 4


@pytest.mark.slow
def test_csv_and_parquet_give_the_same(tmp_path: Path) -> None:
    rows = [stay("2014-05-10", "2014-05-12"), stay("2014-05-20", None, EPIEND="2014-05-21", TOKEN_PERSON_ID="b")]
    found = [
        counted(write_extract(rows, tmp_path / kind, f"part.{kind}"), tmp_path / "private")
        for kind in ("csv", "parquet")
    ]
    assert_same(*found)


@pytest.mark.slow
def test_the_ledger_finds_the_planted_dirt(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "made-up", 60_000)
    truth = pd.read_json(folder / TRUTH, typ="series")
    codes = {f"{n:02d}A": f"{n:02d}A" for n in range(12)}
    counts = counted(folder, tmp_path / "private")
    ledger = ledger_of_rows(placed(counts, codes, {}), pd.date_range("2013-04-01", "2018-03-01", freq="MS"))
    assert sum(ledger.values()) == 60_000
    planted = {"unfinished": "unfinished", "no_date": "no_date", "runs_backwards": "runs_backwards",
               "outside_england": "outside_england", "unknown_commissioner": "unknown_commissioner"}  # fmt: skip
    assert {reason: ledger[reason] for reason in planted} == {
        reason: truth.dirt[kind] for reason, kind in planted.items()
    }
    assert 0 <= ledger["duplicate"] - truth.dirt["duplicate"] <= 3  # two stays of one day may look alike by chance


@pytest.mark.nightly
def test_buckets_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_up(tmp_path / "made-up", 30_000)
    whole = counted(folder, tmp_path / "private")
    monkeypatch.setattr("analysis.records.engines.BUCKET_ROWS", 2_000)
    parts = counted(folder, tmp_path / "private")
    assert_same(whole, parts)
    assert not (tmp_path / "private/store").exists(), "rows of patients are not left behind"


@pytest.mark.slow
def test_one_pass_without_links(tmp_path: Path) -> None:
    rows = [
        stay("2014-05-10", "2014-05-12"),
        stay("2014-05-10", "2014-05-12"),
        stay("2014-05-12", "2014-05-12", ADMIMETH="81"),
    ]
    folder = write_extract(rows, tmp_path / "in")
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
    counts = unlinked_counts(classified(read_episodes(engine.read(source), source), Records()))
    totals, ledger = tabulated(counts).sum(), ledger_of_rows(placed(counts, UNITS, {}), MONTHS)
    assert (totals.emergency_admissions, totals.emergency_bed_days, totals.emergency_zero_day) == (2, 4, 0)
    assert "emergency_bed_days_by_day" not in totals and ledger[USED] == 3


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_call_makes_up_the_same_extract(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.records.synthesise.PART_ROWS", 5_000)
    folder = made_up(tmp_path / "made-up", 12_000, workers)
    again = made_up(tmp_path / "again", 12_000)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert files == sorted(path.relative_to(again) for path in again.rglob("*.*")) and len(files) > 12
    assert all((folder / file).read_bytes() == (again / file).read_bytes() for file in files)


@pytest.mark.spark
def test_spark_counts_the_same(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "made-up", 200_000)
    assert_same(*(counted(folder, tmp_path / engine, engine) for engine in ("duckdb", "spark")))


@pytest.mark.slow
def test_pandas_finds_the_same(tmp_path: Path) -> None:
    """The definitions written a second time, without Ibis."""
    folder = made_up(tmp_path / "made-up", 40_000)
    changes: list[Row] = [
        {"EPISTAT": 9},
        {"ADMIMETH": "EMERG"},
        {"ADMIMETH": None},
        {"CLASSPAT": "7"},
        {"CLASSPAT": None},
        {"DISDATE": "2015-05-12"},
    ]
    write_extract([stay("2014-05-10", "2014-05-12", **change) for change in changes], folder, "unknown.parquet")
    counts = counted(folder, tmp_path / "private")
    assert_same(counts, counts_in_pandas(folder))
    assert counts.rows["unknown_code"] == len(changes) - 1 and counts.arrivals.late.sum() == 1


@pytest.mark.slow
def test_a_table_of_a_database(tmp_path: Path) -> None:
    folder = write_extract([stay("2014-05-10", "2014-05-12"), stay("2014-05-10", "2014-05-12")], tmp_path / "in")
    database = tmp_path / "hospital.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"create table episodes as select * from '{folder}/part.parquet'")
    source = find_extract(f"duckdb://{database}#episodes", {})
    engine = open_engine("duckdb", tmp_path / "private", url=source.url)
    counts = linked_counts(engine, classified(read_episodes(engine.read(source), source), Records()))
    assert counts.arrivals.admissions.sum() == 1 and counts.rows["duplicate"] == 1
