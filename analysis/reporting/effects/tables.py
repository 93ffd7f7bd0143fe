"""Tables of estimates: growth, difference-in-differences, other outcomes."""

from __future__ import annotations

import pandas as pd

from analysis.protocol.protocol import RECORDS, REST
from analysis.reporting.certainty.error_rates_words import detectable_note
from analysis.reporting.results import Estimate, Results
from analysis.reporting.table import (
    NONE,
    Table,
    bounds,
    fall_text,
    number,
    p_value,
    periods,
    unbroken,
    values,
    with_bounds,
)
from analysis.reporting.wording import NO_BREAK, headed, in_sentence, listed, plain


def growth_table(results: Results, outcome: str) -> Table:
    """Growth per head on each baseline, cohort by cohort, and each model's difference from the rest."""
    labels, models = results.protocol.cohort_labels, results.protocol.model_ids
    columns = {f"{headed(labels[c])}, %": (c, "growth") for c in [*models, REST]}
    columns |= {f"{labels[m]} against the rest, %": (m, "growth_gap") for m in models}
    rows, data = [], []
    for rule in results.protocol.growth:
        cells = [headed(rule.label) + ("*" if rule.baseline_in_programme else "")]
        for cohort, kind in columns.values():
            found = results.find("growth", outcome, cohort, f"{kind}_{rule.id}", "linearised")
            cells.append(_growth(found, kind))
            data.append((rule.label, cohort, kind, *values(found)[:3]))
        rows.append(cells)
    return Table(
        cells=pd.DataFrame(rows, columns=["Compared", *columns]),
        numeric=tuple(columns),
        caption=f"Growth of non-elective admissions per head, with {results.protocol.study.conf_level:.0%} intervals",
        data=pd.DataFrame(data, columns=["compared", "cohort", "kind", "percent", "ci_low", "ci_high"]),
        note="\\* The baseline holds months of the programme. Against the rest: growth relative to it, a ratio. Intervals by linearised ratio of sums, over sites or, for the rest of England, its units.",
        widths=(20, *[80 // len(columns)] * len(columns)),
    )


def _growth(found: Estimate | None, kind: str) -> str:
    """A difference with its sign, a growth without a plus; and the interval."""
    if found is None:
        return NONE
    text = number(found.value) if kind == "growth_gap" else plain(found.value).removesuffix("%")
    return unbroken(f"{text} ({bounds(found)})")


def effects_table(results: Results, outcome: str) -> Table:
    """Difference-in-differences of every cohort, for the three years together and each year."""
    protocol = results.protocol
    rows, data = [], []
    for cohort in protocol.treated_cohorts:
        for term, period in periods(results).items():
            effect = results.find_effect(outcome, cohort, term)
            fall, rise = results.fall_found(outcome, cohort, term.replace("att", "mde"))
            label, found = protocol.cohort_labels[cohort], values(effect)
            rows.append([label, period, number(found[0]), bounds(effect), p_value(effect), fall_text(fall)])
            data.append((label, period, *found, fall, rise))
    level = f"{protocol.study.conf_level:.0%}"
    headers = ["Cohort", "Period", "Effect, %", f"{level} interval", "p", "Detectable fall, %"]
    names = [
        "cohort",
        "period",
        "effect_percent",
        "ci_low",
        "ci_high",
        "p_value",
        "detectable_fall_percent",
        "detectable_rise_percent",
    ]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption=f"{protocol.outcome(outcome).label} per head: difference-in-differences",
        data=pd.DataFrame(data, columns=names),
        note=f"Interval and p by randomisation over sites. {detectable_note(results, outcome)}",
        source=results.source_of(outcome),
    )


ROLES = {"primary": "primary", "secondary": "secondary", "negative_control": f"negative{NO_BREAK}control"}


def outcomes_table(results: Results) -> Table:
    """The effect on every outcome that the data set holds, whatever its role, model by model."""
    protocol = results.protocol
    rows, data = [], []
    for outcome in results.outcomes:
        cells = [outcome.label, ROLES[outcome.role]]
        for model in protocol.model_ids:
            effect = results.find_effect(outcome.id, model)
            cells += [with_bounds(effect), p_value(effect)]
            data.append((outcome.label, outcome.role, model, *values(effect)))
        rows.append(cells)
    counted = [in_sentence(outcome.label) for outcome in results.outcomes if outcome.source == RECORDS]
    of_records = f" {headed(listed(counted))} are from {results.records_name}." if counted else ""
    headers = ["Outcome", "Role"]
    for model in protocol.model_ids:
        headers += [f"{protocol.cohort_labels[model]}, %", f"p{NO_BREAK}({protocol.cohort_labels[model]})"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Effect over the programme on each outcome",
        data=pd.DataFrame(
            data, columns=["outcome", "role", "cohort", "effect_percent", "ci_low", "ci_high", "p_value"]
        ),
        note=f"Difference-in-differences with {protocol.study.conf_level:.0%} randomisation intervals.{of_records}",
        source="; ".join(dict.fromkeys(results.source_of(outcome.id) for outcome in results.outcomes)),
    )
