"""Made up, or of patients: the rows say which, not the files that lie nearby."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extracts import made_up, stay, write_extract

from analysis.core.errors import DataError
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.records.origin import is_made_up
from analysis.records.synthesise import TRUTH

PATIENTS = [stay("2014-05-10", "2014-05-12", TOKEN_PERSON_ID=f"{at:032x}") for at in range(40)]


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("above") / "in/made-up", 3_000)


def called_made_up(place: Path | str, private: Path, engine: str = "duckdb") -> bool:
    source = find_extract(str(place), {})
    running = open_engine(engine, private, url=source.url)
    return is_made_up(running.read(source), source)


def copied(extract: Path, folder: Path) -> pd.DataFrame:
    folder.mkdir()
    return pd.read_parquet(sorted(extract.glob("*/*.parquet"))[1])


def as_it_is(extract: Path, folder: Path) -> Path:
    return extract


def from_above(extract: Path, folder: Path) -> Path:
    return extract.parent.parent


def one_file(extract: Path, folder: Path) -> Path:
    return sorted(extract.glob("*/*.parquet"))[1]


def by_pandas(extract: Path, folder: Path) -> Path:
    copied(extract, folder).to_parquet(folder / "a.parquet")
    return folder


def as_csv(extract: Path, folder: Path) -> Path:
    copied(extract, folder).to_csv(folder / "a.csv", index=False)
    return folder


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize("form", [as_it_is, from_above, one_file, by_pandas, as_csv])
@pytest.mark.fault(
    "the folder above a made-up extract, one of its files, or a copy of it is named as EXTRACT", "it is called made up"
)
def test_a_made_up_extract_is_called_so(form: Callable[[Path, Path], Path], extract: Path, tmp_path: Path) -> None:
    assert called_made_up(form(extract, tmp_path / "copy"), tmp_path / "private")


def test_a_database_of_a_made_up_extract(extract: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "h.db")) as connection:
        connection.execute(f"create table episodes as select * from read_parquet('{extract}/*/*.parquet')")
        connection.execute("create table mixed as select * from episodes union all by name (select * replace ('x' || TOKEN_PERSON_ID as TOKEN_PERSON_ID) from episodes)")  # fmt: skip
    assert called_made_up(f"duckdb://{tmp_path}/h.db#episodes", tmp_path / "private")
    with pytest.raises(DataError, match="table mixed"):
        called_made_up(f"duckdb://{tmp_path}/h.db#mixed", tmp_path / "private")


@pytest.mark.slow
@pytest.mark.parametrize("name", [TRUTH, "part/truth.json", ".truth.json"])
@pytest.mark.fault(
    "the file `truth.json` of a made-up extract among the files of patients", "they are called patients'"
)
def test_a_stray_file_makes_nothing_made_up(name: str, tmp_path: Path) -> None:
    folder = write_extract(PATIENTS, tmp_path / "in/part").parent
    (folder / name).write_text(json.dumps({"made_up": True, "rows": 40}))
    assert not called_made_up(folder, tmp_path / "private")


def test_the_schema_of_a_made_up_file_makes_nothing_made_up(extract: Path, tmp_path: Path) -> None:
    """Nor do tokens, written anew, that are no longer its own."""
    made = pq.read_table(sorted(extract.glob("*/*.parquet"))[1])
    tokens = pa.array([f"{at:032x}" for at in range(len(made))])
    at = made.column_names.index("TOKEN_PERSON_ID")
    (tmp_path / "in").mkdir()
    pq.write_table(made.set_column(at, "TOKEN_PERSON_ID", tokens).cast(made.schema), tmp_path / "in/a.parquet")
    assert not called_made_up(tmp_path / "in", tmp_path / "private")


@pytest.mark.slow
@pytest.mark.parametrize("mixture", ["files", "rows", "rows without a person"])
@pytest.mark.fault(
    "made-up rows and rows of patients in one extract", "a refusal that names a file; nothing is counted"
)
def test_a_mixture_is_refused(mixture: str, extract: Path, tmp_path: Path) -> None:
    table = copied(extract, tmp_path / "in")
    rows = pd.read_parquet(write_extract(PATIENTS, tmp_path / "other") / "part.parquet").astype({"EPIKEY": "int64"})
    if mixture == "rows without a person":
        rows = pd.concat([rows.assign(TOKEN_PERSON_ID=None)] * 10)
    if mixture == "files":
        table.to_parquet(tmp_path / "in/a.parquet")
        rows.to_parquet(tmp_path / "in/b.parquet")
    else:
        pd.concat([table, rows]).to_parquet(tmp_path / "in/a.parquet")
        table.to_parquet(tmp_path / "in/b.parquet")
    with pytest.raises(DataError) as caught:
        called_made_up(tmp_path / "in", tmp_path / "private")
    assert Path(caught.value.file).name == "a.parquet" and caught.value.column == "TOKEN_PERSON_ID"
    assert ("b.parquet" in caught.value.found) == (mixture == "files")


@pytest.mark.slow
def test_patients_are_patients(tmp_path: Path) -> None:
    for at, person in enumerate(["made-up", "Made-Up-1", "x made-up-1", None, "", "9" * 10]):
        rows = [row | {"TOKEN_PERSON_ID": person} for row in PATIENTS]
        assert not called_made_up(write_extract(rows, tmp_path / str(at)), tmp_path / "private")


def test_numbers_as_persons(tmp_path: Path) -> None:
    folder = write_extract(PATIENTS, tmp_path / "in")
    table = pd.read_parquet(folder / "part.parquet").assign(TOKEN_PERSON_ID=range(40))
    table.to_parquet(folder / "part.parquet")
    assert not called_made_up(folder, tmp_path / "private")


@pytest.mark.spark
def test_spark_calls_them_the_same(extract: Path, tmp_path: Path) -> None:
    assert called_made_up(extract, tmp_path / "private", "spark")
    assert not called_made_up(write_extract(PATIENTS, tmp_path / "in"), tmp_path / "private", "spark")
