"""What this machine has, what it lacks, and what follows from it, in plain words."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from analysis.core.workspace import Workspace
from analysis.protocol.protocol import load_protocol
from analysis.sources.manifest import locate, read_manifest, required_months


def examine(work: Workspace, quarto: Path | None) -> str:
    """One line a thing: there or not, and what follows. ``quarto`` is the path of its program, where there is one that can be used."""
    return "\n".join(
        f"{'✓' if there else '·'} {name}: {follows}"
        for name, there, follows in (_python(), _git(), _data(work), _quarto(quarto), _browser(), _poppler(), _java())
    )


def _python() -> tuple[str, bool, str]:
    enough = sys.version_info >= (3, 11)
    return "Python", enough, f"{platform.python_version()}" + ("" if enough else "; 3.11 or newer is needed")


def _git() -> tuple[str, bool, str]:
    path = shutil.which("git")
    return "Git", bool(path), path or "not here; the reports cannot name their commit, and are dated by the newest source file"


def _data(work: Workspace) -> tuple[str, bool, str]:
    study = load_protocol(work.protocol_file).study
    pins = list(
        required_months(
            read_manifest(work.manifest), "mar", study.start.date(), study.end.date(), work.protocol_file
        ).values()
    )
    folders = [work.data_raw, work.mirror, work.downloads]
    held = sum(locate(pin, folders) is not None for pin in pins)
    if held == len(pins):
        return "Published files", True, f"all {held} monthly returns are here; the reports use them"
    if held:
        return (
            "Published files",
            False,
            f"{held} of {len(pins)} monthly returns are here; the others will be downloaded, or the run stops",
        )
    return (
        "Published files",
        False,
        "not here; they are downloaded if NHS England's site answers, else the embedded snapshot is used",
    )


def _quarto(path: Path | None) -> tuple[str, bool, str]:
    if path:
        return "Quarto", True, f"{path}; it renders the reports"
    return "Quarto", False, "not here; the embedded renderer makes the same reports"


def _browser() -> tuple[str, bool, str]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    return "Browser", bool(path), path or "no Chromium; the tests that look at the HTML in a browser are skipped"


def _poppler() -> tuple[str, bool, str]:
    path = shutil.which("pdftoppm")
    return "Poppler", bool(path), path or "no pdftoppm; the tests that look at PDF pages are skipped"


def _java() -> tuple[str, bool, str]:
    path = shutil.which("java")
    if not path:
        return "Java", False, "not here; only needed for patient-level extracts on Spark"
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return "Java", True, f"{said[0] if said else path}; only needed for patient-level extracts on Spark"
