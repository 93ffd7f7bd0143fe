"""The verdict in words: what was found, how sure it is, and what the rule looked at. A change of a sign changes the sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.estimation.verdict import SMALLEST_BREAKDOWN, SMALLEST_SHARE, Verdict
from analysis.protocol.protocol import REST
from analysis.protocol.schema import Outcome
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.certainty.error_rates_words import simulated_power
from analysis.reporting.certainty.words import family_size
from analysis.reporting.results import Results
from analysis.reporting.trends.words import breakdown_text
from analysis.reporting.wording import (
    above_or_below,
    counted,
    duration_text,
    headed,
    in_sentence,
    interval,
    listed,
    missed_text,
    p_text,
    share_text,
    signed,
)

VERDICT_WORDS: dict[Verdict, str] = {
    "reduction supported": "The data support a reduction",
    "increase supported": "The data support an increase",
    "trends in doubt": "A difference shows, but the trends before the programme put it in doubt",
    "unconfirmed": "A difference shows, but not every check that the protocol asks for has been made",
    "inconclusive": "Inconclusive",
}
QUOTED = 2  # simulated effects that a sentence names, the largest
CHECKS = {
    "breakdown": "sensitivity to parallel trends",
    "same_sign": "the specification curve",
    "pre_period_p": "the test of the quarters before",
    "control_p": "negative controls",
}


def verdicts(results: Results, outcome: str) -> dict[str, Verdict]:
    """The protocol's verdict on each model of which there is an estimate to judge.

    Raises
    ------
    NotEstimated
        There is none of any model.
    """
    found, _ = estimated(results, results.protocol.model_ids, lambda model: results.verdict(outcome, model).verdict)
    return found


@or_reason
def verdict_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Size, direction, interval, p-value and certainty together, and why; if inconclusive, what could have been found."""
    effect, level = results.effect(outcome, cohort), results.protocol.study.conf_level
    found = results.verdict(outcome, cohort)
    word: Verdict = found.verdict
    label = results.protocol.cohort_labels[cohort]
    text = (
        f"**{label}: {in_sentence(VERDICT_WORDS[word])}.** {results.protocol.outcome(outcome).label} per head were "
        f"{above_or_below(effect.value)} what we would expect had they changed as elsewhere in England "
        f"({interval(effect, level)}, {p_text(effect.p_value)})."
    )
    reasons = {"inconclusive": _inconclusive, "trends in doubt": _doubt, "unconfirmed": _unchecked}
    ending = detectable_sentence(results, outcome, cohort) if word == "inconclusive" else ""
    return " ".join(part for part in (text, reasons.get(word, _supported)(results, found), ending) if part)


def _inconclusive(results: Results, found: pd.Series) -> str:
    """What takes a finding away: the number of tests, the specifications, or a negative control."""
    level = results.protocol.study.level
    if not found.holm_p < level:
        tests = family_size(results)
        return f"With {counted(tests)} tests made, {p_text(found.holm_p)}." if found.p_value < level else ""
    reasons = []
    if found.same_sign < SMALLEST_SHARE:
        reasons.append(
            f"Only {share_text(found.same_sign)} of the {found.specifications:,} specifications have the sign of this estimate, where the "
            f"protocol asks for {SMALLEST_SHARE:.0%}."
        )
    if found.control_p < level:
        control = results.protocol.outcome(found.control).label
        reasons.append(
            f"An outcome that should not have moved moved too: {in_sentence(control)} ({p_text(found.control_p)})."
        )
    return " ".join(reasons)


def _doubt(results: Results, found: pd.Series) -> str:
    """Which test of trends fails, and how the quarters before lay."""
    reasons = []
    if found.pre_period_p < results.protocol.study.level:
        reasons.append(
            f"The quarters before it differ by more than chance easily explains ({p_text(found.pre_period_p)})."
        )
    if found.breakdown < SMALLEST_BREAKDOWN:
        reasons.append(
            f"The difference stands only while trends part by less than {found.breakdown:.2f} times the most that they did before; the protocol asks "
            f"for {SMALLEST_BREAKDOWN:g}."
        )
    before = f"The quarters before lay on average {above_or_below(found.pre_period_difference)} the last of them."
    return " ".join([*reasons, before])


def _unchecked(results: Results, found: pd.Series) -> str:
    return f"Not made: {listed([name for check, name in CHECKS.items() if pd.isna(found[check])])}."


def _supported(results: Results, found: pd.Series) -> str:
    """The checks that it passed."""
    return (
        f"The difference stands while trends part by up to {breakdown_text(found.breakdown)} times as much as they did at most before the programme, "
        f"{share_text(found.same_sign)} of the {found.specifications:,} specifications have its sign, and no outcome that should not have moved did."
    )


