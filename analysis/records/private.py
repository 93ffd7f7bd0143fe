"""The folder for rows of patients and exact counts: its owner alone may read it, and git ignores it."""

from __future__ import annotations

import os
import stat
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.core.errors import EvaluationError, MachineError
from analysis.core.files import IGNORE, IGNORES_ALL
from analysis.core.scratch import MARK, check_scratch, scratch_folder

PROBLEM = "problem.txt"
OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(path: Path) -> Path:
    """Make the folder, or take it back from others: its mode is 0700 whatever it was.

    Raises
    ------
    UsageError
        It holds files, and no mark of a run.
    MachineError
        It is no folder, belongs to somebody else, or lies on a disk without permissions; or it is a link to a folder that others may enter. The
        mode of such a folder is not changed, since it may serve for something else.
    """
    try:
        check_scratch(path)  # before its mode is changed
        if path.is_symlink():
            _check(
                path, f"is a link to {os.path.realpath(path)}, ", "Say `chmod 700` of that folder, or remove the link."
            )
        else:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.stat().st_uid == os.geteuid():
                path.chmod(0o700)
            _check(path, "is a folder ", "Remove it, or build in a folder of your own: BUILD=folder.")
        scratch_folder(path)
        (path / IGNORE).write_text(IGNORES_ALL, encoding="utf-8")  # also where the build's own says otherwise
    except OSError as problem:
        raise MachineError(
            f"{path}: the folder for rows of patients cannot be made or protected ({problem.strerror}). Nothing was read."
        ) from problem
    return path


@contextmanager
def kept_private(private: Path) -> Iterator[None]:
    """Turn an unexpected failure within the block into a message that holds no row of a patient.

    Raises
    ------
    MachineError
        The place in the code and the kind of the problem; the rest is in the private folder.
    """
    if not private.is_symlink() and (private / MARK).is_file():
        (private / PROBLEM).unlink(missing_ok=True)
    try:
        yield
    except EvaluationError:
        raise
    except Exception as problem:
        last = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        raise MachineError(
            f"The run failed unexpectedly: {type(problem).__name__} in {where}. {note_problem(problem, private)}. Earlier outputs are untouched."
        ) from problem


def note_problem(problem: BaseException, private: Path) -> str:
    """Write a traceback, which may hold rows, to the private folder; return where it is, in words."""
    try:
        file = private_folder(private) / PROBLEM
        file.write_text("".join(traceback.format_exception(problem)), encoding="utf-8", errors="replace")
    except (EvaluationError, OSError):
        return "Its message is not shown, since it may hold rows of patients"
    return f"Its message may hold rows of patients, and is in {file} alone"


def _check(path: Path, what: str, action: str) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise MachineError(
            f"{path}: {what}that belongs to somebody else. Rows of patients are not written there. {action}"
        )
    if found.st_mode & OF_OTHERS or not stat.S_ISDIR(found.st_mode):
        raise MachineError(f"{path}: {what}that others may enter. Rows of patients are not written there. {action}")
