"""Which units were in the programme: the cohort table, checked against the CCGs and turned into unit attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from analysis.core.errors import StudyError
from analysis.core.tabular import read_table
from analysis.core.untrusted import slug
from analysis.panel.geography import Geography
from analysis.protocol.protocol import ENGLAND_COHORT, NO_MODEL, POOLED_SEPARATOR, REST

COHORT_COLUMNS = ["vanguard", "model", "ccg_code", "ccg_name", "coverage", "covered_share"]
COVERAGES = ("whole", "part")
LONGEST_NAME = 120  # of a site's files, which may not be longer than 255 with what stands before and after it


def read_cohorts(path: Path, known_codes: set[str], models: list[str]) -> pd.DataFrame:
    """Rows of the cohort table [vanguard, model, ccg_code, ccg_name, coverage, covered_share, ...].

    ``covered_share`` is the share of the CCG's population covered, 0–1, null where not known.

    Raises
    ------
    StudyError
        A CCG is not known, a coverage or a share makes no sense, a CCG is wholly in two models of the study, or a site's name
        is a cohort's, or gives its files no name, or another site's.
    """
    table = read_table(path, COHORT_COLUMNS)
    table["covered_share"] = pd.to_numeric(table.covered_share.replace("", None), errors="coerce")
    raw_share = read_table(path, COHORT_COLUMNS).covered_share
    for index, entry in table.iterrows():
        where: dict[str, Any] = {"file": path, "row": int(str(index)) + 2}
        if entry.ccg_code not in known_codes:
            raise StudyError(
                found=f"CCG {entry.ccg_code!r} ({entry.ccg_name})",
                expected="the code of a CCG that was in force on study.boundaries or before",
                action="Correct the code, or add its change to data_raw/ccg_changes.csv; if the CCG began after study.boundaries, name "
                "those that merged into it or set a later date there.",
                column="ccg_code",
                **where,
            )
        if entry.coverage not in COVERAGES:
            raise StudyError(
                found=repr(entry.coverage), expected="whole or part", action="Correct it.", column="coverage", **where
            )
        share, whole = entry.covered_share, entry.coverage == "whole"
        absent = raw_share[index] == ""
        if (whole and share != 1) or (not whole and not absent and not 0 < share < 1):
            raise StudyError(
                found=f"{raw_share[index]!r} for coverage {entry.coverage!r}",
                expected="1 for a CCG covered as a whole; between 0 and 1, or empty, for a part",
                action="Correct the share or the coverage.",
                column="covered_share",
                **where,
            )
    wholly = table[(table.coverage == "whole") & table.model.isin(models)].drop_duplicates(["ccg_code", "model"])
    twice = wholly[wholly.ccg_code.duplicated()]
    if len(twice):
        entry = twice.iloc[0]
        both = " and ".join(wholly.model[wholly.ccg_code == entry.ccg_code])
        raise StudyError(
            path,
            f"{entry.ccg_code} ({entry.ccg_name}) wholly in {both}",
            "a CCG wholly in at most one model of the study",
            "Mark one of the two as part, or remove it.",
            row=int(twice.index[0]) + 2,
            column="model",
        )
    _check_site_names(path, table[table.model.isin(models)], models)
    return table


def _check_site_names(path: Path, table: pd.DataFrame, models: list[str]) -> None:
    """Refuse a site that is called as a cohort is in the estimates, or whose files would have no name, too long a one, or another site's."""
    cohorts = {*models, POOLED_SEPARATOR.join(models), REST, NO_MODEL, ENGLAND_COHORT}
    taken: dict[str, str] = {}
    for index, site in table.vanguard.drop_duplicates().items():
        name = slug(site)
        other = taken.get(name, site)
        if site in cohorts:
            raise StudyError(
                path, f"{site!r}, which the estimates call a cohort", f"names of sites other than {', '.join(sorted(cohorts))}",
                "Change the name.", row=int(str(index)) + 2, column="vanguard",
            )  # fmt: skip
        if other == site and 0 < len(name) <= LONGEST_NAME:
            taken |= {name: site, f"{name}-growth": site}
            continue
        found = f"{site!r}, whose files would be called as those of {other!r}" if other != site else repr(site)
        expected = f"names with letters a–z or digits, up to {LONGEST_NAME} in all, that differ in these between sites"
        raise StudyError(path, found, expected, "Change the name.", row=int(str(index)) + 2, column="vanguard")


def unit_cohorts(cohorts: pd.DataFrame, geography: Geography, models: list[str]) -> pd.DataFrame:
    """Attributes of every unit [unit, model, site, covered_share, other_programmes], one row per unit.

    A unit is covered as a whole (share 1) only if each of its members is; with any member's share unknown, so is
    the unit's. A unit wholly in one site and partly in another belongs to the first.

    Raises
    ------
    StudyError
        A unit is partly in two sites of the study and wholly in neither.
    """
    table = cohorts.assign(unit=cohorts.ccg_code.map(geography.unit_of))
    rows = []
    for unit, codes in geography.members().items():
        here = table[table.unit == unit]
        others = sorted(set(here.model[~here.model.isin(models)]))
        ours = here[here.model.isin(models)]
        if ours.vanguard.nunique() > 1 and (ours.coverage == "whole").any():
            ours = ours[ours.coverage == "whole"]
        sites = sorted(set(zip(ours.model, ours.vanguard, strict=True)))
        if len(sites) > 1:
            raise StudyError(
                "the table of cohorts",
                f"{unit} in part in {' and '.join(name for _, name in sites)}",
                "a unit in one site of the study",
                "Keep the site that covers most of its people, and note the other; if the two were apart before a merger, set an "
                "earlier study.boundaries.",
                column="vanguard",
            )
        model, site = sites[0] if sites else (NO_MODEL, None)
        rows.append((unit, model, site, _share(ours, codes), ";".join(others)))
    return pd.DataFrame(rows, columns=["unit", "model", "site", "covered_share", "other_programmes"])


def _share(entries: pd.DataFrame, codes: dict[str, set[str]]) -> float | None:
    """Share of a unit covered: 0 without an entry, 1 if each member is covered as a whole, one part's own, or unknown.

    ``codes`` are the unit's members with their predecessors; all predecessors covered is the member covered.
    """
    if entries.empty:
        return 0.0
    whole = set(entries.ccg_code[entries.coverage == "whole"])
    if all(code in whole or (earlier and earlier <= whole) for code, earlier in codes.items()):
        return 1.0
    if set(entries.ccg_code) == set(codes) and len(entries) == 1:
        return float(entries.covered_share.iloc[0])
    return None
