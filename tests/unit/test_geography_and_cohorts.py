"""CCG codes through time, and who was in the programme."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from analysis.core.errors import DataError, StudyError
from analysis.panel.cohorts import read_cohorts, unit_cohorts
from analysis.panel.geography import Geography, build_geography, check_boundaries, read_changes
from analysis.protocol.protocol import Protocol

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


@pytest.mark.cases(quick=11)
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


@pytest.mark.cases(quick=9)
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


# --- Tables of other dates


@pytest.mark.cases(quick=16)
@pytest.mark.parametrize("boundaries", ["2013-04-01", "2015-04-01", "2017-04-01", "2018-04-01", "2019-04-01"])
@pytest.mark.parametrize("on", ["2013-04-01", "2016-04-01", "2018-04-01", "2019-04-01"])
def test_every_area_of_any_date_leads_to_units_of_any_other(repository: Path, boundaries: str, on: str) -> None:
    """Each of an earlier date's CCGs lies in one unit, and each unit in one of a later date's; a pooled unit has two."""
    changes = read_changes(repository / "data_raw/ccg_changes.csv")
    codes = sorted({*changes.pred_code, *changes.succ_code, "02Q"})
    date, day = dt.date.fromisoformat(boundaries), dt.date.fromisoformat(on)
    study = build_geography(changes, codes, date)
    areas = study.areas(day)
    assert set(areas.unit) == set(study.units.unit)
    assert set(areas.area) == build_geography(changes, codes, max(day, date)).in_force(day)
    once = areas.area if day <= date else areas.unit[areas.unit != "01H+01K"]
    assert once.is_unique
    assert set(areas.area[areas.unit == "01H+01K"]) == {"01H", "01K"}


def test_mergers_one_after_the_other_lead_to_the_last(tmp_path: Path) -> None:
    """A CCG that merged twice, and one that exchanged practices before it merged."""
    lines = [*CHANGES, "20C,CD,40C,CDX,2020-04-01,merger", "01K,K,50K,KX,2020-04-01,merger"]
    changes = _changes(tmp_path, *lines)
    now = build_geography(changes, CODES, dt.date(2020, 4, 1))
    assert {code: now.unit_of[code] for code in ("00C", "20C", "40C", "01H", "01K")} == {
        "00C": "40C", "20C": "40C", "40C": "40C", "01H": "01H+50K", "01K": "01H+50K",
    }  # fmt: skip
    before = build_geography(changes, CODES, dt.date(2017, 4, 1))
    areas = before.areas(dt.date(2020, 4, 1)).groupby("unit").area.agg(list)
    assert areas["00C"] == ["40C"] and sorted(areas["01H+01K"]) == ["01H", "50K"]


def test_three_that_exchanged_people_form_one_unit(tmp_path: Path) -> None:
    moves = ["00E,E,01H,H,2016-04-01,boundary move", "01H,H,01K,K,2017-04-01,boundary move"]
    unit_of = build_geography(_changes(tmp_path, *moves), CODES, BOUNDARIES).unit_of
    assert {unit_of[code] for code in ("00E", "01H", "01K")} == {"00E+01H+01K"}


@pytest.mark.fault(
    "`boundaries` of a date between mergers that the window holds, or after the last change that is known",
    "the message names `study.boundaries`, the merger and the dates that work",
)
@pytest.mark.parametrize(
    ("boundaries", "found", "works"),
    [
        ("2013-04-01", "on 2017-04-01 01N merged into 14L", "from 2017-04-01 to 2019-04-01"),
        ("2016-04-01", "on 2017-04-01 01N merged into 14L", "from 2017-04-01 to 2019-04-01"),
        ("2017-03-31", "on 2017-04-01 01N merged into 14L", "from 2017-04-01 to 2019-04-01"),
        ("2020-04-01", "the last change of CCGs that is known is of 2019-04-01", "Set boundaries = 2019-04-01"),
    ],
)
def test_boundaries_that_cannot_be_formed_are_refused(
    repository: Path, protocol: Protocol, boundaries: str, found: str, works: str
) -> None:
    changes = read_changes(repository / "data_raw/ccg_changes.csv")
    study = protocol.study.model_copy(update={"boundaries": dt.date.fromisoformat(boundaries)})
    with pytest.raises(StudyError, match=found) as problem:
        check_boundaries(changes, study, Path("their.toml"))
    assert "their.toml, column 'study.boundaries'" in str(problem.value) and works in str(problem.value)


@pytest.mark.parametrize("boundaries", ["2017-04-01", "2017-12-31", "2018-04-01", "2019-04-01"])
def test_boundaries_that_work_pass(repository: Path, protocol: Protocol, boundaries: str) -> None:
    study = protocol.study.model_copy(update={"boundaries": dt.date.fromisoformat(boundaries)})
    check_boundaries(read_changes(repository / "data_raw/ccg_changes.csv"), study, Path("their.toml"))


def test_a_treated_ccg_that_merges_with_untreated_ones_covers_a_part(tmp_path: Path) -> None:
    """00C merged with 00D in April 2018: on those boundaries nobody knows which share of 20C is covered."""
    later = build_geography(_changes(tmp_path, *CHANGES), CODES, dt.date(2018, 4, 1))
    assert _unit(tmp_path, later, "20C", "Site,MCP,00C,C,whole,1") == ("MCP", "Site", None, "")
    both = ["Site,MCP,00C,C,whole,1", "Site,MCP,00D,D,whole,1"]
    assert _unit(tmp_path, later, "20C", *both) == ("MCP", "Site", 1.0, "")
    with pytest.raises(StudyError, match=r"earlier study\.boundaries"):
        _unit(tmp_path, later, "20C", "One,MCP,00C,C,whole,1", "Two,PACS,00D,D,whole,1")
