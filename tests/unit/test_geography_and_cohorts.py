"""CCG codes through time, and who was in the programme."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from analysis.cleaning.cohorts import read_cohorts, unit_cohorts
from analysis.cleaning.geography import Geography, build_geography, read_changes
from analysis.errors import DataError, StudyError

BOUNDARIES = dt.date(2017, 4, 1)
HEADER = "pred_code,pred_name,succ_code,succ_name,effective,kind"
CHANGES = (
    "00A,A,10A,AB,2015-04-01,merger",
    "00B,B,10A,AB,2015-04-01,merger",
    "00C,C,20C,CD,2018-04-01,merger",
    "00D,D,20C,CD,2018-04-01,merger",
    "00F,F,30F,FG,2019-04-01,merger",
    "01H,H,01K,K,2017-04-01,boundary move",
)
CODES = ["00A", "00B", "00C", "00D", "00E", "00F", "01H", "01K"]


def _changes(folder: Path, *lines: str) -> pd.DataFrame:
    path = folder / "changes.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return read_changes(path)


@pytest.fixture
def geography(tmp_path: Path) -> Geography:
    return build_geography(_changes(tmp_path, *CHANGES), CODES, BOUNDARIES)


@pytest.mark.parametrize(
    ("code", "unit"),
    [
        ("00A", "10A"),
        ("00B", "10A"),
        ("10A", "10A"),
        ("00C", "00C"),
        ("00E", "00E"),
        ("01H", "01H+01K"),
        ("01K", "01H+01K"),
    ],
)
def test_each_code_has_its_unit(geography: Geography, code: str, unit: str) -> None:
    """Early mergers go to the successor, later ones stay apart, exchanged practices are pooled."""
    assert geography.unit_of[code] == unit


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (dt.date(2017, 4, 1), {"00C": ["00C"], "00D": ["00D"], "00F": ["00F"]}),
        (dt.date(2018, 4, 1), {"00C": ["20C"], "00D": ["20C"], "00F": ["00F"]}),
        (dt.date(2019, 4, 1), {"00C": ["20C"], "00D": ["20C"], "00F": ["30F"]}),
    ],
)
def test_areas_on_a_later_date(geography: Geography, on: dt.date, expected: dict[str, list[str]]) -> None:
    """Each unit leads to the CCG it had become by that date; a pooled unit leads to both its members."""
    areas = geography.areas(on).groupby("unit").area.agg(list).to_dict()
    assert areas == expected | {"10A": ["10A"], "00E": ["00E"], "01H+01K": ["01H", "01K"]}


def test_successors_that_begin_later_are_not_known_codes(geography: Geography) -> None:
    """A code that came after the boundaries' date cannot stand in a return or a cohort table of the study."""
    assert {"10A", "00A", "01K"} <= geography.known_codes
    assert not {"20C", "30F"} & geography.known_codes


def test_a_code_with_two_successors_is_refused(tmp_path: Path) -> None:
    """A sum over both would count its people twice."""
    with pytest.raises(StudyError, match="00A merges into more than one"):
        build_geography(_changes(tmp_path, *CHANGES, "00A,A,10Z,Z,2015-04-01,merger"), CODES, BOUNDARIES)


def test_a_date_that_is_none_names_its_row(tmp_path: Path) -> None:
    """The message points at the row as a spreadsheet counts it."""
    with pytest.raises(DataError, match="row 3, column 'effective'"):
        _changes(tmp_path, CHANGES[0], "00X,X,10X,X,2015-13-01,merger")


COHORT_HEADER = "vanguard,model,ccg_code,ccg_name,coverage,covered_share"
MODELS = ["MCP", "PACS"]


def _cohorts(folder: Path, geography: Geography, *lines: str) -> pd.DataFrame:
    path = folder / "cohorts.csv"
    path.write_text("\n".join([COHORT_HEADER, *lines]) + "\n")
    return read_cohorts(path, geography.known_codes, MODELS)


