"""The panel of the real files: complete, conserved, masked where the files are known to be wrong, and sane when changed."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_data import RealData

from analysis.core.workspace import Workspace
from analysis.estimation.did.did import difference_in_differences
from analysis.estimation.regression.poisson import fit_poisson
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.panel.geography import build_geography, read_changes
from analysis.protocol.protocol import Protocol
from analysis.sources.gp_lists import read_gp_lists
from analysis.sources.mar import MarFile
from analysis.stages.snapshot import write_snapshot

pytestmark = pytest.mark.slow  # the panel of all published files takes some seconds to make

OUTCOMES = ["elective_admissions", "first_outpatients", "gp_referrals", "non_elective_admissions"]
PRIMARY = "non_elective_admissions"
ENGLAND_MID_2015 = 54_786_327  # ONS mid-year estimate for England, all persons


def _unit_months(units: str, first: str, last: str) -> set[tuple[str, pd.Timestamp]]:
    return {(unit, month) for unit in units.split() for month in pd.date_range(first, last, freq="MS")}


# Items 12 to 14 of the known defects: returns known to be missing from non-elective admissions.
HEART_OF_ENGLAND = _unit_months("05P 13P 05Q", "2014-07", "2015-03")
CALDERDALE = _unit_months("02T 03A", "2017-05", "2017-07")
GLOUCESTERSHIRE = _unit_months("11M", "2016-12", "2017-06") | _unit_months("07Y", "2016-06", "2016-06")
# Item 15: levels that moved and may be the effect, which must stay in.
LASTING = {"05C", "02W", "00L", "99C", "03X"}


def test_all_files_parse_with_their_organisations(returns: dict[date, MarFile]) -> None:
    """72 months; from April 2013 on 211, 209 and 207 CCGs, with X24 and nobody else."""
    assert len(returns) == 72
    for month, mar in returns.items():
        codes = set(mar.organisations.org_code)
        if month >= date(2013, 4, 1):
            expected = 211 if month < date(2015, 4, 1) else 209 if month < date(2017, 4, 1) else 207
            assert len(codes - {"X24"}) == expected, month
            assert "X24" in codes


def test_the_panel_has_every_unit_and_month(real: RealData) -> None:
    """206 CCG units by 60 months for each of the return's four outcomes, England for those and delayed days; every key once."""
    sizes = real.panel.groupby(["geography", "outcome"]).agg(
        units=("unit", "nunique"), months=("month", "nunique"), rows=("unit", "size")
    )
    assert sizes.loc["ccg"].to_dict("index") == {
        name: {"units": 206, "months": 60, "rows": 12_360} for name in OUTCOMES
    }
    assert sizes.loc["england"].to_dict("index") == {
        name: {"units": 1, "months": 60, "rows": 60} for name in sorted([*OUTCOMES, "delayed_days"])
    }


def test_units_sum_to_published_england_less_x24(real: RealData, returns: dict[date, MarFile]) -> None:
    """Nothing published is lost or counted twice on the way to units, in any month or outcome."""
    england = real.panel[real.panel.geography == "england"].set_index(["outcome", "month"]).value_published
    ccgs = real.ccgs.groupby(["outcome", "month"]).value_published.sum()
    for month, mar in returns.items():
        if month >= date(2013, 4, 1):
            x24 = mar.organisations.set_index("org_code").loc["X24"]
            for outcome in OUTCOMES:
                expected = mar.england[outcome] - x24[outcome]
                assert england[outcome, pd.Timestamp(month)] == pytest.approx(expected, abs=0.01)
                assert ccgs[outcome, pd.Timestamp(month)] == pytest.approx(expected, abs=0.01)


def test_kept_values_are_published_values(real: RealData) -> None:
    """A value is the published one or nothing, and nothing exactly where the ledger masks."""
    kept = real.ccgs[real.ccgs.value.notna()]
    assert (kept.value == kept.value_published).all()
    assert (kept.population == kept.population_published).all()
    masked = real.ccgs[real.ccgs.value.isna()]
    ledger = real.ledger[real.ledger.rule != "pending"]
    key = ["outcome", "unit", "month"]
    assert set(map(tuple, masked[key].to_numpy())) == set(map(tuple, ledger[key].to_numpy()))


@pytest.mark.parametrize("incident", ["HEART_OF_ENGLAND", "CALDERDALE", "GLOUCESTERSHIRE"])
def test_known_missing_returns_are_in_the_ledger(real: RealData, incident: str) -> None:
    """Each unit-month of the known incidents is masked as a missing return."""
    rows = real.ledger[(real.ledger.outcome == PRIMARY) & (real.ledger.rule == "missing_return")]
    assert globals()[incident] <= set(zip(rows.unit, rows.month, strict=True))


