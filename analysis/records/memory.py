"""What earlier runs suppressed, so that no later one shows it: a count that grows from 7 to 8 would tell that it was 7.

The memory lies outside what `make clean` removes. It holds which cells were suppressed, never a count, and the settings that give its labels their
meaning. Tables whose ages or networks are cut in another way are refused: both editions together tell counts that each of them suppresses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.core.errors import MachineError, UsageError

SETTINGS = "settings.json"
FORGOTTEN = "No earlier run is on record in {folder}: if tables of this extract were released before, this run may show what they suppressed."


@dataclass(frozen=True)
class Memory:
    """The memory in a ``folder``, of records that have these ``settings``: what cuts counts into places and parts, null where it is not asked for."""

    folder: Path
    settings: Mapping[str, object]

    @property
    def exists(self) -> bool:
        """Whether an earlier run is on record."""
        return (self.folder / SETTINGS).is_file()

    def check(self) -> None:
        """Refuse settings with which what is released now and what was released before are no longer one system of totals.

        Raises
        ------
        UsageError
            A setting differs from that of an earlier run.
        """
        for name, before in self._recorded().items():
            now = self.settings.get(name)
            if None not in (before, now) and before != now:
                raise UsageError(
                    f"The tables would be cut by other {name} than those of an earlier run ({self.folder / SETTINGS}), and both together would tell counts "
                    f"that each of them suppresses. Go back to the earlier {name}, or, if no table of the earlier runs has been released, remove the folder {self.folder}."
                )

    def suppressed(self, table: str, labels: list[str]) -> pd.DataFrame | None:
        """Which cells of a table earlier runs suppressed: an index of ``labels``, a column an outcome; None where none did.

        Raises
        ------
        MachineError
            The file is damaged.
        """
        file = self._file(table)
        if not file.is_file():
            return None
        try:
            return pd.read_parquet(file).set_index(labels)
        except (OSError, ValueError, KeyError) as problem:
            raise _unreadable(file) from problem

    def contents(self, suppressed: Mapping[str, pd.DataFrame]) -> dict[Path, pd.DataFrame | str]:
        """The files that add the cells that are ``suppressed`` now, by table, to those of earlier runs."""
        settings = self._recorded() | {name: value for name, value in self.settings.items() if value is not None}
        files: dict[Path, pd.DataFrame | str] = {}
        for table, now in suppressed.items():
            before = self.suppressed(table, list(now.index.names))
            both = pd.concat([frame[frame.any(axis=1)] for frame in (before, now) if frame is not None])
            files[self._file(table)] = (
                both.fillna(False).astype(bool).groupby(level=now.index.names).any().reset_index()
            )
        return files | {self.folder / SETTINGS: json.dumps(settings, indent=1, ensure_ascii=False) + "\n"}

    def _recorded(self) -> dict[str, object]:
        if not self.exists:
            return {}
        try:
            return dict(json.loads((self.folder / SETTINGS).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as problem:
            raise _unreadable(self.folder / SETTINGS) from problem

    def _file(self, table: str) -> Path:
        return (self.folder / table).with_suffix(".parquet")


def _unreadable(file: Path) -> MachineError:
    return MachineError(
        f"{file}: what earlier runs suppressed cannot be read. Put the file back from a copy; or, if no table of the earlier runs has been "
        f"released, remove the folder {file.parent}."
    )
