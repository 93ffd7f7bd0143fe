"""Sentences about how far an interrupted time series can be trusted: methods, residuals, placebo starts, power, single sites."""

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
    REAL_PLACES,
    SATTERTHWAITE,
    SINGLE,
    SLOPE,
)
from analysis.narrative.series import (
    breaks_specification,
    detectable_change,
    known_breaks,
    late_departure,
    late_term,
    set_size,
)
from analysis.narrative.wording import (
    counted,
    headed,
    listed,
    listed_apart,
    p_text,
    share_text,
    signed,
    span,
)
from analysis.protocol import ENGLAND_COHORT, REST
from analysis.results import PRIMARY, Estimate, Results

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
LAST = 0.985  # an autocorrelation that prints as the last that is allowed
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


def residuals_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What the controlled series' residuals look like: autocorrelation, dispersion, the month that matters most."""
    label, month = headed(results.protocol.cohort_labels[cohort]), results.protocol.its.effect_month
    rows = diagnostics(results, outcome)
    rows = rows[(rows.cohort == cohort) & (rows.design == CONTROLLED)]
    if rows.empty:
        return f"{label}: no controlled series could be estimated."
    row, level = rows.iloc[0], results.protocol.study.level
    before, after = row.ljung_box_p < level, row.innovations_ljung_box_p < level
    found = {
        (True, True): "autocorrelation can be seen, and an autoregression of order one does not take all of it up",
        (True, False): "autocorrelation can be seen, and an autoregression of order one takes it up",
        (False, True): "one test sees no autocorrelation, the other some that an autoregression of order one leaves",
        (False, False): "no autocorrelation can be seen",
    }[bool(before), bool(after)]
    tests = f"Ljung–Box {p_text(row.ljung_box_p)} before, {p_text(row.innovations_ljung_box_p)} after"
    bound = ", the last that is allowed: its errors may wander without a mean to return to" if row.phi > LAST else ""
    late = results.find(CONTROLLED, outcome, cohort, late_term(results), OLS)
    text = (
        f"{label}: {found} ({tests}; REML puts neighbouring months at φ = {row.phi:.2f}{bound}). Counts vary {row.dispersion:.1f} times as much as Poisson "
        "counts would."
    )
    if late is None:
        return text
    without = 100 * math.expm1(math.log1p(late.value / 100) + row.influence)
    return (
        f"{text} Without the month that matters most, {pd.Timestamp(f'{row.influential_month}-01'):%B %Y}, the departure in month {month} would be {signed(without)}, "
        f"where it is {signed(late.value)}."
    )


def diagnostics(results: Results, outcome: str) -> pd.DataFrame:
    """Rows of the diagnostics of an outcome under the first specification; none where no series could be estimated."""
    table = results.series("its_diagnostics")
    return table[(table.outcome == outcome) & (table.specification == PRIMARY)] if len(table) else table


def placebo_starts_sentence(results: Results, outcome: str, cohort: str) -> str:
    """At how many placebo starts a change is found, by REML and by pseudo-cohorts."""
    label, level = headed(results.protocol.cohort_labels[cohort]), results.protocol.study.level
    found = placebo_starts(results, outcome, cohort)
    if found.empty:
        return f"{label}: no placebo start could be tried."
    parts = []
    for method, name in ((PSEUDO_COHORTS, "beside other places"), (KENWARD_ROGER, "by REML (Kenward–Roger)")):
        rows = found[found.inference == method]
        said = [_tested(rows.p_value[rows.kind == term], level) for term in TERMS]
        parts.append(f"{name} the level changed at {said[0]} and the slope at {said[1]}")
    starts = found.start.nunique()
    ending = (
        " Its path seems to have been no straight line before the programme either."
        if bends_sentence(results, outcome, cohort)
        else ""
    )
    return f"{label}: of {counted(starts)} starts in the months before, {'; '.join(parts)}.{ending}"


def _tested(p_values: pd.Series, level: float) -> str:
    """At how many starts a test finds a change; and of how many, where some have no test."""
    tests, clear = int(p_values.notna().sum()), int((p_values < level).sum())
    of = "" if tests == len(p_values) else f" of the {counted(tests)} that can be tested"
    return f"{counted(clear) if clear else 'none'}{of}"


