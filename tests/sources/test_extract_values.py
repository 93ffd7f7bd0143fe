"""What the cells of an extract become: text without blanks at its ends, calendar dates, whole numbers; or a refusal that names the cell."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extracts import stay, write_extract
from reading import EVERY_MONTH, as_csv, refusal, typed

from analysis.core.errors import DataError
from analysis.protocol.protocol import Protocol
from analysis.records.cells import cell as refused
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.records.typed import tidy_codes

LONDON = ZoneInfo("Europe/London")
DATES = ["ADMIDATE", "DISDATE", "EPISTART", "EPIEND"]


def values(column: str, cells: list[Any], tmp_path: Path, kind: str = "csv") -> list[Any]:
    """What a column of these cells is read as."""
    rows = [stay("2014-05-10", "2014-05-12", **{column: cell}) for cell in cells]
    folder = tmp_path / kind
    folder.mkdir()
    if kind == "csv":
        (folder / "part.csv").write_text(as_csv(rows), encoding="utf-8")
    else:
        write_extract([stay("2014-05-10", "2014-05-12")] * len(cells), folder)
        table = pd.read_parquet(folder / "part.parquet").assign(**{column: cells})
        table.to_parquet(folder / "part.parquet", index=False)
    read = typed(folder, tmp_path / "private")[column]
    return [None if pd.isna(value) else value for value in read]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault("codes with blanks, tabs, no-break blanks or NULs at their ends", "they are trimmed")
def test_text_is_trimmed(kind: str, tmp_path: Path) -> None:
    cells = ["21 ", " 21", "21\t", "\u00a021\u00a0", "21\x00", "21\x00\x00 ", "\ufeff21", "21", "2 1"]
    assert values("ADMIMETH", cells, tmp_path, kind) == ["21"] * 8 + ["2 1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "column", ["TOKEN_PERSON_ID", "PROCODE3", "CCG_RESPONSIBILITY", "CLASSPAT", "ADMISORC", "DIAG_01"]
)
def test_every_text_column_is_trimmed(column: str, tmp_path: Path) -> None:
    assert values(column, ["A7 ", "\tA7"], tmp_path) == ["A7", "A7"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.fault(
    "a person of -, &, NULL, NA or another marker of a missing value", "a row without a person, which stands alone"
)
def test_markers_of_missing_values(kind: str, tmp_path: Path) -> None:
    cells = [
        "-",
        " - ",
        "&",
        "NULL",
        "null",
        "Null",
        "NA",
        "n/a",
        "N/A",
        ".",
        "",
        "\\N",
        "NaN",
        "None",
        "?",
        "Unknown",
        "<NA>",
        "[NULL]",
        "#NULL!",
        "*",
        "NaT",
        "Not available",
        "not stated",
        "nullable",
        "a-",
    ]
    assert values("TOKEN_PERSON_ID", cells, tmp_path, kind) == [None] * 23 + ["nullable", "a-"]


def test_what_is_no_pseudonym(tmp_path: Path) -> None:
    cells = [
        "0",
        "0000000000",
        "00000000-0000-0000-0000-000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "-1",
        "9999999999",
        "XXXXXXXX",
        "xxxxxxxx",
        "--------",
        "0.0",
        "0,00",
        "-9",
        "-99.0",
        "N",
        "nk",
        "1234567890",
        "0123456789",
    ]
    cells += [
        "UNKNOWN PATIENT",
        "no_person",
        "#VALUE!",
        "d41d8cd98f00b204e9800998ecf8427e",
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
    ]
    cells += ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
    tokens = ["11", "999", "10000000", "X", "1234567891", "0.1", "d41d8cd98f00b204e9800998ecf8427f", "N1"]
    assert values("TOKEN_PERSON_ID", [*cells, *tokens], tmp_path, "parquet") == [None] * len(cells) + tokens


def test_codes_that_mean_not_known_are_codes(tmp_path: Path) -> None:
    assert values("ADMIMETH", ["99", "98", "9", "X", "0"], tmp_path) == ["99", "98", "9", "X", "0"]


@pytest.mark.slow
def test_missing_dates_and_numbers(tmp_path: Path) -> None:
    assert values("DISDATE", ["-", "NULL", " ", "2014-05-12 "], tmp_path) == [None, None, None, dt.date(2014, 5, 12)]
    (tmp_path / "csv").rename(tmp_path / "dates")
    assert values("EPIORDER", ["-", "NULL", " ", "2 "], tmp_path) == [None, None, None, 2]


@pytest.mark.slow
def test_the_protocol_names_further_markers(tmp_path: Path, protocol: Protocol) -> None:
    rows = [{**EVERY_MONTH[0], "DISDATE": "n.b.", "PROCODE3": "(none)"}, *EVERY_MONTH[1:]]
    (tmp_path / "part.csv").write_text(as_csv(rows), encoding="utf-8")
    assert refusal(tmp_path / "part.csv", tmp_path / "private", protocol).column == "DISDATE"
    read = typed(tmp_path / "part.csv", tmp_path / "private", protocol, missing=["n.b.", "(NONE)"]).iloc[0]
    assert pd.isna(read.DISDATE) and pd.isna(read.PROCODE3)


@pytest.mark.slow
def test_a_tidy_column_is_left_as_it_is(tmp_path: Path) -> None:
    """The code that finds it out agrees with the code that trims."""
    tidy = {}
    for name, codes in {
        "tidy": ["21", "2A"],
        "untidy": ["21", "21 "],
        "marked": ["21", "&"],
        "none": ["21", None],
    }.items():
        folder = write_extract([stay("2014-05-10", "2014-05-12", ADMIMETH=code) for code in codes], tmp_path / name)
        source, engine = find_extract(str(folder), {}), open_engine("duckdb", tmp_path / "private")
        tidy[name] = "ADMIMETH" in tidy_codes(engine.read(source), source)
    assert tidy == {"tidy": True, "untidy": False, "marked": False, "none": True}


@pytest.mark.cases(quick=0, push=8)
@pytest.mark.parametrize(
    "cell",
    [
        "2014-05-10", "2014-05-10 00:00:00", "2014-05-10T00:00:00", "2014-05-10 00:00", "2014-05-10 00:00:00.000", "2014-05-10T13:45:10",
        "2014-05-10T00:00:00Z", "2014-05-10T00:00:00+01:00", "2014-05-10 00:00:00 UTC", "2014-05-10 00:00:00.0000000 +01:00",
    ],
)  # fmt: skip
def test_known_forms_of_a_date(cell: str, tmp_path: Path) -> None:
    assert values("ADMIDATE", [cell], tmp_path) == [dt.date(2014, 5, 10)]


NO_DATES = [
    "2015-02-30", "2015-02-29", "2100-02-29", "2014-13-01", "2014-00-10", "2014-06-31", "2014-05-10Z", "2014-06-09T23:00:00Z", "10/05/2014", "20140510",
    "2014-5-1", "2014-05-10x", "2014-05-10 25", "2014-05-10 24:00", "2014-05-10T23:60:00", "May 2014",
]  # fmt: skip


@pytest.mark.cases(quick=0, push=5)
@pytest.mark.parametrize("cell", NO_DATES)
@pytest.mark.fault(
    "a date that does not exist, as 30 February",
    "the run stops before it counts, and names file, line, column and the cell, or its form where it may be a patient's",
)
def test_dates_that_do_not_exist_are_refused(cell: str, tmp_path: Path, protocol: Protocol) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "2013.csv").write_text(as_csv(EVERY_MONTH), encoding="utf-8")
    rows = [EVERY_MONTH[0], {**EVERY_MONTH[1], "DISDATE": cell}]
    (folder / "2014.csv").write_text(as_csv(rows), encoding="utf-8")
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and problem.found == refused("DISDATE", cell) and "without a time zone" in problem.action
    assert (Path(problem.file).name, problem.row, problem.column) == ("2014.csv", 3, "DISDATE")


def test_leap_days_exist(tmp_path: Path) -> None:
    assert values("ADMIDATE", ["2016-02-29", "2000-02-29"], tmp_path) == [dt.date(2016, 2, 29), dt.date(2000, 2, 29)]


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "number"), [("1", 1), ("01", 1), ("1.0", 1), ("+1", 1), ("999999999", 999999999)])
def test_known_forms_of_a_number(cell: str, number: int, tmp_path: Path) -> None:
    assert values("EPIORDER", [cell], tmp_path) == [number]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["99999999999", "1e3", "1.5", "first", "1 2", "0x1", "١"])
@pytest.mark.fault(
    "a number out of range, or with a fraction",
    "the run stops before it counts, and names file, line, column and the cell, or its form where it may be a patient's",
)
def test_numbers_out_of_range_are_refused(cell: str, tmp_path: Path, protocol: Protocol) -> None:
    rows = [*EVERY_MONTH, {**EVERY_MONTH[1], "EPIORDER": cell}]
    (tmp_path / "part.csv").write_text(as_csv(rows), encoding="utf-8")
    problem = refusal(tmp_path / "part.csv", tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and problem.found == refused("EPIORDER", cell)
    assert (Path(problem.file).name, problem.row, problem.column) == ("part.csv", 62, "EPIORDER")


@pytest.mark.slow
@pytest.mark.parametrize("order", [99_999_999_999, 1.5, float("inf"), 1e12], ids=str)
def test_numbers_of_parquet_out_of_range(order: Any, tmp_path: Path, protocol: Protocol) -> None:
    folder = write_extract(EVERY_MONTH, tmp_path / "in")
    write_extract(EVERY_MONTH[:2], folder, "two.parquet")
    pd.read_parquet(folder / "two.parquet").assign(EPIORDER=[1, order]).to_parquet(folder / "two.parquet", index=False)
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and problem.column == "EPIORDER" and Path(problem.file).name == "two.parquet"


@pytest.mark.slow
def test_whole_numbers_that_are_stored_with_a_fraction(tmp_path: Path) -> None:
    """As pandas stores codes and numbers of which some are missing."""
    assert values("EPIORDER", [1.0, float("nan"), 2.0], tmp_path, "parquet") == [1, None, 2]
    (tmp_path / "parquet").rename(tmp_path / "orders")
    assert values("ADMISORC", [19.0, None, 51.0], tmp_path, "parquet") == ["19", None, "51"]


def with_instants(kind: pa.DataType, tmp_path: Path, zone: ZoneInfo | None = LONDON, **write: Any) -> pd.DataFrame:
    """The dates of two stays, one in summer, written as midnights of London."""
    folder = write_extract([stay("2014-06-10", "2014-06-12"), stay("2014-01-10", None)], tmp_path / "in")
    table = pq.read_table(folder / "part.parquet")
    for name in DATES:
        days = [
            day and dt.datetime(day.year, day.month, day.day, tzinfo=zone or dt.UTC) for day in table[name].to_pylist()
        ]
        seconds = pa.array([day and int(day.timestamp()) for day in days], pa.timestamp("s", kind.tz))
        table = table.set_column(table.column_names.index(name), name, seconds.cast(kind))
    pq.write_table(table, folder / "part.parquet", **write)
    return typed(folder, tmp_path / "private")


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def machine_elsewhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """A machine whose clock is set to another time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.slow
@pytest.mark.usefixtures("machine_elsewhere")
@pytest.mark.parametrize(
    "kind",
    [pa.timestamp("us", "Europe/London"), pa.timestamp("ms", "Europe/London"), pa.timestamp("ns", "Europe/London"), pa.timestamp("s", "GB")],
    ids=str,
)  # fmt: skip
@pytest.mark.fault(
    "Parquet timestamps with a time zone, wherever the machine is", "the date is the one in the column's zone"
)
def test_an_instant_is_of_the_day_in_its_zone(kind: pa.DataType, tmp_path: Path) -> None:
    read = with_instants(kind, tmp_path)
    assert read.ADMIDATE.tolist() == [dt.date(2014, 6, 10), dt.date(2014, 1, 10)]
    assert read.DISDATE.tolist() == [dt.date(2014, 6, 12), None]


