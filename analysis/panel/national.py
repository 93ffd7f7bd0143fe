"""England's totals by month, as published: longer series than the panel's, and another publication to hold them against."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.core.errors import DataError
from analysis.core.tabular import read_table
from analysis.panel.panel import outcomes_from
from analysis.panel.quality import PENDING
from analysis.protocol.protocol import Protocol
from analysis.sources.mar import MarFile

NATIONAL = ["outcome", "month", "value", "missing"]


def national_table(
    returns: Iterable[MarFile], ae: pd.DataFrame | None, ledger: pd.DataFrame, protocol: Protocol
) -> pd.DataFrame:
    """[outcome, month, value, missing]: England's published totals of the return, from the first comparable month of each outcome on,
    and the series of the protocol's national checks, to the end of the study. Direct commissioning is in the totals.

    ``ae``: the A&E time series, None where it is not at hand. ``missing``: expected less published counts of the unit-months that
    the data-quality ledger masks in that month, negative where these were too high; zero in months and publications that the rule does not see.
    """
    totals = [
        (outcome.id, pd.Timestamp(file.month), file.england[outcome.measure])
        for outcome in outcomes_from("mar", protocol)
        for file in returns
        if pd.Timestamp(file.month) >= (outcome.england_from or protocol.study.start)
    ]
    parts = [pd.DataFrame(totals, columns=["outcome", "month", "value"])]
    if ae is not None:
        for check in protocol.its.national_checks:
            held = ae[(ae.month >= check.start) & (ae.month <= protocol.study.end)]
            parts.append(
                held[["month"]].assign(outcome=check.id, value=held[check.measure])[["outcome", "month", "value"]]
            )
    table = pd.concat(parts, ignore_index=True)
    masked = ledger[ledger.rule != PENDING]
    gaps = (
        (masked.expected_value - masked.published_value).groupby([masked.outcome, pd.to_datetime(masked.month)]).sum()
    )
    missing = gaps.to_dict()
    table["missing"] = [round(missing.get((row.outcome, row.month), 0.0)) for row in table.itertuples()]
    return table.assign(month=table.month.astype("datetime64[us]")).sort_values(["outcome", "month"], ignore_index=True)


def first_national_month(protocol: Protocol) -> pd.Timestamp:
    """The first month of which a return of all England is of use."""
    starts = [outcome.england_from or protocol.study.start for outcome in outcomes_from("mar", protocol)]
    return min([protocol.study.start, *starts])


def read_national(path: Path) -> pd.DataFrame:
    """The table as it was written.

    Raises
    ------
    DataError
        The file is not there, lacks a column, or has a month of an outcome twice.
    """
    table = read_table(path, NATIONAL)
    twice = table.duplicated(["outcome", "month"])
    if twice.any():
        row = int(twice.to_numpy().argmax())
        raise DataError(
            path, f"{table.outcome[row]} of {table.month[row]} twice", "one row for each month of an outcome",
            "Build the data again, or restore the file.", row=row + 2, column="month",
        )  # fmt: skip
    month = pd.to_datetime(table.month).astype("datetime64[us]")
    return table.assign(month=month, value=table.value.astype(float), missing=table.missing.astype(float))[NATIONAL]
