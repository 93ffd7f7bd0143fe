"""One scratch copy of the project, with a good build in it, for all the tests of the command line."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scratch_project import Project, Warm, fingerprint, make, with_make
from shared import made_once
from synthetic import smaller

# A shell's background job ignores Ctrl-C, and so would every run that a test starts from one.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def copied_project(repository: Path, published_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.copy(repository, published_folder.resolve(), tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="session")
def warm(copied_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """The command in the scratch project; the first thing it does is a good build."""
    warm = Warm(copied_project, tmp_path_factory.mktemp("warm"))
    run = warm.run("data")
    assert run.code == 0, run.err
    yield warm
    warm.close()


@pytest.fixture
def project(copied_project: Project, warm: Warm) -> Iterator[Project]:
    """The built project; what a test spoils is mended after it, and the build must be as it was."""
    build = copied_project.root / "build"
    before = fingerprint(build)
    yield copied_project
    copied_project.restore()
    assert fingerprint(build) == before, "the earlier outputs are no longer whole"


LISTEN = """
import os, sys
def _hear(event, arguments):
    if event == "import":
        line = f"import {arguments[0]}"
    elif event == "open" and isinstance(arguments[0], str) and arguments[1] == "r" and not _taking_a_digest():
        line = f"open {os.path.realpath(arguments[0])}"
    else:
        return
    os.write(_log, (line + chr(10)).encode())
def _taking_a_digest():
    frame = sys._getframe(2)
    while frame and frame.f_code.co_name != "digest":
        frame = frame.f_back
    return frame
_log = os.open(os.environ["HEARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(_hear)
"""


@pytest.fixture(scope="session")
def study(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with a shortened study, made once from the snapshot while all that it reads is heard; tests change copies of it."""

    def make_all(folder: Path) -> None:
        project = shortened(repository, folder)
        (folder / "listen").mkdir()
        (folder / "listen/sitecustomize.py").write_text(LISTEN)
        for stage in ("data", "results", "report"):
            heard = {
                "HEARD": str(folder / f"{stage}.heard"),
                "PYTHONPATH": f"{folder / 'listen'}{os.pathsep}{project.root}",
            }
            run = make(project, stage, **heard)
            assert run.code == 0, run.err

    folder = made_once(tmp_path_factory, "study", make_all)
    return Project(folder / "project", folder / "published", folder / "none", {})


@pytest.fixture(scope="session")
def small(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The shortened study with its quicker documents alone: most tests need no appendix and no brief for each site."""
    project = shortened(repository, tmp_path_factory.mktemp("small"))
    for name in ("appendix.qmd", "data-quality.qmd", "sites"):
        source = project.root / "reports" / name
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    return project


def shortened(repository: Path, folder: Path) -> Project:
    """A copy of the project with a shortened study, of which nothing is made yet."""
    project = Project.copy(repository, folder / "none", folder)
    with_make(project, repository)
    rules = project.root / "analysis/protocol.toml"
    rules.write_text(smaller(rules.read_text(encoding="utf-8")), encoding="utf-8")
    return project


@pytest.fixture
def made(small: Project) -> Project:
    """The small study with all of it made, whatever the test before left."""
    assert make(small, "report").code == 0
    return small


@pytest.fixture
def made_whole(study: Project, tmp_path: Path) -> Project:
    """The study with every document."""
    shutil.copytree(study.root, tmp_path / "project")
    return replace(study, root=tmp_path / "project")
