"""Rules that say how far single sites and placebos move the estimates, and what other estimators and outcomes show."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.did.robustness import MONTHS_A_YEAR
from analysis.estimation.regression.estimates import PLACEBO
from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import NO_MODEL
from analysis.reporting.absent import or_reason, reason
from analysis.reporting.effects.words import negative_controls
from analysis.reporting.results import HEADLINE_INFERENCE, Estimate, NotEstimated, Results
from analysis.reporting.wording import (
    above_or_below,
    beyond_zero,
    counted,
    headed,
    listed,
    missed_text,
    share_text,
    signed,
    span,
)

COLUMNS = ["estimate", "low", "high", "p_value"]


# Single sites


def leave_one_out(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """[site, estimate, low, high, p_value]: the effect, in percent, without each treated site, from the lowest."""
    rows = results.rows("leave_one_out", outcome, cohort, HEADLINE_INFERENCE)
    sites = rows.notes.str.split(";").str[0].str.removeprefix("without ")
    return _estimates(rows).assign(site=sites).sort_values("estimate", ignore_index=True)[["site", *COLUMNS]]


@or_reason
def leave_one_out_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How far one site moves the estimate, and whether it decides if zero is inside."""
    label, primary = results.protocol.cohort_labels[cohort], results.effect(outcome, cohort)
    found = leave_one_out(results, outcome, cohort)
    if found.empty:
        return f"{label}: no estimate without one of its sites could be made."
    low, high = found.iloc[0], found.iloc[-1]
    turned = found[((found.low > 0) | (found.high < 0)) != primary.excludes_zero]
    inside = "leaves out" if primary.excludes_zero else "includes"
    ending = f"Without any one site the interval still {inside} zero."
    if len(turned):
        ending = f"The interval {inside} zero, and would not without {listed(list(turned.site))}."
    return (
        f"{label}: {signed(primary.value)} with all sites; from {signed(low.estimate)} without {low.site} to {signed(high.estimate)} "
        f"without {high.site}. {ending}"
    )


# Placebos


