"""Worlds for the tests of sentences, and what they are asked about."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from built import KINDS, REPOSITORY, Built, build, environment
from shared import made_once
from worlds import World, write_world

from analysis.core.workspace import Workspace
from analysis.publish.build import build_reports
from analysis.reporting.results import Results


@pytest.fixture()
def world(protocol) -> World:
    """Every estimate a little below zero, every interval across it."""
    return World(protocol)


@pytest.fixture(scope="session")
def told(tmp_path_factory, repository) -> Callable[[World], Results]:
    """Writes a world into a folder of its own and reads it back; the same world only once."""
    folder = tmp_path_factory.mktemp("worlds")
    written: dict[str, Results] = {}

    def tell(world: World) -> Results:
        key = repr(world)
        if key not in written:
            written[key] = write_world(world, folder / str(len(written)), repository)
        return written[key]

    return tell


@pytest.fixture()
def outcome(protocol) -> str:
    return protocol.primary_outcomes[0].id


@pytest.fixture()
def first(protocol) -> str:
    return protocol.model_ids[0]


@pytest.fixture()
def published_rule(protocol) -> str:
    return next(rule.id for rule in protocol.growth if rule.published)


@pytest.fixture()
def undrawn(monkeypatch):
    """Figures without their picture: only what is said of them is looked at."""
    for module in sorted((REPOSITORY / "analysis/reporting").rglob("*figures.py")):
        name = ".".join(module.relative_to(REPOSITORY).with_suffix("").parts)
        monkeypatch.setattr(f"{name}.draw", lambda plot, height: "")


@pytest.fixture(scope="session", params=KINDS)
def built(request, tmp_path_factory) -> Built:
    """All reports: from the embedded snapshot, from the published files where they are, and by Quarto where it is; or those of ``BUILT``."""
    if request.param == "mar" and os.environ.get("BUILT"):
        published = request.getfixturevalue("published_folder")
        return Built(
            Workspace(build=REPOSITORY / os.environ["BUILT"], mirror_asked=published, data="mar", renderer="embedded")
        )
    if request.param == "mar":
        return _built(tmp_path_factory, "mar", data="mar", mirror_asked=request.getfixturevalue("published_folder"))
    embedded = request.getfixturevalue("embedded")
    if request.param == "snapshot":
        return embedded

    def by_quarto(work: Workspace, folder: Path) -> None:
        shutil.copytree(embedded.work.build, work.build)
        with environment(work):
            build_reports(work, [], say=lambda message: None)

    return _built(tmp_path_factory, "quarto", by_quarto, renderer="quarto")


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> Built:
    """The snapshot's reports by the embedded renderer."""
    return _built(tmp_path_factory, "snapshot")


def _built(factory, name: str, make: Callable[[Workspace, Path], None] = build, **choices) -> Built:
    details = {"mirror_asked": Path("/nonexistent"), "data": "snapshot", "renderer": "embedded", **choices}

    def work(folder: Path) -> Workspace:
        return Workspace(root=REPOSITORY, build=folder / "build", **details)

    return Built(work(made_once(factory, name, lambda folder: make(work(folder), folder))))


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Chromium; one for all the tests, since a second in the same process is refused."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("needs axe-playwright-python")
    return Path(found.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")
