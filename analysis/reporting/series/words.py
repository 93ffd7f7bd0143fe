"""Sentences about the interrupted time series: what it finds, and what moves it."""

from __future__ import annotations

import math

import pandas as pd

from analysis.estimation.its.terms import (
    AGAINST_SYNTHETIC,
    CONTROLLED,
    JUDGED_BY,
    LEVEL,
    MEAN,
    PSEUDO_COHORTS,
    SINGLE,
    SLOPE,
    WITHOUT_SITE,
)
from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import REST
from analysis.protocol.schema import KnownBreak
from analysis.reporting.results import HEADLINE_INFERENCE, PRIMARY, Estimate, Results
from analysis.reporting.wording import (
    above_or_below,
    duration_text,
    headed,
    interval,
    listed,
    listed_apart,
    p_text,
    signed,
    span,
)

TERMS = {LEVEL: "level", SLOPE: "slope"}


def change(
    results: Results, outcome: str, cohort: str, term: str, kind: str = CONTROLLED, specification: str = PRIMARY
) -> Estimate | None:
    """One term of a series, with the inference that its kind is judged by; None where it could not be made."""
    return results.find(kind, outcome, cohort, term, JUDGED_BY[kind], specification)


def late_term(results: Results) -> str:
    return f"effect_{results.protocol.its.effect_month}"


def named_terms(results: Results) -> dict[str, str]:
    """What a segmented regression estimates, in words."""
    return TERMS | {late_term(results): f"departure in month {results.protocol.its.effect_month}"}


def late_departure(results: Results, outcome: str, cohort: str, specification: str = PRIMARY) -> Estimate | None:
    """The controlled series' departure from its counterfactual in the protocol's month."""
    return change(results, outcome, cohort, late_term(results), specification=specification)


def its_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The controlled series: how sure, level, slope, the departure late in the programme, and what could have been found."""
    label, month = results.protocol.cohort_labels[cohort], results.protocol.its.effect_month
    level, slope = (change(results, outcome, cohort, term) for term in (LEVEL, SLOPE))
    late = late_departure(results, outcome, cohort)
    if level is None or slope is None or late is None:
        return f"{label}: no controlled series could be estimated and judged; the appendix says why."
    word = f"a clear {'fall' if late.value < 0 else 'rise'}" if late.excludes_zero else "inconclusive"
    return (
        f"{label}: {word}. A step of {signed(level.value)} at the start ({span(level)}) and a change of "
        f"slope of {signed(slope.value, 2)} a month ({span(slope, 2)}) together put the series "
        f"{above_or_below(late.value)} its counterfactual in month {month} "
        f"({interval(late, results.protocol.study.conf_level)}, {p_text(late.p_value)}). {_findable(results, outcome, cohort)}"
    )


def _findable(results: Results, outcome: str, cohort: str) -> str:
    """What late departure would mostly have been found."""
    found = detectable_change(results, outcome, cohort, late_term(results))
    if found is None or math.isinf(found[1]):
        return "No departure, however large, could have been found with confidence."
    fall, rise = found
    power = results.protocol.inference.power
    return f"By the width of this interval a true fall of {fall:.1f}%, or rise of {rise:.1f}%, by then would have been found {power:.0%} of the time."


def detectable_change(
    results: Results, outcome: str, cohort: str, term: str, kind: str = CONTROLLED
) -> tuple[float, float] | None:
    """The smallest fall and rise of a term, in percent, that a series mostly finds; the rise is infinite where it finds none."""
    term, inference = f"mde_{kind}_{term}", JUDGED_BY[kind]
    known = results.find("power", outcome, cohort, term, inference)
    return None if known is None else results.detectable(outcome, cohort, term, inference)


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
        month = results.protocol.its.effect_month
        date = results.protocol.study.programme_start + pd.DateOffset(months=month - 1)
        said = [
            f"{signed(late.value)} for {labels[model]} ({span(late)})"
            for model, late in found.items()
            if late is not None
        ]
        return f"{beginning} finds no clear difference either: by {date:%B %Y}, {listed(said)}."
    parts, first = [], []
    for model, late in clear.items():
        parts.append(f"{labels[model]} sites {above_or_below(late.value)} it by the last month ({span(late)})")
        effect = results.find("did", outcome, model, f"att_{last.id}", HEADLINE_INFERENCE)
        if effect is None:
            first.append("has no estimate for the last year")
            continue
        bears = effect.excludes_zero and effect.value * late.value > 0
        first.append(
            f"{'agrees' if bears else 'does not bear it out'}: {signed(effect.value)} in the last year ({span(effect)})"
        )
    return f"{beginning} puts {listed(parts)}. It rests on a trend of {duration_text(results.protocol.months_before)}, and the first method {listed(first)}."


def rests_on_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What the controlled series' departure rests on: single sites, known breaks, and a path before that was no straight line."""
    late = late_departure(results, outcome, cohort)
    if late is None:
        return ""
    label, month = results.protocol.cohort_labels[cohort], results.protocol.its.effect_month
    parts = []
    without = without_sites(results, outcome, cohort)
    if len(without):
        low, high = (without.loc[index] for index in (without.estimate.idxmin(), without.estimate.idxmax()))
        parts.append(
            f"Without one site or another the departure of {label} in month {month} runs from {signed(low.estimate)} (without {low.site}) to {signed(high.estimate)} "
            f"(without {high.site})."
        )
    parts.append(known_breaks_sentence(results, outcome, cohort))
    return " ".join(filter(None, parts))


