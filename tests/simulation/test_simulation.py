"""The simulated world is the one that was measured, the methods are judged right, and workers change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_data import RealData
from scipy.stats import chisquare
from synthetic import attributes_of, cleaned_panel, comparison_of, make_sample, months

from analysis.core.errors import MachineError
from analysis.estimation.did.did import CR1, CR3, RANDOMISATION, compare
from analysis.estimation.inference.clustered import cr3_std_error, one_step_jackknife
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.estimation.simulation import simulation, world
from analysis.estimation.simulation.simulation import (
    METHODS,
    Cell,
    Job,
    Scenario,
    chunk_count,
    methods,
    run_job,
    simulate,
    site_sets,
)
from analysis.estimation.simulation.world import Noise, Variation, World, build_world, measure_noise, simulated
from analysis.protocol.protocol import Protocol

pytestmark = pytest.mark.slow  # simulation belongs to `make check`; a few dozen panels still take their time

OUTCOME = "non_elective_admissions"
LEVEL = 0.05
UNITS, SITES = 36, 5  # of the made-up panel; each model has so many sites of one unit


@pytest.fixture(scope="module")
def panel(protocol: Protocol) -> pd.DataFrame:
    """Thirty-six CCGs with noise of their own, ten of them in five sites of either model."""
    generator = np.random.default_rng(1)
    units = [f"U{i:02d}" for i in range(UNITS)]
    rate = 0.01 * np.exp(generator.normal(0, 0.06, (UNITS, 1)) * (np.arange(60) >= 24))
    counts = generator.poisson(rate * (10_000 + 100 * np.arange(UNITS)[:, None])).astype(float)
    table = pd.DataFrame(counts, index=pd.Index(units, name="unit"), columns=months().rename("month"))
    treated = {units[i]: (protocol.model_ids[i % 2], f"Site {i}", 1.0) for i in range(2 * SITES)}
    tables = {outcome.id: table for outcome in protocol.outcomes}
    return cleaned_panel(tables, attributes_of(units, treated), protocol).panel


@pytest.fixture(scope="module")
def stp(panel: pd.DataFrame) -> pd.DataFrame:
    units = sorted(panel.unit[panel.geography == "ccg"].unique())
    return pd.DataFrame({"unit": units, "stp_code": [f"STP{i // 6}" for i in range(len(units))]})


@pytest.fixture(scope="module")
def exchangeable(protocol: Protocol) -> Callable[[int], Cell]:
    """A cell in which no site differs from another but by chance: thirty equal units, each its own STP."""

    def cell(treated: int) -> Cell:
        sample, post = make_sample(list(range(30)), list(range(treated)), 24, seed=2)
        generator = np.random.default_rng(3)
        steps = np.tril(np.ones((24, 24))) @ np.diag(generator.uniform(0.5, 1.5, 24))  # noise that lasts
        root = steps / np.sqrt((steps**2).sum() / 24)
        even = np.full(sample.counts.shape, 200_000.0)
        sample = replace(sample, population=even, population_full=even)
        noise = Noise(0.004, 0.0, root, np.zeros((1, 24)), 0.17)
        equal = World(sample, post, np.full(even.shape, 2000.0), np.full(30, 0.004), np.arange(30), noise, 12)
        return Cell(Scenario("exchangeable"), f"{treated} of 30", equal, protocol)

    return cell


@pytest.fixture(scope="module")
def real_world(real: RealData, protocol: Protocol) -> World:
    stp_of = pd.read_csv(real.work.units).set_index("unit").stp_code
    models = protocol.treated_cohorts[protocol.pooled_cohort]
    sample = build_sample(real.ccgs, OUTCOME, models, protocol.specifications[0], protocol)
    post = np.asarray(sample.months >= protocol.study.programme_start)
    return build_world(sample, post, stp_of, measure_noise(sample, stp_of), protocol.quality.longest_run)


def judged(cell: Cell, chunks: int, draws: int = 100) -> np.ndarray:
    return np.concatenate([run_job(Job(cell, chunk, draws)) for chunk in range(chunks)])


def changes(sample: Sample, post: np.ndarray) -> np.ndarray:
    """Log rate of each control after less before, from the mean of all."""
    controls = sample.only(~sample.treated)
    people = np.where(controls.observed, controls.population, 0.0)
    counts = np.where(controls.observed, controls.counts, 0.0)
    after, before = (counts[:, m].sum(axis=1) / people[:, m].sum(axis=1) for m in (post, ~post))
    change = np.log(after / before)
    return np.asarray(change - change.mean())


# The world


def test_the_world_varies_as_the_real_panel_does(real_world: World) -> None:
    """Simulated controls spread as the real ones did, in their changes from before to after and from month to month.

    The spread of 178 changes has a standard error of about 6%, and the mean of 40 panels about 1%; a tenth is allowed for
    residuals that are no normal noise.
    """
    generator = np.random.default_rng(4)
    panels = [next(simulated(real_world, Variation(), [0.0], generator)) for _ in range(40)]
    post, real = real_world.post, real_world.sample
    spread = np.mean([changes(panel, post).var() for panel in panels])
    assert spread == pytest.approx(changes(real, post).var(), rel=0.10)

    def step(sample: Sample) -> float:
        return float(np.nanvar(np.diff(np.log(sample.counts / sample.population)[~sample.treated], axis=1)))

    assert np.mean([step(panel) for panel in panels]) == pytest.approx(step(real), rel=0.10)
    assert all((panel.observed == real.observed).all() for panel in panels)
    means = np.mean([panel.counts for panel in panels], axis=0) / np.where(real.observed, real_world.mean, np.nan)
    assert np.nanmean(means) == pytest.approx(1, abs=0.003)


def test_noise_measured_on_a_simulated_panel_is_the_noise_it_was_made_with(real_world: World) -> None:
    """Variance by size and the correlation within STPs come back, on average over panels."""
    stps = pd.Series(real_world.stp, index=real_world.sample.units)
    made = replace(real_world.noise, stp_correlation=0.5)
    generator = np.random.default_rng(5)
    again = replace(real_world, noise=made)
    found = [measure_noise(next(simulated(again, Variation(), [0.0], generator)), stps) for _ in range(30)]
    # Fitting the effects anew takes a hundredth or two of the variance.
    for people in (100_000, 250_000, 700_000):
        assert np.mean([n.variance(people) for n in found]) == pytest.approx(made.variance(people), rel=0.06)
    assert np.mean([n.stp_correlation for n in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([n.root @ n.root.T for n in found], axis=0) == pytest.approx(made.root @ made.root.T, abs=0.15)


def test_rates_keep_their_mean_and_treated_units_the_variance_asked_for(exchangeable: Callable[[int], Cell]) -> None:
    equal = exchangeable(10).world
    equal = replace(equal, variance=equal.variance * 10, stp=np.arange(30) // 3)
    generator = np.random.default_rng(6)
    noise = np.array([world.log_noise(equal, Variation(treated_variance=1.5), generator) for _ in range(3000)])
    spread = noise.var(axis=0).mean(axis=1)
    assert spread[equal.sample.treated].mean() / spread[~equal.sample.treated].mean() == pytest.approx(1.5, rel=0.03)
    assert np.exp(noise).mean() == pytest.approx(1, abs=0.003)
    last = noise[:, :, -1] - noise[:, :, -1].mean(axis=0)
    assert np.corrcoef(last[:, 20], last[:, 21])[0, 1] == pytest.approx(0, abs=0.06)  # two STPs
    assert np.corrcoef(last[:, 20], last[:, 18])[0, 1] == pytest.approx(0.17, abs=0.06)  # one


def test_real_paths_are_paths_of_real_controls(real_world: World) -> None:
    """Without a shared part, each unit's noise is one control's residual path, scaled."""
    alone = replace(real_world, noise=replace(real_world.noise, stp_correlation=0.0))
    noise = world.log_noise(alone, Variation(real_paths=True), np.random.default_rng(7))
    mean_taken = np.outer(alone.variance, (alone.noise.paths**2).mean(axis=0)) / 2
    drawn = (noise + mean_taken) / np.sqrt(alone.variance)[:, None]
    nearest = [np.abs(alone.noise.paths - path).max(axis=1).min() for path in drawn]
    assert np.max(nearest) < 1e-9


def test_effects_of_sites_differ_about_the_average_that_is_asked_for(real_world: World) -> None:
    """One effect a site, none among controls' means, and the ratio of expected counts is exactly the average."""
    sample, generator = real_world.sample, np.random.default_rng(8)
    drawn = np.array([world.site_effects(real_world, Variation(effect_spread=0.04), generator) for _ in range(400)])[
        :, sample.treated
    ]
    cluster = sample.cluster[sample.treated]
    shared = next(number for number in cluster if (cluster == number).sum() > 1)
    assert np.ptp(drawn[:, cluster == shared], axis=1).max() < 1e-12
    expected = real_world.mean[:, real_world.post].sum(axis=1)[sample.treated]
    assert np.exp(drawn) @ expected / expected.sum() == pytest.approx(1, abs=1e-12)
    assert drawn.std(axis=1).mean() == pytest.approx(0.04, rel=0.10)
    assert (world.site_effects(real_world, Variation(), generator) == 0).all()


