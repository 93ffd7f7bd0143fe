"""How far trends may have parted by themselves before the event study's findings fall: sets, breakdown values, sentences."""

from __future__ import annotations

import math

import pandas as pd

from analysis.estimation.did.event_study import MONTHS_A_QUARTER
from analysis.estimation.did.trend_sensitivity import CONDITIONAL, DESIGN, FIRST, FLCI, HYBRID, WHOLE
from analysis.estimation.parallel_trends.parallel_trends import LARGEST_RELATIVE
from analysis.estimation.regression.estimates import LOG_RATE, PERCENT_SUFFIX, RATIO
from analysis.estimation.verdict import SMALLEST_BREAKDOWN
from analysis.reporting.results import PRIMARY, Estimate, Results
from analysis.reporting.wording import above_or_below, counted, headed, interval, listed, signed, span

RELATIVE, SMOOTHNESS = "relative", "smoothness"
METHODS = {
    (RELATIVE, HYBRID): "relative, hybrid",
    (RELATIVE, CONDITIONAL): "relative, conditional",
    (SMOOTHNESS, FLCI): "smoothness",
}
TARGETS = {WHOLE: "mean of the quarters after the start", FIRST: "first quarter"}
SCALES = {RELATIVE: RATIO, SMOOTHNESS: LOG_RATE}  # of the breakdown values
COLUMNS = ["target", "kind", "method", "magnitude", "estimate", "low", "high"]


