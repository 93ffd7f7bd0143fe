"""Which practices make up which network, where counts are asked for by network."""

from __future__ import annotations

from pathlib import Path

from analysis.errors import StudyError
from analysis.tabular import read_table

PRACTICE, NETWORK = "practice_code", "network"


def read_networks(path: Path) -> dict[str, str]:
    """Practice code → network, from a table [network, practice_code]; a single practice is a network of one.

    Raises
    ------
    StudyError
        There are no rows, a cell is empty, or a practice is listed twice.
    DataError
        As ``read_table`` raises it.
    """
    table = read_table(path, [NETWORK, PRACTICE])
    if table.empty:
        raise StudyError(
            path, "no rows", "a row for each practice", "Add them, or take `networks` out of the protocol."
        )
    for column in (NETWORK, PRACTICE):
        if (table[column] == "").any():
            row = int(table.index[table[column] == ""][0]) + 2
            raise StudyError(path, "an empty cell", f"a {column}", "Fill it in.", row=row, column=column)
    twice = table[table[PRACTICE].duplicated()]
    if len(twice):
        raise StudyError(
            path, f"practice {twice[PRACTICE].iloc[0]!r} again", "each practice in one network", "Keep one of the rows.",
            row=int(twice.index[0]) + 2, column=PRACTICE,
        )  # fmt: skip
    return dict(zip(table[PRACTICE], table[NETWORK], strict=True))