def bends_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Whether placebo starts say that the path before the programme was no straight line; nothing where they do not."""
    found = placebo_starts(results, outcome, cohort)
    beside = found[found.inference == PSEUDO_COHORTS]
    share = float((beside.p_value < results.protocol.study.level).mean()) if len(beside) else 0.0
    if share <= PLACEBO_SHARE:
        return ""
    label, level = headed(results.protocol.cohort_labels[cohort]), results.protocol.study.level
    number = {term: int((beside.p_value[beside.kind == term] < level).sum()) for term in TERMS}
    return (
        f"The path of {label} seems to have been no straight line before the programme either: of {counted(beside.start.nunique())} starts at which nothing began, so near one another that they are little more than one look, the level "
        f"changes at {counted(number[LEVEL]) if number[LEVEL] else 'none'} and the slope at {counted(number[SLOPE]) if number[SLOPE] else 'none'}, beside other places."
    )


def bends_summary(results: Results, outcome: str) -> str:
    """For the summary: what the second method leans on, and whether that held before the programme."""
    years, models = results.protocol.years_before, results.protocol.model_ids
    bent = [results.protocol.cohort_labels[model] for model in models if bends_sentence(results, outcome, model)]
    text = f"It leans on a trend of {counted(years)} years"
    return f"{text}, over which the path of {listed(bent)} seems to have been no straight line." if bent else f"{text}."


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
    parts, endless = [], []
    for term, name in _terms(results).items():
        found = detectable_change(results, outcome, cohort, term)
        if found is None:
            return f"{label}: what the controlled series could have found is not known."
        named = {LEVEL: "a step", SLOPE: "a change of slope"}.get(term, f"a {name}")
        if math.isinf(found[1]):
            endless.append(named)
        else:
            parts.append(
                f"{named} of {signed(-found[0], 2 if term == SLOPE else 1)}{' a month' if term == SLOPE else ''}"
            )
    power = f"{results.protocol.inference.power:.0%}"
    said = [f"by the width of its intervals {listed(parts)} would have been found {power} of the time"] if parts else []
    said += [f"no size of {listed(endless)} would have been"] if endless else []
    return f"{label}: {'; '.join(said)}."


def single_sites_sentence(results: Results, outcome: str) -> str:
    """How many sites' controlled series could be estimated, which leave out zero, and whether those hold a known break."""
    table = site_departures(results, outcome)
    if table.empty:
        return "No site has a controlled series of its own."
    clear = list(table.cohort[(table.ci_low > 0) | (table.ci_high < 0)])
    broken = [site for site in clear if known_breaks(results, outcome, site)]
    text = (
        f"Of {len(table)} sites with a series, the departure in month {results.protocol.its.effect_month} leaves out zero for {listed(clear) if clear else 'none'}; with so many looks about "
        f"{len(table) * results.protocol.study.level:.0f} would by chance."
    )
    return " ".join([text, *[_with_breaks(results, outcome, site) for site in broken]])


def _with_breaks(results: Results, outcome: str, site: str) -> str:
    """The known breaks of a site that stands out, and what becomes of its departure with steps of their own."""
    labels = listed([known.label for known in known_breaks(results, outcome, site)])
    name = breaks_specification(results)
    after = late_departure(results, outcome, site, name) if name else None
    more = "and the series cannot tell them from the programme"
    if after is not None:
        more = f"with a step of its own for each that can be told from the start the departure is {signed(after.value)} ({span(after)})"
    return f"{site} holds known breaks ({labels}); {more}."


def site_departures(results: Results, outcome: str) -> pd.DataFrame:
    """Percent rows of each site's controlled late departure, in order of name."""
    table = results.estimates
    cohorts = {*results.protocol.treated_cohorts, REST, ENGLAND_COHORT}
    found = table[
        (table.design == CONTROLLED) & (table.outcome == outcome) & (table.inference == PSEUDO_COHORTS) & (table.specification == PRIMARY)
        & (table.term == late_term(results) + "_percent") & ~table.cohort.isin(cohorts)
    ]  # fmt: skip
    return found.sort_values("cohort", ignore_index=True)