def without_sites(results: Results, outcome: str, cohort: str) -> pd.DataFrame:
    """Percent rows of the late departure without each site in turn, with the ``site`` left out."""
    found = results.rows(WITHOUT_SITE, outcome, cohort, PSEUDO_COHORTS)
    site = found.notes.str.extract(r"^without ([^;]*)", expand=False)
    return found.assign(site=site).sort_values("site", ignore_index=True)


def known_breaks_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What becomes of the departure when the known breaks of the cohort's units have a step of their own; nothing where there is none."""
    known, name = known_breaks(results, outcome, cohort), breaks_specification(results)
    before = late_departure(results, outcome, cohort)
    if not known or name is None or before is None:
        return ""
    after = late_departure(results, outcome, cohort, name)
    lost = results.not_run[
        (results.not_run.specification == name) & (results.not_run.outcome == outcome) & (results.not_run.cohort.isin([cohort, "all"]))
    ]  # fmt: skip
    if after is None:
        reason = f": {lost.reason.iloc[0]}" if len(lost) else ""
        every = listed_apart([_dated(results, each) for each in known])
        return f"No known break ({every}) could be given a step of its own{reason}."
    row = results.estimates.loc[f"{CONTROLLED}/{outcome}/{cohort}/{name}/{late_term(results)}_percent/{PSEUDO_COHORTS}"]
    apart = [part for part in row.notes.split("; ") if "cannot be told" in part]
    steps = listed_apart([_dated(results, each) for each in known if not any(each.label in part for part in apart)])
    ending = f" {headed(listed_apart(apart))}: it was given no step, and stays in the estimate." if apart else ""
    return (
        f"A step of its own for each known break in the returns that can be told from the start ({steps}) moves it from {signed(before.value)} to {signed(after.value)} "
        f"({span(after)}, {p_text(after.p_value)}).{ending}"
    )


def _dated(results: Results, known: KnownBreak) -> str:
    """What is known of a break, and from when; once the programme ran, it may be the programme's doing."""
    doubt = ", which may or may not be the programme" if known.month >= results.protocol.study.programme_start else ""
    return f"{known.label}, from {known.month:%B %Y}{doubt}"


def known_breaks(results: Results, outcome: str, cohort: str) -> list[KnownBreak]:
    """The protocol's known breaks of an outcome in the units of a cohort, or in the commissioners of a site, even where the data set
    holds these summed to the site, as the snapshot does."""
    protocol, panel = results.protocol, results.panel
    if models := protocol.treated_cohorts.get(cohort):
        units = set(panel.unit[panel.model.isin(models) & (panel.covered_share == 1)])
    else:
        table = results.cohort_table
        units = set(table.ccg_code[table.vanguard == cohort]) | set(panel.unit[panel.site == cohort])
    return [known for known in protocol.its.known_breaks if outcome in known.outcomes and known.unit in units]


