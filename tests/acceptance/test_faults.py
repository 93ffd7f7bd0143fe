"""Faults of the machine in a whole build of a shortened study: nothing is lost, and the next run gives the same bytes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
from scratch_project import ON_SNAPSHOT, Project, fingerprint, make, needs_own_mounts

pytestmark = pytest.mark.slow


def whole(project: Project) -> dict[str, str]:
    """The files of the build, those that the next run clears away left out."""
    files = fingerprint(project.root / "build")
    return {name: number for name, number in files.items() if not name.startswith("staged/") and ".tmp" not in name}


@pytest.mark.fault(
    "`kill -9` while reports are made",
    "the earlier edition stays whole; no kernel lives on; the next run gives the same bytes",
)
@pytest.mark.nightly
def test_a_kill_while_reports_are_made(made_whole: Project) -> None:
    before = whole(made_whole)
    process = made_whole.start("reports", **ON_SNAPSHOT)
    staged, deadline = made_whole.root / "build/staged", time.monotonic() + 120
    while not list(staged.glob("*.pdf")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert whole(made_whole) == before
    while (living := kernels(made_whole)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not living, "a kernel that lives on writes into the next run's edition"
    assert make(made_whole, "report").code == 0
    assert made_whole.start("reports", **ON_SNAPSHOT).wait(timeout=200) == 0
    assert fingerprint(made_whole.root / "build") == before


@pytest.mark.fault(
    "`kill -9` at one moment or another while the panel is made",
    "nothing is half written; the next run gives the same bytes and clears away what was left",
)
@pytest.mark.nightly
def test_kills_while_the_panel_is_made(made: Project) -> None:
    before = fingerprint(made.root / "build")
    started = time.monotonic()
    assert made.start("data", **ON_SNAPSHOT).wait(timeout=60) == 0
    usual, tries = time.monotonic() - started, 0
    for share in (0.5, 0.7, 0.85, 0.95):
        while not _killed_after(made, share * usual):
            assert whole(made) == before
            # The time that a run needs depends on what else the machine does: a run that ended first was faster than usual.
            usual, tries = 0.9 * usual, tries + 1
            assert tries < 20, "no run lived long enough to be killed"
        assert whole(made) == before
    (made.root / "build/data/.panel.1.tmp.parquet").write_bytes(b"half")
    assert made.start("data", **ON_SNAPSHOT).wait(timeout=60) == 0
    assert make(made, "report").code == 0
    assert fingerprint(made.root / "build") == before


@pytest.mark.fault(
    "files that may not grow while reports are made", "exit code 3 and a sentence; the earlier edition stays whole"
)
@pytest.mark.nightly
def test_no_room_for_the_reports(made: Project) -> None:
    before = fingerprint(made.root / "build")
    process = made.start("reports", **ON_SNAPSHOT)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (150_000, 150_000))
    _, said = process.communicate(timeout=200)
    assert process.returncode == 3, said
    assert "no room left to write it" in said and "Traceback" not in said
    assert fingerprint(made.root / "build") == before


@pytest.mark.fault(
    "a folder of reports that may not be written", "exit code 3 and a sentence; the earlier edition stays whole"
)
@needs_own_mounts
def test_a_folder_of_reports_that_may_not_be_written(made: Project) -> None:
    before = fingerprint(made.root / "build")
    folder = made.root / "build/reports"
    script = f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}' && exec \"$0\" \"$@\""
    command = ["unshare", "-m", "sh", "-c", script, *made.command("reports", "reconciliation")]
    run = made.run_command(command, **ON_SNAPSHOT)
    assert run.code == 3, run.err
    assert "cannot be written" in run.err and "Traceback" not in run.err
    assert fingerprint(made.root / "build") == before


@pytest.mark.fault(
    "a checkout and a build in folders whose names hold blanks, quotes, brackets, `*`, `%`, `#` or letters beyond ASCII; the C locale, no HOME that can be written, another user's time zone",
    "the same bytes",
)
@pytest.mark.nightly
def test_a_strange_place(made: Project, tmp_path: Path) -> None:
    strange = tmp_path / "une étude – 研究 (2) o'neill *x* [1] 50%# $HOME"
    shutil.copytree(made.root, strange, symlinks=True)
    shutil.rmtree(strange / "build")
    project = Project(strange, made.files, made.real_files, made.originals)
    place = {"LC_ALL": "C", "LANG": "de_DE.UTF-8", "HOME": "/proc/nowhere", "TZ": "Asia/Tokyo", "PYTHONUTF8": "0"}
    run = make(project, "report", "WORKERS=1", "BUILD=build [2] it's *", **place)
    assert run.code == 0, run.err
    before, after = fingerprint(made.root / "build"), fingerprint(strange / "build [2] it's *")
    where = "reports/headline.txt"  # it says where the reports are
    assert {name for name in after if after[name] != before.get(name)} == {where, "manifest.json"}
    assert set(after) == set(before)


def _killed_after(project: Project, seconds: float) -> bool:
    """Whether the panel was still being made after so many seconds, when its process was killed."""
    process = project.start("data", **ON_SNAPSHOT)
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=30)
    return process.returncode == -signal.SIGKILL


def kernels(project: Project) -> list[int]:
    """Processes that run a kernel for this project."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, place = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"ipykernel" in command and str(project.root).encode() in place:
            found.append(int(folder.name))
    return found
