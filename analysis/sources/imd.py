"""English Indices of Deprivation 2015: the summaries of the Index of Multiple Deprivation (IMD) by CCG."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from analysis.sources.table import check_once, counts, text, validated
from analysis.sources.workbook import open_workbook

SHEET = "IMD"
CODE, NAME = "Clinical Commissioning Group Code (2015)", "Clinical Commissioning Group Name (2015)"
MEASURES = {
    "IMD - Average rank": "imd_average_rank",
    "IMD - Rank of average rank": "imd_rank_of_average_rank",
    "IMD - Average score": "imd_average_score",
    "IMD - Rank of average score": "imd_rank_of_average_score",
    "IMD - Proportion of LSOAs in most deprived 10% nationally": "imd_share_in_most_deprived_tenth",
    "IMD - Extent": "imd_extent",
    "IMD - Local concentration": "imd_local_concentration",
}

SCHEMA = pa.DataFrameSchema(
    {
        "gss_code": pa.Column(str, pa.Check.str_matches(r"^E38\d{6}$"), unique=True),
        "ccg_name": pa.Column(str),
        **{name: pa.Column(float) for name in MEASURES.values()},
    },
    strict=True,
    ordered=True,
)


def read_imd(path: Path) -> pd.DataFrame:
    """One row per CCG of April 2015 (209).

    Columns: gss_code (the file has no NHS codes), ccg_name, and, all float: imd_average_rank (of its LSOAs; 32,844 is
    the most deprived), imd_average_score (higher is more deprived), the CCG's rank by each (1 is the most deprived),
    imd_share_in_most_deprived_tenth (of its LSOAs, 0 to 1), imd_extent (0 to 1), imd_local_concentration (mean rank
    of its most deprived LSOAs).

    Raises
    ------
    DataError
        Not a readable workbook; the sheet or a column missing; a value that is not a number or negative; a CCG twice.
    """
    sheet = open_workbook(path).sheet(SHEET)
    header = sheet.find_row(CODE, "the header row, with a cell of that text")
    columns = sheet.columns(header, [CODE, NAME, *MEASURES])
    code, name = columns.pop(CODE), columns.pop(NAME)
    rows = [row for row in range(header + 1, len(sheet.rows)) if sheet.rows[row][code] != ""]
    check_once(sheet, rows, code, "CCG")
    table = pd.DataFrame(counts(sheet, rows, columns, "ranks or scores"), columns=list(MEASURES.values()))
    table.insert(0, "ccg_name", pd.Series(text(sheet, rows, name), dtype="str"))
    table.insert(0, "gss_code", pd.Series(text(sheet, rows, code), dtype="str"))
    return validated(table, SCHEMA, path, SHEET)
