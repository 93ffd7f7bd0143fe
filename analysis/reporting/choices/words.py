"""How far choices move the answer: about the data, of every kind one at a time, and all of them together in the curve."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.did.specification_curve import SEPARATOR
from analysis.protocol.schema import Specification
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.results import HEADLINE_INFERENCE, PRIMARY, Results
from analysis.reporting.wording import beyond_zero, listed, share_text, signed, span

COLUMNS = ["estimate", "low", "high", "p_value"]
MOST = 3  # choices that a sentence names


def data_choices(results: Results) -> list[Specification]:
    """The specifications that ran and differ in the data alone: every design is estimated under each of them."""
    ran = set(results.estimates.specification)
    return [s for s in results.protocol.specifications if "growth" in s.designs and s.id in ran]


def data_variants(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """The rows of ``variants`` that differ in the data alone."""
    found = variants(results, outcome, cohort)
    return found[found.specification.isin([choice.id for choice in data_choices(results)])]


@or_reason
def sensitivity_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How far the choices about the data move the estimate."""
    primary = results.effect(outcome, cohort)
    changes = {
        "unmasked": "masking nothing gives",
        "fixed_population": "holding population at mid-2015 gives",
        "unmasked_fixed_population": "doing both gives",
    }
    tried, lost = estimated(
        results,
        [choice.id for choice in results.protocol.specifications if choice.id in changes],
        lambda name: results.effect(outcome, cohort, specification=name),
    )
    parts = [f"{changes[name]} {signed(effect.value)}" for name, effect in tried.items()]
    clear = [f"{signed(e.value)} ({span(e)})" for e in (primary, *tried.values()) if e.excludes_zero]
    label = results.protocol.cohort_labels[cohort]
    if not parts:
        return f"{label}: no other choice about the data was tried."
    ending = f"The interval leaves out zero for {listed(clear)}." if clear else "Every interval includes zero."
    return " ".join([f"{label}: the primary estimate is {signed(primary.value)}; {listed(parts)}. {ending}", *lost])


