"""Sentences about England: its own series, and the return held against the other publication."""

from __future__ import annotations

import pandas as pd

from analysis.estimation.its.terms import CONTROLLED, KENWARD_ROGER, LEVEL, SINGLE, SLOPE
from analysis.protocol.protocol import ENGLAND_COHORT, REST
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.words import change, late_term
from analysis.reporting.wording import headed, in_sentence, listed, signed, span


def national_sentence(results: Results) -> str:
    """England's own series, by how many months it learns its trend from, and its total against the other publication."""
    protocol, parts = results.protocol, []
    month, late_of = protocol.its.effect_month, late_term(results)
    for check in protocol.its.national_checks:
        name = in_sentence(protocol.outcome(check.outcome).label)
        own = national_departures(results, check.outcome)
        if own:
            first, *others = own.items()
            more = [f"{signed(late.value)} ({span(late)}) from {_since(start)}" for start, late in others]
            parts.append(
                f"England's {name} stand {signed(first[1].value)} from their own earlier path in month {month} ({span(first[1])}), with the trend learnt from {_since(first[0])}"
                + (f", and {listed(more)}" if more else "")
                + f".{_made_whole(results, check.outcome)} A single series cannot tell the programme from what happened everywhere, and what it finds depends on where it begins."
            )
        level, slope, late = (
            results.find(CONTROLLED, check.outcome, ENGLAND_COHORT, term, KENWARD_ROGER)
            for term in (LEVEL, SLOPE, late_of)
        )
        if level is None or slope is None or late is None:
            parts.append(
                f"{headed(in_sentence(check.label))} are not in this data set, so that the return could not be held against them."
            )
            continue
        moved = [term for term, found in (("level", level), ("slope", slope)) if found.excludes_zero]
        ending = (
            f"The {listed(moved)} moved: counting may have changed at about the start, or the mix of what is counted. What changed alike everywhere drops out of a controlled series."
            if moved
            else "Neither moved: nothing says that counting changed at the start."
        )
        parts.append(
            f"Held against {in_sentence(check.label)}, a separate return from hospitals, the total shows a step of {signed(level.value)} at the start "
            f"({span(level)}) and a change of slope of {signed(slope.value, 2)} a month ({span(slope, 2)}). {ending}"
        )
    return " ".join(parts)


def _made_whole(results: Results, outcome: str) -> str:
    """What was put back into England's totals, and what the rest of England shows by itself, masked."""
    rows = results.national[results.national.outcome == outcome]
    most = (rows.missing / (rows.value + rows.missing)).max()
    text = (
        f" What the data-quality rule takes for missing is put back, up to {most:.1%} of a month." if most > 0 else ""
    )
    rest = change(results, outcome, REST, late_term(results), SINGLE)
    if rest is None:
        return text
    start = _since(f"{results.protocol.study.start:%Y-%m}")
    return f"{text} The {results.protocol.cohort_labels[REST]}, per head and with masked months filled, stands {signed(rest.value)} ({span(rest)}) from {start}."


def national_departures(results: Results, outcome: str) -> dict[str, Estimate]:
    """First month of the series, "2012-04" → England's late departure from its own path, longest series first."""
    found = {}
    for choice in results.protocol.specifications:
        key = f"{SINGLE}/{outcome}/{ENGLAND_COHORT}/{choice.id}/{late_term(results)}_percent/{KENWARD_ROGER}"
        if key in results.ids:
            row = results.estimates.loc[key]
            found[row.window.split("/")[0]] = Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)
    return dict(sorted(found.items()))


def _since(start: str) -> str:
    return f"{pd.Timestamp(f'{start}-01'):%B %Y} on"
