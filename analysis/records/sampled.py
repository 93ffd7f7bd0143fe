"""A sample of the extract's own identifiers, kept in the private folder, by which the scanner knows one of them whatever its form is.

The sample holds keyed hashes, so that the file itself shows no identifier.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd

PERSONS = "persons.parquet"  # its file in the private folder
SAMPLED_ROWS = 5_000
LOOKED_AT = (
    1_000_000  # rows of each part that the sample is drawn from, so that its time does not grow with the extract
)
IDENTIFIERS = ("TOKEN_PERSON_ID", "EPIKEY")
# Shorter ones stand in a report by chance: places and months have codes of six characters, and populations numbers of eight digits.
SHORTEST, SHORTEST_NUMBER = 7, 9
WORD = re.compile(r"(?<![0-9a-z])(?<!\d\.)[0-9a-z]{7,}")
MARKED = re.compile(r"[^\s\"'<>,;()\[\]{}|=]{7,}")  # with hyphens and the like in it


@dataclass(frozen=True)
class Sample:
    """``digests`` of identifiers under ``key``; their ``lengths``, so that few words of a text have to be hashed."""

    key: bytes = b""
    digests: frozenset[str] = frozenset()
    lengths: frozenset[int] = frozenset()

    def found_in(self, text: str) -> Iterator[str]:
        """The words of a text that are identifiers of the sample."""
        if not self.digests:
            return
        lower = text.lower()
        words = {*WORD.findall(lower), *(word.strip(".:?!") for word in MARKED.findall(lower))}
        for word in sorted(words):
            if len(word) in self.lengths and _digest(word, self.key) in self.digests:
                yield word


def sample_of(parts: Sequence[ir.Table], rows: int, missing: Collection[str] = ()) -> pd.DataFrame:
    """[key, length, digest] of identifiers of some thousand rows of an extract, as ``Engine.read`` gives its ``parts``; of ``rows`` in all.

    ``missing``: further markers of a missing value.
    """
    share = SAMPLED_ROWS / max(min(rows, LOOKED_AT * len(parts)), 1)
    words: set[str] = set()
    for part in parts:
        chosen = part.select(**{name: part[name].cast("string") for name in IDENTIFIERS})
        if share < 1:
            chosen = chosen.limit(LOOKED_AT).filter(ibis.random() < share)
        for column in chosen.limit(2 * SAMPLED_ROWS).to_pyarrow().columns:
            words |= {str(value).strip().lower() for value in column.unique().to_pylist() if value is not None}
    words = {word for word in words - {marker.lower() for marker in missing} if _tells(word)}
    key = secrets.token_hex(16)
    digests = [(key, len(word), _digest(word, key.encode())) for word in sorted(words)]
    return pd.DataFrame(digests, columns=["key", "length", "digest"]).astype({"key": str, "length": int, "digest": str})


def read_sample(file: Path) -> Sample:
    """The sample in a file; an empty one where there is no file."""
    if not file.is_file():
        return Sample()
    table = pd.read_parquet(file)
    if table.empty:
        return Sample()
    return Sample(table.key.iloc[0].encode(), frozenset(table.digest), frozenset(table.length))


def _tells(word: str) -> bool:
    """Whether a word stands in a report by leak and not by chance."""
    if word.isdigit():
        return len(word) >= SHORTEST_NUMBER and len(set(word)) > 1
    return len(word) >= SHORTEST and any(c.isdigit() for c in word) and any(c.isalpha() for c in word)


def _digest(word: str, key: bytes) -> str:
    return hashlib.blake2b(word.encode(), digest_size=8, key=key).hexdigest()
