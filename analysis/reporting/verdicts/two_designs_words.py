"""Sentences about the two designs side by side: whether they agree, and why they give the numbers that they give."""

from __future__ import annotations

import math

from analysis.estimation.its.terms import MEAN, STEP, TREND
from analysis.reporting.absent import or_reason
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.words import change, late_departure
from analysis.reporting.wording import duration_text, headed, listed, signed, span

NEAR = 0.5  # percentage points within which two estimates are called close


@or_reason
def reconciliation(results: Results, outcome: str, cohort: str) -> str:
    """Why the two designs, on the same masked panel, give the numbers that they give."""
    label, its = results.protocol.cohort_labels[cohort], results.protocol.its
    step, mean, trend = (change(results, outcome, cohort, term) for term in (STEP, MEAN, TREND))
    late = late_departure(results, outcome, cohort)
    if step is None or mean is None or trend is None or late is None:
        return f"{label}: the controlled series could not be estimated, so that there is nothing to reconcile."
    effect = results.effect(outcome, cohort)
    months, specification = results.protocol.months, results.protocol.specifications[0]
    before = int((months < results.protocol.study.programme_start).sum())
    distance = (len(months) + specification.phase_in) / 2
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


@or_reason
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
        return (
            "Neither design finds a difference clearly larger than chance."
            if quiet
            else "The two designs point the same way."
        )
    before = duration_text(results.protocol.months_before)
    return (
        f"The two designs disagree for {listed(split)}. They ask different questions of the months before: "
        "difference-in-differences takes their average level as what would have continued, the segmented regression their "
        f"trend. {headed(before)} {'is' if before == 'one year' else 'are'} a short time to learn a trend from. The protocol's verdict rests on the "
        "difference-in-differences; a disagreement is a warning about the trends before the programme, not a second finding."
    )
