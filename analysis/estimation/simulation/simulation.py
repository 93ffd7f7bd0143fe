"""How often does each inference method err? Simulated panels whose effect is known, judged by every method.

The treated sites are fixed (see ``world``): what is measured is the error of a method for these sites and populations, not
its average over sites that might have been drawn. Placebo assignments and bootstrap signs are drawn once for each set of
sites and serve all its panels.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csc_array
from scipy.stats import t as student

from analysis.core.errors import MachineError
from analysis.core.parallel import run_jobs
from analysis.estimation.did.did import BOOTSTRAP, CR1, CR3, RANDOMISATION, compare
from analysis.estimation.inference.bootstrap import bootstrap_statistics, draw_signs
from analysis.estimation.inference.clustered import cr1_std_error, one_step_jackknife, t_interval
from analysis.estimation.inference.inversion import critical_value, p_value
from analysis.estimation.inference.randomisation import assignment_matrix, draw_assignments, one_step
from analysis.estimation.regression.estimates import minimum_detectable
from analysis.estimation.regression.regression import Comparison, Fit, by_cluster
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.estimation.simulation.world import Variation, World, build_world, measure_noise, simulated
from analysis.panel.panel import CCG
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Specification

SITE_COUNTS = (3, 9, 14)
PLACEBOS = 499  # placebo assignments, and sets of signs
CHUNK = 100  # draws of one job, whatever the number of workers
JACKKNIFE_EVERY = 5  # it takes about as long as all the other methods, so it judges every fifth panel
ROUNDING = 1e-9


@dataclass(frozen=True)
class Scenario:
    """``effects``: true average effects to try, per cent. ``few_sites``: fixed sets of SITE_COUNTS sites, not the cohorts."""

    id: str
    variation: Variation = field(default_factory=Variation)
    effects: tuple[float, ...] = (0.0,)
    few_sites: bool = False


SCENARIOS = (
    Scenario("base", effects=(0.0, -3.0, -5.0, -8.0)),
    Scenario("few_sites", few_sites=True),
    Scenario("treated_variance_0.6", Variation(treated_variance=0.6)),
    Scenario("treated_variance_1.5", Variation(treated_variance=1.5)),
    # The real treated sites' changes spread less than controls'; effects that differ by more than this would show in them.
    Scenario("effects_differ", Variation(effect_spread=0.04)),
    Scenario("heavy_masking", Variation(heavy_masking=True)),
    Scenario("real_paths", Variation(real_paths=True)),
)


class Judgement(NamedTuple):
    """What a method makes of one panel: p-values of no effect and of the true one; the rest in log points."""

    estimate: float
    std_error: float
    half_width: float
    p_none: float
    p_truth: float


@dataclass(frozen=True)
class Cell:
    """One scenario for one set of treated sites."""

    scenario: Scenario
    cohort: str
    world: World
    protocol: Protocol


@dataclass(frozen=True)
class Job:
    """Some draws of a cell. Its random numbers depend on the study's seed, the cell's names and ``chunk`` alone."""

    cell: Cell
    chunk: int
    draws: int


def simulate(
    panel: pd.DataFrame,
    stp: pd.DataFrame,
    protocol: Protocol,
    draws: int,
    workers: int,
    tick: Callable[[], None],
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> pd.DataFrame:
    """Error rates of each method: ``draws`` panels for every scenario and set of treated sites.

    ``stp`` is [unit, stp_code]. ``tick`` is called as each of ``chunk_count`` jobs ends; ``workers`` never changes a result.

    Returns
    -------
    [scenario, cohort, n_treated_sites, method, draws, true_effect, true_effect_percent, size_or_power, coverage, bias,
    sd_estimate, mean_std_error, mean_mde, monte_carlo_se]: ``size_or_power`` is the share of draws that reject no effect
    (size where the true effect is 0, else power), ``coverage`` the share that does not reject the true one, each at the study's
    level. Effects, ``bias``, ``sd_estimate``, ``mean_std_error`` and ``mean_mde`` (minimum detectable effect) are log
    points; the last is from the critical value times the CR1 error, as inverting each test would take far longer.
    ``monte_carlo_se`` is that of ``size_or_power``. The jackknife has a fifth of the draws. What a method does not have is NaN.

    Raises
    ------
    MachineError
        The panel holds no single CCGs, or their STPs are not known; or a worker was stopped from outside.
    """
    cells = list(_cells(panel, stp, protocol, scenarios))
    jobs = [
        Job(cell, chunk, min(CHUNK, draws - start))
        for cell in cells
        for chunk, start in enumerate(range(0, draws, CHUNK))
    ]
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for job, judgements in zip(jobs, run_jobs(run_job, jobs, workers), strict=True):
        found.setdefault((job.cell.scenario.id, job.cell.cohort), []).append(judgements)
        tick()
    tables = [_summary(cell, np.concatenate(found[cell.scenario.id, cell.cohort])) for cell in cells]
    return pd.concat(tables, ignore_index=True)


def chunk_count(protocol: Protocol, draws: int, scenarios: Sequence[Scenario] = SCENARIOS) -> int:
    """How many jobs there are: the length of a progress bar."""
    sets = sum(len(SITE_COUNTS) if s.few_sites else len(protocol.treated_cohorts) for s in scenarios)
    return sets * -(-draws // CHUNK)


def run_job(job: Job) -> np.ndarray:
    """Judgements of the job's panels: draws × effects × methods × what a Judgement holds."""
    cell, world = job.cell, job.cell.world
    name = zlib.crc32(f"{cell.scenario.id}/{cell.cohort}".encode())
    seed = np.random.SeedSequence([cell.protocol.study.seed, name], spawn_key=(job.chunk,))
    generator = np.random.default_rng(seed)
    tools = _tools(cell)
    effects = [_log_ratio(effect) for effect in cell.scenario.effects]
    judged = [
        [
            methods(sample, world.post, tools, effect, jackknife=draw % JACKKNIFE_EVERY == 0)
            for effect, sample in zip(
                effects, simulated(world, cell.scenario.variation, effects, generator), strict=True
            )
        ]
        for draw in range(job.draws)
    ]
    return np.array([[[each[method] for method in METHODS] for each in panels] for panels in judged])


