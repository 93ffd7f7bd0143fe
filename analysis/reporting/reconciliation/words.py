"""Published figures, and ours beside them: which agree, which differ, and which public data cannot be set beside."""

from __future__ import annotations

import math

import pandas as pd

from analysis.reporting.absent import or_reason
from analysis.reporting.results import HEADLINE_INFERENCE, Estimate, Results
from analysis.reporting.sites.places_words import left_out_sentence
from analysis.reporting.wording import counted, headed, in_sentence, listed, listed_apart, ordinal, signed, span

AGREE, DIFFER, NOT_COMPARABLE = "agrees", "differs", "not comparable"
INFERENCE = {"growth": "linearised", "did": HEADLINE_INFERENCE}
LOG_POINTS = "log points"


def reconciled(results: Results, outcome: str) -> pd.DataFrame:
    """Every published row with ours.

    Returns
    -------
    [id, ours_of, cohort, outcome, metric, window, baseline, source, published, published_low, published_high, ours, low, high, verdict, reason],
    figures in percent. A published figure agrees if it lies in our interval or, where it has one itself, the two overlap; where ours has
    none, if the two lie within the protocol's distance. ``reason`` says why two cannot be set beside each other.

    Raises
    ------
    DataError
        A published row has no entry that says what to set beside it.
    """
    published = results.published.set_index("id")
    rows = []
    for each in set_beside(results).set_index("id").reindex(published.index, fill_value="").itertuples():
        theirs = published.loc[each.Index]
        value, low, high = (_percent(theirs, column) for column in ("value", "ci_low", "ci_high"))
        ours = (
            results.find(each.design, outcome, each.cohort, each.term, INFERENCE[each.design]) if each.design else None
        )
        reason = each.reason or ("" if ours else "our estimate could not be made on this data set")
        verdict = _verdict(Estimate(value, low, high, math.nan), ours, results.protocol.report.agree_within)
        numbers = (ours.value, ours.low, ours.high) if ours else (math.nan,) * 3
        about = [theirs[name] for name in ("cohort", "outcome", "metric", "window", "baseline", "source")]
        rows.append((each.Index, each.cohort, *about, value, low, high, *numbers, verdict, "" if ours else reason))
    columns = [
        "id", "ours_of", "cohort", "outcome", "metric", "window", "baseline", "source", "published", "published_low", "published_high", "ours",
        "low", "high", "verdict", "reason",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def set_beside(results: Results) -> pd.DataFrame:
    """[id, design, cohort, term, reason]: what to set beside each published figure; without rows where none is listed."""
    columns, name = ["id", "design", "cohort", "term", "reason"], results.protocol.report.reconciliation
    return results.facts_of(name, columns) if name else pd.DataFrame(columns=columns, dtype=str)


def tables_sentence(results: Results) -> str:
    """Where the published figures stand; nothing where the protocol names no table of them."""
    report = results.protocol.report
    if report.published is None:
        return ""
    return f"The published figures stand in `{report.published}` with their sources, and what each is set beside in `{report.reconciliation}`."


@or_reason
def controlled_sentence(results: Results, outcome: str) -> str:
    """A published controlled study of all sites, beside our estimates; nothing where the protocol knows of none."""
    protocol = results.protocol
    pooled, last = protocol.pooled_cohort, protocol.programme_years[-1]
    mapping = set_beside(results)
    theirs = mapping[(mapping.design == "did") & (mapping.cohort == pooled)].set_index("term").id
    terms = ("att", f"att_{last.id}")
    if not protocol.report.controlled_study or not set(terms) <= set(theirs.index):
        return ""
    published = results.published.set_index("id")

    def figure(term: str) -> str:
        value, low, high = (_percent(published.loc[theirs[term]], column) for column in ("value", "ci_low", "ci_high"))
        return f"{signed(value)} ({span(Estimate(value, low, high, math.nan))})"

    read = ", their table read as log points" if LOG_POINTS in str(published.loc[theirs["att"], "scale"]) else ""
    ours = [results.effect(outcome, pooled, term) for term in terms]
    mine = [f"{signed(effect.value)} ({span(effect)})" for effect in ours]
    return (
        f"{protocol.report.controlled_study} For emergency admissions they found {figure(terms[0])} over the programme and {figure(terms[1])} in its "
        f"{ordinal(len(protocol.programme_years))} year{read}. Our {'pooled ' if len(protocol.models) > 1 else ''}estimates for "
        f"{in_sentence(protocol.outcome(outcome).label)} are {listed(mine)}."
    )


def _percent(row: pd.Series, column: str) -> float:
    """A published number in percent; the table says which were printed as log points."""
    value = float(row[column])
    return 100 * math.expm1(value) if LOG_POINTS in str(row["scale"]) else value


def _verdict(theirs: Estimate, ours: Estimate | None, within: float) -> str:
    if ours is None:
        return NOT_COMPARABLE
    if math.isnan(ours.low):
        return AGREE if abs(theirs.value - ours.value) <= within else DIFFER
    low, high = (theirs.value, theirs.value) if math.isnan(theirs.low) else (theirs.low, theirs.high)
    return AGREE if low <= ours.high and high >= ours.low else DIFFER


def beside_sentence(results: Results, outcome: str, cohort: str) -> str:
    """What others published of a cohort or a site, each figure with ours and whether they agree."""
    table = reconciled(results, outcome)
    table = table[(table.ours_of == cohort) & (table.verdict != NOT_COMPARABLE)]
    label = results.protocol.cohort_labels.get(cohort, cohort)
    if table.empty:
        return f"No published figure for {label} can be set beside one of ours."
    parts = []
    for row in table.itertuples():
        ours = Estimate(row.ours, row.low, row.high, math.nan)
        ends = "" if math.isnan(row.low) else f" ({span(ours)})"
        theirs = Estimate(row.published, row.published_low, row.published_high, math.nan)
        held = "" if math.isnan(theirs.low) else f" ({span(theirs)})"
        parts.append(
            f"{row.metric}, {row.window}, {signed(row.published)}{held}; ours is {signed(row.ours)}{ends}, which {row.verdict}"
        )
    return f"Published for {table.outcome.iloc[0]} in {label}: {'. Also '.join(parts)}."


def agreement_rule(results: Results) -> str:
    """What it means that two figures agree."""
    return (
        "“Agrees” says only that the published figure lies in our interval, or that two intervals overlap; where ours has none, that the two lie within "
        f"{results.protocol.report.agree_within:g} percentage point of each other. With intervals as wide as these, quite different figures would agree."
    )


def counts_sentence(results: Results, outcome: str) -> str:
    """How many published figures there are, and what became of them."""
    table = reconciled(results, outcome)
    if table.empty:
        return "No figure that others published of this programme is listed here, so that there is nothing to set beside ours."
    number = table.verdict.value_counts()
    agree, differ, apart = (int(number.get(name, 0)) for name in (AGREE, DIFFER, NOT_COMPARABLE))
    return (
        f"Of {len(table)} published figures, {counted(agree)} {'agrees' if agree == 1 else 'agree'} with ours, {counted(differ) if differ else 'none'} "
        f"{'differs' if differ < 2 else 'differ'}, and {counted(apart)} cannot be set beside a number from public data."
    )


def differences_sentence(results: Results, outcome: str) -> str:
    """Each figure that differs, with ours."""
    table = reconciled(results, outcome)
    table = table[table.verdict == DIFFER]
    if table.empty:
        return "No published figure that can be compared differs from ours."
    parts = []
    for row in table.itertuples():
        ours = Estimate(row.ours, row.low, row.high, math.nan)
        ends = "" if math.isnan(row.low) else f", {span(ours)}"
        parts.append(f"{row.cohort}, {row.window}: {signed(row.published)} published, {signed(row.ours)}{ends} here")
    return f"{headed('; '.join(parts))}. {left_out_sentence(results, outcome)}".strip()


def chosen_sentence(results: Results, outcome: str) -> str:
    """That figures of single places were chosen for being high; nothing where none that is compared comes from such a list."""
    table = reconciled(results, outcome)
    number = int((table.source.str.contains("highest") & (table.verdict != NOT_COMPARABLE)).sum())
    if not number:
        return ""
    return (
        f"{headed(counted(number))} of the figures are of single places from a list of those that grew most: chance helped to put them there, and ours have no "
        "interval to say how much of it there is, so that to agree or to differ says little."
    )


def reasons_sentence(results: Results, outcome: str) -> str:
    """Why figures cannot be set beside ours, and how many for each reason."""
    every = reconciled(results, outcome)
    table = every[every.verdict == NOT_COMPARABLE]
    if every.empty:
        return ""
    if table.empty:
        return "Every published figure could be set beside one of ours."
    parts = [f"{reason} ({counted(number)})" for reason, number in table.reason.value_counts(sort=False).items()]
    return f"Not comparable: {listed_apart(parts)}."
