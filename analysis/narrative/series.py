"""Sentences about the interrupted time series: what it finds, how it sits with the difference-in-differences, what moves it."""

from __future__ import annotations

import math

from analysis.models.its_terms import (
    AGAINST_SYNTHETIC,
    CONTROLLED,
    CUMULATIVE,
    JUDGED_BY,
    LEVEL,
    MEAN,
    PSEUDO_COHORTS,
    SLOPE,
    STEP,
    TREND,
)
from analysis.narrative.wording import above_or_below, counted, headed, interval, listed, p_text, signed, span
from analysis.results import PRIMARY, Estimate, Results

NEAR = 0.5  # percentage points within which two estimates are called close


def change(
    results: Results, outcome: str, cohort: str, term: str, kind: str = CONTROLLED, specification: str = PRIMARY
) -> Estimate | None:
    """One term of a series, with the inference that its kind is judged by; None where it could not be made."""
    return results.find(kind, outcome, cohort, term, JUDGED_BY[kind], specification)


def late_term(results: Results) -> str:
    return f"effect_{results.protocol.its.effect_month}"


def late_departure(results: Results, outcome: str, cohort: str, specification: str = PRIMARY) -> Estimate | None:
    """The controlled series' departure from its counterfactual in the protocol's month."""
    return change(results, outcome, cohort, late_term(results), specification=specification)


def its_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The controlled series: level, slope, the departure late in the programme, and what it adds up to."""
    label = results.protocol.cohort_labels[cohort]
    level, slope = (change(results, outcome, cohort, term) for term in (LEVEL, SLOPE))
    late = late_departure(results, outcome, cohort)
    if level is None or slope is None or late is None:
        return f"{label}: no controlled series could be estimated; the appendix says why."
    total = results.count(CONTROLLED, outcome, cohort, CUMULATIVE, PSEUDO_COHORTS)
    return (
        f"{label}: a step of {signed(level.value)} at the start ({span(level)}) and a change of "
        f"slope of {signed(slope.value, 2)} a month ({span(slope, 2)}), which together put the series "
        f"{above_or_below(late.value)} its counterfactual in month {results.protocol.its.effect_month} "
        f"({interval(late, results.protocol.study.conf_level)}, {p_text(late.p_value)}). {_added_up(results, outcome, total)}"
    )


def _added_up(results: Results, outcome: str, total: Estimate) -> str:
    """The cumulative effect in whole hundreds, with its interval."""
    what = results.protocol.outcome(outcome).unit
    size = f"{abs(round(total.value, -2)):,.0f} {'fewer' if total.value < 0 else 'more'} {what}"
    low, high = (f"{round(end, -2):+,.0f}".replace("-", "\N{MINUS SIGN}") for end in (total.low, total.high))
    ends = f"{low} to {high}" if math.isfinite(total.low) else "no limit either way"
    return f"Over the whole programme that makes {size} ({ends})."


def second_method_sentence(results: Results, outcome: str) -> str:
    """For the summary: what the other design says, and how it sits with the first."""
    labels, models = results.protocol.cohort_labels, results.protocol.model_ids
    last = results.protocol.programme_years[-1]
    beginning = "A second method, which carries each group's earlier path on,"
    found = {model: late_departure(results, outcome, model) for model in models}
    if None in found.values():
        return f"{beginning} could not be used for every group."
    clear = {model: late for model, late in found.items() if late is not None and late.excludes_zero}
    if not clear:
        return f"{beginning} finds no clear difference either."
    parts, first = [], []
    for model, late in clear.items():
        parts.append(f"{labels[model]} sites {above_or_below(late.value)} it by the last month ({span(late)})")
        effect = results.effect(outcome, model, f"att_{last.id}")
        bears = effect.excludes_zero and effect.value * late.value > 0
        first.append(
            f"{'agrees' if bears else 'does not bear it out'}: {signed(effect.value)} in the last year ({span(effect)})"
        )
    return f"{beginning} puts {listed(parts)}. It rests on a trend of {counted(results.protocol.years_before)} years, and the first method {listed(first)}."


def reconciliation(results: Results, outcome: str, cohort: str) -> str:
    """Why the two designs, on the same masked panel, give the numbers that they give."""
    label, its = results.protocol.cohort_labels[cohort], results.protocol.its
    step, mean, trend = (change(results, outcome, cohort, term) for term in (STEP, MEAN, TREND))
    late = late_departure(results, outcome, cohort)
    if step is None or mean is None or trend is None or late is None:
        return f"{label}: the controlled series could not be estimated, so that there is nothing to reconcile."
    effect = results.effect(outcome, cohort)
    months = results.protocol.months
    before = int((months < results.protocol.study.programme_start).sum())
    distance = len(months) / 2
    carried = 100 * (math.exp(distance * math.log1p(trend.value / 100)) - 1)
    apart = abs(step.value - effect.value)
    nearness = "close to" if apart <= NEAR else f"{apart:.1f} points from"
    direction = "rose" if trend.value > 0 else "fell"
    whole = "" if distance == int(distance) else "and a half "
    return (
        f"{label}: with its trends left out, the controlled series shows a step of {signed(step.value)} ({span(step)}), {nearness} the "
        f"difference-in-differences of {signed(effect.value)}: both compare the level after with the level before. In the {before} months before "
        f"the start, however, the rate {direction} by {_size(trend.value, 2)} a month against the rest ({span(trend, 2)}). Carried on over the {int(distance)} {whole}months "
        f"from the middle of the months before to the middle of those after, that makes {signed(carried)}, and the segmented regression "
        f"takes it off: it finds {signed(mean.value)} over the programme on average ({span(mean)}), and {signed(late.value)} in month {its.effect_month}. "
        f"{_usual(trend, results.protocol.study.level)}"
    )


def _usual(trend: Estimate, level: float) -> str:
    return f"A trend as steep for its noise is found in {trend.p_value:.0%} of sets of other places" + (
        "; it may well be chance." if trend.p_value >= level else "; it is unlikely to be chance alone."
    )


def _size(value: float, digits: int = 1) -> str:
    return f"{abs(value):.{digits}f}%"


def designs_agree_sentence(results: Results, outcome: str) -> str:
    """Whether the two designs tell the same story, and what to make of it where they do not."""
    labels, month = results.protocol.cohort_labels, results.protocol.its.effect_month
    split, quiet = [], True
    for model in results.protocol.model_ids:
        late, effect = late_departure(results, outcome, model), results.effect(outcome, model)
        if late is None:
            return f"For {labels[model]} only the difference-in-differences could be estimated."
        clear = (late.excludes_zero, effect.excludes_zero)
        quiet = quiet and not any(clear)
        if clear[0] != clear[1] or (all(clear) and late.value * effect.value < 0):
            split.append(
                f"{labels[model]} ({signed(late.value)} in month {month} against {signed(effect.value)} over the programme)"
            )
    if not split:
        return "Neither design can tell a difference from none." if quiet else "The two designs point the same way."
    return (
        f"The two designs disagree for {listed(split)}. They ask different questions of the months before: "
        "difference-in-differences takes their average level as what would have continued, the segmented regression their "
        f"trend. {headed(counted(results.protocol.years_before))} years are a short time to learn a trend from. The protocol's verdict rests on the "
        "difference-in-differences; a disagreement is a warning about the trends before the programme, not a second finding."
    )


def synthetic_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The series against its synthetic control: trend before, and the late departure."""
    label, month = results.protocol.cohort_labels[cohort], results.protocol.its.effect_month
    level, late = (change(results, outcome, cohort, term, AGAINST_SYNTHETIC) for term in (LEVEL, late_term(results)))
    if level is None or late is None:
        return f"{label}: no series against a synthetic control could be estimated."
    return (
        f"{label}: against its synthetic control, a step of {signed(level.value)} ({span(level)}) and a departure of {signed(late.value)} in month "
        f"{month} ({span(late)}, {p_text(late.p_value)})."
    )


