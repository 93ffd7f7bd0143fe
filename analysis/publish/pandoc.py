"""Pandoc, from its Python wheel: run once, on a text or in a folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pypandoc

from analysis.core.errors import MachineError
from analysis.publish.notebook import ReportError

READER = "markdown"  # the language that documents are assembled in
FILTER_NOISE = re.compile(r"Error running filter \S+:\s*|\S*\.lua:\d+: |stack traceback:.*", re.DOTALL)
LONGEST = 300  # seconds
UTF8 = {"LC_ALL": "C.UTF-8"}  # it reads the names of files in the locale's alphabet


def pandoc(*arguments: str, source_name: str | Path, text: str | None = None, folder: Path | None = None) -> str:
    """What pandoc writes of a ``text``, or of the files in a ``folder`` that the arguments name.

    Raises
    ------
    ReportError
        It refused the document; what it said is passed on.
    MachineError
        It did not run, or did not end.
    """
    command = [pypandoc.get_pandoc_path(), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=LONGEST,
            env=os.environ | UTF8,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise MachineError(f"{source_name}: pandoc did not run: {problem}") from problem
    if done.returncode:
        raise ReportError(source_name, None, FILTER_NOISE.sub("", done.stderr).strip(), "correct the source")
    return done.stdout