def test_heavy_masking_takes_one_run_from_a_quarter_of_the_units(real_world: World) -> None:
    generator = np.random.default_rng(9)
    panels = [next(simulated(real_world, Variation(heavy_masking=True), [0.0], generator)) for _ in range(20)]
    gone = np.array([~panel.observed & real_world.sample.observed for panel in panels])
    assert gone.sum(axis=2).max() == real_world.longest_run
    assert gone.any(axis=2).mean() == pytest.approx(0.25, abs=0.03)
    assert all((np.isnan(panel.population) == np.isnan(panel.counts)).all() for panel in panels)
    runs = np.diff(gone.astype(int), axis=2, prepend=0, append=0)
    assert (runs == 1).sum(axis=2).max() <= 1 + (~real_world.sample.observed).sum(axis=1).max()


def test_a_true_effect_moves_the_treated_months_of_treated_units_alone(exchangeable: Callable[[int], Cell]) -> None:
    """The same noise serves every effect, so that the panels differ by Poisson chance elsewhere."""
    large = exchangeable(10).world
    large = replace(large, mean=large.mean * 1e6)  # leaves no room for Poisson chance
    none, half = simulated(large, Variation(), [0.0, np.log(0.5)], np.random.default_rng(10))
    ratio = half.counts / none.counts
    hit = np.outer(large.sample.treated, large.post).astype(bool)
    assert ratio[hit] == pytest.approx(0.5, rel=1e-3)
    assert ratio[~hit] == pytest.approx(1.0, rel=1e-3)


