"""The command as users run it: its exit codes, its messages, and what it leaves behind when something stops it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pandas as pd
import pytest
from scratch_project import Project, Run, Warm, fingerprint, needs_own_mounts
from sources.local_site import serving
from synthetic import quicker

pytestmark = pytest.mark.slow  # each needs a copy of the project with a good build in it

PROTOCOL = "analysis/protocol.toml"
LEDGER, PANEL = "results/quality_ledger.csv", "data/panel.parquet"
NOWHERE = "/nonexistent/folder"  # a mirror that is not there


def assert_plain(run: Run) -> None:
    """Something was said, for a person."""
    assert run.err.strip() and "Traceback" not in run.err, run.err


def dataset(build: Path) -> str:
    """The data set that a build says it holds, and does hold."""
    said = json.loads((build / "data/provenance.json").read_text(encoding="utf-8"))["dataset"]
    assert set(pd.read_parquet(build / PANEL, columns=["dataset"]).dataset) == {said}
    return str(said)


@pytest.fixture(scope="session")
def snapshot_build(copied_project: Project, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the embedded snapshot, with an older ledger: smaller than, and different from, any later one."""
    build = tmp_path_factory.mktemp("snapshot") / "build"
    run = warm.run("data", DATA="snapshot", BUILD=str(build))
    assert run.code == 0, run.err
    (build / LEDGER).write_text("an earlier ledger\n", encoding="utf-8")
    return build


