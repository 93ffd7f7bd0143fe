"""Stops a run whose rows fall out for a reason that no sound extract has often, or for one whose share changes from year to year.

Most rows of Hospital Episode Statistics are rightly left out – planned admissions, day cases, residents of Wales – so that a ledger alone does not show
that a code was written in another way, or that a year came without a column. What gives that away is a value that the dictionaries do not
have, and a share that one year has and the others have not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis.expr.types as ir
import pandas as pd

from analysis.errors import DataError
from analysis.outside import printable
from analysis.records.codes import expected_of, known_values
from analysis.records.counts import USED, Counts, financial_year, ledger_by_year, linked_counts, placed
from analysis.records.engines import Engine
from analysis.records.episodes import APRIL, BLAMED, NO_YEAR, OF_ROWS, classified
from analysis.records.extract import Extract
from analysis.records.spells import OF_SPELLS
from analysis.rules import Records

# Reasons that few rows of a sound extract have; values that are not known are as rare. Of the others a share may be large, but not change.
UNEXPECTED = ("runs_backwards", "no_first_episode", "too_long", "unknown_commissioner")
# Rows of these are used (a duplicate's first), or lie where the extract begins and ends.
NO_FAULT = ("duplicate", "outside_window", USED)
COLUMN_OF = {
    "unfinished": "EPISTAT", "no_date": "ADMIDATE", "runs_backwards": "EPIEND", "not_emergency": "ADMIMETH", "other_class": "CLASSPAT",
    "no_first_episode": "EPIORDER", "too_long": "DISDATE", "transfer_alone": "ADMISORC", "outside_england": "CCG_RESPONSIBILITY",
    "unknown_commissioner": "CCG_RESPONSIBILITY",
}  # fmt: skip
# Columns of persons, and reasons that go by several columns: no values are listed.
NO_VALUES = ("TOKEN_PERSON_ID", "runs_backwards", "too_long", "transfer_alone")
WHOLE_YEAR = 0.5  # of the rows of the median year: the first and the last year of an extract may hold a few long stays
VALUES = 4  # that a message lists
LONGEST_VALUE = 30


def checked_counts(
    engine: Engine, typed: ir.Table, source: Extract, place: str, rules: Records, months: pd.DatetimeIndex,
    unit_of: Mapping[str, str], network_of: Mapping[str, str],
) -> Counts:  # fmt: skip
    """Counts by unit and network, as ``placed`` gives them, of an extract whose rows fall out as those of a sound one do.

    Raises
    ------
    DataError
        More rows than ``rules.unexpected_share``, in all or in a year of the study, have a value that the dictionaries do not have, or fall out for
        a reason that is rare; or the share of a value or a reason differs between a year and the others by more than ``rules.share_change``;
        or no row at all is counted.
    """
    episodes = classified(typed, rules, network_of)
    years = sorted({month.year - (month.month < APRIL) for month in months})
    extract = Extracted(typed, source, place, rules, bool(network_of), years)
    _check(_value_shares(episodes.tally), extract, episodes.tally, None)  # before long work begins
    counts = placed(linked_counts(engine, episodes), unit_of, network_of)
    ledger = ledger_by_year(counts, months)
    strangers = counts.arrivals[counts.arrivals.unit.isna()]
    shares = pd.concat([_nameless_share(counts, episodes.tally), _reason_shares(ledger)])
    _check(shares, extract, episodes.tally, strangers)
    rows = ledger.sum()
    if rows[USED] == 0:
        reasons = (rows[rows >= rules.smallest_count] / rows.sum()).nlargest(VALUES)
        listed = "; ".join(f"{share:.0%} {_sentence(str(reason))}" for reason, share in reasons.items())
        raise DataError(
            place, f"no row is counted: {listed or 'there are very few'}", "emergency admissions of the study's commissioners in its window",
            "Look whether the extract and the protocol are of the same study. Nothing was written.",
        )  # fmt: skip
    return counts


@dataclass(frozen=True)
class Extracted:
    """An extract as ``read_episodes`` types it, where it came from, the rules it is counted by (``practices``: by practice too), and the ``years`` of
    the study, by the year in which each begins."""

    typed: ir.Table
    source: Extract
    place: str
    rules: Records
    practices: bool
    years: list[int]


def _check(shares: pd.DataFrame, extract: Extracted, tally: pd.DataFrame, strangers: pd.DataFrame | None) -> None:
    """``shares`` [what, year, rows, of] of a column's unknown values or of a reason."""
    rules = extract.rules
    in_years = tally.groupby("year").rows.sum().reindex(extract.years, fill_value=0)
    whole = in_years.index[in_years >= WHOLE_YEAR * in_years.median()]
    shares = shares[~shares.what.isin(NO_FAULT) & shares.year.isin([NO_YEAR, *extract.years])]
    for what, rows in shares.groupby("what", sort=False):
        name = str(what)
        by_year = rows[rows.year.isin(whole)].set_index("year")
        share = (by_year.rows / by_year.of.where(by_year.of > 0)).fillna(0.0)
        if name not in COLUMN_OF or name in UNEXPECTED:
            many = _unexpected(rows, by_year, share, rules)
            if many is not None:
                raise _many(name, *many, extract, strangers)
        year = _changed(by_year, share, rules)
        if year is not None:
            raise _change(name, year, float(share[year]), float(share.drop(year).median()), extract, strangers)


