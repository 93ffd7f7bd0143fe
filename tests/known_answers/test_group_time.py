"""Group-time effects: the answers R's ``did`` publishes, a staggered panel worked by hand, and what must be refused.

Tolerances. R's numbers carry 10 to 15 digits: half a unit of the last one printed, 1e-12 where there are 15; rounded ones
(the standard error, the estimate with covariates) half a unit of their last digit too. Sums done by hand 1e-12. Influence
functions against numerical derivatives 1e-6, the error of a central difference with a step of 1e-4 being about 1e-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from synthetic import make_sample, row_of

from analysis.core.errors import DataError
from analysis.estimation.did.group_time import CS_ANALYTIC, LONELY, group_time, group_time_effects, yearly_log_rates
from analysis.estimation.regression.estimates import estimates_table
from analysis.estimation.regression.poisson import NotIdentified
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol

COLUMNS: dict[str, Any] = {"unit": "unit", "period": "year", "first_period": "first", "outcome": "y"}
MPDTA: dict[str, Any] = {"unit": "countyreal", "period": "year", "first_period": "first", "outcome": "lemp"}

# y in periods 1 to 4. Two units start in period 2, three in period 3, two never.
BY_HAND = {
    "A": (2, [1, 3, 4, 6]), "B": (2, [2, 6, 7, 9]),
    "C": (3, [5, 5, 9, 9]), "D": (3, [3, 5, 8, 11]), "H": (3, [1, 2, 4, 7]),
    "E": (np.nan, [0, 1, 2, 3]), "F": (np.nan, [4, 6, 7, 8]),
}  # fmt: skip
# Mean changes of the treated less those of E and F: since period 1 for the group of 2, since period 2 for that of 3.
ANSWERS_BY_HAND = {
    "att_2_2": 3 - 1.5, "att_2_3": 4 - 2.5, "att_2_4": 6 - 3.5,
    "att_3_2": 1 - 1.5, "att_3_3": 3 - 1, "att_3_4": 5 - 2,
    "group_2": 5.5 / 3, "group_3": 2.5, "group": (2 * 5.5 / 3 + 3 * 2.5) / 5,
    "dynamic_-1": -0.5, "dynamic_+0": (2 * 1.5 + 3 * 2) / 5, "dynamic_+1": (2 * 1.5 + 3 * 3) / 5, "dynamic_+2": 2.5,
    "dynamic": (1.8 + 2.4 + 2.5) / 3,
    "calendar_2": 1.5, "calendar_3": (2 * 1.5 + 3 * 2) / 5, "calendar_4": (2 * 2.5 + 3 * 3) / 5,
    "calendar": (1.5 + 1.8 + 2.8) / 3,
    "att": (2 * 5.5 + 3 * 5) / 12,
}  # fmt: skip


def by_hand() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"unit": unit, "year": year, "first": first, "y": float(y), "site": f"site of {unit}", "size": 1.0}
            for unit, (first, path) in BY_HAND.items()
            for year, y in enumerate(path, 1)
        ]
    )


def staggered(seed: int = 3) -> pd.DataFrame:
    """Forty noisy units in twenty sites, three starting years, periods 1 to 5, an outcome that depends on nothing."""
    generator = np.random.default_rng(seed)
    n, periods = 40, 5
    site = np.arange(n) // 2
    first = np.array([2.0, 4.0, 5.0, np.nan, np.nan])[site % 5]
    y = (
        generator.normal(0, 1, (n, 1))
        + generator.normal(0, 1, (n // 2, periods))[site]
        + generator.normal(0, 1, (n, periods))
    )
    unit = np.repeat(np.arange(n), periods)
    return pd.DataFrame(
        {
            "unit": [f"unit {i}" for i in unit], "year": np.tile(np.arange(1, periods + 1), n),
            "first": first[unit], "y": y.ravel(), "site": [f"site {s}" for s in site[unit]], "size": 1.0,
        }
    )  # fmt: skip


def effects(table: pd.DataFrame, **choices: Any) -> pd.DataFrame:
    return group_time_effects(table, **{**COLUMNS, **choices}).set_index("term")


@pytest.fixture(scope="module")
def mpdta(published_folder: Path) -> pd.DataFrame:
    table = pd.read_csv(published_folder / "reference/mpdta.csv")
    return table.assign(first=table["first.treat"].where(table["first.treat"] > 0))


@pytest.mark.parametrize(
    "term, answer, tolerance",
    [
        ("att", -0.0399512751551763, 1e-12),
        ("group", -0.0310182822, 5e-11),
        ("dynamic", -0.0772398215, 5e-11),
        ("calendar", -0.0417004321, 5e-11),
        ("att_2004_2006", -0.137258738889403, 1e-12),
    ],
)
def test_the_answers_of_r_on_county_teen_employment(
    mpdta: pd.DataFrame, term: str, answer: float, tolerance: float
) -> None:
    assert group_time_effects(mpdta, **MPDTA).set_index("term").estimate[term] == pytest.approx(answer, abs=tolerance)


def test_the_standard_errors_of_r_on_county_teen_employment(mpdta: pd.DataFrame) -> None:
    """R publishes that of ``att``; the others are what moderndid 0.2.0 and differences 0.3.0 both give, to all digits here."""
    result = group_time_effects(mpdta, **MPDTA).set_index("term")
    assert result.std_error["att"] == pytest.approx(0.01203, abs=5e-6)
    others = {"group": 0.012446059321, "dynamic": 0.019964989062, "calendar": 0.015971851885}
    assert result.std_error[list(others)].to_dict() == pytest.approx(others, abs=5e-13)
    half = 1.959963984540054 * result.std_error
    assert np.allclose(
        result[["ci_low", "ci_high"]], np.stack([result.estimate - half, result.estimate + half], 1), atol=1e-12
    )
    assert result.p_value.to_numpy() == pytest.approx(2 * norm.sf(abs(result.estimate / result.std_error)), rel=1e-9)


def test_the_answer_of_r_with_a_covariate(mpdta: pd.DataFrame) -> None:
    result = group_time_effects(mpdta, **MPDTA, covariates=["lpop"]).set_index("term")
    assert result.estimate["att"] == pytest.approx(-0.04175, abs=5e-6)


def test_a_staggered_panel_by_hand() -> None:
    """Every cell and every average, in exact arithmetic; no term more, none less."""
    assert effects(by_hand()).estimate.to_dict() == pytest.approx(ANSWERS_BY_HAND, abs=1e-12)


def test_comparison_with_the_not_yet_treated_by_hand() -> None:
    """In period 2 the comparison is C, D, H, E and F; from period 3 on only E and F are left."""
    result = effects(by_hand(), control="not_yet_treated").estimate
    assert result["att_2_2"] == pytest.approx(3 - (0 + 2 + 1 + 1 + 2) / 5, abs=1e-12)
    assert result["att_2_3"] == pytest.approx(ANSWERS_BY_HAND["att_2_3"], abs=1e-12)


def test_weights_by_hand() -> None:
    """A counts three times: in its group's mean, and in its group's size."""
    table = by_hand()
    result = effects(table.assign(size=np.where(table.unit == "A", 3.0, 1.0)), weights="size").estimate
    assert result["att_2_2"] == pytest.approx((3 * 2 + 4) / 4 - 1.5, abs=1e-12)
    assert result["dynamic_+0"] == pytest.approx((4 * 1.0 + 3 * 2) / 7, abs=1e-12)
    assert result["calendar_2"] == result["att_2_2"]


def test_a_cells_standard_error_by_hand() -> None:
    """Changes 2 and 4 against 1 and 2: √(2/4 + 0.5/4) without clusters; with each unit its own, times √(7/6)."""
    assert effects(by_hand()).std_error["att_2_2"] == pytest.approx(0.625**0.5, abs=1e-12)
    own = effects(by_hand(), cluster="site")
    assert own.std_error["att_2_2"] == pytest.approx((0.625 * 7 / 6) ** 0.5, abs=1e-12)
    low = own.estimate - 2.4469118511449697 * own.std_error  # 97.5% point of t(6)
    assert own.ci_low.to_numpy() == pytest.approx(low.to_numpy(), abs=1e-9)


@pytest.mark.cases(quick=0, push=1)
@pytest.mark.parametrize("cluster", [None, "site"])
def test_influence_is_what_weighting_a_unit_more_does(cluster: str | None) -> None:
    """The variance of every term is the sum over units (or sites) of squared derivatives of its estimate by their weight."""
    table, step = staggered(), 1e-4
    result = effects(table, cluster=cluster)
    names = table[cluster or "unit"]

    def at(name: str, size: float) -> pd.Series:
        return effects(table.assign(size=np.where(names == name, size, 1.0)), weights="size").estimate

    slopes = pd.DataFrame({name: (at(name, 1 + step) - at(name, 1 - step)) / (2 * step) for name in names.unique()})
    factor = slopes.shape[1] / (slopes.shape[1] - 1) if cluster else 1.0
    expected = np.sqrt(factor * (slopes**2).sum(axis=1))
    assert result.std_error.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)


def test_the_librarys_own_averages_agree() -> None:
    """``att``, groups and event times, their errors and p-values, clustered by text ids, are those diff_diff prints."""
    from diff_diff import CallawaySantAnna

    table = staggered()
    fit = CallawaySantAnna(cluster="site").fit(
        table.assign(first=table["first"].fillna(0)), outcome="y", unit="unit", time="year", first_treat="first"
    )
    result = effects(table, cluster="site")
    columns = ["estimate", "std_error", "p_value"]
    overall = [fit.overall_att, fit.overall_se, fit.overall_p_value]
    assert result.loc["att", columns].to_list() == pytest.approx(overall, rel=1e-9)
    for (group, period), cell in fit.group_time_effects.items():
        found = result.loc[f"att_{group:.0f}_{period:.0f}", columns].to_list()
        assert found == pytest.approx([cell["effect"], cell["se"], cell["p_value"]], rel=1e-9)
    listed = fit.aggregate("group").to_dataframe().set_index("label")
    for group in (2, 4, 5):
        found = result.loc[f"group_{group}", columns].to_list()
        assert found == pytest.approx(listed.loc[group, ["att", "se", "p_value"]].to_list(), rel=1e-9)


def test_one_date_is_the_two_by_two_difference_in_means() -> None:
    """With a single start, each effect is a difference of mean changes, and ``att`` is that of the mean of the years after."""
    table = staggered()
    table["first"] = table["first"].where(table["first"].isna(), 3.0)
    wide = table.pivot(index="unit", columns="year", values="y")
    treated = table.drop_duplicates("unit").set_index("unit")["first"].loc[wide.index].notna()

    def difference(change: pd.Series) -> tuple[float, float]:
        parts = [change[group] for group in (treated, ~treated)]
        return parts[0].mean() - parts[1].mean(), sum(part.var(ddof=0) / len(part) for part in parts) ** 0.5

    result = effects(table)[["estimate", "std_error"]]
    for year in (3, 4, 5):
        estimate, std_error = difference(wide[year] - wide[2])
        for term in (f"att_3_{year}", f"dynamic_{year - 3:+d}", f"calendar_{year}"):
            assert result.loc[term].to_list() == pytest.approx([estimate, std_error], abs=1e-12)
    together = difference(wide[[3, 4, 5]].mean(axis=1) - wide[2])
    for term in ("att", "group", "group_3", "dynamic", "calendar"):
        assert result.loc[term].to_list() == pytest.approx(together, abs=1e-12)
    assert result.loc["dynamic_-1"].to_list() == pytest.approx(difference(wide[2] - wide[1]), abs=1e-12)


def test_two_runs_and_any_order_of_rows_give_the_same_numbers() -> None:
    """Bit for bit, whatever the rows' order and index."""
    table = staggered()
    shuffled = table.sample(frac=1, random_state=1).set_index(np.zeros(len(table), int))
    once, again, mixed = (effects(t, cluster="site", weights="size") for t in (table, table, shuffled))
    pd.testing.assert_frame_equal(once, again, check_exact=True)
    pd.testing.assert_frame_equal(once, mixed, check_exact=True)


