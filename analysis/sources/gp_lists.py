"""GP-registered list sizes by CCG and month, as OpenPrescribing serves NHS Digital's counts.

CCGs are those of April 2019 in every month. Until April 2017 the counts are quarterly: each stands for its quarter's
three months (the series begins within one, in May 2014).
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from analysis.core.errors import DataError
from analysis.sources.table import FETCH_AGAIN, validated

FIELDS = {"date": "month", "row_id": "ccg_code", "row_name": "ccg_name", "total_list_size": "registered_patients"}

SCHEMA = pa.DataFrameSchema(
    {
        "month": pa.Column("datetime64[us]"),
        "ccg_code": pa.Column(str, pa.Check.str_matches(r"^\d\d[A-Z]$")),
        "ccg_name": pa.Column(str),
        "registered_patients": pa.Column("int64", pa.Check.gt(0)),
    },
    unique=["month", "ccg_code"],
    strict=True,
    ordered=True,
)


def read_gp_lists(path: Path) -> pd.DataFrame:
    """One row per month and CCG: month (datetime64[us], first day), ccg_code, ccg_name, registered_patients (int64).

    Raises
    ------
    DataError
        Not the expected JSON; months not consecutive; a CCG without a count in some month, or with two; a count that
        is not positive.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        table = pd.DataFrame.from_records(records)[list(FIELDS)].rename(columns=FIELDS)
        table["month"] = pd.to_datetime(table["month"], format="%Y-%m-%d").dt.as_unit("us")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(path, f"{error}", f"a JSON list of records with {', '.join(FIELDS)}", FETCH_AGAIN) from error
    table = validated(table, SCHEMA, path)
    _check_complete(table, path)
    return table.sort_values(["month", "ccg_code"], ignore_index=True)


def _check_complete(table: pd.DataFrame, path: Path) -> None:
    months = pd.date_range(table["month"].min(), table["month"].max(), freq="MS", unit="us")
    wanted = pd.MultiIndex.from_product([months, sorted(table["ccg_code"].unique())])
    absent = wanted.difference(pd.MultiIndex.from_frame(table[["month", "ccg_code"]]))
    if len(absent) or len(wanted) != len(table):
        month, code = absent[0] if len(absent) else (table["month"].min(), "?")
        raise DataError(
            path,
            f"{len(absent)} counts missing, the first of CCG {code} in {month:%B %Y}",
            f"a count for each CCG in each month from {months[0]:%B %Y} to {months[-1]:%B %Y}",
            FETCH_AGAIN,
            column="total_list_size",
        )
