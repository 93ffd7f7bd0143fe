"""The 72 published returns, with facts read from the files by hand."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from analysis.sources.manifest import read_manifest, required_months, verify
from analysis.sources.mar import MarFile, read_all_mar


@pytest.fixture(scope="module")
def paths(root: Path, mirror: Path) -> dict[date, Path]:
    pins = required_months(read_manifest(root / "data_raw/manifest.csv"), "mar", date(2012, 4, 1), date(2018, 3, 1))
    return {month: verify(mirror / pin.file, pin) for month, pin in pins.items()}


@pytest.fixture(scope="module")
def returns(paths: dict[date, Path]) -> dict[date, MarFile]:
    return {mar.month: mar for mar in read_all_mar(paths)}


@pytest.mark.slow
def test_every_month_reads_within_three_seconds(paths: dict[date, Path]) -> None:
    start = time.process_time()
    assert len(read_all_mar(paths)) == 72
    assert time.process_time() - start < 3


@pytest.mark.slow
def test_organisations_by_month(returns: dict[date, MarFile]) -> None:
    numbers = {month: len(mar.organisations) for month, mar in returns.items()}
    # 151 PCTs and the National Commissioning Group; then 211, 209 and 207 CCGs, and X24.
    assert Counter(numbers.values()) == {152: 12, 212: 24, 210: 24, 208: 12}
    assert [numbers[date(*month, 1)] for month in ((2013, 3), (2013, 4), (2015, 3), (2015, 4), (2017, 4))] == [
        152,
        212,
        212,
        210,
        208,
    ]


def test_england_is_the_sum_of_every_measure(returns: dict[date, MarFile]) -> None:
    for mar in returns.values():
        sums = mar.organisations[list(mar.england)].sum()
        assert sums.to_dict() == pytest.approx(dict(mar.england), abs=0.01)


def test_more_referrals_are_made_than_seen(returns: dict[date, MarFile]) -> None:
    assert all(0.6 < mar.england["gp_referrals_seen"] / mar.england["gp_referrals"] < 0.95 for mar in returns.values())


def test_x24_is_about_three_per_cent(returns: dict[date, MarFile]) -> None:
    for month, mar in returns.items():
        if month >= date(2013, 4, 1):
            non_elective = mar.organisations.set_index("org_code")["non_elective_admissions"]
            assert 0.024 < non_elective["X24"] / mar.england["non_elective_admissions"] < 0.034


def test_boundary_move_of_april_2017(returns: dict[date, MarFile]) -> None:
    def non_elective(month: date) -> pd.Series:
        return returns[month].organisations.set_index("org_code")["non_elective_admissions"]

    assert non_elective(date(2017, 3, 1))[["01H", "01K"]].tolist() == [5307, 1506]
    assert non_elective(date(2017, 4, 1))[["01H", "01K"]].tolist() == [3146, 2882]


def test_the_one_count_that_is_not_whole(returns: dict[date, MarFile]) -> None:
    parts = [
        (month, row.org_code, row.non_elective_admissions)
        for month, mar in returns.items()
        for row in mar.organisations.itertuples()
        if row.non_elective_admissions % 1
    ]
    assert parts == [(date(2012, 11, 1), "5PT", 4459.1)]


def test_regions_whatever_their_column_is_called(returns: dict[date, MarFile]) -> None:
    def region(month: date, code: str) -> str:
        return returns[month].organisations.set_index("org_code").at[code, "region_name"]

    assert region(date(2012, 11, 1), "5PT") == "EAST OF ENGLAND STRATEGIC HEALTH AUTHORITY"
    assert "AREA TEAM" in region(date(2014, 6, 1), "01K")
    assert "REGION" in region(date(2016, 6, 1), "01K")


def test_dates_and_notes(returns: dict[date, MarFile], root: Path) -> None:
    pins = {pin.month: pin for pin in read_manifest(root / "data_raw/manifest.csv") if pin.source == "mar"}
    without = [month for month, mar in returns.items() if mar.published is None or mar.revised is None]
    assert without == [date(2012, 7, 1)]  # "1th September 2012"
    assert pins[date(2012, 7, 1)].published == date(2012, 9, 14)
    for month, mar in returns.items():
        assert mar.published in (pins[month].published, None)
        assert mar.revised == pins[month].revised
    july = " ".join(returns[date(2017, 7, 1)].notes)
    assert "Calderdale and Huddersfield" in july
    # A footnote below the table, in April to November 2017, not in the Notes sheet in the same words.
    assert any("operational issues" in note for note in returns[date(2017, 4, 1)].notes)
    assert "RR1 HEART OF ENGLAND NHS FOUNDATION TRUST" in returns[date(2014, 7, 1)].notes
