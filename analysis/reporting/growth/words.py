"""Sentences about growth per head: ours, the published one, and the difference from the rest of England."""

from __future__ import annotations

import math

from analysis.protocol.protocol import REST
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.results import Estimate, Results
from analysis.reporting.wording import changes, counted, headed, in_sentence, listed, plain, signed, span


def compared_rule(results: Results, outcome: str) -> str | None:
    """The comparison that the summary makes: one that others published, where there is one; None where no growth could be worked out."""
    rules = sorted(results.protocol.growth, key=lambda rule: not rule.published)
    cohorts = [*results.protocol.model_ids, REST]
    held = (rule.id for rule in rules if any(_growth(results, outcome, cohort, rule.id) for cohort in cohorts))
    return next(held, None)


def summary(results: Results, outcome: str) -> str:
    """Growth per head, ours and the published, and the difference from the rest; or that none could be worked out."""
    rule = compared_rule(results, outcome)
    if rule is None:
        return "" if not results.protocol.growth else "Growth per head could not be worked out on this data set."
    parts = [
        growth_sentence(results, rule, outcome),
        gap_sentence(results, rule, outcome),
        published_sentence(results, rule),
    ]
    return " ".join(filter(None, [*parts, "See @fig-growth."]))


def _growth(results: Results, outcome: str, cohort: str, rule_id: str) -> Estimate | None:
    return results.find("growth", outcome, cohort, f"growth_{rule_id}", "linearised")


@or_reason
def growth_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Our growth per head on one baseline, cohort by cohort, with intervals."""
    rule, labels = results.protocol.growth_rule(rule_id), results.protocol.cohort_labels
    found, lost = estimated(
        results, [*results.protocol.model_ids, REST], lambda c: growth_of(results, outcome, c, rule_id)
    )
    parts = [(growth.value, f"in {_the(labels[cohort], cohort)} ({span(growth)})") for cohort, growth in found.items()]
    name = in_sentence(results.protocol.outcome(outcome).label)
    return " ".join([f"Comparing {rule.label}, {name} per head {changes(parts)}.", *lost])


def growth_of(results: Results, outcome: str, cohort: str, rule_id: str) -> Estimate:
    """Growth per head of a cohort on one of the protocol's comparisons."""
    return results.percent("growth", outcome, cohort, f"growth_{rule_id}", "linearised")


def published_sentence(results: Results, rule_id: str) -> str:
    """What NHS England reported on the same windows; nothing where it reported nothing."""
    rule, labels = results.protocol.growth_rule(rule_id), results.protocol.cohort_labels
    values = published_growth(results, rule.published)
    if not values:
        return ""
    parts = [f"{plain(value)} in {_the(labels[c], c)}" for c, value in values.items()]
    return f"For emergency admissions per head NHS England reported growth of {listed(parts)}."


def comparison_sentence(results: Results) -> str:
    """Whose comparison the table of growth makes, and how many times."""
    rules = results.protocol.growth
    if not rules:
        return "The protocol asks for no comparison of one year with another."
    number = counted(len(rules))
    if any(rule.published for rule in rules):
        return f"NHS England compared one year with another. @tbl-growth makes {number} such comparisons."
    return f"The simplest comparison is of one year with another. @tbl-growth makes {number} of them."


def in_programme_sentence(results: Results) -> str:
    """How many of the comparisons start from months of the programme itself; nothing where none does."""
    during = sum(rule.baseline_in_programme for rule in results.protocol.growth)
    if not during:
        return ""
    some = "of them, marked in the table, "
    if during == 1:
        return f"One {some}contains months in which the programme was already running, so it measures part of a change against itself."
    return f"{headed(counted(during))} {some}contain months in which the programme was already running, so they measure part of a change against itself."


def published_growth(results: Results, prefix: str | None) -> dict[str, float]:
    """Cohort → published growth in percent, for rows of the table of published results whose id starts with ``prefix``; none without one."""
    if prefix is None:
        return {}
    rows = results.published[results.published.id.str.startswith(f"{prefix}-")].set_index("cohort").value
    names = {model: model for model in results.protocol.model_ids} | {REST: results.protocol.pooled.rest_label}
    return {cohort: float(rows[name]) for cohort, name in names.items() if name in rows.index}


@or_reason
def gap_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Whether the growth of each model differs from the rest's by more than chance allows."""
    labels = results.protocol.cohort_labels
    gaps, lost = estimated(results, results.protocol.model_ids, lambda model: _gap(results, outcome, model, rule_id))
    parts = [f"{signed(gap.value)} for {labels[m]} sites ({span(gap)})" for m, gap in gaps.items()]
    clear = [labels[model] for model, gap in gaps.items() if gap.excludes_zero]
    none = {1: "It cannot", 2: "Neither can"}.get(len(gaps), "None can")
    ending = f"{none} be told apart from chance."
    if clear:
        ending = f"Chance alone would not easily explain the difference for {listed(clear)}."
    elif any(math.isnan(gap.low) for gap in gaps.values()):
        ending = "Growth of one site alone has no interval."
    return " ".join([f"Against growth in the rest of England that is {listed(parts)}. {ending}", *lost])


@or_reason
def gaps_sentence(results: Results, outcome: str) -> str:
    """How the difference in growth moves with the baseline."""
    labels, parts, clear, total = results.protocol.cohort_labels, [], 0, 0
    rules = [rule.id for rule in results.protocol.growth]
    found, lost = estimated(
        results, results.protocol.model_ids, lambda model: [_gap(results, outcome, model, rule) for rule in rules]
    )
    for model, gaps in found.items():
        values = [gap.value for gap in gaps]
        turns = ", changing sign with the baseline" if min(values) < 0 < max(values) else ""
        parts.append(f"from {signed(min(values))} to {signed(max(values))} for {labels[model]}{turns}")
        clear += sum(gap.excludes_zero for gap in gaps)
        total += sum(not math.isnan(gap.low) for gap in gaps)
    ending = (
        f"{headed(counted(clear))} of the {total} intervals leave out zero."
        if clear
        else "Every interval of these differences includes zero."
        if total
        else "Growth of one site alone has no interval."
    )
    return " ".join([f"Against the rest of England, the difference in growth runs {'; '.join(parts)}. {ending}", *lost])


def _gap(results: Results, outcome: str, model: str, rule_id: str) -> Estimate:
    return results.percent("growth", outcome, model, f"growth_gap_{rule_id}", "linearised")


def _the(label: str, cohort: str) -> str:
    return f"the {label}" if cohort == REST else f"{label} sites"
