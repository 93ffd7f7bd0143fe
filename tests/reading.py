"""Reading a small extract as the pipeline does, up to its typed rows, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from extracts import stay

from analysis.core.errors import EvaluationError
from analysis.protocol.protocol import Protocol
from analysis.records.addresses import shown
from analysis.records.engines import open_engine
from analysis.records.extract import find_extract
from analysis.records.trouble import engine_errors
from analysis.records.typed import read_episodes
from analysis.stages.records import check_content

Row = dict[str, Any]
EVERY_MONTH = [
    stay(f"{day:%Y-%m-%d}", f"{day:%Y-%m}-12", TOKEN_PERSON_ID=f"person {day:%Y%m}") for day in pd.date_range("2013-04-01", "2018-03-01", freq="MS") + pd.Timedelta(days=9)
]  # fmt: skip


def typed(
    place: Path | str, private: Path, protocol: Protocol | None = None, missing: Sequence[str] = (), engine: str = "duckdb"
) -> pd.DataFrame:  # fmt: skip
    """The typed rows in the order of EPIKEY; looked at beforehand as ``make records`` does where a protocol is given."""
    source = find_extract(str(place), {}, missing=missing)
    running = open_engine(engine, private, url=source.url)
    with engine_errors(source, shown(str(place))):
        raw = running.read(source)
        if protocol:
            check_content(raw, source, protocol)
        table = read_episodes(raw, source)
        return (
            table.to_pyarrow().to_pandas().sort_values("EPIKEY", key=lambda key: key.str.zfill(20), ignore_index=True)
        )


def refusal(
    place: Path | str, private: Path, protocol: Protocol | None = None, engine: str = "duckdb"
) -> EvaluationError:
    with pytest.raises(EvaluationError) as caught:
        typed(place, private, protocol, engine=engine)
    return caught.value


def as_csv(rows: Sequence[Row], delimiter: str = ",", end: str = "\n") -> str:
    """A header and rows, cells unquoted; empty where there is nothing."""
    lines = [list(rows[0]), *([str(at), *list(row.values())[1:]] for at, row in enumerate(rows, 1))]
    return "".join(delimiter.join("" if cell is None else str(cell) for cell in line) + end for line in lines)