def test_lasting_changes_of_level_are_not_masked(real: RealData) -> None:
    """None of the units whose level moved for good (or rose and went back, under the threshold) loses a month."""
    assert not LASTING & set(real.ledger.unit[real.ledger.outcome == PRIMARY])
    assert real.ccgs[real.ccgs.unit.isin(LASTING)].value.notna().all()


def test_lasting_shifts_are_listed_for_the_sensitivity(real: RealData) -> None:
    """Dudley's fall and Bradford City's rise are listed; North Tyneside's rise, which went back, is not."""
    listed = set(real.shifts.unit[real.shifts.outcome == PRIMARY])
    assert {"05C", "02W"} <= listed
    assert "99C" not in listed


def test_flags_are_rare_in_every_outcome(real: RealData) -> None:
    """Under 1% of unit-months, and some in each outcome."""
    share = real.ledger.groupby("outcome").size() / 12_360
    assert set(share.index) == set(OUTCOMES)
    assert ((share > 0) & (share < 0.01)).all()


def test_population_is_onss_in_june_2015(real: RealData) -> None:
    """The units' people are England's in the anchor month."""
    june = real.ccgs[(real.ccgs.outcome == PRIMARY) & (real.ccgs.month == "2015-06-01")]
    assert june.population_published.sum() == pytest.approx(ENGLAND_MID_2015, abs=1)


def test_population_is_conserved_in_every_month(
    real: RealData, repository: Path, protocol: Protocol, published_folder: Path
) -> None:
    """Summed over each area the lists are published for, people move exactly as its list does, so nobody is lost or made.

    At the months in which a new quarterly list appears, where nothing is interpolated.
    """
    lists = read_gp_lists(next((published_folder / "gp_lists").iterdir())).rename(columns={"ccg_code": "area"})
    wide = lists.pivot(index="area", columns="month", values="registered_patients").astype(float)
    rows = real.ccgs[real.ccgs.outcome == PRIMARY]
    codes = sorted({code for unit in rows.unit.unique() for code in unit.split("+")})
    geography = build_geography(read_changes(repository / "data_raw/ccg_changes.csv"), codes, protocol.study.boundaries)
    areas = geography.areas(dt.date(2019, 4, 1)).groupby("unit").area.agg("+".join)
    by_area = rows.assign(area=rows.unit.map(areas)).pivot_table(
        index="area", columns="month", values="population_published", aggfunc="sum"
    )
    published = pd.DataFrame({area: wide.loc[area.split("+")].sum() for area in by_area.index}).T
    new = [m for m in published.columns[published.ne(published.shift(axis=1)).any()] if m in by_area.columns]
    assert len(new) >= 12
    growth_lists = published[new].div(published[new[0]], axis=0)
    growth_panel = by_area[new].div(by_area[new[0]], axis=0)
    assert np.abs(growth_panel / growth_lists - 1).max(axis=None) < 1e-9
    england = real.panel[(real.panel.geography == "england") & (real.panel.outcome == PRIMARY)].set_index("month")
    assert np.abs(england.population_published - rows.groupby("month").population_published.sum()).max() < 1


@pytest.mark.parametrize(("model", "ccgs", "sites"), [("MCP", 10, 9), ("PACS", 8, 7)])
def test_cohorts_wholly_covered(real: RealData, model: str, ccgs: int, sites: int) -> None:
    """The primary cohorts' CCGs and sites."""
    units = real.ccgs.drop_duplicates("unit")
    whole = units[(units.model == model) & (units.covered_share == 1)]
    assert (len(whole), whole.site.nunique()) == (ccgs, sites)


def test_the_other_units(real: RealData) -> None:
    """178 units are in no model, ten in part; the exchanged pair is one unit, partly PACS; 23 sites in all."""
    units = real.ccgs.drop_duplicates("unit").set_index("unit")
    partly = units[(units.model != "none") & (units.covered_share != 1)]
    assert ((units.model == "none").sum(), len(partly)) == (178, 10)
    assert units.loc["01H+01K", ["model", "site"]].tolist() == [
        "PACS",
        "Better Care Together (Morecambe Bay Health Community)",
    ]
    assert np.isnan(units.loc["01H+01K", "covered_share"])
    assert units[units.model != "none"].groupby("model").site.nunique().to_dict() == {"MCP": 14, "PACS": 9}


def _sample(panel: pd.DataFrame, cohort: str, protocol: Protocol, specification: str = "primary") -> Sample:
    return build_sample(
        panel, PRIMARY, protocol.treated_cohorts[cohort], protocol.specification(specification), protocol
    )


def _att(sample: Sample, protocol: Protocol) -> float:
    treatment = np.outer(sample.treated, sample.months >= protocol.study.programme_start)[None].astype(float)
    return float(fit_poisson(sample.counts, sample.population, treatment).coefficients[0])


