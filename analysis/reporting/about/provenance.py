"""Which code, data and programs a report was made with."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib.metadata import version

from analysis.core.checkout import commit, dated_by
from analysis.core.files import sha256
from analysis.reporting.results import Results

LIBRARIES = ("pandas", "numpy", "scipy", "statsmodels", "plotnine")


def edition(results: Results) -> str:
    """One line for every page: the last month of data, whether more are to come, and the commit."""
    study = results.protocol.study
    interim = f", interim (the study runs to {study.planned_end:%B %Y})" if study.interim else ""
    return f"Data to {study.end:%B %Y}{interim} · commit {commit(results.work.root)[0]}"


def edition_date() -> str:
    """ISO date of the build: that of SOURCE_DATE_EPOCH, the commit's time."""
    return dt.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), dt.UTC).date().isoformat()


def edition_details(results: Results) -> dict[str, str]:
    """Label → what a reader needs to rebuild this edition."""
    head, clean = commit(results.work.root)
    state = {
        True: "with no uncommitted change",
        False: "with uncommitted changes",
        None: f"not a git checkout that can be read, dated by {dated_by(results.work.root)}",
    }[clean]
    lock = results.work.root / "requirements.lock"
    return {
        "Panel": f"{results.provenance['rows']:,} rows from {len(results.provenance['files'])} published files",
        "Code": f"commit {head}, {state}",
        "Locked dependencies": f"SHA-256 {sha256(lock)[:16]}… of requirements.lock",
        "Seed": str(results.protocol.study.seed),
        "Programs": ", ".join(
            [f"Python {platform.python_version()}", *[f"{name} {version(name)}" for name in LIBRARIES]]
        ),
        "Renderer": os.environ.get("RENDERER_USED", "unknown"),
    }
