"""Rules that say how sure the estimates are: methods side by side, tests of the months before, what could have been seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.estimation.did.event_study import PRE_PERIOD
from analysis.estimation.inference.multiple import HOLM
from analysis.estimation.inference.power import SIZE_MODEL
from analysis.protocol.protocol import REST
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.results import HEADLINE_INFERENCE, PRIMARY, Estimate, Results
from analysis.reporting.wording import counted, headed, listed, p_text, signed, span

METHODS = {
    HEADLINE_INFERENCE: "randomisation",
    "CR1": "CR1",
    "CR3": "CR3",
    "score_bootstrap": "score bootstrap",
    "wild_bootstrap": "wild bootstrap",
}
LOG_RATE = "log_rate"  # the specification that the wild bootstrap was made for


def by_method(
    results: Results, outcome: str, cohort: str, term: str = "att", specification: str = PRIMARY
) -> dict[str, Estimate]:
    """Inference method → the estimate with its interval and p-value, for the methods that were used; an interval that a
    method could not make is NaN."""
    found = {name: results.find("did", outcome, cohort, term, name, specification) for name in METHODS}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


@or_reason
def methods_sentence(results: Results, outcome: str, cohort: str, specification: str = PRIMARY) -> str:
    """The narrowest and the widest interval of the whole programme's effect, and which methods leave out zero."""
    found = {
        METHODS[name]: estimate
        for name, estimate in by_method(results, outcome, cohort, specification=specification).items()
        if not math.isnan(estimate.low)
    }
    if not found:
        results.percent(
            "did", outcome, cohort, "att", HEADLINE_INFERENCE, specification
        )  # which says why there is none
    narrow, wide = (end(found, key=lambda name: _width(found[name])) for end in (min, max))
    clear = [name for name in found if found[name].excludes_zero]
    unclear = [name for name in found if name not in clear]
    ending = "every method's includes zero" if not clear else "every method's leaves out zero"
    if clear and unclear:
        ending = f"zero is left out by {listed(clear)}, not by {listed(unclear)}"
    return (
        f"{results.protocol.cohort_labels[cohort]}: the narrowest interval is {span(found[narrow])} ({narrow}), the widest "
        f"{span(found[wide])} ({wide}); {ending}."
    )


def every_method_sentence(results: Results, outcome: str) -> str:
    """Over all cohorts, periods, estimators and methods: how many intervals leave out zero, and which."""
    protocol = results.protocol
    periods = {"att": "the whole programme"} | {f"att_{year.id}": year.label for year in protocol.programme_years}
    clear, total = [], 0
    for cohort in protocol.treated_cohorts:
        for term, period in periods.items():
            for specification in (PRIMARY, LOG_RATE):
                found = by_method(results, outcome, cohort, term, specification)
                total += sum(not math.isnan(estimate.low) for estimate in found.values())
                names = [METHODS[name] for name, estimate in found.items() if estimate.excludes_zero]
                if names:
                    model = "log rates" if specification == LOG_RATE else "counts"
                    clear.append(
                        (f"{protocol.cohort_labels[cohort]} in {period} ({model}: {listed(names)})", len(names))
                    )
    if not total:
        return "No interval of the difference-in-differences could be made."
    every = (
        f"{total} intervals of the difference-in-differences, over cohorts, periods, models and methods of inference,"
    )
    if not clear:
        return f"None of {every} leaves out zero."
    number = sum(count for _, count in clear)
    return f"Of {every} {number} leave out zero, without adjustment: {'; '.join(text for text, _ in clear)}."


@or_reason
def holm_sentence(results: Results, outcome: str) -> str:
    """The p-values adjusted for the number of tests that the verdict rests on."""
    protocol = results.protocol
    adjusted, lost = estimated(
        results, protocol.model_ids, lambda model: results.percent("did", outcome, model, "att", HOLM).p_value
    )
    parts = [f"{p_text(p)} for {protocol.cohort_labels[model]}" for model, p in adjusted.items()]
    tests = family_size(results)
    said = f"Adjusted for {counted(tests)} tests, the p-values that the verdict looks at are {listed(parts)}."
    if tests == 1:
        said = f"There is one test, so that the p-value that the verdict looks at needs no adjustment: {listed(parts)}."
    return " ".join([said, *lost])


def family_size(results: Results) -> int:
    """Tests that the adjustment is over: of each model and primary outcome of which there is an estimate."""
    table = results.estimates
    return int(((table.inference == HOLM) & (table.term == "att")).sum())


def unadjusted_sentence(results: Results) -> str:
    """What the adjustment is over, and what is outside it."""
    protocol = results.protocol
    others = ["single years", "other outcomes"]
    if len(protocol.models) > 1:
        others.insert(0, f"the cohort of {'both' if len(protocol.models) == 2 else 'all'} models together")
    if len(protocol.models) * len(protocol.primary_outcomes) == 1:
        return f"{headed(', '.join(others))} and all other analyses are not adjusted."
    return (
        f"The adjustment [@holm1979] is over the models and the primary outcomes; {', '.join(others)} and all other analyses are outside it "
        "and are not adjusted."
    )