def breaks_specification(results: Results) -> str | None:
    """The id of the specification that gives known breaks a step of their own."""
    return next((choice.id for choice in results.protocol.specifications if choice.known_breaks), None)


def set_size(results: Results) -> int:
    """Controls in a set of real places: as many as the largest model has units."""
    units = results.panel[results.panel.geography.isin(ANALYSED) & (results.panel.covered_share == 1)].drop_duplicates(
        "unit"
    )
    return int(max((units.model == model).sum() for model in results.protocol.model_ids))


def single_groups_sentence(results: Results, outcome: str) -> str:
    """What each group's own series shows, and why it cannot carry a finding."""
    protocol, parts = results.protocol, []
    for cohort in [*protocol.model_ids, REST]:
        late = change(results, outcome, cohort, late_term(results), SINGLE)
        if late is not None:
            parts.append(f"{protocol.cohort_labels[cohort]} {signed(late.value)} ({span(late)})")
    if not parts:
        return "No group's own series could be estimated."
    return f"By themselves, in month {protocol.its.effect_month}, the groups stand from their own earlier paths as follows: {listed(parts)}."


def synthetic_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The series against its synthetic control: step, slope and the late departure."""
    label, month = results.protocol.cohort_labels[cohort], results.protocol.its.effect_month
    terms = (LEVEL, SLOPE, late_term(results))
    level, slope, late = (change(results, outcome, cohort, term, AGAINST_SYNTHETIC) for term in terms)
    if level is None or slope is None or late is None:
        return f"{label}: no series against a synthetic control could be estimated."
    named = {"the step": level, "the change of slope": slope, "the departure": late}
    clear = [name for name, found in named.items() if found.excludes_zero]
    ending = f"The interval leaves out zero for {listed(clear)}." if clear else "Every interval includes zero."
    return (
        f"{label}: against its synthetic control, a step of {signed(level.value)} ({span(level)}), a change of slope of {signed(slope.value, 2)} a month "
        f"({span(slope, 2)}) and a departure of {signed(late.value)} in month {month} ({span(late)}, {p_text(late.p_value)}). {ending}"
    )


def its_variants(results: Results, outcome: str, cohort: str, term: str) -> dict[str, Estimate]:
    """Label → one term of the controlled series under every specification that it was run with and that has it."""
    found = {
        choice.label: change(results, outcome, cohort, term, specification=choice.id)
        for choice in results.protocol.specifications
        if "its" in choice.designs
    }
    return {label: late for label, late in found.items() if late is not None}


def its_choices_sentence(results: Results, outcome: str) -> str:
    """How far the choices move the controlled series' late departure, of both models, and which do not reach so late."""
    parts, clear, short = [], [], []
    for model in results.protocol.model_ids:
        found, label = its_variants(results, outcome, model, late_term(results)), results.protocol.cohort_labels[model]
        if not found:
            continue
        values = {name: late.value for name, late in found.items()}
        least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        parts.append(f"from {signed(values[least])} (“{least}”) to {signed(values[most])} (“{most}”) for {label}")
        beyond = [f"“{name}”" for name, late in found.items() if late.excludes_zero]
        clear += [f"{label} under {listed(beyond)}"] if beyond else []
        short += [
            name for name in its_variants(results, outcome, model, MEAN) if name not in found and name not in short
        ]
    if not parts:
        return "No choice could be tried on the controlled series."
    month = results.protocol.its.effect_month
    ending = f"The interval leaves out zero for {listed_apart(clear)}." if clear else "Every interval includes zero."
    late = (
        f" With {listed([f'“{name}”' for name in short])} the series ends before month {month}; its mean departure is in the table."
        if short
        else ""
    )
    return f"Under other choices of data, start, baseline, phasing in and season, the controlled series' departure in month {month} runs {listed(parts)}. {ending}{late}"


def inference_sentence(results: Results) -> str:
    """How the interrupted time series are judged."""
    number = results.protocol.its.pseudo_cohorts
    return (
        f"Where places are compared, p-values and intervals set the estimate over its usual error beside those of up to {number:,} sets of as many "
        "controls [@linden2018]; single groups have restricted maximum likelihood with Kenward and Roger's degrees of freedom [@kenward1997]."
    )