@pytest.mark.cases(quick=0, push=8)
@pytest.mark.usefixtures("machine_elsewhere")
@pytest.mark.parametrize(
    ("zone", "fixed"), [("+01:00", dt.timezone(dt.timedelta(hours=1))), ("-05:30", dt.timezone(-dt.timedelta(hours=5, minutes=30))), ("UTC", dt.UTC), ("Asia/Kolkata", ZoneInfo("Asia/Kolkata")), (None, None)],
    ids=str,
)  # fmt: skip
def test_offsets_and_clocks_without_a_zone(zone: str | None, fixed: Any, tmp_path: Path) -> None:
    for unit in ("us", "ns"):
        read = with_instants(pa.timestamp(unit, zone), tmp_path / unit, fixed)
        assert read.ADMIDATE.tolist() == [dt.date(2014, 6, 10), dt.date(2014, 1, 10)]


def test_an_instant_in_a_dictionary(tmp_path: Path) -> None:
    read = with_instants(pa.timestamp("us", "Europe/London"), tmp_path, use_dictionary=True)
    assert read.ADMIDATE.tolist() == [dt.date(2014, 6, 10), dt.date(2014, 1, 10)]


def test_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    folder = write_extract([stay("2014-06-10", "2014-06-12")], tmp_path / "in")
    table = pq.read_table(folder / "part.parquet")
    day = pa.array([0], pa.timestamp("us", "Mars/Olympus"))
    pq.write_table(table.set_column(table.column_names.index("DISDATE"), "DISDATE", day), folder / "part.parquet")
    problem = refusal(folder, tmp_path / "private")
    assert isinstance(problem, DataError) and problem.column == "DISDATE" and "Mars/Olympus" in problem.found


