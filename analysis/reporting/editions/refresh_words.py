"""Sentences about editions: what moved since the last, by how much, and what moved it."""

from __future__ import annotations

import math

import pandas as pd

from analysis.editions.editions import headline_changes, last_edition, side_by_side
from analysis.editions.ledger import CAUSES, GONE, MOVED, NEW, SAME
from analysis.reporting.results import Results
from analysis.reporting.wording import NO_BREAK, counted, in_sentence, listed, p_text, signed

PART = 0.005  # percentage points, below which a cause is not named in a sentence


def own_editions(results: Results) -> pd.DataFrame:
    """Rows of the editions of the data set at hand."""
    return results.editions[results.editions.dataset == results.dataset]


def summary(results: Results) -> str:
    """What became of every headline since the edition before; without a refresh, how the build stands to the last edition."""
    rows = results.refreshed("headlines")
    if rows.empty:
        return f"{_against_last(results)} No refresh was run in this build, which would say what moved, and why: `make refresh` runs one."
    before = results.refreshed("causes").since.iloc[0]
    return f"Since edition {before}: " + " ".join(_headline(results, row) for _, row in rows.iterrows())


def editions_sentence(results: Results) -> str:
    """How many editions there are, and what they were made from."""
    many = own_editions(results).edition.nunique()
    if many == 0:
        return "No edition of this data set is recorded yet: `make edition` records one."
    return (
        f"{_several(many, 'edition')} of this data set {_are(many)} recorded. Each is named after its last month of data, and was made from the files as they "
        "were held on the day on which it was recorded: figures that had been revised by then are in it as revised."
    )


def files_sentence(results: Results) -> str:
    """How many files came and went."""
    rows = results.refreshed("files")
    if rows.empty:
        return "No file came or went."
    came, went = rows[rows.what == "came"], rows[rows.what == "went"]
    months = pd.PeriodIndex(came.month.dropna(), freq="M")
    span = f", of {months.min().strftime('%B %Y')} to {months.max().strftime('%B %Y')}" if len(months) else ""
    gone = f" {_several(len(went), 'earlier issue')} stepped back." if len(went) else ""
    return f"{_several(len(came), 'file')} came in{span}.{gone}"


def headlines_sentence(results: Results) -> str:
    """Whether a sign, a significance or a verdict changed."""
    changes = headline_changes(results.refreshed("headlines"), results.protocol.study.level)
    if not changes:
        return "No headline changed its sign, its significance or its verdict."
    return f"{_changed(results, changes)} `CHANGELOG.md` has to acknowledge a change of this kind, or the checks fail."


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
    many = len(results.refreshed("masks"))
    if many == 0:
        return "Every month of the earlier edition is judged as it was."
    return (
        f"{_several(many, 'unit-month')} of the earlier edition {_are(many)} judged otherwise, since the rule now sees "
        "what came after, or other figures."
    )


def estimates_sentence(results: Results) -> str:
    """How many estimates moved, and how far."""
    ledger = results.refreshed("ledger")
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
    name = last.edition.iloc[0]
    changes = headline_changes(side_by_side(last, results.verdicts), results.protocol.study.level)
    if changes:
        return f"Since edition {name}, the last that was recorded: {_changed(results, changes)}"
    return f"No headline of this build has another sign, significance or verdict than in edition {name}, the last that was recorded."


def _changed(results: Results, changes: dict[str, list[str]]) -> str:
    said = "; ".join(f"{_label(results, headline)}: {', '.join(what)}" for headline, what in changes.items())
    return f"Changed: {said}."


def _headline(results: Results, row: pd.Series) -> str:
    label = _label(results, f"{row.outcome}/{row.cohort}")
    if pd.isna(row.estimate_before) or pd.isna(row.estimate_after):
        return f"**{label}**: {'new in this edition' if pd.isna(row.estimate_before) else 'no longer estimated'}."
    verdict = (
        f"The verdict stays *{row.verdict_after}*"
        if row.verdict_before == row.verdict_after
        else f"The verdict changes from *{row.verdict_before}* to *{row.verdict_after}*"
    )
    size = abs(row.moved_in_se)
    far = "" if math.isnan(size) else f", or {size:.2f} of its earlier standard error"
    points = [(words, row[f"by_{cause}"]) for cause, words in CAUSES.items() if abs(row[f"by_{cause}"]) >= PART]
    why = f": {listed([f'{_points(by)} by {words}' for words, by in points])}" if points else ""
    moved = f"moved by {_points(row.moved)}{far}{why}" if abs(row.moved) >= PART else "did not move"
    return (
        f"**{label}**: {signed(row.estimate_before)} ({signed(row.ci_low_before)} to {signed(row.ci_high_before)}, {p_text(row.p_value_before)}) became "
        f"{signed(row.estimate_after)} ({signed(row.ci_low_after)} to {signed(row.ci_high_after)}, {p_text(row.p_value_after)}); it {moved}. {verdict}."
    )


def _several(number: int, what: str) -> str:
    """Three files, one file, no files: at the beginning of a sentence."""
    return f"{counted(number).capitalize()} {what}{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _points(value: float) -> str:
    return f"{signed(value, 2).removesuffix('%')}{NO_BREAK}points"


def _label(results: Results, headline: str) -> str:
    outcome, _, cohort = headline.partition("/")
    return f"{results.protocol.cohort_labels.get(cohort, cohort)}, {in_sentence(outcome_label(results, outcome))}"


def outcome_label(results: Results, id: str) -> str:
    """The label of an outcome; of one that an earlier edition had and the protocol no longer names, its id in words."""
    return next((outcome.label for outcome in results.protocol.outcomes if outcome.id == id), id.replace("_", " "))
