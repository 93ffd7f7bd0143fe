"""Admissions and bed days of records, read together."""

from __future__ import annotations

import pytest

from analysis.reporting.data.records_words import NONE, NOT_ESTIMATED, _reading, absence, records_paragraph
from analysis.reporting.results import Estimate

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


@pytest.mark.fault(
    "an extract whose counts are all suppressed",
    "the reports say that it was counted and that no effect could be estimated",
)
def test_an_extract_that_gave_nothing_was_still_counted(world, told):
    results = told(world)
    assert records_paragraph(results) == absence(results) == NONE
    panel = results.work.records("panel.parquet")
    panel.parent.mkdir()
    try:
        panel.touch()
        assert records_paragraph(results) == absence(results) == NOT_ESTIMATED
    finally:
        panel.unlink()
        panel.parent.rmdir()
