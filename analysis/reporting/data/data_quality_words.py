"""Sentences about the data: how much is masked and where, what moves by itself and stays, and whether parts add up to wholes."""

from __future__ import annotations

import pandas as pd

from analysis.panel.panel import ANALYSED
from analysis.panel.quality import PENDING, TOO_HIGH
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.results import PRIMARY, Results
from analysis.reporting.wording import counted, in_sentence, listed, signed, span

FEW = 4  # places that a sentence names


def masked_by_outcome(results: Results) -> pd.DataFrame:
    """[outcome, label, masked, too_high, pending, units, share] of every outcome of the return: unit-months, and the share of all."""
    every = results.provenance["ccg_units"] * len(results.protocol.months)
    rows = []
    for outcome in results.outcomes:
        if outcome.source != "mar":
            continue
        ledger = results.ledger[results.ledger.outcome == outcome.id]
        masked = ledger[ledger.rule != PENDING]
        high, pending = int((masked.rule == TOO_HIGH).sum()), int((ledger.rule == PENDING).sum())
        rows.append((outcome.id, outcome.label, len(masked), high, pending, masked.unit.nunique(), len(masked) / every))
    return pd.DataFrame(rows, columns=["outcome", "label", "masked", "too_high", "pending", "units", "share"])


def masked_sentence(results: Results) -> str:
    """How much of each outcome is masked."""
    parts = [
        f"{row.masked:,} unit-months of {in_sentence(row.label)} ({row.share:.2%}), in {counted(row.units)} places"
        for row in masked_by_outcome(results).itertuples()
    ]
    return f"The rule masks {listed(parts)}." if parts else "The rule looks at nothing that this data set holds."


def shifts_sentence(results: Results, outcome: str) -> str:
    """How many units have a lasting change of level, upwards and downwards, and which move most."""
    rows = results.shifts[results.shifts.outcome == outcome]
    if rows.empty:
        return "No unit is listed with a lasting change of level: areas, which the snapshot holds, are not looked at."
    up = int((rows.ratio > 1).sum())
    most = rows.loc[(rows.ratio.map(lambda ratio: abs(ratio - 1))).sort_values(ascending=False).index].head(FEW)
    names = [
        f"{row.unit_name} ({signed(100 * (row.ratio - 1), 0)} from {row.month:%B %Y})" for row in most.itertuples()
    ]
    return (
        f"{counted(len(rows)).capitalize()} units of {in_sentence(results.protocol.outcome(outcome).label)} change their level by more than "
        f"a factor of {1 + results.protocol.quality.lasting_shift:g} and keep it to the end of the data, {counted(up)} upwards and {counted(len(rows) - up)} downwards; most {listed(names)}. They are never masked, "
        "since a change that stays may be the effect."
    )


def whole_and_parts(results: Results) -> pd.DataFrame:
    """[outcome, label, year, units, england, outside]: counts of a calendar year summed over units, England's published total of the same months,
    and the share of it that no unit holds."""
    units = results.panel[results.panel.geography.isin(ANALYSED)]
    sums = units.groupby(["outcome", "month"]).value_published.sum().rename("units").reset_index()
    both = sums.merge(results.national.rename(columns={"value": "england"}), on=["outcome", "month"])
    table = both.groupby(["outcome", both.month.dt.year.rename("year")])[["units", "england"]].sum().reset_index()
    labels = {outcome.id: outcome.label for outcome in results.protocol.outcomes}
    return table.assign(label=table.outcome.map(labels), outside=1 - table.units / table.england)


def whole_sentence(results: Results, outcome: str) -> str:
    """Between which shares of England's total lie outside the units."""
    rows = whole_and_parts(results)
    rows = rows[rows.outcome == outcome]
    if rows.empty:
        return "England's published totals are not in this data set."
    return (
        f"Summed over the units, {in_sentence(results.protocol.outcome(outcome).label)} fall short of England's published total by {rows.outside.min():.1%} to "
        f"{rows.outside.max():.1%}, year by year. The rest is what NHS England commissions directly, which has no population of its own."
    )


@or_reason
def effect_of_masking_sentence(results: Results, outcome: str) -> str:
    """The headline with and without masking, model by model."""
    unmasked = next((choice for choice in results.protocol.specifications if choice.choices == {"masked": False}), None)
    if unmasked is None:
        return "What the estimates would be without masking is not among this study's choices."

    def both(model: str) -> str:
        with_it, without = (results.effect(outcome, model, specification=name) for name in (PRIMARY, unmasked.id))
        label = results.protocol.cohort_labels[model]
        return f"{label} {signed(with_it.value)} ({span(with_it)}) with masking and {signed(without.value)} ({span(without)}) without"

    found, lost = estimated(results, results.protocol.model_ids, both)
    return " ".join([f"The estimated effect is, for {listed(list(found.values()))}.", *lost])
