"""Sentences about the interrupted time series, and how it sits with the difference-in-differences."""

from __future__ import annotations

from analysis.narrative.choices import data_choices
from analysis.narrative.wording import above_or_below, counted, headed, interval, listed, p_text, signed, span
from analysis.results import Estimate, Results


def late_departure(results: Results, outcome: str, cohort: str, specification: str = "primary") -> Estimate:
    """The controlled series' departure from its counterfactual in the protocol's month."""
    return results.percent("cits", outcome, cohort, f"effect_{results.protocol.its.effect_month}", "HAC", specification)


def its_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The controlled series: level, slope, and the departure late in the programme."""
    level, slope = (results.percent("cits", outcome, cohort, term, "HAC") for term in ("level", "slope"))
    late = late_departure(results, outcome, cohort)
    return (
        f"{results.protocol.cohort_labels[cohort]}: a step of {signed(level.value)} at the start ({span(level)}) and a change of "
        f"slope of {signed(slope.value, 2)} a month ({span(slope, 2)}), which together put the series "
        f"{above_or_below(late.value)} its counterfactual in month {results.protocol.its.effect_month} "
        f"({interval(late, results.protocol.study.conf_level)}, {p_text(late.p_value)})."
    )


def second_method_sentence(results: Results, outcome: str) -> str:
    """For the summary: what the other design says, and how it sits with the first."""
    labels, models = results.protocol.cohort_labels, results.protocol.model_ids
    last = results.protocol.programme_years[-1]
    beginning = "A second method, which carries each group's earlier path on,"
    clear = [model for model in models if late_departure(results, outcome, model).excludes_zero]
    if not clear:
        return f"{beginning} finds no clear difference either."
    parts, first = [], []
    for model in clear:
        late = late_departure(results, outcome, model)
        parts.append(f"{labels[model]} sites {above_or_below(late.value)} it by the last month ({span(late)})")
        effect = results.effect(outcome, model, f"att_{last.id}")
        bears = effect.excludes_zero and effect.value * late.value > 0
        first.append(
            f"{'agrees' if bears else 'does not bear it out'}: {signed(effect.value)} in the last year ({span(effect)})"
        )
    return f"{beginning} puts {listed(parts)}. It rests on a trend of {counted(results.protocol.years_before)} years, and the first method {listed(first)}."


def designs_agree_sentence(results: Results, outcome: str) -> str:
    """Whether the two designs tell the same story, and what to make of it where they do not."""
    labels, month = results.protocol.cohort_labels, results.protocol.its.effect_month
    split, quiet = [], True
    for model in results.protocol.model_ids:
        late, effect = late_departure(results, outcome, model), results.effect(outcome, model)
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
        f"trend. {headed(counted(results.protocol.years_before))} years are a short time to learn a trend from, and the Newey–West interval knows nothing of the "
        "uncertainty in choosing it. The protocol's verdict rests on the difference-in-differences; a disagreement is a "
        "warning about the trends before the programme, not a second finding."
    )


def its_choices_sentence(results: Results, outcome: str) -> str:
    """How far the choices about the data move the controlled series' late departure."""
    parts = []
    for model in results.protocol.model_ids:
        values = [late_departure(results, outcome, model, choice.id).value for choice in data_choices(results)]
        parts.append(f"from {signed(min(values))} to {signed(max(values))} for {results.protocol.cohort_labels[model]}")
    month = results.protocol.its.effect_month
    return f"Under the same choices the controlled series' departure in month {month} runs {listed(parts)}."
