"""Tables of the interrupted time series: the headline, methods side by side, choices, sites, other outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.estimation.its.terms import (
    AGAINST_SYNTHETIC,
    CONTROLLED,
    CUMULATIVE,
    HAC,
    JUDGED_BY,
    LEVEL,
    MEAN,
    OLS,
    PSEUDO_COHORTS,
    SINGLE,
    SLOPE,
)
from analysis.estimation.sites.sites import WHOLE
from analysis.protocol.protocol import REST
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.series_checks_words import diagnostics, site_departures
from analysis.reporting.series.series_methods_words import KINDS, SERIES_METHODS
from analysis.reporting.series.words import change, known_breaks, late_term
from analysis.reporting.table import NONE, Table, bounds, number, p_number, unbroken, with_bounds
from analysis.reporting.wording import headed, listed

SHORT = {CONTROLLED: "Controlled", SINGLE: "Single"}
NAMES = KINDS | {AGAINST_SYNTHETIC: "against its synthetic control"}

SAME_ESTIMATE = (OLS, HAC, PSEUDO_COHORTS)


def its_table(results: Results, outcome: str, cohorts: Sequence[str] = (), kinds: Sequence[str] = ()) -> Table:
    """Level and slope change, the late departure and the cumulative effect: each cohort and kind of series, or some of them."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    terms = (LEVEL, SLOPE, late_term(results))
    rows, data = [], []
    wanted = [(cohort, kind) for cohort in cohorts or protocol.treated_cohorts for kind in kinds or NAMES]
    for cohort, kind in [*wanted, (REST, SINGLE)]:
        found = {term: change(results, outcome, cohort, term, kind) for term in terms}
        if None in found.values():
            continue
        cells = [in_cell(found[term], 2 if term == SLOPE else 1) for term in terms]
        total = results.count(kind, outcome, cohort, CUMULATIVE, JUDGED_BY[kind])
        rows.append([headed(protocol.cohort_labels[cohort]), NAMES[kind], *cells, _count(total)])
        data += [
            (cohort, kind, term, JUDGED_BY[kind], e.value, e.low, e.high, e.p_value)
            for term, e in (*found.items(), (CUMULATIVE, total))
            if e is not None
        ]
    headers = [
        "Cohort", "Series", "Level change, %", "Slope change, % a month", f"Departure in month {month}, %",
        f"{headed(protocol.outcome(outcome).unit)} added",
    ]  # fmt: skip
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption=f"{protocol.outcome(outcome).label} per head: segmented regression",
        data=pd.DataFrame(
            data, columns=["cohort", "series", "term", "inference", "estimate", "ci_low", "ci_high", "p_value"]
        ),
        note=f"{protocol.study.conf_level:.0%} intervals: by pseudo-cohorts where places are compared with others, by REML with Kenward and Roger's "
        f"degrees of freedom for single groups. Season: {protocol.its.harmonics} harmonic pairs. Added over the programme, rounded to hundreds; "
        "negative: avoided.",
        widths=(13, 14, 18, 19, 19, 17),
    )


def methods_table(results: Results, outcome: str, cohort: str) -> Table:
    """Level, slope and late departure by every method, single-group and controlled."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    table = results.its_methods
    found = table[(table.outcome == outcome) & (table.cohort == cohort) & table.design.isin(list(KINDS))]
    terms = {LEVEL: "Level, %", SLOPE: "Slope, % a month", late_term(results): f"Month {month}, %"}
    rows = []
    for kind in KINDS:
        for method, label in SERIES_METHODS.items():
            ours = found[(found.design == kind) & (found.method == method)].set_index("term")
            if not set(terms) <= set(ours.index):
                continue
            cells = [
                short(Estimate(row.percent, row.ci_low, row.ci_high, row.p_value), 2 if term == SLOPE else 1)
                for term, row in ((term, ours.loc[term]) for term in terms)
            ]
            rows.append([SHORT[kind], headed(label), *cells, p_number(ours.loc[late_term(results)].p_value)])
    headers = ["Series", "Method", *terms.values(), "p"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption=f"{headed(protocol.cohort_labels[cohort])}: every method for an interrupted time series",
        data=found,
        note=f"{protocol.study.conf_level:.0%} intervals; p of the departure in month {month}, the others in the CSV. {_disagreements(found, terms)} "
        f"{headed(listed([SERIES_METHODS[method] for method in SAME_ESTIMATE if (found.method == method).any()]))} share one estimate, the two kinds of REML another; "
        "their errors differ.",
        widths=(12, 21, 19, 21, 19, 8),
    )


def _disagreements(found: pd.DataFrame, terms: dict[str, str]) -> str:
    apart = found[found.disagree].drop_duplicates(["design", "term"])
    if apart.empty:
        return "The methods agree on every term."
    said = "; ".join(
        f"{KINDS[row.design]}, {terms[row.term].split(',')[0].lower()}: {row.reject} of {row.methods} find a change"
        for row in apart.itertuples()
    )
    return f"Where methods disagree: {said}."


def its_variants_table(results: Results, outcome: str) -> Table:
    """The controlled series' mean and late departure under every choice, model by model."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    terms = {MEAN: "mean", late_term(results): f"month {month}"}
    rows, data = [], []
    for choice in protocol.specifications:
        if "its" not in choice.designs:
            continue
        found = {
            (model, term): change(results, outcome, model, term, specification=choice.id)
            for model in protocol.model_ids
            for term in terms
        }
        if not any(found.values()):
            continue
        rows.append([choice.label, *[in_cell(each) for each in found.values()]])
        data += [
            (choice.id, choice.label, model, term, *numbers(e), e.p_value)
            for (model, term), e in found.items()
            if e is not None
        ]
    headers = [
        "Choice",
        *[f"{protocol.cohort_labels[m]}, {name}, %" for m in protocol.model_ids for name in terms.values()],
    ]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[1:]),
        caption="Departure of the controlled series under other choices",
        data=pd.DataFrame(
            data, columns=["specification", "label", "cohort", "term", "percent", "ci_low", "ci_high", "p_value"]
        ),
        note=f"Mean over the months after the start, and departure in month {month} from the start that is tried; {NONE}: the series does not reach so far, or the "
        f"choice could not be made. {protocol.study.conf_level:.0%} intervals by pseudo-cohorts.",
    )


