"""Delayed transfers of authorities that began, ended or exchanged districts: those that exchanged a district form one unit.

A unit is an authority as it was in the last month of the returns: those that merged into it are summed, and two that
exchanged a district under codes of their own are one unit (``738+809``), as with CCGs.
"""

from __future__ import annotations

import pandas as pd

from analysis.core.errors import DataError
from analysis.panel.geography import Geography, build_geography

TABLE = "data_raw/authority_changes.csv"


def with_units(delays: pd.DataFrame, changes: pd.DataFrame, months: pd.DatetimeIndex) -> pd.DataFrame:
    """The returns with the ``unit`` of each authority.

    Parameters
    ----------
    delays
        [month, local_authority_code, name, ...].
    changes
        [pred_code, succ_code, effective, kind, ...]; ``effective`` is the first month whose return has the new code.

    Raises
    ------
    DataError
        A month lacks an authority, or has one that it should not have.
    """
    reached = changes[changes.effective <= months[-1]]
    geography = build_geography(reached, sorted(delays.local_authority_code.unique()), months[-1].date(), TABLE)
    _check_codes(delays, geography, months)
    return delays.assign(unit=delays.local_authority_code.map(geography.unit_of))


def _check_codes(delays: pd.DataFrame, geography: Geography, months: pd.DatetimeIndex) -> None:
    names = {row.pred_code: row.pred_name for row in geography.mergers.itertuples()}
    names |= dict(zip(delays.local_authority_code, delays.name, strict=True))
    for month in months:
        found = set(delays.local_authority_code[delays.month == month])
        due = geography.in_force(month.date())
        for code in sorted(found ^ due):
            months_of = delays.month[delays.local_authority_code == code]
            held = (
                f"; other files have it from {months_of.min():%B %Y} to {months_of.max():%B %Y}"
                if len(months_of)
                else ""
            )
            raise DataError(
                f"delayed transfers of {month:%B %Y}",
                f"{'no' if code in due else 'a'} row of authority {code} ({names.get(code, 'not named')}){held}",
                f"the {len(due)} authorities of that month: the same in every month, but for the changes in {TABLE}",
                f"Check that month's file; if the authority began, ended or was replaced, add the change to {TABLE}.",
                column="Code",
            )
