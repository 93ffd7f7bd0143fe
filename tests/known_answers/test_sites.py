"""Sites one by one: each estimate is a plain regression, its chance that of placebo sites of its size, the pool a meta-analysis.

Tolerances. Estimates 1e-8 of a regression with every dummy. Placebo estimates are one step from the fit without treatment
and differ from full fits by a tenth of the squared effect: 1e-3 for effects below 10%. Closed forms and the same arithmetic
done by hand: 1e-12. Simulated error rates within four Monte Carlo standard errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from brute_force import poisson
from real_data import RealData
from synthetic import attributes_of, cleaned_panel

from analysis.estimation.inference.meta_analysis import random_effects
from analysis.estimation.inference.placebo_sites import scaled_placebo
from analysis.estimation.inference.randomisation import one_step
from analysis.estimation.regression.absorbed import NotIdentified, two_way
from analysis.estimation.regression.estimates import estimates_table
from analysis.estimation.regression.sample import UnitTables
from analysis.estimation.sites import sites as module
from analysis.estimation.sites.sites import SITES, placebo_sets, site_estimates, site_samples, sites_table
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

OUTCOME = "non_elective_admissions"
CONTROLS = 40
FIRST, SECOND = "MCP", "PACS"
TREATED: dict[str, tuple[str, str, float | None]] = {
    "T0": (FIRST, "Alone", 1.0),
    "T1": (FIRST, "Pair", 1.0),
    "T2": (FIRST, "Pair", 1.0),
    "T3": (FIRST, "Third of a place", 0.3),
    "T4": (SECOND, "Unknown parts", None),
    "T5": (SECOND, "Unknown parts", None),
    "T6": (SECOND, "Other", 1.0),
    "T7": (SECOND, "Another", 1.0),
}
UNITS = [f"C{k:02d}" for k in range(CONTROLS)] + list(TREATED)


def _counts(protocol: Protocol, seed: int = 11, noise: float = 0.04) -> pd.DataFrame:
    """Poisson counts, units × months, with levels, a season and changes of their own after the start."""
    generator = np.random.default_rng(seed)
    months = protocol.months
    after = np.asarray(months >= protocol.study.programme_start)
    level = generator.permutation(np.geomspace(300, 6000, len(UNITS)))[:, None]
    path = np.exp(0.001 * np.arange(len(months)) + 0.08 * np.cos(np.arange(len(months)) * np.pi / 6))
    moved = np.exp(generator.normal(0, noise, (len(UNITS), 1)) * after)
    index = pd.Index(UNITS, name="unit")
    return pd.DataFrame(generator.poisson(level * path * moved).astype(float), index, months.rename("month"))


def _panel(
    counts: pd.DataFrame, protocol: Protocol, treated: dict[str, tuple[str, str, float | None]] = TREATED
) -> pd.DataFrame:
    members = {unit: entry for unit, entry in treated.items() if unit in counts.index}
    one = protocol.model_copy(update={"outcomes": [protocol.outcome(OUTCOME)]})
    panel = cleaned_panel({OUTCOME: counts}, attributes_of(list(counts.index), members), one).panel
    return panel[panel.geography != "england"]


@pytest.fixture(scope="module")
def specification(protocol: Protocol) -> Specification:
    return protocol.specification("primary")


@pytest.fixture(scope="module")
def panel(protocol: Protocol) -> pd.DataFrame:
    return _panel(_counts(protocol), protocol)


@pytest.fixture(scope="module")
def found(
    panel: pd.DataFrame, specification: Specification, protocol: Protocol
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    return site_estimates(panel, OUTCOME, specification, protocol, UnitTables(frozenset({"T2", "C03"})))


def _row(rows: list[dict[str, Any]], cohort: str, term: str, inference: str | None = None) -> dict[str, Any]:
    matching = [r for r in rows if r["cohort"] == cohort and r["term"] == term and inference in (None, r["inference"])]
    assert len(matching) == 1, f"{len(matching)} rows for {cohort}, {term}"
    return matching[0]


def _post(protocol: Protocol) -> np.ndarray:
    return np.asarray(protocol.months >= protocol.study.programme_start)


# Estimates


@pytest.mark.slow
@pytest.mark.parametrize("site", ["Alone", "Pair", "Third of a place", "Unknown parts"])
def test_a_site_is_a_plain_regression_on_its_units_and_the_controls(
    site: str, found: tuple[list[dict[str, Any]], pd.DataFrame], panel: pd.DataFrame, protocol: Protocol
) -> None:
    """No unit of another site takes part, and a part-covered unit counts as treated."""
    members = [unit for unit, entry in TREATED.items() if entry[1] == site]
    kept = panel[panel.unit.isin(members) | (panel.model == "none")]
    counts = kept.pivot(index="unit", columns="month", values="value").to_numpy(float)
    people = kept.pivot(index="unit", columns="month", values="population").to_numpy(float)
    treated = np.isin(np.sort(kept.unit.unique()), members)
    treatment = np.outer(treated, _post(protocol)).astype(float)
    expected, _ = poisson(counts, people, treatment[None], two_way(*counts.shape), np.arange(len(counts)))
    row = _row(found[0], site, "att", "placebo")
    assert row["estimate"] == pytest.approx(expected[0], abs=1e-8)
    assert (row["n_units"], row["n_treated"]) == (CONTROLS + len(members), len(members))
    assert row["n_obs"] == np.isfinite(counts).sum()


@pytest.mark.slow
def test_a_change_in_one_site_changes_no_other(
    found: tuple[list[dict[str, Any]], pd.DataFrame], specification: Specification, protocol: Protocol
) -> None:
    counts = _counts(protocol)
    counts.loc["T0", counts.columns[_post(protocol)]] *= 1.15
    rows, _ = site_estimates(_panel(counts, protocol), OUTCOME, specification, protocol, UnitTables())
    assert _row(rows, "Pair", "att") == _row(found[0], "Pair", "att")
    moved = _row(rows, "Alone", "att")["estimate"] - _row(found[0], "Alone", "att")["estimate"]
    assert moved == pytest.approx(np.log(1.15), abs=0.01)


def test_rows_are_the_same_whatever_the_order_of_the_panel(
    found: tuple[list[dict[str, Any]], pd.DataFrame],
    panel: pd.DataFrame,
    specification: Specification,
    protocol: Protocol,
) -> None:
    shuffled = panel.sample(frac=1, random_state=1)
    rows, facts = site_estimates(shuffled, OUTCOME, specification, protocol, UnitTables(frozenset({"T2", "C03"})))
    pd.testing.assert_frame_equal(pd.DataFrame(rows), pd.DataFrame(found[0]), rtol=0, atol=0)
    pd.testing.assert_frame_equal(facts, found[1])


# Placebo sites


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 2])
def test_placebo_sites_are_full_fits_of_controls_against_the_others(
    units: int, panel: pd.DataFrame, specification: Specification, protocol: Protocol
) -> None:
    """Three placebo sites fitted in full, with every dummy; and sizes that are the counts of a site's units."""
    _, controls = site_samples(panel, OUTCOME, specification, protocol)
    placebos = placebo_sets(controls, units, specification, _post(protocol), protocol)
    totals = np.nansum(controls.counts, axis=1)
    assert len(placebos.estimates) == (CONTROLS if units == 1 else CONTROLS * (CONTROLS - 1) // 2)
    for k in (0, 1, len(placebos.estimates) - 1):
        # Sizes of single units and of pairs tell which units these are.
        pairs = [(a, b) for a in range(CONTROLS) for b in range(a, CONTROLS)]
        of = {totals[a] + (totals[b] if units == 2 else 0): (a, b) for a, b in pairs if (a == b) == (units == 1)}
        treatment = np.zeros(controls.counts.shape)
        treatment[list(of[placebos.sizes[k]])] = _post(protocol)
        nuisance = two_way(*controls.counts.shape)
        expected, _ = poisson(controls.counts, controls.population, treatment[None], nuisance, np.arange(CONTROLS))
        assert placebos.estimates[k] == pytest.approx(expected[0], abs=1e-3)
        assert abs(expected[0]) > 1e-4


def test_many_sets_are_drawn_by_the_seed(panel: pd.DataFrame, specification: Specification, protocol: Protocol) -> None:
    _, controls = site_samples(panel, OUTCOME, specification, protocol)
    draws = [placebo_sets(controls, 3, specification, _post(protocol), protocol) for _ in range(2)]
    assert len(draws[0].estimates) == protocol.inference.variant_draws < CONTROLS * (CONTROLS - 1) * (CONTROLS - 2) / 6
    assert (draws[0].estimates == draws[1].estimates).all()
    study = protocol.study.model_copy(update={"seed": 1})
    other = placebo_sets(controls, 3, specification, _post(protocol), protocol.model_copy(update={"study": study}))
    assert (draws[0].estimates != other.estimates).any()


def test_placebo_sites_are_made_once_for_each_number_of_units(
    panel: pd.DataFrame, specification: Specification, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counting(*arguments: Any) -> Any:
        calls.append(arguments[1].shape)
        return one_step(*arguments)

    monkeypatch.setattr(module, "one_step", counting)
    site_estimates(panel, OUTCOME, specification, protocol, UnitTables())
    assert sorted(calls) == [(CONTROLS, CONTROLS), (CONTROLS, CONTROLS * (CONTROLS - 1) // 2)]


def test_the_row_is_the_scaled_placebo_of_the_estimate(
    found: tuple[list[dict[str, Any]], pd.DataFrame],
    panel: pd.DataFrame,
    specification: Specification,
    protocol: Protocol,
) -> None:
    """Interval, p-value, error and minimum detectable effect, put together by hand."""
    _, controls = site_samples(panel, OUTCOME, specification, protocol)
    placebos = placebo_sets(controls, 1, specification, _post(protocol), protocol)
    row = _row(found[0], "Alone", "att", "placebo")
    size = panel[panel.unit == "T0"].value.sum()
    test = scaled_placebo(row["estimate"], size, placebos.estimates, placebos.sizes, 0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(test.interval, abs=1e-12)
    assert (row["p_value"], row["std_error"]) == pytest.approx((test.p_value, test.std_error), abs=1e-12)
    mde = _row(found[0], "Alone", "mde", "placebo")
    half_width = (row["ci_high"] - row["ci_low"]) / 2
    assert mde["estimate"] == pytest.approx(half_width * 2.801585 / 1.959964, rel=1e-6)
    assert mde["design"] == "power"


# Facts, table and pool


def test_facts(found: tuple[list[dict[str, Any]], pd.DataFrame]) -> None:
    facts = found[1].set_index("site")
    assert list(facts.index) == ["Alone", "Pair", "Third of a place", "Another", "Other", "Unknown parts"]
    assert list(facts.coverage) == ["whole", "whole", "part", "whole", "whole", "unknown part"]
    assert list(facts.in_pool) == [True, True, False, True, True, False]
    assert list(facts["flags"]) == ["", "lasting_shift", "diluted", "", "", "diluted"]
    assert list(facts.lasting_shift) == [False, True, False, False, False, False]
    assert facts.covered_share["Third of a place"] == pytest.approx(0.3)
    assert np.isnan(facts.covered_share["Unknown parts"])
    assert facts.unit_names["Pair"] == "NHS T1 CCG;NHS T2 CCG"
    assert facts.units["Pair"] == 2
    assert (facts.reason == "").all()


@pytest.mark.slow
def test_population_and_share_of_a_site_are_those_of_its_people(
    specification: Specification, protocol: Protocol
) -> None:
    """At the anchor month; a share is weighted by people, and masked months of all units are counted."""
    counts = _counts(protocol)
    counts.loc["T1", counts.columns[40:43]] *= 0.05
    treated = TREATED | {"T1": (FIRST, "Pair", 0.5), "T2": (FIRST, "Pair", 0.2)}
    panel = _panel(counts, protocol, treated)
    _, facts = site_estimates(panel, OUTCOME, specification, protocol, UnitTables())
    pair = facts.set_index("site").loc["Pair"]
    people = panel[panel.month == protocol.population.anchor].set_index("unit").population_published
    assert pair.population == people["T1"] + people["T2"]
    assert pair.covered_share == pytest.approx((0.5 * people["T1"] + 0.2 * people["T2"]) / pair.population)
    assert (pair.coverage, pair.masked_months, pair["flags"]) == ("part", 3, "diluted;masked_months")


def test_the_pool_is_a_meta_analysis_of_the_sites_covered_as_a_whole(
    found: tuple[list[dict[str, Any]], pd.DataFrame], protocol: Protocol
) -> None:
    rows, _ = found
    members = {FIRST: ["Alone", "Pair"], SECOND: ["Another", "Other"]}
    members[protocol.pooled_cohort] = members[FIRST] + members[SECOND]
    for cohort, sites in members.items():
        own = [_row(rows, site, "att") for site in sites]
        effects, errors = (np.array([row[name] for row in own]) for name in ("estimate", "std_error"))
        expected = random_effects(effects, errors, 0.95)
        mean = _row(rows, cohort, "mean", "REML_knapp_hartung")
        assert (mean["ci_low"], mean["ci_high"], mean["p_value"]) == (*expected.interval, expected.p_value)
        prediction = _row(rows, cohort, "prediction", "REML_knapp_hartung")
        assert (prediction["estimate"], prediction["ci_low"]) == (expected.mean, expected.prediction[0])
        tau = _row(rows, cohort, "tau")
        assert tau["ci_high"] ** 2 == pytest.approx(expected.tau_squared_interval[1])
        assert _row(rows, cohort, "i_squared")["estimate"] == expected.i_squared
        heterogeneity = _row(rows, cohort, "heterogeneity")
        assert (heterogeneity["estimate"], heterogeneity["p_value"]) == (expected.q, expected.q_p_value)
        cautious = _row(rows, cohort, "mean", "REML_adhoc")
        assert cautious["std_error"] >= mean["std_error"]
        assert mean["n_obs"] == len(sites)


def test_sites_shrink_to_the_mean_of_their_own_model(found: tuple[list[dict[str, Any]], pd.DataFrame]) -> None:
    rows, facts = found
    shrunken = {row["cohort"]: row for row in rows if row["term"] == "att_shrunken"}
    assert set(shrunken) == set(facts.site[facts.in_pool])
    for site, row in shrunken.items():
        model = facts.set_index("site").model[site]
        ends = sorted([_row(rows, site, "att")["estimate"], _row(rows, model, "mean", "REML_adhoc")["estimate"]])
        assert ends[0] - 1e-12 <= row["estimate"] <= ends[1] + 1e-12


def test_the_table_of_sites(found: tuple[list[dict[str, Any]], pd.DataFrame]) -> None:
    """In percent; a synthetic estimate where there is one; what is not known is empty."""
    rows, facts = found
    synthetic = {"design": "sdid", "cohort": "Pair", "term": "att_percent", "scale": "percent", "inference": "placebo"}
    table = sites_table(facts, [*rows, synthetic | {"estimate": -3.0, "ci_low": -5.0, "ci_high": 1.0}]).set_index(
        "site"
    )
    assert [table.index.name, *table.columns] == SITES
    row = _row(rows, "Pair", "att")
    assert table.estimate["Pair"] == pytest.approx(100 * np.expm1(row["estimate"]))
    assert table.ci_high["Pair"] == pytest.approx(100 * np.expm1(row["ci_high"]))
    assert list(table.loc["Pair", ["synthetic", "synthetic_low", "synthetic_high"]]) == [-3.0, -5.0, 1.0]
    assert table.synthetic.drop("Pair").isna().all()
    assert table.shrunken.isna().to_dict() == (~table.in_pool).to_dict()


def test_rows_enter_the_table_of_estimates(found: tuple[list[dict[str, Any]], pd.DataFrame]) -> None:
    context = {"outcome": OUTCOME, "specification": "primary", "conf_level": 0.95, "window": "w", "dataset": "mar"}
    table = estimates_table({**context, **row} for row in found[0])
    assert sites_table(found[1], table).equals(sites_table(found[1], found[0]))


# What cannot be estimated


def _failing(
    counts: pd.DataFrame, specification: Specification, protocol: Protocol
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    rows, facts = site_estimates(_panel(counts, protocol), OUTCOME, specification, protocol, UnitTables())
    return rows, sites_table(facts, rows).set_index("site")


@pytest.mark.slow
def test_a_site_without_a_usable_month_stays_in_the_table(specification: Specification, protocol: Protocol) -> None:
    counts = _counts(protocol)
    counts.loc[["T0", "T1"]] = 0.0
    rows, table = _failing(counts, specification, protocol)
    assert np.isnan(table.estimate["Alone"])
    assert "no unit of the site has a known count above zero" in table.reason["Alone"]
    assert not table.in_pool["Alone"]
    assert "unit_left_out" in table["flags"]["Pair"].split(";")
    assert _row(rows, "Pair", "att")["n_treated"] == 1
    assert np.isfinite(table.drop(index="Alone").estimate).all()
    assert _row(rows, FIRST, "mean", "REML_adhoc")["n_obs"] == 1


@pytest.mark.slow
def test_a_site_that_counts_nothing_after_the_start(specification: Specification, protocol: Protocol) -> None:
    counts = _counts(protocol)
    counts.loc["T6", counts.columns[_post(protocol)]] = 0.0
    _, table = _failing(counts, specification, protocol)
    assert np.isnan(table.estimate["Other"]) and table.reason["Other"]
    assert np.isfinite(table.drop(index="Other").estimate).all()


@pytest.mark.slow
def test_a_control_without_a_month_before_the_start_is_no_placebo_site(
    specification: Specification, protocol: Protocol
) -> None:
    counts = _counts(protocol)
    counts.loc["C05", counts.columns[~_post(protocol)]] = 0.0
    _, controls = site_samples(_panel(counts, protocol), OUTCOME, specification, protocol)
    placebos = placebo_sets(controls, 1, specification, _post(protocol), protocol)
    assert len(placebos.estimates) == CONTROLS - 1
    assert np.abs(placebos.estimates).max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kept", "reason", "without"),
    [
        (1, "start: 1, too few for placebo sites of 1", 6),
        (15, "15 placebo places are too few", 4),  # but pairs of them number 105
    ],
)
def test_too_few_controls(
    kept: int, reason: str, without: int, specification: Specification, protocol: Protocol
) -> None:
    counts = _counts(protocol).drop(index=[f"C{k:02d}" for k in range(kept, CONTROLS)])
    rows, table = _failing(counts, specification, protocol)
    assert reason in table.reason["Alone"]
    assert table.estimate.isna().sum() == without
    assert (table.estimate.isna() == (table.reason != "")).all()
    mean = _row(rows, SECOND, "mean", "REML_knapp_hartung")
    assert np.isnan(mean["estimate"]) and "no effect to pool" in mean["notes"]


def test_a_site_smaller_than_every_placebo_site_says_so(specification: Specification, protocol: Protocol) -> None:
    counts = _counts(protocol)
    counts.loc["T0"] = np.round(counts.loc["C00"] * 150 / counts.loc["C00"].mean())
    rows, table = _failing(counts, specification, protocol)
    assert table["flags"]["Alone"] == "smaller_than_placebos"
    assert "smaller than any placebo site" in _row(rows, "Alone", "att")["notes"]


# Scaled placebo inference

SIZES = np.geomspace(1e3, 1e5, 99)


def test_places_of_one_size_are_compared_as_they_are() -> None:
    """The error is the estimates' own (about zero), p-value and interval are had by counting."""
    estimates = np.random.default_rng(1).normal(0, 0.05, 99)
    test = scaled_placebo(-0.08, 500.0, estimates, np.full(99, 500.0), 0.95)
    assert test.std_error == pytest.approx(np.sqrt((estimates**2).sum() / 98), rel=1e-12)
    assert test.p_value == (1 + (np.abs(estimates) >= 0.08).sum()) / 100
    critical = np.sort(np.abs(estimates))[-4]  # p = 5 of 100 is not below 5%, and so not rejected
    assert test.interval == pytest.approx((-0.08 - critical, -0.08 + critical), rel=1e-12)


@pytest.mark.parametrize("size", [100.0, 1e3, 2e4, 1e6])
def test_variance_that_follows_size_is_found(size: float) -> None:
    estimates = np.sqrt(0.001 + 4.0 / SIZES) * np.resize([1, -1], 99)
    test = scaled_placebo(0.1, size, estimates, SIZES, 0.95)
    few = np.sqrt(99 / 98)  # as in any variance of 99
    assert test.std_error == pytest.approx(few * np.sqrt(0.001 + 4.0 / size), rel=1e-9)
    assert np.abs(test.statistics[1:]) == pytest.approx(np.ones(99) / few, rel=1e-9)


def test_variance_never_falls_with_smallness_nor_below_zero() -> None:
    """Where larger places moved more, all are taken to move alike; where chance is all, nothing is left at infinite size."""
    rising = scaled_placebo(0.1, 1e3, SIZES / 1e6, SIZES, 0.95)
    assert rising.std_error == pytest.approx(np.sqrt((SIZES**2).sum() / 98) / 1e6, rel=1e-9)
    chance = scaled_placebo(0.1, 1e9, np.sqrt(4 / SIZES - 0.9 * 4 / SIZES.max()), SIZES, 0.95)
    assert 0 <= chance.std_error < 1e-3


def test_units_sign_and_size_scale() -> None:
    estimates = np.random.default_rng(2).normal(0, np.sqrt(0.001 + 4 / SIZES))
    test = scaled_placebo(0.07, 5e3, estimates, SIZES, 0.95)
    other = scaled_placebo(-0.7, 5e5, 10 * estimates, 100 * SIZES, 0.95)
    assert other.p_value == test.p_value
    assert other.std_error == pytest.approx(10 * test.std_error, rel=1e-9)
    assert other.interval == pytest.approx((-10 * test.interval[1], -10 * test.interval[0]), rel=1e-9)


@pytest.mark.parametrize("estimate", np.linspace(0, 0.2, 21))
def test_the_interval_holds_zero_just_where_the_test_does_not_reject(estimate: float) -> None:
    estimates = np.random.default_rng(3).normal(0, 0.05, 99)
    test = scaled_placebo(float(estimate), 2e4, estimates, SIZES, 0.95)
    assert (test.interval[0] <= 0 <= test.interval[1]) == (test.p_value >= 0.05)


def test_placebo_places_without_an_estimate_are_not_counted() -> None:
    estimates = np.random.default_rng(4).normal(0, 0.05, 99)
    test = scaled_placebo(0.07, 5e3, np.append(estimates, np.nan), np.append(SIZES, 1e4), 0.95)
    without = scaled_placebo(0.07, 5e3, estimates, SIZES, 0.95)
    assert (test.p_value, test.interval, test.std_error) == (without.p_value, without.interval, without.std_error)
    assert len(test.statistics) == 100


@pytest.mark.parametrize(
    ("estimate", "size", "placebos", "said"),
    [
        (np.nan, 1e3, np.ones(99), "no estimate"),
        (0.1, 0.0, np.ones(99), "nothing is expected"),
        (0.1, 1e3, np.zeros(99), "other than zero"),
        (0.1, 1e3, np.append(np.ones(18), np.full(81, np.nan)), "18 placebo places are too few"),
    ],
)
def test_refusals(estimate: float, size: float, placebos: np.ndarray, said: str) -> None:
    with pytest.raises(NotIdentified, match=said):
        scaled_placebo(estimate, size, placebos, SIZES, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize(("quantile", "unscaled_low", "unscaled_high"), [(0.02, 0.09, 1.0), (0.98, 0.0, 0.03)])
def test_error_rates(quantile: float, unscaled_low: float, unscaled_high: float) -> None:
    """Nothing happened, and the variance falls with size, among as many controls of such sizes as there really are: scaled,
    the test errs in 5% of 2,000 worlds for the smallest places and for the largest; the bare rank errs too often and too seldom."""
    generator, worlds = np.random.default_rng(5), 2000
    sizes = generator.lognormal(np.log(1.2e5), 0.5, 178)
    size = float(np.quantile(sizes, quantile))
    scaled = unscaled = 0
    for _ in range(worlds):
        placebos = generator.normal(0, np.sqrt(0.001 + 500 / sizes))
        estimate = float(generator.normal(0, np.sqrt(0.001 + 500 / size)))
        scaled += scaled_placebo(estimate, size, placebos, sizes, 0.95).p_value <= 0.05
        unscaled += (1 + (np.abs(placebos) >= abs(estimate)).sum()) / 179 <= 0.05
    assert scaled / worlds == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / worlds))
    assert unscaled_low <= unscaled / worlds <= unscaled_high


# The real sites


@pytest.mark.slow
def test_all_sites_of_the_real_panel_have_an_estimate(
    real: RealData, protocol: Protocol, specification: Specification
) -> None:
    shifted = UnitTables(frozenset(real.shifts.unit[real.shifts.outcome == OUTCOME]))
    for panel in (real.panel, real.snapshot):
        rows, facts = site_estimates(panel[panel.geography != "england"], OUTCOME, specification, protocol, shifted)
        table = sites_table(facts, rows)
        assert len(table) == 23
        assert table[["estimate", "ci_low", "ci_high", "p_value"]].notna().all(axis=None)
        assert table.in_pool.sum() == 16
        assert list(table.model[table.in_pool].value_counts().sort_index()) == [9, 7]
        pooled = table[table.site.str.startswith("Better Care Together")].iloc[0]
        assert pooled.coverage == "unknown part" and "diluted" in pooled["flags"].split(";")


@pytest.mark.slow
def test_a_unit_of_unknown_cover_is_left_out_where_another_is_known(
    panel: pd.DataFrame, specification: Specification, protocol: Protocol
) -> None:
    """One of a site's two units covered by 60%, the other by nobody knows how much: the site is the first of them, and flagged."""
    ours = panel[panel.model.isin(protocol.model_ids)]
    site = ours.groupby("site").unit.nunique().pipe(lambda units: units[units == 2].index[0])
    first, second = sorted(set(ours.unit[ours.site == site]))
    share = panel.covered_share.where(panel.unit != first, 0.6).where(panel.unit != second, np.nan)
    changed = panel.assign(covered_share=share)
    samples, _ = site_samples(changed, OUTCOME, specification, protocol)
    assert list(samples[site].units[samples[site].treated]) == [first]
    _, facts = site_estimates(changed, OUTCOME, specification, protocol, UnitTables())
    row = facts.set_index("site").loc[site]
    assert (row.units, row.coverage, row.covered_share) == (1, "part", pytest.approx(0.6))
    assert "unit_left_out" in row["flags"].split(";")
    # Where no unit's share is known, all of them stay.
    samples, _ = site_samples(
        panel.assign(covered_share=share.where(panel.unit != first)), OUTCOME, specification, protocol
    )
    assert len(samples[site].units[samples[site].treated]) == 2
