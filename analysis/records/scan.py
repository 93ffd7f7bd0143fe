"""Looks for what must not leave the private folder: identifiers of persons, and counts that are not safe, in every file of a build that may leave.

It is a safety net. What it knows of are forms of identifiers, a sample of the extract's own, and the columns of the tables that a build releases.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.build.folder import DOWNLOADS, is_build
from analysis.build.manifest import Manifest
from analysis.core.errors import UsageError
from analysis.core.files import LOCK
from analysis.core.scratch import MARK, PRIVATE
from analysis.records.identifiers import begins, forms_of, identifiers, is_patient_column
from analysis.records.released import RELEASED, Standard, small_counts
from analysis.records.sampled import PERSONS, Sample, read_sample
from analysis.records.scan_kinds import pieces
from analysis.records.scan_pieces import Closed, Table, Text
from analysis.records.synthesise import PARTITION, TRUTH

RECORDS = "records"
STAYS = (PRIVATE, DOWNLOADS)  # folders of a build that nobody hands on
DECIMAL = re.compile(r"[-+]?\d{0,8}(\.\d+)?(e[-+]?\d+)?")  # a number that no identifier looks like
Finding = tuple[str, str, str]  # the place in a file, what is there, and what tells it from others


@dataclass(frozen=True)
class Scanner:
    """What is looked for: identifiers of a ``sample`` beside those of known forms, and counts by a ``standard``."""

    sample: Sample
    standard: Standard

    def findings(self, name: str, content: bytes) -> Iterator[Finding]:
        """Of a file, by its name in the build."""
        yield from self._in_text(Text("name", name))
        if name.startswith(f"{RECORDS}/") and name not in RELEASED:
            yield "", "a file that no released table is called", ""
        for piece in pieces(name, content):
            if isinstance(piece, Closed):
                yield piece.place, f"cannot be looked into: {piece.why}", ""
            elif isinstance(piece, Text):
                yield from self._in_text(piece)
            else:
                yield from self._in_table(name, piece)

    def _in_text(self, text: Text) -> Iterator[Finding]:
        found: set[tuple[str, str]] = set()
        for form in forms_of(text.text):
            found |= {*identifiers(form), *small_counts(form)}
            found |= {("an identifier of the extract", begins(word)) for word in self.sample.found_in(form)}
        for what, detail in sorted(found):
            yield text.place, what, detail

    def _in_table(self, name: str, table: Table) -> Iterator[Finding]:
        for column in table.rows:
            if is_patient_column(str(column)):
                yield table.place, "a column of patients", str(column)
        for text in _texts(table):
            yield from self._in_text(text)
        for what, detail in self.standard.unsafe(name, table.rows):
            yield table.place, what, detail


def scan(build: Path, outcomes: Collection[str] = ()) -> list[str]:
    """What must not leave, of the files of a build that may: one sentence each, with file, place and what is there, never an identifier in full.

    ``outcomes``: what a study calls outcomes that are counted from records, besides their usual names.

    Raises
    ------
    UsageError
        The folder is not there, or holds neither a build nor records.
    """
    if not build.is_dir():
        raise UsageError(
            f"BUILD={build}: there is no such folder, so that nothing was looked at. Name the folder of a build."
        )
    if not is_build(build) and not any((build / RECORDS).glob("*")):
        raise UsageError(
            f"BUILD={build}: this folder holds no records, and is no build of this project. Name the folder of a build."
        )
    made = frozenset(Manifest.read(build).outputs)
    scanner = Scanner(read_sample(build / PRIVATE / PERSONS), Standard.of(made, outcomes))
    return [
        sentence for name, path in sorted(files_that_may_leave(build)) for sentence in _sentences(scanner, name, path)
    ]


def files_that_may_leave(build: Path) -> Iterator[tuple[str, Path]]:
    """Every file of a build by its name there, hidden ones too, but for the private folder, downloads and a made-up extract."""
    for folder, names, files in os.walk(build):
        here = Path(folder)
        if here == build:
            names[:] = [name for name in names if name not in STAYS and not _is_made_up(here / name)]
        linked = [name for name in names if (here / name).is_symlink()]  # to folders, which are not followed
        for name in (*files, *linked):
            if (here / name) != build / LOCK:
                yield str((here / name).relative_to(build)), here / name


def _is_made_up(folder: Path) -> bool:
    """Whether a folder is an extract that ``records synthesise`` made up."""
    names = [path.name for path in folder.iterdir()]
    return TRUTH in names and all(name in (TRUTH, MARK) or name.startswith(PARTITION) for name in names)


def _sentences(scanner: Scanner, name: str, path: Path) -> Iterator[str]:
    """One for each place and kind of what is found in a file."""
    first: dict[tuple[str, str], str] = {}
    times: Counter[tuple[str, str]] = Counter()
    for place, what, detail in _findings(scanner, name, path):
        first.setdefault((place, what), detail)
        times[place, what] += 1
    for (place, what), detail in first.items():
        more = f", and {times[place, what] - 1} more" if times[place, what] > 1 else ""
        yield f"{name}: {f'{place}: ' if place else ''}{what}{f' ({detail})' if detail else ''}{more}"


def _findings(scanner: Scanner, name: str, path: Path) -> Iterator[Finding]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            yield "", "cannot be looked into: it is a link to a folder, or no file", ""
            return
        content = path.read_bytes()
    except OSError as problem:
        yield "", f"cannot be looked into: it cannot be read ({problem.strerror})", ""
        return
    try:
        yield from scanner.findings(name, content)
    except Exception as problem:  # a file stranger than its readers expect is named, and the others are looked into
        yield "", f"cannot be looked into: {type(problem).__name__}", ""


def _texts(table: Table) -> Iterator[Text]:
    """The texts in the columns of a table, each once, and the whole numbers that are long enough for an identifier."""
    yield Text(table.place, "\n".join(map(str, table.rows.columns)))
    for at, column in enumerate(table.rows):
        cells = table.rows.iloc[:, at].dropna()
        if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
            continue
        if pd.api.types.is_numeric_dtype(cells):
            long = cells[(cells.abs() >= 1e8) & (cells % 1 == 0)].unique()
            texts = [str(int(value)) for value in long]
        else:
            texts = [text for text in dict.fromkeys(map(str, cells.unique())) if not DECIMAL.fullmatch(text)]
        place = ", ".join(filter(None, [table.place, f"column {column}" if str(column) else f"column {at + 1}"]))
        if texts:
            yield Text(place, "\n".join(texts))
