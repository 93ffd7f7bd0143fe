"""The working calendar against counts by hand, and England's totals: which months they hold and what is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from dateutil.easter import easter
from synthetic import row_of

from analysis.core.errors import DataError
from analysis.estimation.its.england import national_series
from analysis.estimation.its.methods import METHODS
from analysis.estimation.its.terms import CONTROLLED, HAC, OLS, SINGLE
from analysis.estimation.regression.calendar import easter_share, working_days
from analysis.panel.national import first_national_month, national_table, read_national
from analysis.protocol.protocol import Protocol
from analysis.sources.mar import MarFile

ADMISSIONS, CHECK = "non_elective_admissions", "ae_emergency_admissions"
NOTHING = pd.DataFrame({"outcome": [], "month": [], "published_value": [], "expected_value": [], "rule": []})


def month_starts(first: str, last: str) -> pd.DatetimeIndex:
    return pd.date_range(first, last, freq="MS")


# Working days


@pytest.mark.parametrize(
    ("month", "days"),
    [
        ("2012-06", 21 - 2),  # Spring Bank Holiday moved to Monday 4th, Diamond Jubilee on Tuesday 5th
        ("2012-05", 23 - 1),  # where it usually is: only May Day
        ("2013-01", 23 - 1),  # 2 January is a holiday in Scotland alone
        ("2013-03", 21 - 1),  # Good Friday, the 29th
        ("2013-04", 22 - 1),  # Easter Monday, the 1st
        ("2014-03", 21),  # St Patrick's Day is a holiday in Northern Ireland alone
        ("2014-08", 21 - 1),  # the last Monday; Scotland has the first
        ("2015-12", 23 - 2),  # Friday 25th and Monday 28th, for Boxing Day on Saturday
        ("2016-12", 22 - 2),  # Monday 26th and Tuesday 27th, for Christmas Day on Sunday
        ("2017-01", 22 - 1),  # Monday 2nd, for New Year's Day on Sunday
        ("2016-02", 21),  # the 29th was a Monday
        ("2016-05", 22 - 2),
        ("2018-03", 22 - 1),  # Good Friday, the 30th
        ("2018-04", 21 - 1),  # Easter Monday, the 2nd
        ("2017-11", 22),
    ],
)
def test_working_days_of_a_month(month: str, days: int) -> None:
    """Weekdays less the bank holidays of England that fall on them; alone and inside a longer series."""
    alone = pd.DatetimeIndex([f"{month}-01"])
    assert working_days(alone).tolist() == [days]
    whole = month_starts("2010-08-01", "2018-03-01")
    if alone[0] in whole:
        assert working_days(whole)[whole.get_loc(alone[0])] == days


@pytest.mark.parametrize(
    ("year", "days"), [(2012, 261 - 9), (2013, 261 - 8), (2014, 261 - 8), (2015, 261 - 8), (2016, 261 - 8), (2017, 260 - 8)]
)  # fmt: skip
def test_a_year_has_eight_bank_holidays_on_weekdays_and_the_jubilees_nine(year: int, days: int) -> None:
    assert working_days(month_starts(f"{year}-01-01", f"{year}-12-01")).sum() == days


# Easter


@pytest.mark.parametrize(
    ("year", "march", "april"),
    [
        (2011, 0, 1),
        (2012, 0, 1),
        (2013, 0.75, 0.25),  # Friday 29 March to Monday 1 April
        (2014, 0, 1),
        (2015, 0, 1),
        (2016, 1, 0),
        (2017, 0, 1),
        (2018, 0.5, 0.5),  # Friday 30 March to Monday 2 April
    ],
)
def test_easter_falls_in_march_or_april_or_both(year: int, march: float, april: float) -> None:
    share = easter_share(month_starts(f"{year}-01-01", f"{year}-12-01"))
    assert share.tolist() == [0, 0, march, april, *[0] * 8]


def test_every_year_has_one_easter_where_the_almanac_has_it() -> None:
    """By the day of Easter Sunday from another library: Friday is two days before, Monday one after."""
    months = month_starts("2010-01-01", "2025-12-01")
    share = pd.Series(easter_share(months), months)
    assert share.groupby(months.year).sum().to_numpy() == pytest.approx(1.0)
    for year in range(2010, 2026):
        days = pd.Timestamp(easter(year)) + pd.to_timedelta([-2, -1, 0, 1], "D")
        for month in (3, 4):
            assert share[pd.Timestamp(year, month, 1)] == pytest.approx((days.month == month).mean())


def test_a_window_that_holds_half_an_easter_has_half_of_it() -> None:
    """The study's first month has a quarter of that of 2013, its last half of that of 2018."""
    share = easter_share(month_starts("2013-04-01", "2018-03-01"))
    assert (share[0], share[-1]) == (0.25, 0.5)
    assert share.sum() == pytest.approx(0.25 + 4 + 0.5)
    assert easter_share(month_starts("2014-05-01", "2014-12-01")).tolist() == [0.0] * 8


