"""Rules that turn estimates into sentences. No report types a result: a change in the numbers changes the words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.inference.multiple import HOLM
from analysis.models.event_study import PRE_PERIOD, SIMULTANEOUS
from analysis.protocol import REST, Specification
from analysis.results import HEADLINE_INFERENCE, Estimate, Results
from analysis.verdict import Evidence, Verdict, verdict
from analysis.wording import (
    above_or_below,
    counted,
    grew_or_fell,
    headed,
    in_sentence,
    interval,
    listed,
    p_text,
    plain,
    signed,
    span,
)

VERDICT_WORDS: dict[Verdict, str] = {
    "reduction supported": "The data support a reduction",
    "increase supported": "The data support an increase",
    "trends in doubt": "A difference shows, but the trends before the programme put it in doubt",
    "unconfirmed": "A difference shows, but not every check that the protocol asks for has been made",
    "inconclusive": "Inconclusive",
}


def evidence(results: Results, outcome: str) -> dict[str, Evidence]:
    """What the verdict rule looks at for each model: Holm's p, the test of the quarters before, and the controls' smallest p."""
    controls = [o.id for o in results.protocol.outcomes if o.role == "negative_control"]
    return {
        model: Evidence(
            estimate=results.effect(outcome, model).value,
            holm_p=results.percent("did", outcome, model, "att", HOLM).p_value,
            pre_period_p=results.percent("event_study", outcome, model, PRE_PERIOD, HEADLINE_INFERENCE).p_value,
            control_p=min((results.effect(control, model).p_value for control in controls), default=None),
        )
        for model in results.protocol.model_ids
    }


def verdicts(results: Results, outcome: str) -> dict[str, Verdict]:
    """The protocol's verdict on each model."""
    level = 1 - results.protocol.study.conf_level
    return {model: verdict(found, level) for model, found in evidence(results, outcome).items()}


def verdict_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Size, direction, interval, p-value and certainty together; if inconclusive, why and what could have been found."""
    effect, level = results.effect(outcome, cohort), results.protocol.study.conf_level
    found = evidence(results, outcome)[cohort]
    word = verdict(found, 1 - level)
    label = results.protocol.cohort_labels[cohort]
    text = (
        f"**{label}: {in_sentence(VERDICT_WORDS[word])}.** {results.protocol.outcome(outcome).label} per head were "
        f"{above_or_below(effect.value)} what we would expect had they changed as elsewhere in England "
        f"({interval(effect, level)}, {p_text(effect.p_value)})."
    )
    if word != "inconclusive":
        return text
    if effect.p_value < 1 - level <= found.holm_p:
        text += f" With {counted(len(results.protocol.models))} models looked at, {p_text(found.holm_p)}."
    elif found.holm_p < 1 - level:
        text += " An outcome that should not have moved moved too."
    return f"{text} {detectable_sentence(results, outcome, cohort)}"


def detectable_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The smallest true change that would mostly have been found."""
    fall, rise = results.detectable(outcome, cohort)
    if math.isinf(rise):
        return "No change of any size could have been found with confidence."
    missed = round(1 / (1 - results.protocol.inference.power))
    return f"A true fall of {fall:.1f}%, or rise of {rise:.1f}%, would be missed one time in {counted(missed)}."


def headline(results: Results) -> list[str]:
    """A plain line for each model, for the end of a run."""
    outcome = results.protocol.primary_outcomes[0]
    lines = []
    for model, word in verdicts(results, outcome.id).items():
        effect = results.effect(outcome.id, model)
        lines.append(
            f"{results.protocol.cohort_labels[model]}: {word}. {outcome.label} per head {signed(effect.value)} "
            f"against the rest of England ({interval(effect, results.protocol.study.conf_level)})."
        )
    return lines


def summary_answer(results: Results) -> str:
    """The one-sentence answer to the study's question."""
    outcome = results.protocol.primary_outcomes[0]
    labels = results.protocol.cohort_labels
    found = {
        model: (word, word != "inconclusive" and results.effect(outcome.id, model).value < 0)
        for model, word in verdicts(results, outcome.id).items()
    }
    name = f"{outcome.plain} ({in_sentence(outcome.label)})" if outcome.plain else in_sentence(outcome.label)
    parts = []
    for word, lower in dict.fromkeys(found.values()):
        models = [labels[model] for model in found if found[model] == (word, lower)]
        sites, than = f"{listed(models)} sites", "lower" if lower else "higher"
        clauses: dict[Verdict, str] = {
            "inconclusive": f"we cannot tell whether being {_a_site(models)} changed {name}",
            "reduction supported": f"the data support a fall in {name} in {sites}",
            "increase supported": f"the data support a rise in {name} in {sites}",
            "trends in doubt": f"{name} stood {than} than expected in {sites}, but trends from before the programme may explain it",
            "unconfirmed": f"{name} stood {than} than expected in {sites}, but not every check has been made",
        }
        parts.append(clauses[word])
    return f"{headed('; '.join(parts))}."


