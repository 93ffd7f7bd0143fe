"""Whether an extract was made up: every person in it says so.

The mark is in the rows. So it is not lost where they are copied, partitioned anew or loaded into a database, and no file that lies nearby can put it
on the rows of patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from analysis.errors import DataError
from analysis.records.definitions import MARK
from analysis.records.engines import for_one_file, part_on_duckdb
from analysis.records.extract import Extract

NAMELESS = 0.05  # of the rows: a made-up extract has few without a person, and so without the mark


@dataclass(frozen=True)
class Marks:
    """Rows whose person has the mark, rows of other persons, and all rows."""

    made_up: int
    others: int
    rows: int

    @property
    def pure(self) -> bool:
        return self.made_up == 0 or (self.others == 0 and self.rows - self.made_up <= max(1, NAMELESS * self.rows))


def marks(parts: Sequence[ir.Table]) -> Marks:
    """Of what ``Engine.read`` gives."""
    sums = Marks(0, 0, 0)
    for part in parts:
        person = part.TOKEN_PERSON_ID.cast("string")
        marked = person.startswith(MARK)
        counts = part.aggregate(
            made_up=marked.ifelse(1, 0).sum(), named=person.nullif("").count(), rows=part.count()
        ).to_pyarrow().to_pylist()[0]  # fmt: skip
        made_up = int(counts["made_up"] or 0)
        sums = Marks(
            sums.made_up + made_up, sums.others + int(counts["named"]) - made_up, sums.rows + int(counts["rows"])
        )
    return sums


def is_made_up(parts: Sequence[ir.Table], source: Extract) -> bool:
    """Whether all rows are made up; ``parts`` as ``Engine.read`` gives them of ``source``.

    Raises
    ------
    DataError
        Some rows are made up and others are not.
    """
    whole = marks(parts)
    if whole.pure:
        return whole.made_up > 0
    connection = for_one_file()
    of_files = [
        (single.files[0], marks([part_on_duckdb(connection, single.parts[0], "one")])) for single in source.by_file()
    ]
    mixed = [file for file, found in of_files if not found.pure]
    patients = [file for file, found in of_files if not found.made_up]
    what = f"rows that are made up, and others that are not{'' if mixed or not patients else ', as in ' + patients[0].name}"
    file = mixed[0] if mixed else next((file for file, found in of_files if found.made_up), f"table {source.table}")
    raise DataError(
        file, what, "an extract that is made up or one of patients", "Take the rows or files of the other kind out.", column="TOKEN_PERSON_ID",
    )  # fmt: skip
