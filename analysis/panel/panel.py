"""The panel: one row per geography, unit, month and outcome, with what was published and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
import pandera.pandas as pa

from analysis.core.errors import DataError
from analysis.panel import quality
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Outcome

KEY = ["geography", "unit", "month", "outcome"]
ATTRIBUTES = ["model", "site", "covered_share", "other_programmes"]
CCG, LOCAL_AUTHORITY, AREA, ENGLAND = "ccg", "local_authority", "area", "england"
ANALYSED = (CCG, AREA)  # the geographies whose units a model may compare
ENGLAND_CODE = "E92000001"

PANEL = pa.DataFrameSchema(
    {
        "geography": pa.Column(str, pa.Check.isin([CCG, LOCAL_AUTHORITY, AREA, ENGLAND])),
        "unit": pa.Column(str),
        "unit_name": pa.Column(str),
        "month": pa.Column("datetime64[us]"),
        "outcome": pa.Column(str),
        "value_published": pa.Column(
            float, pa.Check.ge(0), nullable=True
        ),  # null where disclosure control suppresses it
        "population_published": pa.Column(float, pa.Check.gt(0)),
        "value": pa.Column(float, pa.Check.ge(0), nullable=True),
        "population": pa.Column(float, pa.Check.gt(0), nullable=True),
        "quality": pa.Column(
            str, pa.Check.isin([quality.OK, quality.TOO_LOW, quality.TOO_HIGH, quality.PENDING, quality.SMALL])
        ),
        "days": pa.Column("int64", pa.Check.in_range(28, 31)),
        "model": pa.Column(str),
        "site": pa.Column(str, nullable=True),
        "covered_share": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "other_programmes": pa.Column(str),
        "dataset": pa.Column(str, pa.Check.isin(["mar", "snapshot", "records"])),
    },
    unique=KEY,
    strict=True,
    ordered=True,
)


@dataclass(frozen=True)
class Cleaned:
    """``panel`` as in the data dictionary; ``ledger`` of flagged unit-months; ``shifts`` of level, listed only; ``national``:
    England's published totals, longer than the panel."""

    panel: pd.DataFrame
    ledger: pd.DataFrame
    shifts: pd.DataFrame
    national: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Held:
    """What an earlier edition's rule said of the months ``until`` its end: its quality ledger, which stands in for a new look."""

    ledger: pd.DataFrame
    until: pd.Timestamp

    def over(self, found: pd.DataFrame) -> pd.DataFrame:
        """What is ``found`` of later months, and what was said of earlier ones."""
        return pd.concat([self.ledger[list(found.columns)], found[found.month > self.until]], ignore_index=True)


def clean(
    counts: pd.DataFrame,
    population: pd.DataFrame,
    attributes: pd.DataFrame,
    notes: dict[pd.Timestamp, str],
    protocol: Protocol,
    held: Held | None = None,
    source: str = "mar",
    smallest: int = 0,
) -> Cleaned:
    """Build the panel of CCG units and of England, for the outcomes of one source: the Monthly Activity Return, or records.

    Parameters
    ----------
    counts
        [unit, month, outcome, value]: published counts by unit, complete over the window; null where disclosure control suppresses them.
    population
        [unit, month, population], persons.
    attributes
        [unit, unit_name, model, site, covered_share, other_programmes], one row per unit.
    notes
        Month → what the file's own Notes sheet says of missing or doubtful returns.
    held
        What stands in for the data-quality rule in the months of an earlier edition, where its part in a change is to be told.
    smallest
        The smallest count that is used; the data-quality rule looks at units alone whose every month is shown.

    Raises
    ------
    DataError
        A unit has no count in some month.
    """
    for what, table in (("population", population), ("cohort table", attributes)):
        absent = sorted(set(counts.unit) - set(table.unit))
        if absent:
            raise DataError(
                what, f"no unit {absent[0]}", "every unit that has counts", "Check data_raw/ccg_changes.csv."
            )
    flagged, shifts = [], []
    for outcome in outcomes_from(source, protocol):
        table = _complete(counts[counts.outcome == outcome.id], protocol.months, may_be_null=smallest > 0).dropna()
        found = quality.assess(table, protocol.quality)
        flagged.append(found.assign(outcome=outcome.id))
        shifts.append(quality.lasting_shifts(table, found, protocol.quality).assign(outcome=outcome.id))
    ledger = pd.concat(flagged, ignore_index=True)
    ledger = held.over(ledger) if held else ledger
    names = attributes[["unit", "unit_name"]]
    rows = (
        counts.rename(columns={"value": "value_published"})
        .merge(population.rename(columns={"population": "population_published"}), on=["unit", "month"], validate="m:1")
        .merge(attributes, on="unit", validate="m:1")
        .merge(
            ledger[["unit", "month", "outcome", "rule"]], on=["unit", "month", "outcome"], how="left", validate="1:1"
        )
        .rename(columns={"rule": "quality"})
        .fillna({"quality": quality.OK})
    )
    rows["quality"] = rows.quality.mask(rows.value_published.isna(), quality.SMALL)
    kept = rows.quality.isin([quality.OK, quality.PENDING]) & (rows.value_published >= smallest)
    rows["value"] = rows.value_published.where(kept)
    rows["population"] = rows.population_published.where(kept)
    units = rows.assign(geography=CCG, days=rows.month.dt.days_in_month.astype("int64"), dataset=source)
    ledger = ledger.merge(names, on="unit").assign(note=[notes.get(month, "") for month in ledger.month])
    return Cleaned(
        panel=tidy(pd.concat([units, england(units)])),
        ledger=ledger[
            ["outcome", "unit", "unit_name", "month", "published_value", "expected_value", "ratio", "rule", "note"]
        ],
        shifts=pd.concat(shifts).merge(names, on="unit")[["outcome", "unit", "unit_name", "month", "ratio"]],
    )