# The months before the programme


@or_reason
def joint_test_sentence(results: Results, outcome: str) -> str:
    """Whether the quarters before the programme, taken together, stand out among placebo sites."""
    labels = results.protocol.cohort_labels
    found, lost = estimated(
        results, results.protocol.treated_cohorts, lambda cohort: pre_period(results, outcome, cohort).p_value
    )
    level = results.protocol.study.level
    quiet = [f"{labels[c]} ({p_text(p)})" for c, p in found.items() if p >= level]
    loud = [f"{labels[c]} ({p_text(p)})" for c, p in found.items() if p < level]
    subject, parts = "Taken together, the quarters before the start", []
    if quiet:
        parts.append(f"{subject} stand out no more than placebo sites' do for {listed(quiet)}.")
    if loud:
        parts.append(
            f"{'They' if quiet else subject} stand out more than chance easily explains for {listed(loud)}: the path before the "
            "programme was not level there, and what came after it cannot be put down to the programme with confidence."
        )
    untested = [labels[c] for c, p in found.items() if math.isnan(p)]
    parts += [f"There is no test of them for {listed(untested)}."] if untested else []
    return " ".join([*parts, *lost])


def pooled_caution(results: Results, outcome: str) -> str:
    """What to remember of the estimates of all sites; nothing where the quarters before the programme do not stand out."""
    cohort = results.protocol.pooled_cohort
    found = results.find("event_study", outcome, cohort, PRE_PERIOD, HEADLINE_INFERENCE)
    if found is None:
        return ""
    if not found.p_value < results.protocol.study.level:
        return ""
    return (
        f"The path of {results.protocol.cohort_labels[cohort]} was not level before the programme ({p_text(found.p_value)}), so that what came after it "
        "cannot be put down to the programme with confidence."
    )


@or_reason
def joint_tests_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The quarters before the programme: their mean, and both tests that all are zero."""
    label, level = results.protocol.cohort_labels[cohort], results.protocol.study.level
    usual = results.percent("event_study", outcome, cohort, PRE_PERIOD, "CR1")
    placebo = pre_period(results, outcome, cohort)
    text = (
        f"{label}: on average {signed(usual.value)} ({span(usual)}); {p_text(placebo.p_value)} by randomisation, {p_text(usual.p_value)} by the F "
        "distribution with CR1 errors."
    )
    if usual.p_value < level <= placebo.p_value:
        text += (
            " The two disagree: placebo assignments give as large a statistic far more often than the F distribution allows, "
            "which trusts errors made from a handful of sites."
        )
    if placebo.p_value < level:
        text += " The path before the programme was not level."
    return text


def pre_period(results: Results, outcome: str, cohort: str) -> Estimate:
    """Mean of the quarters before the programme, with the p-value of the joint test by randomisation."""
    return results.percent("event_study", outcome, cohort, PRE_PERIOD, HEADLINE_INFERENCE)


# What could have been seen


@dataclass(frozen=True)
class Place:
    """Smallest change that an evaluation of so many people mostly finds, in percent; ``bound``: at least that."""

    name: str
    people: float
    fall: float
    rise: float
    bound: bool = False


def places(results: Results, outcome: str) -> list[Place]:
    """The protocol's single places, from the smallest; none where the sizes could not be modelled."""
    units = results.series("evaluability")
    smallest = units[units.kind == "unit"].population.min() if len(units) else math.inf
    found = []
    for name, people in sorted(results.protocol.inference.evaluability.items(), key=lambda item: item[1]):
        term = f"mde_{name}"
        if results.find("power", outcome, REST, term, SIZE_MODEL):
            fall, rise = results.detectable(outcome, REST, term, SIZE_MODEL)
            found.append(Place(_place_name(name), people, float(fall), float(rise), bool(people < smallest)))
    return found


def evaluability_sentence(results: Results, outcome: str) -> str:
    """What an evaluation of one place alone could have seen, of the largest and of the smallest place listed."""
    found = places(results, outcome)
    if not found:
        return "What an evaluation of a single place could have seen was not worked out on this data set."
    small, large = found[0], found[-1]

    def needed(place: Place) -> str:
        return f"{'at least ' if place.bound else ''}{place.fall:.0f}%"

    return (
        f"Evaluated alone over the same years, a place of {large.people:,} people would have needed a fall of {needed(large)} "
        f"to be found with confidence, and one of {small.people:,} people a fall of {needed(small)}."
    )


def _place_name(name: str) -> str:
    """site_53000 → Site; local_care_network → Local care network."""
    return headed(" ".join(part for part in name.split("_") if not part.isdigit()))


def _width(estimate: Estimate) -> float:
    """Width of an interval in log points: percent are not comparable between a fall and a rise."""
    low, high = (math.log1p(end / 100) if end > -100 else -math.inf for end in (estimate.low, estimate.high))
    return high - low
