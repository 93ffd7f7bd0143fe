"""Delayed transfers and covariates of the real files: nobody lost, shares as the raw lookup has them, and absent whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_data import RealData

from analysis.core.errors import DataError
from analysis.core.workspace import Workspace
from analysis.panel.inputs import published_files
from analysis.protocol.protocol import Protocol
from analysis.sources.manifest import read_manifest
from analysis.sources.workbook import open_workbook
from analysis.stages.data import build_data

pytestmark = pytest.mark.slow  # the panel of all published files takes some seconds to make

OUTSIDE_ENGLAND = {"9900", "9901", "9902"}


@pytest.fixture(scope="module")
def authorities(real: RealData) -> pd.DataFrame:
    return real.panel[real.panel.geography == "local_authority"]


@pytest.fixture(scope="module")
def lookup(published_folder: Path) -> pd.DataFrame:
    return pd.read_csv(published_folder / "lookup/lsoa11_ccg18_stp18_lad18.csv", dtype=str)


def test_every_authority_is_there_in_every_month(authorities: pd.DataFrame) -> None:
    """151 authorities by 60 months, nothing masked, nobody from outside England."""
    assert len(authorities) == 151 * 60
    assert authorities.groupby("month").unit.nunique().tolist() == [151] * 60
    assert set(authorities.outcome) == {"delayed_days"}
    assert (authorities.value == authorities.value_published).all()
    assert set(authorities.quality) == {"ok"}
    assert not OUTSIDE_ENGLAND & set(authorities.unit)


def test_people_are_conserved_in_every_month(real: RealData, authorities: pd.DataFrame) -> None:
    """The authorities have the CCG units' people, and England's row has the authorities'."""
    ccgs = real.ccgs[real.ccgs.outcome == "non_elective_admissions"].groupby("month").population_published.sum()
    england = real.panel[(real.panel.geography == "england") & (real.panel.outcome == "delayed_days")]
    for column in ("population_published", "population"):
        assert np.abs(authorities.groupby("month")[column].sum() - ccgs).max() < 1
        assert np.abs(england.set_index("month")[column] - ccgs).max() < 1


@pytest.mark.parametrize(("month", "file"), [("2013-11", "Nov_13.xls"), ("2017-08", "Aug_17.xls")])
def test_days_are_the_files_own_less_patients_from_outside_england(
    real: RealData, authorities: pd.DataFrame, published_folder: Path, month: str, file: str
) -> None:
    """Read from the workbook cell by cell: England's row less the rows 9900 to 9902."""
    workbook = open_workbook(published_folder / "dtoc" / file)
    rows = workbook.sheet(next(name for name in workbook.sheet_names if "type of care" in name.lower())).rows
    header = next(row for row in rows if "Code" in row and "Total" in row)
    name, total, code = header.index("Name"), header.index("Total"), header.index("Code")
    published = next(row[total] for row in rows if row[name] == "England")
    outside = [row[total] for row in rows if str(row[code]).removesuffix(".0") in OUTSIDE_ENGLAND]
    assert len(outside) == 3
    assert sum(outside) > 0
    assert authorities[authorities.month == month].value.sum() == published - sum(outside)
    england = real.panel[(real.panel.geography == "england") & (real.panel.outcome == "delayed_days")]
    assert england.set_index("month").value[f"{month}-01"] == published - sum(outside)


@pytest.mark.parametrize(
    ("unit", "name", "ccgs", "model", "site"),
    [
        ("00EW", "Cheshire West and Chester", ["02F"], "MCP", "West Cheshire Way"),
        ("110", "Sunderland", ["00P"], "MCP", "All Together Better Sunderland"),
        ("218", "North Yorkshire", ["03E"], "PACS", "Harrogate and Rural District"),
    ],
)
def test_covered_shares_are_those_of_the_raw_lookup(
    authorities: pd.DataFrame, lookup: pd.DataFrame, repository: Path,
    unit: str, name: str, ccgs: list[str], model: str, site: str,
) -> None:  # fmt: skip
    """A district, a borough covered as a whole, and a county of which a sliver lies in a unit covered in part."""
    counties = pd.read_csv(repository / "data_raw/district_county.csv").set_index("lad18_code").county
    inside = lookup[lookup.LAD18CD.map(counties).fillna(lookup.LAD18NM) == name]
    row = authorities[authorities.unit == unit].iloc[0]
    assert row.unit_name.lower() == name.lower()
    assert row.covered_share == pytest.approx(inside.CCG18CDH.isin(ccgs).mean(), abs=1e-9)
    assert row.covered_share > 0.25
    assert (row.model, row.site) == (model, site)


def test_which_authorities_have_a_share(authorities: pd.DataFrame) -> None:
    """Fourteen with one model and nothing in part, ten left open, the rest untouched."""
    once = authorities.drop_duplicates("unit")
    treated = once[once.model != "none"]
    assert treated[treated.covered_share.notna()].groupby("model").size().to_dict() == {"MCP": 8, "PACS": 6}
    assert set(treated.unit_name[treated.covered_share.isna()]) == {
        "Birmingham", "Cumbria", "Hampshire", "Kent", "Lancashire", "Northamptonshire", "Nottinghamshire", "Sandwell",
        "Somerset", "Wakefield",
    }  # fmt: skip
    assert (once[once.model == "none"].covered_share == 0).all()
    assert (treated.covered_share == 1).sum() == 10


