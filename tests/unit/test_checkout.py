"""Whose commit and whose date a report carries: this project's own checkout's, or the source files'."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.core.checkout import EPOCH, MARKER, PROTOCOL, commit, dated_by, set_source_date
from analysis.core.errors import UsageError

COMMITTED, NEWEST = 1_500_000_000, 1_400_000_000
AMENDED = 1_300_060_800  # 2011-03-14


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_DATE": f"{COMMITTED} +0000", "GIT_COMMITTER_DATE": f"{COMMITTED} +0000"}
    who |= {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**clean, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The sources as an archive of them is unpacked, with the times that it holds."""
    root = tmp_path / "outer/it's [ours]"
    for name in (MARKER, "reports/evaluation.qmd", "data_raw/manifest.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
        os.utime(root / name, (NEWEST, NEWEST - (name != MARKER)))
    (root / "analysis/__pycache__").mkdir()
    (root / "analysis/__pycache__/later.pyc").write_text("x")
    return root


def committed(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all", "--allow-empty")
    return git(folder, "rev-parse", "--short=10", "HEAD")


def dated(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv(EPOCH, "")  # not given; and it is taken back after the test
    set_source_date(root)
    return int(os.environ[EPOCH])


def test_a_checkout_gives_its_own_commit_and_date(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = committed(sources)
    assert commit(sources) == (head, True)
    assert dated(sources, monkeypatch) == COMMITTED


@pytest.mark.slow
@pytest.mark.parametrize("change", ["analysis/__main__.py", "reports/new.qmd", "data_raw/new.csv"])
def test_a_changed_or_a_new_source_is_a_change(change: str, sources: Path) -> None:
    head = committed(sources)
    (sources / "notes.txt").write_text("of the user, and no source")
    assert commit(sources) == (head, True)
    (sources / change).write_text("changed")
    assert commit(sources) == (head, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["skip-worktree", "assume-unchanged", "showUntrackedFiles", "info/exclude", "global excludes"]
)
def test_a_change_that_the_users_settings_hide(
    way: str, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / ".gitignore").write_text("__pycache__/\n")
    head = committed(sources)
    assert commit(sources) == (head, True)
    if way in ("skip-worktree", "assume-unchanged"):
        git(sources, "update-index", f"--{way}", MARKER)
        (sources / MARKER).write_text("changed")
    else:
        (sources / "data_raw/new.csv").write_text("new")
    if way == "showUntrackedFiles":
        git(sources, "config", "status.showUntrackedFiles", "no")
    elif way == "info/exclude":
        (sources / ".git/info").mkdir(exist_ok=True)
        (sources / ".git/info/exclude").write_text("*.csv\n")
    elif way == "global excludes":
        (tmp_path / "ignored").write_text("*.csv\n")
        git(sources, "config", "core.excludesFile", str(tmp_path / "ignored"))
    assert commit(sources) == (head, False)


@pytest.mark.parametrize("ignored", ["mine.py", "*"])
def test_a_module_that_the_user_lets_git_ignore(ignored: str, sources: Path) -> None:
    """The list of files to ignore is committed, or ignores itself."""
    (sources / ".gitignore").write_text(f"__pycache__/\n{ignored if ignored != '*' else ''}\n")
    head = committed(sources)
    assert commit(sources) == (head, True)
    (sources / "analysis/models").mkdir()
    (sources / "analysis/models/mine.py").write_text("x")
    if ignored == "*":
        (sources / "analysis/models/.gitignore").write_text("*\n")
    assert commit(sources) == (head, False)


def test_a_signature_that_git_shows_is_no_part_of_the_date(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = committed(sources)
    signed = git(sources, "cat-file", "commit", "HEAD").replace(
        "\n\n", "\ngpgsig -----BEGIN SSH SIGNATURE-----\n -----END SSH SIGNATURE-----\n\n", 1
    )
    (sources.parent / "commit").write_text(signed + "\n")
    git(sources, "reset", "--soft", git(sources, "hash-object", "-t", "commit", "-w", str(sources.parent / "commit")))
    git(sources, "config", "log.showSignature", "true")
    assert commit(sources)[0] != head
    assert dated(sources, monkeypatch) == COMMITTED


@pytest.mark.fault(
    "sources that were unpacked inside another git repository, or in none",
    "no commit is claimed; the date is that of the newest source file",
)
@pytest.mark.parametrize(
    "where",
    ["inside another", "at the top of another, untracked", "at the top of another, added", "in none", "in one without a commit", "ignored in another"],
)
def test_another_repository_is_not_taken_for_ours(where: str, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = sources.parent
    if where == "inside another":
        committed(outer)
    elif where == "ignored in another":
        (outer / ".gitignore").write_text("*\n")
        committed(outer)
    elif where == "at the top of another, untracked":
        (sources / "theirs").write_text("x")
        git(sources, "init", "--quiet")
        git(sources, "add", "theirs")
        git(sources, "commit", "--quiet", "--message", "theirs")
    elif where == "at the top of another, added":
        (sources / "theirs").write_text("x")
        git(sources, "init", "--quiet")
        git(sources, "add", "theirs")
        git(sources, "commit", "--quiet", "--message", "theirs")
        git(sources, "add", "--all")
    elif where == "in one without a commit":
        git(sources, "init", "--quiet")
    assert commit(sources) == ("unknown", None)
    assert dated(sources, monkeypatch) == NEWEST


DEVIATIONS = """
[[deviations]]
date = 2011-03-14
[[deviations]]
date = 2009-12-31
"""


def with_times(root: Path, time: float) -> None:
    for path in root.rglob("*"):
        os.utime(path, (time, time))


@pytest.mark.fault(
    "sources without git whose files all have the time 1970-01-01, as in a container, or one in the future",
    "the date is that of the protocol's last amendment, and the report says so",
)
@pytest.mark.parametrize("files", [0, 1, 315_532_800, AMENDED - 1, 1_930_000_000, 2**31 - 1, 4_000_000_000])
def test_times_that_cannot_be_those_of_the_files(files: int, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sources / PROTOCOL).write_text(DEVIATIONS)
    with_times(sources, files)
    assert dated(sources, monkeypatch) == AMENDED
    assert dated_by(sources) == "its protocol's last amendment"


def test_a_time_that_can_be_that_of_the_files(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sources / PROTOCOL).write_text(DEVIATIONS)
    with_times(sources, 0)
    os.utime(sources / MARKER, (NEWEST, NEWEST))
    assert dated(sources, monkeypatch) == NEWEST and dated_by(sources) == "its newest source file"
    with_times(sources, AMENDED)
    assert dated(sources, monkeypatch) == AMENDED and dated_by(sources) == "its newest source file"
    monkeypatch.setenv(EPOCH, "86400")
    set_source_date(sources)
    assert dated_by(sources) == EPOCH


@pytest.mark.parametrize("protocol", ["", "deviations = 1", "deviations = []", "[[deviations]]\nwhat = 'x'", "[[deviations]]\ndate = 'soon'", "["])
def test_a_protocol_that_names_no_day(protocol: str, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sources / PROTOCOL).write_text(protocol)
    with_times(sources, NEWEST)
    assert dated(sources, monkeypatch) == NEWEST


def test_the_main_protocol_names_a_day(repository: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copyfile(repository / PROTOCOL, sources / PROTOCOL)
    with_times(sources, 0)
    assert dated(sources, monkeypatch) >= 1_795_737_600, "2026-11-27"


def test_what_git_sets_for_a_hook_leads_nowhere_else(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = committed(sources)
    other = tmp_path / "other"
    other.mkdir()
    committed(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert commit(sources) == (head, True)
    assert dated(sources, monkeypatch) == COMMITTED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_checkout_of_another_user_is_ours(sources: Path) -> None:
    head = committed(sources)
    for path in [sources, *sources.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert commit(sources) == (head, True)


def test_without_git_there_is_no_commit(sources: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    committed(sources)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    assert commit(sources) == ("unknown", None)


@pytest.mark.parametrize("value", ["yesterday", "-1", "1e9", "²", "9" * 30])
def test_a_date_that_is_none_is_refused(value: str, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EPOCH, value)
    with pytest.raises(UsageError, match=EPOCH):
        set_source_date(sources)


def test_a_date_that_the_caller_gives_stays(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EPOCH, "0")
    set_source_date(sources)
    assert os.environ[EPOCH] == "0"
