"""The folder of real published files, and a MAR workbook built by the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The mirror folder; tests of real files are skipped only where there is none, in CI as elsewhere."""
    folder = Path(os.environ.get("MIRROR") or ROOT / "../shared/data")
    if not folder.is_dir():
        pytest.skip(f"no folder of published files at {folder}; set MIRROR to one")
    return folder