def _unexpected(
    rows: pd.DataFrame, by_year: pd.DataFrame, share: pd.Series, rules: Records
) -> tuple[list[int], float] | None:
    """The years, none for all, and the share that is too large; fewer rows than may be shown are no matter."""
    lost, of = rows.rows.sum(), rows.of.sum()
    if lost >= rules.smallest_count and lost > rules.unexpected_share * of:
        return [], float(lost / of)
    many = by_year.index[(by_year.rows >= rules.smallest_count) & (share > rules.unexpected_share)]
    return ([int(year) for year in many], float(share[many].max())) if len(many) else None


def _changed(by_year: pd.DataFrame, share: pd.Series, rules: Records) -> int | None:
    """The year whose share is furthest from the median of the others, where that is too far."""
    if len(share) < 2:
        return None
    distance = pd.Series({year: abs(share[year] - share.drop(year).median()) for year in share.index})
    chance = 2 / by_year.of.clip(lower=1).min() ** 0.5  # four standard errors of a half
    year = distance.idxmax()
    return int(year) if distance[year] > rules.share_change + chance else None


def _many(what: str, years: list[int], share: float, extract: Extracted, strangers: pd.DataFrame | None) -> DataError:
    column, rules = COLUMN_OF.get(what, what), extract.rules
    when = f" of {_said(years)}" if years else ""
    wanted = "none" if what in COLUMN_OF else expected_of(column, rules)
    return DataError(
        extract.place, f"{share:.0%} of the rows{when} that come to this check {_sentence(what)}{_listed(what, years, extract, strangers)}",
        f"{wanted}, in all but {rules.unexpected_share:.0%} of the rows",
        "Correct the column, or name the right one in [records.columns] of the protocol; if the extract is right, raise unexpected_share in its "
        "[records]. Nothing was written.", column=extract.source.column(column),
    )  # fmt: skip


def _change(
    what: str, year: int, share: float, usual: float, extract: Extracted, strangers: pd.DataFrame | None
) -> DataError:
    column = COLUMN_OF.get(what, what)
    return DataError(
        extract.place,
        f"{share:.0%} of the rows of {_said([year])} that come to this check, but {usual:.0%} in other years, {_sentence(what)}"
        f"{_listed(what, [year], extract, strangers)}",
        f"a share that differs between the years by {extract.rules.share_change:.0%} of the rows at most",
        "Look whether the file of that year is of the same kind as the others, with the same columns and codes; if the extract is right, raise "
        "share_change in [records] of the protocol. Nothing was written.", column=extract.source.column(column),
    )  # fmt: skip


