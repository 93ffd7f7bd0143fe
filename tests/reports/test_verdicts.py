"""The verdict follows the data: one thing of a made-up study is turned, widened or broken, and the words change with it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
from worlds import Number, World, directions

from analysis.core.errors import DataError
from analysis.estimation.verdict import SMALLEST_BREAKDOWN, SMALLEST_SHARE, Evidence, Verdict, verdict, verdict_table
from analysis.reporting.results import Results
from analysis.reporting.verdicts import words as verdicts
from analysis.reporting.verdicts.tables import verdicts_table
from analysis.reporting.wording import NO_BREAK, in_sentence

CLEAR = Number(-0.06, 0.02)


@pytest.fixture()
def supported(world, outcome) -> World:
    """A reduction in every model, and every check passed."""
    return world.with_numbers({("did", outcome): CLEAR})


def said(results: Results, outcome: str, model: str) -> tuple[Verdict, str]:
    """The verdict and its sentence, with ordinary blanks."""
    found = verdicts.verdicts(results, outcome)[model]
    return found, verdicts.verdict_sentence(results, outcome, model).replace(NO_BREAK, " ")


# One thing changed at a time


@pytest.mark.slow
def test_a_reduction_that_passes_every_check_is_supported(supported, told, outcome, first):
    word, text = said(told(supported), outcome, first)
    assert word == "reduction supported" and "support a reduction" in text and "5.8% below" in text
    assert "by up to 0.8 times" in text and "all of the" in text and "would be missed" not in text
    assert set(directions(text)) == {-1}
    assert "support a fall" in verdicts.summary_answer(told(supported))
    assert any(line.startswith(f"{first}: reduction supported") for line in verdicts.headline(told(supported)))


@pytest.mark.slow
def test_the_other_sign_is_an_increase(supported, told, outcome, first):
    word, text = said(told(supported.mirrored()), outcome, first)
    assert word == "increase supported" and "support an increase" in text and "6.2% above" in text
    assert set(directions(text)) == {1} and "reduction" not in text
    assert "support a rise" in verdicts.summary_answer(told(supported.mirrored()))


@pytest.mark.slow
@pytest.mark.parametrize("sign", [-1, 1])
def test_wider_intervals_are_inconclusive_and_say_what_could_have_been_seen(supported, told, outcome, first, sign):
    wide = told(supported.with_numbers({("did", outcome): Number(sign * 0.06, 0.09)}))
    word, text = said(wide, outcome, first)
    fall, rise = wide.detectable(outcome, first)
    assert word == "inconclusive" and f"a true fall of {fall:.1f}% or rise of {rise:.1f}%" in text
    assert "support" not in text and "Only" not in text


@pytest.mark.slow
def test_a_break_before_the_programme_puts_trends_in_doubt_and_is_printed(supported, told, outcome, first, protocol):
    broken = supported.with_numbers(
        {("event_study", outcome, first, "pre_period", "randomisation"): Number(0.04, 0.02, 0.013)}
    )
    word, text = said(told(broken), outcome, first)
    assert word == "trends in doubt" and "4.1% above the last of them" in text and "(p = 0.013)" in text
    assert "asks for" not in text  # the breakdown value is large enough
    assert said(told(broken.mirrored()), outcome, first)[1].count("3.9% below the last of them") == 1
    assert said(told(broken), outcome, protocol.model_ids[1])[0] == "reduction supported"
    assert "may explain it" in verdicts.summary_answer(told(broken))


@pytest.mark.slow
def test_a_small_breakdown_value_puts_trends_in_doubt_with_the_difference_before(supported, told, outcome, first):
    word, text = said(told(supported.with_ratios(breakdown=0.3)), outcome, first)
    assert word == "trends in doubt" and "less than 0.30 times" in text and f"asks for {SMALLEST_BREAKDOWN:g}" in text
    assert "2.1% below the last of them" in text  # the made-up difference before
    assert said(told(supported.with_ratios(breakdown=SMALLEST_BREAKDOWN)), outcome, first)[0] == "reduction supported"


@pytest.mark.slow
def test_specifications_that_disagree_on_the_sign_are_inconclusive_and_counted(supported, told, outcome, first):
    word, text = said(told(supported.with_ratios(same_sign=0.6)), outcome, first)
    assert word == "inconclusive" and "Only 60% of the" in text and f"asks for {SMALLEST_SHARE:.0%}" in text
    assert "should not have moved" not in text and "would be missed" in text
    assert said(told(supported.with_ratios(same_sign=0.81)), outcome, first)[0] == "reduction supported"


@pytest.mark.slow
def test_a_control_that_moves_is_inconclusive_and_named(supported, told, outcome, protocol):
    first, second = protocol.model_ids
    *_, control = (o for o in protocol.outcomes if o.role == "negative_control")
    spoilt = told(supported.with_numbers({("did", control.id, first): Number(-0.06, 0.02, 0.002)}))
    word, text = said(spoilt, outcome, first)
    assert (
        word == "inconclusive" and f"moved too: {in_sentence(control.label)} (p = 0.002)" in text and "Only" not in text
    )
    assert said(spoilt, outcome, second)[0] == "reduction supported"


@pytest.mark.slow
def test_the_number_of_tests_alone_can_take_a_finding_away(supported, told, outcome, first, protocol):
    numbers = {("did", outcome, model, "att"): Number(-0.05, 0.049, 0.03) for model in protocol.model_ids}
    word, text = said(told(supported.with_numbers(numbers)), outcome, first)
    assert word == "inconclusive" and "With two tests made, p = 0.060." in text


@pytest.mark.slow
def test_a_check_that_was_not_made_is_named_and_nothing_is_supported(supported, told, outcome, first):
    word, text = said(told(replace(supported, dropped=frozenset({"trend_sensitivity"}))), outcome, first)
    assert (
        word == "unconfirmed" and text.endswith("Not made: sensitivity to parallel trends.") and "support" not in text
    )


@pytest.mark.slow
def test_each_model_is_judged_by_its_own_checks(supported, told, outcome, protocol):
    first, second = protocol.model_ids
    results = told(replace(supported, ratios={("breakdown", first): 0.1}))
    assert verdicts.verdicts(results, outcome) == {first: "trends in doubt", second: "reduction supported"}


def test_a_model_without_a_verdict_is_an_error_that_says_where(supported, told, outcome):
    with pytest.raises(DataError, match=r"no verdict on .* of nobody"):
        told(supported).verdict(outcome, "nobody")


# The table


def test_the_table_of_verdicts_has_every_input_as_it_is(supported, told, outcome, first, protocol):
    results = told(supported.with_ratios(breakdown=0.3, same_sign=0.9))
    table = verdicts_table(results, outcome)
    cells = table.cells.set_index("Looked at")[protocol.cohort_labels[first]]
    assert (
        cells["Verdict"] == "Trends in doubt"
        and cells["Breakdown value"] == "0.3"
        and cells["of them with the estimate's sign"] == "90%"
    )
    assert cells["of them with p under 5%"] == "30%" and cells["Quarters before, mean, %"] == "−2.1"
    assert cells["Smallest p of a control"].startswith("0.41 (") and cells["Effect, %"] == "−5.8 (−7.7 to −3.9)"
    asked = table.cells.set_index("Looked at")["The rule asks for"]
    assert asked["Breakdown value"] == "at least 0.5" and asked["of them with the estimate's sign"] == "at least 80%"
    assert list(table.data.cohort) == protocol.model_ids and table.data.specifications.min() > 200
    assert "accident" not in table.note
    flat = told(supported.with_numbers({("did", outcome, first): Number(0.0001, 0.05)}))
    assert "accident" in verdicts_table(flat, outcome).note


@pytest.mark.slow
def test_an_input_that_could_not_be_had_is_a_dash(supported, told, outcome, first):
    results = told(replace(supported, dropped=frozenset({"trend_sensitivity", "power"})))
    cells = verdicts_table(results, outcome).cells.set_index("Looked at")[first]
    assert cells["Breakdown value"] == "–" and cells["Detectable fall, %"] == "–"
    assert not cells.str.contains("nan").any()


def test_the_table_is_that_of_the_rule(supported, told, outcome, protocol):
    """What a report prints is what the rule gives on the written estimates and curve."""
    results = told(supported.with_ratios(same_sign=0.6))
    again = verdict_table(results.estimates.reset_index(drop=True), results.curve, protocol)
    assert list(again.verdict) == list(results.verdicts.verdict) == ["inconclusive"] * len(protocol.model_ids)
    assert again.same_sign.to_list() == pytest.approx(results.verdicts.same_sign.to_list())


def test_the_rule_in_words_has_its_thresholds(supported, told):
    text = verdicts.rule_sentence(told(supported))
    for part in (
        "under 5%",
        f"{SMALLEST_BREAKDOWN:g} times",
        f"{SMALLEST_SHARE:.0%}",
        "*supported*",
        "*inconclusive*",
        "*trends are in doubt*",
    ):
        assert part in text


# The rule itself, with all of its evidence


WHOLE = Evidence(estimate=-0.05, holm_p=0.01, breakdown=0.8, same_sign=0.95, pre_period_p=0.4, control_p=0.3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "reduction supported"),
        ({"breakdown": 0.5, "same_sign": 0.8, "pre_period_p": 0.05, "control_p": 0.05}, "reduction supported"),
        ({"holm_p": 0.0499}, "reduction supported"),
        ({"holm_p": 0.05}, "inconclusive"),
        ({"holm_p": 0.4}, "inconclusive"),
        ({"holm_p": math.nan}, "inconclusive"),
        ({"breakdown": 0.49}, "trends in doubt"),
        ({"pre_period_p": 0.049}, "trends in doubt"),
        ({"pre_period_p": 0.01, "holm_p": 0.4}, "inconclusive"),
        ({"pre_period_p": 0.01, "same_sign": None}, "trends in doubt"),
        ({"same_sign": 0.79}, "inconclusive"),
        ({"control_p": 0.049}, "inconclusive"),
        ({"breakdown": None}, "unconfirmed"),
        ({"same_sign": None}, "unconfirmed"),
        ({"pre_period_p": None}, "unconfirmed"),
        ({"control_p": None}, "unconfirmed"),
        ({"breakdown": None, "same_sign": None, "pre_period_p": None, "control_p": None}, "unconfirmed"),
        ({"breakdown": None, "control_p": 0.01}, "inconclusive"),
    ],
)  # fmt: skip
def test_the_protocols_rule_and_its_mirror_image(change, expected):
    found = replace(WHOLE, **change)
    assert verdict(found, 0.05) == expected
    mirror = "increase supported" if expected == "reduction supported" else expected
    assert verdict(replace(found, estimate=-found.estimate), 0.05) == mirror


def test_the_rule_can_give_every_verdict_and_each_has_its_own_words():
    assert set(verdicts.VERDICT_WORDS) == set(get_args(Verdict))
    assert len(set(verdicts.VERDICT_WORDS.values())) == len(get_args(Verdict))
    words = verdicts.VERDICT_WORDS
    assert words["reduction supported"].replace("a reduction", "an increase") == words["increase supported"]
    assert [name for name, text in words.items() if "support" in text] == ["reduction supported", "increase supported"]


@pytest.mark.parametrize("found", get_args(Verdict))
def test_each_verdict_makes_a_whole_sentence_of_the_summary(monkeypatch, world, told, found, protocol):
    results = told(world)
    first, second = protocol.model_ids
    monkeypatch.setattr(verdicts, "verdicts", lambda *_: {first: found, second: "inconclusive"})
    text = verdicts.summary_answer(results)
    assert text[0].isupper() and text.endswith(".") and first in text and second in text and "{" not in text
