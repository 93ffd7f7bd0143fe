"""One scratch copy of the project, with a good build in it, for all the tests of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from scratch_project import Project, Warm, fingerprint

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