def test_covariates_of_every_unit(real: RealData) -> None:
    """206 units without a hole; old people add up to England's row of the ONS file, and merged CCGs' scores are weighted."""
    units = pd.read_csv(real.work.units)
    assert set(units.unit) == set(real.ccgs.unit)
    assert len(units) == 206
    assert units.notna().all(axis=None)
    assert units.stp_code.nunique() == 42
    people = real.ccgs[(real.ccgs.outcome == "gp_referrals") & (real.ccgs.month == "2015-06-01")]
    share = units.set_index("unit").share_75_plus
    weights = people.set_index("unit").population_published
    assert (share * weights).sum() == pytest.approx(4_425_817, abs=1)
    score = units.set_index("unit").imd_average_score
    assert score[["00C", "02N"]].tolist() == [23.639, 18.939]
    manchester = (39.666 * 188_866 + 46.747 * 178_694 + 35.032 * 162_732) / (188_866 + 178_694 + 162_732)
    assert score["14L"] == pytest.approx(manchester, abs=1e-9)


def test_similar_units_of_every_unit(real: RealData) -> None:
    """Airedale's first three are as published, and every unit has at least eight others, itself never."""
    similar = pd.read_csv(real.work.similar_units)
    assert set(similar.unit) == set(real.ccgs.unit) >= set(similar.similar_unit)
    assert similar[similar.unit == "02N"].similar_unit.tolist()[:3] == ["02T", "10A", "05D"]
    assert similar.groupby("unit").size().between(8, 30).all()
    assert (similar.unit != similar.similar_unit).all()
    assert not similar.duplicated(["unit", "similar_unit"]).any()


@pytest.fixture
def mirror(published_folder: Path, repository: Path, tmp_path: Path) -> Path:
    """A mirror of links, any of which a test may take away."""
    for pin in read_manifest(repository / "data_raw/manifest.csv"):
        link = tmp_path / "mirror" / pin.file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((published_folder / pin.file).resolve())
    return tmp_path / "mirror"


def _outcomes(work: Workspace) -> set[str]:
    return set(pd.read_parquet(work.panel).outcome)


def _sources(work: Workspace) -> set[str]:
    files = json.loads(work.data_provenance.read_text())["files"]
    return {file["file"].partition("/")[0] for file in files}


@pytest.mark.parametrize("folder", ["dtoc", "lookup"])
@pytest.mark.nightly
def test_without_its_files_the_outcome_is_absent(
    folder: str, mirror: Path, repository: Path, tmp_path: Path, real: RealData
) -> None:
    """No delayed transfers, or no lookups to place them with (and no population files): the rest is as it was."""
    absent = [folder] if folder == "dtoc" else ["lookup", "ons", "gp_lists"]
    for name in absent:
        for path in (mirror / name).iterdir():
            path.unlink()
    work = Workspace(root=repository, build=tmp_path / "build", mirror_asked=mirror, data="mar")
    build_data(work, lambda message: None)
    assert _outcomes(work) == set(real.ccgs.outcome)
    units = pd.read_csv(work.units)
    similar = pd.read_csv(work.similar_units)
    if folder == "dtoc":
        assert _sources(work) == {"mar", "ae", "ons", "gp_lists", "lookup", "imd"}
        assert (len(units), units.isna().to_numpy().sum()) == (206, 0)
    else:
        assert _sources(work) == {"mar", "ae"}
        assert (len(units), len(similar)) == (0, 0)
    assert list(units.columns) == ["unit", "stp_code", "share_75_plus", "imd_average_score"]
    assert list(similar.columns) == ["unit", "rank", "similar_unit"]


def test_one_month_that_is_missing_is_named(mirror: Path, repository: Path, tmp_path: Path, protocol: Protocol) -> None:
    """Delayed transfers of all the other months are there: a panel with a hole would mislead."""
    (mirror / "dtoc/Dec_15.xls").unlink()
    (mirror / "dtoc/Dec_12.xls").unlink()  # before the study: nobody misses it
    work = Workspace(root=repository, build=tmp_path / "build", mirror_asked=mirror, data="mar")
    with pytest.raises(DataError, match=r"1 of the 74 files missing: dtoc/Dec_15.xls \(December 2015\)"):
        published_files(work, protocol)


@pytest.mark.nightly
def test_without_the_deprivation_file_its_column_is_empty(mirror: Path, repository: Path, tmp_path: Path) -> None:
    for path in (mirror / "imd").iterdir():
        path.unlink()
    work = Workspace(root=repository, build=tmp_path / "build", mirror_asked=mirror, data="mar")
    build_data(work, lambda message: None)
    units = pd.read_csv(work.units)
    assert units.imd_average_score.isna().all()
    assert units.share_75_plus.notna().all()
    assert "delayed_days" in _outcomes(work)


def test_the_snapshot_has_no_local_authorities(
    real: RealData, workspace_of: Callable[..., Workspace], tmp_path: Path
) -> None:
    """The outcome is absent from it, and the tables of units have headers and no rows."""
    assert set(real.snapshot.geography) == {"area", "england"}
    assert "delayed_days" not in set(real.snapshot.outcome)
    work = Workspace(build=tmp_path, data="snapshot")
    build_data(work, lambda message: None)
    assert work.units.read_text() == "unit,stp_code,share_75_plus,imd_average_score\n"
    assert work.similar_units.read_text() == "unit,rank,similar_unit\n"