# The table of England's totals


def returns(first: str, last: str, protocol: Protocol) -> list[MarFile]:
    """A month's number in each measure: 2012-04 → 201204, and so on."""
    measures = {outcome.measure for outcome in protocol.outcomes}
    return [
        MarFile(
            date(month.year, month.month, 1), pd.DataFrame(),
            {name: float(f"{month:%Y%m}") + k for k, name in enumerate(sorted(measures))}, None, None, (),
        )
        for month in month_starts(first, last)
    ]  # fmt: skip


def ae_table(first: str, last: str) -> pd.DataFrame:
    months = month_starts(first, last)
    return pd.DataFrame({"month": months, "emergency_admissions_total": months.strftime("%Y%m").astype(float), "x": 0})


def test_each_outcome_begins_where_it_is_comparable(protocol: Protocol) -> None:
    """Returns of before are left out: referrals begin a year later, delayed transfers are of another source."""
    table = national_table(returns("2011-04-01", "2018-03-01", protocol), None, NOTHING, protocol)
    first = table.groupby("outcome").month.min()
    assert {name: f"{month:%Y-%m}" for name, month in first.items()} == {
        "non_elective_admissions": "2012-04", "elective_admissions": "2012-04",
        "first_outpatients": "2012-04", "gp_referrals": "2013-04",
    }  # fmt: skip
    assert (table.groupby("outcome").month.max() == pd.Timestamp("2018-03-01")).all()
    assert table.columns.tolist() == ["outcome", "month", "value", "missing"]
    assert (table.missing == 0).all()
    assert first_national_month(protocol) == pd.Timestamp("2012-04-01")
    measures = sorted({outcome.measure for outcome in protocol.outcomes})
    for outcome in protocol.outcomes:
        held = table[table.outcome == outcome.id]
        offset = measures.index(outcome.measure)
        assert (held.value == held.month.dt.strftime("%Y%m").astype(float) + offset).all()


def test_an_outcome_without_a_first_month_begins_with_the_study(protocol: Protocol) -> None:
    plain = [outcome.model_copy(update={"england_from": None}) for outcome in protocol.outcomes]
    changed = protocol.model_copy(update={"outcomes": plain})
    table = national_table(returns("2012-04-01", "2018-03-01", protocol), None, NOTHING, changed)
    assert (table.groupby("outcome").month.min() == protocol.study.start).all()
    assert first_national_month(changed) == protocol.study.start


def test_the_other_publication_is_cut_to_its_first_month_and_the_end_of_the_study(protocol: Protocol) -> None:
    table = national_table(
        returns("2012-04-01", "2018-03-01", protocol), ae_table("2010-06-01", "2019-12-01"), NOTHING, protocol
    )
    held = table[table.outcome == CHECK]
    assert held.month.tolist() == month_starts("2010-08-01", "2018-03-01").tolist()
    assert held.value.tolist() == held.month.dt.strftime("%Y%m").astype(float).tolist()
    assert table.equals(table.sort_values(["outcome", "month"], ignore_index=True))


