"""Stops a run whose rows fall out for a reason that no sound extract has often, or for one whose share changes from year to year.

Most rows of Hospital Episode Statistics are rightly left out – planned admissions, day cases, residents of Wales – so that a ledger alone does not show
that a code was written in another way, or that a year came without a column. What gives that away is a value that the dictionaries do not
have, and a share that one year has and the others have not.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir
import pandas as pd

from analysis.core.errors import DataError
from analysis.protocol.schema import Records
from analysis.records.by_place import lost_at_one_place, rows_by_place, unknown_at_one_place
from analysis.records.completeness import check_rows
from analysis.records.counts import LATE, OF_USED, USED, Counts, ledger_by_year, linked_counts, placed
from analysis.records.engines import Engine
from analysis.records.episodes import APRIL, BLAMED, NO_YEAR, OF_ROWS, PLACES, classified
from analysis.records.extract import Extract
from analysis.records.falling_out import (
    COLUMN_OF,
    VALUES,
    Extracted,
    at_one_place,
    change,
    many,
    no_first_episode,
    sentence,
)
from analysis.records.misread import check_codes, check_days, check_forms, check_lengths
from analysis.records.persons import check_possible, check_written

# Reasons that few rows of a sound extract have; values that are not known are as rare. Of the others a share may be large, but not change.
UNEXPECTED = ("runs_backwards", "no_first_episode", "too_long", "unknown_commissioner", LATE)
# Rows of these are used (a duplicate's first), lie where the extract begins and ends, or are looked at by column.
NO_FAULT = ("unknown_code", "duplicate", "outside_window", USED)
WHOLE_YEAR = 0.5  # of the rows of the median year: the first and the last year of an extract may hold a few long stays


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
        or the values of one commissioner or provider are not known; or a value of the person stands for several; or no row at all is counted; or the
        files hold other rows than the engine reads.
    """
    episodes = classified(typed, rules, network_of, source.codes)
    years = sorted({month.year - (month.month < APRIL) for month in months})
    extract = Extracted(typed, source, place, rules, bool(network_of), years, tuple(sorted(set(unit_of.values()))))
    # Before long work begins:
    check_rows(engine, source, place, int(episodes.tally.rows.sum()))
    _check(_value_shares(episodes.tally), extract, episodes.tally, None)
    by_place = rows_by_place(episodes, unit_of, years)
    at = unknown_at_one_place(by_place, rules)
    if at is not None:
        raise at_one_place(at, extract)
    counts = placed(linked_counts(engine, episodes), unit_of, network_of)
    person = source.column("TOKEN_PERSON_ID")
    check_written(counts.persons, place, person)
    check_forms(counts.arrivals, months, extract)
    kept = int(episodes.tally.rows[episodes.tally.reason.isna()].sum())
    # Before the shares, because a value that many strangers share changes them. Wrong dates can put a person into several stays at once, but not at
    # many providers, so that only the number of providers is looked at here.
    check_possible(counts.persons[counts.persons.providers > 0], engine, episodes.kept, kept, rules, place, person)
    ledger = ledger_by_year(counts, months)
    strangers = counts.arrivals[counts.arrivals.unit.isna()]
    shares = pd.concat([_nameless_share(counts, episodes.tally), _reason_shares(ledger)])
    _check(shares, extract, episodes.tally, strangers)
    at = lost_at_one_place(by_place)
    if at is not None:
        raise at_one_place(at, extract)
    check_codes(counts.arrivals, months, extract)
    check_days(counts, months, extract)
    check_lengths(counts, months, extract)
    check_possible(counts.persons, engine, episodes.kept, kept, rules, place, person)
    rows = ledger.sum()
    if rows[[*OF_USED]].sum() == 0:
        reasons = (rows[rows >= rules.smallest_count] / rows.sum()).nlargest(VALUES)
        listed = "; ".join(f"{share:.0%} {sentence(str(reason))}" for reason, share in reasons.items())
        raise DataError(
            place, f"no row is counted: {listed or 'there are very few'}", "emergency admissions of the study's commissioners in its window",
            "Look whether the extract and the protocol are of the same study. Nothing was written.",
        )  # fmt: skip
    return counts


def _check(shares: pd.DataFrame, extract: Extracted, tally: pd.DataFrame, strangers: pd.DataFrame | None) -> None:
    """``shares`` [what, year, rows, of] of a column's unknown values or of a reason, in the order in which rows fall out: what comes first may be the
    cause of what follows."""
    rules = extract.rules
    in_years = tally.groupby("year").rows.sum().reindex(extract.years, fill_value=0)
    whole = in_years.index[in_years >= WHOLE_YEAR * in_years.median()]
    everything = shares[shares.year.isin([NO_YEAR, *extract.years])]
    shares = everything[~everything.what.isin(NO_FAULT)]
    for what, rows in shares.groupby("what", sort=False):
        name = str(what)
        by_year = rows[rows.year.isin(whole)].set_index("year")
        share = (by_year.rows / by_year.of.where(by_year.of > 0)).fillna(0.0)
        if name not in COLUMN_OF or name in UNEXPECTED:
            over = _unexpected(rows, by_year, share, rules)
            if over is not None and name == "no_first_episode":
                raise no_first_episode(*over, everything, extract)
            if over is not None:
                raise many(name, *over, extract, strangers)
        year = _changed(by_year, share, rules)
        if year is not None:
            raise change(name, year, float(share[year]), float(share.drop(year).median()), extract, strangers)


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


def _value_shares(tally: pd.DataFrame) -> pd.DataFrame:
    """Of every column, the rows with a value that is not known and those looked at [what, year, rows, of]; ``tally`` as ``Episodes`` has it."""
    parts = []
    for column in tally.columns.drop(["reason", "year", "rows"]):
        place = PLACES[BLAMED[column]] if column in BLAMED else len(OF_ROWS)
        looked_at = tally[tally.reason.fillna(len(OF_ROWS)) >= place]
        if column == "ADMIMETH":  # of the rows that would be counted: planned ones, which are many, would hide that a code of emergencies is lost
            looked_at = looked_at[looked_at.reason.isna() | (looked_at[column] > 0)]
        sums = looked_at.groupby("year")[[column, "rows"]].sum()
        parts.append(sums.set_axis(["rows", "of"], axis=1).reset_index().assign(what=column))
    return pd.concat(parts, ignore_index=True)


def _reason_shares(ledger: pd.DataFrame) -> pd.DataFrame:
    """Of every reason, the rows that it takes of those that the reasons before it leave [what, year, rows, of]; ``ledger`` by year, as
    ``ledger_by_year`` gives it."""
    remaining = ledger.iloc[:, ::-1].cumsum(axis=1)
    table = ledger.stack().rename("rows").to_frame().join(remaining.stack().rename("of")).rename_axis(["year", "what"])
    table = table.reset_index()
    order = table.what.map({reason: place for place, reason in enumerate(ledger.columns)})
    return table.iloc[order.argsort(kind="stable")]


def _nameless_share(counts: Counts, tally: pd.DataFrame) -> pd.DataFrame:
    """The same of rows without a person, of those that are counted by person."""
    of = tally[tally.reason.isna()].groupby("year").rows.sum()
    rows = counts.nameless.reindex(of.index, fill_value=0)
    return pd.DataFrame({"rows": rows, "of": of}).reset_index().assign(what="TOKEN_PERSON_ID")