def growth_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Our growth per head on one baseline, cohort by cohort, with intervals."""
    rule, labels = results.protocol.growth_rule(rule_id), results.protocol.cohort_labels
    parts = []
    for cohort in [*results.protocol.model_ids, REST]:
        found = results.percent("growth", outcome, cohort, f"growth_{rule_id}", "linearised")
        parts.append(f"{grew_or_fell(found.value)} in {_the(labels[cohort], cohort)} ({span(found)})")
    name = in_sentence(results.protocol.outcome(outcome).label)
    return f"Comparing {rule.label}, {name} per head {listed(parts)}."


def published_sentence(results: Results, rule_id: str) -> str:
    """What NHS England reported on the same windows."""
    rule, labels = results.protocol.growth_rule(rule_id), results.protocol.cohort_labels
    values = published_growth(results, rule.published or "")
    parts = [f"{plain(value)} in {_the(labels[c], c)}" for c, value in values.items()]
    return f"NHS England reported growth in emergency admissions per head of {listed(parts)}."


def published_growth(results: Results, prefix: str) -> dict[str, float]:
    """Cohort → published growth in percent, for rows of published_results.csv whose id starts with ``prefix``."""
    rows = results.published[results.published.id.str.startswith(f"{prefix}-")].set_index("cohort").value
    names = {model: model for model in results.protocol.model_ids} | {REST: results.protocol.pooled.rest_label}
    return {cohort: float(rows[name]) for cohort, name in names.items() if name in rows.index}


def gap_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Whether the growth of each model differs from the rest's by more than chance allows."""
    labels = results.protocol.cohort_labels
    gaps = {model: _gap(results, outcome, model, rule_id) for model in results.protocol.model_ids}
    parts = [f"{grew_or_fell(gap.value)} in {labels[m]} sites ({span(gap)})" for m, gap in gaps.items()]
    clear = [labels[model] for model, gap in gaps.items() if gap.excludes_zero]
    ending = "These differences cannot be told apart from chance."
    if clear:
        ending = f"Chance alone would not easily explain the difference for {listed(clear)}."
    return f"Relative to the rest of England, they {listed(parts)}. {ending}"


def gaps_sentence(results: Results, outcome: str) -> str:
    """How the difference in growth moves with the baseline."""
    labels, parts, clear, total = results.protocol.cohort_labels, [], 0, 0
    for model in results.protocol.model_ids:
        gaps = [_gap(results, outcome, model, rule.id) for rule in results.protocol.growth]
        values = [gap.value for gap in gaps]
        turns = ", changing sign with the baseline" if min(values) < 0 < max(values) else ""
        parts.append(f"from {signed(min(values))} to {signed(max(values))} for {labels[model]}{turns}")
        clear += sum(gap.excludes_zero for gap in gaps)
        total += len(gaps)
    ending = (
        f"{headed(counted(clear))} of the {total} intervals leave out zero."
        if clear
        else "Every interval includes zero."
    )
    return f"Against the rest of England, the difference in growth runs {'; '.join(parts)}. {ending}"


def _gap(results: Results, outcome: str, model: str, rule_id: str) -> Estimate:
    return results.percent("growth", outcome, model, f"growth_gap_{rule_id}", "linearised")


def years_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The effect year by year, and whether any year stands out."""
    parts, clear = [], []
    for year in results.protocol.programme_years:
        effect = results.effect(outcome, cohort, f"att_{year.id}")
        parts.append(f"{signed(effect.value)} in {year.label} ({span(effect)})")
        clear += [year.label] if effect.excludes_zero else []
    label = results.protocol.cohort_labels[cohort]
    looks = len(results.protocol.programme_years) * len(results.protocol.models)
    ending = "Every interval includes zero."
    if clear:
        ending = f"The interval leaves out zero in {listed(clear)}, without adjustment for {counted(looks)} looks."
    return f"Year by year, the estimates for {label} are {listed(parts)}. {ending}"


def event_study_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How the cohort stood against the rest before and after, relative to the base quarter."""
    path = event_path(results, outcome, cohort).dropna(subset="ci_low")
    before, after = (path.estimate[side].mean() for side in (path.event_time < 0, path.event_time >= 0))
    text = (
        f"{results.protocol.cohort_labels[cohort]}: the quarters before the start lie {above_or_below(before)} the base quarter "
        f"on average, those after it {above_or_below(after)}."
    )
    if before * after > 0:
        text += f" The base quarter was itself {'high' if before < 0 else 'low'}: read the shape, not the level."
    return text


def event_path(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """[event_time, estimate, ci_low, ci_high, band_low, band_high] in percent by quarter.

    The interval is pointwise; the band holds for all quarters at once. The base quarter is zero and has neither.
    """
    pointwise, band = (results.rows("event_study", outcome, cohort, name) for name in ("CR1", SIMULTANEOUS))
    band = band.rename(columns={"ci_low": "band_low", "ci_high": "band_high"})[["term", "band_low", "band_high"]]
    quarters = pointwise[pointwise.term != PRE_PERIOD].merge(band, on="term", how="left")
    times = quarters.term.str.removeprefix("quarter_").astype(int)
    path = quarters.assign(event_time=times).set_index("event_time").sort_index()
    every = range(path.index.min(), path.index.max() + 1)
    columns = ["estimate", "ci_low", "ci_high", "band_low", "band_high"]
    path = path[columns].reindex(every)
    return path.assign(estimate=path.estimate.fillna(0.0)).reset_index()


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
        "trend. So few years are a short time to learn a trend from, and the Newey–West interval knows nothing of the "
        "uncertainty in choosing it. The protocol's verdict rests on the difference-in-differences; a disagreement is a "
        "warning about the trends before the programme, not a second finding."
    )


