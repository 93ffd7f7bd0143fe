"""The files of a folder in which a user puts what was downloaded, as people, browsers and systems leave it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from analysis.sources.limits import LARGEST

# What is nobody's file: hidden ones, locks of an open workbook, downloads under way, and what systems leave in every folder.
LEFT_BEHIND = re.compile(
    r"\..*|~\$.*|.*~|.*\.(tmp|temp|part|partial|crdownload|download|opdownload|swp|lock)"
    r"|(ehthumbs|thumbs)\.db|desktop\.ini|icon\r|__macosx|@eadir|\$recycle\.bin|system volume information",
    re.IGNORECASE,
)


class NotTaken(Exception):
    """Why a file is passed over, as the words that follow its name."""


def files_below(folder: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """The regular files of a folder and of those in it, by path; what else is there, and is not left behind, is named to ``say``."""

    def unreadable(problem: OSError) -> None:
        say(f"{shown(folder, Path(problem.filename))} cannot be read ({problem.strerror}): passed over")

    for place, folders, names in os.walk(folder, onerror=unreadable):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = sorted(name for name in folders if name not in links and not LEFT_BEHIND.fullmatch(name))
        for name in sorted(name for name in [*names, *links] if not LEFT_BEHIND.fullmatch(name)):
            path = Path(place, name)
            try:
                reason = _not_opened(path)
            except OSError as problem:
                reason = f"cannot be read ({problem.strerror})"
            if reason:
                say(f"{shown(folder, path)} {reason}: passed over")
            else:
                yield path


def shown(folder: Path, path: Path) -> str:
    """A path below the folder on one line, whatever its name holds."""
    name = str(path.relative_to(folder))
    return name if name.isprintable() else repr(name)


def _not_opened(path: Path) -> str | None:
    """Why a file is not opened at all; None if it is."""
    if path.is_dir():
        return "is a link to a folder, which is not followed"
    if not path.exists():
        return "is a link to no file"
    if not path.is_file():  # a pipe would be waited for without end
        return "is a device or a pipe, not a file"
    if path.stat().st_size > LARGEST:
        return f"has {path.stat().st_size:,} bytes, more than any file of the study"
    return None
