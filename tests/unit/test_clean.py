"""A user's own files in a build folder, wherever they lie in it, are neither written over nor removed, and what stays is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.build.folder import clean
from analysis.build.manifest import Manifest, Step
from analysis.core.errors import UsageError
from analysis.core.files import only_one_run
from analysis.core.scratch import MARK, SCRATCH, check_scratch, scratch_folder
from analysis.core.workspace import Workspace
from analysis.editions.archive import record
from analysis.records.engines import open_engine
from analysis.records.listing import list_files
from analysis.records.private import kept_private, private_folder
from analysis.records.scan import scan
from analysis.stages.made_up import make_up
from analysis.stages.refresh import record_edition

OWN, KEY = "the user's own", "pseudonym_lookup.csv"


def a_build(folder: Path) -> Path:
    """A build of three outputs, the lock and the manifest as a run leaves them."""
    made = Manifest(folder)
    files = [folder / name for name in ("data/panel.parquet", "results/estimates.csv", "reports/sites/a.html")]
    with only_one_run(folder):
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("written by a run")
        made.note(Step("data", {}), files, [])
        made.save()
    return folder


def contents(folder: Path) -> dict[str, str]:
    """What is there but for what every run leaves."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", ".gitignore")]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def the_users(folder: Path, name: str = KEY) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(OWN)
    return folder


def into_private(work: Workspace) -> None:
    open_engine("duckdb", work.private)


def into_a_recorded_edition(work: Workspace) -> None:
    record(work, "2018-03", work.last_edition)


def into_the_table_of_editions(work: Workspace) -> None:
    record_edition(work, "mar")


def into_a_made_up_extract(work: Workspace) -> None:
    make_up(work, 2_000, work.build / "made-up-extract", -0.03, 1, lambda line: None)


def into_staged(work: Workspace) -> None:
    scratch_folder(work.staged, anew=True)


@pytest.mark.fault(
    "the user's own files in `private`, `editions`, `staged` or `made-up-extract` of a build",
    "a run that would write there is refused, and `make clean` leaves them and names the folder",
)
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("private", into_private), ("editions", into_a_recorded_edition), ("editions", into_the_table_of_editions), ("staged", into_staged),
        ("made-up-extract", into_a_made_up_extract),
    ],
)  # fmt: skip
def test_a_users_files_in_a_folder_of_runs(name: str, write: Callable[[Workspace], None], tmp_path: Path) -> None:
    work = Workspace(build=a_build(tmp_path / "build"), workers=1)
    folder = the_users(work.build / name, "FYEAR=1516" if name == "made-up-extract" else KEY)
    folder.chmod(0o755)
    before = contents(work.build)
    with pytest.raises(UsageError, match=rf"{name}: this folder holds \S+, and no {MARK}.*another BUILD"):
        write(work)
    assert contents(work.build) == before and folder.stat().st_mode & 0o777 == 0o755
    said = clean(work.build)
    assert set(contents(work.build).values()) == {OWN} and len(contents(work.build)) == 1
    assert f"; {name} stays." in said and f"{name} has no {MARK}" in said
    assert ("exact counts" in said) is (name == "private")


def test_a_folder_that_a_run_made_is_removed(tmp_path: Path) -> None:
    build = a_build(tmp_path / "build")
    for name in (*SCRATCH, ".refresh-x1"):
        (scratch_folder(build / name) / "written by a run").write_text("x")
        check_scratch(build / name)  # by the next run
    (build / "private/store").mkdir()
    (build / "editions/last").mkdir()
    the_users(build / ".refresh-notes")
    the_users(build / "quarto")
    said = clean(build)
    assert contents(build) == {f".refresh-notes/{KEY}": OWN, f"quarto/{KEY}": OWN}
    assert f"; .refresh-notes, quarto stay.\n.refresh-notes has no {MARK}" in said


def test_a_folder_of_an_earlier_version_is_taken_over_by_its_mark(tmp_path: Path) -> None:
    private = the_users(tmp_path / "private")
    with pytest.raises(UsageError, match=f"earlier version made the folder, put an empty file {MARK} into it"):
        private_folder(private)
    (private / MARK).touch()
    assert private_folder(private) == private and (private / KEY).read_text() == OWN


