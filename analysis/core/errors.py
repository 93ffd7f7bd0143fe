"""Errors that tell the reader what to do, and the exit code each one ends the program with.

Exit codes: 0 done, 1 the data or the study is wrong, 2 the call is wrong, 3 the machine failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LONGEST = 2_000  # characters of a part of a message


class EvaluationError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


@dataclass
class DataError(EvaluationError):
    """Something in an input is wrong: where it is, what was found, what was expected, what to do.

    ``row`` is counted from 1 as a spreadsheet shows it; ``column`` is a header or a letter.
    """

    file: str | Path
    found: str
    expected: str
    action: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = [str(self.file)]
        place += [f"sheet {_short(self.sheet)!r}"] if self.sheet else []
        place += [f"row {self.row}"] if self.row else []
        place += [f"column {_short(self.column)!r}"] if self.column else []
        found, expected = _short(self.found), _short(self.expected)
        return f"{', '.join(place)}\n  found:    {found}\n  expected: {expected}\n  to do:    {self.action}"


def _short(text: str) -> str:
    """A cell may hold a book; the message shows how it begins."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


class StudyError(DataError):
    """The protocol or a cohort table contradicts itself or the data."""


class UsageError(EvaluationError):
    """The command was called wrongly."""

    exit_code = 2


class MachineError(EvaluationError):
    """The disk, a permission, the network or another run stands in the way."""

    exit_code = 3