UTC_CLOCK = "%Y-%m-%d %H:%M:%S"
MANY = [stay(f"{day:%Y-%m-%d}", f"{day:%Y-%m-%d}") for day in pd.date_range("2013-04-01", "2018-03-31", freq="3D")]
NULL_DATE = stay("1801-01-01", "1801-01-01")


def with_clock(
    rows: list[dict[str, Any]], instant: Callable[[int, dt.date], dt.datetime], folder: Path, kind: str, **write: Any
) -> Path:
    """An extract whose admissions are instants, as text or as timestamps of a zone or none."""
    write_extract(rows, folder)
    table = pq.read_table(folder / "part.parquet")
    instants = [instant(at, day).replace(tzinfo=None) for at, day in enumerate(table["ADMIDATE"].to_pylist())]
    cells = (
        pa.array([f"{time:{UTC_CLOCK}}" for time in instants])
        if kind == "csv"
        else pa.array(instants, pa.timestamp("us")).cast(pa.timestamp("us", kind))
    )
    table = table.set_column(table.column_names.index("ADMIDATE"), "ADMIDATE", cells)
    if kind == "csv":
        (folder / "part.parquet").unlink()
        table.to_pandas().to_csv(folder / "part.csv", index=False)
    else:
        pq.write_table(table, folder / "part.parquet", **write)
    return folder