@dataclass(frozen=True)
class Tools:
    """What all panels of a cell share: two estimators, ``assigned`` (units × assignments), ``signs`` (clusters × draws)."""

    poisson: Specification
    log_rate: Specification
    assigned: csc_array
    signs: np.ndarray
    conf_level: float


METHODS = (RANDOMISATION, CR1, CR3, *BOOTSTRAP.values())


def methods(
    sample: Sample, post: np.ndarray, tools: Tools, theta: float, jackknife: bool = True
) -> dict[str, Judgement]:
    """Every method's judgement of one panel whose true effect is ``theta`` log points; NaN for the jackknife unless asked."""
    comparison, logs = (compare(sample, specification, post) for specification in (tools.poisson, tools.log_rate))
    fit, log_fit = comparison.fit(), logs.fit()

    def by_error(error: float) -> Judgement:
        estimate, degrees = float(fit.coefficients[0]), comparison.clusters - 1
        half_width = float(student.ppf(0.5 + tools.conf_level / 2, degrees)) * error
        none, truth = (t_interval(estimate - effect, error, degrees, tools.conf_level)[1] for effect in (0.0, theta))
        return Judgement(estimate, error, half_width, none, truth)

    def by_draws(seen: Comparison, solution: Fit, statistics: dict[float, np.ndarray]) -> Judgement:
        none, truth = statistics[0.0], statistics[theta]
        half_width = critical_value(none, tools.conf_level) * cr1_std_error(seen, solution)
        return Judgement(float(solution.coefficients[0]), np.nan, half_width, p_value(none), p_value(truth))

    nulls = {effect: comparison.null(effect) for effect in {0.0, theta}}
    log_nulls = {effect: logs.null(effect) for effect in {0.0, theta}}
    placebo = {effect: one_step(comparison, tools.assigned, null)[0] for effect, null in nulls.items()}
    score = {effect: bootstrap_statistics(comparison, null, tools.signs) for effect, null in nulls.items()}
    wild = {effect: bootstrap_statistics(logs, null, tools.signs) for effect, null in log_nulls.items()}
    return {
        RANDOMISATION: by_draws(comparison, fit, placebo),
        CR1: by_error(cr1_std_error(comparison, fit)),
        CR3: by_error(one_step_jackknife(comparison, fit) if jackknife else np.nan),
        BOOTSTRAP["poisson"]: by_draws(comparison, fit, score),
        BOOTSTRAP["log_rate"]: by_draws(logs, log_fit, wild),
    }