def placebo_starts(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """[start, estimate, low, high, p_value]: effects, in percent, of programmes that did not begin in these months."""
    rows = results.rows("placebo_start", outcome, cohort, HEADLINE_INFERENCE)
    starts = pd.to_datetime(rows.term.str.removeprefix("att_from_"), format="%Y-%m")
    return _estimates(rows).assign(start=starts).sort_values("start", ignore_index=True)[["start", *COLUMNS]]


def placebo_starts_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What the method finds at starts where nothing began."""
    label, found = results.protocol.cohort_labels[cohort], placebo_starts(results, outcome, cohort)
    if found.empty:
        return f"{label}: no placebo start could be tried."
    return (
        f"{label}: from {signed(found.estimate.min())} to {signed(found.estimate.max())} over {len(found)} placebo starts, "
        f"{_side(found.estimate)}. {beyond_zero(found, found.start.dt.strftime('%B %Y'))}"
    )


def placebo(results: Results, outcome: str, cohort: str, design: str) -> Estimate | None:
    """Mean and central range, in percent, of placebo estimates; p-value: share as far from zero as the actual one."""
    return results.find(design, outcome, cohort, "att", PLACEBO)


@or_reason
def placebo_places_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Where the actual estimate lies among those of other choices of sites."""
    label, actual = results.protocol.cohort_labels[cohort], results.effect(outcome, cohort)
    found = placebo(results, outcome, cohort, "placebo_places")
    if found is None:
        return f"{label}: no other choice of sites could be tried."
    inside = "inside" if found.low <= actual.value <= found.high else "outside"
    return (
        f"{label}: {signed(actual.value)}, {inside} the central range of the placebo estimates ({span(found)}); "
        f"{share_text(found.p_value)} of them lie as far from zero."
    )


def high_use_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What places of high use show without any programme, and how many of the cohort's units were such places."""
    label = results.protocol.cohort_labels[cohort]
    found = placebo(results, outcome, cohort, "placebo_high_use")
    if found is None:
        return f"{label}: too few places of high use to draw as many sites from."
    above, units = high_use_units(results, outcome, cohort)
    share = results.protocol.inference.high_use_share
    return (
        f"{label}: as many sites drawn from the {share:.0%} of controls of highest use come out {above_or_below(found.value)} the rest on average, without any "
        f"programme ({results.protocol.study.conf_level:.0%} of draws {span(found)}). Of the cohort's own {units} units, {counted(above) if above else 'none'} had use as high, where {share * units:.1f} would be expected."
    )


def high_use_units(results: Results, outcome: str, cohort: str) -> tuple[int, int]:
    """How many of the cohort's units used as much per head in the year before the start as the top share of controls; of how many."""
    start, share = results.protocol.study.programme_start, results.protocol.inference.high_use_share
    panel = results.panel
    rows = panel[
        panel.geography.isin(ANALYSED) & (panel.outcome == outcome) & panel.value.notna()
        & (panel.month < start) & (panel.month >= start - pd.DateOffset(months=MONTHS_A_YEAR))
    ]  # fmt: skip
    sums = rows.groupby(["unit", "model", "covered_share"], dropna=False)[["value", "population"]].sum().reset_index()
    use = sums.value / sums.population
    ours = sums.model.isin(results.protocol.treated_cohorts[cohort]) & (sums.covered_share == 1)
    high = use[sums.model == NO_MODEL].quantile(1 - share)
    return int((use[ours] >= high).sum()), int(ours.sum())


# Other estimators and outcomes


@or_reason
def group_time_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The mean of the group-time effects beside the primary estimate."""
    label, primary = results.protocol.cohort_labels[cohort], results.effect(outcome, cohort)
    rows = _estimates(results.rows("group_time", outcome, cohort, "CS_analytic")).query("term == 'att'")
    if rows.empty:
        return f"{label}: no group-time effect could be estimated."
    found = Estimate(*rows[COLUMNS].iloc[0])
    return f"{label}: {signed(found.value)} ({span(found)}), beside {signed(primary.value)} by the primary model."


def planned_care(results: Results) -> str:
    """What the negative controls can tell; or that the study has none."""
    if not negative_controls(results):
        return "No outcome of this study is a negative control, which would tell whether something other than the programme was at work."
    agreement = f"{results.protocol.quality.agreement:.0%}"
    return (
        f"{results.protocol.report.planned_care} If it clearly moved too (@tbl-outcomes), something other than the programme could be at work. It is a weak check. Some "
        f"gaps in these outcomes stay unmasked, because the levels on either side of them differ by more than the {agreement} that the rule allows; that blurs them "
        "further."
    )


def secondary_sentence(results: Results) -> str:
    """The secondary outcomes model by model, or that this data set does not hold them."""
    parts, missed = [], missed_text(results.protocol.inference.power)
    for outcome in results.protocol.outcomes:
        if outcome.role != "secondary":
            continue
        if not results.holds(outcome.id):
            parts.append(f"{outcome.label}, the secondary outcome, are not in this data set.")
            continue
        found, clear, lost = [], [], []
        for model in results.protocol.model_ids:
            try:
                effect, (fall, _) = results.effect(outcome.id, model), results.detectable(outcome.id, model)
            except NotEstimated as absent:
                lost.append(reason(results, absent))
                continue
            label = results.protocol.cohort_labels[model]
            found.append(
                f"{signed(effect.value)} ({span(effect)}) for {label}, where by the width of the interval a true fall of {fall:.0f}% would be missed {missed}"
            )
            clear += [label] if effect.excludes_zero else []
        if not found:
            parts += lost
            continue
        ending = f"The interval leaves out zero for {listed(clear)}." if clear else "Every interval includes zero."
        parts.append(
            f"{headed(outcome.label)}, the secondary outcome, are counted by local authority, and the estimates are of covering "
            f"all of an authority's people: {', and '.join(found)}. {ending}"
        )
        parts += lost
    return " ".join(parts)


def _side(estimates: pd.Series) -> str:
    below = int((estimates < 0).sum())
    return {0: "none below zero", len(estimates): "all below zero"}.get(below, f"{below} of them below zero")


def _estimates(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.rename(columns={"ci_low": "low", "ci_high": "high"})