def test_identifiers_of_clusters_may_be_text_or_numbers() -> None:
    table = staggered()
    numbered = table.assign(site=pd.factorize(table.site)[0] * 7 - 50)
    pd.testing.assert_frame_equal(effects(table, cluster="site"), effects(numbered, cluster="site"), check_exact=True)


def test_a_start_after_the_last_period_counts_as_never() -> None:
    table = by_hand()
    later = table.assign(first=table["first"].fillna(9))
    pd.testing.assert_frame_equal(effects(table), effects(later), check_exact=True)


def test_periods_may_be_numbered_from_anywhere_and_have_gaps() -> None:
    """Zero is a period like any other; a gap moves the labels, not the estimates."""
    table = by_hand()
    shifted = effects(table.assign(year=table.year - 2, first=table["first"] - 2)).estimate
    assert shifted[["att_0_0", "att_0_2", "att_1_1", "dynamic_+2"]].to_list() == pytest.approx(
        [1.5, 2.5, 2, 2.5], abs=1e-12
    )
    gap = effects(table.replace({"year": {3: 6, 4: 7}, "first": {3: 6}})).estimate
    terms = ["att_2_7", "att_6_7", "dynamic_+5", "dynamic_+1", "dynamic_-4"]
    assert gap[terms].to_list() == pytest.approx([2.5, 3, 2.5, 3, -0.5], abs=1e-12)


