"""Sentences about the methods for an interrupted time series: how far they agree, and how sure each is."""

from __future__ import annotations

import math
from itertools import combinations

from analysis.estimation.its.terms import (
    ARIMA_ML,
    CONTROLLED,
    HAC,
    KENWARD_ROGER,
    NEGATIVE_BINOMIAL,
    OLS,
    PRAIS_WINSTEN,
    PSEUDO_COHORTS,
    QUASI_POISSON,
    REAL_PLACES,
    SATTERTHWAITE,
    SINGLE,
)
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.words import (
    late_term,
    named_terms,
    set_size,
)
from analysis.reporting.wording import (
    counted,
    headed,
    listed,
    listed_apart,
    p_text,
    share_text,
    signed,
    span,
)

SERIES_METHODS = {
    OLS: "least squares",
    HAC: "Newey–West",
    PRAIS_WINSTEN: "Prais–Winsten",
    SATTERTHWAITE: "REML (Satterthwaite)",
    KENWARD_ROGER: "REML (Kenward–Roger)",
    ARIMA_ML: "ARIMA",
    QUASI_POISSON: "quasi-Poisson",
    NEGATIVE_BINOMIAL: "negative binomial",
    PSEUDO_COHORTS: "pseudo-cohorts",
}
KINDS = {CONTROLLED: "controlled", SINGLE: "single-group"}


def disagreement_sentence(results: Results, outcome: str, cohort: str, kind: str = CONTROLLED) -> str:
    """For each term, which methods reject no change and which do not; in one word where they agree."""
    label, level = headed(results.protocol.cohort_labels[cohort]), results.protocol.study.level
    table = results.its_methods
    rows = table[(table.outcome == outcome) & (table.cohort == cohort) & (table.design == kind)]
    if rows.empty:
        return f"{label}: no {KINDS[kind]} series could be estimated."
    parts = []
    for term, name in named_terms(results).items():
        found = rows[rows.term == term]
        clear = [SERIES_METHODS[method] for method in found.method[found.p_value < level]]
        others = [SERIES_METHODS[method] for method in found.method[found.p_value >= level]]
        silent = [SERIES_METHODS[method] for method in found.method[found.p_value.isna()]]
        if clear and others:
            parts.append(f"{name}: {listed(clear)} {_find(clear)} a change; {listed(others)} {_not(others)}.")
        else:
            parts.append(f"{name}: {'every' if clear else 'no'} method finds a change.")
        parts[-1] += f" {headed(listed(silent))} cannot tell." if silent else ""
    return f"{label}, {KINDS[kind]}. {' '.join(map(headed, parts))}"


def methods_summary(results: Results, outcome: str) -> str:
    """For each model, how many of the model-based methods find a late departure, what pseudo-cohorts say, and what Newey–West
    errors, the rule first written in the main study, would have said."""
    table, parts, first = results.its_methods, [], []
    level = results.protocol.study.level
    for model in results.protocol.model_ids:
        rows = table[
            (table.outcome == outcome) & (table.cohort == model) & (table.design == CONTROLLED) & (table.term == late_term(results))
        ]  # fmt: skip
        others, beside = rows[rows.method != PSEUDO_COHORTS], rows[rows.method == PSEUDO_COHORTS]
        if others.empty or beside.empty:
            continue
        tests, clear = int(others.p_value.notna().sum()), int((others.p_value < level).sum())
        number = {0: "none", tests: f"all {counted(tests)}"}.get(clear, f"{counted(clear)} of {counted(tests)}")
        label = results.protocol.cohort_labels[model]
        parts.append(f"for {label} by {number} (beside other places {p_text(beside.p_value.iloc[0])})")
        old = others[others.method == HAC].iloc[0]
        found = Estimate(old.percent, old.ci_low, old.ci_high, old.p_value)
        first.append(f"{signed(found.value)} for {label} ({span(found)}, {p_text(found.p_value)})")
    if not parts:
        return "No controlled series could be estimated by several methods."
    rule = (
        "The rule first written, Newey–West errors," if results.protocol.its.newey_west_first else "Newey–West errors"
    )
    return (
        f"How sure one is depends on the method. Of the usual methods that have a test, a late departure is found {listed_apart(parts)}. "
        f"{rule} would have said {listed(first)}{_how_often(results)}."
    )


def _how_often(results: Results) -> str:
    """How often Newey–West finds a late departure in sets of other places."""
    table = results.its_simulation
    if table is None:
        return ""
    rows = table[(table.scenario == REAL_PLACES) & (table.method == HAC) & (table.term == late_term(results))]
    return (
        f"; by that rule a late departure is found in {rows.size_or_power.iloc[0]:.0%} of sets of {counted(set_size(results))} other places"
        if len(rows)
        else ""
    )


def _find(names: list[str]) -> str:
    return "finds" if _is_one(names) else "find"


def _not(names: list[str]) -> str:
    return "does not" if _is_one(names) else "do not"


def _is_one(names: list[str]) -> bool:
    """Whether a verb after these names is in the singular."""
    return len(names) == 1 and not names[0].endswith("s")


def pairs_sentence(results: Results, outcome: str) -> str:
    """In what share of pairs two of the model-based methods disagree on whether there is a change, over all series."""
    table = results.its_methods
    table = table[(table.outcome == outcome) & (table.method != PSEUDO_COHORTS)]
    if table.empty:
        return "No series could be estimated."
    pairs = apart = series = 0
    for _, rows in table.groupby(["cohort", "design", "term"]):
        said = list(rows.p_value.dropna() < results.protocol.study.level)
        series += 1
        pairs += math.comb(len(said), 2)
        apart += sum(one != other for one, other in combinations(said, 2))
    methods = table.method.nunique()

    known = "pairs of six methods for interrupted time series that disagree on significance"
    found = results.facts(f"{known}, low", f"{known}, high")
    published = (
        f" In published series six methods disagreed in {found[0]} to {found[1]}% of pairs [@turner2021]."
        if found
        else ""
    )
    return (
        f"Over every cohort, site and series, single-group and controlled, and three terms of each ({series:,} in all), two of the {counted(methods)} "
        f"model-based methods disagree on whether there is a change in {share_text(apart / pairs)} of pairs.{published}"
    )
