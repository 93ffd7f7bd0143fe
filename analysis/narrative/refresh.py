"""Sentences about editions: what moved since the last, by how much, and what moved it."""

from __future__ import annotations

import math

import pandas as pd

from analysis.narrative.wording import NO_BREAK, counted, in_sentence, listed, p_text, signed
from analysis.refresh.editions import headline_changes, last_edition
from analysis.refresh.ledger import CAUSES, GONE, MOVED, NEW, SAME
from analysis.results import Results

NO_REFRESH = "No refresh was run in this build (`make refresh` runs one), so that there is nothing to compare."
PART = 0.005  # percentage points, below which a cause is not named in a sentence


def own_editions(results: Results) -> pd.DataFrame:
    """Rows of the editions of the data set at hand."""
    return results.editions[results.editions.dataset == results.dataset]


def names(results: Results) -> tuple[str, str]:
    """The edition before and the one that the refresh recorded."""
    both = list(dict.fromkeys(own_editions(results).edition))
    return (both[-2] if len(both) > 1 else "before"), both[-1]


def summary(results: Results) -> str:
    """What became of every headline, in a paragraph; without a refresh, how the build stands to the last edition."""
    rows = results.refreshed("headlines")
    if rows.empty:
        return f"{_against_last(results)} {NO_REFRESH}"
    before, now = names(results)
    return f"Edition {now} follows edition {before}. " + " ".join(_headline(results, row) for _, row in rows.iterrows())


def editions_sentence(results: Results) -> str:
    """How many editions there are, and since when."""
    rows = own_editions(results)
    if rows.empty:
        return "No edition of this data set is recorded yet: `make edition` records one."
    many = rows.edition.nunique()
    return (
        f"{counted(many).capitalize()} edition{'s' if many > 1 else ''} of this data set {'are' if many > 1 else 'is'} recorded. Each is named after its last month of data, "
        "and was made from the files as they were held on the day on which it was recorded: figures that had been revised by then are in it as revised."
    )


def files_sentence(results: Results) -> str:
    """How many files came and went, by publication."""
    if results.refreshed("ledger").empty:
        return NO_REFRESH
    rows = results.refreshed("files")
    if rows.empty:
        return "No file came or went."
    came, went = rows[rows.what == "came"], rows[rows.what == "went"]
    months = pd.PeriodIndex(came.month.dropna(), freq="M")
    span = f", of {months.min().strftime('%B %Y')} to {months.max().strftime('%B %Y')}" if len(months) else ""
    gone = (
        f" {counted(len(went)).capitalize()} earlier issue{'s' if len(went) > 1 else ''} stepped back."
        if len(went)
        else ""
    )
    return f"{counted(len(came)).capitalize()} file{'s' if len(came) != 1 else ''} came in{span}.{gone}"


def headlines_sentence(results: Results) -> str:
    """Whether a sign, a significance or a verdict changed."""
    rows = results.refreshed("headlines")
    if rows.empty:
        return NO_REFRESH
    before, after = (
        rows.rename(
            columns={f"{name}_{when}": name for name in ("verdict", "estimate", "ci_low", "ci_high", "p_value")}
        )
        for when in ("before", "after")
    )
    changes = headline_changes(before, after, results.protocol.study.level)
    if not changes:
        return "No headline changed its sign, its significance or its verdict."
    said = [
        f"{_label(results, key)}: {', '.join(what)}".replace("-", "\N{MINUS SIGN}") for key, what in changes.items()
    ]
    return f"Changed: {'; '.join(said)}. `CHANGELOG.md` has to acknowledge a change of this kind, or the checks fail."


def method_sentence(results: Results) -> str:
    """How a movement is taken apart."""
    causes = [CAUSES[cause] for cause in results.refreshed("causes").cause]
    if len(causes) == 1:
        return f"Nothing but {causes[0]} differs between the two editions, and so it moved everything that moved."
    return (
        f"What differs between the two editions is {listed(causes)}. The results were rebuilt with one of these changed after the other, in this order, and all that "
        "comes later held as it was, so that the parts add up; in another order they would be somewhat different."
    )