def _sentence(what: str) -> str:
    """The verb and what follows, of rows that a reason leaves out or whose value of a column is not known."""
    if what in COLUMN_OF:
        return f"are left out as {what} ({OF_ROWS.get(what) or OF_SPELLS[what]})"
    return "have no value, or one that is in no dictionary"


def _said(years: list[int]) -> str:
    return ", ".join(f"{year}/{(year + 1) % 100:02d}" for year in years)


def _listed(what: str, years: list[int], extract: Extracted, strangers: pd.DataFrame | None) -> str:
    """The most frequent values with their shares; only those of as many rows as may be shown."""
    counts = _values(what, years, extract, strangers)
    shown = counts[counts >= extract.rules.smallest_count].nlargest(VALUES)
    texts = [
        "empty" if pd.isna(value) or value == "" else repr(printable(str(value))[:LONGEST_VALUE])
        for value in shown.index
    ]
    listed = ", ".join(f"{text} {rows / counts.sum():.0%}" for text, rows in zip(texts, shown, strict=True))
    return f": {listed}" if listed else ""


def _values(what: str, years: list[int], extract: Extracted, strangers: pd.DataFrame | None) -> pd.Series:
    """Rows by value: of those that are not known, of commissioners of no unit, or of all that a reason goes by."""
    column = COLUMN_OF.get(what, what)
    if column == "CCG_RESPONSIBILITY" and strangers is not None:
        chosen = strangers[financial_year(strangers.day).isin(years)] if years else strangers
        return chosen.groupby("code").rows.sum()
    if what in NO_VALUES:
        return pd.Series(dtype=int)
    rows = extract.typed
    if what not in COLUMN_OF:
        known = known_values(rows, extract.rules, extract.practices)[column]
        rows = rows.filter(~known.fill_null(False))
    if years:
        rows = rows.filter((rows.ADMIDATE.year() - (rows.ADMIDATE.month() < APRIL).cast("int32")).isin(years))
    table = rows.group_by(value=rows[column]).aggregate(rows=lambda t: t.count()).to_pyarrow().to_pandas()
    return table.set_index("value").rows


def _value_shares(tally: pd.DataFrame) -> pd.DataFrame:
    """Of every column, the rows with a value that is not known and those looked at [what, year, rows, of]; ``tally`` as ``Episodes`` has it."""
    places = {reason: place for place, reason in enumerate(OF_ROWS)}
    parts = []
    for column in tally.columns.drop(["reason", "year", "rows"]):
        place = places[BLAMED[column]] if column in BLAMED else len(OF_ROWS)
        looked_at = tally[tally.reason.fillna(len(OF_ROWS)) >= place]
        sums = looked_at.groupby("year")[[column, "rows"]].sum()
        parts.append(sums.set_axis(["rows", "of"], axis=1).reset_index().assign(what=column))
    return pd.concat(parts, ignore_index=True)


def _reason_shares(ledger: pd.DataFrame) -> pd.DataFrame:
    """Of every reason, the rows that it takes of those that the reasons before it leave [what, year, rows, of]; ``ledger`` by year, as
    ``ledger_by_year`` gives it."""
    remaining = ledger.iloc[:, ::-1].cumsum(axis=1)
    table = pd.DataFrame({"rows": ledger.stack(), "of": remaining.stack()}).rename_axis(["year", "what"])
    return table.reset_index()


def _nameless_share(counts: Counts, tally: pd.DataFrame) -> pd.DataFrame:
    """The same of rows without a person, of those that are counted by person."""
    of = tally[tally.reason.isna()].groupby("year").rows.sum()
    rows = counts.nameless.reindex(of.index, fill_value=0)
    return pd.DataFrame({"rows": rows, "of": of}).reset_index().assign(what="TOKEN_PERSON_ID")
