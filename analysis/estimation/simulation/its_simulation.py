"""How often does each method for an interrupted time series err? In series whose autocorrelation is known, and in real places.

Series of the study's shape, months before and after, are made of units whose log rates have autoregressive errors; the spread of
a cohort's errors is that of sets of real controls. Then each set of real controls is taken for a cohort of its own: nothing
began there, whatever the trends of real places are like, so that a method which keeps its size finds one in twenty.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.core.errors import MachineError
from analysis.core.parallel import run_jobs
from analysis.estimation.its.methods import METHODS
from analysis.estimation.its.pseudo_cohorts import Beside, PseudoCohorts, least_squares
from analysis.estimation.its.segments import Segments, segments
from analysis.estimation.its.terms import (
    ARIMA_ML,
    AUTOREGRESSIVE,
    LEVEL,
    NEGATIVE_BINOMIAL,
    PSEUDO_COHORTS,
    REAL_PLACES,
    SLOPE,
)
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.estimation.regression.series import Series, cohort_series
from analysis.panel.panel import CCG
from analysis.protocol.protocol import Protocol

CORRELATIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
EFFECTS = ((0.0, 0.0), (-0.02, -0.002))  # level and slope, log points
CHUNK = 50  # series of one job, whatever the number of workers
SLOW = (ARIMA_ML, NEGATIVE_BINOMIAL)  # each takes longer than all the others together, so they judge fewer series
SLOW_EVERY = 5
BURN_IN = 100


@dataclass(frozen=True)
class World:
    """``units`` of a cohort among ``controls``; ``spread``: standard deviation of one unit's log rate about its segments."""

    units: int
    controls: int
    spread: float
    design: Segments
    protocol: Protocol

    @property
    def terms(self) -> tuple[str, str, str]:
        return LEVEL, SLOPE, f"effect_{self.protocol.its.effect_month}"


@dataclass(frozen=True)
class Job:
    """Some series of one case: simulated with correlation ``phi``, or, where that is None, those of ``real`` sets of places."""

    world: World
    phi: float | None
    chunk: int
    draws: int
    real: Series | None = None


def simulate_its(
    panel: pd.DataFrame, protocol: Protocol, draws: int, workers: int, tick: Callable[[], None]
) -> pd.DataFrame:
    """Error rates of each method and term. ``tick`` is called as each of ``chunk_count`` jobs ends.

    Returns
    -------
    [scenario, phi, method, term, draws, true_effect, size_or_power, coverage, bias, sd_estimate, mean_std_error,
    monte_carlo_se]: ``size_or_power`` is the share of series in which no effect is rejected (size where ``true_effect`` is 0),
    ``coverage`` the share whose interval holds the true one; effects are log points. In the scenario ``real_places`` the series are
    sets of as many controls as the largest model has units; pseudo-cohorts are not judged there, being those very sets.

    Raises
    ------
    MachineError
        The panel holds no single CCGs; or a worker was stopped from outside.
    """
    world, real = _world(panel, protocol)
    jobs = _jobs(world, real, draws)
    found: dict[float | None, list[np.ndarray]] = {}
    for job, judged in zip(jobs, run_jobs(run_job, jobs, workers), strict=True):
        found.setdefault(job.phi, []).append(judged)
        tick()
    tables = [_summary(world, phi, np.concatenate(parts)) for phi, parts in found.items()]
    return pd.concat(tables, ignore_index=True)


