"""The faults that prove the tests are still where the package has them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

FAULTS = tomllib.loads((Path(__file__).parents[1] / "mutation/mutations.toml").read_text(encoding="utf-8"))["mutation"]


@pytest.mark.cases(quick=78)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_each_fault_can_be_put_in(fault: dict[str, str], repository: Path) -> None:
    text = (repository / fault["file"]).read_text(encoding="utf-8")
    assert text.count(fault["old"]) == 1 and fault["old"] != fault["new"]
    compile(text.replace(fault["old"], fault["new"]), fault["file"], "exec")


def test_there_are_enough_of_each_kind() -> None:
    areas = [fault["area"] for fault in FAULTS]
    assert len(FAULTS) >= 80 and all(areas.count(area) >= 15 for area in ("estimation", "cleaning", "disclosure", "verdict", "renderer"))
    assert len({fault["name"] for fault in FAULTS}) == len(FAULTS)