@or_reason
def detectable_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How often a true change is missed: by simulation where that was made, else the smallest one by the width of the interval."""
    simulated = simulated_power(results, outcome, cohort)[-QUOTED:]
    if simulated:
        (size, share), *others = ((f"{abs(effect):g}%", f"{1 - share:.0%}") for effect, share in simulated)
        way = "fall" if simulated[0][0] < 0 else "rise"
        more = "".join(f", one of {size} in {share}" for size, share in others)
        return f"In simulations with these sites a true {way} of {size} is missed in {share} of cases{more}."
    fall, rise = results.detectable(outcome, cohort)
    if math.isinf(rise):
        return "No change of any size could have been found with confidence."
    missed = missed_text(results.protocol.inference.power)
    return f"By this interval's width, a true fall of {fall:.1f}% or rise of {rise:.1f}% would be missed {missed}."


def width_caution(results: Results, outcome: str) -> str:
    """For the summary: why the simulations miss more than the intervals beside them suggest; nothing where there are none."""
    simulated = any(simulated_power(results, outcome, model) for model in results.protocol.model_ids)
    return (
        "With so few sites the width of an interval is itself a matter of chance, so that the simulations are the better guide."
        if simulated
        else ""
    )


def rule_sentence(results: Results) -> str:
    """The protocol's rule in words."""
    level = f"{results.protocol.study.level:.0%}"
    several = len(results.protocol.model_ids) * len(results.protocol.primary_outcomes) > 1
    adjusted = ", adjusted by Holm's method," if several else ""
    return (
        f"The protocol calls a reduction *supported* where its p-value{adjusted} is under {level}; the event study's mean effect still stands where trends "
        f"part from quarter to quarter by {SMALLEST_BREAKDOWN:g} times as much as they did at most before the programme; at least {SMALLEST_SHARE:.0%} "
        f"of specifications share its sign; and no negative control moves with p under {level}. An increase is judged alike. Where the estimate is "
        "clear but the quarters before the programme differ, or the effect falls with smaller departures, *trends are in doubt*. Anything else is "
        "*inconclusive*."
    )


def headline(results: Results) -> list[str]:
    """A plain line for each model, for the end of a run."""
    outcome = results.protocol.primary_outcomes[0]
    return [_headline(results, outcome, model) for model in results.protocol.model_ids]


@or_reason
def _headline(results: Results, outcome: Outcome, model: str) -> str:
    effect, word = results.effect(outcome.id, model), results.verdict(outcome.id, model).verdict
    return (
        f"{results.protocol.cohort_labels[model]}: {word}. {outcome.label} per head {signed(effect.value)} "
        f"against the rest of England ({interval(effect, results.protocol.study.conf_level)})."
    )


def compared_sentence(results: Results) -> str:
    """For the summary: how many sites of each model are compared with what, over which years."""
    protocol, panel = results.protocol, results.panel
    whole = panel[panel.covered_share == 1].drop_duplicates("site")
    parts = [f"{counted(int((whole.model == m).sum()))} {protocol.cohort_labels[m]}" for m in protocol.model_ids]
    return (
        f"It compares the {listed(parts)} sites whose whole area took part with the {protocol.cohort_labels[REST]}: how each changed from the "
        f"{duration_text(protocol.months_before)} before {protocol.study.programme_start:%B %Y} to the {counted(len(protocol.programme_years))} after."
    )


@or_reason
def summary_answer(results: Results) -> str:
    """The one-sentence answer to the study's question."""
    outcome = results.protocol.primary_outcomes[0]
    labels = results.protocol.cohort_labels
    found = {
        model: (word, word != "inconclusive" and results.effect(outcome.id, model).value < 0)
        for model, word in verdicts(results, outcome.id).items()
    }
    name = f"{outcome.plain} ({in_sentence(outcome.label)})" if outcome.plain else in_sentence(outcome.label)
    parts = []
    for word, lower in dict.fromkeys(found.values()):
        models = [labels[model] for model in found if found[model] == (word, lower)]
        sites, than = f"{listed(models)} sites", "lower" if lower else "higher"
        clauses: dict[Verdict, str] = {
            "inconclusive": f"we cannot tell whether being {_a_site(models)} changed {name}",
            "reduction supported": f"the data support a fall in {name} in {sites}",
            "increase supported": f"the data support a rise in {name} in {sites}",
            "trends in doubt": f"{name} stood {than} than expected in {sites}, but trends from before the programme may explain it",
            "unconfirmed": f"{name} stood {than} than expected in {sites}, but not every check has been made",
        }
        parts.append(clauses[word])
    missed = [labels[model] for model in results.protocol.model_ids if model not in found]
    parts += [f"the effect on {name} in {listed(missed)} sites could not be estimated"] if missed else []
    return f"{headed('; '.join(parts))}."


def _a_site(models: Sequence[str]) -> str:
    return f"{'an' if models[0][0] in 'AEFHILMNORSX' else 'a'} {' or '.join(models)} site"
