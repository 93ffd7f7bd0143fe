"""Sentences about patient-level records: that there are none, or what admissions and bed days say together."""

from __future__ import annotations

from analysis.protocol.protocol import RECORDS
from analysis.protocol.schema import Outcome
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.results import Estimate, Results
from analysis.reporting.wording import certainty, headed, in_sentence, interval, listed, p_text, signed

NONE = (
    "No patient-level extract was counted for this edition, so that emergency admissions and emergency bed days are not among its outcomes; "
    "no public series of bed days by commissioner reaches back before the programme."
)
NOT_ESTIMATED = (
    "A patient-level extract was counted for this edition, but no effect could be estimated from it: too few of its counts may be shown after disclosure "
    "control (`build/records/by_commissioner.csv` has them, empty where suppressed; `build/results/not_run.csv` says what was not run)."
)


def held(results: Results) -> list[Outcome]:
    """The outcomes that were counted from records, in the protocol's order."""
    return [outcome for outcome in results.outcomes if outcome.source == RECORDS]


def absence(results: Results) -> str:
    """Why there are no estimates from records; nothing where there are some."""
    if held(results):
        return ""
    return NOT_ESTIMATED if results.work.has_records else NONE


def records_paragraph(results: Results) -> str:
    """What the co-primary outcomes of patient-level records show, model by model; one sentence where no extract was counted, or nothing came of it."""
    outcomes = held(results)
    if not outcomes:
        return absence(results)
    names = listed([in_sentence(outcome.label) for outcome in outcomes])
    found = " ".join(_together(results, outcomes, model) for model in results.protocol.model_ids)
    return (
        f"**Patient-level records.** {headed(names)} were counted from {results.records_name}, after disclosure control, and are read together with the primary outcome "
        f"and with each other: fewer admissions with as many nights, or as many admissions with fewer, are two different changes. {found}"
    )


@or_reason
def _together(results: Results, outcomes: list[Outcome], model: str) -> str:
    level, names = results.protocol.study.conf_level, {outcome.id: outcome for outcome in outcomes}
    found, lost = estimated(results, names, lambda id: results.effect(id, model))
    outcomes, effects = [names[id] for id in found], list(found.values())
    parts = [
        f"{in_sentence(outcome.label)} {signed(effect.value)} ({interval(effect, level)}, {p_text(effect.p_value)}; {certainty(effect)})"
        for outcome, effect in zip(outcomes, effects, strict=True)
    ]
    reading = "" if lost else _reading(effects)
    return " ".join(
        filter(None, [f"{headed(results.protocol.cohort_labels[model])}: {listed(parts)}.", reading, *lost])
    )


def _reading(effects: list[Estimate]) -> str:
    clear = [effect for effect in effects if effect.excludes_zero]
    if not clear:
        return "Neither interval leaves out zero."
    if len(clear) == len(effects):
        same = len({effect.value > 0 for effect in effects}) == 1
        return f"Both intervals leave out zero, in {'one direction' if same else 'opposite directions'}."
    return "Only one of the two intervals leaves out zero."
