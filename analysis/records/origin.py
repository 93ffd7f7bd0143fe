"""Whether an extract was made up: every person in it says so.

The mark is in the rows. So it is not lost where they are copied, partitioned anew or loaded into a database, and no file that lies nearby can put it
on the rows of patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from analysis.core.errors import DataError
from analysis.records.definitions import MARK
from analysis.records.engines import for_one_file, part_on_duckdb
from analysis.records.extract import Extract

AFTER_MARK = MARK[:-1] + chr(ord(MARK[-1]) + 1)  # what follows all that begins with it
NAMELESS = 0.05  # of the rows: a made-up extract has few without a person, and so without the mark


@dataclass(frozen=True)
class Marks:
    """Whether there are persons with the mark, and whether there are rows that a made-up extract has not."""

    made_up: bool
    others: bool

    @property
    def both(self) -> bool:
        return self.made_up and self.others


def marks(parts: Sequence[ir.Table]) -> Marks:
    """Of what ``Engine.read`` gives. Ranges are asked for, so that an engine can leave most of a file unread."""
    persons = [part.select(person=part.TOKEN_PERSON_ID.cast("string")) for part in parts]
    made_up = any(_any(t.filter(t.person >= MARK, t.person < AFTER_MARK)) for t in persons)
    if not made_up:
        return Marks(made_up, True)
    others = any(
        _any(t.filter(t.person > "", t.person < MARK)) or _any(t.filter(t.person >= AFTER_MARK)) for t in persons
    )
    return Marks(made_up, others or _nameless(persons) > NAMELESS)


def _any(rows: ir.Table) -> bool:
    return rows.limit(1).to_pyarrow().num_rows > 0


def _nameless(persons: Sequence[ir.Table]) -> float:
    sums = [t.aggregate(named=t.person.nullif("").count(), rows=t.count()).to_pyarrow().to_pylist()[0] for t in persons]
    rows = sum(each["rows"] for each in sums)
    return (rows - sum(each["named"] for each in sums) - 1) / rows  # one is nothing


def is_made_up(parts: Sequence[ir.Table], source: Extract) -> bool:
    """Whether all rows are made up; ``parts`` as ``Engine.read`` gives them of ``source``.

    Raises
    ------
    DataError
        Some rows are made up and others are not.
    """
    whole = marks(parts)
    if not whole.both:
        return whole.made_up
    connection = for_one_file()
    of_files = [
        (single.files[0], marks([part_on_duckdb(connection, single.parts[0], "one")])) for single in source.by_file()
    ]
    mixed = [file for file, found in of_files if found.both]
    patients = [file for file, found in of_files if not found.made_up]
    what = f"rows that are made up, and others that are not{'' if mixed or not patients else ', as in ' + patients[0].name}"
    file = mixed[0] if mixed else next((file for file, found in of_files if found.made_up), f"table {source.table}")
    raise DataError(
        file, what, "an extract that is made up or one of patients", "Take the rows or files of the other kind out.", column="TOKEN_PERSON_ID",
    )  # fmt: skip