def masks_sentence(results: Results) -> str:
    """How many months of the earlier edition are judged otherwise now."""
    if results.refreshed("ledger").empty:
        return NO_REFRESH
    rows = results.refreshed("masks")
    if rows.empty:
        return "Every month of the earlier edition is judged as it was."
    return (
        f"{counted(len(rows)).capitalize()} unit-month{'s' if len(rows) > 1 else ''} of the earlier edition {'are' if len(rows) > 1 else 'is'} judged otherwise, since the rule now sees "
        "what came after, or other figures."
    )


def estimates_sentence(results: Results) -> str:
    """How many estimates moved, and how far."""
    ledger = results.refreshed("ledger")
    if ledger.empty:
        return NO_REFRESH
    held = ledger[ledger.status.isin([SAME, MOVED])]
    moved = held[held.status == MOVED]
    sizes = moved.moved_in_se.abs().dropna()
    parts = [f"{len(moved):,} of {len(held):,} estimates that both editions hold moved"]
    if len(sizes):
        parts.append(
            f"half of them by less than {sizes.median():.2f} of their own earlier standard error, and {(sizes > 1).mean():.0%} by more than a whole one"
        )
    counts = {status: int((ledger.status == status).sum()) for status in (NEW, GONE)}
    more = [f"{count:,} {'are new' if status == NEW else 'are gone'}" for status, count in counts.items() if count]
    return (
        ", ".join(parts)
        + "."
        + (f" {listed(more).capitalize()}." if more else "")
        + " [The whole ledger](../refresh/ledger.csv) has a row for each."
    )


def _against_last(results: Results) -> str:
    last = last_edition(results.editions, results.dataset)
    if last.empty:
        return "This data set has no recorded edition to hold the build against."
    verdicts = results.verdicts
    changes = headline_changes(last, verdicts, results.protocol.study.level)
    name = last.edition.iloc[0]
    if changes:
        said = "; ".join(f"{_label(results, key)}: {', '.join(what)}" for key, what in changes.items())
        return f"Against edition {name}, which is the last that was recorded, this build changed: {said}."
    return f"No headline of this build has another sign, significance or verdict than in edition {name}, the last that was recorded."


def _headline(results: Results, row: pd.Series) -> str:
    label = _label(results, f"{row.outcome}/{row.cohort}")
    if pd.isna(row.estimate_before) or pd.isna(row.estimate_after):
        return f"{label}: {'new in this edition' if pd.isna(row.estimate_before) else 'no longer estimated'}."
    verdict = (
        f"the verdict stays *{row.verdict_after}*"
        if row.verdict_before == row.verdict_after
        else f"the verdict changes from *{row.verdict_before}* to *{row.verdict_after}*"
    )
    size = abs(row.moved_in_se)
    far = "" if math.isnan(size) else f", or {size:.2f} of its earlier standard error"
    points = [(words, row[f"by_{cause}"]) for cause, words in CAUSES.items() if abs(row[f"by_{cause}"]) >= PART]
    why = f": {listed([f'{_points(by)} by {words}' for words, by in points])}" if points else ""
    moved = f"moved by {_points(row.moved)}{far}{why}" if abs(row.moved) >= PART else "did not move"
    return (
        f"**{label}**: {signed(row.estimate_before)} ({signed(row.ci_low_before)} to {signed(row.ci_high_before)}, {p_text(row.p_value_before)}) became "
        f"{signed(row.estimate_after)} ({signed(row.ci_low_after)} to {signed(row.ci_high_after)}, {p_text(row.p_value_after)}); it {moved}. {verdict[0].upper()}{verdict[1:]}."
    )


def _points(value: float) -> str:
    return f"{signed(value, 2).removesuffix('%')}{NO_BREAK}points"


def _label(results: Results, headline: str) -> str:
    outcome, _, cohort = headline.partition("/")
    return f"{results.protocol.cohort_labels[cohort]}, {in_sentence(results.protocol.outcome(outcome).label)}"