def test_an_empty_folder_and_what_systems_leave_in_one(tmp_path: Path) -> None:
    the_users(tmp_path / "private", ".DS_Store")
    assert (private_folder(tmp_path / "private") / MARK).is_file()
    assert (scratch_folder(tmp_path / "editions", anew=True) / MARK).is_file()


def test_a_problem_is_not_written_over_a_users_file(tmp_path: Path) -> None:
    private = the_users(tmp_path / "private", "problem.txt")
    with pytest.raises(UsageError), kept_private(private):
        open_engine("duckdb", private)
    with pytest.raises(Exception, match="is not shown"), kept_private(private):
        raise ValueError("a row")
    assert (private / "problem.txt").read_text() == OWN


def test_the_mark_is_no_part_of_a_made_up_extract(tmp_path: Path) -> None:
    build = a_build(tmp_path / "build")
    into_a_made_up_extract(Workspace(build=build, workers=1))
    assert (build / "made-up-extract" / MARK).is_file()
    assert list_files(build / "made-up-extract").skipped == ()
    assert scan(build) == [], "an extract is no part of what leaves"


@pytest.mark.fault(
    "a manifest and a lock copied into a folder with the user's own `data/panel.parquet`; an output that the user has changed",
    "`make clean` removes what is as the manifest lists it, and names what is not",
)
def test_an_output_that_is_not_as_the_manifest_lists_it(tmp_path: Path) -> None:
    build = a_build(tmp_path / "build")
    (build / "data/panel.parquet").write_text(OWN)
    (build / "results/estimates.csv").unlink()
    the_users(build / "results/estimates.csv")  # a folder by that name
    said = clean(build)
    assert contents(build) == {"data/panel.parquet": OWN, f"results/estimates.csv/{KEY}": OWN}
    assert said.splitlines() == [
        f"{build} is emptied; data, results stay.",
        "data/panel.parquet is not as manifest.json lists it, so it was not removed.",
        "results/estimates.csv is not as manifest.json lists it, so it was not removed.",
    ]


def test_nothing_is_left_of_a_build_as_it_was_written(tmp_path: Path) -> None:
    build = a_build(tmp_path / "build")
    (build / "reports/sites/a.html").unlink()
    (build / "reports/gone/figures").mkdir(parents=True)  # of a report that has no source any more
    assert clean(build) == f"{build} is emptied."
    assert sorted(path.name for path in build.iterdir()) == [".gitignore", ".lock"]


@pytest.mark.fault(
    "`private` or `results` of a build is a link to another disk",
    "`make clean` removes the link, and says where the files stay and that they may hold patients' counts",
)
def test_what_a_link_leads_to_is_named(tmp_path: Path) -> None:
    build, disk = a_build(tmp_path / "build"), tmp_path / "disk"
    disk.mkdir()
    for name in ("private", "results", "reports/sites"):
        place = disk / name.replace("/", "-")
        (build / name).rename(place) if (build / name).exists() else place.mkdir(mode=0o700)
        (build / name).symlink_to(place)
    (private_folder(build / "private") / "by_age.csv").write_text("7")
    (build / "data/panel.parquet").rename(disk / "panel")
    (build / "data/panel.parquet").symlink_to(disk / "panel")
    before = contents(disk)
    said = clean(build)
    assert contents(disk) == before and contents(build) == {}
    assert set(said.splitlines()) == {
        f"{build} is emptied.",
        f"private was a link: {disk / 'private'} stays. It may hold rows of patients and exact counts.",
        f"results was a link: {disk / 'results'} stays.",
        f"reports/sites was a link: {disk / 'reports-sites'} stays.",
        f"data/panel.parquet was a link: {disk / 'panel'} stays.",
    }


def test_a_link_to_a_users_folder_stays(tmp_path: Path) -> None:
    build = a_build(tmp_path / "build")
    the_users(tmp_path / "disk").chmod(0o700)
    (build / "private").symlink_to(tmp_path / "disk")
    with pytest.raises(UsageError, match=KEY):
        private_folder(build / "private")
    said = clean(build)
    assert contents(tmp_path / "disk") == {KEY: OWN} and (build / "private").is_symlink()
    assert f"private has no {MARK}" in said and "exact counts" in said


def test_the_command_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    build = a_build(tmp_path / "build")
    the_users(build / "private")
    monkeypatch.setenv("BUILD", os.fspath(build))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert main(["clean"]) == 0
    assert "private has no" in capsys.readouterr().out and contents(build) == {f"private/{KEY}": OWN}