def test_without_the_other_publication_the_table_is_of_the_return_alone(protocol: Protocol) -> None:
    table = national_table(returns("2013-04-01", "2018-03-01", protocol), None, NOTHING, protocol)
    assert CHECK not in set(table.outcome) and table.outcome.nunique() == 4
    assert len(national_table([], None, NOTHING, protocol)) == 0


def test_what_the_ledger_masks_is_counted_as_missing_in_its_month_alone(protocol: Protocol) -> None:
    """Two units short by 900 and one over by 100 in a month; a pending value is no gap."""
    ledger = pd.DataFrame(
        [
            (ADMISSIONS, "2014-07-01", 100.0, 1000.0, "missing_return"), (ADMISSIONS, "2014-07-01", 600.0, 500.0, "double_count"),
            (ADMISSIONS, "2018-03-01", 100.0, 700.0, "pending"),
        ],
        columns=["outcome", "month", "published_value", "expected_value", "rule"],
    )  # fmt: skip
    table = national_table(returns("2012-04-01", "2018-03-01", protocol), None, ledger, protocol)
    short = table[table.missing != 0]
    assert short[["outcome", "missing"]].to_numpy().tolist() == [[ADMISSIONS, 800]]
    assert short.month.tolist() == [pd.Timestamp("2014-07-01")]


def test_what_is_missing_is_put_back_before_england_is_modelled(protocol: Protocol) -> None:
    whole = made_up([ADMISSIONS])
    short = whole.assign(missing=0.1 * whole.value, value=0.9 * whole.value)
    ours, theirs = (pd.DataFrame(national_series(table, "mar", protocol)[0]) for table in (whole, short))
    np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=1e-5)


def test_the_table_is_read_as_it_was_written(tmp_path: Path, protocol: Protocol) -> None:
    table = national_table(
        returns("2012-04-01", "2018-03-01", protocol), ae_table("2012-04-01", "2018-03-01"), NOTHING, protocol
    )
    path = tmp_path / "national.csv"
    table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_national(path), table, check_dtype=False)
    assert read_national(path).month.dtype == table.month.dtype
    table.drop(columns="value").to_csv(path, index=False)
    with pytest.raises(DataError):
        read_national(path)
    with pytest.raises(DataError):
        read_national(tmp_path / "none.csv")


# England's own series


@pytest.fixture(scope="module")
def protocol(protocol: Protocol) -> Protocol:
    """With the first specification alone."""
    return protocol.model_copy(update={"specifications": protocol.specifications[:1]})