def midnight_in(zone: str) -> Callable[[int, dt.date], dt.datetime]:
    """Midnights of a zone, as a clock in UTC shows them."""
    return lambda _, day: dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def at_times(*times: str) -> Callable[[int, dt.date], dt.datetime]:
    """These times of day by turns."""
    return lambda at, day: dt.datetime.fromisoformat(f"{day} {times[at % len(times)]}")


KINDS = ["csv", "UTC", None]


@pytest.mark.slow
@pytest.mark.parametrize("write", [{"store_schema": False}, {"use_deprecated_int96_timestamps": True}, {}], ids=str)
def test_midnights_of_london_in_utc_are_refused(write: dict[str, bool], tmp_path: Path, protocol: Protocol) -> None:
    kind = "" if "use_deprecated_int96_timestamps" in write else "UTC"
    folder = with_clock(EVERY_MONTH, midnight_in("Europe/London"), tmp_path / "in", kind or None, **write)
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and problem.column == "ADMIDATE" and "23:00" in problem.found


@pytest.mark.cases(quick=0, push=7)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("zone", "times"),
    [("Europe/London", "23:00 in 59% of the rows, 00:00 in 41%"), ("Europe/Berlin", "22:00 in 59% of the rows, 23:00 in 41%"), ("Asia/Kolkata", "18:30 in 100% of the rows")],
)  # fmt: skip
@pytest.mark.fault(
    "midnights of summer time, or of another zone to the east, stored as UTC or without a zone, as text or timestamps",
    "the run stops and names the times: the dates would be a day early",
)
def test_midnights_of_another_zone_are_refused(
    zone: str, times: str, kind: str | None, tmp_path: Path, protocol: Protocol
) -> None:
    folder = with_clock([*MANY, NULL_DATE, NULL_DATE], midnight_in(zone), tmp_path / "in", kind)
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and problem.column == "ADMIDATE" and times in problem.found
    assert str(problem.file).startswith(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.fault(
    "midnights of summer time stored in UTC three thousandths of a second early, as a database writes them (22:59:59.997)",
    "the run stops and names the time",
)
def test_midnights_that_are_a_moment_early(kind: str | None, tmp_path: Path, protocol: Protocol) -> None:
    def instant(at: int, day: dt.date) -> dt.datetime:
        return midnight_in("Europe/London")(at, day) - dt.timedelta(milliseconds=3)

    problem = refusal(with_clock(MANY, instant, tmp_path / "in", kind), tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and "23:00 in 59% of the rows" in problem.found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_few_other_times_do_not_hide_midnights(kind: str | None, tmp_path: Path, protocol: Protocol) -> None:
    def instant(at: int, day: dt.date) -> dt.datetime:
        odd = dt.timedelta(hours=9, minutes=12 + at % 7) if at % 50 == 0 else dt.timedelta()
        return midnight_in("Europe/London")(at, day) + odd

    folder = with_clock(MANY * 2, instant, tmp_path / "in", kind)
    problem = refusal(folder, tmp_path / "private", protocol)
    assert isinstance(problem, DataError) and "23:00 in 57% of the rows" in problem.found


def test_a_year_or_a_month_of_such_midnights_is_seen(tmp_path: Path, protocol: Protocol) -> None:
    """As one file among others of the same form."""
    for name, months in {"year": [*range(1, 13)], "month": [6]}.items():

        def instant(at: int, day: dt.date, months: list[int] = months) -> dt.datetime:
            wrong = day.year == 2015 and day.month in months
            return midnight_in("Europe/London" if wrong else "UTC")(at, day)

        folder = with_clock(MANY, instant, tmp_path / name, "UTC")
        problem = refusal(folder, tmp_path / "private", protocol)
        assert isinstance(problem, DataError) and "23:00" in problem.found


def test_the_zone_of_a_column_may_be_the_wrong_one(tmp_path: Path, protocol: Protocol) -> None:
    folder = with_clock(MANY, midnight_in("Europe/London"), tmp_path / "in", "America/New_York")
    problem = refusal(folder, tmp_path / "private", protocol)
    assert (
        isinstance(problem, DataError) and "19:00" in problem.found and "20:00" not in problem.found.partition("%")[0]
    )


HOURS = [f"{hour:02d}:{minute:02d}:00" for minute in (0, 30, 15, 45) for hour in range(24)]
REAL = [f"{at * 37 % 24:02d}:{at * 53 % 60:02d}:{at * 29 % 60:02d}" for at in range(97)]
RIGHT = {
    "midnight": at_times("00:00:00"),
    "midnight, with 1% of other times": at_times(*["00:00:00"] * 99, "14:30:00"),
    "midnight, with 10% of real times": lambda at, day: at_times(*(REAL if at % 10 == 0 else ["00:00:00"]))(at, day),
    "real times": at_times(*REAL),
    "real times, to the hour or its quarters": at_times(*HOURS),
    "real times, with a few of 23:00": at_times(*REAL, *["23:00:00"] * 5),
    "noon": at_times("12:00:00"),
    "the end of the day": at_times("23:59:59"),
    "midnight, and the end of the day": at_times("00:00:00", "23:59:59"),
    "nine o'clock": at_times("09:00:00"),
    "midnights of New York": midnight_in("America/New_York"),
    "midnights of UTC on London's clock": at_times("00:00:00", "01:00:00"),
}


@pytest.mark.cases(quick=0, push=5)
@pytest.mark.parametrize("kind", ["csv", None])
@pytest.mark.parametrize("times", RIGHT)
def test_other_times_are_of_their_day(times: str, kind: str | None, tmp_path: Path, protocol: Protocol) -> None:
    rows = MANY[::2]
    folder = with_clock(rows, RIGHT[times], tmp_path / "in", kind)
    assert typed(folder, tmp_path / "private", protocol).ADMIDATE.tolist() == [
        dt.date.fromisoformat(row["ADMIDATE"]) for row in rows
    ]


@pytest.mark.slow
def test_a_column_in_its_own_zone_is_right(tmp_path: Path, protocol: Protocol) -> None:
    folder = with_clock([*MANY, NULL_DATE], midnight_in("Europe/London"), tmp_path / "in", "Europe/London")
    read = typed(folder, tmp_path / "private", protocol).ADMIDATE
    assert read.tolist()[:-1] == [dt.date.fromisoformat(row["ADMIDATE"]) for row in MANY]


@pytest.mark.spark
def test_spark_reads_the_same(tmp_path: Path, protocol: Protocol) -> None:
    rows = [
        {**EVERY_MONTH[0], "ADMIMETH": "21 ", "PROCODE3": "\u00a0RAA\t", "DISDATE": "2014-05-10 00:00:00", "EPIORDER": "1.0", "TOKEN_PERSON_ID": "-"},
        {**EVERY_MONTH[1], "DISDATE": "-", "TOKEN_PERSON_ID": "0000"}, *EVERY_MONTH[2:],
    ]  # fmt: skip
    (tmp_path / "year [1] *").mkdir()
    (tmp_path / "year [1] */a.txt").write_text(as_csv(rows, "|"), encoding="utf-8")
    with_instants(pa.timestamp("us", "Europe/London"), tmp_path / "{a,b}")
    for place in ("year [1] *", "{a,b}/in"):
        read = [typed(tmp_path / place, tmp_path / engine, engine=engine) for engine in ("duckdb", "spark")]
        pd.testing.assert_frame_equal(*read, check_dtype=False)
    for kind in KINDS:
        folder = with_clock(MANY, midnight_in("Europe/London"), tmp_path / f"midnights {kind}", kind)
        assert "23:00 in 59%" in str(refusal(folder, tmp_path / "spark", protocol, engine="spark"))
    for change in ("7\n", "\n(60 rows affected)\n"):
        (tmp_path / "spoilt.csv").write_text(as_csv(EVERY_MONTH).removesuffix("\n") + "," + change)
        problem = refusal(tmp_path / "spoilt.csv", tmp_path / "spark", engine="spark")
        assert isinstance(problem, DataError) and problem.row and "cells" in problem.found