def _unit(folder: Path, geography: Geography, unit: str, *lines: str) -> tuple[str, str | None, float | None, str]:
    table = unit_cohorts(_cohorts(folder, geography, *lines), geography, MODELS).set_index("unit").loc[unit]
    site = None if pd.isna(table.site) else table.site
    share = None if pd.isna(table.covered_share) else float(table.covered_share)
    return table.model, site, share, table.other_programmes


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (["Site,MCP,20C,CD,whole,1"], "row 2, column 'ccg_code'"),  # a code that began after the study
        (["Site,MCP,99X,?,whole,1"], "row 2, column 'ccg_code'"),
        (["Site,MCP,00E,E,whole,1", "Site,MCP,00C,C,some,1"], "row 3, column 'coverage'"),
        (["Site,MCP,00E,E,whole,0.9"], "column 'covered_share'"),
        (["Site,MCP,00E,E,whole,"], "column 'covered_share'"),
        (["Site,MCP,00E,E,part,1"], "column 'covered_share'"),
        (["Site,MCP,00E,E,part,0"], "column 'covered_share'"),
        (["Site,MCP,00E,E,part,13%"], "column 'covered_share'"),
        (["One,MCP,00E,E,whole,1", "Two,PACS,00E,E,whole,1"], "row 3, column 'model'"),
        (["One,MCP,00E,E,whole,1", "rest,PACS,00C,C,whole,1"], "row 3, column 'vanguard'"),
        (["PACS,MCP,00E,E,whole,1"], "row 2, column 'vanguard'"),
        (["MCP+PACS,MCP,00E,E,whole,1"], "row 2, column 'vanguard'"),
    ],
)
def test_a_cohort_table_that_makes_no_sense_is_refused(
    tmp_path: Path, geography: Geography, lines: list[str], where: str
) -> None:
    """The error names the row and the column."""
    with pytest.raises(StudyError, match=where):
        _cohorts(tmp_path, geography, *lines)


@pytest.mark.parametrize(
    ("unit", "lines", "expected"),
    [
        ("00E", [], ("none", None, 0.0, "")),
        ("00E", ["Site,MCP,00E,E,whole,1"], ("MCP", "Site", 1.0, "")),
        ("00E", ["Site,MCP,00E,E,whole,1", "Care,UEC,00E,E,whole,1"], ("MCP", "Site", 1.0, "UEC")),
        ("00E", ["Care,UEC,00E,E,whole,1", "Homes,EHCH,00E,E,part,"], ("none", None, 0.0, "EHCH;UEC")),
        ("00E", ["Site,MCP,00E,E,part,0.4"], ("MCP", "Site", 0.4, "")),
        ("00E", ["Site,MCP,00E,E,part,"], ("MCP", "Site", None, "")),
        ("00E", ["One,MCP,00E,E,whole,1", "Two,PACS,00E,E,part,0.2"], ("MCP", "One", 1.0, "")),
        ("01H+01K", ["Bay,PACS,01K,K,whole,1", "Bay,PACS,01H,H,part,"], ("PACS", "Bay", None, "")),
        ("01H+01K", ["Bay,PACS,01K,K,whole,1"], ("PACS", "Bay", None, "")),
        ("01H+01K", ["Bay,PACS,01K,K,whole,1", "Bay,PACS,01H,H,whole,1"], ("PACS", "Bay", 1.0, "")),
        ("10A", ["Site,MCP,10A,AB,whole,1"], ("MCP", "Site", 1.0, "")),
        ("10A", ["Site,MCP,00A,A,whole,1"], ("MCP", "Site", None, "")),
        ("10A", ["Site,MCP,00A,A,whole,1", "Site,MCP,00B,B,whole,1"], ("MCP", "Site", 1.0, "")),
    ],
)
def test_units_take_their_members_cohort(
    tmp_path: Path,
    geography: Geography,
    unit: str,
    lines: list[str],
    expected: tuple[str, str | None, float | None, str],
) -> None:
    """Whole only if each member is; unknown stays unknown; programmes of other kinds are noted, not obeyed."""
    assert _unit(tmp_path, geography, unit, *lines) == expected


@pytest.mark.parametrize("models", [("MCP", "PACS"), ("MCP", "MCP")])
def test_a_unit_in_part_in_two_sites_is_refused(tmp_path: Path, geography: Geography, models: tuple[str, str]) -> None:
    """Nobody can say which of the two sites it follows."""
    cohorts = _cohorts(tmp_path, geography, f"One,{models[0]},00E,E,part,0.2", f"Two,{models[1]},00E,E,part,0.3")
    with pytest.raises(StudyError, match="00E in part in One and Two"):
        unit_cohorts(cohorts, geography, MODELS)


def test_a_ccg_wholly_in_two_sites_of_one_model_is_refused(tmp_path: Path, geography: Geography) -> None:
    """The same CCG cannot be all of two sites, whatever their model."""
    with pytest.raises(StudyError, match="00E"):
        unit_cohorts(_cohorts(tmp_path, geography, "One,MCP,00E,E,whole,1", "Two,MCP,00E,E,whole,1"), geography, MODELS)
