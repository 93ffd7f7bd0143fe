"""Where the values of one commissioner or one provider are not known, though few of the whole extract are: they would be without admissions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from analysis.records.codes import commissioner_of
from analysis.records.episodes import BLAMED, NO_YEAR, OF_ROWS, Episodes
from analysis.rules import Records

# Each decides whether a row is counted.
DECIDING = ("EPISTAT", "ADMIDATE", "EPISTART", "EPIEND", "ADMIMETH", "CLASSPAT", "EPIORDER")
FEWEST = 20  # rows of a place: a clinic of few patients may be without codes, and no count depends on it
STANDARD_ERRORS = 4  # that chance may add: there are hundreds of places


@dataclass(frozen=True)
class At:
    """The ``column`` whose values are not known in too large a ``share`` of the rows, of all years or of one, of the first of the ``codes``, which
    are ``of`` commissioners or providers; the share of the others is too large as well."""

    column: str
    of: str
    codes: list[str]
    year: int | None
    share: float


def unknown_at_one_place(
    episodes: Episodes, commissioners: Collection[str], rules: Records, years: list[int]
) -> At | None:
    """The first column of which a commissioner or a provider has too many values that are not known; only rows of ``commissioners`` count."""
    tally = episodes.tally
    suspects = [column for column in DECIDING if tally[column].sum() >= FEWEST]
    if not suspects:
        return None
    table = episodes.tally_by("code", "provider")
    table["commissioner"] = commissioner_of(table.code, commissioners)
    table = table[table.commissioner.isin(list(commissioners)) & table.year.isin([NO_YEAR, *years])]
    places = {reason: place for place, reason in enumerate(OF_ROWS)}
    for column in suspects:
        place = places[BLAMED[column]] if column in BLAMED else len(OF_ROWS)
        looked_at = table[table.reason.fillna(len(OF_ROWS)) >= place]
        for by in ([], ["year"]):
            found = [_worst(looked_at, column, of, by, rules.unexpected_share) for of in ("provider", "commissioner")]
            over = [at for at in found if at is not None]
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
