"""The folder for rows of patients is its owner's alone, and git ignores it and the build around it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.build.folder import check_build_folder, clean, may_clean
from analysis.build.manifest import Manifest, Step
from analysis.core.errors import MachineError
from analysis.core.files import only_one_run
from analysis.records.engines import open_engine
from analysis.records.private import kept_private, private_folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("before", [0o755, 0o777, 0o750, 0o500])
@pytest.mark.fault(
    "the folder `private` of an earlier build that others may read", "its mode is 0700 before a row is read"
)
def test_a_folder_that_is_there_is_taken_back(before: int, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private").chmod(before)
    open_engine("duckdb", tmp_path / "private")
    assert mode(tmp_path / "private") == 0o700


def test_a_new_one(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert mode(private_folder(tmp_path / "build/private")) == 0o700
    finally:
        os.umask(before)


@pytest.mark.fault(
    "a link as `private`, to a folder that others may enter", "a refusal that names the folder; its mode stays"
)
def test_a_link_to_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "private").symlink_to(tmp_path / "shared")
    with pytest.raises(MachineError, match=r"is a link to .*shared, that others may enter"):
        open_engine("duckdb", tmp_path / "private")
    assert mode(tmp_path / "shared") == 0o755 and not [*(tmp_path / "shared").iterdir()]
    (tmp_path / "shared").chmod(0o700)
    open_engine("duckdb", tmp_path / "private")
    assert (tmp_path / "shared/.gitignore").is_file()


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_what_is_no_folder(kind: str, tmp_path: Path) -> None:
    if kind == "file":
        (tmp_path / "private").write_text("x")
    else:
        (tmp_path / "private").symlink_to(tmp_path / "nowhere")
    with pytest.raises(MachineError, match="private"):
        open_engine("duckdb", tmp_path / "private")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    os.chown(tmp_path / "private", 65534, 65534)
    with pytest.raises(MachineError, match="belongs to somebody else"):
        open_engine("duckdb", tmp_path / "private")


def test_a_disk_without_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As network disks and those of other systems are: the mode is taken, and nothing changes."""
    (tmp_path / "private").mkdir(mode=0o755)
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)
    with pytest.raises(MachineError, match="others may enter"):
        open_engine("duckdb", tmp_path / "private")


@pytest.mark.parametrize("name", ["build", "out", "build two", "deep/er/build", "[x]*"])
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.fault("a build folder of another name inside a repository", "git ignores all of it, from the first run on")
def test_git_ignores_every_build(name: str, tmp_path: Path) -> None:
    def status() -> str:
        return subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout  # fmt: skip

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    build = tmp_path / name
    with only_one_run(build):
        private_folder(build / "private")
        for file in ("private/rows.csv", "records/panel.csv", "reports/a.html"):
            (build / file).parent.mkdir(exist_ok=True)
            (build / file).write_text("x")
        made = Manifest(build)
        made.note(Step("records", {}), [build / "records/panel.csv", build / "reports/a.html"], [])
        made.save()
    assert status() == ""
    check_build_folder(build, tmp_path)
    said = clean(build)
    assert said.endswith("is emptied.") and status() == "" and not may_clean(build)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_file_of_the_user_s_own_stays_and_the_private_folder_is_ignored(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "out/private").mkdir(parents=True)
    (tmp_path / "out/.gitignore").write_text("!private/**\n")
    (tmp_path / "out/private/.gitignore").write_text("!*\n")
    with only_one_run(tmp_path / "out"):
        (private_folder(tmp_path / "out/private") / "rows.csv").write_text("x")
    assert (tmp_path / "out/.gitignore").read_text() == "!private/**\n"
    ignored = subprocess.run(["git", "check-ignore", "-q", "out/private/rows.csv"], cwd=tmp_path)
    assert ignored.returncode == 0


@pytest.mark.fault(
    "what nobody foresaw, while rows of patients are counted",
    "one sentence without a row; the traceback is in the private folder",
)
def test_an_unexpected_problem_shows_no_row(tmp_path: Path) -> None:
    import pyarrow as pa

    with pytest.raises(MachineError) as caught, kept_private(tmp_path / "private"):
        pa.array(["9434765919"]).cast(pa.date32())
    assert "9434765919" not in str(caught.value) and "ArrowInvalid" in str(caught.value)
    assert "9434765919" in (tmp_path / "private/problem.txt").read_text() and mode(tmp_path / "private") == 0o700
    with kept_private(tmp_path / "private"):
        pass
    assert not (tmp_path / "private/problem.txt").exists(), "it is of the last run alone"
