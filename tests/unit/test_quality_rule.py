"""The rule for missing returns and the list of lasting shifts, on counts whose truth is known."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from synthetic import changed, two_way_counts

from analysis.panel.quality import PENDING, TOO_HIGH, TOO_LOW, assess, doubts, lasting_shifts, median_polish
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Quality

UNIT = "U07"


@pytest.fixture(scope="module")
def rule(protocol: Protocol) -> Quality:
    return protocol.quality


def _flags(counts: pd.DataFrame, rule: Quality, unit: str = UNIT) -> dict[int, str]:
    """Month number → rule id of one unit; no other unit may be flagged."""
    found = assess(counts, rule)
    assert set(found.unit) <= {unit}
    return dict(zip(counts.columns.get_indexer(found.month), found.rule, strict=True))


@pytest.mark.cases(quick=3, push=13)
@pytest.mark.parametrize(
    ("first", "last", "factor", "expected"),
    [
        (15, 24, 0.10, TOO_LOW),  # nine months, as at Heart of England FT
        (15, 24, 0.69, TOO_LOW),
        (15, 24, 0.71, None),  # a 29% fall is never masked
        (30, 31, 0.27, TOO_LOW),
        (20, 32, 0.10, TOO_LOW),  # twelve months: the longest that is masked
        (20, 33, 0.10, None),  # thirteen
        (20, 38, 0.10, None),  # eighteen: not its middle either
        (24, 60, 0.10, None),  # a lasting fall is never masked
        (24, 60, 3.00, None),
        (0, 5, 0.10, None),  # nothing before it to compare with
        (3, 8, 0.10, TOO_LOW),
        (40, 41, 2.00, TOO_HIGH),
        (40, 46, 1.31, TOO_HIGH),
        (40, 46, 1.29, None),
        (52, 57, 0.10, TOO_LOW),  # three months after it are seen
        (57, 60, 0.10, PENDING),
        (59, 60, 0.10, PENDING),
        (58, 60, 2.50, PENDING),
        (58, 60, 0.75, None),
    ],
)
def test_a_run_is_named_by_its_length_depth_and_neighbours(
    rule: Quality, first: int, last: int, factor: float, expected: str | None
) -> None:
    """Exactly the months of the run are flagged, or none."""
    flags = _flags(changed(two_way_counts(), UNIT, first, last, factor), rule)
    assert flags == (dict.fromkeys(range(first, last), expected) if expected else {})


@pytest.mark.slow
@pytest.mark.parametrize(("after", "masked"), [(1.10, True), (1.20, False), (0.90, True), (0.80, False)])
def test_neighbours_must_agree(rule: Quality, after: float, masked: bool) -> None:
    """A gap between levels that differ by more than 15% is not masked: it may be part of a change."""
    counts = changed(changed(two_way_counts(), UNIT, 30, 35, 0.1), UNIT, 35, 60, after)
    assert bool(_flags(counts, rule)) == masked


def test_expected_value_is_the_count_that_was_lost(rule: Quality) -> None:
    """The ledger's expected value is the true count, season and trend included, and the ratio published ÷ expected."""
    truth = two_way_counts()
    found = assess(changed(truth, UNIT, 15, 24, 0.1), rule)
    assert found.expected_value.to_numpy() == pytest.approx(truth.loc[UNIT].iloc[15:24].to_numpy(), rel=1e-6)
    assert found.ratio.to_numpy() == pytest.approx(np.full(9, 0.1), rel=1e-6)
    assert (found.published_value / found.expected_value).to_numpy() == pytest.approx(found.ratio.to_numpy())


def test_one_hospitals_gap_does_not_move_its_neighbours(rule: Quality) -> None:
    """Three units of forty lose the same months; they and nobody else are flagged."""
    counts = two_way_counts()
    for unit, factor in (("U07", 0.1), ("U08", 0.37), ("U09", 0.6)):
        counts = changed(counts, unit, 15, 24, factor)
    found = assess(counts, rule)
    assert found.groupby("unit").size().to_dict() == {"U07": 9, "U08": 9, "U09": 9}


@pytest.mark.slow
def test_a_count_of_zero_is_a_gap(rule: Quality) -> None:
    """A provider's only CCG can fall to nothing; the logarithm must not fall with it."""
    assert _flags(changed(two_way_counts(), UNIT, 20, 22, 0.0), rule) == {20: TOO_LOW, 21: TOO_LOW}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_noise_and_a_plausible_effect_are_left_alone(rule: Quality, seed: int) -> None:
    """With 3% noise, nothing is flagged: not noise, not a fall of 15% from April 2015, not one of 20% for nine months."""
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.03, (40, 60)))
    counts = changed(changed(two_way_counts() * noise, "U03", 24, 60, 0.85), UNIT, 24, 33, 0.80)
    assert assess(counts, rule).empty


