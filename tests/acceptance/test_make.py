"""What make runs again when something changed: the real Makefile, with the package's name printed in place of its run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

PARTS = ["Makefile", "analysis", "data_raw", "reports", "requirements.lock", "pyproject.toml", "_quarto.yml"]
MADE = [".venv/.ready", "build/data/panel.parquet", "build/results/estimates.parquet", "build/reports/headline.txt"]


@pytest.fixture()
def up_to_date(repository: Path, tmp_path: Path) -> Path:
    """A copy of the project in which everything has been made."""
    for name in PARTS:
        copy = shutil.copytree if (repository / name).is_dir() else shutil.copy2
        copy(repository / name, tmp_path / name)
    for name in MADE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    runs(tmp_path)  # writes down the choices
    for age, name in enumerate(reversed(MADE)):
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    for path in tmp_path.rglob("*"):
        if str(path.relative_to(tmp_path)) not in MADE:
            os.utime(path, (time.time() - 1000, time.time() - 1000))
    return tmp_path


def runs(root: Path) -> list[str]:
    """The stages that `make report` would run, with their arguments."""
    choices = {"PATH": os.environ["PATH"], "MIRROR": str(root / "none"), "DATA": "snapshot"}
    command = ["make", "report", "RUN=echo stage:"]
    done = subprocess.run(command, cwd=root, env=choices, capture_output=True, text=True, timeout=60)
    return [line.removeprefix("stage:").strip() for line in done.stdout.splitlines() if line.startswith("stage:")]


def change(root: Path, name: str) -> None:
    future = time.time() + 60
    os.utime(root / name, (future, future))


def test_nothing_is_run_again_without_a_change(up_to_date):
    assert runs(up_to_date) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (["reports/reconciliation.qmd"], ["reports reconciliation"]),
        (["reports/sites/brief.qmd"], ["reports brief"]),
        (["reports/evaluation.qmd", "reports/index.qmd"], ["reports evaluation index"]),
        (["reports/evaluation.qmd", "analysis/narrative/effects.py"], ["reports"]),
        (["reports/guidelines.csv"], ["reports"]),
        (["analysis/publish/style.css"], ["reports"]),
    ],
)
def test_a_change_runs_what_depends_on_it_and_no_more(up_to_date, changed, expected):
    for name in changed:
        change(up_to_date, name)
    assert runs(up_to_date) == expected


def test_a_change_of_a_model_makes_the_estimates_again(up_to_date):
    change(up_to_date, "analysis/models/did.py")
    assert runs(up_to_date)[0] == "results"
