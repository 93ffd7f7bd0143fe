"""Sentences follow the estimates: a build folder of made-up numbers, changed one thing at a time, read back as words.

No number here is a result. Each test writes a whole table of estimates with the project's own functions and reads it
through ``Results``, as a report does.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic import protocol_with
from worlds import BASE_QUARTER, MINUS, Number, directions

from analysis.core.errors import DataError
from analysis.panel.panel import CCG
from analysis.protocol.protocol import NO_MODEL, REST, Protocol
from analysis.reporting import wording
from analysis.reporting.about import study_words as prose
from analysis.reporting.about.provenance import edition_details
from analysis.reporting.about.reporting_tables import deviations_table
from analysis.reporting.choices import words as choices
from analysis.reporting.effects import words as effects
from analysis.reporting.effects.paths_figures import rate_figure
from analysis.reporting.effects.tables import effects_table
from analysis.reporting.growth import words as growth
from analysis.reporting.growth.figures import growth_figure
from analysis.reporting.results import Results
from analysis.reporting.verdicts import two_designs_words as two_designs
from analysis.reporting.verdicts import words as verdicts
from analysis.reporting.wording import NO_BREAK


def detectable_texts(results: Results, outcome: str, cohort: str) -> tuple[str, str]:
    """The minimum detectable effect as a fall and as a rise: the same size in log points, not in percent."""
    fall, rise = results.detectable(outcome, cohort)
    return f"{fall:.1f}%", f"{rise:.1f}%"


# Mutation: the sign


def test_growth_that_becomes_a_fall_is_printed_as_one(world, told, outcome, published_rule):
    down, up = (growth.growth_sentence(told(w), published_rule, outcome) for w in (world, world.mirrored()))
    assert down != up
    assert f"{MINUS}2.1%" in down or "fell by 2.1%" in down
    assert "grew by 2.1%" in up


@pytest.mark.slow
def test_one_cohorts_sign_changes_its_own_sentence_and_no_other(world, told, outcome, protocol):
    first, second = protocol.model_ids
    changed = world.with_numbers({("did", first): world.plain.mirrored})
    before, after = told(world), told(changed)
    assert verdicts.verdict_sentence(before, outcome, first) != verdicts.verdict_sentence(after, outcome, first)
    assert verdicts.verdict_sentence(before, outcome, second) == verdicts.verdict_sentence(after, outcome, second)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_one_sentence_answer_says_which_way_a_found_difference_goes(world, told, sign):
    """The protocol: a change of a sign in the estimates must change the sentence."""
    clear = replace(world, numbers={("did", world.protocol.primary_outcomes[0].id): Number(sign * 0.08, 0.02)})
    mirrored = clear.mirrored()
    assert verdicts.summary_answer(told(clear)) != verdicts.summary_answer(told(mirrored))


# Mutation: the width


def test_a_wide_interval_is_inconclusive_and_says_what_could_have_been_seen(world, told, outcome, first):
    results = told(world)
    assert set(verdicts.verdicts(results, outcome).values()) == {"inconclusive"}
    text = verdicts.verdict_sentence(results, outcome, first)
    assert "inconclusive" in text and all(size in text for size in detectable_texts(results, outcome, first))
    assert "cannot tell" in verdicts.summary_answer(results)


@pytest.mark.slow
def test_the_detectable_effect_grows_with_the_interval(world, told, outcome, first):
    found = [told(replace(world, plain=Number(-0.01, half))).detectable(outcome, first)[1] for half in (0.03, 0.06)]
    assert found[0] == pytest.approx(100 * math.expm1(0.03 * 2.8016 / 1.96), rel=1e-3)
    assert found[1] > 1.9 * found[0]
    sizes = [prose.detectable(told(replace(world, plain=Number(-0.01, half))), outcome) for half in (0.03, 0.06)]
    assert sizes[0] != sizes[1]


def test_the_interval_stands_beside_the_estimate(world, told, outcome, first):
    text = verdicts.verdict_sentence(told(world), outcome, first)
    low, high = (100 * math.expm1(end) for end in world.plain.interval)
    assert f"95% interval {wording.signed(low)} to {wording.signed(high)}" in text
    assert wording.p_text(world.plain.p_value) in text


@pytest.mark.slow
def test_a_zero_estimate_points_nowhere(world, told, outcome, first):
    text = verdicts.verdict_sentence(told(replace(world, plain=Number(0.0001, 0.05))), outcome, first)
    assert not directions(text) and "0.0%" in text


@pytest.mark.slow
def test_an_endless_interval_is_inconclusive_and_not_printed_as_infinity(world, told, outcome, first):
    results = told(world.with_numbers({("did", outcome): Number(-0.02, math.inf, 0.5)}))
    assert verdicts.verdicts(results, outcome)[first] == "inconclusive"
    assert not re.search(r"\b(inf|nan)\b", verdicts.verdict_sentence(results, outcome, first))


# Holm's adjustment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ((0.03, 0.03), ["inconclusive"] * 2),  # 2 × 0.03 is above 0.05, and the second may not be smaller than the first
        ((0.03, 0.60), ["inconclusive"] * 2),
        ((0.024, 0.60), ["reduction supported", "inconclusive"]),
        ((0.024, 0.049), ["reduction supported"] * 2),
        ((0.026, 0.049), ["inconclusive"] * 2),
        ((0.60, 0.024), ["inconclusive", "reduction supported"]),
        ((0.06, 0.06), ["inconclusive"] * 2),
    ],
)  # fmt: skip
def test_p_values_are_adjusted_over_the_models(world, told, outcome, protocol, p_values, expected):
    found = dict(zip(protocol.model_ids, p_values, strict=True))
    numbers = {("did", outcome, model, "att"): Number(-0.05, 0.049, p) for model, p in found.items()}
    words = verdicts.verdicts(told(world.with_numbers(numbers)), outcome)
    assert list(words.values()) == expected


@pytest.mark.slow
def test_an_inconclusive_verdict_always_comes_with_the_detectable_effect(world, told, outcome, first, protocol):
    """Where only the adjustment, or a negative control, takes the finding away, the interval still leaves out zero."""
    holm = world.with_numbers(
        {("did", outcome, model, "att"): Number(-0.05, 0.049, 0.03) for model in protocol.model_ids}
    )
    control = next(o.id for o in protocol.outcomes if o.role == "negative_control")
    spoilt = world.with_numbers({("did", outcome): Number(-0.06, 0.02), ("did", control): Number(-0.06, 0.02)})
    for case in (holm, spoilt):
        results = told(case)
        assert verdicts.verdicts(results, outcome)[first] == "inconclusive"
        text = verdicts.verdict_sentence(results, outcome, first)
        assert any(size in text for size in detectable_texts(results, outcome, first)), text


# Checks beside the estimate


@pytest.mark.slow
def test_a_negative_control_that_moves_is_named(world, told, outcome, protocol):
    first, second = protocol.model_ids
    control = next(o.id for o in protocol.outcomes if o.role == "negative_control")
    spoilt = world.with_numbers({("did", control, first): Number(-0.06, 0.02)})
    label = wording.in_sentence(protocol.outcome(control).label)
    assert f"leaves out zero for {label}" in effects.controls_sentence(told(spoilt), first)
    assert "None of the intervals leaves out zero" in effects.controls_sentence(told(spoilt), second)


def test_every_negative_control_is_named_and_no_primary_outcome_is(world, told, first, protocol):
    text = effects.controls_sentence(told(world), first)
    for item in protocol.outcomes:
        assert (wording.in_sentence(item.label) in text) == (item.role == "negative_control")


@pytest.mark.slow
def test_the_event_study_says_when_the_base_quarter_itself_stands_out(world, told, outcome, first):
    split = world.with_numbers({("event_study", f"quarter_{q:+d}"): Number(0.06, 0.02) for q in range(12)})
    same, other = (effects.event_study_sentence(told(w), outcome, first) for w in (world, split))
    assert "base quarter was itself high" in same and "itself" not in other
    assert re.search(r"after it 6\.2% above", other)


def test_the_quarters_after_the_start_begin_with_the_first(world, told, outcome, first):
    """All lie below the base quarter but the first, which lies so far above it that their mean does."""
    risen = world.with_numbers({("event_study", "quarter_+0"): Number(0.6, 0.02)})
    assert re.search(r"those after it \d\.\d% above", effects.event_study_sentence(told(risen), outcome, first))


def test_the_summary_compares_what_others_published(world, told, outcome, published_rule):
    assert growth.compared_rule(told(world), outcome) == published_rule


def test_each_year_has_the_detectable_fall_of_its_own_interval(world, told, outcome, first, protocol):
    year = protocol.programme_years[0]
    wide = world.with_numbers({("did", outcome, first, f"att_{year.id}"): Number(-0.02, 0.2)})
    found = effects_table(told(wide), outcome).data.set_index(["cohort", "period"]).detectable_fall_percent
    label = protocol.cohort_labels[first]
    assert found[label, year.label] > 2 * found[label].drop(year.label).max()


def test_the_rate_per_30_days_does_not_follow_the_length_of_the_month(undrawn, protocol, outcome):
    """One admission a day for every thousand people, in every month."""
    months = protocol.months
    rows = pd.DataFrame(
        {
            "geography": CCG, "outcome": outcome, "model": NO_MODEL, "covered_share": 0.0, "month": months,
            "days": months.days_in_month, "value": 1.0 * months.days_in_month, "population": 1000.0,
        }
    )  # fmt: skip
    figure = rate_figure(SimpleNamespace(panel=rows, protocol=protocol), outcome)
    assert figure.data.rate.to_numpy() == pytest.approx(30)

def test_the_event_path_has_its_base_quarter_at_zero(world, told, outcome, first):
    path = effects.event_path(told(world), outcome, first).set_index("event_time")
    assert list(path.index) == list(range(-8, 12))
    assert path.estimate[BASE_QUARTER] == 0 and path.loc[BASE_QUARTER, ["ci_low", "ci_high"]].isna().all()
    assert (path.estimate.drop(BASE_QUARTER) < 0).all()


@pytest.mark.slow
def test_a_year_that_stands_out_is_named(world, told, outcome, first, protocol):
    year = protocol.programme_years[-1]
    clear = world.with_numbers({("did", outcome, f"att_{year.id}"): Number(-0.06, 0.02)})
    plain, named = (effects.years_sentence(told(w), outcome, first) for w in (world, clear))
    assert "Every interval includes zero" in plain
    assert f"leaves out zero in {year.label}, without adjustment" in named and "Every interval" not in named


# Where the designs agree


def late_effect(protocol: Protocol) -> str:
    return f"effect_{protocol.its.effect_month}"


@pytest.mark.slow
def test_designs_that_find_the_same_are_not_said_to_disagree(world, told, outcome, protocol):
    both = world.with_numbers(
        {("did", outcome): Number(-0.06, 0.02), ("cits", late_effect(protocol)): Number(-0.08, 0.02)}
    )
    for case in (world, both):
        assert "disagree" not in two_designs.designs_agree_sentence(told(case), outcome)


def test_the_cohort_whose_designs_disagree_is_named(world, told, outcome, protocol):
    first, second = protocol.model_ids
    text = two_designs.designs_agree_sentence(
        told(world.with_numbers({("cits", second, late_effect(protocol)): Number(-0.08, 0.02)})), outcome
    )
    assert "disagree" in text and second in text and first not in text
    assert "not a second finding" in text


@pytest.mark.slow
def test_designs_with_opposite_findings_disagree(world, told, outcome, protocol):
    opposite = world.with_numbers(
        {("did", outcome): Number(-0.06, 0.02), ("cits", late_effect(protocol)): Number(0.08, 0.02)}
    )
    assert "disagree" in two_designs.designs_agree_sentence(told(opposite), outcome)


# Growth


def test_the_growth_figures_title_depends_on_the_gaps(undrawn, world, told, outcome, published_rule, protocol):
    second = protocol.model_ids[1]
    clear = world.with_numbers({(f"growth_gap_{published_rule}", second): Number(-0.06, 0.02)})
    titles = [growth_figure(told(w), outcome, published_rule).caption.split("**")[1] for w in (world, clear)]
    assert "cannot be told apart" in titles[0] and "more than chance" not in titles[0]
    assert "more than chance" in titles[1] and second in titles[1] and protocol.model_ids[0] not in titles[1]
    endings = [growth.gap_sentence(told(w), published_rule, outcome) for w in (world, clear)]
    assert "Neither can be told apart from chance." in endings[0] and f"for {second}." in endings[1]


def test_published_growth_is_what_the_table_of_published_results_holds(world, told, published_rule, protocol):
    results = told(world)
    rule = next(rule for rule in protocol.growth if rule.id == published_rule)
    rows = results.published[results.published.id.str.startswith(f"{rule.published}-")]
    text = growth.published_sentence(results, published_rule)
    assert len(rows) == len(protocol.model_ids) + 1
    for value in rows.value:
        assert f"{value:.1f}%" in text
    assert growth.published_growth(results, rule.published) == dict(
        zip(
            [*protocol.model_ids, REST],
            [float(rows.set_index("cohort").value[c]) for c in [*protocol.model_ids, protocol.pooled.rest_label]],
            strict=True,
        )
    )


# Numbers as text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.24, 1, "+1.2%"), (-0.36, 1, f"{MINUS}0.4%"), (0.0, 1, "0.0%"), (-0.04, 1, "0.0%"), (0.04, 1, "0.0%"),
        (-0.0, 1, "0.0%"), (-0.06, 1, f"{MINUS}0.1%"), (-0.004, 2, "0.00%"), (-0.156, 2, f"{MINUS}0.16%"), (12.0, 1, "+12.0%"),
    ],
)  # fmt: skip
def test_a_signed_number_has_a_true_minus_and_zero_has_no_sign(value, digits, text):
    assert wording.signed(value, digits) == text
    assert wording.plain(value, digits) == text.removeprefix("+")
    assert "-" not in wording.signed(value, digits)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0001, "p < 0.001"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.0494, "p = 0.049"), (0.0999, "p = 0.100"),
        (0.1, "p = 0.10"), (0.664, "p = 0.66"), (0.99, "p = 0.99"), (0.9999, "p > 0.99"), (1.0, "p > 0.99"),
    ],
)  # fmt: skip
def test_a_p_value_is_never_printed_as_zero_or_one(p, text):
    assert wording.p_text(p) == text.replace(" ", NO_BREAK)


@pytest.mark.parametrize(("value", "text"), [(-1.23, "1.2% below"), (0.3, "0.3% above")])
def test_size_and_position_stand_together(value, text):
    assert wording.above_or_below(value) == text


@pytest.mark.parametrize("value", [0.04, -0.04, 0.0])
def test_what_rounds_to_nothing_has_no_direction(value):
    text = wording.above_or_below(value)
    assert "0.0%" in text and not directions(text)


def test_lists_and_labels_inside_sentences():
    assert wording.listed(["a"]) == "a"
    assert wording.listed(["a", "b"]) == "a and b"
    assert wording.listed(["a", "b", "c"]) == "a, b and c"
    assert wording.in_sentence("GP referrals") == "GP referrals"
    assert wording.in_sentence("Elective admissions") == "elective admissions"


# What the build says about itself


def test_months_that_are_pending_do_not_count_as_masked(world, told, outcome):
    text = effects.quality_sentence(told(world), outcome)
    share = 3 / (200 * len(world.protocol.months))
    assert (
        re.search(r"\b3\b", text)
        and f"{share:.2%}" in text
        and "NHS A CCG (2 months)" in text
        and "NHS C CCG" not in text
    )


@pytest.mark.slow
def test_the_sentence_on_sensitivity_reads_each_specification(world, told, outcome, first):
    marked = world.with_numbers(
        {
            ("did", outcome, first, "unmasked"): Number(-0.031, 0.05), ("did", outcome, first, "fixed_population"): Number(-0.042, 0.05),
            ("did", outcome, first, "unmasked_fixed_population"): Number(-0.053, 0.05),
        }
    )  # fmt: skip
    text = choices.sensitivity_sentence(told(marked), outcome, first)
    for value in (-0.021, -0.031, -0.042, -0.053):
        assert wording.signed(100 * math.expm1(value)) in text


@pytest.mark.slow
def test_what_did_not_run_is_said(world, told):
    assert "not run" not in prose.not_run(told(world)).lower()
    label = world.protocol.specification("no_lasting_shift").label
    text = prose.not_run(told(replace(world, without=frozenset({"no_lasting_shift"}))))
    assert label in text and "needs single units" in text


def test_deviations_are_counted_and_listed_with_their_date_and_reason(world, told, tmp_path):
    results = told(world)
    without = replace(results, protocol=results.protocol.model_copy(update={"deviations": []}))
    assert "No deviation" in prose.deviations(without)
    entry = '[[deviations]]\ndate = 2026-01-02\nwhat = "a change"\nwhy = "a reason"\n'
    mark = "# Deviations from the protocol since it was written: date, what, why."
    changed = protocol_with(tmp_path, (mark, entry))
    changed_results = replace(told(world), protocol=changed)
    number = len(changed.deviations)
    assert prose.deviations(changed_results).startswith(wording.headed(wording.counted(number)))
    rows = deviations_table(changed_results).markdown().splitlines()
    assert len(rows) == number + 2 and any(
        f"2{NO_BREAK}Jan" in row and "A change" in row and "A reason" in row for row in rows
    )


def test_only_a_report_on_the_snapshot_carries_the_callout(world, told):
    assert prose.dataset_callout(told(world)).data == ""
    text = prose.dataset_callout(told(replace(world, dataset="snapshot"))).data
    assert "snapshot" in text and "A made-up reason." in text and "callout" in text


def test_made_up_records_carry_a_callout(world, told):
    results = told(world)
    results.__dict__["records_made_up"] = True
    assert "say nothing of any place" in prose.dataset_callout(results).data


def test_a_report_says_whether_its_commit_had_uncommitted_changes(world, told, monkeypatch):
    results = told(world)
    (results.work.root / "requirements.lock").touch()
    for clean, said in ((True, "with no uncommitted change"), (False, "with uncommitted changes")):
        monkeypatch.setattr("analysis.reporting.about.provenance.commit", lambda root, clean=clean: ("abc", clean))
        assert edition_details(results)["Code"] == f"commit abc, {said}"


@pytest.mark.slow
def test_a_number_that_is_not_there_is_an_error_and_not_a_blank(world, told, outcome, first):
    results = told(world)
    with pytest.raises(DataError, match=r"did/.*/att_year9_percent"):
        results.effect(outcome, first, "att_year9")
    unmasked = told(replace(world, without=frozenset({"unmasked"})))
    assert "could not be estimated (needs single units)." in choices.sensitivity_sentence(unmasked, outcome, first)
    unmasked.__dict__["not_run"] = unmasked.not_run.iloc[:0]
    with pytest.raises(DataError, match="unmasked"):
        choices.sensitivity_sentence(unmasked, outcome, first)


@pytest.mark.parametrize(
    ("months", "text"), [(24, "two years"), (12, "one year"), (9, "nine months"), (1, "one month"), (18, "18 months")]
)
def test_a_time_before_the_programme_is_in_years_where_they_are_whole(months, text):
    assert wording.duration_text(months) == text
