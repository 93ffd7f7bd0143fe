"""The embedded snapshot: the panel summed to the sites and, for the rest of England, STP areas.

The published files stay out of the repository; these aggregates of them, made by this project's own cleaning,
let the evaluation run where the files cannot be had. A masked member leaves an area's ``value`` together with its
population, so a rate stays a rate of the same people. Poisson estimates from the snapshot and from the CCG panel
agree exactly only without masking and with a population that factors into unit × month: then the sum of the members'
means has the same unit and month effects as the members. With masking, an area's remaining members stand in for the
one that is masked, where the CCG panel lets that CCG's own level do so; and where members' populations grow at
different rates, the area's offset is their sum's growth, not each member's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from analysis.core.errors import StudyError
from analysis.core.tabular import read_table
from analysis.core.untrusted import slug, unguarded
from analysis.panel.panel import AREA, ATTRIBUTES, CCG, aggregate, england, outcomes_from, tidy
from analysis.protocol.protocol import NO_MODEL, Protocol

SERIES, UNITS, POPULATION, NATIONAL_FILE = "series.csv", "units.csv", "population.csv", "national.csv"
NUMBERS = ["value_published", "population_published", "value", "population"]
SERIES_COLUMNS = ["unit", "month", "outcome", *NUMBERS, "quality"]
UNIT_COLUMNS = ["unit", "unit_name", *ATTRIBUTES]


def summarise(panel: pd.DataFrame, stp_of: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """File name → table of the snapshot, from the CCG panel.

    ``stp_of`` is [unit, stp_code, stp_name]. Every unit of a site goes to the site, every other to its STP.
    """
    ccgs = panel[panel.geography == CCG]
    attributes = ccgs[["unit", *ATTRIBUTES]].drop_duplicates("unit")
    members = attributes.merge(stp_of, on="unit", validate="1:1")
    treated = members.model != NO_MODEL
    members["area"] = members.site.map(slug, na_action="ignore").where(treated, members.stp_code)
    members["unit_name"] = members.site.where(treated, members.stp_name)
    grouped = members.groupby("area")
    areas = grouped[["unit_name", "model", "site"]].first().reset_index()
    # A site of several CCGs is covered as a whole only if each is; the share of a part is kept for a site of one CCG.
    share = grouped.covered_share.agg(lambda s: s.iloc[0] if s.nunique(dropna=False) == 1 else float("nan"))
    areas["covered_share"] = share.to_numpy()
    areas["other_programmes"] = grouped.other_programmes.agg(
        lambda s: ";".join(sorted({name for names in s for name in names.split(";") if name}))
    ).to_numpy()
    series = aggregate(ccgs, members[["unit", "area"]])[SERIES_COLUMNS]
    series[NUMBERS] = series[NUMBERS].round(3)
    return {
        SERIES: series.sort_values(["outcome", "unit", "month"], ignore_index=True),
        UNITS: areas.rename(columns={"area": "unit"})[UNIT_COLUMNS],
        POPULATION: _population_table(ccgs),
    }


def read_snapshot(folder: Path, protocol: Protocol) -> pd.DataFrame:
    """The panel that the committed snapshot holds (geographies ``area`` and ``england``), cut to the study's window.

    It holds the outcomes of the Monthly Activity Return only: those by local authority are absent.

    Raises
    ------
    DataError
        A file is not there or lacks a column.
    StudyError
        The protocol has an outcome of the return, or a month, that the snapshot does not hold.
    """
    series = read_table(folder / SERIES, SERIES_COLUMNS)
    units = unguarded(read_table(folder / UNITS, UNIT_COLUMNS))
    series[NUMBERS] = series[NUMBERS].apply(pd.to_numeric).astype(float)
    series["month"] = pd.to_datetime(series.month, format="%Y-%m-%d")
    outcomes = [outcome.id for outcome in outcomes_from("mar", protocol)]
    _check_held(folder / SERIES, "outcome", outcomes, set(series.outcome), protocol)
    _check_held(folder / SERIES, "month", list(protocol.months), set(series.month), protocol)
    series = series[series.month.isin(protocol.months) & series.outcome.isin(outcomes)]
    units["covered_share"] = pd.to_numeric(units.covered_share)
    units["site"] = units.site.replace("", None)
    areas = series.merge(units, on="unit", validate="m:1")
    areas = areas.assign(geography=AREA, days=areas.month.dt.days_in_month.astype("int64"), dataset="snapshot")
    return tidy(pd.concat([areas, england(areas)]))


def read_unit_names(folder: Path) -> pd.Series:
    """Unit → name, of the CCG units that the snapshot was made from."""
    return unguarded(read_table(folder / POPULATION, ["unit", "unit_name"])).set_index("unit").unit_name


def read_population(folder: Path, protocol: Protocol) -> pd.DataFrame:
    """[unit, month, population] of the CCG units that the snapshot was made from.

    Raises
    ------
    DataError, StudyError
        As for ``read_snapshot``.
    """
    table = _monthly_population(folder)
    _check_held(folder / POPULATION, "month", list(protocol.months), set(table.columns), protocol)
    return table[protocol.months].astype(float).stack().rename("population").reset_index()


def last_population_month(folder: Path) -> pd.Timestamp:
    """The last month of the embedded population."""
    return pd.Timestamp(_monthly_population(folder).columns.max())


def _monthly_population(folder: Path) -> pd.DataFrame:
    """Population as text, a row a unit, a column a month."""
    table = read_table(folder / POPULATION, ["unit", "unit_name"]).set_index("unit").drop(columns="unit_name")
    table.columns = pd.to_datetime(table.columns, format="%Y-%m").as_unit("us").rename("month")
    return table


def _population_table(ccgs: pd.DataFrame) -> pd.DataFrame:
    """A row a unit, a column a month."""
    once = ccgs[ccgs.outcome == ccgs.outcome.iloc[0]].assign(month=ccgs.month.dt.strftime("%Y-%m"))
    wide = once.pivot(index=["unit", "unit_name"], columns="month", values="population_published")
    return wide.round(3).reset_index().rename_axis(columns=None)


def _check_held(path: Path, what: str, wanted: list[Any], held: set[Any], protocol: Protocol) -> None:
    missing = [f"{item:%B %Y}" if isinstance(item, pd.Timestamp) else item for item in wanted if item not in held]
    if missing:
        raise StudyError(
            path,
            f"no {what} {missing[0]}",
            f"every {what} of {protocol.file}",
            "Supply the published files (MIRROR=folder), population and lookups among them, or change the protocol.",
            column=what,
        )
