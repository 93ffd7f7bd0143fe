"""Sentences about the difference-in-differences and the data. No report types a result: other numbers, other words."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.did.event_study import PRE_PERIOD, SIMULTANEOUS
from analysis.protocol.schema import Outcome
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.results import HEADLINE_INFERENCE, Results
from analysis.reporting.verdicts.words import detectable_sentence
from analysis.reporting.wording import (
    above_or_below,
    certainty,
    counted,
    headed,
    in_sentence,
    interval,
    listed,
    p_text,
    signed,
    span,
)


@or_reason
def outcome_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The effect on one outcome, whatever its role: certainty by its interval alone, size, direction, and what could have been found."""
    effect, item = results.effect(outcome, cohort), results.protocol.outcome(outcome)
    return (
        f"**{headed(results.protocol.cohort_labels[cohort])}, {in_sentence(item.label)}: {certainty(effect)}.** They were {above_or_below(effect.value)} what we "
        f"would expect had they changed as elsewhere in England ({interval(effect, results.protocol.study.conf_level)}, {p_text(effect.p_value)}). "
        f"{detectable_sentence(results, outcome, cohort)}"
    )


def chance_sentence(results: Results) -> str:
    """How many of the intervals leave out zero, beside how many would by chance."""
    asked = [
        results.find("did", outcome.id, cohort, "att", HEADLINE_INFERENCE)
        for outcome in results.outcomes
        for cohort in results.protocol.treated_cohorts
    ]
    looks = [effect for effect in asked if effect is not None]
    if not looks:
        return "No effect could be estimated."
    clear = sum(effect.excludes_zero for effect in looks)
    return (
        f"Of these {len(looks)} intervals {counted(clear) if clear else 'none'} {'leave' if clear > 1 else 'leaves'} out zero, where {len(looks) * results.protocol.study.level:.1f} "
        "would be expected by chance alone."
    )


@or_reason
def years_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The effect year by year, and whether any year stands out."""
    parts, clear = [], []
    labels = {year.id: year.label for year in results.protocol.programme_years}
    found, lost = estimated(results, labels, lambda year: results.effect(outcome, cohort, f"att_{year}"))
    for year, effect in found.items():
        parts.append(f"{signed(effect.value)} in {labels[year]} ({span(effect)})")
        clear += [labels[year]] if effect.excludes_zero else []
    label = results.protocol.cohort_labels[cohort]
    looks = len(results.protocol.programme_years) * len(results.protocol.models)
    ending = "Every interval includes zero."
    if clear:
        ending = f"The interval leaves out zero in {listed(clear)}, without adjustment for {counted(looks)} looks."
    return " ".join([f"Year by year, the estimates for {label} are {listed(parts)}. {ending}", *dict.fromkeys(lost)])


@or_reason
def event_study_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How the cohort stood against the rest before and after, relative to the base quarter."""
    path = event_path(results, outcome, cohort).dropna(subset="ci_low")
    if path.empty:
        results.percent("event_study", outcome, cohort, PRE_PERIOD, "CR1")  # which says why there is none
    before, after = (path.estimate[side].mean() for side in (path.event_time < 0, path.event_time >= 0))
    text = (
        f"{results.protocol.cohort_labels[cohort]}: the quarters before the start lie {above_or_below(before)} the base quarter "
        f"on average, those after it {above_or_below(after)}."
    )
    if before * after > 0:
        text += f" The base quarter was itself {'high' if before < 0 else 'low'}: read the shape, not the level."
    return text


def event_path(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """[event_time, estimate, ci_low, ci_high, band_low, band_high] in percent by quarter.

    The interval is pointwise; the band holds for all quarters at once. The base quarter is zero and has neither.
    """
    pointwise, band = (results.rows("event_study", outcome, cohort, name) for name in ("CR1", SIMULTANEOUS))
    band = band.rename(columns={"ci_low": "band_low", "ci_high": "band_high"})[["term", "band_low", "band_high"]]
    quarters = pointwise[pointwise.term != PRE_PERIOD].merge(band, on="term", how="left")
    times = quarters.term.str.removeprefix("quarter_").astype(int)
    path = quarters.assign(event_time=times).set_index("event_time").sort_index()
    every = range(path.index.min(), path.index.max() + 1) if len(path) else range(0)
    columns = ["estimate", "ci_low", "ci_high", "band_low", "band_high"]
    path = path[columns].reindex(every)
    return path.assign(estimate=path.estimate.fillna(0.0)).reset_index()


@or_reason
def controls_sentence(results: Results, cohort: str) -> str:
    """Whether an outcome that the programme was not first meant to move moved all the same."""
    parts, moved, label = [], [], results.protocol.cohort_labels[cohort]
    names = {outcome.id: in_sentence(outcome.label) for outcome in negative_controls(results)}
    if not names:
        return f"{label}: no outcome of this study is a negative control."
    found, lost = estimated(results, names, lambda id: results.effect(id, cohort))
    for id, effect in found.items():
        parts.append(f"{names[id]} {signed(effect.value)} ({span(effect)})")
        moved += [names[id]] if effect.excludes_zero else []
    ending = "None of the intervals leaves out zero; none rules out a change within it."
    if moved:
        ending = (
            f"The interval leaves out zero for {listed(moved)}: the comparison may be picking up something other than the "
            "programme."
        )
    return " ".join([f"{label}: {listed(parts)}. {ending}", *lost])


def negative_controls(results: Results) -> list[Outcome]:
    """The outcomes that the programme did not set out to change first, of those that this data set holds."""
    return [outcome for outcome in results.outcomes if outcome.role == "negative_control"]


def quality_sentence(results: Results, outcome: str) -> str:
    """How much was masked, where most of it lies."""
    rows = results.ledger[(results.ledger.outcome == outcome) & (results.ledger.rule != "pending")]
    every = results.provenance["ccg_units"] * len(results.protocol.months)
    if rows.empty:
        return f"Of {every:,} CCG-months, none is masked."
    high = int((rows.ratio > 1).sum())
    total = rows.groupby("unit_name").size().sort_values(ascending=False, kind="stable")
    longest = listed([f"{name} ({count} months)" for name, count in total.head(4).items()])
    return (
        f"Of {every:,} CCG-months, {len(rows)} ({len(rows) / every:.2%}) are masked, {counted(high) if high else 'none'} of them for being too high, "
        f"in {rows.unit.nunique()} CCGs; the most in {longest}."
    )