def variants(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """The effect over the programme under every specification that ran: [specification, label, estimate, low, high, p_value,
    detectable_fall, n_units, n_treated], in percent, in the protocol's order."""
    rows = []
    for choice in results.protocol.specifications:
        found = results.find("did", outcome, cohort, "att", HEADLINE_INFERENCE, choice.id)
        if found is not None:
            row = results.estimates.loc[f"did/{outcome}/{cohort}/{choice.id}/att/{HEADLINE_INFERENCE}"]
            fall, _ = results.detectable(outcome, cohort, specification=choice.id)
            rows.append(
                (
                    choice.id,
                    choice.label,
                    found.value,
                    found.low,
                    found.high,
                    found.p_value,
                    fall,
                    row.n_units,
                    row.n_treated,
                )
            )
    return pd.DataFrame(rows, columns=["specification", "label", *COLUMNS, "detectable_fall", "n_units", "n_treated"])


@or_reason
def variants_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The lowest and the highest estimate of all specifications, how many share a sign, and which leave out zero."""
    found = variants(results, outcome, cohort)
    if found.empty:
        results.effect(outcome, cohort)  # which says why there is none
    low, high = (found.loc[index] for index in (found.estimate.idxmin(), found.estimate.idxmax()))
    below = int((found.estimate < 0).sum())
    return (
        f"{results.protocol.cohort_labels[cohort]}: from {signed(low.estimate)} (“{low.label}”) to "
        f"{signed(high.estimate)} (“{high.label}”); {below} of {len(found)} estimates lie below zero. "
        f"{beyond_zero(found, found.label.map('“{}”'.format))}"
    )


def variants_summary(results: Results, outcome: str) -> str:
    """Over all cohorts: how many specifications, how far they move the estimate, how many intervals leave out zero."""
    labels = results.protocol.cohort_labels
    every_cohort = {cohort: variants(results, outcome, cohort) for cohort in results.protocol.treated_cohorts}
    found = {cohort: table for cohort, table in every_cohort.items() if len(table)}
    if not found:
        return "The effect could not be estimated under any choice."
    spans = [f"from {signed(t.estimate.min())} to {signed(t.estimate.max())} for {labels[c]}" for c, t in found.items()]
    every = pd.concat(found.values())
    return (
        f"Over {len(every.specification.unique())} choices of data, model, controls and start, the estimate runs {listed(spans)}. "
        f"{_zero_count(every)}"
    )


def _zero_count(found: pd.DataFrame) -> str:
    clear = int(((found.low > 0) | (found.high < 0)).sum())
    return (
        f"Of the {len(found)} intervals, {clear} leave out zero."
        if clear
        else f"Each of the {len(found)} intervals includes zero."
    )


# The specification curve


def curve(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """The rows of the specification curve that could be estimated, from the lowest, with ``choices``, the set of those made."""
    table = results.curve
    if table.empty:
        return table
    found = table[(table.outcome == outcome) & (table.cohort == cohort) & (table.reason == "")]
    found = found.sort_values("percent", kind="stable", ignore_index=True)
    return found.assign(choices=found.departures.map(lambda text: frozenset(text.split(SEPARATOR)) - {""}))


def moves(results: Results, outcome: str, cohort: str, crossed: bool = True) -> pd.DataFrame:
    """[choice, label, change (percentage points), variance_share, rank], largest change first: of the choices that were crossed,
    or of those tried alone."""
    table = results.curve_choices
    if table.empty:
        return table
    found = table[(table.outcome == outcome) & (table.cohort == cohort) & (table.crossed == crossed)]
    return found.sort_values("change", key=lambda change: -change.abs(), kind="stable", ignore_index=True)


def curve_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Number, range, signs and p-values of the specifications, where the primary one lies among them, and what moves them."""
    label, found = results.protocol.cohort_labels[cohort], curve(results, outcome, cohort)
    if found.empty:
        return f"{label}: no specification of the curve could be estimated."
    level = results.protocol.study.level
    below, clear = (found.percent < 0).mean(), (found.p_value < level).mean()
    return (
        f"{label}: {len(found)} specifications run from {signed(found.percent.min())} to {signed(found.percent.max())}; "
        f"{share_text(below)} of them lie below zero, and {share_text(clear)} have p under {level:.0%}. "
        f"{_place(found)} {moves_sentence(results, outcome, cohort)}"
    ).strip()


def _place(found: pd.DataFrame) -> str:
    """Where the primary estimate lies among the others; nothing where it was not made."""
    primary, others = found.percent[found.id == PRIMARY], found.percent[found.id != PRIMARY]
    if primary.empty or others.empty:
        return ""
    lower = (others < primary.iloc[0]).mean()
    side, share = ("above", lower) if lower >= 0.5 else ("below", (others > primary.iloc[0]).mean())
    return f"The primary estimate, {signed(primary.iloc[0])}, lies {side} {share_text(share)} of the others."


def moves_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The crossed choices that move the estimates most, and the one of those tried alone."""
    crossed, alone = (moves(results, outcome, cohort, kind) for kind in (True, False))
    parts = []
    if len(crossed):
        most = crossed.head(MOST)
        texts = [f"“{row.label}” ({_points(row.change)})" for row in most.itertuples()]
        texts[0] = texts[0].replace(")", " percentage points)")
        parts.append(f"On average over the other choices, what moves them most is {listed(texts)}.")
    if len(alone):
        first = alone.iloc[0]
        parts.append(f"Of the choices tried alone, “{first.label}” ({_points(first.change)}) moves the estimate most.")
    return " ".join(parts)


def curve_summary(results: Results, outcome: str) -> str:
    """Over all cohorts: how many specifications there are, and how many of their estimates share a sign and are clear."""
    labels, level = results.protocol.cohort_labels, results.protocol.study.level
    found = {cohort: curve(results, outcome, cohort) for cohort in results.protocol.treated_cohorts}
    parts = [
        f"from {signed(rows.percent.min())} to {signed(rows.percent.max())} for {labels[cohort]}, "
        f"{share_text((rows.percent < 0).mean())} below zero and {share_text((rows.p_value < level).mean())} with p under {level:.0%}"
        for cohort, rows in found.items()
        if len(rows)
    ]
    if not parts:
        return "No specification of the curve could be estimated."
    most = max(len(rows) for rows in found.values())
    return f"Over up to {most} specifications, choices made together, estimates run {'; '.join(parts)}."


def plain_curve_sentence(results: Results, outcome: str) -> str:
    """For the summary: what other choices would have given within the first method; the curve has no other design."""
    labels, level, parts = results.protocol.cohort_labels, results.protocol.study.level, []
    for model in results.protocol.model_ids:
        found = curve(results, outcome, model)
        if len(found):
            clear = share_text((found.p_value < level).mean())
            ends = f"{signed(found.percent.min())} to {signed(found.percent.max())}"
            parts.append(f"{ends} for {labels[model]} ({clear} with p under {level:.0%})")
    if not parts:
        return "What other choices of data and model would have given could not be worked out."
    return f"Within the first method, on which our verdict rests, other choices of data and model would have given {listed(parts)}."


def not_in_curve(results: Results, outcome: str) -> str:
    """How many specifications could not be estimated, and why."""
    table = results.curve
    table = table[table.outcome == outcome] if len(table) else table
    lost = table[table.reason != ""] if len(table) else table
    if lost.empty:
        return "Every specification of the curve could be estimated."
    reasons = [f"{reason} ({count})" for reason, count in lost.reason.value_counts().items()]
    return f"Of {len(table):,} specifications {len(lost):,} could not be estimated: {'; '.join(reasons)}."


def _points(change: float) -> str:
    return signed(change).removesuffix("%")
