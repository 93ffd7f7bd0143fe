"""An address of a database as it is shown: without a password, wherever and however it was written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from analysis.core.errors import EvaluationError, UsageError
from analysis.records.addresses import shown, without_secrets
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract

PASSWORDS = ["s3cret", "s3@cret", "s3/cret", "s3?cret", "s3#cret", "s3:cret", "s3;cret", "s3&cret", "s3=cret", "s3%40cret", "s3 cret", "[s3cret", "s3cret==", "s3+cret"]  # fmt: skip
FORMS = [
    "postgres://ann:{}@host:5432/db#hes.apc", "postgres://host/db?user=ann&password={}#t", "postgres://ann@host/db?sslpassword={}&sslmode=require#t",
    "mssql://host/db;UID=ann;PWD={}#t", "duckdb://md:db?motherduck_token={}#t", "postgres://ann:{}/db#t", "postgres:/ann:{}@host/db#t",
    "jdbc:sqlserver://host:1433;password={}#t", "host=x user=ann password={}", "ann:{}@postgres://host/db#t", "postgres://ann:{}@host/db",
    "postgres://ann:{}@[::1]/db#t", "ann:{}@host/db",
]  # fmt: skip


def pieces(password: str) -> list[str]:
    return [part for part in re.split(r"[^\w]+", password) if part in ("s3cret", "cret")]


@pytest.mark.cases(quick=86)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.fault(
    "an address of a database with a password in it, in any place, with any character, encoded or not, or written wrongly",
    "no message shows the password, and the manifest neither",
)
def test_no_password_is_shown(form: str, password: str, tmp_path: Path) -> None:
    for written in (password, quote(password, safe="")):
        if "@" in written and "@" not in form.partition("{}")[2]:
            continue  # what follows is the host, of any reader
        place = form.format(written)
        assert not any(piece in shown(place) for piece in pieces(password)), shown(place)
        with pytest.raises(EvaluationError) as caught:
            source = find_extract(place, {})
            if source.url.startswith(("postgres", "duckdb")) and "127" not in place:
                raise UsageError(shown(source.url))
            open_engine("duckdb", tmp_path / "private", url=source.url)
        assert not any(piece in str(caught.value) for piece in pieces(password)), str(caught.value)


def test_what_is_no_secret_is_shown() -> None:
    assert shown("postgres://ann:s3cret@host:5432/db#hes.apc") == "postgres://host/db#hes.apc"
    assert shown("duckdb:///folder/h [1].duckdb#episodes") == "duckdb:///folder/h [1].duckdb#episodes"
    for path in ("/data/ann@home/extract", "extract", "../year=1516/part.parquet"):
        assert shown(path) == path


def test_a_path_that_is_there_is_no_address(tmp_path: Path) -> None:
    folder = tmp_path / "token=1" / "a:b@c"
    folder.mkdir(parents=True)
    assert shown(str(folder)) == str(folder)


@pytest.mark.parametrize("password", PASSWORDS)
def test_what_a_driver_says_has_no_secret(password: str) -> None:
    for written in (password, quote(password, safe="")):
        url = f"postgres://ann:{written}@host:5432/db?sslpassword={written}"
        said = f'connection to "host" failed for ann: {written} {password} {quote(password)} {url}; is it right?'
        left = without_secrets(said, url)
        assert not any(piece in left for piece in pieces(password)) and left.endswith("is it right?"), left


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["records", "postgres://ann:s3cret@host/db#t"], ["records", "--extrakt", "postgres://ann:s3cret@host/db?password=s3cret#t"], ["postgres://ann:s3cret@host/db#t"]],
    ids=range(3),
)  # fmt: skip
def test_a_wrong_call_shows_no_password(arguments: list[str], repository: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "analysis", *arguments], cwd=repository, capture_output=True, text=True)
    assert run.returncode == 2 and "postgres://host/db" in run.stderr and "s3cret" not in run.stdout + run.stderr
