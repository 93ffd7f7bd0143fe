"""Direction, size, interval, certainty, what could have been found, and what others published: for every outcome, cohort and site."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pandas as pd
import pytest
from worlds import SITES, Number, directions

from analysis.protocol.protocol import REST, load_protocol
from analysis.reporting import wording
from analysis.reporting.about.reporting_tables import GUIDELINES, guidelines_table
from analysis.reporting.data import baseline_words as baseline
from analysis.reporting.data.tables import baseline_table
from analysis.reporting.effects import words as effects
from analysis.reporting.reconciliation import words as reconciliation
from analysis.reporting.results import Results
from analysis.reporting.series import words as series
from analysis.reporting.sites import site_words as brief

PROTOCOL = load_protocol().without_records()
EVERY = list(itertools.product([outcome.id for outcome in PROTOCOL.outcomes], PROTOCOL.treated_cohorts))
PLACES = [f"{place} {model}" for model in PROTOCOL.model_ids for place in SITES]
CLEAR = Number(-0.06, 0.02)


def own(addresses: list[tuple[str, ...]], sign: int = 1, half: float = 0.02) -> dict[tuple[str, ...], Number]:
    """A number of its own for each address, all of one sign."""
    return {address: Number(sign * -(0.05 + 0.01 * place), half) for place, address in enumerate(addresses)}


OUTCOMES = [("did", each, cohort, "att") for each, cohort in EVERY]
SITE_EFFECTS = [("site", place, "att") for place in PLACES]


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize(("each", "cohort"), EVERY)
def test_every_outcome_and_cohort_has_its_own_sentence(each, cohort, world, told):
    """Its sign, its width and its own number: each has another."""
    here = ("did", each, cohort, "att")
    plain, fall, rise, wide = (
        effects.outcome_sentence(told(w), each, cohort)
        for w in (
            world,
            world.with_numbers(own(OUTCOMES)),
            world.with_numbers(own(OUTCOMES, sign=-1)),
            world.with_numbers(own(OUTCOMES, half=0.9)),
        )
    )
    assert ": a clear fall.**" in fall and ": a clear rise.**" in rise
    assert set(directions(fall)) == {-1} and set(directions(rise)) == {1}
    assert ": inconclusive.**" in wide and ": inconclusive.**" in plain
    number = own(OUTCOMES)[here]
    size = f"{-100 * math.expm1(number.value):.1f}%"
    low, high = (wording.signed(100 * math.expm1(end)) for end in number.interval)
    expected = f"{size} below what we would expect had they changed as elsewhere in England (95% interval {low} to {high}, p < 0.001)"
    assert expected in fall.replace(wording.NO_BREAK, " ")
    for text in (plain, fall, rise, wide):
        assert "a true fall of" in text and "would be missed one time in five" in text
        assert wording.in_sentence(PROTOCOL.outcome(each).label) in text


@pytest.mark.cases(quick=1)
@pytest.mark.parametrize("place", PLACES)
def test_every_site_has_its_own_sentence(place, world, told, outcome):
    worlds = (own(SITE_EFFECTS), own(SITE_EFFECTS, sign=-1), own(SITE_EFFECTS, half=0.9))
    texts = [brief.finding_sentence(told(world.with_numbers(numbers)), outcome, place) for numbers in worlds]
    assert texts[0].startswith("**A clear fall.**") and texts[1].startswith("**A clear rise.**")
    assert texts[2].startswith("**Inconclusive.**")
    size = f"{-100 * math.expm1(own(SITE_EFFECTS)[('site', place, 'att')].value):.1f}% below"
    assert size in texts[0] and size not in texts[1]
    for text in texts:
        assert "95% interval" in text and "a true fall of" in text


@pytest.mark.slow
def test_intervals_that_leave_out_zero_are_counted_beside_what_chance_gives(world, told):
    none = effects.chance_sentence(told(world))
    assert none.startswith(f"Of these {len(EVERY)} intervals none leaves out zero, where 0.8 would")
    two = world.with_numbers({("did", *EVERY[0], "att"): CLEAR, ("did", *EVERY[4], "att"): CLEAR.mirrored})
    assert "two leave out zero" in effects.chance_sentence(told(two))


# An empty series


@pytest.mark.slow
def test_a_cohort_without_a_series_is_told_so(world, told, outcome, first):
    empty = told(replace(world, dropped=frozenset({"cits", "its"})))
    text = series.its_sentence(empty, outcome, first)
    assert not directions(text) and "%" not in text and "no " in text.lower()
    assert series.its_sentence(told(world), outcome, first) != text


# What others published


@pytest.mark.slow
def test_a_cohort_is_set_beside_what_was_published_of_it(world, told, outcome, first, published_rule):
    rows = told(world).published.set_index("id")
    published = rows.value[f"nextsteps-{first}"]
    for shift, verdict in ((1, "agrees"), (5, "differs")):
        number = Number(math.log1p((published + shift) / 100), 0.02)
        text = reconciliation.beside_sentence(
            told(world.with_numbers({("growth", first, f"growth_{published_rule}"): number})), outcome, first
        )
        part = next(part for part in text.split(". Also ") if wording.signed(published) in part)
        assert f"ours is {wording.signed(published + shift)}" in part and part.rstrip(".").endswith(f"which {verdict}")
        assert text.startswith(f"Published for emergency admissions in {first}: ")


def test_a_site_of_which_nothing_was_published_is_told_so(world, told, outcome):
    assert reconciliation.beside_sentence(told(world), outcome, PLACES[0]).startswith("No published figure for")


# Before the programme


def test_the_cohorts_are_told_as_they_were_before(world, told, outcome, first, protocol):
    results = told(world)
    panel = results.panel.copy()
    start = protocol.study.programme_start
    later = (panel.model == first) & (panel.month >= start - pd.DateOffset(months=6)) & (panel.month < start)
    assert later.any()
    earlier = panel[panel.month < start].assign(month=lambda rows: rows.month - pd.DateOffset(years=1))
    earlier.loc[earlier.model == first, "value"] *= 0.9
    moved = Results(results.work, protocol)
    moved.__dict__["panel"] = pd.concat([earlier, panel], ignore_index=True).assign(days=30)
    moved.__dict__["units"] = pd.DataFrame(
        {"unit": panel.unit.unique(), "share_75_plus": 0.08, "imd_average_score": 20.0}
    )
    found = baseline.baseline(moved, outcome)
    assert list(found.index) == [*protocol.model_ids, REST] and found.units[first] == 4
    assert found["last"][first] / found.before[first] == pytest.approx(1 / 0.9)
    assert f"grew by 11.1% in {first}" in baseline.baseline_sentence(moved, outcome)
    assert "did not change (0.0%) in the rest of England" in baseline.baseline_sentence(moved, outcome)
    table = baseline_table(moved, outcome)
    assert "20.0" in table.markdown() and "8.0" in table.markdown()
    moved.__dict__["units"] = moved.units.iloc[:0]
    assert "–" in baseline_table(moved, outcome).markdown()


# Reporting guidelines


def test_every_item_of_the_guidelines_is_in_the_table_once(repository, world, told):
    results = told(world)
    table = pd.read_csv(repository / "reports" / "guidelines.csv", dtype=str, keep_default_na=False)
    assert len(guidelines_table(Results(replace(results.work, root=repository), results.protocol)).cells) == len(table)
    record = ["1.1", "1.2", "1.3", "6.1", "6.2", "6.3", "7.1", "12.1", "12.2", "12.3", "13.1", "19.1", "22.1"]
    wanted = {"STROBE": [str(n) for n in range(1, 23)], "RECORD": record, "TREND": [str(n) for n in range(1, 23)]}
    for guideline in GUIDELINES:
        found = [item for cell in table[guideline] for item in cell.split()]
        assert set(found) == set(wanted[guideline])
        assert guideline != "RECORD" or len(found) == len(set(found))
    assert (table["where"].str.contains("](", regex=False) | table["where"].str.startswith("Not met")).all()