def site_sets(sample: Sample) -> Iterator[Sample]:
    """The sample with SITE_COUNTS of its treated sites: in order of population, evenly spaced from the smallest to the largest.

    The other treated units are left out. A count that the sample does not have is passed over.
    """
    people = by_cluster(sample.population_full.mean(axis=1), sample.cluster)
    sites = np.unique(sample.cluster[sample.treated])
    by_size = sites[np.argsort(people[sites], kind="stable")]
    for count in SITE_COUNTS:
        if count <= len(sites):
            chosen = by_size[np.linspace(0, len(sites) - 1, count).round().astype(int)]
            yield sample.only(~sample.treated | np.isin(sample.cluster, chosen))


def _cells(panel: pd.DataFrame, stp: pd.DataFrame, protocol: Protocol, scenarios: Sequence[Scenario]) -> Iterator[Cell]:
    ccgs = panel[panel.geography == CCG]
    stp_of = stp.set_index("unit").stp_code
    if ccgs.empty or not set(ccgs.unit) <= set(stp_of.dropna().index):
        raise MachineError(
            "The simulation needs single CCGs and their STPs, which this data set does not hold. "
            "Supply the published files (MIRROR=folder), build the data again, and run again."
        )
    outcome = next(outcome.id for outcome in protocol.outcomes if outcome.role == "primary")
    samples = {
        cohort: build_sample(ccgs, outcome, models, protocol.specifications[0], protocol)
        for cohort, models in protocol.treated_cohorts.items()
    }
    everyone = samples[protocol.pooled_cohort]
    few = {f"{_sites(sample)} sites": sample for sample in site_sets(everyone)}
    noise = measure_noise(everyone, stp_of)
    post = np.asarray(everyone.months >= protocol.study.programme_start)
    for scenario in scenarios:
        for cohort, sample in (few if scenario.few_sites else samples).items():
            world = build_world(sample, post, stp_of, noise, protocol.quality.longest_run)
            yield Cell(scenario, cohort, world, protocol)


def _tools(cell: Cell) -> Tools:
    """The same for all chunks of a cell, and for all scenarios of a set of sites."""
    primary, sample = cell.protocol.specifications[0], cell.world.sample
    comparison = compare(sample, primary, cell.world.post)
    seed = zlib.crc32(f"{cell.protocol.study.seed}/{cell.cohort}".encode())
    return Tools(
        poisson=primary,
        log_rate=primary.model_copy(update={"estimator": "log_rate"}),
        assigned=assignment_matrix(draw_assignments(sample.cluster, sample.dose, PLACEBOS, seed), comparison),
        signs=draw_signs(comparison.clusters, PLACEBOS, seed)[0],
        conf_level=cell.protocol.study.conf_level,
    )


def _summary(cell: Cell, judgements: np.ndarray) -> pd.DataFrame:
    """Rows of one cell from its judgements (draws × effects × methods × what a Judgement holds)."""
    study, power = cell.protocol.study, cell.protocol.inference.power
    rows = []
    for effect, percent in enumerate(cell.scenario.effects):
        for method, name in enumerate(METHODS):
            judged = pd.DataFrame(judgements[:, effect, method], columns=Judgement._fields).dropna(subset="p_none")
            rejected = judged[["p_none", "p_truth"]] <= study.level + ROUNDING
            share, truth = rejected.p_none.mean(), _log_ratio(percent)
            rows.append(
                {
                    "scenario": cell.scenario.id,
                    "cohort": cell.cohort,
                    "n_treated_sites": _sites(cell.world.sample),
                    "method": name,
                    "draws": len(judged),
                    "true_effect": truth,
                    "true_effect_percent": percent,
                    "size_or_power": share,
                    "coverage": 1 - rejected.p_truth.mean(),
                    "bias": judged.estimate.mean() - truth,
                    "sd_estimate": judged.estimate.std(),
                    "mean_std_error": judged.std_error.mean(),
                    "mean_mde": minimum_detectable(judged.half_width.mean(), study.conf_level, power),
                    "monte_carlo_se": np.sqrt(share * (1 - share) / len(judged)),
                }
            )
    return pd.DataFrame(rows)


def _sites(sample: Sample) -> int:
    return len(np.unique(sample.cluster[sample.treated]))


def _log_ratio(percent: float) -> float:
    return float(np.log1p(percent / 100))