def aggregate(units: pd.DataFrame, membership: pd.DataFrame) -> pd.DataFrame:
    """Sum units into areas: published over all members, the rest over unmasked members and *their* population.

    ``membership`` is [unit, area, ...]: the area's code and every further column its rows are to carry.
    An area-month is named after the rule that masks any of its members; with every member masked it is null. What was published is
    null where it is suppressed of any member: the sum of the others is not of all the people, and is zero where only zeros are shown.
    """
    joined = units.drop(columns=["geography", "unit_name", *ATTRIBUTES]).merge(membership, on="unit", validate="m:1")
    joined["doubt"] = joined.quality.ne(quality.OK)
    keys = [column for column in membership.columns if column != "unit"]
    grouped = joined.groupby([*keys, "month", "outcome", "days", "dataset"], dropna=False, sort=True)
    sums = grouped[["value_published", "population_published"]].sum(skipna=False)
    sums[["value", "population"]] = grouped[["value", "population"]].sum(min_count=1)
    doubts = joined[joined.doubt].groupby(["area", "month", "outcome"]).quality.first()
    table = (
        sums.reset_index().merge(doubts, on=["area", "month", "outcome"], how="left").fillna({"quality": quality.OK})
    )
    return table.rename(columns={"area": "unit"})


def outcomes_from(source: str, protocol: Protocol) -> list[Outcome]:
    """The protocol's outcomes that come from this publication."""
    return [outcome for outcome in protocol.outcomes if outcome.source == source]


def england(units: pd.DataFrame) -> pd.DataFrame:
    """England as the sum of the panel's units (X24 has no population and is not in it)."""
    membership = pd.DataFrame({"unit": units.unit.unique(), "area": ENGLAND_CODE, "unit_name": "England"})
    table = aggregate(units, membership)
    return table.assign(geography=ENGLAND, model="none", site=None, covered_share=float("nan"), other_programmes="")


def tidy(panel: pd.DataFrame) -> pd.DataFrame:
    """Order, type and check the panel against its contract."""
    typed = panel.assign(
        month=panel.month.astype("datetime64[us]"),
        covered_share=panel.covered_share.astype(float),
        site=panel.site.astype("str"),
        **{
            name: panel[name].astype("str")
            for name in ("geography", "unit", "unit_name", "outcome", "quality", "model", "other_programmes", "dataset")
        },
    )
    ordered = typed[list(PANEL.columns)].sort_values(KEY, ignore_index=True)
    return PANEL.validate(ordered)


def _complete(counts: pd.DataFrame, months: pd.DatetimeIndex, may_be_null: bool) -> pd.DataFrame:
    table = counts.pivot(index="unit", columns="month", values="value").reindex(columns=months)
    rows = counts.assign(there=1.0) if may_be_null else counts.assign(there=counts.value)
    holes = rows.pivot(index="unit", columns="month", values="there").reindex(columns=months).isna()
    if holes.to_numpy().any():
        unit = holes.any(axis=1).idxmax()
        month = holes.loc[unit].idxmax()
        raise DataError(
            f"MAR of {month:%B %Y}",
            f"no count for unit {unit}",
            f"a count for each of {len(table)} units in every month",
            "Check that month's file, and data_raw/ccg_changes.csv for a code that began or ended.",
            column=counts.outcome.iloc[0],
        )
    return table
