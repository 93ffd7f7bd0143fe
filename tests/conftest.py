"""The real panel, built once a session through the stage that users run."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from real_data import RealData
from shared import made_once

from analysis.core.workspace import DEFAULT_MIRROR, Workspace
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.sources.manifest import read_manifest, required_months, verify
from analysis.sources.mar import MarFile, read_all_mar
from analysis.stages.data import build_data

REPOSITORY = Path(__file__).parents[1]


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the cases of a test that are for every push alone (slow), or for the night, as its mark ``cases`` says."""
    for item in items:
        mark = item.get_closest_marker("cases")
        if mark:
            place = max(item.callspec.indices.values())  # the last of its parameters' places, if it has several
            if place >= mark.kwargs.get("push", math.inf):
                item.add_marker("nightly")
            elif place >= mark.kwargs["quick"]:
                item.add_marker("slow")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look through it again and again, a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    """The study's rules as an edition of public data knows them."""
    return load_protocol().without_records()


@pytest.fixture(scope="session")
def published_folder() -> Path:
    """The folder of published files; tests that need it are skipped only where there is none, in CI as elsewhere."""
    folder = REPOSITORY / (os.environ.get("MIRROR") or DEFAULT_MIRROR)
    if not folder.is_dir():
        pytest.skip("no folder of published files; set MIRROR to one")
    return folder


@pytest.fixture(scope="session")
def workspace_of(published_folder: Path) -> Callable[..., Workspace]:
    """A workspace of the published files with this root and build folder."""

    def workspace(build: Path, root: Path = REPOSITORY) -> Workspace:
        return Workspace(root=root, build=build, mirror_asked=published_folder, data="mar")

    return workspace


@pytest.fixture(scope="session")
def real(workspace_of: Callable[..., Workspace], tmp_path_factory: pytest.TempPathFactory) -> RealData:
    def runs(folder: Path) -> tuple[Workspace, Workspace]:
        return workspace_of(folder / "real"), Workspace(root=REPOSITORY, build=folder / "snapshot", data="snapshot")

    def make(folder: Path) -> None:
        for run in runs(folder):
            build_data(run, say=lambda message: None)

    work, snapshot = runs(made_once(tmp_path_factory, "panels", make))
    return RealData(
        work,
        pd.read_parquet(work.panel),
        pd.read_csv(work.ledger, parse_dates=["month"]),
        pd.read_csv(work.shifts, parse_dates=["month"]),
        pd.read_parquet(snapshot.panel),
    )


@pytest.fixture(scope="session")
def returns(published_folder: Path) -> dict[date, MarFile]:
    """The 72 Monthly Activity Returns as published, by month."""
    pins = required_months(
        read_manifest(REPOSITORY / "data_raw/manifest.csv"), "mar", date(2012, 4, 1), date(2018, 3, 1)
    )
    return {
        mar.month: mar
        for mar in read_all_mar({month: verify(published_folder / pin.file, pin) for month, pin in pins.items()})
    }
