"""What readers of files give the scanner: texts and tables with their places, and files within files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd


class Unreadable(Exception):
    """A file, or a part of one, that the scanner cannot look into, and why."""


@dataclass(frozen=True)
class Text:
    place: str
    text: str


@dataclass(frozen=True)
class Table:
    """``rows`` has the names of its columns as they stand in the file; its index numbers the rows as the file does."""

    place: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class Packed:
    """A file within a file."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Closed:
    """What cannot be looked into, and why."""

    place: str
    why: str


Pieces = Iterator[Text | Table | Packed | Closed]
