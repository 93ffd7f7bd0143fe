"""Folders into which only runs write. A mark in each tells it from a user's folder of the same name, which is neither written into nor removed."""

from __future__ import annotations

import shutil
from pathlib import Path

from analysis.core.errors import MachineError, UsageError
from analysis.core.files import IGNORE, write_text

PRIVATE = "private"  # rows of patients and exact counts
SCRATCH = ("staged", "editions", PRIVATE, "made-up-extract")  # their names in a build
MARK = ".removed-by-make-clean"
NOTE = "A run of this project made this folder. Keep no file of your own in it.\n"
SYSTEM = ("lost+found", ".DS_Store", ".gitkeep", IGNORE)  # names in an otherwise empty folder


def scratch_folder(folder: Path, anew: bool = False) -> Path:
    """Make a folder into which only runs write, and mark it; ``anew`` removes what an earlier run left in it.

    Raises
    ------
    UsageError
        As ``check_scratch``.
    MachineError
        The folder cannot be read or written.
    """
    check_scratch(folder)
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / MARK).is_file():
        write_text(NOTE, folder / MARK)
    return folder


def check_scratch(folder: Path) -> None:
    """Refuse a folder that holds files and no mark of a run.

    Raises
    ------
    UsageError
        There are such files; nothing is changed.
    MachineError
        The folder cannot be read.
    """
    if not is_scratch(folder):
        first, *others = _names(folder)
        more = f" and {len(others)} more" if others else ""
        raise UsageError(
            f"{folder}: this folder holds {first}{more}, and no {MARK}, so no run made it. Choose another BUILD, or move "
            f"the files elsewhere. If a run of an earlier version made the folder, put an empty file {MARK} into it; `make clean` then removes the folder."
        )


def is_scratch(folder: Path) -> bool:
    """Whether a folder is a run's: it has the mark, or nothing that could be lost.

    Raises
    ------
    MachineError
        It cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        return False
    names = _names(folder)
    return MARK in names or not names


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.name not in SYSTEM)
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise MachineError(
            f"{folder}: cannot be used as a folder ({problem.strerror}). Check its permissions, or choose another BUILD."
        ) from problem