def site_series_table(results: Results, outcome: str) -> Table:
    """Each site's controlled series, in order of name."""
    month = results.protocol.its.effect_month
    late = site_departures(results, outcome)
    diluted = set(results.sites.site[results.sites.coverage != WHOLE])
    known = diagnostics(results, outcome)
    phi = known[known.design == CONTROLLED].set_index("cohort").phi if len(known) else pd.Series(dtype=float)
    rows, data = [], []
    for row in late.itertuples():
        found = [change(results, outcome, row.cohort, term) for term in (LEVEL, SLOPE)]
        marks = ("*" if known_breaks(results, outcome, row.cohort) else "") + ("†" if row.cohort in diluted else "")
        departure = Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)
        cells = [in_cell(found[0]), in_cell(found[1], 2), in_cell(departure), p_number(row.p_value)]
        rows.append(
            [
                row.cohort + marks,
                *cells,
                f"{phi.get(row.cohort, float('nan')):.2f}".replace("-", "\N{MINUS SIGN}"),
            ]
        )
        data.append((row.cohort, *(x for e in (*found, departure) for x in numbers(e)), row.p_value))
    headers = ["Site", "Level, %", "Slope, % a month", f"Month {month}, %", "p", "φ"]
    columns = [f"{name}{end}" for name in ("level", "slope", "late") for end in ("", "_low", "_high")]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[1:]),
        caption="Every site's controlled series, in order of name",
        data=pd.DataFrame(data, columns=["site", *columns, "p_value"]),
        note=f"{results.protocol.study.conf_level:.0%} intervals beside as many single controls as there are, or sets of them for sites of several units; p of the departure in "
        f"month {month}. *: holds a known break. †: covered in part, so that the effect is diluted. This is no league table.",
        widths=(28, 18, 20, 19, 7, 8),
    )


def other_outcomes_table(results: Results, primary: str) -> Table:
    """The controlled series of the other outcomes."""
    protocol, month = results.protocol, results.protocol.its.effect_month
    terms = (LEVEL, SLOPE, late_term(results))
    rows, data = [], []
    for outcome in results.outcomes:
        if outcome.id == primary:
            continue
        for cohort in protocol.treated_cohorts:
            found = {term: change(results, outcome.id, cohort, term) for term in terms}
            if None in found.values():
                continue
            cells = [in_cell(found[term], 2 if term == SLOPE else 1) for term in terms]
            rows.append([outcome.label, headed(protocol.cohort_labels[cohort]), *cells])
            data += [(outcome.id, cohort, term, *numbers(e), e.p_value) for term, e in found.items() if e is not None]
    headers = ["Outcome", "Cohort", "Level change, %", "Slope change, % a month", f"Departure in month {month}, %"]
    return Table(
        cells=pd.DataFrame(rows, columns=headers),
        numeric=tuple(headers[2:]),
        caption="Other outcomes: the controlled series",
        data=pd.DataFrame(data, columns=["outcome", "cohort", "term", "percent", "ci_low", "ci_high", "p_value"]),
        note=f"{protocol.study.conf_level:.0%} intervals by pseudo-cohorts. Planned care has the month's working days and Easter in the model. Local authorities are weighted "
        "by the share of their people that is covered.",
        widths=(22, 18, 20, 20, 20),
    )


def _count(total: Estimate) -> str:
    """−6,900 (−116,900 to +103,100), in whole hundreds."""

    def whole(value: float, endless: str = "") -> str:
        return endless if math.isinf(value) else f"{round(value, -2):+,.0f}".replace("-", "\N{MINUS SIGN}")

    ends = f"{whole(total.low, 'no lower limit')} to {whole(total.high, 'no upper limit')}"
    ends = "no limit" if ends == "no lower limit to no upper limit" else ends
    return unbroken(f"{whole(total.value)} ({ends})")


def in_cell(estimate: Estimate | None, digits: int = 1) -> str:
    """A value with its interval, which breaks over a line before its parenthesis only."""
    return unbroken(with_bounds(estimate, digits))


def short(estimate: Estimate, digits: int) -> str:
    """A value with its interval; where neither end has a limit, in one word."""
    text = bounds(estimate, digits)
    text = "no limit" if text == "no lower limit to no upper limit" else text
    return unbroken(f"{number(estimate.value, digits)} ({text})")


def numbers(estimate: Estimate | None) -> tuple[float, float, float]:
    return (float("nan"),) * 3 if estimate is None else (estimate.value, estimate.low, estimate.high)