@pytest.mark.parametrize(
    ("cohort", "units", "clusters"), [("MCP", 188, 187), ("PACS", 186, 185), ("MCP+PACS", 196, 194)]
)
def test_samples(real: RealData, protocol: Protocol, cohort: str, units: int, clusters: int) -> None:
    """Cohort and controls, the other model held out, one cluster to a site."""
    sample = _sample(real.panel, cohort, protocol)
    assert (len(sample.units), sample.cluster.max() + 1, sample.treated.sum()) == (units, clusters, units - 178)


@pytest.mark.parametrize("cohort", ["MCP", "PACS"])
def test_the_snapshot_gives_nearly_the_same_effect(real: RealData, protocol: Protocol, cohort: str) -> None:
    """Areas in place of CCGs move the primary estimate by less than 0.3 percentage points, but do move it."""
    percent = [
        100 * np.expm1(_att(_sample(panel, cohort, protocol), protocol)) for panel in (real.panel, real.snapshot)
    ]
    assert 1e-6 < abs(percent[0] - percent[1]) < 0.3


def test_the_snapshots_sums_are_the_panels(real: RealData) -> None:
    """Without masking, the snapshot's England is the panel's, in every month and outcome of the return."""
    sums = [
        data[(data.geography == "england") & data.outcome.isin(OUTCOMES)]
        .set_index(["outcome", "month"])[["value_published", "population_published", "value"]]
        .sort_index()
        for data in (real.panel, real.snapshot)
    ]
    assert sums[0].to_numpy() == pytest.approx(sums[1].to_numpy(), abs=0.5)


def test_the_committed_snapshot_is_what_the_code_makes(
    real: RealData, repository: Path, workspace_of: Callable[..., Workspace], tmp_path: Path
) -> None:
    """Written anew from the published files, the snapshot's tables are those in the repository, byte for byte."""
    committed = repository / "data_raw"
    shutil.copytree(committed, tmp_path / "data_raw", ignore=shutil.ignore_patterns("snapshot"))
    write_snapshot(workspace_of(tmp_path / "build", root=tmp_path), lambda message: None)
    for path in sorted((committed / "snapshot").iterdir()):
        again = tmp_path / "data_raw/snapshot" / path.name
        if path.suffix == ".json":
            assert json.loads(again.read_text()) == json.loads(path.read_text())
        else:
            assert again.read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("cohort", ["MCP", "PACS"])
def test_more_admissions_in_a_treated_unit_raise_the_effect(real: RealData, protocol: Protocol, cohort: str) -> None:
    """Doubling one treated unit's counts after the start moves the effect up, and doubling a control's moves it down."""
    sample = _sample(real.panel, cohort, protocol)
    post = sample.months >= protocol.study.programme_start
    for unit, direction in ((int(np.flatnonzero(sample.treated)[0]), 1), (int(np.flatnonzero(~sample.treated)[0]), -1)):
        doubled = sample.counts.copy()
        doubled[unit, post] *= 2
        change = _att(replace(sample, counts=doubled), protocol) - _att(sample, protocol)
        assert direction * change > 1e-3


@pytest.mark.parametrize("cohort", ["MCP", "PACS", "MCP+PACS"])
def test_swapping_the_groups_flips_the_sign(real: RealData, protocol: Protocol, cohort: str) -> None:
    """Controls called treated give exactly minus the effect."""
    sample = _sample(real.panel, cohort, protocol)
    assert _att(replace(sample, treated=~sample.treated), protocol) == pytest.approx(-_att(sample, protocol), abs=1e-9)


def test_masking_matters(real: RealData, protocol: Protocol) -> None:
    """The known missing returns of controls and of Calderdale bend the unmasked MCP effect downwards."""
    masked, unmasked = (_att(_sample(real.panel, "MCP", protocol, name), protocol) for name in ("primary", "unmasked"))
    assert unmasked < masked - 0.002


@pytest.mark.parametrize("cohort", ["MCP", "PACS"])
def test_a_reduction_put_into_the_real_data_is_found(real: RealData, protocol: Protocol, cohort: str) -> None:
    """Treated counts cut by 15% after the start: interval and p say so, and the estimate moves by log 0.85."""
    sample = _sample(real.panel, cohort, protocol)
    cut = np.where(
        np.outer(sample.treated, sample.months >= protocol.study.programme_start), 0.85 * sample.counts, sample.counts
    )
    specification = protocol.specification("primary").model_copy(update={"draws": 199})
    rows = difference_in_differences(replace(sample, counts=cut), specification, 1, protocol)
    row = next(r for r in rows if r["term"] == "att" and r["inference"] == "randomisation")
    assert row["estimate"] == pytest.approx(_att(sample, protocol) + np.log(0.85), abs=0.005)
    assert row["ci_high"] < 0
    assert row["p_value"] < 0.02
