"""Where the rows of one commissioner or one provider fall out, though few of the whole extract do: they would be without admissions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from analysis.protocol.schema import Records
from analysis.records.codes import commissioner_of
from analysis.records.definitions import OUTSIDE_ENGLAND
from analysis.records.episodes import BLAMED, NO_YEAR, OF_ROWS, PLACES, Episodes

# Each decides whether a row is counted.
DECIDING = ("EPISTAT", "ADMIDATE", "EPISTART", "EPIEND", "ADMIMETH", "CLASSPAT", "EPIORDER")
# Reasons for which no commissioner and no provider loses most of its rows. All of a clinic may be planned or day cases.
AT_NO_PLACE = ("unfinished", "no_date", "runs_backwards")
STRANGERS = "unknown_commissioner"
MOST = 0.5  # of the rows of a place
WIDESPREAD = 0.25  # of the rows of all places
FEWEST = 20  # rows of a place: a clinic of few patients may be without codes, and no count depends on it
STANDARD_ERRORS = 4  # that chance may add: there are hundreds of places


@dataclass(frozen=True)
class At:
    """``what`` is too frequent – a column whose values are not known, or a reason for which rows fall out – by the ``share`` of the rows, of all years
    or of one, of the first of the ``codes``, which are ``of`` commissioners or providers; the share of the others is too large as well."""

    what: str
    of: str
    codes: list[str]
    year: int | None
    share: float


def rows_by_place(episodes: Episodes, commissioners: Collection[str], years: list[int]) -> pd.DataFrame:
    """The tally of ``episodes`` by place in the ``years``, with ``commissioner``, and whether it is one of ``commissioners``
    (``ours``)."""
    commissioner = commissioner_of(episodes.tally_by_place.code, commissioners)
    table = episodes.tally_by_place.assign(commissioner=commissioner, ours=commissioner.isin(list(commissioners)))
    return table[table.year.isin([NO_YEAR, *years])]


def unknown_at_one_place(by_place: pd.DataFrame, rules: Records) -> At | None:
    """The first column of which a commissioner or a provider has too many values that are not known; ``by_place`` as ``rows_by_place`` gives it."""
    for column in DECIDING:
        place = PLACES[BLAMED[column]] if column in BLAMED else len(OF_ROWS)
        looked_at = by_place[by_place.ours & (by_place.reason.fillna(len(OF_ROWS)) >= place)]
        if at := _largest(looked_at, column, rules.unexpected_share):
            return at
    return None


def lost_at_one_place(by_place: pd.DataFrame) -> At | None:
    """The first reason for which a commissioner or a provider loses most of its rows; ``by_place`` as ``rows_by_place`` gives it."""
    ours = by_place[by_place.ours]
    for reason in AT_NO_PLACE:
        rows = ours.assign(**{reason: ours.rows.where(ours.reason == PLACES[reason], 0)})
        if at := _largest(_not_widespread(rows, reason), reason, MOST):
            return at
    kept = by_place[by_place.reason.isna() & ~by_place.code.fillna("").str.startswith(OUTSIDE_ENGLAND)]
    kept = kept.assign(**{STRANGERS: kept.rows.where(~kept.ours, 0)})
    return _largest(_not_widespread(kept, STRANGERS), STRANGERS, MOST, ("provider",))


def _not_widespread(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Without the years in which many rows of all places fall out so, which is judged as a whole."""
    sums = table.groupby("year")[[what, "rows"]].sum()
    return table[~table.year.isin(sums.index[sums[what] > WIDESPREAD * sums.rows])]


def _largest(table: pd.DataFrame, what: str, share: float, kinds: tuple[str, ...] = ("provider", "commissioner")) -> At | None:
    """The place with the largest share of rows with ``what``, in all years or in one, where it is over ``share``."""
    if table[what].sum() < FEWEST:
        return None
    for by in ([], ["year"]):
        over = [at for of in kinds if (at := _worst(table, what, of, by, share)) is not None]
        if over:
            return max(over, key=lambda at: at.share)
    return None


def _worst(table: pd.DataFrame, column: str, of: str, by: list[str], share: float) -> At | None:
    sums = table.groupby([of, *by])[[column, "rows"]].sum().reset_index()
    sums = sums[(sums[of] != "") & (sums.get("year", -1) != NO_YEAR)]
    chance = STANDARD_ERRORS * (share * (1 - share) / sums.rows) ** 0.5
    over = sums[(sums[column] >= FEWEST) & (sums[column] / sums.rows > share + chance)]
    if over.empty:
        return None
    over = over.assign(share=over[column] / over.rows).sort_values("share", ascending=False, kind="stable")
    first = over.iloc[0]
    same = over[over.year == first.year] if by else over
    return At(column, of, [str(code) for code in same[of]], int(first.year) if by else None, float(first.share))
