"""The folder that a run writes into: which folders may be one, and how one is emptied.

Whoever sets BUILD may name any folder of the machine. Nothing is written or removed where other files could be lost.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from analysis.build.manifest import MANIFEST, REASONS, Manifest, is_manifest
from analysis.core.errors import MachineError, UsageError
from analysis.core.files import FOLDERS, IGNORE, LOCK
from analysis.core.scratch import MARK, PRIVATE, SCRATCH, SYSTEM, is_scratch

BETWEEN = ".refresh-"  # the beginning of the names of folders for what is rebuilt between two editions
DOWNLOADS = "downloads"  # kept by `clean`: it costs the publishers' sites, not this machine
SUPPRESSED = "suppressed"  # kept by `clean`: without it a later run may show what an earlier one did not (records/memory.py)


def check_build_folder(build: Path, root: Path) -> None:
    """Refuse a folder that holds, or lies among, files that are not a build's.

    Raises
    ------
    UsageError
        The folder is the repository, lies above it or among its sources, or holds other files and no build.
    """
    place, top = build.resolve(), root.resolve()
    if top.is_relative_to(place):
        raise UsageError(
            f"BUILD={build}: the repository lies in this folder. Name another folder, such as {top / 'build'}."
        )
    within = place.relative_to(top).parts[0] if place.is_relative_to(top) else ""
    if within in ("analysis", "data_raw", "reports", "tests", ".git", ".ci", ".github", ".venv"):
        raise UsageError(
            f"BUILD={build}: {within}/ holds the project's own files. Name another folder, such as {top / 'build'}."
        )
    # What was there before a run began is somebody else's, whatever it is called: a folder `data` or `reports` is in many projects.
    others = (
        [] if is_begun(build) else [name for name in _names(build) if not is_begun(build / name) and name not in SYSTEM]
    )
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(
            f"BUILD={build}: this folder holds {others[0]}{more}, which no run made. Name a new or an empty folder."
        )


def is_build(folder: Path) -> bool:
    """Whether a folder holds the manifest of one of this project's builds."""
    try:
        return is_manifest(folder / MANIFEST)
    except OSError:  # a name that no folder can have; who reads the folder says so
        return False


def is_begun(folder: Path) -> bool:
    """Whether a run wrote into a folder, or began to: the lock is the first thing that it writes."""
    return is_build(folder) or (folder / LOCK).is_file()


def may_clean(build: Path) -> bool:
    """Whether there is something of a run to remove from a folder.

    Raises
    ------
    UsageError
        The folder holds files, and no manifest and lock of a run. A manifest that was copied into another folder, with some tables of a
        build, does not make it a build.
    """
    if is_build(build) and (build / LOCK).is_file():
        return True
    if any(name not in (LOCK, IGNORE, DOWNLOADS, SUPPRESSED) for name in _names(build)):
        raise UsageError(
            f"BUILD={build}: it holds no {MANIFEST} and {LOCK} of a run of this project, so nothing was removed. "
            "Remove the folder by hand if it is a build that did not end."
        )
    return False


def clean(build: Path) -> str:
    """Remove the outputs that are as a build's manifest lists them and the folders that runs marked as theirs; say what stays.

    Downloads, the memory of suppressed counts and other files stay. Half-written files were removed when the run took its lock.

    Raises
    ------
    MachineError
        Something in it cannot be read or removed.
    """
    outputs, changed = _outputs(build)
    own = [build / name for name in _names(build) if name in SCRATCH or name.startswith(BETWEEN)]
    unmarked = [folder for folder in own if not is_scratch(folder)]
    removed = [*outputs, *(folder for folder in own if folder not in unmarked)]
    links = {path: os.path.realpath(path) for path in removed if path.is_symlink()}
    for path in [*removed, build / REASONS, build / MANIFEST]:  # the mark of a build goes last
        _remove(path)
    _remove_empty(build)
    left = [name for name in _names(build) if name not in (LOCK, IGNORE)]
    stays = f"; {', '.join(left)} {'stays' if len(left) == 1 else 'stay'}" if left else ""
    said = [f"{build} is emptied{stays}."]
    said += [f"{file} is not as {MANIFEST} lists it, so it was not removed." for file in changed]
    said += [
        f"{path.name} has no {MARK}, the file that a run leaves in each such folder that it makes, so it was not removed.{_of_patients(path)}"
        for path in unmarked
    ]
    said += [
        f"{path.relative_to(build)} was a link: {target} stays.{_of_patients(path)}" for path, target in links.items()
    ]
    return "\n".join(said)


def _of_patients(path: Path) -> str:
    return " It may hold rows of patients and exact counts." if path.name == PRIVATE else ""


def _outputs(build: Path) -> tuple[list[Path], list[str]]:
    """What steps made, as it can be removed, and the names of outputs whose content is no longer what the manifest lists.

    An output below a link to a folder stays where it is, and so does the folder: only the link is removed.
    """
    manifest = Manifest.read(build)
    faults = manifest.faults(manifest.outputs)
    removed = {build / name: None for name in FOLDERS if (build / name).is_symlink()}
    changed = []
    for file in manifest.outputs:
        path = build / file
        within = [build / part for part in reversed([Path(file), *Path(file).parents[:-1]])]
        link = next((part for part in within if part.is_symlink()), path)  # the outermost
        if file not in faults or link != path:
            removed[link] = None
        elif os.path.lexists(path):
            changed.append(file)
    return list(removed), changed


def _remove_empty(build: Path) -> None:
    """Remove the empty ones of the folders of steps."""
    for name in FOLDERS:
        for folder, _, _ in os.walk(build / name, topdown=False):
            with suppress(OSError):  # it holds something
                os.rmdir(folder)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise UsageError(f"BUILD={folder}: this is a file. Name a folder.") from None
    except OSError as problem:
        raise MachineError(
            f"{folder}: cannot be read ({problem.strerror}). Check the folder's permissions."
        ) from problem


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # of a symbolic link, the link alone
    except OSError as problem:
        raise MachineError(
            f"{path}: cannot be removed ({problem.strerror}). Check the folder's permissions."
        ) from problem
