"""Writing without ever leaving half a file behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

from analysis.core.errors import MachineError

if TYPE_CHECKING:  # it takes half a second to import, and most runs have nothing to write
    import pandas as pd


FOLDERS = ("data", "records", "results", "refresh", "reports")  # of a build: what its steps make
LOCK = ".lock"
IGNORE, IGNORES_ALL = ".gitignore", "*\n"
LEFTOVER = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it into place only if the block succeeds.

    The temporary file keeps the target's suffix, since some writers choose a format by it.

    Raises
    ------
    MachineError
        The disk is full, the folder cannot be written, or the file grew past a limit.
    """
    target = Path(target)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MachineError(
                f"{target}: no room left to write it ({problem.strerror}). "
                "Earlier outputs are untouched. Free some space and run again."
            ) from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise MachineError(
                f"{target}: cannot be written ({problem.strerror}). "
                "Earlier outputs are untouched. Check the folder's permissions and run again."
            ) from problem
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Yield a new folder below TMPDIR, and remove it afterwards.

    Raises
    ------
    MachineError
        The folder or a file in it cannot be written: the message names TMPDIR, not the file that was to be made from it.
    """
    try:
        with TemporaryDirectory(prefix=prefix) as name:
            yield Path(name)
    except OSError as problem:
        raise MachineError(
            f"TMPDIR={gettempdir()}: the folder for temporary files cannot be used ({problem.strerror}). "
            "Earlier outputs are untouched. Free some space there, or set TMPDIR to another folder, and run again."
        ) from problem


def write_text(text: str, target: Path) -> None:
    """Write UTF-8 text."""
    write_together({target: text})


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write Parquet or CSV, as the target's suffix says."""
    write_together({target: table})


def write_together(contents: dict[Path, pd.DataFrame | str]) -> None:
    """Write several files, or none: all are complete before the first is moved into place; the first named is moved last.

    Tables are written as Parquet or CSV by the target's suffix (CSV in UTF-8 with ISO dates, 12 significant digits and Unix
    line ends, inert in a spreadsheet), text as UTF-8.

    Raises
    ------
    MachineError
        As ``atomic_path``.
    """
    with ExitStack() as places:
        for target, content in contents.items():
            path = places.enter_context(atomic_path(target))
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            elif target.suffix == ".parquet":
                content.to_parquet(path, index=False, compression="zstd")
            else:
                from analysis.core.untrusted import spreadsheet

                spreadsheet(content).to_csv(
                    path, index=False, float_format="%.12g", date_format="%Y-%m-%d", lineterminator="\n"
                )


def _clear_leftovers(build: Path) -> None:
    """Remove what a killed run was writing; nothing but names that ``atomic_path`` gives, in the folders of a build."""
    found = [*build.glob(".*"), *(path for name in FOLDERS for path in (build / name).rglob(".*"))]
    for left in found:
        if LEFTOVER.fullmatch(left.name):
            with suppress(OSError):  # it is in nobody's way
                left.unlink()


def sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def ignored_by_git(folder: Path) -> None:
    """Let a folder be ignored by git, whatever repository it lies in; a file of the user's own stays as it is."""
    if not os.path.lexists(folder / IGNORE):
        (folder / IGNORE).write_text(IGNORES_ALL, encoding="utf-8")


@contextmanager
def only_one_run(build: Path) -> Iterator[None]:
    """Hold the build folder's lock, so that two runs never write into it together.

    Raises
    ------
    MachineError
        Another run holds it.
    """
    try:
        build.mkdir(parents=True, exist_ok=True)
        handle = open(build / LOCK, "a")  # noqa: SIM115 - held open for the whole run
        ignored_by_git(build)
    except OSError as problem:
        raise MachineError(
            f"{build}: cannot be written ({problem.strerror}). Check the folder's permissions."
        ) from problem
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        raise MachineError(
            f"{build}: another run is writing into this folder. Wait for it to end, or build elsewhere with BUILD=…"
        ) from problem
    try:
        _clear_leftovers(build)
        yield
    finally:
        handle.close()
