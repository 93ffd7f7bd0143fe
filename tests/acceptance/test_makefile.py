"""The Makefile with whatever its caller writes into a choice: no file is lost, and no value is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scratch_project import CHOICES as SET_BY_TESTS
from scratch_project import Run

from analysis.build.manifest import Manifest, Step

CHOICES = (
    "BUILD", "DATA", "ENGINE", "EXTRACT", "FROM", "FUZZ", "MIRROR", "PROTOCOL", "RENDERER", "ROWS", "SOURCE_DATE_EPOCH", "SPARK_MASTER", "TARGET",
    "WORKERS",
)  # fmt: skip
COMMANDS = [
    "x; touch planted", "$(touch planted)`touch planted`", "'; touch planted; '\"; touch planted; \"", "--x=$(shell touch planted)", "x\ntouch planted #",
]  # fmt: skip


@pytest.fixture(scope="module")
def code(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Makefile and the package, with nothing to set up."""
    root = tmp_path_factory.mktemp("checkout") / "project"
    shutil.copytree(repository / "analysis", root / "analysis", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy2(repository / name, root)
    (root / "data_raw").mkdir()
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to(sys.executable)
    (root / ".venv/.ready").touch()
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("history")
    return root


@pytest.fixture
def checkout(code: Path) -> Iterator[Path]:
    """The code, of which no test may change or lose anything."""
    before = contents(code)
    yield code
    assert contents(code) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def make(checkout: Path, *arguments: str, **environment: str) -> Run:
    usual = {name: value for name, value in os.environ.items() if name not in (*CHOICES, *SET_BY_TESTS, "MAKEFLAGS")}
    run_here = [f"RUN={sys.executable} -m analysis", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        ["make", *arguments, *run_here],
        cwd=checkout,
        env={**usual, **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def a_build(folder: Path) -> Path:
    """A folder that holds a build's manifest, a file that it lists, a download and the file of somebody else."""
    (folder / "data").mkdir(parents=True)
    (folder / "downloads").mkdir()
    for name in ("data/panel.parquet", "downloads/April.xls", ".lock"):
        (folder / name).write_text("ours")
    (folder / "notes.txt").write_text("the user's own")
    made = Manifest(folder)
    made.note(Step("data", {}), [folder / "data/panel.parquet"], [])
    made.save()
    return folder


LEFT = {".lock", ".gitignore", "downloads/April.xls", "notes.txt"}


@pytest.mark.cases(quick=0, push=10)
@pytest.mark.fault(
    "`make clean BUILD=` with nothing after it, or with blanks in the name",
    "the folder named, or the default; nothing else is touched",
)
@pytest.mark.parametrize("name", ["", "build two", "it's [1] *", "a$b", "-rf", "build/ehch"])
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_clean_removes_what_is_in_the_build_alone(name: str, way: str, checkout: Path) -> None:
    build = a_build(checkout / (name or "build"))
    others = [a_build(checkout / other) for other in ("build2", "two", "a") if other != name]
    run = make(
        checkout,
        "clean",
        *([f"BUILD={name}"] if way == "argument" else []),
        **({"BUILD": name} if way == "environment" else {}),
    )
    assert run.code == 0, run.err
    assert set(contents(build)) == LEFT and "downloads, notes.txt stay" in run.out
    for other in others:
        assert "data/panel.parquet" in contents(other)
    for folder in (build, *others, checkout / "build"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.cases(quick=0, push=8)
@pytest.mark.fault("`make clean` of a folder that is no build of this project", "a refusal; nothing is removed")
@pytest.mark.parametrize(
    "where",
    [".", "..", "/", "analysis", ".git", "data_raw", "{other}", "{other}/file", "~", "$(HOME)", "analysis/../.git"],
)
@pytest.mark.parametrize("goal", ["clean", "data"])
def test_no_other_folder_is_emptied_or_written(where: str, goal: str, checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "reports").mkdir(parents=True)
    for name in ("file", "reports/of-somebody.html", "manifest.json"):
        (other / name).write_text('{"steps": "of another tool"}')
    home = {"HOME": str(other)}
    before = contents(tmp_path)
    run = make(checkout, goal, f"BUILD={where.format(other=other)}", "DATA=snapshot", **home)
    if where == "$(HOME)" and goal == "clean":  # a folder of this name, which is not there
        assert run.code == 0 and "nothing to remove" in run.out
    elif where != "$(HOME)":
        assert run.code != 0 and "BUILD=" in run.err and "Traceback" not in run.err, run.err
    assert contents(tmp_path) == before and not (checkout / "~").exists()
    shutil.rmtree(checkout / "$(HOME)", ignore_errors=True)


@pytest.mark.cases(quick=0, push=11)
@pytest.mark.fault(
    "a folder that holds the user's own `data/`, `reports/` or `private/` is named as BUILD",
    "a refusal; nothing is written or removed",
)
@pytest.mark.parametrize("name", ["data", "reports", "private", "results", "downloads", "manifest.json"])
@pytest.mark.parametrize("goal", ["data", "clean"])
def test_a_folder_with_names_like_ours_is_not_moved_into(name: str, goal: str, checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "study"
    (other / name).mkdir(parents=True)
    (other / name / "mine.csv").write_text("the user's own")
    before = contents(tmp_path)
    run = make(checkout, goal, f"BUILD={other}", "DATA=snapshot")
    assert run.code != 0 and f"holds {name}, which no run made" in run.err, run.err
    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.fault(
    "a manifest copied into a folder of the user's with some tables of a build, and the user's own files in a build's folders",
    "`make clean` refuses the first, and leaves the second",
)
def test_clean_keeps_what_no_step_made(checkout: Path, tmp_path: Path) -> None:
    paper, build = a_build(tmp_path / "paper"), a_build(tmp_path / "build")
    (paper / ".lock").unlink()
    for folder in (paper, build):
        (folder / "data/interviews.csv").write_text("the user's own")
    before = contents(paper)
    run = make(checkout, "clean", f"BUILD={paper}")
    assert run.code != 0 and "nothing was removed" in run.err
    assert contents(paper) == before
    run = make(checkout, "clean", f"BUILD={build}")
    assert run.code == 0 and "data, downloads, notes.txt stay" in run.out
    assert set(contents(build)) == {*LEFT, "data/interviews.csv"}


def test_a_name_that_no_folder_can_have(checkout: Path) -> None:
    run = make(checkout, "clean", f"BUILD={'a' * 300}")
    assert run.code != 0 and "name" in run.err.lower() and "Traceback" not in run.err


def test_a_link_in_a_build_is_removed_and_what_it_leads_to_stays(checkout: Path, tmp_path: Path) -> None:
    build = a_build(tmp_path / "build")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("kept")
    (build / "results").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(build)
    assert make(checkout, "clean", f"BUILD={tmp_path / 'link'}").code == 0
    assert (tmp_path / "kept/file").read_text() == "kept" and not (build / "results").exists()
    assert set(contents(build)) == LEFT


@pytest.mark.cases(quick=0, push=5)
@pytest.mark.fault(
    "a choice of make that holds a command (`TARGET='x; touch y'`), on the command line or in the environment",
    "it is data: nothing of it is run",
)
@pytest.mark.parametrize(
    "goals", [["why"], ["clean"], ["refresh"], ["records"], ["fuzz"], ["help"]], ids=lambda goals: goals[0]
)
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_no_choice_is_run_by_a_shell_or_by_make(goals: list[str], way: str, checkout: Path) -> None:
    for command in COMMANDS:
        values = dict.fromkeys(CHOICES, command)
        given = [f"{name}={value}" for name, value in values.items()] if way == "argument" else []
        run = make(checkout, *goals, *given, "PYTEST=printenv FUZZ; :", **(values if way == "environment" else {}))
        assert not (checkout / "planted").exists(), run
        assert "Traceback" not in run.err and "syntax error" not in run.err.lower(), run.err
        if goals == ["fuzz"]:
            assert run.out == f"{command}\n"


@pytest.mark.slow
def test_a_choice_reaches_its_program_as_it_is_written(checkout: Path) -> None:
    run = make(checkout, "why", 'TARGET=it\'s $(a) "b" $c `d`; e')
    assert run.code != 0 and """No step is called 'it\\'s $(a) "b" $c `d`; e'""" in run.err


@pytest.mark.nightly
@pytest.mark.fault(
    "an environment `.venv` of another Python, or of one that is gone", "its version is said, and it is made anew"
)
def test_an_environment_of_another_python_is_made_anew(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / ".ci", tmp_path / ".ci")
    folder = tmp_path / ".venv"

    def set_up() -> str:
        command = [tmp_path / ".ci/environment"]
        done = subprocess.run(
            command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=True
        )
        assert subprocess.run([folder / "bin/python", "-m", "pip", "--version"], capture_output=True).returncode == 0
        return done.stdout

    folder.mkdir()
    assert "anew" not in set_up()
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/nonexistent/python3.10")
    assert "of a Python that is gone: it is made anew" in set_up()
    for name in ("python", "python3"):
        (folder / "bin" / name).unlink(missing_ok=True)
    (folder / "bin/python").write_text("#!/bin/sh\necho 3.10.12\n")
    (folder / "bin/python").chmod(0o755)
    assert "of Python 3.10.12: it is made anew" in set_up()
    assert "anew" not in set_up()


@pytest.mark.fault(
    "a Python that is too old, or none, when the project is set up",
    "its version is said, and what to do; nothing is made",
)
def test_a_python_that_is_too_old_is_named(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / ".ci", tmp_path / ".ci")
    old = tmp_path / "python old"
    old.write_text('#!/bin/sh\ncase "$2" in *version_info*) exit 1;; *) echo 3.10.12;; esac\n')
    old.chmod(0o755)

    def refused(python: str) -> str:
        done = subprocess.run(
            [tmp_path / ".ci/environment"], env={**os.environ, "PYTHON": python}, capture_output=True, text=True
        )
        assert done.returncode == 1 and not (tmp_path / ".venv").exists()
        return done.stderr

    assert "python old' is Python 3.10.12; 3.11 or later is needed" in refused(str(old))
    assert "no Python here that answers to 'nowhere'" in refused("nowhere")


@pytest.mark.slow
def test_an_environment_that_is_a_link(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / ".ci", tmp_path / ".ci")

    def made() -> subprocess.CompletedProcess[str]:
        command = [tmp_path / ".ci/environment"]
        return subprocess.run(command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)

    (tmp_path / ".venv").symlink_to(tmp_path / "nowhere")
    assert made().returncode == 1 and "Remove the link" in made().stderr and not (tmp_path / "nowhere").exists()
    (tmp_path / ".venv").unlink()
    (tmp_path / ".venv").symlink_to(an_environment(tmp_path / "disk"))
    before = sorted(path.name for path in (tmp_path / ".venv").iterdir())
    assert made().returncode == 0, made().stderr
    assert sorted(path.name for path in (tmp_path / ".venv").iterdir()) == before


@pytest.mark.fault(
    "an environment that is a link to another checkout's", "a refusal: set-up would install and remove packages there"
)
def test_an_environment_of_another_checkout(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / ".ci", tmp_path / "here/.ci")
    packages = an_environment(tmp_path / "other/.venv") / f"lib/python3.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    (packages / "_editable_impl_vanguard_evaluation.pth").write_text(str(tmp_path / "other"))
    (tmp_path / "here/.venv").symlink_to(tmp_path / "other/.venv")
    before = contents(tmp_path)
    command = [tmp_path / "here/.ci/environment"]
    done = subprocess.run(command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 1 and f"the environment of {tmp_path / 'other'}" in done.stderr
    assert contents(tmp_path) == before


def an_environment(folder: Path) -> Path:
    """A Python environment with the packages of the Python that it was made with."""
    (folder / "bin").mkdir(parents=True)
    base = Path(sys.base_prefix) / "bin/python3"
    (folder / "bin/python").symlink_to(base)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = true\n")
    return folder


def test_an_environment_that_is_somebody_elses_folder_is_left_alone(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / ".ci", tmp_path / ".ci")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/letters.txt").write_text("dear")
    command = [tmp_path / ".ci/environment"]
    done = subprocess.run(command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 1 and "no Python environment" in done.stderr
    assert contents(tmp_path / ".venv") == {"letters.txt": b"dear"}


@pytest.mark.slow
@pytest.mark.fault("a home folder that cannot be written while the project is set up", "packages are installed as ever")
@pytest.mark.parametrize("home", ["/proc/nohome", ""])
def test_packages_are_installed_without_a_home_folder(home: str, repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / ".ci", tmp_path / ".ci")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for program in ("python", "uv"):
        (tmp_path / ".venv/bin" / program).symlink_to(Path(sys.executable).with_name(program))
    usual = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR")
    }
    command = [tmp_path / ".ci/uv-pip", "install", "--dry-run", "--offline", "six"]
    done = subprocess.run(command, env=usual | ({"HOME": home} if home else {}), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.fault(
    "a password in EXTRACT, on a machine with other users", "no program that make starts has it among its arguments"
)
def test_an_address_is_not_among_the_arguments(checkout: Path) -> None:
    run = make(checkout, "-n", "records", "EXTRACT=postgres://ann:s3cret@host/db#episodes")
    recipe = next(line for line in run.out.splitlines() if "analysis records" in line)
    assert "EXTRACT" not in recipe and "s3cret" not in run.out + run.err
    run = make(checkout, "records", "EXTRACT=postgres://ann:s3cret@host/db", "DATA=nonsense")
    assert run.code != 0 and "s3cret" not in run.out + run.err
