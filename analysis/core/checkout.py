"""Which version of the code runs: the commit of this project's own checkout, and the date that its documents carry."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.core.errors import UsageError

EPOCH = "SOURCE_DATE_EPOCH"  # https://reproducible-builds.org/docs/source-date-epoch/: seconds since 1970, UTC
LAST_DAY = 253_402_300_799  # the last second that a date can show, 9999-12-31

# What a build is made from. A change anywhere else (the user's own files, a build folder) does not make the checkout dirty.
SOURCES = (
    "analysis", "data_raw", "reports", "Makefile", "_quarto.yml", "pyproject.toml", "requirements.lock",
)  # fmt: skip
SOURCE_SUFFIXES = (".py", ".pyc", ".so", ".toml", ".csv", ".qmd", ".bib", ".css", ".html", ".lua", ".typ", ".yml")  # of what is read or run
PROTOCOL = "analysis/protocol.toml"
MARKER = "analysis/__main__.py"  # a file that this project's own repository tracks


def commit(root: Path) -> tuple[str, bool | None]:
    """The short hash of the commit in ``root``, and whether the sources are as committed; ("unknown", None) if this is no checkout.

    Sources that were unpacked inside another repository are not a checkout: that repository's commit says nothing about them.
    """
    head = _git(root, "rev-parse", "--short=10", "HEAD") if _own(root) else None
    return ("unknown", None) if head is None else (head, _is_clean(root))


def set_source_date(root: Path) -> None:
    """Put ``SOURCE_DATE_EPOCH`` into the environment, unless the caller did: every program that writes a date reads it there.

    Raises
    ------
    UsageError
        The caller's value is not a number of seconds.
    """
    given = os.environ.get(EPOCH)
    if not given:
        os.environ[EPOCH] = str(_source_date(root))
    elif not (given.isascii() and given.isdecimal()) or int(given) > LAST_DAY:
        raise UsageError(f"{EPOCH}={given}: it must be a whole number of seconds since 1970-01-01.")


def dated_by(root: Path) -> str:
    """In words, what gave the documents of sources that are no checkout their date."""
    when, what = _date_of_files(root)
    return what if os.environ.get(EPOCH) == str(when) else EPOCH


def _source_date(root: Path) -> int:
    """The time of the commit; outside a checkout, the time that the files tell."""
    if _own(root) and (when := _git(root, "log", "-1", "--format=%ct")):
        return int(when)
    return _date_of_files(root)[0]


def _date_of_files(root: Path) -> tuple[int, str]:
    """The time of the newest source file, which unpacking an archive preserves, and what gave it, in words.

    Containers and package stores set every file's time to the same moment. A time before the protocol's last amendment, which the files hold, or
    after the present cannot be theirs: the day of the amendment stands in.
    """
    files = [path for name in SOURCES for path in [root / name, *(root / name).rglob("*")]]
    newest = max(
        (int(path.stat().st_mtime) for path in files if path.is_file() and "__pycache__" not in path.parts), default=0
    )
    amended = _last_amendment(root / PROTOCOL)
    if amended is None or amended <= newest <= time.time():
        return newest, "its newest source file"
    return amended, "its protocol's last amendment"


def _last_amendment(protocol: Path) -> int | None:
    """The first second, in UTC, of the latest day in the protocol's list of deviations; None where there is none that can be read."""
    try:
        entries = tomllib.loads(protocol.read_text(encoding="utf-8"))["deviations"]
        day = max(dt.date.fromisoformat(str(entry["date"])[:10]) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):  # whoever reads the protocol says what is wrong
        return None
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())


def _is_clean(root: Path) -> bool:
    """Whether the sources are those of the commit, and no further file lies among them.

    The user's index and settings may hide a change (``skip-worktree``, ``status.showUntrackedFiles``, a list of files to ignore), so the
    contents are compared with an index that is made anew, and a further file of the code or the reports counts, whatever Git is told to ignore.
    """
    with TemporaryDirectory(prefix="index-") as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        read = _git(root, "read-tree", "HEAD", index=index)
        _git(
            root, "update-index", "-q", "--refresh", index=index
        )  # compares contents; its answer is that of the next line
        changed = _git(root, "diff-index", "--name-only", "HEAD", "--", *SOURCES, index=index)
        further = _git(root, "ls-files", "--others", "--exclude-per-directory=.gitignore", "--", *SOURCES, index=index)
        ignored = _git(root, "ls-files", "-z", "--others", "--", "analysis", "reports", index=index)
    run = [file for file in (ignored or "").split("\0") if Path(file).suffix in SOURCE_SUFFIXES and "__pycache__" not in file]
    return read is not None and changed == "" and further == "" and not run


def _own(root: Path) -> bool:
    """Whether ``root`` is the top of a checkout whose commit holds this project's files."""
    top = _git(root, "rev-parse", "--show-toplevel")
    return bool(top) and Path(str(top)) == root.resolve() and bool(_git(root, "ls-tree", "HEAD", "--", MARKER))


def _git(root: Path, *arguments: str, index: Mapping[str, str] | None = None) -> str | None:
    """What Git answers about ``root``, or None where it does not.

    Variables such as GIT_DIR, which Git sets for its hooks, would make it answer about another repository. A checkout that belongs to
    another user is ours all the same: nothing is run from it that does not run already.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | dict(index or {})
    settings = {"safe.directory": root.resolve(), "core.fsmonitor": "false", "log.showSignature": "false"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = ["git", *options, "-C", str(root), *arguments]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", errors="surrogateescape", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.removesuffix("\n")
