"""A made-up extract takes the place of an earlier one, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.core.errors import UsageError
from analysis.core.workspace import Workspace
from analysis.stages.made_up import make_up


def made(folder: Path, seed: int) -> set[str]:
    make_up(Workspace(workers=1), 2_000, folder, -0.03, seed, lambda line: None)
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.fault(
    "a made-up extract is to be written into a folder that holds other files", "a refusal; nothing is removed"
)
def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "extract"
    first = made(folder, 1)
    assert made(folder, 2) >= {"truth.json", "FYEAR=1516"} and "truth.json" in first
    (folder / "notes.txt").write_text("the user's own")
    with pytest.raises(UsageError, match="holds something else"):
        made(folder, 3)
    assert (folder / "notes.txt").read_text() == "the user's own" and (folder / "FYEAR=1516").is_dir()
    for other in (folder / "notes.txt", tmp_path):
        with pytest.raises(UsageError, match="holds something else"):
            made(other, 3)
