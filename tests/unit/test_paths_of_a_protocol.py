"""Paths in a protocol stay in the repository or below the protocol's folder, and messages name the protocol in use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from analysis.build.steps import data_step
from analysis.core.errors import DataError, StudyError, UsageError
from analysis.core.workspace import Workspace
from analysis.editions.offers import Offer, check_codes
from analysis.panel.cohorts import read_cohorts
from analysis.panel.inputs import clean_snapshot, published_files
from analysis.panel.snapshot import read_population
from analysis.panel.units import unit_counts
from analysis.protocol.protocol import load_protocol
from analysis.sources.manifest import Pin
from analysis.stages.simulations import run_simulation
from analysis.stages.written import table_to_write

SECRET = "user:secret\n"
TEXT = (Path(__file__).parents[2] / "analysis/protocol.toml").read_text(encoding="utf-8")
COHORTS = 'cohorts = "data_raw/vanguard_ccgs.csv"'
EDITIONS = 'editions = "reports/editions.csv"'
SIMULATION = 'simulation = "reports/simulation.csv"'


@pytest.fixture
def work(repository: Path, tmp_path: Path) -> Workspace:
    """A project with a protocol of its own outside it, and a stranger's file beside both."""
    root, outside = tmp_path / "project", tmp_path / "elsewhere/study"
    for name in ("analysis", "reports"):
        (root / name).mkdir(parents=True)
    shutil.copytree(repository / "data_raw", root / "data_raw")
    (root / "analysis/protocol.toml").write_text(TEXT, encoding="utf-8")
    outside.mkdir(parents=True)
    (outside / "own.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "secret.csv").write_text(SECRET)
    (tmp_path / "secret.toml").write_text('[token]\nvalue = "secret"\n')
    return Workspace(root, tmp_path / "build", tmp_path / "none", "snapshot", protocol_file=outside / "own.toml")


def changed(work: Workspace, old: str, new: str) -> Workspace:
    assert old in TEXT
    work.protocol_file.write_text(TEXT.replace(old, new), encoding="utf-8")
    return work


def linked(work: Workspace) -> str:
    (work.root / "data_raw/linked.csv").symlink_to(work.root.parent / "secret.csv")
    return "data_raw/linked.csv"


def linked_folder(work: Workspace) -> str:
    (work.protocol_file.parent / "tables").symlink_to(work.root.parent)
    return str(work.protocol_file.parent / "tables/secret.csv")


def circle(work: Workspace) -> str:
    (work.root / "circle.csv").symlink_to(work.root / "circle.csv")
    return "circle.csv"


def pipe(work: Workspace) -> str:
    os.mkfifo(work.root / "pipe.csv")
    return "pipe.csv"


ELSEWHERE: dict[str, Callable[[Workspace], str]] = {
    "from the root": lambda work: str(work.root.parent / "secret.csv"),
    "/etc/passwd": lambda work: "/etc/passwd",
    "up": lambda work: "../secret.csv",
    "down and up": lambda work: "data_raw/../../secret.csv",
    "beside the protocol's folder": lambda work: str(work.protocol_file.parent / "../../secret.csv"),
    "a folder of the same beginning": lambda work: f"{work.root}-2/secret.csv",
    "a link": linked,
    "a link to a folder": linked_folder,
    "a link to itself": circle,
    "a pipe": pipe,
    "a folder": lambda work: "data_raw",
    "none": lambda work: "",
    "a name too long": lambda work: "x" * 5000,
}


@pytest.mark.cases(quick=11)
@pytest.mark.fault(
    '`editions = "/any/path.csv"` or `cohorts = "/etc/passwd"` in a protocol; `..`, links, a pipe, a folder',
    "refused with the path; nothing outside is written, and no content quoted",
)
@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_path_that_leads_elsewhere(place: str, work: Workspace) -> None:
    path = ELSEWHERE[place](work)
    before = sorted(work.root.parent.rglob("*"))
    changed(work, EDITIONS, f'editions = "{path}"')
    for use in (lambda: work.named(path), lambda: table_to_write(work, "editions")):
        with pytest.raises(StudyError) as refusal:
            use()
        said = str(refusal.value)
        assert repr(path)[:200] in said and str(work.protocol_file) in said
    assert sorted(work.root.parent.rglob("*")) == before and (work.root.parent / "secret.csv").read_text() == SECRET


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd"])
def test_what_is_elsewhere_is_not_quoted(path: str, work: Workspace) -> None:
    changed(work, COHORTS, f'cohorts = "{path}"')
    protocol = load_protocol(work.protocol_file)
    with pytest.raises(StudyError) as refusal:
        read_cohorts(work.named(protocol.study.cohorts), [], protocol.model_ids)
    assert "user:" not in str(refusal.value) and "root:" not in str(refusal.value)
    with pytest.raises(StudyError, match="leads elsewhere"):
        data_step(work)


@pytest.mark.slow
def test_a_table_in_the_repository_or_below_the_protocol(work: Workspace) -> None:
    own = work.protocol_file.parent / "tables/cohorts.csv"
    own.parent.mkdir()
    shutil.copy(work.root / "data_raw/vanguard_ccgs.csv", own)
    for path in ("data_raw/vanguard_ccgs.csv", str(work.root / "data_raw/vanguard_ccgs.csv"), str(own)):
        changed(work, COHORTS, f'cohorts = "{path}"')
        cleaned, _, _ = clean_snapshot(work, load_protocol(work.protocol_file))
        assert len(cleaned.panel)


def test_each_protocol_writes_tables_of_its_own(work: Workspace) -> None:
    for key, text in (
        ("editions", EDITIONS),
        ("simulation", SIMULATION),
        ("its_simulation", 'its_simulation = "reports/its'),
    ):
        changed(work, text, text)
        with pytest.raises(StudyError, match=r"analysis/protocol\.toml has its numbers written") as refusal:
            table_to_write(work, key)
        assert refusal.value.column == f"report.{key}" and refusal.value.file == work.protocol_file
    main = replace(work, protocol_file=work.root / "analysis/protocol.toml")
    assert table_to_write(main, "editions") == work.root / "reports/editions.csv"
    changed(work, EDITIONS, 'editions = "reports/../reports/editions.csv"')
    with pytest.raises(StudyError, match="a table of this protocol's own"):
        table_to_write(work, "editions")
    changed(work, EDITIONS, f'editions = "{work.protocol_file.parent}/editions.csv"')
    assert table_to_write(work, "editions") == work.protocol_file.parent / "editions.csv"
    changed(work, EDITIONS, "")
    with pytest.raises(UsageError, match="name a table as editions"):
        table_to_write(work, "editions")


@pytest.mark.parametrize(
    ("path", "said"),
    [("data_raw/manifest.csv", "another table"), ("data_raw/README.md", "a CSV table"), ("Makefile", "a CSV table")],
)
def test_numbers_are_not_written_over_something_else(path: str, said: str, work: Workspace) -> None:
    changed(work, SIMULATION, f'simulation = "{path}"')
    for file in (work.panel, work.units):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with pytest.raises(StudyError, match=said):
        run_simulation(work, lambda total: None, 1, 1)  # type: ignore[arg-type, return-value]


def test_a_protocol_that_is_a_strangers_file_is_not_quoted(work: Workspace) -> None:
    for name in ("secret.csv", "secret.toml"):
        with pytest.raises(StudyError) as refusal:
            load_protocol(work.root.parent / name)
        assert "secret" not in str(refusal.value).replace(name, "")


def test_a_table_that_is_missing_is_not_answered_with_the_protocol(work: Workspace) -> None:
    head, _, rest = TEXT.partition("[quality]")
    work.protocol_file.write_text(head + "[" + rest.partition("\n[")[2], encoding="utf-8")
    with pytest.raises(StudyError) as refusal:
        load_protocol(work.protocol_file)
    assert (refusal.value.column, refusal.value.found) == ("quality", "nothing")


@pytest.mark.slow
@pytest.mark.fault(
    "PROTOCOL=another file, and an error in it", "the message names that file, not analysis/protocol.toml"
)
def test_messages_name_the_protocol_in_use(work: Workspace) -> None:
    def protocol(old: str, new: str):
        return load_protocol(changed(work, old, new).protocol_file)

    wrong_measure = protocol('measure = "non_elective_admissions"', 'measure = "non_elective"')
    wider = protocol('start = "2013-04"', 'start = "2009-04"')
    later = protocol(COHORTS, COHORTS)
    geography = clean_snapshot(work, later)[1].geography
    may = Offer(Pin("mar", date(2018, 5, 1), "mar/a.xls", "", "", 1, "", "", None, None, ""), Path("a.xls"))
    calls: list[Callable[[], object]] = [
        lambda: unit_counts([], None, wrong_measure),  # type: ignore[arg-type]
        lambda: published_files(work, wider),
        lambda: read_population(work.snapshot, wider),
        lambda: check_codes(may, geography, [], work.protocol_file),
    ]
    for call in calls:
        with pytest.raises(DataError) as refusal:
            call()
        assert str(work.protocol_file) in str(refusal.value) and "analysis/protocol.toml" not in str(refusal.value)
    assert wider.up_to(pd.Timestamp("2017-03")).only(["study"]).file == work.protocol_file


def test_a_data_folder_that_is_a_link_to_another_disk(tmp_path: Path) -> None:
    """The user's own link, as to a larger disk, is no path of the protocol's."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/cohorts.csv").touch()
    (tmp_path / "project").mkdir()
    (tmp_path / "project/data_raw").symlink_to(tmp_path / "disk")
    work = Workspace(tmp_path / "project", protocol_file=tmp_path / "project/analysis/protocol.toml")
    assert work.named("data_raw/cohorts.csv").is_file()
    (tmp_path / "disk/elsewhere.csv").symlink_to("/etc/passwd")
    with pytest.raises(StudyError, match="leads elsewhere"):
        work.named("data_raw/elsewhere.csv")


@pytest.mark.fault("BUILD=~/build, in which the shell left the ~ as it is", "a refusal: no folder of that name is made in the checkout")
@pytest.mark.parametrize("name", ["BUILD", "MIRROR", "PROTOCOL"])
def test_a_tilde_that_no_shell_expanded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "~/somewhere")
    with pytest.raises(UsageError, match=f"{name}=~/somewhere"):
        Workspace.from_environment()


@pytest.mark.fault("a value of a choice that ends in a carriage return, as in a file that Notepad saved", "a refusal that names the choice; no second build is begun")
@pytest.mark.parametrize("name", ["BUILD", "EXTRACT", "DATA"])
def test_a_character_that_no_screen_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "build\r")
    with pytest.raises(UsageError, match=rf"{name}: .*Windows"):
        Workspace.from_environment()
