"""Which files of a folder are the extract's: data files by their content, and what else lies in the folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from analysis.core.errors import DataError, EvaluationError, MachineError, UsageError
from analysis.records.delimited import looks_delimited

PARQUET, TEXT_FILE = "Parquet", "CSV"
PARQUET_MAGIC = b"PAR1"
PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
TEXT_SUFFIXES = (".csv", ".txt", ".tsv", ".psv")
DOCUMENTS = (
    ".md", ".rst", ".pdf", ".doc", ".docx", ".rtf", ".htm", ".html", ".log", ".json", ".xml", ".yaml", ".yml", ".toml", ".sql", ".sas",
    ".sps", ".do", ".r", ".py", ".ipynb", ".sh", ".bat", ".md5", ".sha1", ".sha256", ".png", ".jpg", ".ppt", ".pptx",
)  # fmt: skip
TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".crc", ".swp", ".bak", ".lock", "~")
LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini")
FOOTERS = ("_metadata", "_common_metadata")  # of other Parquet files, without rows of their own
# Folders with the log of a table that keeps files after their rows were replaced or withdrawn.
LOGS = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table", "_spark_metadata": "the output of a Spark stream"}


@dataclass(frozen=True)
class Listing:
    """``files`` of one ``kind`` (``PARQUET`` or ``TEXT_FILE``), sorted; of what is not read, the ``documents``, and the ``skipped`` files and
    folders that are hidden or temporary though they hold rows."""

    files: tuple[Path, ...]
    kind: str
    documents: tuple[Path, ...]
    skipped: tuple[Path, ...]


def list_files(place: Path) -> Listing:
    """The data files at ``place``, a file or a folder, each once, however many links lead to it.

    Hidden, lock and temporary files are skipped. A file that is neither data nor a document stops the run, since rows may be in it.

    Raises
    ------
    UsageError
        There is nothing, or there are files of both kinds.
    DataError
        A file is of a kind that is not read or has a name that is not UTF-8, a folder is empty or of a table with a log, a link leads to a folder
        above, or the same file is there twice.
    MachineError
        A file or folder may not be read.
    """
    if not place.exists():
        raise UsageError(f"EXTRACT={place}: there is no such file or folder.")
    candidates, passed_over = _below(place) if place.is_dir() else ([place], [])
    kinds = {file: _kind(file) for file in candidates}
    files = sorted(file for file, kind in kinds.items() if kind)
    first = {kinds[file]: file for file in reversed(files)}
    if len(first) != 1:
        what = " and ".join(f"{kind} ({first[kind]})" for kind in sorted(first)) or "no such file"
        raise UsageError(f"EXTRACT={place}: it must hold Parquet or CSV files of one kind; found {what}.")
    names: dict[str, Path] = {}
    for file in files:
        twin = names.setdefault(str(file.with_name(file.name.lower().removesuffix(".gz"))), file)
        if twin != file:
            raise DataError(file, f"the name of {twin.name} again", "each file once", "Keep one of the two.")
    documents = sorted(file for file, kind in kinds.items() if not kind)
    return Listing(tuple(files), kinds[files[0]], tuple(documents), tuple(sorted(filter(_holds_rows, passed_over))))


def _below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of a folder and its folders, linked ones too, that are neither hidden nor temporary; and the files and folders that are."""
    whole = folder.resolve()
    for above in (whole, *whole.parents):
        _check_log(above, [name for name in LOGS if (above / name).is_dir()])
    seen: set[Path] = set()
    files: dict[Path, Path] = {}
    skipped = []
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_not_readable):
        here = Path(parent)
        _check_log(here, folders)
        skipped += [here / name for name in (*folders, *names) if _skipped(name)]
        folders[:] = sorted(name for name in folders if not _skipped(name))
        own = [here / name for name in sorted(names) if not _skipped(name)]
        if not own and not folders:
            raise DataError(
                here, "an empty folder", "a partition with files", "Complete the extract, or remove the folder."
            )
        real = here.resolve()
        if real in whole.parents:
            raise DataError(
                here, f"a link to {real}, in which the extract lies", "files of the extract", "Remove the link."
            )
        if real in seen:
            folders.clear()  # another link leads here
            continue
        seen.add(real)
        for file in own:
            files.setdefault(file.resolve() if file.is_file() else file, file)
    # A link may lead to one that is hidden.
    return list(files.values()), [entry for entry in skipped if entry.resolve() not in seen | files.keys()]


def _check_log(folder: Path, names: Iterable[str]) -> None:
    for name in LOGS:
        if name in names:
            raise DataError(
                folder, f"{LOGS[name]} ({name}), whose folder keeps files that are no longer part of it", "files that are all read",
                "Export the table to Parquet files in a new folder.",
            )  # fmt: skip


def _skipped(name: str) -> bool:
    return (
        name.startswith((".", "_", "~$")) or name.lower().endswith(TEMPORARY) or name.lower() in LEFT_BY_SYSTEMS
    )  # fmt: skip


def _holds_rows(entry: Path) -> bool:
    """Whether a hidden or temporary file, or a file of such a folder, begins as Parquet or as a table in text."""
    inside = (Path(parent) / name for parent, _, names in os.walk(entry) for name in names)
    for file in inside if entry.is_dir() else [entry]:
        try:
            if file.is_file() and file.name not in FOOTERS and (_beginning(file) == PARQUET_MAGIC or looks_delimited(file)):
                return True
        except EvaluationError:  # damaged, or not readable
            continue
    return False


def _kind(file: Path) -> str:
    """``PARQUET``, ``TEXT_FILE``, or nothing for a document."""
    name = file.name.lower()
    shown = os.fsencode(file).decode(errors="backslashreplace")
    if shown != str(file):
        raise DataError(shown, "a name that is not UTF-8", "names in UTF-8", "Rename it.")
    if not file.is_file():
        raise DataError(
            file, "a link that leads nowhere" if file.is_symlink() else "a device or a pipe", "a file", "Move it elsewhere."
        )
    if name.endswith(PARQUET_SUFFIXES) or _beginning(file) == PARQUET_MAGIC:
        return PARQUET
    if name.removesuffix(".gz").endswith(TEXT_SUFFIXES):
        return "" if name.endswith(".txt") and not looks_delimited(file) else TEXT_FILE
    if name.endswith(DOCUMENTS) or Path(name).stem in ("readme", "licence", "license", "makefile"):
        return ""
    raise DataError(
        file, "a file that is neither Parquet nor CSV", "Parquet or CSV files (.csv, .txt, .tsv or .psv, also as .gz)",
        "Convert it or unpack it if it is part of the extract; else move it elsewhere.",
    )  # fmt: skip


def _beginning(file: Path) -> bytes:
    try:
        with open(file, "rb") as handle:
            return handle.read(len(PARQUET_MAGIC))
    except OSError as problem:
        _not_readable(problem)
        raise


def _not_readable(problem: OSError) -> None:
    raise MachineError(
        f"{problem.filename}: cannot be read ({problem.strerror}). Check the file and its permissions."
    ) from problem
