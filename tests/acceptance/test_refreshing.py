"""`make refresh` on the real files: what comes in, what is refused, and what two editions say moved."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import tomlkit
from reports.built import visible
from scratch_project import Project, Refusal, Run, fewer, fingerprint, real_return
from synthetic import quicker

from analysis.core.errors import EvaluationError
from analysis.core.files import sha256
from analysis.core.workspace import Workspace
from analysis.editions.ledger import CAUSES
from analysis.protocol.protocol import load_protocol
from analysis.reporting.wording import counted
from analysis.sources.manifest import read_manifest
from analysis.stages import refresh as stages
from analysis.stages.written import table_to_write

MONTHLY = ("mar", "dtoc")
INPUTS = ("data_raw/manifest.csv", "analysis/protocol.toml", "CHANGELOG.md")


def until(project: Project, month: str) -> list[dict[str, str]]:
    """Cut the manifest and the window to a month; return the rows that were taken out."""
    rows = project.pins()
    later = [row for row in rows if row["source"] in MONTHLY and row["period"] > month]
    project.write_pins([row for row in rows if row not in later])
    project.edit(
        "analysis/protocol.toml",
        'end = "2018-03"\nprogramme_start',
        f'end = "2018-03"\ndata_to = "{month}"\nprogramme_start',
    )
    return later


def offered(project: Project, folder: Path, rows: Sequence[dict[str, str]]) -> Path:
    """A folder with copies of these files, all in one place and under names of no meaning."""
    folder.mkdir(parents=True)
    for at, row in enumerate(rows):
        shutil.copy(project.real_files / row["file"], folder / f"download{at}{Path(row['file']).suffix}")
    return folder


@pytest.fixture
def early(repository: Path, published_folder: Path, tmp_path: Path) -> tuple[Project, list[dict[str, str]]]:
    """A copy of the project as it was when data reached to December 2016, its study shortened, and the later rows of the manifest."""
    project = Project.copy(repository, published_folder.resolve(), tmp_path)
    (project.root / "CHANGELOG.md").write_text("# Changelog\n", encoding="utf-8")
    (project.root / "reports/editions.csv").unlink(missing_ok=True)
    rules = project.root / "analysis/protocol.toml"
    rules.write_text(quicker(rules.read_text(encoding="utf-8")), encoding="utf-8")
    later = until(project, "2016-12")
    return project, later


def take_in(project: Project, folder: Path) -> Run:
    """The first part of a refresh, which needs no results, in this process: new files → the manifest."""
    work = Workspace(
        project.root, project.root / "build", project.files, protocol_file=project.root / "analysis/protocol.toml"
    )
    said: list[str] = []
    try:
        stages.take_in(work, folder, said.append)
    except EvaluationError as problem:
        return Run(problem.exit_code, "\n".join(said), f"{type(problem).__name__}: {problem}")
    return Run(0, "\n".join(said), "")


def state(project: Project) -> dict[str, bytes]:
    return {name: (project.root / name).read_bytes() for name in INPUTS} | {
        name: b"" for name in fingerprint(project.root / "data_raw")
    }


def superseded(project: Project) -> list[str]:
    return [row["file"] for row in project.pins() if row["superseded"]]


@pytest.mark.slow
def test_new_months_are_known_by_their_content_and_move_the_window(
    early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    project, later = early
    months = [row for row in later if row["period"] <= "2017-03"]
    folder = offered(project, tmp_path / "new", months)
    (folder / "read me.txt").write_text("not a workbook")
    shutil.copy(project.real_files / project.pin_of("kh03")["file"], folder)
    run = take_in(project, folder)
    assert run.code == 0, run.err
    assert run.out.count("passed over") == 1 and "read me.txt is no workbook" in run.out
    assert "1 file is pinned already" in run.out
    assert "the window now ends in March 2017" in run.out
    assert 'data_to = "2017-03"' in (project.root / "analysis/protocol.toml").read_text(encoding="utf-8")
    pins = {row["sha256"]: row for row in project.pins()}
    for row in months:
        pin = pins[row["sha256"]]
        assert {name: pin[name] for name in ("source", "period", "bytes", "published", "revised", "title")} == {
            name: row[name] for name in ("source", "period", "bytes", "published", "revised", "title")
        }
        assert (project.root / "data_raw" / pin["file"]).is_file()
    second = take_in(project, folder).out.splitlines()
    assert len(second) == 2 and second[-1] == f"{len(months) + 1} files are pinned already", "nothing is new"


@pytest.mark.slow
def test_the_window_waits_for_every_source(early: tuple[Project, list[dict[str, str]]], tmp_path: Path) -> None:
    project, later = early
    months = [
        row for row in later if row["period"] <= "2017-03" and (row["source"], row["period"]) != ("dtoc", "2017-02")
    ]
    run = take_in(project, offered(project, tmp_path / "new", months))
    assert "the window now ends in January 2017" in run.out, run.err


def test_the_last_month_ends_the_interim(early: tuple[Project, list[dict[str, str]]], tmp_path: Path) -> None:
    project, later = early
    assert take_in(project, offered(project, tmp_path / "new", later)).code == 0
    assert "data_to" not in (project.root / "analysis/protocol.toml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_revised_month_is_pinned_beside_the_earlier(
    early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    project, _ = early
    pin = project.pin_of("mar", "2016-02")
    book = real_return(project.files / pin["file"])
    admissions = 6 + [header.strip() for header in book.header[6:]].index("Total Non-elective G&A Admissions (FFCEs)")
    book.rows[0][admissions] = float(str(book.rows[0][admissions])) + 10
    book.england[admissions - 6] = float(str(book.england[admissions - 6])) + 10
    folder = tmp_path / "revised"
    folder.mkdir()
    book.write(folder / Path(pin["file"]).name)
    run = take_in(project, folder)
    assert run.code == 0, run.err
    assert f"revised, beside {pin['file']}" in run.out
    both = [row for row in project.pins() if row["period"] == "2016-02" and row["source"] == "mar"]
    assert [row["superseded"] != "" for row in both] == [True, False]
    assert both[1]["file"] == f"mar/{Path(pin['file']).stem}.{both[1]['sha256'][:8]}.xls"
    assert (project.root / "data_raw" / both[1]["file"]).is_file()
    assert project.run("data").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["page", "code", "boundaries", "twice", "period"])
def test_a_file_that_is_not_sound_changes_nothing(
    fault: str, early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    project, later = early
    folder = offered(project, tmp_path / "new", later[:3])
    book = real_return(project.real_files / next(row["file"] for row in later if row["source"] == "mar"))
    if fault == "page":
        (folder / "April.xls").write_text("<!DOCTYPE html><title>Log in</title>")
    elif fault == "code":
        book.rows[0][4] = "99Z"
    elif fault == "boundaries":
        project.edit("analysis/protocol.toml", 'end = "2018-03"\ndata_to', 'end = "2018-06"\ndata_to')
        book.period = "May 2018"
    elif fault == "period":
        book.period = "one month"
    if fault != "page":
        book.write(folder / "book.xls")
    if fault == "twice":
        book.notes = ["other bytes"]
        book.write(folder / "book2.xls")
    before = state(project)
    run = take_in(project, folder)
    refusal = Refusal.of(run)
    assert run.code == 1
    assert state(project) == before
    words = {
        "page": "web page", "code": "99Z", "boundaries": "boundaries before 1 April 2018", "twice": "second new file",
        "period": "one month",
    }  # fmt: skip
    assert words[fault] in refusal.found, refusal
    to_do = {"boundaries": "Set boundaries = 2018-04-01", "code": "table of CCG changes"}
    assert to_do.get(fault, "") in refusal.to_do, refusal


@pytest.mark.slow
def test_a_month_after_the_studys_end_is_passed_over(
    early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    project, later = early
    book = real_return(project.real_files / later[-1]["file"])
    book.period, book.rows[0][4] = "May 2018", "99Z"  # whoever its commissioners are
    folder = tmp_path / "new"
    folder.mkdir()
    book.write(folder / "book.xls")
    before = state(project)
    run = take_in(project, folder)
    assert run.code == 0 and "book.xls is of May 2018, after the study's end: passed over" in run.out, run.err
    assert state(project) == before


@pytest.mark.fault(
    "FROM with the return as CSV, by provider and of a later month, another publication, locks, hidden files, unfinished downloads, "
    "a pipe, a device, a link to nothing, a sub-folder",
    "the new return is taken wherever it is and whatever its name ends in; every other file is named with the reason",
)
def test_every_file_that_is_not_taken_is_named(
    early: tuple[Project, list[dict[str, str]]], tmp_path: Path, published_folder: Path
) -> None:
    project, later = early
    folder = tmp_path / "new"
    (folder / "2017").mkdir(parents=True)
    new = next(row for row in later if row["source"] == "mar")
    real = project.real_files / new["file"]
    shutil.copy(real, folder / "2017/January.download.final")
    shutil.copy(real, folder / "2017/January (1).xls")
    shutil.copy(project.real_files / project.pin_of("mar", "2016-02")["file"], folder)
    shutil.copy(next((published_folder / "mar_provider").iterdir()), folder / "provider.XLS")
    shutil.copy(next((published_folder / "hes_provider").iterdir()), folder / "hes.xlsx")
    book = real_return(real)
    book.period = "May 2018"
    book.write(folder / "may.xls")
    (folder / "return.csv").write_text("Org Code,Total\n01H,7\n")
    (folder / "archive.zip").write_bytes(b"PK\x03\x04 half of one")
    for name in (
        "~$x.xls",
        ".~lock.x.xls#",
        ".DS_Store",
        "Thumbs.db",
        "x.xls.part",
        "x.xls.crdownload",
        "x.tmp",
        "x.xls~",
    ):
        (folder / name).write_bytes(b"locked")
    (folder / ".hidden").mkdir()
    shutil.copy(project.real_files / later[-1]["file"], folder / ".hidden")
    os.mkfifo(folder / "pipe.xls")
    (folder / "device.xls").symlink_to("/dev/zero")
    (folder / "gone.xls").symlink_to(tmp_path / "nowhere.xls")
    (folder / "circle.xls").symlink_to(folder / "circle.xls")
    (folder / "link").symlink_to(tmp_path)
    with open(folder / "film.mp4", "wb") as film:
        film.truncate(10**12)
    run = take_in(project, folder)
    assert run.code == 0, run.err
    passed = dict(
        line.removesuffix(": passed over").split(" ", 1) for line in run.out.splitlines() if "passed over" in line
    )
    assert passed == {
        "return.csv": "is no workbook, the form in which the publisher gives every month",
        "archive.zip": "is a file cut short: 16 bytes, its end is missing",
        "provider.XLS": "is the return by provider, which the study does not use",
        "hes.xlsx": "is of another publication than those of the study",
        "may.xls": "is of May 2018, after the study's end",
        "pipe.xls": "is a device or a pipe, not a file",
        "device.xls": "is a device or a pipe, not a file",
        "gone.xls": "is a link to no file",
        "circle.xls": "is a link to no file",
        "link": "is a link to a folder, which is not followed",
        "film.mp4": "has 1,000,000,000,000 bytes, more than any file of the study",
        "2017/January.download.final": "has the bytes of 2017/January (1).xls",
    }
    assert "1 file is pinned already" in run.out
    assert "mar/January (1).xls (mar, January 2017): new" in run.out
    assert len(run.out.splitlines()) == len(passed) + 2


@pytest.mark.cases(quick=0, push=4)
@pytest.mark.fault(
    "a new return named `MAR: April.xls`, or with a backslash, a line break or a blank at an end",
    "refused before anything is pinned; other odd names are pinned and read back",
)
@pytest.mark.parametrize(
    "name",
    [
        "MAR: April.xls",
        "MAR\\April.xls",
        "MAR\nApril.xls",
        " April.xls",
        "April.xls ",
        "\udcff.xls",
        f"{'x' * 230}.xls",
    ],
)
def test_a_name_that_cannot_be_pinned(name: str, early: tuple[Project, list[dict[str, str]]], tmp_path: Path) -> None:
    project, later = early
    folder = offered(project, tmp_path / "new", later[:2])
    (folder / "download1.xls").rename(folder / name)
    before = state(project)
    run = take_in(project, folder)
    refusal = Refusal.of(run)
    assert run.code == 1 and f"a file named {name!r}, which" in refusal.found and "Rename the file" in refusal.to_do
    assert state(project) == before
    (folder / name).rename(folder / "=Café, \"17'.xls")
    assert take_in(project, folder).code == 0
    assert {row["file"] for row in read_rows_of(project)} >= {f"{later[1]['source']}/=Café, \"17'.xls"}


def read_rows_of(project: Project) -> list[dict[str, str]]:
    """The manifest's rows, once its own reader takes them."""
    read_manifest(project.root / "data_raw/manifest.csv")
    return project.pins()