def test_national_movement_is_no_gap(rule: Quality) -> None:
    """A month in which everybody halves is the country's, not a unit's."""
    counts = two_way_counts()
    counts.iloc[:, 30] *= 0.5
    assert assess(counts, rule).empty


def test_the_rule_is_blind() -> None:
    """It is given counts and thresholds, and nothing that tells who was treated or when."""
    assert list(inspect.signature(assess).parameters) == ["counts", "rule"]
    assert list(inspect.signature(lasting_shifts).parameters) == ["counts", "flagged", "rule"]
    assert not {"programme_start", "announced", "model"} & set(Quality.model_fields)


@pytest.mark.slow
def test_order_and_names_of_units_do_not_matter(rule: Quality) -> None:
    """Units renamed and shuffled give the same flags."""
    counts = changed(two_way_counts(), UNIT, 15, 24, 0.1)
    shuffled = counts.sample(frac=1, random_state=1).rename(index=lambda name: f"X{name}")
    renamed = assess(shuffled, rule).assign(unit=lambda t: t.unit.str.removeprefix("X"))
    pd.testing.assert_frame_equal(renamed.reset_index(drop=True), assess(counts, rule), check_exact=False)


@pytest.mark.parametrize("departure", [0.15, 0.40])
def test_the_thresholds_are_the_protocols(rule: Quality, departure: float) -> None:
    """A 30-per-cent-odd departure is flagged or not as the rule's threshold says."""
    flags = _flags(changed(two_way_counts(), UNIT, 15, 24, 0.66), rule.model_copy(update={"departure": departure}))
    assert bool(flags) == (departure < 0.34)


def test_median_polish_recovers_two_way_data() -> None:
    """Two-way data leave nothing behind, and the parts add up to the log counts."""
    centred, movement = median_polish(two_way_counts())
    assert np.abs(centred).max() < 1e-12
    assert centred + movement == pytest.approx(np.log(two_way_counts().to_numpy()), abs=1e-12)


def _shifts(counts: pd.DataFrame, rule: Quality) -> pd.DataFrame:
    return lasting_shifts(counts, assess(counts, rule), rule)


@pytest.mark.slow
@pytest.mark.parametrize(("month", "factor"), [(20, 1.4), (36, 0.7), (54, 1.3)])
def test_a_lasting_shift_is_listed(rule: Quality, month: int, factor: float) -> None:
    """Unit and ratio of a shift that stays, and its month within half a year's comparison to either side."""
    counts = changed(two_way_counts(), UNIT, month, 60, factor)
    listed = _shifts(counts, rule)
    assert listed.unit.tolist() == [UNIT]
    assert abs(counts.columns.get_loc(listed.month[0]) - month) <= rule.lasting_shift_months
    assert listed.ratio.to_numpy() == pytest.approx([factor], rel=1e-6)


@pytest.mark.cases(quick=2)
@pytest.mark.parametrize(
    ("first", "last", "factor"),
    [
        (20, 60, 1.15),  # under the threshold
        (20, 40, 1.30),  # twenty months that went back
        (16, 20, 1.25),  # a short rise that went back
        (16, 26, 1.25),  # ten months, as at 99C, that went back
        (16, 26, 0.80),
        (15, 24, 0.10),  # a gap: flagged, so set aside
    ],
)
def test_what_went_back_or_is_small_is_no_lasting_shift(rule: Quality, first: int, last: int, factor: float) -> None:
    """The levels before and after agree, so no level changed for good."""
    assert _shifts(changed(two_way_counts(), UNIT, first, last, factor), rule).empty


@pytest.mark.slow
def test_a_year_long_gap_does_not_hide_a_lasting_shift(rule: Quality) -> None:
    """Twelve masked months leave no level to compare with; a later shift must still be listed."""
    counts = changed(changed(two_way_counts(), UNIT, 6, 18, 0.1), UNIT, 40, 60, 1.5)
    assert _shifts(counts, rule).unit.tolist() == [UNIT]


def test_notes_of_revisions_are_left_out() -> None:
    """Of a Notes sheet, missing returns and warnings are kept, lists of ordinary revisions are not."""
    lines = [
        "The following organisations did not submit data this month:", "RTE Gloucestershire Hospitals",
        "The following organisations have revised data:", "RXX Somewhere Trust", "Calderdale submitted with data quality issues.",
    ]  # fmt: skip
    text = doubts(lines)
    assert "did not submit data this month: RTE Gloucestershire" in text
    assert "Calderdale submitted" in text
    assert "RXX" not in text
