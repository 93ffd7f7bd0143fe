"""Where the reports meet the items of the guidelines for reporting studies, and what departs from the protocol."""

from __future__ import annotations

import pandas as pd

from analysis.core.tabular import read_table
from analysis.reporting.results import Results
from analysis.reporting.table import NONE, Table
from analysis.reporting.wording import NO_BREAK, headed

GUIDELINES = ["STROBE", "RECORD", "TREND"]


def guidelines_table(results: Results) -> Table:
    """The items of three guidelines, and where each is met."""
    found = read_table(results.work.guidelines, ["asks", *GUIDELINES, "where"])
    cells = found[["asks", *GUIDELINES, "where"]].replace("", NONE)
    cells[GUIDELINES] = cells[GUIDELINES].replace(" ", ", ", regex=True)
    return Table(
        cells=cells.rename(columns={"asks": "What is asked", "where": "Where it is met"}),
        numeric=(),
        caption="Items of the guidelines, and where the reports meet them",
        data=found,
        note="Items by their numbers in the guidelines, in our own words.",
        source="the guidelines named",
        widths=(37, 9, 11, 9, 34),
    )


def deviations_table(results: Results) -> Table:
    """What departs from the protocol as it was first written, with date and reason."""
    entries = sorted(results.protocol.deviations, key=lambda entry: entry.date)
    data = pd.DataFrame([(e.date, e.what, e.why) for e in entries], columns=["date", "what", "why"])
    cells = pd.DataFrame(
        {
            "Date": [f"{day:%-d %b %Y}".replace(" ", NO_BREAK) for day in data.date],
            "What": data.what.map(headed),
            "Why": data.why.map(headed),
        }
    )
    return Table(
        cells=cells,
        numeric=(),
        caption="Deviations from the protocol",
        data=data,
        source="the protocol",
        widths=(13, 45, 42),
    )
