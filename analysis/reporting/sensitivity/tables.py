"""Tables of how far choices and placebos move the estimates, and of what could not be estimated."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.reporting.choices.words import COLUMNS, variants
from analysis.reporting.results import Estimate, Results
from analysis.reporting.sensitivity.words import placebo
from analysis.reporting.table import Table, fall_text, p_value, values, with_bounds
from analysis.reporting.wording import headed, in_sentence, listed

MOST = 12  # names in a cell, which must fit a page
PLACEBOS = {"placebo_places": "other choices of sites", "placebo_high_use": "places of high use"}


def variants_table(results: Results, outcome: str) -> Table:
    """The effect over the programme under every specification that ran, cohort by cohort."""
    protocol = results.protocol
    found = {
        cohort: variants(results, outcome, cohort).set_index("specification") for cohort in protocol.treated_cohorts
    }
    ran = [s for s in protocol.specifications if any(s.id in table.index for table in found.values())]
    cells = pd.DataFrame({"Choice": [s.label for s in ran]})
    for cohort, table in found.items():
        texts = {
            row.Index: with_bounds(Estimate(*[getattr(row, name) for name in COLUMNS])) for row in table.itertuples()
        }
        cells[f"{headed(protocol.cohort_labels[cohort])}, %"] = [texts.get(s.id, "not run") for s in ran]
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption="The effect over the programme under every choice",
        data=pd.concat(
            [table.reset_index().assign(cohort=cohort) for cohort, table in found.items()], ignore_index=True
        ),
        note=f"{protocol.study.conf_level:.0%} randomisation intervals. What a choice does not say is as in the first row. The CSV has p-values, detectable "
        "falls and numbers of units.",
    )


def placebo_table(results: Results, outcome: str) -> Table:
    """The actual estimates beside those of placebo places."""
    protocol = results.protocol
    rows, data = [], []
    for design, name in PLACEBOS.items():
        for cohort in protocol.treated_cohorts:
            found, label = placebo(results, outcome, cohort, design), headed(protocol.cohort_labels[cohort])
            actual = results.find_effect(outcome, cohort)
            rows.append(
                [headed(name), label, with_bounds(actual), with_bounds(found), p_value(found) if found else "–"]
            )
            if found:
                data.append((name, label, values(actual)[0], found.value, found.low, found.high, found.p_value))
    level = f"{protocol.study.conf_level:.0%}"
    headers = ["Placebo", "Cohort", "Actual effect, %", f"Placebo mean and central {level}, %", "As far from zero"]
    names = ["placebo", "cohort", "actual_percent", "mean_percent", "low", "high", "share_as_far_from_zero"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Placebo places",
        data=pd.DataFrame(data, columns=names),
        note="As far from zero: share of the placebo estimates, not divided by their standard errors, that lie as far from zero as the actual one.",
    )


def controls_table(results: Results, outcomes: list[str]) -> Table:
    """Outcomes that the programme was not first meant to move, by both kinds of inference, cohort by cohort."""
    protocol = results.protocol
    rows, data = [], []
    for outcome in outcomes:
        for cohort in protocol.treated_cohorts:
            effect = results.find_effect(outcome, cohort)
            usual = results.find("did", outcome, cohort, "att", "CR1")
            fall, _ = results.fall_found(outcome, cohort)
            names = [protocol.outcome(outcome).label, headed(protocol.cohort_labels[cohort])]
            rows.append([*names, with_bounds(effect), p_value(effect), p_value(usual), fall_text(fall)])
            data.append(
                (
                    *names,
                    *values(effect),
                    *values(usual)[1:],
                    fall,
                )
            )
    headers = ["Outcome", "Cohort", "Effect, %", "p", "p, CR1", "Detectable fall, %"]
    names = [
        "outcome",
        "cohort",
        "effect_percent",
        "ci_low",
        "ci_high",
        "p_value",
        "cr1_low",
        "cr1_high",
        "cr1_p_value",
        "detectable_fall_percent",
    ]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Negative controls over the programme",
        data=pd.DataFrame(data, columns=names),
        note=f"{protocol.study.conf_level:.0%} interval, p and detectable fall by randomisation, as for the primary outcome.",
    )


def group_time_table(results: Results, outcome: str) -> Table:
    """Callaway and Sant'Anna's effects by year since the start, cohort by cohort."""
    protocol = results.protocol
    tables = []
    for cohort in protocol.treated_cohorts:
        rows = results.rows("group_time", outcome, cohort, "CS_analytic")
        tables.append(rows.rename(columns={"ci_low": "low", "ci_high": "high"}))
    data = pd.concat(tables, ignore_index=True)
    terms = sorted(data.term.unique(), key=lambda term: (term != "att", int(term.partition("_")[2] or 0)))
    cells = pd.DataFrame({"Year": [_year(results, term) for term in terms]})
    for cohort in protocol.treated_cohorts:
        rows = data[data.cohort == cohort]
        texts = {
            row.term: with_bounds(Estimate(*[getattr(row, name) for name in COLUMNS])) for row in rows.itertuples()
        }
        cells[f"{headed(protocol.cohort_labels[cohort])}, %"] = [texts.get(term, "–") for term in terms]
    columns = ["cohort", "term", "estimate", "low", "high", "p_value", "n_units", "n_treated", "notes"]
    return Table(
        cells=cells,
        numeric=tuple(cells.columns[1:]),
        caption="Group-time effects by year: log rates per head, each unit counting the same",
        data=data[columns],
        note=f"{protocol.study.conf_level:.0%} intervals from influence functions, clustered by site: with so few sites such errors are mostly too small. Units that lack a month are left out; the CSV "
        "says how many.",
    )


def absent_table(results: Results) -> Table:
    """What could not be estimated, and which units could not be used, with the reason."""
    found = results.not_run
    unit = found.design == "unit"
    parts = found.reason.str.partition(": ")
    items = pd.DataFrame(
        {
            "kind": unit.map({True: "Left out", False: "Not run"}),
            "what": parts[0].where(unit, [_what(results, row) for row in found.itertuples()]).str.removeprefix("NHS "),
            "why": parts[2].where(unit, found.reason).map(headed),
            "outcome": found.outcome.map(_series_labels(results)),
            "specification": found.specification.map({s.id: s.label for s in results.protocol.specifications}),
        }
    )
    # What was left out for the same reason of the same outcomes stands in one row.
    outcomes = items.groupby(["kind", "what", "why"], sort=False).agg(
        outcome=("outcome", _listed), specification=("specification", lambda labels: list(dict.fromkeys(labels)))
    ).reset_index()  # fmt: skip
    only = (outcomes.kind == "Left out") & (outcomes.specification.str.len() == 1)
    outcomes["why"] += (" (“" + outcomes.specification.str[0] + "”)").where(only, "")
    rows = outcomes.groupby(["kind", "why", "outcome"], sort=False).what.agg(lambda names: _all_or(results, names))
    rows = rows.reset_index().sort_values("kind", kind="stable")[["kind", "what", "outcome", "why"]]
    return Table(
        cells=rows.set_axis(["Kind", "What", "Outcomes", "Why"], axis="columns"),
        numeric=(),
        caption="Units left out, and analyses that could not be run",
        data=found,
        note="The CSV has a row for each outcome, cohort and specification.",
        widths=(10, 42, 22, 26),
    )


DESIGNS = {
    "group_time": "group-time effects",
    "placebo_high_use": "placebos of high use",
    "placebo_start": "placebo starts",
    "leave_one_out": "single sites left out",
    "its": "interrupted time series",
    "trend_sensitivity": "sensitivity to parallel trends",
    "synthetic": "synthetic counterfactual",
    "sites": "sites one by one",
}


def _series_labels(results: Results) -> dict[str, str]:
    """Labels of the outcomes, and of the national series that they are held against."""
    protocol = results.protocol
    checks = {check.id: check.label for check in protocol.its.national_checks}
    return checks | {outcome.id: outcome.label for outcome in protocol.outcomes}


def _what(results: Results, row: Any) -> str:
    """The specification that did not run, or the design of it, and for whom."""
    text = results.protocol.specification(row.specification).label
    if row.design != "all":
        text = headed(DESIGNS.get(row.design, row.design.replace("_", " ")))
    return text if row.cohort == "all" else f"{text} ({results.protocol.cohort_labels.get(row.cohort, row.cohort)})"


def _all_or(results: Results, names: pd.Series) -> str:
    everything = {s.label for s in results.protocol.specifications} <= set(names)
    if everything:
        return "Everything"
    shown, more = list(names[:MOST]), len(names) - MOST
    return "; ".join(shown) + (f"; and {more:,} more" if more > 0 else "")


def _listed(values: pd.Series) -> str:
    return headed(listed([in_sentence(str(value)) for value in dict.fromkeys(values)]))


def _year(results: Results, term: str) -> str:
    """att → Whole programme; dynamic_+1 → its second year; dynamic_-1 → the year before."""
    if term == "att":
        return "Whole programme"
    since = int(term.removeprefix("dynamic_"))
    if 0 <= since < len(results.protocol.programme_years):
        return results.protocol.programme_years[since].label
    first = results.protocol.study.programme_start.year + since
    year = f"{first}/{(first + 1) % 100:02d}"
    return year if since >= 0 else f"{year}, on the year before it"
