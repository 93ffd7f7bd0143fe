"""Tidy tables of the sources → what the panel is made of: unit counts, population, attributes, notes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

import pandas as pd

from analysis.core.errors import StudyError
from analysis.panel.cohorts import unit_cohorts
from analysis.panel.geography import Geography, members
from analysis.panel.panel import outcomes_from
from analysis.panel.population import unit_population
from analysis.panel.quality import doubts
from analysis.protocol.protocol import Protocol
from analysis.sources.mar import MEASURES, MarFile


def unit_counts(files: Sequence[MarFile], geography: Geography, protocol: Protocol) -> pd.DataFrame:
    """[unit, month, outcome, value]: the protocol's outcomes that come from the return, merged CCGs back-cast as sums.

    Raises
    ------
    StudyError
        An outcome names a measure that the return does not have.
    """
    outcomes = outcomes_from("mar", protocol)
    for outcome in outcomes:
        if outcome.measure not in MEASURES.values():
            raise StudyError(
                protocol.file,
                f"outcome {outcome.id!r} with the measure {outcome.measure!r}",
                f"one of {', '.join(MEASURES.values())}",
                "Correct the measure's name; MEASURES of analysis/sources/mar.py gives the headers they stand for.",
                column="outcomes.measure",
            )
    organisations = pd.concat([file.organisations for file in files], ignore_index=True)
    inside = organisations[~organisations.org_code.isin(protocol.study.outside_panel)]
    measures = {outcome.measure: outcome.id for outcome in outcomes}
    counts = inside.assign(unit=inside.org_code.map(geography.unit_of)).groupby(["unit", "month"])[list(measures)].sum()
    return counts.rename(columns=measures).rename_axis(columns="outcome").stack().rename("value").reset_index()


def population_by_month(
    mid2015: pd.DataFrame,
    ccgs: pd.DataFrame,
    lists: pd.DataFrame,
    listed_on: dt.date,
    geography: Geography,
    protocol: Protocol,
) -> pd.DataFrame:
    """[unit, month, population]. ``ccgs`` joins the ONS codes of ``mid2015`` [gss_code, ccg_code]; ``listed_on`` is the date
    whose CCGs ``lists`` has."""
    codes = ccgs.drop_duplicates("gss_code").set_index("gss_code").ccg_code
    persons = mid2015.groupby("gss_code").persons.sum()
    mid_year = pd.DataFrame(
        {"ccg_code": codes.reindex(persons.index).fillna(persons.index.to_series()), "persons": persons}
    )
    return unit_population(
        mid_year, registered_by_area(lists), geography, protocol.months, protocol.population, listed_on
    )


def registered_by_area(lists: pd.DataFrame) -> pd.DataFrame:
    """[month, area, registered_patients] of the file of list sizes."""
    return lists.rename(columns={"ccg_code": "area"})[["month", "area", "registered_patients"]]


def unit_attributes(
    cohorts: pd.DataFrame, unit_names: pd.Series, geography: Geography, protocol: Protocol
) -> pd.DataFrame:
    """[unit, unit_name, model, site, covered_share, other_programmes]."""
    table = unit_cohorts(cohorts, geography, protocol.model_ids)
    return table.assign(unit_name=table.unit.map(unit_names))


def unit_names(names: pd.Series, geography: Geography, wanted: Collection[str] | None = None) -> pd.Series:
    """Unit → its name, of the ``wanted`` units or all, from names by CCG code; a pooled unit has its members' names."""
    units = sorted(set(geography.units.unit) if wanted is None else wanted)
    return pd.Series({unit: " and ".join(names[code] for code in members(unit)) for unit in units}, name="unit_name")


def ccg_names(ccgs: pd.DataFrame, lsoas: pd.DataFrame, changes: pd.DataFrame) -> pd.Series:
    """CCG code → the name it last had, from the 2018 and 2016 lookups and the table of changes."""
    tables = [
        changes[["succ_code", "succ_name"]].set_axis(["code", "name"], axis=1),
        ccgs[["ccg_code", "ccg_name"]].set_axis(["code", "name"], axis=1),
        lsoas[["ccg_code", "ccg_name"]].drop_duplicates().set_axis(["code", "name"], axis=1),
    ]
    return pd.concat(tables).drop_duplicates("code", keep="last").set_index("code").name


def stp_of_units(lsoas: pd.DataFrame, geography: Geography, on: pd.Timestamp) -> pd.DataFrame:
    """[unit, stp_code, stp_name]: the STP that holds most of the LSOAs of the unit's successor in the lookup of that date."""
    sizes = lsoas.merge(geography.areas(on.date()), left_on="ccg_code", right_on="area")
    ranked = sizes.groupby(["unit", "stp_code", "stp_name"]).size().rename("lsoas").reset_index()
    return ranked.sort_values(["lsoas", "stp_code"]).drop_duplicates("unit", keep="last").drop(columns="lsoas")


def notes_by_month(files: Sequence[MarFile]) -> dict[pd.Timestamp, str]:
    return {pd.Timestamp(file.month): doubts(file.notes) for file in files}
