"""Sentences about growth per head: ours, the published one, and the difference from the rest of England."""

from __future__ import annotations

from analysis.narrative.wording import changes, counted, headed, in_sentence, listed, plain, signed, span
from analysis.protocol import REST
from analysis.results import Estimate, Results


def growth_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Our growth per head on one baseline, cohort by cohort, with intervals."""
    rule, labels = results.protocol.growth_rule(rule_id), results.protocol.cohort_labels
    parts = []
    for cohort in [*results.protocol.model_ids, REST]:
        found = results.percent("growth", outcome, cohort, f"growth_{rule_id}", "linearised")
        parts.append((found.value, f"in {_the(labels[cohort], cohort)} ({span(found)})"))
    name = in_sentence(results.protocol.outcome(outcome).label)
    return f"Comparing {rule.label}, {name} per head {changes(parts)}."


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


def gap_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Whether the growth of each model differs from the rest's by more than chance allows."""
    labels = results.protocol.cohort_labels
    gaps = {model: _gap(results, outcome, model, rule_id) for model in results.protocol.model_ids}
    parts = [f"{signed(gap.value)} for {labels[m]} sites ({span(gap)})" for m, gap in gaps.items()]
    clear = [labels[model] for model, gap in gaps.items() if gap.excludes_zero]
    none = {1: "It cannot", 2: "Neither can"}.get(len(gaps), "None can")
    ending = f"{none} be told apart from chance."
    if clear:
        ending = f"Chance alone would not easily explain the difference for {listed(clear)}."
    return f"Against growth in the rest of England that is {listed(parts)}. {ending}"


def gaps_sentence(results: Results, outcome: str) -> str:
    """How the difference in growth moves with the baseline."""
    labels, parts, clear, total = results.protocol.cohort_labels, [], 0, 0
    for model in results.protocol.model_ids:
        gaps = [_gap(results, outcome, model, rule.id) for rule in results.protocol.growth]
        values = [gap.value for gap in gaps]
        turns = ", changing sign with the baseline" if min(values) < 0 < max(values) else ""
        parts.append(f"from {signed(min(values))} to {signed(max(values))} for {labels[model]}{turns}")
        clear += sum(gap.excludes_zero for gap in gaps)
        total += len(gaps)
    ending = (
        f"{headed(counted(clear))} of the {total} intervals leave out zero."
        if clear
        else "Every interval of these differences includes zero."
    )
    return f"Against the rest of England, the difference in growth runs {'; '.join(parts)}. {ending}"


def _gap(results: Results, outcome: str, model: str, rule_id: str) -> Estimate:
    return results.percent("growth", outcome, model, f"growth_gap_{rule_id}", "linearised")


def _the(label: str, cohort: str) -> str:
    return f"the {label}" if cohort == REST else f"{label} sites"
