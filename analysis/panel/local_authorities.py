"""Delayed transfers by local authority with social services duties: their people, their share of the programme, their days.

A unit of the returns is a county, a unitary or metropolitan authority, or a London borough, under its social services
code: every month's file prints it, and always the same one, where the ONS code is printed from July 2015 only and was
changed for some. LSOAs (census areas of about 1,500 people) join authorities to CCG units, each counting the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.core.errors import DataError, StudyError
from analysis.panel.authority_changes import with_units
from analysis.panel.geography import Geography, members
from analysis.panel.panel import LOCAL_AUTHORITY, outcomes_from
from analysis.protocol.protocol import NO_MODEL, Protocol
from analysis.sources.dtoc import DAYS

NOT_ENGLAND = ("9900", "9901", "9902")  # patients who live in Wales, in Scotland, abroad
# No file has a row of the Isles of Scilly (one LSOA, 2,300 people); their hospital and their CCG are Cornwall's.
COUNTED_WITH = {"E06000053": "E06000052"}
# A border drawn through a CCG leaves a few LSOAs of it in the next authority: a smaller share than this is no coverage.
TOUCHED = 0.01


def local_authority_rows(
    delays: pd.DataFrame,
    changes: pd.DataFrame,
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
    changes
        [pred_code, succ_code, effective, kind, ...]: authorities that were replaced.
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
        A month with an authority too many or too few; one without an ONS code; a district, CCG or authority without a match.
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
    english = with_units(delays[~delays.local_authority_code.isin(NOT_ENGLAND)], changes, protocol.months)
    named = authorities(english)
    authority_of = authority_of_district(lsoas, counties, named)
    people = population.groupby("unit").population.mean()
    joint = crosswalk(lsoas, authority_of, geography, people, lookup_date)
    measures = sorted({o.measure for o in outcomes})
    summed = english.groupby(["unit", "month"], sort=False)[measures].sum().reset_index()
    days = summed.melt(["unit", "month"], measures, "measure", "value_published")
    ids = pd.DataFrame([(o.id, o.measure) for o in outcomes], columns=["outcome", "measure"])
    rows = (
        days.merge(ids, on="measure")
        .merge(authority_population(joint, population), on=["unit", "month"], validate="m:1")
        .merge(authority_attributes(joint, attributes), on="unit", validate="m:1")
        .merge(unit_names(named), on="unit", validate="m:1")
        .rename(columns={"population": "population_published"})
    )
    return rows.assign(
        geography=LOCAL_AUTHORITY, value=rows.value_published, population=rows.population_published, quality="ok",
        days=rows.month.dt.days_in_month.astype("int64"), dataset="mar",
    )  # fmt: skip


def authorities(delays: pd.DataFrame) -> pd.DataFrame:
    """[unit, code, ons_code, unit_name], the latest last: every ONS code and name that a file gives an authority."""
    coded = delays.dropna(subset="ons_code").sort_values("month", kind="stable")
    named = coded.drop_duplicates(["local_authority_code", "ons_code", "name"], keep="last")
    without = delays[~delays.local_authority_code.isin(named.local_authority_code)]
    if len(without):
        raise DataError(
            "delayed transfers",
            f"no ONS code of authority {without.local_authority_code.iloc[0]} ({without.name.iloc[0]}) in any month",
            "an ONS code in at least one month of the study's window; files give them from July 2015",
            "Choose a window with such a month, or take the outcomes of delayed transfers out of the protocol.",
            column="ONS Geography",
        )
    return named.rename(columns={"local_authority_code": "code", "name": "unit_name"})[
        ["unit", "code", "ons_code", "unit_name"]
    ]


def unit_names(named: pd.DataFrame) -> pd.DataFrame:
    """[unit, unit_name]: the latest name of the authorities that a unit's code is made of."""
    latest = named.drop_duplicates("code", keep="last").set_index("code").unit_name
    units = sorted(named.unit.unique())
    return pd.DataFrame(
        {"unit": units, "unit_name": [" and ".join(latest[code] for code in members(unit)) for unit in units]}
    )


def authority_of_district(lsoas: pd.DataFrame, counties: pd.DataFrame, named: pd.DataFrame) -> pd.Series:
    """District (``lad_code``) → the unit code of its authority: its county's, by name, or its own, by ONS code."""
    districts = lsoas.drop_duplicates("lad_code").set_index("lad_code").lad_name
    codes = districts.index.to_series()
    unit_of_name, unit_of_code = (
        named.drop_duplicates(column, keep="last").set_index(column).unit for column in ("unit_name", "ons_code")
    )
    by_county = codes.map(counties.set_index("lad18_code").county).map(unit_of_name)
    found = by_county.fillna(codes.replace(COUNTED_WITH).map(unit_of_code))
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