@pytest.fixture
def silent_site() -> Iterator[socket.socket]:
    """A proxy that takes the call and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(60)
        yield listener


def through(proxy: socket.socket) -> dict[str, str]:
    return {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}"}


# --- Exit code 2: the call is wrong


@pytest.mark.parametrize(
    ("arguments", "choices", "says"),
    [
        (["nonsense"], {}, "nonsense.*data.*results.*reports"),
        ([], {}, "STAGE"),
        (["data"], {"DATA": "nonsense"}, "DATA=nonsense.*auto, mar, snapshot"),
        (["reports"], {"RENDERER": "word"}, "RENDERER=word.*auto, quarto, embedded"),
        (["reports", "nonsense"], {}, "'nonsense'.*evaluation"),
        (["data", "--fast"], {}, "--fast"),
    ],
)
def test_a_wrong_call(arguments: list[str], choices: dict[str, str], says: str, project: Project, warm: Warm) -> None:
    run = warm.run(*arguments, **choices)
    assert run.code == 2
    assert_plain(run)
    assert re.search(says, run.err, re.DOTALL), run.err


def test_a_wrong_call_of_a_whole_process(project: Project, warm: Warm) -> None:
    run = project.run("data", DATA="nonsense")
    assert run == warm.run("data", DATA="nonsense")
    assert run.code == 2


@pytest.mark.parametrize("stage", ["results", "reports"])
def test_a_stage_before_its_turn(stage: str, project: Project, warm: Warm, tmp_path: Path) -> None:
    run = warm.run(stage, BUILD=str(tmp_path / "empty"))
    assert run.code in (1, 2)
    assert_plain(run)
    assert "make report" in run.err or "data" in run.err


def test_a_mirror_that_was_asked_for_and_is_not_there(project: Project, warm: Warm, tmp_path: Path) -> None:
    run = warm.run("data", MIRROR=NOWHERE, DATA="mar", BUILD=str(tmp_path / "build"))
    assert run.code
    assert NOWHERE in run.err, run.err


# --- Exit code 3: the machine stands in the way


@pytest.mark.fault(
    "two runs at once",
    "the second is refused with a sentence; the first ends as ever",
)
def test_a_second_run_while_one_is_going(
    project: Project, warm: Warm, silent_site: socket.socket, tmp_path: Path
) -> None:
    build = str(tmp_path / "build")
    first = project.start("data", MIRROR=NOWHERE, BUILD=build, **through(silent_site))
    connection, _ = silent_site.accept()  # so it is in the middle of its work
    second = warm.run("data", BUILD=build)
    assert second.code == 3
    assert_plain(second)
    assert "another run" in second.err and "BUILD=" in second.err
    assert not (Path(build) / PANEL).exists()
    connection.close()
    silent_site.close()
    _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert dataset(Path(build)) == "snapshot"
    assert warm.run("data", BUILD=build).code == 0
    assert dataset(Path(build)) == "mar"


@pytest.mark.fault(
    "files that may not grow while the panel is made",
    "exit code 3 and a sentence; the earlier panel stays whole",
)
@pytest.mark.parametrize("size", [5_000, 300_000], ids=["no file", "not the panel"])
def test_files_that_may_not_grow(size: int, project: Project, warm: Warm, snapshot_build: Path, tmp_path: Path) -> None:
    build = shutil.copytree(snapshot_build, tmp_path / "build")
    project.keep_only_returns()
    with warm.largest_file(size):
        run = warm.run("data", BUILD=str(build))
    assert run.code == 3
    assert_plain(run)
    assert "no room left" in run.err and str(build) in run.err
    assert fingerprint(build) == fingerprint(snapshot_build)


def small_disk(warm: Warm, earlier: Path, free: int, build: Path) -> Path:
    """A build folder of its own disk, with an earlier build in it and ``free`` bytes left; as the command sees it."""
    build.mkdir()
    held = sum(-(-path.stat().st_size // 4096) * 4096 for path in earlier.rglob("*") if path.is_file())
    warm.mount("-t", "tmpfs", "-o", f"size={held + free}", "none", str(build))
    return Path(shutil.copytree(earlier, warm.sees(build), dirs_exist_ok=True))


@pytest.mark.fault(
    "a full disk while the panel is made",
    "exit code 3 and a sentence; the earlier panel stays whole",
)
@needs_own_mounts
@pytest.mark.parametrize(
    "free",
    [pytest.param(8_192, id="at the first file"), pytest.param(140_000, id="at the panel")],
)
def test_a_full_disk(free: int, project: Project, warm: Warm, snapshot_build: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    seen = small_disk(warm, snapshot_build, free, build)
    project.keep_only_returns()
    run = warm.run("data", BUILD=str(build))
    assert run.code == 3
    assert_plain(run)
    assert "no room left" in run.err and "run again" in run.err
    assert fingerprint(seen) == fingerprint(snapshot_build)


@pytest.mark.fault(
    "a build folder on a read-only disk",
    "exit code 3 and a sentence",
)
@needs_own_mounts
def test_a_build_folder_that_may_not_be_written(project: Project, tmp_path: Path) -> None:
    script = 'mount --bind build build && mount -o remount,ro,bind build && exec "$@"'
    run = project.run_command(["unshare", "-m", "sh", "-c", script, "sh", *project.command("data")])
    assert run.code == 3
    assert_plain(run)
    assert "build" in run.err and "cannot be written" in run.err


@pytest.mark.fault(
    "a build folder without the permission to write, for a user whom permissions bind",
    "exit code 3 and a sentence; the earlier panel stays whole",
)
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root is bound by setpriv alone")
def test_a_build_folder_without_permission(project: Project, snapshot_build: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(snapshot_build, tmp_path / "build"))
    places = [build, build / "data", build / "results"]
    for place in places:
        place.chmod(0o500)
    bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    run = project.run_command([*bound, *project.command("data")], BUILD=str(build))
    for place in places:
        place.chmod(0o700)
    assert run.code == 3
    assert_plain(run)
    assert "cannot be written" in run.err
    assert fingerprint(build) == fingerprint(snapshot_build)


def test_clean_of_a_build_with_an_output_that_the_user_changed(
    project: Project, warm: Warm, snapshot_build: Path, tmp_path: Path
) -> None:
    """All that the data step writes is as its manifest lists it, so that nothing stays but the user's."""
    whole, changed = (tmp_path / name for name in ("whole", "changed"))
    shutil.copytree(project.root / "build", whole)
    shutil.copytree(snapshot_build, changed)  # its ledger is no longer the run's
    assert warm.run("clean", BUILD=str(whole)).out == f"{whole} is emptied.\n" and not fingerprint(whole)
    said = warm.run("clean", BUILD=str(changed)).out
    assert f"results stays.\n{LEDGER} is not as manifest.json lists it" in said and set(fingerprint(changed)) == {LEDGER}


