"""The table of editions that a protocol names: the headlines of each, and the rule that a change of one is acknowledged."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pandas as pd

from analysis.core.tabular import read_table

HEADLINE = ["outcome", "cohort"]
FIGURES = ["estimate", "ci_low", "ci_high", "p_value"]
COLUMNS = ["edition", "dataset", "data_to", "recorded", "commit", *HEADLINE, "verdict", *FIGURES]


def read_editions(path: Path | None) -> pd.DataFrame:
    """Every edition recorded, the oldest first, one row a headline; without rows where there is no table, or none is named.

    Raises
    ------
    DataError
        It is not such a table.
    """
    if path is None or not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    table = read_table(path, COLUMNS)
    return table.assign(**{name: pd.to_numeric(table[name]) for name in FIGURES})


def headlines(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The headlines of a build, from its table of verdicts."""
    return verdicts[[*HEADLINE, "verdict", *FIGURES]]


def with_edition(
    editions: pd.DataFrame, verdicts: pd.DataFrame, dataset: str, data_to: str, recorded: str, commit: str
) -> pd.DataFrame:
    """The table with one more edition; its name is its last month of data, with a number where there was one before."""
    earlier = editions[(editions.dataset == dataset) & (editions.data_to == data_to)].edition.nunique()
    name = f"{data_to}-{earlier + 1}" if earlier else data_to
    new = headlines(verdicts).assign(edition=name, dataset=dataset, data_to=data_to, recorded=recorded, commit=commit)
    return pd.concat([editions, new[COLUMNS]], ignore_index=True) if len(editions) else new[COLUMNS]


def last_edition(editions: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The rows of the last edition of a data set."""
    rows = editions[editions.dataset == dataset]
    return rows[rows.edition == rows.edition.iloc[-1]] if len(rows) else rows


def last_name(path: Path, dataset: str) -> str:
    """The name of the last edition of a data set; "unrecorded" where there is none."""
    rows = last_edition(read_editions(path), dataset)
    return str(rows.edition.iloc[0]) if len(rows) else "unrecorded"


def side_by_side(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The headlines of two editions, or of an edition and a build, one row each: every figure with ``_before`` and ``_after``."""
    return headlines(before).merge(headlines(after), on=HEADLINE, how="outer", suffixes=("_before", "_after"))


def headline_changes(both: pd.DataFrame, level: float) -> dict[str, list[str]]:
    """Headline (outcome/cohort) → what of it changed: its sign, its significance at ``level``, its verdict, or that it came or went.

    ``both`` is as ``side_by_side`` gives it.
    """
    found: dict[str, list[str]] = {}
    for _, row in both.iterrows():
        changed = []
        if pd.isna(row.estimate_before) or pd.isna(row.estimate_after):
            changed.append("it is new" if pd.isna(row.estimate_before) else "it is gone")
        else:
            if row.estimate_before * row.estimate_after < 0:
                changed.append(f"sign ({row.estimate_before:+.2f}% → {row.estimate_after:+.2f}%)")
            if (row.p_value_before < level) != (row.p_value_after < level):
                changed.append(f"significance (p {row.p_value_before:.3g} → {row.p_value_after:.3g})")
            if row.verdict_before != row.verdict_after:
                changed.append(f"verdict ({row.verdict_before} → {row.verdict_after})")
        if changed:
            found[f"{row.outcome}/{row.cohort}"] = changed
    return found


def acknowledged(changelog: str, edition: str, headline: str) -> bool:
    """Whether an entry of the changelog names the edition and the headline."""
    named = re.compile(rf"\bedition\s+{re.escape(edition)}(?![-\d])", re.IGNORECASE)
    entries = re.split(r"\n(?=- |#|\n)", changelog)
    return any(named.search(entry) and f"`{headline}`" in entry for entry in entries)


def unacknowledged(editions: pd.DataFrame, changelog: str, level: float) -> list[str]:
    """One line for each headline that changed from one recorded edition of a data set to the next and that no entry acknowledges."""
    lines = []
    for dataset, rows in editions.groupby("dataset", sort=False):
        names = list(dict.fromkeys(rows.edition))
        for earlier, later in itertools.pairwise(names):
            both = side_by_side(rows[rows.edition == earlier], rows[rows.edition == later])
            lines += [
                f"edition {later} ({dataset}), `{headline}`: {', '.join(what)} since edition {earlier}"
                for headline, what in headline_changes(both, level).items()
                if not acknowledged(changelog, later, headline)
            ]
    return lines
