"""The simulated error rates of the methods for interrupted time series: what is simulated, and how it is counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from real_data import RealData
from synthetic import months

from analysis.core.errors import MachineError
from analysis.estimation.its.pseudo_cohorts import PseudoCohorts
from analysis.estimation.its.segments import segments
from analysis.estimation.its.terms import AUTOREGRESSIVE, KENWARD_ROGER, MODEL_BASED, OLS, PSEUDO_COHORTS, REAL_PLACES
from analysis.estimation.regression.series import Series, cohort_series
from analysis.estimation.simulation import its_simulation
from analysis.estimation.simulation.its_simulation import (
    CORRELATIONS,
    EFFECTS,
    NAMES,
    SLOW,
    SLOW_EVERY,
    Job,
    World,
    chunk_count,
    judged_by_all,
    run_job,
    simulate_its,
    simulated_sample,
)
from analysis.protocol.protocol import Protocol

pytestmark = pytest.mark.slow

SPREAD, UNITS, CONTROLS = 0.045, 4, 30


@pytest.fixture(scope="module")
def small(protocol: Protocol) -> Protocol:
    return protocol.model_copy(update={"its": protocol.its.model_copy(update={"pseudo_cohorts": 99})})


@pytest.fixture(scope="module")
def world(small: Protocol) -> World:
    outcome, specification = small.primary_outcomes[0], small.specifications[0]
    design = segments(months(), small.study.programme_start, small.its, outcome, specification)
    return World(UNITS, CONTROLS, SPREAD, design, small)


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_the_series_have_the_spread_and_the_memory_that_they_should(world: World, phi: float) -> None:
    """Unit by unit: log rates about one path, of the world's standard deviation and correlation between neighbours."""
    generator = np.random.default_rng(5)
    samples = [simulated_sample(world, phi, generator) for _ in range(40)]
    days = months().days_in_month.to_numpy()
    paths = np.vstack([np.log(s.counts / s.population / days) for s in samples])
    errors = paths - np.log(0.01 / 30)
    assert errors.std() == pytest.approx(SPREAD, rel=0.02)
    pairs = np.corrcoef(errors[:, 1:].ravel(), errors[:, :-1].ravel())[0, 1]
    assert pairs == pytest.approx(phi, abs=0.02)
    assert errors[:, 0].std() == pytest.approx(SPREAD, rel=0.05)  # stationary from the first month on
    assert [int(s.treated.sum()) for s in samples] == [UNITS] * 40


def test_an_effect_is_judged_against_the_truth(world: World) -> None:
    """Adding an effect moves the estimate by it, the test of the truth does not move, and that of none does."""
    sample = simulated_sample(world, 0.2, np.random.default_rng(3))
    pseudo, _ = PseudoCohorts(sample.only(~sample.treated), 99, 1).of((1.0,) * UNITS)
    rest = cohort_series(sample, ~sample.treated)
    series = cohort_series(sample, sample.treated).relative_to(rest.log_rate)
    without, with_effect = (judged_by_all(world, series, pseudo.log_rate, effect, slow=True) for effect in EFFECTS)
    truth = np.array([EFFECTS[1][0], EFFECTS[1][1], EFFECTS[1][0] + 35 * EFFECTS[1][1]])
    linear = [NAMES.index(name) for name in (OLS, KENWARD_ROGER, PSEUDO_COHORTS)]
    assert with_effect[linear, :, 0] - without[linear, :, 0] == pytest.approx(np.tile(truth, (3, 1)), abs=1e-9)
    assert with_effect[linear, :, 3] == pytest.approx(without[linear, :, 3], abs=1e-6)
    assert with_effect[linear, :, 3] == pytest.approx(without[linear, :, 2], abs=1e-6)
    counts = [NAMES.index(name) for name in MODEL_BASED if "poisson" in name or "binomial" in name]
    assert with_effect[counts, :, 0] - without[counts, :, 0] == pytest.approx(np.tile(truth, (2, 1)), abs=5e-3)
    assert np.isfinite(with_effect).all()


def test_slow_methods_judge_fewer_series(world: World) -> None:
    judged = run_job(Job(world, 0.0, 0, SLOW_EVERY + 1))
    seen = np.isfinite(judged[:, 0, :, 0, 2])
    slow = [name in SLOW for name in NAMES]
    assert (
        seen[:, ~np.array(slow)].all()
        and seen[[0, SLOW_EVERY]][:, slow].all()
        and not seen[1:SLOW_EVERY][:, slow].any()
    )


def test_real_places_are_judged_by_models_and_not_beside_themselves(world: World) -> None:
    sample = simulated_sample(world, 0.0, np.random.default_rng(1))
    real, _ = PseudoCohorts(sample, 3, 1).of((1.0, 1.0))
    judged = run_job(Job(world, None, 0, 3, real))
    assert np.isfinite(judged[:, 0, : len(MODEL_BASED), :, 2]).all()
    assert np.isnan(judged[:, 0, NAMES.index(PSEUDO_COHORTS)]).all() and np.isnan(judged[:, 1]).all()
    assert isinstance(real, Series)


@pytest.mark.nightly
def test_the_table_is_the_same_on_any_number_of_workers_and_counts_what_was_judged(
    real: RealData, small: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the published files: one row a case, method, term and effect; sizes near the level where theory says so."""
    monkeypatch.setattr(its_simulation, "CORRELATIONS", (0.0,))
    its = small.its.model_copy(update={"pseudo_cohorts": 40})
    few = small.model_copy(update={"its": its})
    ticks: list[int] = []
    one, two = (simulate_its(real.panel, few, 60, workers, lambda: ticks.append(1)) for workers in (1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert len(ticks) == 2 * chunk_count(few, 60) and chunk_count(few, 60) == 3
    series, places = (one[one.scenario == name] for name in (AUTOREGRESSIVE, REAL_PLACES))
    assert set(series.method) == set(NAMES) and set(places.method) == set(MODEL_BASED)
    assert set(places.draws) == {40} and set(places.true_effect) == {0.0} and places.phi.isna().all()
    fast = series[~series.method.isin(SLOW)]
    assert set(fast.draws) == {60} and series.groupby("true_effect").size().min() >= len(NAMES)
    size = series[(series.true_effect == 0) & (series.method == OLS)].size_or_power
    assert (size < 0.2).all()
    power = series[(series.true_effect < -0.05) & (series.method == OLS)].size_or_power
    assert (power > 0.8).all()


def test_without_single_places_it_says_what_it_needs(real: RealData, protocol: Protocol) -> None:
    with pytest.raises(MachineError, match="needs single CCGs"):
        simulate_its(real.snapshot, protocol, 1, 1, lambda: None)


def test_the_committed_table_has_every_case(protocol: Protocol, repository) -> None:
    table = pd.read_csv(repository / "reports/its_simulation.csv", dtype={"commit": str})
    cases = table[table.scenario == AUTOREGRESSIVE]
    assert sorted(cases.phi.unique()) == list(CORRELATIONS)
    assert len(cases) == len(CORRELATIONS) * len(NAMES) * 3 * len(EFFECTS)
    assert cases[~cases.method.isin(SLOW)].draws.min() >= 2000
    assert table.monte_carlo_se.to_numpy() == pytest.approx(
        np.sqrt(table.size_or_power * (1 - table.size_or_power) / table.draws), abs=1e-9
    )
    assert ((1 - cases.coverage - cases.size_or_power)[cases.true_effect == 0].abs() < 1e-9).all()
