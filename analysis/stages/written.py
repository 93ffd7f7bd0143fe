"""The tables that a run adds to the project's own, where the protocol says: editions and simulated error rates."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from analysis.core.csv_rows import read_rows
from analysis.core.errors import StudyError, UsageError
from analysis.core.workspace import Workspace
from analysis.protocol.protocol import load_protocol

SIGNED = "commit"  # a column that each of these tables has


def table_to_write(work: Workspace, key: str) -> Path:
    """The table that the protocol names as ``key`` under [report], where this programme's own numbers may be written.

    Raises
    ------
    UsageError
        It names none.
    StudyError
        The name is not that of a CSV table in the repository or below the protocol's folder; another protocol of the project writes
        there; or the file that is there is another table.
    """
    name = getattr(load_protocol(work.protocol_file).report, key)
    if name is None:
        raise UsageError(f"{work.protocol_file} does not say where to: name a table as {key} under [report].")
    path = work.named(name)
    place = f"report.{key}"
    to_do = f"Name a table of this protocol's own as {key} under [report]."
    if path.suffix != ".csv":
        raise StudyError(work.protocol_file, repr(name), "the name of a CSV table", to_do, column=place)
    for other in _protocols(work.root):
        theirs = _report(other).get(key)
        if isinstance(theirs, str) and other != work.protocol_file.resolve() and _same(work.root / theirs, path):
            found = f"{name!r}, to which {other.relative_to(work.root.resolve())} has its numbers written"
            raise StudyError(work.protocol_file, found, "a table of this protocol's own", to_do, column=place)
    if path.is_file() and SIGNED not in read_rows(path)[0]:
        raise StudyError(
            work.protocol_file, f"{name!r}, which is another table", f"a table of {key}", to_do, column=place
        )
    return path


def _protocols(root: Path) -> list[Path]:
    """The protocols of the project's own programmes."""
    return [path.resolve() for path in (root / "analysis/protocol.toml", *root.glob("data_raw/*/protocol.toml"))]


def _report(protocol: Path) -> dict[str, Any]:
    """The table [report] of a protocol; without keys where it cannot be read, which whoever runs it is told."""
    try:
        report = tomllib.loads(protocol.read_text(encoding="utf-8")).get("report")
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