# The judgements


@pytest.mark.nightly
def test_randomisation_is_exact_where_sites_are_exchangeable(exchangeable: Callable[[int], Cell]) -> None:
    """Its p-values are uniform: 5% of them at most 0.05 (limits: 3.3 standard errors), the tenths alike.

    With three treated sites conventional clustered errors reject far more often, so the limits can be broken.
    """
    found = judged(exchangeable(6), chunks=8)[:, 0]
    p_values = found[:, METHODS.index(RANDOMISATION), 3]
    limit = 3.3 * np.sqrt(LEVEL * (1 - LEVEL) / len(p_values))
    assert (p_values <= LEVEL + 1e-9).mean() == pytest.approx(LEVEL, abs=limit)
    tenths = np.bincount(np.ceil(p_values * 10 - 1e-9).astype(int) - 1, minlength=10)
    assert chisquare(tenths).pvalue > 0.001
    three = judged(exchangeable(3), chunks=2)[:, 0]
    assert (three[:, METHODS.index(CR1), 3] <= LEVEL).mean() > LEVEL + limit


def test_estimates_are_centred_and_intervals_cover_where_there_is_an_effect(
    exchangeable: Callable[[int], Cell],
) -> None:
    cell = replace(exchangeable(6), scenario=Scenario("effect", effects=(-20.0,)))
    found = judged(cell, chunks=3)[:, 0, METHODS.index(RANDOMISATION)]
    estimate, _, half_width, none, truth = found.T
    error = estimate.std() / np.sqrt(len(estimate))
    assert estimate.mean() == pytest.approx(np.log(0.8), abs=4 * error)
    assert (truth <= LEVEL + 1e-9).mean() == pytest.approx(LEVEL, abs=0.05)
    assert (none <= LEVEL + 1e-9).mean() > 0.5
    # What the critical value says is not rejected is what the test of the truth does not reject, all but a few times.
    inside = np.abs(estimate - np.log(0.8)) <= half_width
    assert (inside == (truth > LEVEL)).mean() > 0.9


