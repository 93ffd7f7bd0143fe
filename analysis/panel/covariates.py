"""What the CCG units are like: age and deprivation of their people, and the units most similar to each."""

from __future__ import annotations

import pandas as pd

from analysis.core.errors import DataError
from analysis.panel.geography import Geography

COVARIATES = ["unit", "stp_code", "share_75_plus", "imd_average_score"]
SIMILAR = ["unit", "rank", "similar_unit"]
OLD_AGE = 75


def unit_covariates(
    stp_of: pd.DataFrame, mid2015: pd.DataFrame, imd: pd.DataFrame | None, ccgs: pd.DataFrame, geography: Geography
) -> pd.DataFrame:
    """[unit, stp_code, share_75_plus, imd_average_score], one row per unit.

    ``share_75_plus`` is the share of people aged 75 and over in mid-2015, 0–1. ``imd_average_score`` is the CCG's average
    score of the Index of Multiple Deprivation 2015 (higher is more deprived), for a unit of several CCGs their mean
    weighted by people; null without ``imd``.

    Parameters
    ----------
    stp_of
        [unit, stp_code, ...].
    mid2015
        [gss_code, age, persons].
    imd
        [gss_code, imd_average_score, ...], the CCGs of 2015.
    ccgs
        [gss_code, ccg_code, ...], which joins the ONS codes.

    Raises
    ------
    DataError
        A CCG has people and no deprivation score, or the other way round.
    """
    persons = mid2015.groupby("gss_code").persons.sum()
    people = pd.DataFrame(
        {"persons": persons, "old": mid2015[mid2015.age >= OLD_AGE].groupby("gss_code").persons.sum()}
    )
    if imd is not None:
        scores = imd.set_index("gss_code").imd_average_score
        apart = sorted(scores.index.symmetric_difference(persons.index))
        if apart:
            raise DataError(
                "deprivation by CCG",
                f"CCG {apart[0]} in only one of it and the mid-2015 population",
                "the same CCGs, of 2015, in both",
                "Use the summaries of the English Indices of Deprivation 2015.",
                column="gss_code",
            )
        people["score"] = scores * people.persons
    unit = people.index.map(ccgs.drop_duplicates("gss_code").set_index("gss_code").ccg_code).map(geography.unit_of)
    sums = people.groupby(unit).sum()
    table = stp_of.set_index("unit")[["stp_code"]].assign(share_75_plus=sums.old / sums.persons)
    table["imd_average_score"] = sums.score / sums.persons if imd is not None else float("nan")
    return table.sort_index().reset_index()[COVARIATES]


def similar_units(ccgs: pd.DataFrame, geography: Geography) -> pd.DataFrame:
    """[unit, rank, similar_unit]: the units most similar to each, in order of rank and then of code.

    From [ccg_code, rank, similar_ccg_code], ten a CCG. A unit of several CCGs has what is similar to any of them, itself
    left out; ``rank`` is the best (1 is the most similar) at which any CCG of the one unit names any of the other.
    """
    pairs = pd.DataFrame(
        {
            "unit": ccgs.ccg_code.map(geography.unit_of),
            "similar_unit": ccgs.similar_ccg_code.map(geography.unit_of),
            "rank": ccgs["rank"],
        }
    )
    best = pairs[pairs.unit != pairs.similar_unit].groupby(["unit", "similar_unit"])["rank"].min().reset_index()
    return best.sort_values(["unit", "rank", "similar_unit"], ignore_index=True)[SIMILAR]
