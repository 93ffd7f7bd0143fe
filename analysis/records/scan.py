"""Looks for what must not leave the private folder: identifiers, and counts that are not safe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pypdf import PdfReader

from analysis.records.definitions import OUTCOMES

# Names of columns that hold a person, and the forms of a pseudonym and of an NHS number.
OF_PERSONS = (
    "EPIKEY", "TOKEN_PERSON_ID", "ENCRYPTED_HESID", "HESID", "EXTRACT_HESID", "NEWNHSNO", "NHSNO", "PSEUDO_NHS", "LOCALPATID", "DOB", "MYDOB",
    "HOMEADD", "LSOA11", "STARTAGE", "ADMIDATE", "DISDATE", "EPISTART", "EPIEND",
)  # fmt: skip
NAME = re.compile(r"\b(?:" + "|".join(OF_PERSONS[:11]) + r")\b")
TOKEN = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])|(?<![0-9A-Za-z])[0-9A-F]{32}(?![0-9A-Za-z])")
NHS_NUMBER = re.compile(r"(?<![\d.])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\d.])")
COUNTS = ("value", "value_published", "count", "rows", *OUTCOMES)  # columns that hold counts of persons' events
TEXTS = (".html", ".csv", ".json", ".txt", ".svg", ".md")


def scan(build: Path, smallest: int, base: int) -> list[str]:
    """What is not safe in the files that leave a build, one sentence each: file, place and what was found."""
    folders = [build / name for name in ("records", "results", "reports")]
    files = sorted(file for folder in folders if folder.is_dir() for file in folder.rglob("*") if file.is_file())
    return [f"{file.relative_to(build)}: {fault}" for file in files for fault in _faults(file, smallest, base)]


def _faults(file: Path, smallest: int, base: int) -> Iterator[str]:
    if file.suffix in TEXTS:
        yield from _in_text(file.read_text(encoding="utf-8", errors="replace"))
    if file.suffix == ".pdf":
        yield from _in_text("\n".join(page.extract_text() for page in PdfReader(file).pages))
    if file.suffix in (".csv", ".parquet"):
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, keep_default_na=True)
        for column in table:
            if str(column).upper() in OF_PERSONS:
                yield f"a column {column}, which is of persons"
        if file.suffix == ".parquet":
            for column in table.select_dtypes(include=["object", "string"]):
                yield from _in_text("\n".join(map(str, table[column].dropna().unique())))
        yield from _unsafe(table, smallest, base)


def _in_text(text: str) -> Iterator[str]:
    for what, found in (
        ("a column of persons", NAME.search(text)),
        ("what looks like a person's token", TOKEN.search(text)),
    ):
        if found:
            yield f"{what}, {found[0][:8]}…"
    for match in NHS_NUMBER.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if re.fullmatch(r"\d{3}[ -]\d{3}[ -]\d{4}", match[0]) and _checks(digits):
            yield "what looks like an NHS number"
            return


def _checks(digits: str) -> bool:
    """The check digit of an NHS number (NHS Data Dictionary: modulus 11)."""
    return (11 - sum(int(d) * (10 - i) for i, d in enumerate(digits[:9])) % 11) % 11 == int(digits[9])


def _unsafe(table: pd.DataFrame, smallest: int, base: int) -> Iterator[str]:
    """Counts of records that are small, or not rounded."""
    if "dataset" in table:
        rows = table[table.dataset.astype(str) == "records"]
    elif "outcome" in table:
        rows = table[table.outcome.astype(str).isin([*OUTCOMES, *(label for label, _ in OUTCOMES.values())])]
    else:
        rows = table if set(table) & set(OUTCOMES) else table.iloc[:0]
    for column in [name for name in COUNTS if name in rows]:
        values = pd.to_numeric(rows[column], errors="coerce").dropna()
        wrong = values[((values > 0) & (values < smallest)) | (values % base != 0)]
        if len(wrong):
            yield f"column {column}, row {int(wrong.index[0]) + 2}: {wrong.iloc[0]:g}, and {len(wrong) - 1} more, neither suppressed nor rounded to {base}"
