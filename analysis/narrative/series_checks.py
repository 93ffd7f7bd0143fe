"""Sentences about how far an interrupted time series can be trusted: methods, residuals, places where nothing began, England."""

from __future__ import annotations

import math
from itertools import combinations

import pandas as pd

from analysis.models.its_terms import (
    ARIMA_ML,
    CONTROLLED,
    HAC,
    KENWARD_ROGER,
    LEVEL,
    NEGATIVE_BINOMIAL,
    OLS,
    PLACEBO_START,
    PRAIS_WINSTEN,
    PSEUDO_COHORTS,
    QUASI_POISSON,
    SATTERTHWAITE,
    SINGLE,
    SLOPE,
)
from analysis.narrative.series import change, late_term
from analysis.narrative.wording import (
    counted,
    headed,
    in_sentence,
    listed,
    listed_apart,
    p_text,
    share_text,
    signed,
    span,
)
from analysis.protocol import ENGLAND_COHORT, REST
from analysis.results import PRIMARY, Results

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
PLACEBO_SHARE = 0.2  # of placebo tests that find something, from which the path before is said to bend
KINDS = {CONTROLLED: "controlled", SINGLE: "single-group"}
TERMS = {LEVEL: "level", SLOPE: "slope"}


def disagreement_sentence(results: Results, outcome: str, cohort: str, kind: str = CONTROLLED) -> str:
    """For each term, which methods reject no change and which do not; in one word where they agree."""
    label, level = headed(results.protocol.cohort_labels[cohort]), results.protocol.study.level
    table = results.its_methods
    rows = table[(table.outcome == outcome) & (table.cohort == cohort) & (table.design == kind)]
    if rows.empty:
        return f"{label}: no {KINDS[kind]} series could be estimated."
    parts = []
    for term, name in _terms(results).items():
        found = rows[rows.term == term]
        clear = [SERIES_METHODS[method] for method in found.method[found.p_value < level]]
        others = [SERIES_METHODS[method] for method in found.method[found.p_value >= level]]
        if clear and others:
            parts.append(f"{name}: {listed(clear)} {_find(clear)} a change; {listed(others)} {_not(others)}.")
        else:
            parts.append(f"{name}: {'every' if clear else 'no'} method finds a change.")
    return f"{label}, {KINDS[kind]}. {' '.join(map(headed, parts))}"


def methods_summary(results: Results, outcome: str) -> str:
    """For each model, how many of the model-based methods reject no late departure, and what pseudo-cohorts say."""
    table, parts = results.its_methods, []
    for model in results.protocol.model_ids:
        rows = table[
            (table.outcome == outcome) & (table.cohort == model) & (table.design == CONTROLLED) & (table.term == late_term(results))
        ]  # fmt: skip
        others, beside = rows[rows.method != PSEUDO_COHORTS], rows[rows.method == PSEUDO_COHORTS]
        if others.empty or beside.empty:
            continue
        clear = int((others.p_value < results.protocol.study.level).sum())
        number = {0: "none", len(others): f"all {counted(len(others))}"}.get(
            clear, f"{counted(clear)} of {counted(len(others))}"
        )
        parts.append(
            f"for {results.protocol.cohort_labels[model]} {number} (pseudo-cohorts: {p_text(beside.p_value.iloc[0])})"
        )
    if not parts:
        return "No controlled series could be estimated by several methods."
    return f"How sure one is depends on the method. Of the usual ones, those that find a late departure of the controlled series are {listed_apart(parts)}."


def _find(names: list[str]) -> str:
    return "finds" if _is_one(names) else "find"


def _not(names: list[str]) -> str:
    return "does not" if _is_one(names) else "do not"


def _is_one(names: list[str]) -> bool:
    """Whether a verb after these names is in the singular."""
    return len(names) == 1 and not names[0].endswith("s")


def _terms(results: Results) -> dict[str, str]:
    return TERMS | {late_term(results): f"departure in month {results.protocol.its.effect_month}"}


