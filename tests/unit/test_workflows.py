"""What the workflows may do: a job that reads files from outside, or runs this project's code, may change nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

RUNS_CODE = re.compile(r"\b(make|python3?|pip|uv)\b|\.ci/|\.venv/")


def jobs(repository: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((repository / ".github/workflows").glob("*.yml")):
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            yield f"{file.name}: {name}", {"permissions": workflow["permissions"], **job}


@pytest.mark.fault(
    "the monthly refresh reads a harmful file", "the job that reads it may write nothing; the job that proposes the change runs none of it"
)
def test_a_job_that_runs_code_has_no_right_to_write(repository: Path) -> None:
    writers = 0
    for name, job in jobs(repository):
        commands = "\n".join(step.get("run", "") for step in job["steps"])
        if "write" in job["permissions"].values():
            writers += 1
            assert not RUNS_CODE.search(commands), name
        else:
            checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
            assert all(step["with"]["persist-credentials"] is False for step in checkouts), name
        assert "${{" not in commands, f"{name}: an expression in a command is pasted into the shell; hand it over in env"
    assert writers == 1


@pytest.mark.slow
def test_whatever_is_fetched_is_pinned(repository: Path) -> None:
    for name, job in jobs(repository):
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a@" + "0" * 40)), name
    for lock in (repository / ".ci/locks").glob("*.txt"):
        packages = re.split(r"\n(?=[a-z])", lock.read_text(encoding="utf-8").partition("\n")[2].strip())
        assert packages and all(re.match(r"[a-z0-9-]+==\S+ ", package) and "--hash=sha256:" in package for package in packages), lock
    assert "pip install" not in (repository / "Makefile").read_text(encoding="utf-8")