def test_the_jackknife_in_one_step_is_the_jackknife(protocol: Protocol) -> None:
    """Least squares needs no second step; for Poisson the errors differ by less than a hundredth."""
    sample, post = make_sample([0, 0, *range(1, 24)], [0, 1, 2, 3], 36, seed=11, missing=0.05)
    comparison = comparison_of(sample, post)
    fit = comparison.fit()
    assert one_step_jackknife(comparison, fit) == pytest.approx(cr3_std_error(comparison, fit), rel=0.01)
    logs = compare(sample, protocol.specifications[0].model_copy(update={"estimator": "log_rate"}), post)
    fit = logs.fit()
    assert one_step_jackknife(logs, fit) == pytest.approx(cr3_std_error(logs, fit), rel=1e-8)


def test_every_method_judges_and_the_jackknife_only_when_asked(exchangeable: Callable[[int], Cell]) -> None:
    cell = exchangeable(6)
    sample = next(simulated(cell.world, Variation(), [0.0], np.random.default_rng(12)))
    tools = simulation._tools(cell)
    without, with_it = (methods(sample, cell.world.post, tools, 0.0, jackknife=asked) for asked in (False, True))
    assert tuple(with_it) == METHODS
    assert np.isnan(without[CR3].p_none) and 0 < with_it[CR3].p_none <= 1
    assert all(without[name] == pytest.approx(with_it[name], nan_ok=True) for name in METHODS if name != CR3)
    assert all(judgement.p_none == judgement.p_truth for judgement in with_it.values())  # the truth is no effect


def test_sets_of_few_sites_span_the_sizes(real_world: World) -> None:
    sample = real_world.sample
    people = sample.population_full.mean(axis=1)
    sizes = {site: people[sample.site == site].sum() for site in set(sample.site[sample.treated])}
    for few, count in zip(site_sets(sample), simulation.SITE_COUNTS, strict=True):
        sites = set(few.site[few.treated])
        assert len(sites) == count
        assert {min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)} <= sites
        assert (~few.treated).sum() == (~sample.treated).sum()
        whole = np.isin(sample.site, list(sites)) & sample.treated
        assert few.treated.sum() == whole.sum()  # with every unit of a site


# The table


def test_the_table_counts_judgements(exchangeable: Callable[[int], Cell]) -> None:
    """Shares, means and errors of four made-up draws; a draw that a method did not judge is not one of its draws."""
    cell = replace(exchangeable(6), scenario=Scenario("counted", effects=(-5.0,)))
    nothing = [np.nan] * 5
    draws = [(0.01, 0.1, 0.2, 0.05, 0.80), (-0.03, 0.1, 0.2, 0.01, 0.05), (-0.05, 0.3, 0.2, 0.06, 0.90), (-0.13, 0.3, 0.6, 0.30, 0.04)]  # fmt: skip
    judgements = np.array(
        [[[draw if method != CR3 or i == 0 else nothing for method in METHODS]] for i, draw in enumerate(draws)]
    )
    table = simulation._summary(cell, judgements).set_index("method")
    row = table.loc[CR1]
    assert row.true_effect == pytest.approx(np.log(0.95)) and row.true_effect_percent == -5
    assert row.size_or_power == 0.5 and row.coverage == 0.5  # a p-value of exactly the level rejects
    assert row.bias == pytest.approx(-0.05 - np.log(0.95)) and row.sd_estimate == pytest.approx(np.sqrt(0.0104 / 3))
    assert row.mean_std_error == pytest.approx(0.2) and row.mean_mde == pytest.approx(0.3 * 2.80 / 1.96, rel=1e-3)
    assert row.monte_carlo_se == pytest.approx(0.25) and row.n_treated_sites == 6
    assert table.draws.to_dict() == {method: 1 if method == CR3 else 4 for method in METHODS}