def data_choices(results: Results) -> list[Specification]:
    """The specifications that ran and differ in the data alone: every design is estimated under each of them."""
    ran = set(results.estimates.specification)
    return [s for s in results.protocol.specifications if "its" in s.designs and s.id in ran]


def its_choices_sentence(results: Results, outcome: str) -> str:
    """How far the choices about the data move the controlled series' late departure."""
    parts = []
    for model in results.protocol.model_ids:
        values = [late_departure(results, outcome, model, choice.id).value for choice in data_choices(results)]
        parts.append(f"from {signed(min(values))} to {signed(max(values))} for {results.protocol.cohort_labels[model]}")
    month = results.protocol.its.effect_month
    return f"Under the same choices the controlled series' departure in month {month} runs {listed(parts)}."


def sensitivity_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How far the choices about the data move the estimate."""
    primary = results.effect(outcome, cohort)
    changes = {
        "unmasked": "masking nothing gives",
        "fixed_population": "holding population at mid-2015 gives",
        "unmasked_fixed_population": "doing both gives",
    }
    found = {name: results.effect(outcome, cohort, specification=name) for name in changes}
    parts = [f"{changes[name]} {signed(effect.value)}" for name, effect in found.items()]
    clear = [f"{signed(e.value)} ({span(e)})" for e in (primary, *found.values()) if e.excludes_zero]
    ending = f"The interval leaves out zero for {listed(clear)}." if clear else "Every interval includes zero."
    return f"{results.protocol.cohort_labels[cohort]}: the primary estimate is {signed(primary.value)}; {listed(parts)}. {ending}"


def controls_sentence(results: Results, cohort: str) -> str:
    """Whether an outcome that the programme was not first meant to move moved all the same."""
    parts, moved = [], []
    for outcome in results.protocol.outcomes:
        if outcome.role == "negative_control":
            effect = results.effect(outcome.id, cohort)
            parts.append(f"{in_sentence(outcome.label)} {signed(effect.value)} ({span(effect)})")
            moved += [in_sentence(outcome.label)] if effect.excludes_zero else []
    ending = "None of the intervals leaves out zero, but they are wide: a moderate change could not be seen."
    if moved:
        ending = (
            f"The interval leaves out zero for {listed(moved)}: the comparison may be picking up something other than the "
            "programme."
        )
    return f"{results.protocol.cohort_labels[cohort]}: {listed(parts)}. {ending}"


def quality_sentence(results: Results, outcome: str) -> str:
    """How much was masked, where most of it lies."""
    rows = results.ledger[(results.ledger.outcome == outcome) & (results.ledger.rule != "pending")]
    every = results.provenance["ccg_units"] * len(results.protocol.months)
    if rows.empty:
        return f"Of {every:,} CCG-months, none is masked."
    total = rows.groupby("unit_name").size().sort_values(ascending=False, kind="stable")
    longest = listed([f"{name} ({count} months)" for name, count in total.head(4).items()])
    return (
        f"Of {every:,} CCG-months, {len(rows)} ({len(rows) / every:.2%}) are masked, in {rows.unit.nunique()} CCGs, "
        f"{(rows.ratio > 1).sum()} of them because they are too high; the longest runs are {longest}."
    )


def morciano_sentence(results: Results, outcome: str) -> str:
    """The published controlled study of both models together, beside our pooled estimates."""
    rows = results.published.set_index("id")

    def theirs(period: str) -> str:
        row = rows.loc[f"morciano2020-adm-pop-{period}"]
        value, low, high = (100 * math.expm1(x) for x in (row.value, row.ci_low, row.ci_high))
        found = Estimate(value, low, high, float("nan"))
        return f"{signed(found.value)} ({span(found)})"

    pooled, last = results.protocol.pooled_cohort, results.protocol.programme_years[-1]
    whole, late = results.effect(outcome, pooled), results.effect(outcome, pooled, f"att_{last.id}")
    return (
        f"Morciano and others compared both models together with the rest [@morciano2020]. For emergency admissions they found "
        f"{theirs('years1-3')} over the programme and {theirs('year3')} in its third year, their table read as log points. Our "
        f"pooled estimates for non-elective admissions are {signed(whole.value)} ({span(whole)}) and {signed(late.value)} ({span(late)})."
    )


def _the(label: str, cohort: str) -> str:
    return f"the {label}" if cohort == REST else f"{label} sites"


def _a_site(models: Sequence[str]) -> str:
    return f"{'an' if models[0][0] in 'AEFHILMNORSX' else 'a'} {' or '.join(models)} site"