@pytest.mark.parametrize("kept, alone", [("ACDHEF", "2"), ("ABCDHE", "comparison")])
def test_a_group_of_one_has_an_estimate_and_no_error(kept: str, alone: str) -> None:
    """One unit's chance variation cannot be seen: every term that rests on it is flagged, and no other."""
    table = by_hand()
    result = effects(table[table.unit.isin(list(kept))])
    flagged = set(result.index[result.notes == LONELY])
    of_group_3 = {"att_3_2", "att_3_3", "att_3_4", "group_3", "dynamic_-1"}
    assert flagged == set(result.index) - (of_group_3 if alone == "2" else set())
    assert result.estimate.notna().all()
    errors = result[["std_error", "ci_low", "ci_high", "p_value"]].isna()
    assert errors.all(axis=1).to_dict() == errors.any(axis=1).to_dict() == {t: t in flagged for t in result.index}


def test_a_group_in_one_cluster_has_no_error_either() -> None:
    table = by_hand()
    result = effects(table.assign(site=table.site.replace("site of B", "site of A")), cluster="site")
    assert result.notes["att_2_2"] == LONELY
    assert np.isnan(result.std_error["att_2_2"])
    assert result.std_error["att_3_3"] > 0


def _without(table: pd.DataFrame, unit: str, year: int) -> pd.DataFrame:
    return table[(table.unit != unit) | (table.year != year)]


