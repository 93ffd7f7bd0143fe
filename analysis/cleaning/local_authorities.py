"""Delayed transfers by local authority with social services duties: their people, their share of the programme, their days.

A unit of the returns is a county, a unitary or metropolitan authority, or a London borough, under its social services
code: every month's file prints it, and always the same one, where the ONS code is printed from July 2015 only and was
changed for some. LSOAs (census areas of about 1,500 people) join authorities to CCG units, each counting the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.cleaning.geography import Geography
from analysis.cleaning.panel import LOCAL_AUTHORITY, outcomes_from
from analysis.errors import DataError, StudyError
from analysis.protocol import NO_MODEL, Protocol
from analysis.sources.dtoc import DAYS

NOT_ENGLAND = ("9900", "9901", "9902")  # patients who live in Wales, in Scotland, abroad
# No file has a row of the Isles of Scilly (one LSOA, 2,300 people); their hospital and their CCG are Cornwall's.
COUNTED_WITH = {"E06000053": "E06000052"}
# A border drawn through a CCG leaves a few LSOAs of it in the next authority: a smaller share than this is no coverage.
TOUCHED = 0.01


def local_authority_rows(
    delays: pd.DataFrame,
    lsoas: pd.DataFrame,
    counties: pd.DataFrame,
    lookup_date: pd.Timestamp,
    geography: Geography,
    population: pd.DataFrame,
    attributes: pd.DataFrame,
    protocol: Protocol,
) -> pd.DataFrame:
    """Panel rows of the outcomes that come from delayed transfers, geography ``local_authority``.

    The masking rule is not applied: it is made for missing returns of the Monthly Activity Return. ``value`` is what was
    published, ``quality`` ok, in every row.

    Parameters
    ----------
    delays
        [month, local_authority_code, ons_code, name, delayed_days_...]: the returns of the study's months.
    lsoas
        [lsoa_code, ccg_code, lad_code, lad_name], with the areas of ``lookup_date``.
    counties
        [lad18_code, county]: the county of each shire district.
    population
        [unit, month, population] of the CCG units.
    attributes
        [unit, unit_name, model, site, covered_share, other_programmes] of the CCG units.

    Raises
    ------
    DataError
        An authority without a row in some month or without an ONS code; a district, CCG or authority without a match.
    StudyError
        An outcome names a measure that the returns do not have.
    """
    outcomes = outcomes_from("dtoc", protocol)
    for outcome in outcomes:
        if outcome.measure not in DAYS:
            raise StudyError(
                protocol.file,
                f"outcome {outcome.id!r} with the measure {outcome.measure!r}",
                f"one of {', '.join(DAYS)}",
                "Correct the measure's name; they are the columns of analysis/sources/dtoc.py.",
                column="outcomes.measure",
            )
    english = delays[~delays.local_authority_code.isin(NOT_ENGLAND)].rename(columns={"local_authority_code": "unit"})
    named = authorities(english, protocol.months)
    authority_of = authority_of_district(lsoas, counties, named)
    people = population.groupby("unit").population.mean()
    joint = crosswalk(lsoas, authority_of, geography, people, lookup_date)
    days = english.melt(["unit", "month"], sorted({o.measure for o in outcomes}), "measure", "value_published")
    ids = pd.DataFrame([(o.id, o.measure) for o in outcomes], columns=["outcome", "measure"])
    rows = (
        days.merge(ids, on="measure")
        .merge(authority_population(joint, population), on=["unit", "month"], validate="m:1")
        .merge(authority_attributes(joint, attributes), on="unit", validate="m:1")
        .merge(named[["unit", "unit_name"]], on="unit", validate="m:1")
        .rename(columns={"population": "population_published"})
    )
    return rows.assign(
        geography=LOCAL_AUTHORITY, value=rows.value_published, population=rows.population_published, quality="ok",
        days=rows.month.dt.days_in_month.astype("int64"), dataset="mar",
    )  # fmt: skip


def authorities(delays: pd.DataFrame, months: pd.DatetimeIndex) -> pd.DataFrame:
    """[unit, ons_code, unit_name] of every authority, by the latest ONS code that a file gives it."""
    counted = delays.pivot(index="unit", columns="month", values="delayed_days_total").reindex(columns=months)
    holes = counted.isna()
    if holes.to_numpy().any():
        unit = holes.any(axis=1).idxmax()
        raise DataError(
            f"delayed transfers of {holes.loc[unit].idxmax():%B %Y}",
            f"no row of authority {unit}",
            f"each of {len(counted)} authorities in every month",
            "Check that month's file, and whether the authority began or ended.",
            column="Code",
        )
    latest = delays.dropna(subset="ons_code").sort_values("month").drop_duplicates("unit", keep="last")
    without = delays[~delays.unit.isin(latest.unit)]
    if len(without):
        raise DataError(
            "delayed transfers",
            f"no ONS code of authority {without.unit.iloc[0]} ({without.name.iloc[0]}) in any month",
            "an ONS code in at least one month of the study's window; files give them from July 2015",
            "Choose a window with such a month, or take the outcomes of delayed transfers out of the protocol.",
            column="ONS Geography",
        )
    return latest.rename(columns={"name": "unit_name"})[["unit", "ons_code", "unit_name"]]


def authority_of_district(lsoas: pd.DataFrame, counties: pd.DataFrame, named: pd.DataFrame) -> pd.Series:
    """District (``lad_code``) → the unit code of its authority: its county's, by name, or its own, by ONS code."""
    districts = lsoas.drop_duplicates("lad_code").set_index("lad_code").lad_name
    codes = districts.index.to_series()
    by_county = codes.map(counties.set_index("lad18_code").county).map(named.set_index("unit_name").unit)
    found = by_county.fillna(codes.replace(COUNTED_WITH).map(named.set_index("ons_code").unit))
    if found.isna().any():
        district = found.isna().idxmax()
        raise DataError(
            "lookup of LSOAs",
            f"district {district} ({districts[district]}) without an authority in the returns of delayed transfers",
            "a county in data_raw/district_county.csv, or an ONS code in the returns",
            "Add the district's county to data_raw/district_county.csv, or use a lookup of the returns' time.",
            column="lad_code",
        )
    strangers = named[~named.unit.isin(found)]
    if len(strangers):
        raise DataError(
            "delayed transfers",
            f"authority {strangers.unit.iloc[0]} ({strangers.unit_name.iloc[0]}, {strangers.ons_code.iloc[0]}) "
            "without a district in the lookup of LSOAs",
            "a district of that ONS code, or of a county of that name in data_raw/district_county.csv",
            "Check the county's name in data_raw/district_county.csv, or use a lookup of the returns' time.",
            column="ONS Geography",
        )
    return found


