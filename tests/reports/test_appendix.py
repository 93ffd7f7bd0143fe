"""The appendix follows the estimates: each of its sentences, tables and captions, with one thing in the made-up study changed."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from worlds import COUNTS, MINUS, PLACEBO_STARTS, Number, World

from analysis.protocol.protocol import Protocol
from analysis.reporting.about import study_words as prose
from analysis.reporting.certainty import error_rates_words as error_rates
from analysis.reporting.certainty import words as certainty
from analysis.reporting.certainty.figures import evaluability_figure
from analysis.reporting.certainty.tables import (
    certainty_table,
    errors_table,
    evaluability_table,
    methods_table,
    power_table,
)
from analysis.reporting.choices import words as choices
from analysis.reporting.effects.figures import variants_figure
from analysis.reporting.effects.paths_figures import event_study_figure
from analysis.reporting.effects.tables import effects_table, outcomes_table
from analysis.reporting.results import Results
from analysis.reporting.sensitivity import words as sensitivity
from analysis.reporting.sensitivity.figures import placebo_places_figure, placebo_starts_figure
from analysis.reporting.sensitivity.tables import absent_table, controls_table, placebo_table, variants_table
from analysis.reporting.verdicts import words as verdicts
from analysis.reporting.wording import headed, p_text

CLEAR = Number(-0.06, 0.02)


def controls_of(results: Results) -> list[str]:
    return [o.id for o in results.protocol.outcomes if o.role == "negative_control"]


def secondary_of(protocol: Protocol) -> str:
    return next(o.id for o in protocol.outcomes if o.role == "secondary")


# Methods side by side


@pytest.mark.slow
def test_the_narrowest_and_the_widest_method_are_named(world, told, outcome, first):
    widths = dict(zip(COUNTS, (0.03, 0.04, 0.06, 0.05), strict=True))
    numbers = {
        ("did", outcome, first, "primary", "att", method): Number(-0.01, half) for method, half in widths.items()
    }
    text = certainty.methods_sentence(told(world.with_numbers(numbers)), outcome, first)
    narrow, wide = text.split(", the widest ")
    assert "(CR1)" in narrow and "(score bootstrap)" in wide and "every method's includes zero" in text


@pytest.mark.slow
def test_a_method_that_alone_leaves_out_zero_is_named(world, told, outcome, first):
    alone = world.with_numbers({("did", outcome, first, "primary", "att", "CR1"): CLEAR})
    text = certainty.methods_sentence(told(alone), outcome, first)
    assert "zero is left out by CR1, not by randomisation, CR3 and score bootstrap" in text
    every = world.with_numbers({("did", outcome, first, "primary", "att"): CLEAR})
    assert "every method's leaves out zero" in certainty.methods_sentence(told(every), outcome, first)


def test_all_intervals_are_counted_and_those_that_leave_out_zero_named(world, told, outcome, first, protocol):
    plain = certainty.every_method_sentence(told(world), outcome)
    total = len(protocol.treated_cohorts) * (1 + len(protocol.programme_years)) * 2 * len(COUNTS)
    assert plain.startswith(f"None of {total} intervals")
    year = protocol.programme_years[1]
    one = world.with_numbers({("did", outcome, first, "log_rate", f"att_{year.id}", "wild_bootstrap"): CLEAR})
    text = certainty.every_method_sentence(told(one), outcome)
    assert f"Of {total} intervals" in text and " 1 leave out zero" in text
    assert f"{first} in {year.label} (log rates: wild bootstrap)" in text


@pytest.mark.slow
def test_a_method_without_an_interval_is_passed_over_and_shown_as_missing(world, told, outcome, first):
    none = world.with_numbers({("did", outcome, first, "primary", "att", "CR3"): Number(-0.01, math.nan, math.nan)})
    results = told(none)
    text = certainty.methods_sentence(results, outcome, first) + certainty.every_method_sentence(results, outcome)
    tables = certainty_table(results, outcome).markdown() + methods_table(results, outcome, first).markdown()
    assert not re.search(r"\b(?:nan|NaN|inf)\b", text + tables) and "| – |" in tables


@pytest.mark.slow
def test_every_method_has_its_own_detectable_change(world, told, outcome, first):
    wide = world.with_numbers({("did", outcome, first, "primary", "att", "CR1"): Number(-0.02, 0.10)})
    table = certainty_table(told(wide), outcome).data.query("cohort == @first").set_index("method")
    others = table.detectable_fall_percent.drop("CR1")
    assert (table.detectable_fall_percent["CR1"] > 1.5 * others).all()
    assert set(table.index) == set(COUNTS)


def test_a_table_of_methods_has_every_method_period_and_model(world, told, outcome, first, protocol):
    cells = methods_table(told(world), outcome, first).cells
    assert len(cells) == 2 * (1 + len(protocol.programme_years)) * len(COUNTS)
    assert {"Score bootstrap", "Wild bootstrap", "Randomisation", "CR1", "CR3"} == set(cells["Method"])
    assert {"Whole programme", *[year.label for year in protocol.programme_years]} == set(cells["Period"])


def test_the_adjusted_p_values_are_holms(world, told, outcome, protocol):
    found = dict(zip(protocol.model_ids, (0.024, 0.60), strict=True))
    numbers = {("did", outcome, model, "att"): Number(-0.05, 0.049, p) for model, p in found.items()}
    text = certainty.holm_sentence(told(world.with_numbers(numbers)), outcome).replace("\N{NO-BREAK SPACE}", " ")
    first, second = protocol.model_ids
    assert f"p = 0.048 for {first}" in text and f"p = 0.60 for {second}" in text and "two tests" in text


# Before the programme


@pytest.mark.slow
def test_a_joint_test_that_rejects_names_its_cohort(world, told, outcome, protocol):
    first, second = protocol.model_ids
    quiet = certainty.joint_test_sentence(told(world), outcome)
    assert "no more than placebo sites' do" in quiet and "not level" not in quiet
    loud = world.with_numbers(
        {("event_study", outcome, second, "pre_period", "randomisation"): Number(-0.02, 0.05, 0.013)}
    )
    text = certainty.joint_test_sentence(told(loud), outcome)
    before, after = text.split(" They stand out more")
    assert (
        first in before
        and f"{second} (p" not in before
        and f"{second} (p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.013)" in after
    )
    every = world.with_numbers({("event_study", outcome, "pre_period", "randomisation"): Number(-0.02, 0.05, 0.013)})
    text = certainty.joint_test_sentence(told(every), outcome)
    assert text.startswith("Taken together") and "no more than" not in text and first in text
    assert "cannot be put down to the programme" in certainty.pooled_caution(told(every), outcome)
    assert certainty.pooled_caution(told(loud), outcome) == "", "one model alone is not the pooled cohort"


@pytest.mark.slow
def test_two_joint_tests_that_disagree_are_said_to(world, told, outcome, first):
    address = ("event_study", outcome, "pre_period")
    split = world.with_numbers({(*address, "CR1"): Number(-0.02, 0.05, 0.001)})
    same = world.with_numbers({address: Number(-0.02, 0.05, 0.001)})
    texts = [certainty.joint_tests_sentence(told(w), outcome, first) for w in (world, split, same)]
    assert ["disagree" in text for text in texts] == [False, True, False]
    assert ["not level" in text for text in texts] == [False, False, True]


def test_each_p_value_is_that_of_its_test(world, told, outcome, first):
    address = ("event_study", outcome, "pre_period")
    both = world.with_numbers({(*address, "CR1"): Number(-0.02, 0.05, 0.2), (*address, "randomisation"): Number(-0.02, 0.05, 0.4)})
    text = certainty.joint_tests_sentence(told(both), outcome, first)
    assert f"{p_text(0.4)} by randomisation, {p_text(0.2)} by the F" in text


@pytest.mark.slow
def test_a_quarter_whose_band_leaves_out_zero_is_counted(undrawn, world, told, outcome, first):
    assert "every band includes zero" in event_study_figure(told(world), outcome).caption
    one = world.with_numbers({("event_study", outcome, first, "quarter_+3", "simultaneous"): CLEAR})
    figure = event_study_figure(told(one), outcome)
    assert f"the band leaves out zero in one of {first}" in figure.caption
    row = figure.data[(figure.data.label == first) & (figure.data.event_time == 3)].iloc[0]
    assert row.band_high < 0 < row.ci_high


# Choices, sites and placebos


@pytest.mark.slow
def test_the_lowest_and_highest_choice_are_named(world, told, outcome, first, protocol):
    low, high = protocol.specification("dose"), protocol.specification("unit_trends")
    numbers = {
        ("did", outcome, first, low.id): Number(-0.09, 0.10),
        ("did", outcome, first, high.id): Number(0.07, 0.02),
    }
    text = choices.variants_sentence(told(world.with_numbers(numbers)), outcome, first)
    assert re.search(rf"from {MINUS}8\.6% \(“{low.label}”\) to \+7\.3% \(“{high.label}”\)", text)
    number = len(protocol.specifications)
    assert (
        f"{number - 1} of {number} estimates lie below zero" in text and f"leaves out zero for “{high.label}”" in text
    )
    assert "1 leave out zero" in choices.variants_summary(told(world.with_numbers(numbers)), outcome)


@pytest.mark.slow
def test_a_choice_that_did_not_run_is_said_and_not_shown(undrawn, world, told, outcome, protocol):
    gone = protocol.specification("similar_controls")
    results = told(replace(world, without=frozenset({gone.id})))
    assert gone.label not in variants_table(results, outcome).markdown()
    assert gone.label not in set(variants_figure(results, outcome).data.choice)
    assert gone.label in absent_table(results).markdown()


def test_the_site_that_decides_is_named(world, told, outcome, first):
    every = world.with_numbers({("did", outcome, first): CLEAR, ("leave_one_out", first): CLEAR})
    assert "still leaves out zero" in sensitivity.leave_one_out_sentence(told(every), outcome, first)
    one = every.with_numbers({("leave_one_out", first, "att_without_site_b"): Number(-0.01, 0.04)})
    text = sensitivity.leave_one_out_sentence(told(one), outcome, first)
    assert "would not without Site B" in text and "without Site A. " not in text.partition("would not")[2]
    assert "still includes zero" in sensitivity.leave_one_out_sentence(told(world), outcome, first)


@pytest.mark.slow
def test_a_placebo_start_that_shows_something_is_named(undrawn, world, told, outcome, first):
    start = PLACEBO_STARTS[1]
    found = told(world.with_numbers({("placebo_start", first, f"att_from_{start}"): CLEAR}))
    assert "leaves out zero for April 2014" in sensitivity.placebo_starts_sentence(found, outcome, first)
    assert "Every interval includes zero" in sensitivity.placebo_starts_sentence(told(world), outcome, first)
    assert "No placebo start" in placebo_starts_figure(told(world), outcome).caption
    assert placebo_starts_figure(found, outcome).caption.startswith("**1 of 9 placebo starts show")


def test_an_estimate_among_or_outside_the_placebo_places(undrawn, world, told, outcome, first):
    inside = sensitivity.placebo_places_sentence(told(world), outcome, first)
    out = world.with_numbers(
        {("did", outcome, first): Number(-0.2, 0.05), ("placebo_places", first): Number(0.0, 0.05, 0.002)}
    )
    outside = sensitivity.placebo_places_sentence(told(out), outcome, first)
    assert "inside the central range" in inside and "outside the central range" in outside
    assert "hardly any of them" in outside
    titles = [placebo_places_figure(told(w), outcome).caption for w in (world, out)]
    assert "do not stand out" in titles[0] and "Some actual sites stand out" in titles[1]


@pytest.mark.slow
def test_how_many_units_had_high_use_is_counted_from_the_panel(world, told, outcome, first):
    none = sensitivity.high_use_sentence(told(world), outcome, first)
    two = sensitivity.high_use_sentence(told(replace(world, high_use=(f"{first}0", f"{first}3"))), outcome, first)
    assert "own 4 units, none had use as high" in none
    assert "own 4 units, two had use as high, where 1.0 would be expected" in two


@pytest.mark.slow
def test_a_design_that_could_not_be_run_is_said_and_breaks_nothing(world, told, outcome, first):
    results = told(
        replace(world, dropped=frozenset({"placebo_high_use", "leave_one_out", "placebo_start", "group_time"}))
    )
    for sentence in (
        sensitivity.high_use_sentence, sensitivity.leave_one_out_sentence, sensitivity.placebo_starts_sentence,
        sensitivity.group_time_sentence,
    ):  # fmt: skip
        text = sentence(results, outcome, first)
        assert text.startswith(first) and re.search(r"\b(?:no|too few)\b", text), text
    assert "–" in placebo_table(results, outcome).markdown()


# Delayed transfer days


def test_an_outcome_that_the_data_set_lacks_is_said_and_left_out(world, told, protocol):
    outcome = secondary_of(protocol)
    label = protocol.outcome(outcome).label
    results = told(replace(world, absent=frozenset({outcome})))
    assert sensitivity.secondary_sentence(results) == f"{label}, the secondary outcome, are not in this data set."
    assert label not in outcomes_table(results).markdown()
    assert re.search(rf"\| Not run \| Everything \| {label} \|", absent_table(results).markdown())
    held = told(world)
    assert "not in this data set" not in sensitivity.secondary_sentence(held)
    assert label in outcomes_table(held).markdown() and "secondary" in outcomes_table(held).markdown()


@pytest.mark.slow
def test_a_secondary_outcome_that_moves_is_said_to(world, told, first, protocol):
    outcome = secondary_of(protocol)
    assert "Every interval includes zero" in sensitivity.secondary_sentence(told(world))
    moved = sensitivity.secondary_sentence(told(world.with_numbers({("did", outcome, first): CLEAR})))
    assert f"leaves out zero for {first}." in moved


# Simulated error rates


@pytest.fixture()
def kept(world, protocol) -> World:
    """A simulation in which the primary method keeps its level and CR1 does not."""
    first, second = protocol.model_ids
    rows = [
        (scenario, model, method, 0.0, size, 1 - size)
        for scenario in ("base", "heavy_masking")
        for model in (first, second)
        for method, size in (("randomisation", 0.05), ("CR1", 0.11))
    ]
    rows += [
        ("base", model, "randomisation", effect, power, 0.951)
        for model in (first, second)
        for effect, power in ((-3.0, 0.2), (-5.0, 0.4), (-8.0, 0.8))
    ]
    return replace(world, simulated=tuple(rows))


def test_without_a_simulation_that_is_said(world, told, outcome):
    results = told(world)
    assert results.simulation is None
    assert "not part of this edition" in error_rates.size_sentence(results)
    assert not error_rates.limits_sentences(results) and not error_rates.power_sentence(results)
    assert "make simulation" in prose.simulation_source(results)


@pytest.mark.slow
def test_the_sizes_printed_are_those_simulated(kept, told, protocol):
    text = error_rates.size_sentence(told(kept))
    assert "5.0% (" in text and "it should in 5%" in text and "CR1 11.0%" in text
    other = replace(kept, simulated=tuple((*row[:4], row[4] / 2, row[5]) for row in kept.simulated))
    text = error_rates.size_sentence(told(other))
    assert "2.5% (" in text and "CR1 5.5%" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "word"),
    [(0.09, "more often than 6%"), (0.02, "less often than 4%"), (0.05, "never leaves"), (0.0398, "never leaves")],
)
def test_where_the_primary_method_errs_too_often_or_too_seldom_is_named(kept, told, protocol, size, word):
    model = protocol.model_ids[1]
    changed = (("heavy_masking", model, "randomisation", 0.0, size, 1 - size),)
    rows = tuple(row for row in kept.simulated if row[:4] != changed[0][:4]) + changed
    text = " ".join(error_rates.limits_sentences(told(replace(kept, simulated=rows))))
    assert word in text
    assert (f"heavy masking ({model} {size:.1%})" in text) == (size in (0.09, 0.02))
    assert ("too sure of itself" in text) == (size == 0.09) and ("too cautious" in text) == (size == 0.02)


def test_a_coverage_far_from_its_level_is_named(kept, told, protocol):
    model = protocol.model_ids[0]
    near = " ".join(error_rates.limits_sentences(told(kept)))
    assert "holds it in 95.1% of panels." in near and "furthest" not in near
    rows = (*kept.simulated, ("effects_differ", model, "randomisation", -4.0, 0.3, 0.88))
    far = " ".join(error_rates.limits_sentences(told(replace(kept, simulated=rows))))
    assert f"88.0% to 95.1% of panels, furthest from 95% for effects that differ between sites ({model} 88.0%)" in far


def test_the_power_printed_is_of_the_middle_effect(kept, told):
    assert "A true fall of 5% would be found in 40% for" in error_rates.power_sentence(told(kept))


def test_the_verdict_quotes_the_simulated_power_of_its_cohort(kept, world, told, outcome, first, protocol):
    """Where it was simulated, for the primary outcome on the published data; elsewhere by the width of the interval."""
    results = told(kept)
    said = "In simulations with these sites a true fall of 5% is missed in 60% of cases, one of 8% in 20%."
    assert verdicts.detectable_sentence(results, outcome, first) == said
    assert "5.0% is found in 40% of cases for" in prose.detectable(results, outcome)
    assert "(in simulated panels 8.6% on average)" in error_rates.width_sentence(results, outcome)
    note = error_rates.detectable_note(results, outcome)
    assert f"by the width of this interval; in simulated panels, the better guide, it is 8.6% for {first}" in note
    assert note.endswith("over the programme.") and note in effects_table(results, outcome).note
    for plain, about in ((results, "elective_admissions"), (told(world), outcome)):
        assert error_rates.detectable_note(plain, about).endswith("by the width of this interval.")
    more = tuple(row if row[3] != -8.0 else (*row[:4], 0.6, row[5]) for row in kept.simulated)
    assert "one of 8% in 40%" in verdicts.detectable_sentence(told(replace(kept, simulated=more)), outcome, first)
    for plain, about in ((results, "elective_admissions"), (told(world), outcome)):
        assert "By this interval's width" in verdicts.detectable_sentence(plain, about, first)
    assert "By the width of the intervals" in prose.detectable(told(world), outcome)
    assert error_rates.width_sentence(told(world), outcome) == ""


def test_the_tables_of_the_simulation_hold_every_case(kept, told, protocol):
    results = told(kept)
    errors, power = errors_table(results), power_table(results)
    assert (
        len(errors.cells) == 4
        and list(errors.cells["Randomisation"]) == ["5.0"] * 4
        and set(errors.cells["CR1"]) == {"11.0"}
    )
    assert len(power.cells) == 6 and "20 / 95.1" in set(power.cells["Randomisation"])
    assert headed(error_rates.case_name("treated_variance_0.6")) == "Variance of treated sites × 0.6"
    assert str(protocol.study.seed) in prose.simulation_source(results) and "abcdef0123" in prose.simulation_source(
        results
    )


# What could have been seen


def test_the_detectable_fall_of_a_place_is_read_and_a_bound_said_to_be_one(undrawn, world, told, outcome):
    results = told(world)
    found = {place.people: place for place in certainty.places(results, outcome)}
    assert found[300_000].fall == pytest.approx(100 * -math.expm1(-30 / math.sqrt(300_000)))
    assert [place.bound for place in found.values()] == [people < 100_000 for people in found]
    text = certainty.evaluability_sentence(results, outcome)
    assert (
        f"300,000 people would have needed a fall of {found[300_000].fall:.0f}%" in text
        and "450 people a fall of at least" in text
    )
    wider = world.with_numbers({("size_model",): Number(0.5, math.nan, 0.5)})
    assert "needed a fall of 39%" in certainty.evaluability_sentence(told(wider), outcome)
    caption = evaluability_figure(results, outcome).caption
    assert f"a fall of {found[300_000].fall:.0f}%" in caption


def test_the_cohorts_stand_beside_the_single_places(world, told, outcome, first):
    cells = evaluability_table(told(world), outcome).cells.set_index("Evaluated")
    row = cells.loc[f"{first}, all sites"]
    fall, _ = told(world).detectable(outcome, first)
    assert row["People"] == "1,000,000" and row["Detectable fall, %"] == f"{fall:.1f}"
    assert cells.loc["Complex care practice", "Detectable fall, %"].startswith("at least ")


@pytest.mark.slow
def test_no_model_of_sizes_means_no_sentence_about_them(world, told, outcome):
    results = told(replace(world, dropped=frozenset({"power"})))
    assert "not worked out" in certainty.evaluability_sentence(results, outcome)


@pytest.mark.slow
def test_both_kinds_of_inference_stand_in_the_table_of_controls(world, told, first):
    results = told(world)
    control = controls_of(results)[0]
    usual = world.with_numbers({("did", control, first, "primary", "att", "CR1"): Number(-0.021, 0.03, 0.012)})
    rows = [controls_table(told(w), [control]).cells.iloc[0] for w in (world, usual)]
    assert (
        rows[1]["p, CR1"] == "0.012"
        and rows[0]["p, CR1"] != "0.012"
        and rows[0]["p"] == rows[1]["p"] == rows[0]["p, CR1"]
    )