def _with(table: pd.DataFrame, unit: str, year: int, **values: Any) -> pd.DataFrame:
    here = (table.unit == unit) & (table.year == year)
    return table.assign(**{name: table[name].mask(here, value) for name, value in values.items()})


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], type[Exception], str]] = {
    "no one untreated": (lambda t: t[t["first"].notna()], NotIdentified, "every unit is treated"),
    "no one treated": (lambda t: t[t["first"].isna()], NotIdentified, "no unit is treated"),
    "treated after the end": (lambda t: t.assign(first=t["first"] + 9), NotIdentified, "no unit is treated"),
    "treated from the start": (
        lambda t: t.assign(first=t["first"].replace(2, 1)), NotIdentified, r"2 units .* the first is A: there is no period",
    ),
    "treated between periods": (lambda t: t[t.year != 3], NotIdentified, "unit C is first treated in 3"),
    "a unit lacks a period": (lambda t: _without(t, "C", 3), DataError, "1 units lack a period, the first is C, which lacks 3"),
    "an outcome is missing": (lambda t: _with(t, "C", 3, y=np.nan), DataError, "'y'.*\n.*unit C in period 3"),
    "an outcome is infinite": (lambda t: _with(t, "C", 3, y=-np.inf), DataError, "missing or infinite.*unit C in period 3"),
    "a row repeats": (lambda t: pd.concat([t, t.iloc[[5]]]), DataError, "more than one row for unit B in period 2"),
    "a start changes": (lambda t: _with(t, "C", 3, first=2.0), DataError, "'first'.*\n.*more than one value for unit C"),
    "a start comes and goes": (lambda t: _with(t, "C", 3, first=np.nan), DataError, "more than one value for unit C"),
    "a site changes": (lambda t: _with(t, "C", 3, site="elsewhere"), DataError, "'site'.*\n.*more than one value for unit C"),
    "a site is missing": (lambda t: _with(t, "C", 3, site=None), DataError, "'site'.*\n.*unit C in period 3"),
    "a weight changes": (lambda t: _with(t, "C", 3, size=2.0), DataError, "'size'.*\n.*more than one value for unit C"),
    "a weight is zero": (lambda t: t.assign(size=0.0), DataError, "not above zero"),
    "no such column": (lambda t: t.drop(columns="y"), DataError, "'y'.*\n.*no such column"),
    "an outcome in words": (lambda t: t.assign(y="many"), DataError, "'y'.*\n(.|\n)*expected: numbers"),
    "half a year": (lambda t: t.assign(year=t.year / 2), DataError, "'year'.*\n.*0.5"),
    "no rows": (lambda t: t.iloc[:0], DataError, "no rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused_in_words(case: str) -> None:
    spoil, error, message = REFUSED[case]
    with pytest.raises(error) as caught:
        effects(spoil(by_hand()), cluster="site", weights="size")
    assert re.search(message, str(caught.value)), str(caught.value)


def test_an_unknown_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="never_treated"):
        effects(by_hand(), control="nevertreated")


def test_all_treated_may_be_compared_with_the_not_yet_treated() -> None:
    """Without A–B's comparison E–F, period 2 still has one: the units of period 3."""
    table = by_hand()
    result = effects(table[table["first"].notna()], control="not_yet_treated").estimate
    assert result["att_2_2"] == pytest.approx(3 - 1, abs=1e-12)
    assert "att_2_3" not in result
    with pytest.raises(NotIdentified, match="every unit is treated"):
        effects(table[table["first"] == 2], control="not_yet_treated")


def quiet_sample(effect_by_year: list[float]) -> Sample:
    """Ten treated and thirty other units without noise: rates with unit, season and national parts, and these effects."""
    sample, _ = make_sample(list(range(40)), list(range(10)), 60, seed=2)
    month = np.arange(60)
    effect = np.repeat([0.0, 0.0, *effect_by_year], 12) * sample.treated[:, None]
    unit = np.random.default_rng(4).normal(-4.5, 0.3, (40, 1))
    people = np.repeat(sample.population[:, :1], 60, axis=1)
    rate = np.exp(unit + 0.1 * np.cos(month * np.pi / 6) - 0.001 * month + effect)
    return replace(sample, counts=people * rate, population=people, population_full=people)


def test_years_are_sums_of_counts_over_sums_of_people(protocol: Protocol) -> None:
    """Log of Σ counts ÷ Σ population over April to March, dated by the April; starts are the programme's year."""
    sample, _ = make_sample([0, 0, *range(1, 12)], [0, 1, 2], 60, seed=6)
    table, notes = yearly_log_rates(sample, protocol)
    assert notes == ""
    assert sorted(table.year.unique()) == [2013, 2014, 2015, 2016, 2017]
    rates = table.pivot(index="unit", columns="year", values="log_rate").loc[sample.units]
    second = slice(12, 24)
    expected = np.log(sample.counts[:, second].sum(axis=1) / sample.population[:, second].sum(axis=1))
    assert rates[2014].to_numpy() == pytest.approx(expected, abs=1e-12)
    attributes = table.drop_duplicates("unit").set_index("unit").loc[sample.units]
    assert attributes.first_period.to_list() == pytest.approx(np.where(sample.treated, 2015, np.nan), nan_ok=True)
    assert (attributes.cluster == sample.cluster).all()


def test_a_masked_month_or_an_empty_year_leaves_the_unit_out(protocol: Protocol) -> None:
    sample, _ = make_sample(list(range(12)), [0, 1, 2], 60, seed=6)
    counts, population = sample.counts.copy(), sample.population.copy()
    counts[0, 30] = population[0, 30] = np.nan
    counts[7, 24:36] = 0
    table, notes = yearly_log_rates(replace(sample, counts=counts, population=population), protocol)
    assert set(sample.units) - set(table.unit) == {"U000", "U007"}
    assert notes.startswith("without 2 of 12 units (1 treated)")


def test_a_broken_year_is_no_year(protocol: Protocol) -> None:
    """Months short of a whole year at the end are not compared with whole ones."""
    sample, _ = make_sample(list(range(12)), [0, 1, 2], 60, seed=6)
    short = sample.restrict(np.arange(60) < 57)
    table, notes = yearly_log_rates(short, protocol)
    assert sorted(table.year.unique()) == [2013, 2014, 2015, 2016]
    assert notes == ""


def test_years_are_counted_from_the_programmes_start(protocol: Protocol) -> None:
    """With 18 months before, one whole year is before the start, and no year holds months of both sides."""
    sample, _ = make_sample(list(range(12)), [0, 1, 2], 60, seed=6)
    study = protocol.study.model_copy(update={"start": pd.Timestamp("2013-10-01")})
    shorter = sample.restrict(np.arange(60) >= 6)
    table, _ = yearly_log_rates(shorter, protocol.model_copy(update={"study": study}))
    whole, _ = yearly_log_rates(sample, protocol)
    pd.testing.assert_frame_equal(table, whole[whole.year > 2013].reset_index(drop=True))


def test_planted_effects_come_back(protocol: Protocol) -> None:
    """Noise-free effects of each year, and their mean, in log points and percent, as rows that the table of estimates takes."""
    rows = group_time(quiet_sample([-0.02, -0.05, 0.01]), protocol)
    expected = {"att": -0.02, "dynamic_-1": 0.0, "dynamic_+0": -0.02, "dynamic_+1": -0.05, "dynamic_+2": 0.01}
    log_rates = {row["term"]: row["estimate"] for row in rows if row["scale"] == "log_rate"}
    assert log_rates == pytest.approx(expected, abs=1e-10)
    assert row_of(rows, "dynamic_+1_percent")["estimate"] == pytest.approx(100 * np.expm1(-0.05), abs=1e-8)
    row = row_of(rows, "att")
    assert (row["n_units"], row["n_treated"], row["n_obs"], row["inference"]) == (40, 10, 200, CS_ANALYTIC)
    context = {
        "outcome": "o", "cohort": "c", "specification": "s", "conf_level": 0.95, "window": "w", "dataset": "d",
    }  # fmt: skip
    assert len(estimates_table({**context, **row} for row in rows)) == len(rows)


def test_rows_carry_the_clusters_error_and_what_was_left_out(protocol: Protocol) -> None:
    """``att`` of a noisy sample is the difference in mean changes of log rates, its error summed within sites."""
    sample, _ = make_sample([0, 0, *range(1, 30)], list(range(8)), 60, seed=9, effect=-0.1)
    population = sample.population.copy()
    population[12, 3] = np.nan
    sample = replace(sample, population=population, counts=np.where(np.isnan(population), np.nan, sample.counts))
    row = row_of(group_time(sample, protocol), "att")
    kept = np.arange(31) != 12
    rates = np.log(
        sample.counts.reshape(31, 5, 12).sum(axis=2)[kept] / sample.population.reshape(31, 5, 12).sum(axis=2)[kept]
    )
    change, treated, cluster = rates[:, 2:].mean(axis=1) - rates[:, 1], sample.treated[kept], sample.cluster[kept]
    assert row["estimate"] == pytest.approx(change[treated].mean() - change[~treated].mean(), abs=1e-12)
    influence = np.where(
        treated,
        (change - change[treated].mean()) / treated.sum(),
        -(change - change[~treated].mean()) / (~treated).sum(),
    )
    sums = pd.Series(influence).groupby(cluster).sum()
    assert row["std_error"] == pytest.approx(((sums**2).sum() * len(sums) / (len(sums) - 1)) ** 0.5, abs=1e-12)
    assert "without 1 of 31 units (0 treated)" in row["notes"]
    assert row["n_units"] == 30


def test_samples_that_hold_no_comparison_are_refused(protocol: Protocol) -> None:
    sample = quiet_sample([0, 0, 0])
    dosed = replace(sample, share=np.where(sample.treated, 0.4, 0.0))
    with pytest.raises(NotIdentified, match="in part"):
        group_time(dosed, protocol)
    masked = np.where(np.arange(60) == 30, np.nan, sample.counts)
    with pytest.raises(NotIdentified, match="every month"):
        group_time(replace(sample, counts=masked), protocol)
    treated_masked = np.where((np.arange(60) == 30) & sample.treated[:, None], np.nan, sample.counts)
    with pytest.raises(NotIdentified, match="no unit is treated"):
        group_time(replace(sample, counts=treated_masked), protocol)
