"""Population by unit and month: level from ONS, movement from registered lists."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from analysis.core.errors import DataError
from analysis.panel.geography import Geography, build_geography
from analysis.panel.population import list_size_by_month, unit_population
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Population

MONTHS = pd.date_range("2013-04-01", "2018-03-01", freq="MS")
LISTED_ON = dt.date(2019, 4, 1)
LISTED = pd.date_range("2014-05-01", "2018-09-01", freq="MS")
LEVEL = {"00A": 101_000, "00B": 202_000, "00C": 303_003, "01H": 400_000, "01K": 150_000}


@pytest.fixture(scope="module")
def rule(protocol: Protocol) -> Population:
    return protocol.population


@pytest.fixture(scope="module")
def geography() -> Geography:
    """A later merger of 00A and 00B, and the pooled pair."""
    changes = pd.DataFrame(
        [("00A", "", "20A", "", "2018-04-01", "merger"), ("00B", "", "20A", "", "2018-04-01", "merger"),
         ("01H", "", "01K", "", "2017-04-01", "boundary move")],
        columns=["pred_code", "pred_name", "succ_code", "succ_name", "effective", "kind"],
    )  # fmt: skip
    return build_geography(
        changes.assign(effective=pd.to_datetime(changes.effective)), list(LEVEL), dt.date(2017, 4, 1)
    )


def _path(rate: float, size: float, step: int = 3) -> np.ndarray:
    """A list that grows by ``rate`` a month, published anew every ``step`` months and repeated between."""
    month = np.arange(len(LISTED))
    return size * np.exp(rate * (month - month % step))


RATES = {"20A": 0.001, "00C": -0.0005, "01H": 0.0002, "01K": 0.002}


@pytest.fixture(scope="module")
def lists() -> pd.DataFrame:
    frames = [
        pd.DataFrame({"month": LISTED, "area": area, "registered_patients": _path(rate, 2e5)})
        for area, rate in RATES.items()
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def mid_year() -> pd.DataFrame:
    return pd.DataFrame({"ccg_code": list(LEVEL), "persons": list(LEVEL.values())})


@pytest.fixture(scope="module")
def population(mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population) -> pd.DataFrame:
    return unit_population(mid_year, lists, geography, MONTHS, rule, LISTED_ON).pivot(
        index="unit", columns="month", values="population"
    )


def test_every_unit_has_every_month(population: pd.DataFrame) -> None:
    """Four units, sixty months, nobody unknown."""
    assert population.shape == (4, 60)
    assert population.notna().all(axis=None)


def test_june_2015_is_the_ons_estimate(population: pd.DataFrame, rule: Population) -> None:
    """The anchor month is ONS by unit, and conserves everybody to within one person."""
    june = population[rule.anchor]
    assert june.to_dict() == pytest.approx(
        {"00A": 101_000, "00B": 202_000, "00C": 303_003, "01H+01K": 550_000}, abs=1e-6
    )
    assert abs(june.sum() - sum(LEVEL.values())) < 1


def test_units_of_one_later_area_move_together(population: pd.DataFrame) -> None:
    """The two halves of a later merger keep their ratio in every month."""
    assert (population.loc["00B"] / population.loc["00A"]).to_numpy() == pytest.approx(np.full(60, 2.0))


def test_a_pooled_unit_moves_with_the_sum_of_its_lists(population: pd.DataFrame, rule: Population) -> None:
    """The movement is that of both lists together, interpolated, whatever patients moved between them."""
    knot = pd.Timestamp("2017-05-01")  # a month in which new figures appear
    months_on = (knot.year - 2014) * 12 + knot.month - 5
    sums = {at: sum(2e5 * np.exp(RATES[a] * at) for a in ("01H", "01K")) for at in (12, 15, months_on)}
    days = [(pd.Timestamp(f"2015-{m:02d}-01") - pd.Timestamp("2015-05-01")).days for m in (6, 8)]
    june = sums[12] + (sums[15] - sums[12]) * days[0] / days[1]
    assert population.loc["01H+01K", knot] == pytest.approx(550_000 * sums[months_on] / june, rel=1e-9)


def test_quarterly_steps_are_interpolated(lists: pd.DataFrame) -> None:
    """Between two quarters the size lies on the straight line by day; at a quarter it is the published figure."""
    sizes = list_size_by_month(lists, MONTHS, 12).loc["01K"]
    published = dict(zip(LISTED, _path(RATES["01K"], 2e5), strict=True))
    first, between, last = (pd.Timestamp(f"2016-{m:02d}-01") for m in (2, 3, 5))
    assert sizes[first] == pytest.approx(published[first])
    share = (between - first).days / (last - first).days
    assert sizes[between] == pytest.approx(published[first] + share * (published[last] - published[first]))
    assert published[between] == published[first] != pytest.approx(sizes[between], abs=1)


def test_before_the_lists_the_first_years_rate_holds(lists: pd.DataFrame) -> None:
    """April 2013 is 13 months before the first list at the rate of its first twelve months."""
    sizes = list_size_by_month(lists, MONTHS, 12)
    for area, rate in RATES.items():
        assert sizes.loc[area, pd.Timestamp("2013-04-01")] == pytest.approx(2e5 * np.exp(-13 * rate), rel=1e-9)


def test_an_area_without_a_list_is_named(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population
) -> None:
    """A later CCG that the lists lack stops the run by name."""
    with pytest.raises(DataError, match="area 20A"):
        unit_population(mid_year, lists[lists.area != "20A"], geography, MONTHS, rule, LISTED_ON)


def test_a_ccg_that_no_unit_holds_is_named(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population
) -> None:
    """A CCG of the mid-year table without a unit stops the run, as its people would be lost."""
    stranger = pd.concat([mid_year, pd.DataFrame({"ccg_code": ["99Z"], "persons": [5]})])
    with pytest.raises(DataError, match="CCG 99Z"):
        unit_population(stranger, lists, geography, MONTHS, rule, LISTED_ON)


def test_a_ccg_that_the_mid_year_table_lacks_is_named(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population
) -> None:
    """A unit nobody counted must stop the run here, not turn up as an unknown population."""
    with pytest.raises(DataError, match="00C"):
        unit_population(mid_year[mid_year.ccg_code != "00C"], lists, geography, MONTHS, rule, LISTED_ON)


def test_half_a_pooled_unit_missing_is_named(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population
) -> None:
    """With one of two members missing, the sum would be too small and nothing would say so."""
    with pytest.raises(DataError, match="01K"):
        unit_population(mid_year[mid_year.ccg_code != "01K"], lists, geography, MONTHS, rule, LISTED_ON)


def test_lists_that_end_before_the_study_are_refused(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population
) -> None:
    """No month of the window may be left without people."""
    with pytest.raises(DataError):
        unit_population(mid_year, lists[lists.month < "2017-06-01"], geography, MONTHS, rule, LISTED_ON)


@pytest.mark.parametrize("boundaries", [dt.date(2017, 4, 1), dt.date(2018, 4, 1)])
def test_people_of_merged_units_are_the_sum_of_those_before(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population, boundaries: dt.date
) -> None:
    """On boundaries of after the merger 20A has the people of 00A and 00B in every month; nobody else moves."""
    changes = geography.mergers
    merged = build_geography(changes, list(LEVEL), boundaries)
    people = unit_population(mid_year, lists, merged, MONTHS, rule, LISTED_ON)
    apart = unit_population(
        mid_year, lists, build_geography(changes, list(LEVEL), dt.date(2017, 4, 1)), MONTHS, rule, LISTED_ON
    )
    summed = apart.assign(unit=apart.unit.map(merged.unit_of)).groupby(["unit", "month"]).population.sum()
    pd.testing.assert_series_equal(people.set_index(["unit", "month"]).population.sort_index(), summed, rtol=1e-12)
    assert people[people.month == rule.anchor].population.sum() == pytest.approx(sum(LEVEL.values()), abs=1)


def test_lists_of_an_earlier_date_move_a_merged_unit(
    mid_year: pd.DataFrame, lists: pd.DataFrame, geography: Geography, rule: Population
) -> None:
    """Lists of before the merger, one for 00A and one for 00B: 20A moves as their sum."""
    halves = [lists[lists.area == "20A"].assign(area=area) for area in ("00A", "00B")]
    earlier = pd.concat([lists[lists.area != "20A"], *halves], ignore_index=True)
    merged = build_geography(geography.mergers, list(LEVEL), dt.date(2018, 4, 1))
    people = unit_population(mid_year, earlier, merged, MONTHS, rule, dt.date(2017, 4, 1))
    expected = unit_population(mid_year, lists, merged, MONTHS, rule, LISTED_ON)
    pd.testing.assert_frame_equal(people, expected, rtol=1e-12)