def test_a_screen_that_cannot_show_every_letter(project: Project) -> None:
    run = project.run("doctor", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert run.code == 0 and "Python" in run.out and run.err == ""


# --- Where the data come from


@pytest.mark.fault(
    "no files at hand and no network",
    "the embedded snapshot, and every report says so",
)
@pytest.mark.parametrize("mirror", ["absent", "empty"])
def test_no_mirror_and_no_network(mirror: str, project: Project, warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    started = time.monotonic()
    run = warm.run("data", MIRROR=str(tmp_path / mirror), BUILD=str(tmp_path / "build"))
    assert run.code == 0, run.err
    assert time.monotonic() - started < 15
    said = [line for line in run.out.splitlines() if "snapshot" in line]
    assert len(said) == 1 and "www.england.nhs.uk cannot be reached" in said[0], run.out
    assert dataset(tmp_path / "build") == "snapshot"


def test_no_mirror_and_no_network_though_the_files_were_demanded(project: Project, warm: Warm) -> None:
    run = warm.run("data", MIRROR=NOWHERE, DATA="mar")
    assert run.code == 3
    assert_plain(run)
    assert "www.england.nhs.uk cannot be reached" in run.err


@pytest.mark.fault(
    "a network that does not answer",
    "the embedded snapshot after some seconds",
)
def test_a_network_that_does_not_answer(
    project: Project, warm: Warm, silent_site: socket.socket, tmp_path: Path
) -> None:
    started = time.monotonic()
    run = warm.run("data", MIRROR=NOWHERE, BUILD=str(tmp_path / "build"), **through(silent_site))
    assert run.code == 0, run.err
    assert time.monotonic() - started < 15
    assert "Using the embedded snapshot." in run.out
    assert dataset(tmp_path / "build") == "snapshot"


@pytest.mark.fault(
    "a network that answers every address with a page of its own",
    "the embedded snapshot, and every report says so",
)
@pytest.mark.parametrize("status", [403, 503])
def test_a_network_that_answers_with_a_block_page(status: int, project: Project, warm: Warm, tmp_path: Path) -> None:
    """Filters of locked-down networks answer every address with a page of their own: the files cannot be had."""
    with serving({}) as site:
        site.faults = [status] * 1000
        project.write_pins([pin | {"url": pin["url"] and f"{site.url}/{pin['file']}"} for pin in project.pins()])
        site.RequestHandlerClass = blocking(site.RequestHandlerClass, status)
        run = warm.run("data", MIRROR=NOWHERE, BUILD=str(tmp_path / "build"), NO_PROXY="127.0.0.1")
    assert run.code == 0, run.err
    assert dataset(tmp_path / "build") == "snapshot"


def blocking(handler: type, status: int) -> type:
    """A request handler that refuses HEAD as well as GET."""

    class Blocking(handler):  # type: ignore[misc]
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

    return Blocking


def test_the_snapshot_though_the_mirror_is_there(project: Project, warm: Warm, tmp_path: Path) -> None:
    run = warm.run("data", DATA="snapshot", BUILD=str(tmp_path / "build"))
    assert run.code == 0, run.err
    assert dataset(tmp_path / "build") == "snapshot"


@pytest.mark.nightly
def test_the_returns_alone_downloaded(project: Project, warm: Warm, tmp_path: Path) -> None:
    """Without the mirror, the 60 returns come from their site, populations and names from the embedded table."""
    build = tmp_path / "build"
    pins = [pin for pin in project.pins() if pin["source"] == "mar" and "2013-04" <= pin["period"] <= "2018-03"]
    site_files = {f"/{pin['file']}": (project.files / pin["file"]).read_bytes() for pin in pins}
    choices = {"MIRROR": NOWHERE, "BUILD": str(build), "NO_PROXY": "127.0.0.1"}
    with serving(site_files) as site:
        project.write_pins([pin | {"url": pin["url"] and f"{site.url}/{pin['file']}"} for pin in project.pins()])
        run = warm.run("data", **choices)
        assert run.code == 0, run.err
        assert len(site.requests) == len(pins) == 60
    again = warm.run("data", **choices)  # the site is gone
    assert again.code == 0, again.err
    assert dataset(build) == "mar"

    key = ["geography", "unit", "month", "outcome"]
    downloaded, full = (pd.read_parquet(folder / PANEL).set_index(key) for folder in (build, project.root / "build"))
    assert downloaded.loc["ccg"].index.get_level_values("unit").nunique() == 206
    numbers = ["population_published", "population"]
    assert set(full.index.get_level_values("geography")) == {"ccg", "local_authority", "england"}
    full = full[full.index.isin(downloaded.index)]  # delayed transfers need the lookups, which have no address
    pd.testing.assert_frame_equal(downloaded.drop(columns=numbers), full.drop(columns=numbers))
    ccgs, same = downloaded.loc["ccg"], full.loc["ccg"]
    assert (ccgs.population_published - same.population_published).abs().max() <= 0.001
    assert (build / LEDGER).read_bytes() == (project.root / "build" / LEDGER).read_bytes()


# --- Runs that are stopped in the middle


def shorten(project: Project) -> None:
    """Leave one specification of the study, so that its results take seconds, but time enough to be stopped."""
    path = project.root / PROTOCOL
    head, _, rest = quicker(path.read_text(encoding="utf-8")).partition("[[specifications]]")
    first, _, others = rest.partition("[[specifications]]")
    rest = "[specification_curve]\ncrossed = []\ndraws = 99\n\n[inference]" + others.partition("[inference]")[2]
    path.write_text(f"{head}[[specifications]]{first}{rest}", encoding="utf-8")


@pytest.fixture
def quick_project(project: Project) -> Project:
    shorten(project)
    return project


@pytest.fixture(scope="session")
def quick_results(copied_project: Project, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with data and results of the shortened study."""
    build = shutil.copytree(copied_project.root / "build", tmp_path_factory.mktemp("quick") / "build")
    shorten(copied_project)
    run = warm.run("results", BUILD=str(build))
    copied_project.restore()
    assert run.code == 0, run.err
    return build


def children(process: subprocess.Popen[str]) -> list[int]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in found.split()]


def in_the_middle(project: Project, build: Path) -> subprocess.Popen[str]:
    """`results`, once its workers work."""
    process = project.start("results", BUILD=str(build))
    deadline = time.monotonic() + 120
    while not children(process) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    assert process.poll() is None, process.communicate()
    return process


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(process: subprocess.Popen[str]) -> str:
    """End a run and everything that it started; what it had said on standard error."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate(timeout=30)[1]


@pytest.mark.fault(
    "`kill -9`, `kill` and Ctrl-C while models are fitted",
    "the earlier estimates stay whole; no worker lives on; the next run gives the same bytes",
)
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for the workers in /proc")
@pytest.mark.parametrize("stop", [signal.SIGTERM, *(pytest.param(stop, marks=pytest.mark.nightly) for stop in (signal.SIGKILL, signal.SIGINT))])
def test_a_run_that_is_killed(
    stop: signal.Signals, quick_project: Project, warm: Warm, quick_results: Path, tmp_path: Path
) -> None:
    build = shutil.copytree(quick_results, tmp_path / "build")
    before = fingerprint(build)
    process = in_the_middle(quick_project, build)
    workers = children(process)
    try:
        # Ctrl-C reaches every process of the terminal; kill, and the system's memory guard, just the one.
        (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
        process.wait(timeout=60)
        deadline = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.returncode != 0
        assert fingerprint(build) == before
        assert not any(map(alive, workers)), "workers that live on hold the build folder's lock"
        following = warm.run("results" if stop == signal.SIGKILL else "data", BUILD=str(build))
        assert following.code == 0, following.err
        assert fingerprint(build) == before
    finally:
        said = end(process)
    if stop == signal.SIGINT:
        assert "Stopped. Earlier outputs are untouched." in said and "Traceback" not in said, said


@pytest.mark.fault(
    "a worker ended by the system for want of memory",
    "exit code 3 and a sentence; the earlier estimates stay whole",
)
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for the workers in /proc")
def test_a_worker_that_is_killed(quick_project: Project, quick_results: Path, tmp_path: Path) -> None:
    """As the system does when memory runs out."""
    build = shutil.copytree(quick_results, tmp_path / "build")
    before = fingerprint(build)
    process = in_the_middle(quick_project, build)
    try:
        os.kill(children(process)[0], signal.SIGKILL)
        process.wait(timeout=120)
    finally:
        said = end(process)
    assert process.returncode == 3, said
    assert_plain(Run(process.returncode, "", said))
    assert fingerprint(build) == before


@pytest.mark.fault(
    "a disk that fills up while estimates are written",
    "exit code 3 and a sentence; the earlier estimates stay whole",
)
@pytest.mark.nightly
@needs_own_mounts
def test_a_disk_that_fills_up_during_results(
    quick_project: Project, warm: Warm, quick_results: Path, tmp_path: Path
) -> None:
    earlier = shutil.copytree(quick_results, tmp_path / "earlier")
    (earlier / "results/its_series.parquet").write_bytes(b"an earlier series")  # so that a new one is a change
    series = (quick_results / "results/its_series.parquet").stat().st_size  # it is written first, and fits
    seen = small_disk(warm, earlier, series + 40_000, tmp_path / "build")
    run = warm.run("results", BUILD=str(tmp_path / "build"))
    assert run.code == 3
    assert_plain(run)
    assert fingerprint(seen) == fingerprint(earlier)