def crosswalk(
    lsoas: pd.DataFrame, authority_of: pd.Series, geography: Geography, people: pd.Series, on: pd.Timestamp
) -> pd.DataFrame:
    """[unit, authority, lsoas]: how many LSOAs of each CCG unit lie in each authority.

    ``on`` is the date of the lookup's CCGs. Where several units had merged into one by then, nobody can say whose an
    LSOA was: each has the part of it that it has of their ``people`` (by unit).
    """
    areas = geography.areas(on.date())
    size = areas.unit.map(people)
    areas["part"] = size / size.groupby(areas.area).transform("sum")
    counted = lsoas.assign(authority=lsoas.lad_code.map(authority_of)).groupby(["ccg_code", "authority"]).size()
    joint = counted.rename("lsoas").reset_index().merge(areas, left_on="ccg_code", right_on="area", how="outer")
    unmatched = joint[joint.unit.isna() | joint.ccg_code.isna()]
    if len(unmatched):
        raise DataError(
            "lookup of LSOAs",
            f"CCG {unmatched.ccg_code.fillna(unmatched.area).iloc[0]} in only one of the lookup and the study's units",
            f"the CCGs of {on:%B %Y} in both",
            "Add the change that created the code to data_raw/ccg_changes.csv, with its date.",
            column="ccg_code",
        )
    return joint.assign(lsoas=joint.lsoas * joint.part).groupby(["unit", "authority"]).lsoas.sum().reset_index()


def authority_population(joint: pd.DataFrame, population: pd.DataFrame) -> pd.DataFrame:
    """[unit, month, population] of authorities: the people of each CCG unit, divided as its LSOAs are."""
    share = joint.lsoas / joint.groupby("unit").lsoas.transform("sum")
    people = joint.assign(share=share).merge(population, on="unit")
    people["population"] *= people.share
    by_authority = people.groupby(["authority", "month"]).population.sum().reset_index()
    return by_authority.rename(columns={"authority": "unit"})


def authority_attributes(joint: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """[unit, model, site, covered_share, other_programmes] of authorities.

    ``covered_share`` is the share of the authority's LSOAs in CCG units covered as a whole. It is null where it would
    not say how much of which model the authority had: with two models, or with a CCG unit covered in part. The model
    is then the one with most LSOAs. Shares below ``TOUCHED`` count as none.
    """
    joined = joint.merge(attributes, on="unit", validate="m:1")
    joined["share"] = joined.lsoas / joined.groupby("authority").lsoas.transform("sum")
    joined["whole"] = joined.covered_share == 1
    rows = []
    for authority, units in joined.groupby("authority"):
        covered = units[units.model != NO_MODEL]
        shares = covered.groupby(["model", "whole"]).share.sum()
        shares = shares[shares >= TOUCHED]
        model, site, share = NO_MODEL, None, 0.0
        if len(shares):
            model = shares.groupby("model").sum().idxmax()
            site = covered[covered.model == model].groupby("site").share.sum().idxmax()
            one_and_whole = len(shares) == 1 and shares.index[0][1]
            share = round(shares.iloc[0], 9) if one_and_whole else np.nan  # all of it is 1, whatever floats sum to
        programmes = units.other_programmes[units.share >= TOUCHED]
        others = sorted({name for names in programmes for name in names.split(";") if name})
        rows.append((authority, model, site, share, ";".join(others)))
    return pd.DataFrame(rows, columns=["unit", "model", "site", "covered_share", "other_programmes"])
