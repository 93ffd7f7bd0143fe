"""Which files of a folder are the extract's: data files by their content, and what else lies in the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import DataError, MachineError, UsageError
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


@dataclass(frozen=True)
class Listing:
    """``files`` of one ``kind`` (``PARQUET`` or ``TEXT_FILE``), sorted, and the documents among them that are not read."""

    files: tuple[Path, ...]
    kind: str
    documents: tuple[Path, ...]


def list_files(place: Path) -> Listing:
    """The data files at ``place``, a file or a folder.

    Hidden, lock and temporary files are skipped. A file that is neither data nor a document stops the run, since rows may be in it.

    Raises
    ------
    UsageError
        There is nothing, or there are files of both kinds.
    DataError
        A file is of a kind that is not read, a folder is empty, or the same file is there twice.
    MachineError
        A file or folder may not be read.
    """
    if not place.exists():
        raise UsageError(f"EXTRACT={place}: there is no such file or folder.")
    kinds = {file: _kind(file) for file in (_below(place) if place.is_dir() else [place])}
    files = sorted(file for file, kind in kinds.items() if kind)
    if len({kinds[file] for file in files}) != 1:
        what = " and ".join(sorted({kinds[file] for file in files})) or "no such file"
        raise UsageError(f"EXTRACT={place}: it must hold Parquet or CSV files of one kind; found {what}.")
    names: dict[str, Path] = {}
    for file in files:
        twin = names.setdefault(str(file.with_name(file.name.lower().removesuffix(".gz"))), file)
        if twin != file:
            raise DataError(file, f"the name of {twin.name} again", "each file once", "Keep one of the two.")
    return Listing(tuple(files), kinds[files[0]], tuple(sorted(file for file, kind in kinds.items() if not kind)))


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder and its folders, linked ones too, that are neither hidden nor temporary."""
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_not_readable):
        here = Path(parent)
        if "_delta_log" in folders:
            raise DataError(
                here, "a Delta table, whose folder keeps files that are no longer part of it", "files that are all read",
                "Export the table to Parquet files in a new folder.",
            )  # fmt: skip
        folders[:] = sorted(name for name in folders if not _skipped(name))
        files = [here / name for name in names if not _skipped(name)]
        if not files and not folders:
            raise DataError(
                here, "an empty folder", "a partition with files", "Complete the extract, or remove the folder."
            )
        if here.resolve() in seen:
            folders.clear()  # a link leads back here
            continue
        seen.add(here.resolve())
        yield from files


def _skipped(name: str) -> bool:
    return (
        name.startswith((".", "_", "~$")) or name.lower().endswith(TEMPORARY) or name.lower() in LEFT_BY_SYSTEMS
    )  # fmt: skip


def _kind(file: Path) -> str:
    """``PARQUET``, ``TEXT_FILE``, or nothing for a document."""
    name = file.name.lower()
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
