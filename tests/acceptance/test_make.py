"""What `make report` runs again when something changed, what `make why` says of it, and what `make verify` finds."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from scratch_project import fingerprint, make

from analysis.build.manifest import Manifest, code

pytestmark = pytest.mark.slow


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.nightly
@pytest.mark.parametrize("stage", ["data", "results", "report"])
def test_a_step_reads_nothing_that_its_manifest_does_not_name(study, stage):
    manifest = Manifest.read(study.root / "build")
    of_stage = [name for name in manifest.steps if name.startswith(stage)]
    named = {key.removeprefix("published ") for name in of_stage for key in manifest.steps[name]}
    heard = (study.root.parent / f"{stage}.heard").read_text(encoding="utf-8").splitlines()
    modules = {line.split()[1].replace(".", "/") for line in heard if line.startswith("import analysis.")}
    known = {str(Path(name).with_suffix("")).removesuffix("/__init__") for name in named}
    # What decides whether a step runs, and where it may write, changes nothing that it makes.
    deciding = code(study.root, ["analysis.build.steps", "analysis.build.folder"])
    decides = {str(Path(name).with_suffix("")) for name in deciding} | {"analysis/__main__"}
    assert modules - known <= decides
    root, build = study.root, study.root / "build"
    files = {Path(line.removeprefix("open ")) for line in heard if line.startswith("open ")}
    ours = {
        path for path in files if path.is_relative_to(root) and "__pycache__" not in path.parts and path.suffix != ".py"
    }
    inside = {str(path.relative_to(build if path.is_relative_to(build) else root)) for path in ours}
    inside = {name for name in inside if not name.startswith((".", "staged/", "reports/"))} - {"manifest.json"}
    assert inside, "nothing was heard"
    assert inside - named - set(manifest.outputs) <= {"analysis/protocol.toml"}  # of which it names the tables


def test_nothing_runs_again_without_a_change(made):
    before = times(made.root / "build")
    for path in made.root.rglob("*"):
        if "build" not in path.relative_to(made.root).parts and ".venv" not in path.parts:
            os.utime(path)
    os.utime(made.root / ".venv/.ready")
    started = time.perf_counter()
    run = make(made, "report")
    assert run.code == 0 and run.err == ""
    assert "Open build/reports/index.html" in run.out and "done in" not in run.out
    after = times(made.root / "build")
    assert {name for name in after if after[name] != before.get(name)} <= {".lock"}
    assert time.perf_counter() - started < 60  # it hangs on nothing; `make bench` has the real time


def test_a_changed_report_is_made_alone_and_why_tells(made):
    build = made.root / "build"
    before = fingerprint(build)
    made.edit("reports/reconciliation.qmd", "Others have published", "Others too have published")
    assert "reports/reconciliation: will run, since\n  reports/reconciliation.qmd has changed" in make(made, "why").out
    run = make(made, "report")
    assert "since reports/reconciliation.qmd has changed" in run.out and "Results" not in run.out
    after = fingerprint(build)
    different = {name for name in after if after[name] != before.get(name)}
    assert different == {"manifest.json", *(f"reports/reconciliation.{suffix}" for suffix in ("html", "ipynb", "pdf"))}
    why = make(made, "why", "TARGET=build/reports/reconciliation.pdf").out
    assert why.split("\n")[:4] == [
        "reports/reconciliation: nothing has changed",
        "  it last ran, since",
        "    reports/reconciliation.qmd has changed",
        "",
    ]
    made.edit("reports/reconciliation.qmd", "Others too have published", "Others have published")
    assert make(made, "report").code == 0
    assert fingerprint(build) == before


@pytest.mark.nightly
def test_a_spoilt_or_strange_file_is_found_and_mended(made):
    build = made.root / "build"
    before = fingerprint(build)
    assert make(made, "verify").out == f"{len(before) - 1} files are as build/manifest.json lists them.\n"
    (build / "results/estimates.csv").write_text("spoilt")
    (build / "reports/figures/growth.svg").unlink()
    (build / "reports/strange.html").write_text("not ours")
    run = make(made, "verify")
    assert run.code != 0
    assert run.out.splitlines()[:-1] == [
        "reports/figures/growth.svg is missing",
        "reports/strange.html was made by no step",
        "results/estimates.csv is not as it was made",
    ]
    (build / "reports/strange.html").unlink()
    run = make(made, "report")
    assert run.code == 0 and "since results/estimates.csv is not as it was made" in run.out
    assert fingerprint(build) == before
    assert make(made, "verify").code == 0


def test_clean_leaves_nothing_of_a_report(made, tmp_path):
    build = tmp_path / "build"
    shutil.copytree(made.root / "build", build)
    run = make(made, "clean", BUILD=str(build), PYTHON=sys.executable)
    assert run.code == 0 and run.out == f"{build} is emptied.\n", run
    assert {path.name for path in build.iterdir()} == {".lock", ".gitignore"}


def test_a_report_is_not_staged_among_a_users_files(made):
    staged = made.root / "build/staged"
    staged.mkdir()
    (staged / "notes.txt").write_text("the user's own")
    before = fingerprint(made.root / "build")
    made.edit("reports/reconciliation.qmd", "Others have published", "Others too have published")
    run = make(made, "report")
    assert run.code != 0 and "staged: this folder holds notes.txt, and no" in run.err, run.err
    assert fingerprint(made.root / "build") == before
    shutil.rmtree(staged)
    made.edit("reports/reconciliation.qmd", "Others too have published", "Others have published")


@pytest.mark.nightly
def test_a_report_that_is_gone_leaves_nothing(made):
    source, build = made.root / "reports/reconciliation.qmd", made.root / "build"
    before = fingerprint(build)
    (made.root / "reports/further.qmd").write_bytes(source.read_bytes())
    assert make(made, "report").code == 0
    assert (build / "reports/further.pdf").is_file()
    (made.root / "reports/further.qmd").unlink()
    run = make(made, "report")
    assert run.code == 0, run.err
    assert fingerprint(build) == before


def test_why_refuses_what_no_step_makes(made):
    run = make(made, "why", "TARGET=nothing")
    assert (
        run.code != 0
        and "No step is called 'nothing', and none made a file of that name. The steps: data, results" in run.err
    )


def test_verify_of_an_empty_folder_says_what_to_do(small, tmp_path):
    run = make(small, "verify", BUILD=str(tmp_path))
    assert run.code != 0 and "lists nothing yet. Run `make report`." in run.err
