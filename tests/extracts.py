"""Small patient-level extracts for tests, typed out or made up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.protocol.schema import Records
from analysis.records.counts import Counts, linked_counts
from analysis.records.draw import Plan
from analysis.records.engines import open_engine
from analysis.records.episodes import classified
from analysis.records.extract import COLUMNS, find_extract
from analysis.records.shares import checked_counts
from analysis.records.synthesise import synthesise
from analysis.records.typed import read_episodes, tidy_codes

UNITS = {"00A": "00A", "00B": "00B", "01H": "01H+01K", "01K": "01H+01K"}
USUAL: dict[str, Any] = {
    "EPIKEY": "1", "TOKEN_PERSON_ID": "a", "ADMIDATE": "2014-05-10", "DISDATE": "2014-05-12", "EPISTART": "2014-05-10",
    "EPIEND": "2014-05-12", "EPIORDER": 1, "EPISTAT": 3, "ADMIMETH": "21", "ADMISORC": "19", "CLASSPAT": "1", "PROCODE3": "RAA",
    "CCG_RESPONSIBILITY": "00A", "STARTAGE": 70, "DIAG_01": "J189", "GPPRAC": "A81001",
}  # fmt: skip


def stay(admitted: str, discharged: str | None, **other: Any) -> dict[str, Any]:
    """A row like ``USUAL``, of a stay with these dates."""
    dates = {"ADMIDATE": admitted, "EPISTART": admitted, "DISDATE": discharged, "EPIEND": discharged or admitted}
    return {**USUAL, **dates, **other}


def write_extract(rows: Sequence[dict[str, Any]], folder: Path, name: str = "part.parquet") -> Path:
    """Parquet with dates as dates, or CSV, by the name's suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([row | ({"EPIKEY": str(at)} if row["EPIKEY"] == "1" else {}) for at, row in enumerate(rows, 1)])
    table = table[[column for column in COLUMNS if column in table]]
    if name.endswith(".csv"):
        table.to_csv(folder / name, index=False)
        return folder
    for column in [column for column in table if COLUMNS[column] == "a date"]:
        table[column] = [None if pd.isna(value) else dt.date.fromisoformat(value) for value in table[column]]
    table.to_parquet(folder / name, index=False)
    return folder


def counted(
    folder: Path, private: Path, engine: str = "duckdb", rules: Records | None = None, practices: Collection[str] = ()
) -> Counts:
    """The counts of an extract, by age band and practice too where ``rules`` and ``practices`` ask for them."""
    asked = [*(["STARTAGE"] if rules and rules.by_age else []), *(["GPPRAC"] if practices else [])]
    source = find_extract(str(folder), {}, asked)
    running = open_engine(engine, private)
    return linked_counts(
        running, classified(read_episodes(running.read(source), source), rules or Records(), practices)
    )


def checked(
    rows: Sequence[dict[str, Any]], folder: Path, months: pd.DatetimeIndex, rules: Records | None = None, practices: Sequence[str] = ()
) -> Counts:  # fmt: skip
    """The counts of rows that are typed out, by unit, where their shares pass."""
    rules = rules or Records()
    asked = [*(["STARTAGE"] if rules.by_age else []), *(["GPPRAC"] if practices else [])]
    source = find_extract(str(write_extract(rows, folder / "in")), {}, asked)
    running = open_engine("duckdb", folder / "private")
    networks = dict.fromkeys(practices, "network")
    raw = running.read(source)
    source = replace(source, codes=tidy_codes(raw, source))
    return checked_counts(
        running, read_episodes(raw, source), source, str(folder / "in"), rules, months, UNITS, networks
    )  # fmt: skip


def made_up(folder: Path, rows: int, workers: int = 1, effect: float = -0.03) -> Path:
    """A made-up extract of twelve commissioners, three of them treated, from 2013-04 to 2018-03."""
    codes = [f"0{n}A" for n in range(10)] + ["10A", "11A"]
    units = pd.DataFrame({"ccg_code": codes, "population": 200_000.0, "treated": [n < 3 for n in range(12)]})
    plan = Plan(units, pd.Timestamp("2013-04-01"), pd.Timestamp("2018-03-31"), pd.Timestamp("2015-04-01"), effect, 7)
    assert sum(synthesise(plan, rows, folder, workers)) == rows
    return folder