def test_workers_and_more_draws_change_nothing(panel: pd.DataFrame, stp: pd.DataFrame, protocol: Protocol) -> None:
    """One process or two give the same bytes, and the first chunk does not know how many follow."""
    scenarios = [Scenario("base", effects=(0.0, -5.0)), Scenario("few_sites", few_sites=True)]
    ticks: list[int] = []
    tables = [
        simulate(panel, stp, protocol, 3, workers, lambda: ticks.append(1), scenarios).to_csv() for workers in (1, 2)
    ]
    assert tables[0] == tables[1]
    # The made-up panel has ten sites, too few for the largest of the fixed sets.
    assert len(ticks) == 2 * (chunk_count(protocol, 3, scenarios) - 1)
    cell = next(simulation._cells(panel, stp, protocol, scenarios))
    assert (run_job(Job(cell, 0, 6))[:3, :, :2] == run_job(Job(cell, 0, 3))[:, :, :2])[..., [0, 2, 3, 4]].all()
    assert (run_job(Job(cell, 1, 3)) != run_job(Job(cell, 0, 3)))[..., 0].all()


def test_the_table_has_every_scenario_cohort_effect_and_method(
    panel: pd.DataFrame, stp: pd.DataFrame, protocol: Protocol
) -> None:
    table = simulate(panel, stp, protocol, 2, 1, lambda: None)
    assert not table.duplicated(["scenario", "cohort", "method", "true_effect"]).any()
    sets = {s.id: 2 if s.few_sites else len(protocol.treated_cohorts) for s in simulation.SCENARIOS}
    rows = {s.id: sets[s.id] * len(s.effects) * len(METHODS) for s in simulation.SCENARIOS}
    assert table.groupby("scenario").size().to_dict() == rows
    assert table[["size_or_power", "coverage"]].isin([0, 0.5, 1]).all(axis=None)
    assert set(table.cohort[table.scenario == "base"]) == set(protocol.treated_cohorts)


def test_a_data_set_without_ccgs_or_stps_is_refused(panel: pd.DataFrame, stp: pd.DataFrame, protocol: Protocol) -> None:
    without = [(panel[panel.geography != "ccg"], stp), (panel, stp[1:]), (panel, stp[:0])]
    for rows, codes in without:
        with pytest.raises(MachineError, match="single CCGs and their STPs"):
            simulate(rows, codes, protocol, 1, 1, lambda: None)


# The committed table


def test_the_primary_method_errs_as_often_as_it_says_for_the_real_sites(repository: Path, protocol: Protocol) -> None:
    """Size 4–6% and coverage 93–97% in the base case, of 5,000 panels or more made with this seed and these scenarios."""
    table = pd.read_csv(repository / "reports" / "simulation.csv")
    assert set(table.seed) == {protocol.study.seed}
    assert set(table.scenario) == {scenario.id for scenario in simulation.SCENARIOS}
    base = table[(table.scenario == "base") & (table.method == RANDOMISATION)]
    assert set(base.cohort) == set(protocol.treated_cohorts)
    assert base.draws.min() >= 5000
    assert base.size_or_power[base.true_effect == 0].between(0.04, 0.06).all()
    assert base.coverage.between(0.93, 0.97).all()