def confidence_sets(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """Every confidence set, in percent: [target, kind, method, magnitude, estimate, low, high].

    ``magnitude``: the departure from parallel trends that the set allows, in units of the largest before the programme, or
    in log points by which a trend may bend.
    """
    rows = _rows(results, outcome, cohort)
    rows = rows[rows.term.str.endswith(PERCENT_SUFFIX)]
    terms = rows.term.str.removesuffix(PERCENT_SUFFIX).str.extract(r"^(.+)_(relative|smoothness)_([\d.e+-]+)$")
    found = rows.assign(target=terms[0], kind=terms[1], magnitude=terms[2].astype(float))
    found = found.rename(columns={"inference": "method", "ci_low": "low", "ci_high": "high"})[COLUMNS]
    return found.sort_values(["target", "kind", "method", "magnitude"], ignore_index=True)


def sets(results: Results, outcome: str, cohort: str, kind: str) -> pd.DataFrame:
    """Those of the mean effect under one kind of departure, by the method that is the kind's own."""
    every = confidence_sets(results, outcome, cohort)
    method = HYBRID if kind == RELATIVE else FLCI
    return every[(every.target == WHOLE) & (every.kind == kind) & (every.method == method)]


def breakdown(results: Results, outcome: str, cohort: str, target: str, kind: str, method: str) -> float | None:
    """The departure up to which every set leaves out zero, 0 where the set with none allowed holds it; None where it was not worked out."""
    key = f"{DESIGN}/{outcome}/{cohort}/{PRIMARY}/{target}_breakdown_{kind}/{method}"
    return float(results.estimates.estimate[key]) if key in results.ids else None


def breakdown_text(value: float) -> str:
    """A breakdown value; relative magnitudes are not sought beyond a point."""
    return f"more than {LARGEST_RELATIVE:g}" if math.isinf(value) else f"{value:.2g}"


def confidence_set(
    results: Results, outcome: str, cohort: str, kind: str, magnitude: float, target: str = WHOLE
) -> Estimate | None:
    """The set of the kind's own method (hybrid for relative magnitudes) at one departure."""
    method = HYBRID if kind == RELATIVE else FLCI
    return results.find(DESIGN, outcome, cohort, f"{target}_{kind}_{magnitude:g}", method)


def trends_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Whether zero is inside with trends that stay parallel, the breakdown value, and the set at a departure as large as before."""
    label, level = results.protocol.cohort_labels[cohort], results.protocol.study.conf_level
    parallel, alike = (confidence_set(results, outcome, cohort, RELATIVE, magnitude) for magnitude in (0, 1))
    largest = breakdown(results, outcome, cohort, WHOLE, RELATIVE, HYBRID)
    if parallel is None or alike is None or largest is None:
        return f"{label}: sensitivity to trends could not be worked out."
    text = (
        f"{label}: the quarters after the start lie on average {above_or_below(parallel.value)} the last before it. With trends that "
        f"stay parallel ({interval(parallel, level)}) "
    )
    if not parallel.excludes_zero:
        text += "zero is inside: there is no finding for a departure to overturn (breakdown value 0)."
    else:
        text += (
            f"zero is left out, and stays so while trends part from one quarter to the next by up to {breakdown_text(largest)} times as much as "
            "they did at most before."
        )
    return f"{text} If they may part from one quarter to the next by as much as in the worst quarter before it, the {level:.0%} confidence set of the effect is {span(alike)}."


def trends_summary(results: Results, outcome: str) -> str:
    """Over the models: whose findings would stand if trends parted after the start as they did before it."""
    protocol, labels = results.protocol, results.protocol.cohort_labels
    found = {model: breakdown(results, outcome, model, WHOLE, RELATIVE, HYBRID) for model in protocol.model_ids}
    values = {model: value for model, value in found.items() if value is not None}
    if not values:
        return "How much the findings depend on parallel trends could not be worked out on this data set."
    none = [labels[model] for model, value in values.items() if value == 0]
    some = [f"{breakdown_text(value)} for {labels[model]}" for model, value in values.items() if value > 0]
    parts = []
    if none:
        parts.append(
            f"For {listed(none)} the event study's mean effect cannot be told from zero even if trends stayed exactly parallel, so there is no "
            "finding that a departure could overturn"
        )
    if some:
        parts.append(
            "in units of the largest departure from quarter to quarter before the start, the event study's mean effect leaves out zero up to "
            f"{listed(some)}"
        )
    return f"{headed('; '.join(parts))} [@rambachan2023]."


def reach_sentence(results: Results, outcome: str) -> str:
    """How large a fall would have had to be for the rule on the breakdown value to be met, at this precision.

    The set at a departure moves with the estimate, so that it clears zero once the estimate lies below by what it reaches above.
    """
    parts = []
    for model in results.protocol.model_ids:
        found = confidence_set(results, outcome, model, RELATIVE, SMALLEST_BREAKDOWN)
        if found is not None and math.isfinite(found.high):
            needed = 100 * ((1 + found.value / 100) / (1 + found.high / 100) - 1)
            parts.append(f"{signed(needed)} for {results.protocol.cohort_labels[model]}")
    if not parts:
        return ""
    quarters = (results.protocol.months >= results.protocol.study.programme_start).sum() // MONTHS_A_QUARTER
    return (
        f"A breakdown value of {SMALLEST_BREAKDOWN:g} is a high bar: departures add up from quarter to quarter, and with {counted(quarters)} quarters after "
        f"the start it would have taken a mean effect, measured from the last quarter before the start, of about {listed(parts)}."
    )


def other_bounds_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The first quarter alone, and what a trend carried on as a straight line does to the mean effect."""
    label, level = results.protocol.cohort_labels[cohort], results.protocol.study.conf_level
    first = confidence_set(results, outcome, cohort, RELATIVE, 0, FIRST)
    straight = confidence_set(results, outcome, cohort, SMOOTHNESS, 0)
    largest = breakdown(results, outcome, cohort, FIRST, RELATIVE, HYBRID)
    bend = breakdown(results, outcome, cohort, WHOLE, SMOOTHNESS, FLCI)
    if first is None or straight is None or largest is None or bend is None:
        return f"{label}: not worked out."
    inside = "which holds zero"
    if straight.excludes_zero:
        inside = f"which leaves out zero, as long as the trend bends by no more than {100 * bend:.2g}% a quarter"
    return (
        f"{label}: in the first quarter alone {signed(first.value)} ({span(first)}), breakdown value {breakdown_text(largest)}. With the trend of the quarters "
        f"before carried on as a straight line, the {level:.0%} confidence set of the mean effect is {span(straight)}, {inside}."
    )


def _rows(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    table = results.estimates
    return table[(table.design == DESIGN) & (table.outcome == outcome) & (table.cohort == cohort)]
