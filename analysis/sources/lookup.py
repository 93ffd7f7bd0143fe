"""Geography: which CCG, STP and local authority an LSOA lies in, and the ten CCGs most like each CCG.

An LSOA is a census area of about 1,500 people; an STP is a sustainability and transformation partnership of CCGs.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from analysis.sources.table import read_csv, validated

LSOA_COLUMNS = {
    "LSOA11CD": "lsoa_code",
    "CCG18CD": "ccg_gss",
    "CCG18CDH": "ccg_code",
    "CCG18NM": "ccg_name",
    "STP18CD": "stp_code",
    "STP18NM": "stp_name",
    "LAD18CD": "lad_code",
    "LAD18NM": "lad_name",
}
SIMILAR = [f"similar_ccg_{rank}" for rank in range(1, 11)]
CCG_CODE = pa.Check.str_matches(r"^\d\d[A-Z]$")

LSOAS = pa.DataFrameSchema(
    {
        "lsoa_code": pa.Column(str, pa.Check.str_matches(r"^E01\d{6}$"), unique=True),
        "ccg_gss": pa.Column(str, pa.Check.str_matches(r"^E38\d{6}$")),
        "ccg_code": pa.Column(str, CCG_CODE),
        "ccg_name": pa.Column(str),
        "stp_code": pa.Column(str, pa.Check.str_matches(r"^E54\d{6}$")),
        "stp_name": pa.Column(str),
        "lad_code": pa.Column(str, pa.Check.str_matches(r"^E0[6-9]\d{6}$")),
        "lad_name": pa.Column(str),
    },
    strict=True,
    ordered=True,
)
SIMILAR_CCGS = pa.DataFrameSchema(
    {
        "ccg_code": pa.Column(str, CCG_CODE),
        "gss_code": pa.Column(str, pa.Check.str_matches(r"^E38\d{6}$")),
        "ccg_name": pa.Column(str),
        "rank": pa.Column("int64", pa.Check.in_range(1, 10)),
        "similar_ccg_code": pa.Column(str, CCG_CODE),
    },
    unique=["ccg_code", "similar_ccg_code"],
    strict=True,
    ordered=True,
)


def read_lsoa_lookup(path: Path) -> pd.DataFrame:
    """One row per LSOA of 2011 in England (32,844), with areas of April 2018.

    Columns, all text: lsoa_code, ccg_gss (ONS code), ccg_code (NHS code), ccg_name, stp_code, stp_name, lad_code
    (lower-tier local authority), lad_name.

    Raises
    ------
    DataError
        Not a CSV, a column missing, a malformed code, or an LSOA twice.
    """
    return validated(read_csv(path, LSOA_COLUMNS), LSOAS, path)


def read_similar_ccgs(path: Path) -> pd.DataFrame:
    """Ten rows per CCG of 2016 (209).

    Columns: ccg_code, gss_code, ccg_name, rank (int64, 1 is the most similar), similar_ccg_code.

    Raises
    ------
    DataError
        Not a CSV, a column missing, a malformed code, or a pair of CCGs twice.
    """
    wide = read_csv(
        path,
        {"CCG16CDH": "ccg_code", "CCG16CD": "gss_code", "CCG16NM": "ccg_name"} | {name: name for name in SIMILAR},
    )
    table = wide.melt(["ccg_code", "gss_code", "ccg_name"], SIMILAR, var_name="rank", value_name="similar_ccg_code")
    table["rank"] = table["rank"].str.removeprefix("similar_ccg_").astype("int64")
    table = table.sort_values(["ccg_code", "rank"], ignore_index=True)
    return validated(table, SIMILAR_CCGS, path)