def chunk_count(protocol: Protocol, draws: int) -> int:
    """How many jobs there are: the length of a progress bar."""
    return len(CORRELATIONS) * -(-draws // CHUNK) + -(-protocol.its.pseudo_cohorts // CHUNK)


def run_job(job: Job) -> np.ndarray:
    """Judgements (series × effects × methods × terms × [estimate, error, p of no effect, p of the true one]); NaN where a
    method does not judge."""
    world = job.world
    name = zlib.crc32(f"its/{job.phi}".encode())
    seed = np.random.SeedSequence([world.protocol.study.seed, name], spawn_key=(job.chunk,))
    generator = np.random.default_rng(seed)
    result = np.full((job.draws, len(EFFECTS), len(NAMES), len(world.terms), 4), np.nan)
    for draw in range(job.draws):
        if job.real is not None:
            series, placebos = job.real[draw], None
        else:
            assert job.phi is not None
            sample = simulated_sample(world, job.phi, generator)
            pseudo, _ = PseudoCohorts(
                sample.only(~sample.treated), world.protocol.its.pseudo_cohorts, world.protocol.study.seed
            ).of((1.0,) * world.units)
            rest = cohort_series(sample, ~sample.treated)
            series = cohort_series(sample, sample.treated).relative_to(rest.log_rate)
            placebos = pseudo.log_rate
        for number, effect in enumerate(EFFECTS if job.real is None else EFFECTS[:1]):
            slow = job.real is not None or draw % SLOW_EVERY == 0
            result[draw, number] = judged_by_all(world, series, placebos, effect, slow)
    return result


NAMES = (*METHODS, PSEUDO_COHORTS)


def judged_by_all(
    world: World, series: Series, placebos: np.ndarray | None, effect: tuple[float, float], slow: bool
) -> np.ndarray:
    """Every method's judgement of a series to which an effect is added (methods × terms × 4)."""
    design, conf_level = world.design, world.protocol.study.conf_level
    truth = np.zeros(len(design.columns))
    truth[[design.columns.index("level_change"), design.columns.index("slope_change")]] = effect
    shifted = Series(series.months, series.counts * np.exp(design.change @ truth), series.exposure)
    judged = np.full((len(NAMES), len(world.terms), 4), np.nan)
    for number, (name, method) in enumerate(METHODS.items()):
        if name in SLOW and not slow:
            continue
        fit = method(shifted, design, world.protocol.its)
        for at, term in enumerate(world.terms):
            contrast = design.contrasts[term]
            estimate, error, _, none = fit.test(contrast, conf_level)
            beyond = fit.judge(estimate - float(contrast @ truth), error, fit.degrees(contrast), conf_level)
            judged[number, at] = (
                estimate,
                error,
                *np.nan_to_num([none, beyond[3]], nan=1.0),
            )  # without a test, no rejection
    if placebos is not None:
        for at, term in enumerate(world.terms):
            contrast = design.contrasts[term]
            found = Beside(shifted.log_rate, placebos, design, conf_level)(contrast)
            true = Beside(series.log_rate, placebos, design, conf_level)(contrast)
            judged[len(METHODS), at] = found.estimate, found.std_error, found.p_value, true.p_value
    return judged


def simulated_sample(world: World, phi: float, generator: np.random.Generator) -> Sample:
    """Equal units whose log rates depart from a common path by stationary autoregressive errors; the first ones treated."""
    months, number = world.design.months, world.units + world.controls
    shocks = generator.standard_normal((number, BURN_IN + len(months)))
    errors = np.zeros_like(shocks)
    errors[:, 0] = shocks[:, 0]
    for month in range(1, shocks.shape[1]):
        errors[:, month] = phi * errors[:, month - 1] + np.sqrt(1 - phi**2) * shocks[:, month]
    population = np.full((number, len(months)), 250_000.0)
    rate = 0.01 / 30 * np.exp(world.spread * errors[:, BURN_IN:])
    counts = population * rate * months.days_in_month.to_numpy()
    treated = np.arange(number) < world.units
    return Sample(
        pd.Index([f"U{i:03d}" for i in range(number)]),
        months,
        counts,
        population,
        population,
        treated,
        np.arange(number),
    )


def _world(panel: pd.DataFrame, protocol: Protocol) -> tuple[World, Series]:
    """The world as measured on the real panel, and the series of sets of real controls."""
    ccgs = panel[panel.geography == CCG]
    if ccgs.empty:
        raise MachineError(
            "The simulation needs single CCGs, which this data set does not hold. "
            "Supply the published files (MIRROR=folder), build the data again, and run again."
        )
    outcome, specification = protocol.primary_outcomes[0], protocol.specifications[0]
    samples = [build_sample(ccgs, outcome.id, [model], specification, protocol) for model in protocol.model_ids]
    sample = max(samples, key=lambda each: int(each.treated.sum()))
    units = int(sample.treated.sum())
    design = segments(sample.months, protocol.study.programme_start, protocol.its, outcome, specification)
    controls = sample.only(~sample.treated)
    real, _ = PseudoCohorts(controls, protocol.its.pseudo_cohorts, protocol.study.seed).of((1.0,) * units)
    _, spread, _ = least_squares(design.matrix, real.log_rate)
    return World(units, len(controls.units), float(np.median(spread)) * units**0.5, design, protocol), real


def _jobs(world: World, real: Series, draws: int) -> list[Job]:
    simulated = [
        Job(world, phi, chunk, min(CHUNK, draws - start))
        for phi in CORRELATIONS
        for chunk, start in enumerate(range(0, draws, CHUNK))
    ]
    sets = len(real.counts)
    places = [
        Job(world, None, chunk, min(CHUNK, sets - start), real[start : start + CHUNK])
        for chunk, start in enumerate(range(0, sets, CHUNK))
    ]
    return simulated + places


def _summary(world: World, phi: float | None, judged: np.ndarray) -> pd.DataFrame:
    level = world.protocol.study.level
    rows = []
    for number, effect in enumerate(EFFECTS if phi is not None else EFFECTS[:1]):
        truth = np.zeros(len(world.design.columns))
        truth[[world.design.columns.index(name) for name in ("level_change", "slope_change")]] = effect
        for method, name in enumerate(NAMES):
            for at, term in enumerate(world.terms):
                seen = judged[:, number, method, at]
                seen = seen[np.isfinite(seen[:, 2])]
                if not len(seen):
                    continue
                true = float(world.design.contrasts[term] @ truth)
                share = float((seen[:, 2] < level).mean())
                rows.append(
                    {
                        "scenario": AUTOREGRESSIVE if phi is not None else REAL_PLACES,
                        "phi": phi,
                        "method": name,
                        "term": term,
                        "draws": len(seen),
                        "true_effect": true,
                        "size_or_power": share,
                        "coverage": float((seen[:, 3] >= level).mean()),
                        "bias": float(seen[:, 0].mean()) - true,
                        "sd_estimate": float(seen[:, 0].std(ddof=1)),
                        "mean_std_error": float(seen[:, 1].mean()),
                        "monte_carlo_se": float(np.sqrt(share * (1 - share) / len(seen))),
                    }
                )
    return pd.DataFrame(rows)
