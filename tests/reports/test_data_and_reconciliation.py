"""The data quality report and the reconciliation follow the ledger, the lists and the published figures."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from worlds import MINUS, Number

from analysis.core.errors import DataError
from analysis.reporting.data import data_quality_words as data_quality
from analysis.reporting.data.data_quality_figures import heat_map_figure
from analysis.reporting.data.data_quality_tables import masked_table, shifts_table, thresholds_table, whole_table
from analysis.reporting.reconciliation import words as reconciliation
from analysis.reporting.reconciliation.tables import compared_table, not_comparable_table
from analysis.reporting.reconciliation.words import AGREE, DIFFER, NOT_COMPARABLE
from analysis.reporting.results import Results

NEXT_STEPS = "nextsteps-"


def row(results: Results, outcome: str, identity: str) -> pd.Series:
    return reconciliation.reconciled(results, outcome).set_index("id").loc[identity]


# Reconciliation


def test_every_published_figure_has_a_verdict_and_a_reason_or_a_number(world, told, outcome):
    results = told(world)
    found = reconciliation.reconciled(results, outcome)
    assert list(found.id) == list(results.published.id)
    assert set(found.verdict) <= {AGREE, DIFFER, NOT_COMPARABLE}
    apart = found.verdict == NOT_COMPARABLE
    assert (found.reason[apart] != "").all() and found.ours[apart].isna().all()
    assert (found.reason[~apart] == "").all() and found.ours[~apart].notna().all()
    beds = found[found.outcome.str.contains("bed days")]
    assert len(beds) and (beds.verdict == NOT_COMPARABLE).all() and beds.reason.str.contains("bed days").all()


def test_a_published_figure_agrees_where_it_lies_in_our_interval(world, told, outcome, first, published_rule):
    term = f"growth_{published_rule}"
    published = told(world).published.set_index("id").value[NEXT_STEPS + first]
    inside = Number(math.log1p((published + 1) / 100), 0.02)
    outside = Number(math.log1p((published + 5) / 100), 0.02)
    for number, verdict in ((inside, AGREE), (outside, DIFFER)):
        results = told(world.with_numbers({("growth", first, term): number}))
        found = row(results, outcome, NEXT_STEPS + first)
        assert found.verdict == verdict and found.ours == pytest.approx(published + (1 if verdict == AGREE else 5))
        assert (first in reconciliation.differences_sentence(results, outcome)) == (verdict == DIFFER)


@pytest.mark.slow
def test_intervals_that_overlap_agree_and_those_that_do_not_differ(world, told, outcome, protocol):
    """A published interval in log points is read as such."""
    pooled, name = protocol.pooled_cohort, "morciano2020-adm-pop-year3"
    theirs = told(world).published.set_index("id").loc[name]
    touching = Number(theirs.ci_high + 0.015, 0.02)
    apart = Number(theirs.ci_high + 0.05, 0.02)
    for number, verdict in ((touching, AGREE), (apart, DIFFER)):
        found = row(told(world.with_numbers({("did", pooled, "att_year3", "randomisation"): number})), outcome, name)
        assert found.verdict == verdict
        assert found.published == pytest.approx(100 * math.expm1(theirs.value))


def test_what_could_not_be_made_is_not_comparable(world, told, outcome):
    """The worlds hold no growth of single sites."""
    found = row(told(world), outcome, "dashboard2018-adm-Dudley")
    assert found.verdict == NOT_COMPARABLE and "could not be made" in found.reason


def test_the_counts_add_up(world, told, outcome):
    results = told(world)
    table = reconciliation.reconciled(results, outcome)
    text = reconciliation.counts_sentence(results, outcome)
    assert f"Of {len(table)} published figures" in text
    compared, apart = compared_table(results, outcome), not_comparable_table(results, outcome)
    assert len(compared.cells) + len(apart.cells) == len(table)
    assert set(compared.cells.Verdict) <= {AGREE, DIFFER} and (apart.cells["Why not"] != "").all()


def test_a_published_figure_that_nothing_is_said_of_is_not_comparable(world, told, outcome):
    """A row that the mapping forgets is not passed over."""
    results = told(world)
    more = pd.concat([results.published, results.published.iloc[[0]].assign(id="new-one")], ignore_index=True)
    results.__dict__["published"] = more
    try:
        found = row(results, outcome, "new-one")
    finally:
        del results.__dict__["published"]
    assert found.verdict == NOT_COMPARABLE and found.reason


def test_places_that_were_listed_for_being_high_are_said_to_be(world, told, outcome):
    results = told(world)
    assert reconciliation.chosen_sentence(results, outcome) == "", "the worlds hold no growth of single sites"
    listed = results.published.id.str.startswith(NEXT_STEPS)
    results.__dict__["published"] = results.published.assign(
        source=results.published.source.mask(listed, "a dashboard: five highest increases")
    )
    try:
        said = reconciliation.chosen_sentence(results, outcome)
    finally:
        del results.__dict__["published"]
    assert said.startswith("Three of the figures are of single places from a list of those that grew most")


def test_each_entry_of_the_mapping_is_of_a_published_figure_and_says_one_thing(world, told, repository):
    table = pd.read_csv(repository / "data_raw/reconciliation.csv", keep_default_na=False)
    assert set(table.id) == set(told(world).published.id) and table.id.is_unique
    assert ((table.design == "") != (table.reason == "")).all()


# Data quality


def test_masked_months_are_counted_by_outcome_and_rule(world, told, outcome):
    results = told(world)
    counts = data_quality.masked_by_outcome(results).set_index("outcome").loc[outcome]
    ledger = results.ledger[results.ledger.outcome == outcome]
    assert (counts.masked, counts.pending, counts.too_high) == (
        (ledger.rule != "pending").sum(), (ledger.rule == "pending").sum(), (ledger.rule == "double_count").sum(),
    )  # fmt: skip
    assert f"{counts.masked:,} unit-months of non-elective admissions" in data_quality.masked_sentence(results)
    assert str(counts.pending) in masked_table(results).markdown()


def test_lasting_shifts_are_counted_up_and_down_and_the_largest_named(world, told, outcome):
    results = told(world)
    text = data_quality.shifts_sentence(results, outcome)
    assert text.startswith("Three units") and "two upwards and one downwards" in text
    assert (
        text.index("NHS TEN A CCG (+50%") < text.index(f"NHS TEN C CCG ({MINUS}30%") < text.index("NHS TEN B CCG (+25%")
    )
    assert f"{MINUS}30" in shifts_table(results, outcome).markdown()
    other = results.protocol.outcomes[1].id
    assert "No unit is listed" in data_quality.shifts_sentence(results, other)


def test_the_share_outside_the_units_is_englands_less_theirs(world, told, outcome):
    results = told(world)
    rows = data_quality.whole_and_parts(results)
    assert rows.outside.to_numpy() == pytest.approx(1 - 1 / 1.02)
    assert "by 2.0% to 2.0%" in data_quality.whole_sentence(results, outcome)
    assert "2.0" in whole_table(results).markdown()


def test_masking_is_set_beside_none(world, told, outcome, first):
    moved = told(world.with_numbers({("did", first, "unmasked", "att"): Number(-0.05, 0.02)}))
    text = data_quality.effect_of_masking_sentence(moved, outcome)
    assert f"{MINUS}2.1%" in text and f"{MINUS}4.9% ({MINUS}6.8% to {MINUS}3.0%) without" in text
    table = thresholds_table(moved, outcome)
    assert "Nothing masked" in table.markdown() and f"{MINUS}4.9" in table.markdown()


def test_the_heat_map_has_every_flagged_month(undrawn, world, told):
    results = told(world)
    figure = heat_map_figure(results)
    assert len(figure.data) == len(results.ledger)
    assert "3 of non-elective admissions" in figure.alt


def test_a_total_that_stands_twice_is_refused(world, told):
    results = told(world)
    text = results.work.national.read_text()
    line = text.splitlines()[1]
    try:
        results.work.national.write_text(text + line + "\n")
        fresh = Results(results.work, results.protocol)
        with pytest.raises(DataError, match="twice"):
            _ = fresh.national
    finally:
        results.work.national.write_text(text)
