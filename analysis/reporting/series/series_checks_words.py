"""Sentences about how far an interrupted time series can be trusted: residuals, placebo starts, power, single sites."""

from __future__ import annotations

import math

import pandas as pd

from analysis.estimation.its.terms import (
    CONTROLLED,
    KENWARD_ROGER,
    LEVEL,
    OLS,
    PLACEBO_START,
    PSEUDO_COHORTS,
    SLOPE,
)
from analysis.protocol.protocol import ENGLAND_COHORT, REST
from analysis.reporting.results import PRIMARY, Estimate, Results
from analysis.reporting.series.words import (
    TERMS,
    breaks_specification,
    detectable_change,
    known_breaks,
    late_departure,
    late_term,
    named_terms,
)
from analysis.reporting.wording import (
    counted,
    duration_text,
    headed,
    listed,
    p_text,
    signed,
    span,
)

LAST = 0.985  # an autocorrelation that prints as the last that is allowed
PLACEBO_SHARE = 0.2  # of placebo tests that find something, from which the path before is said to bend


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
    without = without_month(late, row.influence)
    return (
        f"{text} Without the month that matters most, {pd.Timestamp(f'{row.influential_month}-01'):%B %Y}, the departure in month {month} would be {signed(without)}, "
        f"where it is {signed(late.value)}."
    )


def without_month(late: Estimate, influence: float) -> float:
    """A late departure, in percent, whose logarithm moves by ``influence`` when a month is left out."""
    return 100 * math.expm1(math.log1p(late.value / 100) + influence)


def diagnostics(results: Results, outcome: str) -> pd.DataFrame:
    """Rows of the diagnostics of an outcome under the first specification; none where no series could be estimated."""
    table = results.series("its_diagnostics")
    if table.empty:
        return pd.DataFrame(columns=["cohort", "design", "phi"])
    return table[(table.outcome == outcome) & (table.specification == PRIMARY)]


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
    models = results.protocol.model_ids
    bent = [results.protocol.cohort_labels[model] for model in models if bends_sentence(results, outcome, model)]
    text = f"It leans on a trend of {duration_text(results.protocol.months_before)}"
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
    for term, name in named_terms(results).items():
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
