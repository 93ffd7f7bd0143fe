"""Where things are, and which of the choices that a caller may make were made."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from analysis.core.errors import StudyError, UsageError

Data = Literal["auto", "mar", "snapshot"]
Renderer = Literal["auto", "quarto", "embedded"]

DEFAULT_MIRROR = Path("../shared/data")
CHOICES = ("BUILD", "DATA", "ENGINE", "EXTRACT", "FROM", "MIRROR", "PROTOCOL", "RENDERER", "SPARK_MASTER", "WORKERS")
PACKAGE = Path(__file__).resolve().parents[1]
PROTOCOL_FILE = PACKAGE / "protocol.toml"


@dataclass(frozen=True)
class Workspace:
    """The folders of one run. ``root`` is the repository; relative paths in the environment start there."""

    root: Path = field(default_factory=lambda: PACKAGE.parent)
    build: Path = Path("build")
    mirror_asked: Path = DEFAULT_MIRROR
    data: Data = "auto"
    renderer: Renderer = "auto"
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    protocol_file: Path = PROTOCOL_FILE
    tables: Path | None = None  # where the manifest and the tables of places are, if not in ``data_raw``

    @property
    def data_raw(self) -> Path:
        return self.root / "data_raw"

    @property
    def mirror(self) -> Path | None:
        """The mirror folder, where there is one."""
        return self.mirror_asked if self.mirror_asked.is_dir() else None

    def require(self, *files: Path) -> None:
        """Raise a UsageError unless the files of the stages before are there."""
        for file in files:
            if not file.is_file():
                raise UsageError(f"{file} is not there yet. Run `make report`, which runs every stage in order.")

    @property
    def snapshot(self) -> Path:
        return self.data_raw / "snapshot"

    @property
    def manifest(self) -> Path:
        return self._table("manifest.csv")

    def named(self, table: str) -> Path:
        """A table that the protocol names, by a path that starts at the repository; or its like among ``tables``.

        Raises
        ------
        StudyError
            The path, its links followed, leads out of the repository and of the protocol's folder, or to something that is no
            file. What is there is neither read nor written.
        """
        other = self.tables / Path(table).name if self.tables else None
        path = other if other and other.is_file() else self.root / table
        ours = (self.root, self.data_raw, self.root / "reports")  # folders of the checkout may be links of the user's to another disk
        allowed = [folder.resolve() for folder in (*ours, self.protocol_file.parent, *filter(None, [self.tables]))]
        try:
            place = path.resolve()
            inside = any(place.is_relative_to(folder) for folder in allowed)
            problem = "is no file" if inside and place.exists() and not place.is_file() else None
        except (OSError, ValueError, RuntimeError):  # too long, or a link to itself
            inside, problem = True, "is no path"
        if problem or not inside:
            raise StudyError(
                self.protocol_file,
                f"the path {table!r}, which {problem or 'leads elsewhere'}",
                f"a table in the repository ({self.root}) or below the protocol's folder",
                "Put the table there and name it in the protocol by its path from the repository.",
            )
        return path

    @property
    def ccg_changes(self) -> Path:
        return self._table("ccg_changes.csv")

    @property
    def authority_changes(self) -> Path:
        return self._table("authority_changes.csv")

    @property
    def district_county(self) -> Path:
        return self._table("district_county.csv")

    def _table(self, name: str) -> Path:
        return (self.tables or self.data_raw) / name

    @property
    def downloads(self) -> Path:
        return self.build / "downloads"

    @property
    def panel(self) -> Path:
        return self.build / "data" / "panel.parquet"

    @property
    def shifts(self) -> Path:
        return self.build / "data" / "lasting_shifts.csv"

    @property
    def units(self) -> Path:
        """Covariates of the CCG units."""
        return self.build / "data" / "units.csv"

    @property
    def similar_units(self) -> Path:
        return self.build / "data" / "similar_units.csv"

    @property
    def national(self) -> Path:
        """England's totals by month."""
        return self.build / "data" / "national.csv"

    @property
    def data_provenance(self) -> Path:
        return self.build / "data" / "provenance.json"

    @property
    def private(self) -> Path:
        """Where rows of patients and exact counts stay; nothing in it may leave."""
        return self.build / "private"

    @property
    def suppressed(self) -> Path:
        """What earlier runs suppressed of records, which no later run may show; `make clean` keeps it."""
        return self.build / "suppressed"

    def records(self, name: str) -> Path:
        """What may leave of a patient-level extract, after disclosure control."""
        return self.build / "records" / name

    @property
    def has_records(self) -> bool:
        """Whether a patient-level extract was counted for this build."""
        return self.records("panel.parquet").is_file()

    @property
    def results(self) -> Path:
        return self.build / "results"

    @property
    def estimates(self) -> Path:
        return self.results / "estimates.parquet"

    def series(self, name: str) -> Path:
        """A table that figures draw."""
        return self.results / f"{name}.parquet"

    def table(self, name: str) -> Path:
        """A table that people read."""
        return self.results / f"{name}.csv"

    @property
    def its_series(self) -> Path:
        return self.series("its_series")

    @property
    def references(self) -> Path:
        """The works that reports may cite."""
        return self.root / "reports" / "references.bib"

    @property
    def changelog(self) -> Path:
        return self.root / "CHANGELOG.md"

    @property
    def last_edition(self) -> Path:
        """What the last recorded edition was made from, and what it found."""
        return self.build / "editions" / "last"

    def refresh(self, name: str) -> Path:
        """A table of what moved since the last edition."""
        return self.build / "refresh" / f"{name}.csv"

    @property
    def guidelines(self) -> Path:
        """Where the reports meet the items of reporting guidelines."""
        return self.root / "reports" / "guidelines.csv"

    @property
    def not_run(self) -> Path:
        return self.results / "not_run.csv"

    @property
    def ledger(self) -> Path:
        return self.results / "quality_ledger.csv"

    @property
    def staged(self) -> Path:
        """An edition in the making: documents, figures and numbers; they move to ``reports`` when all are made."""
        return self.build / "staged"

    @property
    def reports(self) -> Path:
        return self.build / "reports"

    @property
    def headline(self) -> Path:
        """What a run prints at its end."""
        return self.reports / "headline.txt"

    @property
    def contents(self) -> Path:
        """What figures and tables the reports hold."""
        return self.reports / "contents.csv"

    @property
    def staged_contents(self) -> Path:
        return self.staged / self.contents.name

    @classmethod
    def from_environment(cls) -> Workspace:
        """The workspace that BUILD, MIRROR, DATA, RENDERER, WORKERS and PROTOCOL describe.

        Raises
        ------
        UsageError
            A choice has a value it cannot have.
        """
        root = PACKAGE.parent
        for name in CHOICES:
            if any(unicodedata.category(sign) == "Cc" for sign in os.environ.get(name, "")):
                raise UsageError(
                    f"{name}: its value has a character that no screen shows, such as the \\r with which Windows ends a line. Write it without."
                )
        for name in ("BUILD", "MIRROR", "PROTOCOL"):
            _check_name(name, root)
        mirror = root / os.environ["MIRROR"] if os.environ.get("MIRROR") else root / DEFAULT_MIRROR
        return cls(
            root=root,
            build=root / (os.environ.get("BUILD") or "build"),
            mirror_asked=mirror,
            data=_choice("DATA", get_args(Data)),
            renderer=_choice("RENDERER", get_args(Renderer)),
            workers=_number("WORKERS", os.cpu_count() or 1),
            protocol_file=_protocol(root),
        )


def _protocol(root: Path) -> Path:
    """The protocol asked for; the main study's own is looked for by whoever reads it."""
    file = root / (os.environ.get("PROTOCOL") or PROTOCOL_FILE)
    if file != PROTOCOL_FILE and not file.is_file():
        raise UsageError(f"PROTOCOL={os.environ['PROTOCOL']}: there is no such file. Relative paths start at {root}.")
    return file


def _check_name(name: str, root: Path) -> None:
    if os.environ.get(name, "").startswith("~"):
        raise UsageError(f"{name}={os.environ[name]}: the shell left the ~ as it is. Write the whole name of the folder or file.")
    try:
        (root / os.environ.get(name, "")).exists()
    except OSError as problem:
        raise UsageError(f"{name}={os.environ[name][:80]}…: {problem.strerror}. Name another place.") from problem


def _choice(name: str, allowed: tuple[str, ...]) -> Any:
    value = os.environ.get(name) or allowed[0]
    if value not in allowed:
        raise UsageError(f"{name}={value}: it must be one of {', '.join(allowed)}.")
    return value


def _number(name: str, usual: int) -> int:
    value = os.environ.get(name) or str(usual)
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"{name}={value}: it must be a whole number, 1 or more.")
    return int(value)
