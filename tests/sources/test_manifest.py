"""The manifest: what it refuses, and that a file must be the pinned one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from analysis.core.errors import DataError, StudyError
from analysis.sources.manifest import (
    COLUMNS,
    Pin,
    locate,
    name_problem,
    read_manifest,
    readable_text,
    required_months,
    verify,
)

SHA = "0" * 64


def line(**cells: str) -> str:
    row = dict.fromkeys(COLUMNS, "") | {"source": "mar", "period": "2017-04", "file": "mar/a.xls", "sha256": SHA}
    return ",".join((row | {"bytes": "10", "licence": "OGL v3.0"} | cells).values())


def write(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return path


def test_the_projects_manifest_covers_the_study_window(root: Path) -> None:
    pins = read_manifest(root / "data_raw/manifest.csv")
    assert pins == sorted(pins, key=lambda pin: (pin.source, pin.month or date.min, pin.file))
    window = required_months(pins, "mar", date(2013, 4, 1), date(2018, 3, 1))
    assert list(window) == sorted(window) and len(window) == 60
    assert all(pin.url.startswith("https://www.england.nhs.uk/") for pin in window.values())


def test_a_month_missing_from_the_window(root: Path) -> None:
    april_to_june = (date(2015, 4, 1), date(2015, 6, 1))
    pins = read_manifest(root / "data_raw/manifest.csv")
    assert len(required_months(pins, "mar", *april_to_june)) == 3
    pins = [pin for pin in pins if pin.month != date(2015, 5, 1)]
    with pytest.raises(StudyError, match=r"no mar file for May 2015\n[\s\S]*April 2015 to June 2015"):
        required_months(pins, "mar", *april_to_june)


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"period": "2017-13"}, "period"),
        ({"period": ""}, "period"),
        ({"period": "2017-04"}, "period"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"bytes": "many"}, "bytes"),
        ({"published": "9th June 2017"}, "published"),
        ({"file": "../a.xls"}, "file"),
        ({"file": "/etc/a.xls"}, "file"),
        ({"file": "mar/./../../a.xls"}, "file"),
        ({"file": "..\\a.xls"}, "file"),
        ({"file": "C:/a.xls"}, "file"),
        ({"file": "mar//a.xls"}, "file"),
        ({"file": "mar/a\x00.xls"}, "file"),
        ({"file": "mar/..\u202exls"}, "file"),
        ({"file": "mar/ a.xls"}, "file"),
        ({"file": "mar /a.xls"}, "file"),
        ({"file": f"mar/{'é' * 101}"}, "file"),
        ({"url": "http://www.england.nhs.uk/a.xls"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://[england"}, "url"),
        ({"file": "mar/a.xls"}, "file"),
    ],
)
def test_refusals_name_the_row(cells: dict[str, str], column: str, tmp_path: Path) -> None:
    second = {"file": "mar/b.xls", "period": "2017-05"}
    assert len(read_manifest(write(tmp_path, line(), line(**second)))) == 2
    with pytest.raises(DataError, match=r"manifest\.csv, row 3") as refusal:
        read_manifest(write(tmp_path, line(), line(**second | cells)))
    assert refusal.value.column == column


@pytest.mark.parametrize(
    "name",
    [
        "April, 2017.xls",
        'April "17".xls',
        "=x.xls",
        "-x.xls",
        "'x'.xls",
        "Cafe\u0301.xls",
        "é.xls",
        "a #;%.xls",
        "x" * 200,
    ],
)
def test_an_odd_name_is_read_back(name: str, pin: Pin, tmp_path: Path) -> None:
    odd = replace(pin, file=f"mar/{name}")
    path = tmp_path / "manifest.csv"
    path.write_text(readable_text([odd], path), encoding="utf-8")
    assert name_problem(name) is None and read_manifest(path) == [odd]


@pytest.mark.parametrize(
    "name",
    [
        "MAR: April.xls",
        "a\\b.xls",
        "a\n.xls",
        " a.xls",
        "a ",
        "a.",
        "..",
        "",
        "\udcff.xls",
        "\xa0.xls",
    ],
)
def test_rows_that_could_not_be_read_back_are_not_written(name: str, pin: Pin, tmp_path: Path) -> None:
    assert name_problem(name)
    with pytest.raises(DataError, match="a path inside a data folder") as refusal:
        readable_text(
            [pin, replace(pin, file=f"mar/{name}" if name else "", month=date(2017, 5, 1))], tmp_path / "m.csv"
        )
    assert refusal.value.row == 3


def test_the_same_place_twice_is_not_written(pin: Pin, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="again, already in row 2"):
        readable_text([pin, replace(pin, month=date(2017, 5, 1))], tmp_path / "m.csv")


def test_rows_that_csv_itself_would_change_are_not_written(pin: Pin, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="read back as others"):
        readable_text([replace(pin, title="one\rtwo")], tmp_path / "m.csv")


def test_a_column_missing(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("source,period,file\nmar,2017-04,mar/a.xls\n")
    with pytest.raises(DataError, match="no column url"):
        read_manifest(path)


@pytest.fixture
def pin() -> Pin:
    content = b"figures"
    return Pin(
        source="mar",
        month=date(2017, 4, 1),
        file="mar/a.xls",
        url="",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        publisher="NHS England",
        title="",
        published=None,
        revised=None,
        licence="OGL v3.0",
    )


def test_a_file_is_found_in_the_first_folder_that_has_it(pin: Pin, tmp_path: Path) -> None:
    folders = [tmp_path / "data_raw", None, tmp_path / "mirror"]
    assert locate(pin, folders) is None
    for folder in (tmp_path / "mirror", tmp_path / "data_raw"):
        (folder / "mar").mkdir(parents=True)
        (folder / pin.file).write_bytes(b"figures")
        assert locate(pin, folders) == folder / pin.file


def test_a_file_that_is_not_the_pinned_one(pin: Pin, tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(b"figures")
    assert verify(path, pin) == path
    with pytest.raises(DataError) as refusal:
        verify(path, replace(pin, sha256=SHA))
    assert refusal.value.file == path
    assert pin.sha256 in refusal.value.found and SHA in refusal.value.expected
    assert "put the pinned file back" in refusal.value.action
