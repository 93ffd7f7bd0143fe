"""Admissions and bed days of records, read together."""

from __future__ import annotations

import pytest

from analysis.narrative.records import _reading
from analysis.results import Estimate

FALL, RISE, UNCLEAR = Estimate(-3, -5, -1, 0.01), Estimate(3, 1, 5, 0.01), Estimate(-3, -9, 3, 0.3)


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        ([UNCLEAR, UNCLEAR], "Neither interval leaves out zero."),
        ([FALL, UNCLEAR], "Only one of the two intervals leaves out zero."),
        ([UNCLEAR, RISE], "Only one of the two intervals leaves out zero."),
        ([FALL, FALL], "Both intervals leave out zero, in one direction."),
        ([FALL, RISE], "Both intervals leave out zero, in opposite directions."),
    ],
)
def test_two_effects_are_read_together(effects: list[Estimate], said: str) -> None:
    assert _reading(effects) == said