def pairs_sentence(results: Results, outcome: str) -> str:
    """In what share of pairs two of the model-based methods disagree on whether there is a change, over all series."""
    table = results.its_methods
    table = table[(table.outcome == outcome) & (table.method != PSEUDO_COHORTS)]
    if table.empty:
        return "No series could be estimated."
    pairs = apart = series = 0
    for _, rows in table.groupby(["cohort", "design", "term"]):
        said = list(rows.p_value < results.protocol.study.level)
        series += 1
        pairs += math.comb(len(said), 2)
        apart += sum(one != other for one, other in combinations(said, 2))
    methods = table.method.nunique()

    def published(end: str) -> int:
        return results.fact(f"pairs of six methods for interrupted time series that disagree on significance, {end}")

    return (
        f"Over every cohort, site and series, single-group and controlled, and three terms of each ({series:,} in all), two of the {counted(methods)} "
        f"model-based methods disagree on whether there is a change in {share_text(apart / pairs)} of pairs. In published series six "
        f"methods disagreed in {published('low')} to {published('high')}% of pairs [@turner2021]."
    )


def residuals_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What the controlled series' residuals look like: autocorrelation, dispersion, the month that matters most."""
    label = headed(results.protocol.cohort_labels[cohort])
    rows = diagnostics(results, outcome)
    rows = rows[(rows.cohort == cohort) & (rows.design == CONTROLLED)]
    if rows.empty:
        return f"{label}: no controlled series could be estimated."
    row = rows.iloc[0]
    month = pd.Timestamp(f"{row.influential_month}-01")
    left = (
        "some autocorrelation is left by an autoregression of order one"
        if row.innovations_ljung_box_p < results.protocol.study.level
        else "an autoregression of order one takes it up"
    )
    found = "can be seen" if row.ljung_box_p < results.protocol.study.level else "cannot be told from none"
    return (
        f"{label}: autocorrelation {found} (Ljung–Box {p_text(row.ljung_box_p)}; REML puts neighbouring months at φ = {row.phi:.2f}); {left} "
        f"({p_text(row.innovations_ljung_box_p)}). Counts vary {row.dispersion:.1f} times as much as Poisson counts would. The month that moves the late departure most "
        f"is {month:%B %Y}, by {_points(100 * row.influence)}, {row.influence_errors:.1f} of its usual errors."
    )


def _points(value: float) -> str:
    return signed(value).removesuffix("%") + " percentage points"


def diagnostics(results: Results, outcome: str) -> pd.DataFrame:
    """Rows of the diagnostics of an outcome under the first specification; none where no series could be estimated."""
    table = results.series("its_diagnostics")
    return table[(table.outcome == outcome) & (table.specification == PRIMARY)] if len(table) else table


def placebo_starts_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How many placebo starts find a change, by REML and by pseudo-cohorts."""
    label, level = headed(results.protocol.cohort_labels[cohort]), results.protocol.study.level
    found = placebo_starts(results, outcome, cohort)
    if found.empty:
        return f"{label}: no placebo start could be tried."
    parts = []
    for method in (KENWARD_ROGER, PSEUDO_COHORTS):
        rows = found[found.inference == method]
        numbers = {name: int((rows.p_value[rows.kind == term] < level).sum()) for term, name in TERMS.items()}
        shares = [f"of {name} at {counted(number) if number else 'none'}" for name, number in numbers.items()]
        parts.append(f"{SERIES_METHODS[method]} {_find([SERIES_METHODS[method]])} a change {listed(shares)}")
    starts = found.start.nunique()
    return (
        f"{label}: of {counted(starts)} starts in the months before, {'; '.join(parts)}. {_bends(found, level)}".strip()
    )


def _bends(found: pd.DataFrame, level: float) -> str:
    """What placebo starts that find something mean."""
    beside = found[found.inference == PSEUDO_COHORTS]
    share = float((beside.p_value < level).mean())
    return "Its path was no straight line before the programme either." if share > PLACEBO_SHARE else ""


def placebo_starts(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """[kind, start, inference, estimate, ci_low, ci_high, p_value] of placebo starts, in percent; ``kind`` is level or slope."""
    parts = [results.rows(PLACEBO_START, outcome, cohort, method) for method in (KENWARD_ROGER, PSEUDO_COHORTS)]
    table = pd.concat(parts, ignore_index=True)
    split = table.term.str.split("_from_", expand=True)
    if table.empty:
        return table.assign(kind="", start="")
    return table.assign(kind=split[0], start=split[1]).sort_values(["inference", "kind", "start"], ignore_index=True)


def power_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The smallest step, change of slope and late departure that the controlled series would mostly have found."""
    label = headed(results.protocol.cohort_labels[cohort])
    parts = []
    for term, name in _terms(results).items():
        rise = results.find("power", outcome, cohort, f"mde_{CONTROLLED}_{term}", PSEUDO_COHORTS)
        if rise is None:
            return f"{label}: what the controlled series could have found is not known."
        fall = 100 - 100 / (1 + rise.value / 100)
        named = {LEVEL: "a step", SLOPE: "a change of slope"}.get(term, f"a {name}")
        parts.append(f"{named} of {signed(-fall, 2 if term == SLOPE else 1)}{' a month' if term == SLOPE else ''}")
    return f"{label}: {listed(parts)} would have been found {results.protocol.inference.power:.0%} of the time."