@pytest.mark.slow
def test_two_files_of_one_name_in_two_folders(early: tuple[Project, list[dict[str, str]]], tmp_path: Path) -> None:
    project, later = early
    rows = [row for row in later if row["source"] == "dtoc"][:2]
    for place, row in zip(("a", "b"), rows, strict=True):
        (tmp_path / "new" / place).mkdir(parents=True)
        shutil.copy(project.real_files / row["file"], tmp_path / f"new/{place}/file.xls")
    run = take_in(project, tmp_path / "new")
    assert run.code == 0, run.err
    pinned = {row["sha256"]: row["file"] for row in read_rows_of(project)}
    assert [pinned[row["sha256"]] for row in rows] == ["dtoc/file.xls", f"dtoc/file.{rows[1]['sha256'][:8]}.xls"]
    for row in rows:
        assert sha256(project.root / "data_raw" / pinned[row["sha256"]]) == row["sha256"]


@pytest.mark.fault(
    "a copy of the protocol that still names the main study's table of editions, refreshed",
    "refused before anything is read or written, with the key to set",
)
@pytest.mark.slow
def test_a_copied_protocol_has_no_part_in_the_main_studys_editions(
    early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    project, later = early
    shutil.copy(project.root / "analysis/protocol.toml", project.root / "copied.toml")
    before = state(project)
    run = project.run("refresh", "--from", str(offered(project, tmp_path / "new", later[:2])), PROTOCOL="copied.toml")
    refusal = Refusal.of(run)
    assert run.code == 1 and refusal.kind == "StudyError" and "copied.toml" in refusal.place
    assert (
        "analysis/protocol.toml has its numbers written" in refusal.found
        and "as editions under [report]" in refusal.to_do
    )
    assert state(project) == before and not (project.root / "reports/editions.csv").exists()


@pytest.mark.slow
def test_a_protocol_by_another_path_is_the_same_one_and_a_link_stays_a_link(
    early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    project, later = early
    link = project.root / "linked.toml"
    link.symlink_to("analysis/protocol.toml")
    work = Workspace(project.root, project.root / "build", project.files, protocol_file=link)
    assert table_to_write(work, "editions") == project.root / "reports/editions.csv"
    stages.take_in(
        work, offered(project, tmp_path / "new", [row for row in later if row["period"] <= "2017-03"]), print
    )
    assert link.is_symlink() and load_protocol(project.root / "analysis/protocol.toml").study.data_to == pd.Timestamp(
        "2017-03"
    )


def test_a_folder_that_is_not_there(early: tuple[Project, list[dict[str, str]]], tmp_path: Path) -> None:
    run = take_in(early[0], tmp_path / "nowhere")
    assert run.code == 2 and run.err.startswith("UsageError") and "FROM=folder" in run.err


@pytest.mark.cases(quick=0, push=1)
@pytest.mark.parametrize("untils", [["2018-03"], ["2017-03", "2018-03"]], ids=["one refresh", "one after the other"])
def test_refreshes_explain_every_headline(
    untils: list[str], early: tuple[Project, list[dict[str, str]]], tmp_path: Path
) -> None:
    """From December 2016, with a month revised, to March 2018, or by way of March 2017; few draws and the primary outcome alone."""
    project, later = early
    rules = project.root / "analysis/protocol.toml"
    rules.write_text(fewer(rules.read_text(encoding="utf-8")), encoding="utf-8")
    for since, until_month in pairwise(["unrecorded", *untils]):
        months = [row for row in later if row["period"] <= until_month]
        later = [row for row in later if row not in months]
        run = project.run("refresh", "--from", str(offered(project, tmp_path / until_month, months)))
        assert run.code == 0, run.err
        build = project.root / "build/refresh"
        causes = pd.read_csv(build / "causes.csv").cause.tolist()
        assert causes == ["new_months", "rule"]
        headlines = pd.read_csv(build / "headlines.csv")
        assert len(headlines) == 2 and (headlines.moved.abs() > 0).all()
        parts = headlines[[f"by_{cause}" for cause in CAUSES]].sum(axis=1)
        assert parts.to_numpy() == pytest.approx((headlines.estimate_after - headlines.estimate_before).to_numpy())
        assert (headlines.by_rule != 0).any(), "the pending months were judged"
        ledger = pd.read_csv(build / "ledger.csv", keep_default_na=False)
        assert (ledger[ledger.status == "moved"].cause != "").all()
        assert len(pd.read_csv(build / "files.csv")) == len(months)
        assert set(pd.read_csv(build / "masks.csv").was) >= {"pending"}
        assert project.run("reports", "refresh", RENDERER="embedded").code == 0
        page = visible((project.root / "build/reports/refresh.html").read_text(encoding="utf-8"))
        assert (
            page.count("by new months and") == 2
            and f"Since edition {since}: " in page
            and "The verdict stays inconclusive." in page
        )
        assert f"{len(months)} files came in" in page or f"{counted(len(months)).capitalize()} files came in" in page
        assert ("Interim edition" in page) == (until_month < "2018-03")
    with open(project.root / "reports/editions.csv", encoding="utf-8", newline="") as handle:
        assert list(dict.fromkeys(row["edition"] for row in csv.DictReader(handle))) == untils
    assert project.run("refresh", "--from", str(project.files)).out.count("nothing differs") == 1


@pytest.mark.fault(
    "`kill -9`, then files that may not grow, while a refresh rebuilds what lies between two editions",
    "no edition is recorded and nothing is half written; the next refresh gives the same bytes as an undisturbed one",
)
@pytest.mark.nightly
def test_a_refresh_that_is_cut_short(early: tuple[Project, list[dict[str, str]]], tmp_path: Path) -> None:
    project, later = early
    rules = project.root / "analysis/protocol.toml"
    rules.write_text(fewer(rules.read_text(encoding="utf-8")), encoding="utf-8")
    folder = offered(project, tmp_path / "new", [row for row in later if row["period"] <= "2017-03"])
    call = ("refresh", "--from", str(folder))
    root = shutil.copytree(project.root, tmp_path / "undisturbed" / "project", symlinks=True)
    undisturbed = replace(project, root=root)
    assert undisturbed.run(*call).code == 0

    build = project.root / "build"
    process = project.start(*call)
    deadline = time.monotonic() + 240
    while not list(build.glob(".refresh-*/between/*/data")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL and list(build.glob(".refresh-*"))
    assert not (build / "refresh").exists() and not (project.root / "reports/editions.csv").exists()

    process = project.start(*call)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (150_000, 150_000))
    _, said = process.communicate(timeout=240)
    assert process.returncode == 3 and "no room left to write it" in said and "Traceback" not in said, said
    assert not (build / "refresh").exists() and not (project.root / "reports/editions.csv").exists()

    run = project.run(*call)
    assert run.code == 0 and "edition 2017-03 is recorded" in run.out, run.err
    assert not list(build.glob(".refresh-*"))
    assert fingerprint(build) == fingerprint(undisturbed.root / "build")
    for name in (*INPUTS, "reports/editions.csv"):
        assert (project.root / name).read_bytes() == (undisturbed.root / name).read_bytes()


@pytest.fixture
def longer(early: tuple[Project, list[dict[str, str]]], published_folder: Path) -> Project:
    """The whole manifest, no window yet, and a study of the returns to December 2019 on the boundaries of April 2019."""
    project, later = early
    project.write_pins([*project.pins(), *later])
    rules = project.root / "analysis/protocol.toml"
    document = tomlkit.parse(rules.read_text(encoding="utf-8"))
    document["study"] |= {"end": "2019-12", "boundaries": date(2019, 4, 1)}
    del document["study"]["data_to"]
    document["outcomes"] = [outcome for outcome in document["outcomes"] if outcome.get("source") != "dtoc"]
    rules.write_text(tomlkit.dumps(document), encoding="utf-8")
    return project


def returns_after(published_folder: Path) -> Path:
    folder = published_folder.resolve() / "mar_after"
    if not folder.is_dir():
        pytest.skip("the returns of April 2018 on are not here")
    return folder


@pytest.mark.slow
def test_a_longer_window_reaches_to_where_the_files_do(longer: Project, published_folder: Path) -> None:
    """Neither a month that no file has yet nor the embedded tables stop the look."""
    run = take_in(longer, returns_after(published_folder))
    assert run.code == 0, run.err
    assert "the window now ends in March 2019: there is no file of mar for April 2019" in run.out
    assert 'data_to = "2019-03"' in (longer.root / "analysis/protocol.toml").read_text(encoding="utf-8")
    assert len([pin for pin in longer.pins() if pin["source"] == "mar" and pin["period"] > "2018-03"]) == 12


@pytest.mark.slow
def test_a_window_ends_where_the_population_does(longer: Project, published_folder: Path) -> None:
    """Without the lists only the embedded population is there, to March 2018."""
    longer.keep_only_returns()
    run = take_in(longer, returns_after(published_folder))
    assert run.code == 0, run.err
    assert "the window now ends in March 2018: population is known to March 2018" in run.out


@pytest.mark.slow
def test_returns_of_later_boundaries_name_the_date_to_set(longer: Project, published_folder: Path) -> None:
    longer.edit("analysis/protocol.toml", "boundaries = 2019-04-01", "boundaries = 2017-04-01")
    before = state(longer)
    run = take_in(longer, returns_after(published_folder))
    refusal = Refusal.of(run)
    assert run.code == 1 and "column 'study.boundaries'" in refusal.place and "2019-04-01" in refusal.to_do
    assert state(longer) == before


@pytest.mark.fault(
    "a study whose window is longer than the files that are pinned, and no earlier edition",
    "the refresh looks at the new files first, builds the earlier edition as far as files are pinned, and says where each window ends; a report after it builds nothing again",
)
@pytest.mark.nightly
def test_a_refresh_of_a_longer_window(longer: Project, published_folder: Path) -> None:
    rules = longer.root / "analysis/protocol.toml"
    rules.write_text(fewer(rules.read_text(encoding="utf-8")), encoding="utf-8")
    folder = str(returns_after(published_folder))
    run = longer.run("refresh", "--from", folder)
    assert run.code == 0, run.err
    first, then = (run.out.index(f"the window now ends in {month}") for month in ("March 2018", "March 2019"))
    assert first < then and "edition 2019-03 is recorded" in run.out
    panel = pd.read_parquet(longer.root / "build/data/panel.parquet")
    ccgs = panel[panel.geography == "ccg"]
    assert ccgs.unit.nunique() == 190 and ccgs.month.max() == pd.Timestamp("2019-03-01")
    assert ccgs.covered_share[ccgs.unit == "15M"].isna().all(), "Erewash is a part of it"
    assert longer.run("data", "--if-changed", DATA="auto").out == ""
    assert "nothing differs" in longer.run("refresh", "--from", folder).out
