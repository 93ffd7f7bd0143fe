"""What the READMEs say about the project's files and tests is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from faults import marked, with_table


@pytest.mark.slow
def test_the_table_of_faults_is_that_of_the_tests(repository: Path) -> None:
    text = (repository / "tests/README.md").read_text(encoding="utf-8")
    assert len(list(marked())) >= 60
    assert with_table(text) == text, "run `python tests/faults.py`"


def test_every_target_that_it_names_is_in_the_makefile(repository: Path) -> None:
    text, makefile = ((repository / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile"))
    targets = set(re.findall(r"`make ([a-z-]+)", text))
    assert len(targets) > 8
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