def national_sentence(results: Results) -> str:
    """England's own series at the programme's start, and its total against the other publication."""
    protocol, parts = results.protocol, []
    month = protocol.its.effect_month
    for check in protocol.its.national_checks:
        name = in_sentence(protocol.outcome(check.outcome).label)
        own = change(results, check.outcome, ENGLAND_COHORT, late_term(results), SINGLE)
        if own is not None:
            parts.append(
                f"England's {name} stand {signed(own.value)} from their own earlier path in month {month} ({span(own)}), though nothing began everywhere."
            )
        level, slope, late = (
            results.find(CONTROLLED, check.outcome, ENGLAND_COHORT, term, KENWARD_ROGER)
            for term in (LEVEL, SLOPE, late_term(results))
        )
        if level is None or slope is None or late is None:
            parts.append(
                f"{headed(in_sentence(check.label))} are not in this data set, so that the return could not be held against them."
            )
            continue
        moved = [term for term, found in (("level", level), ("slope", slope)) if found.excludes_zero]
        ending = (
            f"The {listed(moved)} moved, so that counting may have changed at about the start; what changed alike everywhere drops out of a controlled series."
            if moved
            else "Neither moved: nothing says that counting changed at the start."
        )
        parts.append(
            f"Held against {in_sentence(check.label)}, which hospitals return by themselves, the total shows a step of {signed(level.value)} at the start "
            f"({span(level)}) and a change of slope of {signed(slope.value, 2)} a month ({span(slope, 2)}). {ending}"
        )
    return " ".join(parts)


def rest_sentence(results: Results, outcome: str) -> str:
    """What the single-group design finds in the places where nothing began."""
    label, month = results.protocol.cohort_labels[REST], results.protocol.its.effect_month
    late = change(results, outcome, REST, late_term(results), SINGLE)
    if late is None:
        return ""
    return (
        f"By itself the {label} stands {signed(late.value)} from its own earlier path in month {month} ({span(late)})."
    )


def single_sites_sentence(results: Results, outcome: str) -> str:
    """How many sites' controlled series could be estimated, and which leave out zero."""
    table = site_departures(results, outcome)
    if table.empty:
        return "No site has a controlled series of its own."
    clear = table[(table.ci_low > 0) | (table.ci_high < 0)]
    judged = listed(list(clear.cohort)) if len(clear) else "none"
    return (
        f"Of {len(table)} sites with a series, the departure in month {results.protocol.its.effect_month} leaves out zero for {judged}; with so many looks about "
        f"{len(table) * results.protocol.study.level:.0f} would by chance."
    )


def site_departures(results: Results, outcome: str) -> pd.DataFrame:
    """Percent rows of each site's controlled late departure, in order of name."""
    table = results.estimates
    cohorts = {*results.protocol.treated_cohorts, REST, ENGLAND_COHORT}
    found = table[
        (table.design == CONTROLLED) & (table.outcome == outcome) & (table.inference == PSEUDO_COHORTS) & (table.specification == PRIMARY)
        & (table.term == late_term(results) + "_percent") & ~table.cohort.isin(cohorts)
    ]  # fmt: skip
    return found.sort_values("cohort", ignore_index=True)