def its_variants(results: Results, outcome: str, cohort: str) -> dict[str, Estimate]:
    """Label → the controlled series' late departure under every specification that it was run with."""
    found = {
        choice.label: late_departure(results, outcome, cohort, choice.id)
        for choice in results.protocol.specifications
        if "its" in choice.designs
    }
    return {label: late for label, late in found.items() if late is not None}


def its_choices_sentence(results: Results, outcome: str) -> str:
    """How far the choices move the controlled series' late departure, of both models."""
    parts, clear = [], []
    for model in results.protocol.model_ids:
        found, label = its_variants(results, outcome, model), results.protocol.cohort_labels[model]
        if not found:
            continue
        low, high = (min, max)
        values = {name: late.value for name, late in found.items()}
        least, most = low(values, key=values.__getitem__), high(values, key=values.__getitem__)
        parts.append(f"from {signed(values[least])} (“{least}”) to {signed(values[most])} (“{most}”) for {label}")
        clear += [f"{label} under “{name}”" for name, late in found.items() if late.excludes_zero]
    if not parts:
        return "No choice could be tried on the controlled series."
    month = results.protocol.its.effect_month
    ending = f"The interval leaves out zero for {listed(clear)}." if clear else "Every interval includes zero."
    return f"Under other choices of data, start, phasing in and season, the controlled series' departure in month {month} runs {listed(parts)}. {ending}"


def known_breaks_sentence(results: Results, outcome: str) -> str:
    """What becomes of the series that hold a known break when it is given a step of its own."""
    protocol, parts = results.protocol, []
    table = results.estimates
    term = late_term(results) + "_percent"
    found = table[
        (table.design == CONTROLLED) & (table.outcome == outcome) & (table.specification == "known_breaks")
        & (table.inference == PSEUDO_COHORTS) & (table.term == term)
    ]  # fmt: skip
    for row in found.itertuples():
        before = late_departure(results, outcome, row.cohort)
        if before is not None:
            name = protocol.cohort_labels.get(row.cohort, row.cohort)
            parts.append(f"{name} {signed(before.value)} to {signed(row.estimate)}")
    lost = results.not_run[
        (results.not_run.specification == "known_breaks") & (results.not_run.outcome == outcome) & (results.not_run.design == CONTROLLED)
    ]  # fmt: skip
    said = f"A step of their own for known breaks takes the late departure of {listed(parts)}." if parts else ""
    if len(lost):
        names = [protocol.cohort_labels.get(cohort, cohort) for cohort in lost.cohort]
        said += f" For {listed(names)} it could not be tried: {listed(sorted(set(lost.reason)))}."
    return said.strip()


def inference_sentence(results: Results) -> str:
    """How the interrupted time series are judged."""
    number = results.protocol.its.pseudo_cohorts
    return (
        f"Where places are compared, p-values and intervals set the estimate over its usual error beside those of up to {number:,} sets of as many "
        "controls [@linden2018]; single groups have restricted maximum likelihood with Kenward and Roger's degrees of freedom [@kenward1997]."
    )