def made_up(
    outcomes: Iterable[str], first: str = "2012-04-01", last: str = "2018-03-01", seed: int = 0
) -> pd.DataFrame:
    months = month_starts(first, last)
    generator = np.random.default_rng(seed)
    common = generator.normal(0, 0.03, len(months))
    parts = [
        pd.DataFrame(
            {
                "outcome": name, "month": months, "missing": 0.0,
                "value": np.round(4e5 * months.days_in_month / 30 * np.exp(common + generator.normal(0, 0.01, len(months)))),
            }
        )
        for name in outcomes
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def whole(protocol: Protocol) -> pd.DataFrame:
    """Four outcomes and the other publication, which begins earlier."""
    ours = made_up([outcome.id for outcome in protocol.outcomes if outcome.source == "mar"])
    return pd.concat([ours, made_up([CHECK], "2010-08-01", seed=1)], ignore_index=True)


@pytest.mark.slow
def test_every_outcome_the_check_and_the_one_against_the_other(whole: pd.DataFrame, protocol: Protocol) -> None:
    rows, paths, absent = national_series(whole, "mar", protocol)
    assert absent == []
    found = {(row["outcome"], row["design"]): row["window"] for row in rows if row["design"] != "power"}
    long, longer = "2012-04/2018-03", "2010-08/2018-03"
    assert found == {
        ("non_elective_admissions", SINGLE): long, ("elective_admissions", SINGLE): long,
        ("gp_referrals", SINGLE): long, ("first_outpatients", SINGLE): long,
        (CHECK, SINGLE): longer, (ADMISSIONS, CONTROLLED): long,
    }  # fmt: skip
    assert {row["inference"] for row in rows} == set(METHODS)
    assert {(row["cohort"], row["specification"], row["dataset"]) for row in rows} == {("england", "primary", "mar")}
    assert {(row["n_units"], row["n_treated"], row["conf_level"]) for row in rows} == {(1, 1, 0.95)}
    months = paths.groupby(["outcome", "design"]).size().to_dict()
    assert months == {key: 92 if window == longer else 72 for key, window in found.items()}
    assert {"cohort", "specification", "fitted", "counterfactual_low"} <= set(paths.columns)
    assert {row["n_obs"] for row in rows if row["outcome"] == CHECK and row["design"] == SINGLE} == {92}


def _design(months: pd.DatetimeIndex, planned: bool) -> np.ndarray:
    time, angle = np.arange(len(months)), 2 * np.pi * months.month.to_numpy() / 12
    start = int(months.get_loc(pd.Timestamp("2015-04-01")))
    columns = [np.ones(len(months)), time, time >= start, np.maximum(time - start, 0)]
    columns += [wave(k * angle) for k in (1, 2) for wave in (np.sin, np.cos)]
    if planned:
        columns += [np.log(working_days(months) / months.days_in_month), easter_share(months)]
    return np.column_stack(columns).astype(float)


@pytest.mark.slow
def test_the_estimates_are_regressions_of_log_counts_a_day_and_of_log_ratios(
    whole: pd.DataFrame, protocol: Protocol
) -> None:
    """By hand: planned care with its working days, emergencies without; the ratio in the months that both have."""
    rows, _, _ = national_series(whole, "mar", protocol)
    held = {name: part.set_index("month").value for name, part in whole.groupby("outcome")}
    ratio = np.log(held[ADMISSIONS] / held[CHECK].reindex(held[ADMISSIONS].index))
    wanted = {
        (ADMISSIONS, SINGLE): np.log(held[ADMISSIONS] / held[ADMISSIONS].index.days_in_month),
        ("elective_admissions", SINGLE): np.log(held["elective_admissions"] / held[ADMISSIONS].index.days_in_month),
        (CHECK, SINGLE): np.log(held[CHECK] / held[CHECK].index.days_in_month),
        (ADMISSIONS, CONTROLLED): ratio,
    }
    for (name, kind), series in wanted.items():
        fit = sm.OLS(series.to_numpy(), _design(pd.DatetimeIndex(series.index), name == "elective_admissions")).fit()
        ours = [row for row in rows if (row["outcome"], row["design"]) == (name, kind)]
        assert row_of(ours, "level", OLS)["estimate"] == pytest.approx(fit.params[2], abs=1e-9)
        assert row_of(ours, "slope", OLS)["std_error"] == pytest.approx(fit.bse[3], rel=1e-8)
        notes = row_of(ours, "level", HAC)["notes"]
        said = "against Emergency admissions in the A&E return" if kind == CONTROLLED else "per day"
        assert notes.endswith(said)


@pytest.mark.slow
def test_a_step_of_the_counting_shows_in_the_ratio(protocol: Protocol) -> None:
    """Ten per cent fewer from the start on in one of two publications of one activity; what both share drops out."""
    table = made_up([ADMISSIONS, CHECK])
    fewer = (table.outcome == ADMISSIONS) & (table.month >= "2015-04-01")
    table["value"] = np.where(fewer, 0.9 * table.value, table.value)
    rows, _, _ = national_series(table, "mar", protocol)
    row = row_of([row for row in rows if row["design"] == CONTROLLED], "level", HAC)
    assert row["ci_low"] < np.log(0.9) < row["ci_high"] < 0
    assert row["estimate"] == pytest.approx(np.log(0.9), abs=0.03)


def _absent(table: pd.DataFrame, protocol: Protocol) -> dict[tuple[str, str], str]:
    absent = national_series(table, "mar", protocol)[2]
    assert all(entry[1:3] == ("england", "primary") for entry in absent)
    return {(entry[0], entry[3]): entry[4] for entry in absent}


@pytest.mark.slow
def test_what_a_data_set_does_not_hold_is_absent(whole: pd.DataFrame, protocol: Protocol) -> None:
    """An outcome, or the other publication: then neither it nor the ratio; the others are there."""
    said = "not in this data set"
    assert _absent(whole[whole.outcome != CHECK], protocol) == {(CHECK, SINGLE): said, (ADMISSIONS, CONTROLLED): said}
    assert _absent(whole[whole.outcome != "gp_referrals"], protocol) == {("gp_referrals", SINGLE): said}
    assert _absent(whole[whole.outcome != ADMISSIONS], protocol) == {
        (ADMISSIONS, SINGLE): said,
        (ADMISSIONS, CONTROLLED): said,
    }
    nothing = national_series(whole[whole.outcome == ""], "mar", protocol)
    assert nothing[0] == [] and nothing[1].empty and len(nothing[2]) == 6


@pytest.mark.slow
def test_months_that_cannot_be_used_are_said(whole: pd.DataFrame, protocol: Protocol) -> None:
    """A gap in one of two series is one in their ratio; a series that begins too late has too few months before."""
    gone = whole.drop(whole[(whole.outcome == CHECK) & (whole.month == "2014-07-01")].index)
    gap = "the series has a gap: no July 2014"
    assert _absent(gone, protocol) == {(CHECK, SINGLE): gap, (ADMISSIONS, CONTROLLED): gap}
    late = whole[(whole.outcome != CHECK) | (whole.month >= "2014-09-01")]
    few = "7 months before the start and 36 after it: a side needs at least 9"
    assert _absent(late, protocol) == {(CHECK, SINGLE): few, (ADMISSIONS, CONTROLLED): few}


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_month_without_a_total_is_refused(whole: pd.DataFrame, protocol: Protocol, value: float) -> None:
    """As for a group of places: no known count above zero in that month, and no row of missing numbers."""
    chosen = (whole.outcome == CHECK) & (whole.month == "2014-07-01")
    spoilt = whole.assign(value=whole.value.mask(chosen, value))
    rows, _, absent = national_series(spoilt, "mar", protocol)
    assert np.isfinite([row["estimate"] for row in rows]).all()
    assert {(entry[0], entry[3]) for entry in absent} == {(CHECK, SINGLE), (ADMISSIONS, CONTROLLED)}
    assert all("July 2014" in entry[4] for entry in absent)


@pytest.mark.slow
def test_a_shorter_baseline_is_a_series_of_its_own(whole: pd.DataFrame, protocol: Protocol) -> None:
    """Under each specification with a baseline and time series: from so many months before the start on, by fewer methods."""
    primary = protocol.specifications[0]
    shorter = primary.model_copy(update={"id": "shorter", "baseline": 15})
    other = primary.model_copy(update={"id": "other", "baseline": 15, "designs": ["did"]})
    both = protocol.model_copy(update={"specifications": [primary, shorter, other]})
    rows, paths, absent = national_series(whole[whole.outcome != CHECK], "mar", both)
    assert {row["specification"] for row in rows} == {"primary", "shorter"} == set(paths.specification)
    found = {row["window"] for row in rows if row["specification"] == "shorter"}
    assert found == {"2014-01/2018-03"}
    methods = {row["inference"] for row in rows if row["specification"] == "shorter"}
    assert methods == {HAC, "REML_kenward_roger"}
    assert len(absent) == 2  # of what the data set does not hold, said once
