"""Every design on every outcome, cohort and specification: panel → the table of estimates and what figures need."""

from __future__ import annotations

import multiprocessing
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.cleaning.panel import ANALYSED
from analysis.errors import MachineError
from analysis.models.did import difference_in_differences, event_study
from analysis.models.estimates import estimates_table
from analysis.models.growth import growth_gap, growth_per_head
from analysis.models.its import cohort_series, segmented_regression
from analysis.models.poisson import NotIdentified
from analysis.models.sample import Sample, build_sample, runs_on
from analysis.protocol import REST, Outcome, Protocol, Specification

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Results:
    """``estimates``; ``its_series``: the paths that ITS figures draw; ``not_run``: what could not be estimated, and why."""

    estimates: pd.DataFrame
    its_series: pd.DataFrame
    not_run: pd.DataFrame


@dataclass(frozen=True)
class Job:
    """One outcome under one specification: small enough to run anywhere, so that workers never change a result."""

    panel: pd.DataFrame
    outcome: Outcome
    specification: Specification
    protocol: Protocol
    shifted_units: frozenset[str]


def evaluate(
    panel: pd.DataFrame, shifts: pd.DataFrame, protocol: Protocol, workers: int, tick: Callable[[], None]
) -> Results:
    """Run every job and collect the tables. ``tick`` is called as each job ends; ``workers`` never changes a result."""
    jobs = list(_jobs(panel, shifts, protocol))
    parts = []
    if workers > 1:
        try:
            with ProcessPoolExecutor(workers, initializer=_end_with_parent) as pool:
                for part in pool.map(run_job, jobs):
                    parts.append(part)
                    tick()
        except BrokenProcessPool as problem:
            raise MachineError(
                "A worker was stopped from outside, most likely because memory ran out. "
                "Earlier outputs are untouched. Free some memory and run again."
            ) from problem
    else:
        for job in jobs:
            parts.append(run_job(job))
            tick()
    rows = [row for found, _, _ in parts for row in found]
    series = [path for _, paths, _ in parts for path in paths]
    absent = [entry for _, _, entries in parts for entry in entries] + _left_out(panel, protocol)
    return Results(
        estimates=estimates_table(rows),
        its_series=pd.concat(series, ignore_index=True),
        not_run=pd.DataFrame(absent, columns=["outcome", "cohort", "specification", "design", "reason"]),
    )


def _end_with_parent() -> None:
    """End this worker when the run that started it is killed; else it waits for ever and holds the folder's lock."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def job_count(panel: pd.DataFrame, protocol: Protocol) -> int:
    return sum(runs_on(panel, s) for s in protocol.specifications) * len(protocol.outcomes)


def run_job(job: Job) -> tuple[Rows, list[pd.DataFrame], list[tuple[str, ...]]]:
    """Rows of the estimates table, ITS paths, and what could not be estimated."""
    rows: Rows = []
    series: list[pd.DataFrame] = []
    absent: list[tuple[str, ...]] = []
    study, outcome, specification = job.protocol.study, job.outcome.id, job.specification.id
    window = f"{study.start:%Y-%m}/{study.end:%Y-%m}"
    dataset = job.panel.dataset.iloc[0]

    def add(found: Rows, sample: Sample, cohort: str) -> None:
        context = {
            "outcome": outcome, "cohort": cohort, "specification": specification, "conf_level": study.conf_level,
            "n_units": len(sample.units), "n_treated": int(sample.treated.sum()), "window": window, "dataset": dataset,
        }  # fmt: skip
        rows.extend({**context, **row} for row in found)

    for cohort, models in job.protocol.treated_cohorts.items():
        sample = build_sample(job.panel, outcome, models, job.specification, job.protocol, job.shifted_units)
        if not sample.treated.any() or sample.treated.all():
            absent.append((outcome, cohort, specification, "all", "no unit treated, or none untreated"))
            continue
        seed = zlib.crc32(f"{study.seed}/{cohort}".encode())
        designs: dict[str, Callable[[Sample], Rows]] = {
            "did": partial(difference_in_differences, draws=job.specification.draws, seed=seed, protocol=job.protocol),
            "event_study": partial(event_study, protocol=job.protocol),
        }
        for design, estimate in designs.items():
            try:
                add(estimate(sample), sample, cohort)
            except NotIdentified as problem:
                absent.append((outcome, cohort, specification, design, str(problem)))
        treated, rest = _only(sample, sample.treated), _only(sample, ~sample.treated)
        for rule in job.protocol.growth:
            add(growth_per_head(treated, rule, study.conf_level), treated, cohort)
            add(growth_gap(treated, rest, rule, study.conf_level), sample, cohort)
            if cohort == job.protocol.pooled_cohort:
                add(growth_per_head(rest, rule, study.conf_level), rest, REST)
        try:
            paths = _interrupted_series(sample, job.protocol)
        except NotIdentified as problem:
            absent.append((outcome, cohort, specification, "its", str(problem)))
            continue
        for design, (found, path) in paths.items():
            add([{**row, "design": design} for row in found], sample, cohort)
            series.append(path.assign(design=design, outcome=outcome, cohort=cohort, specification=specification))
    return rows, series, absent


def _interrupted_series(sample: Sample, protocol: Protocol) -> dict[str, tuple[Rows, pd.DataFrame]]:
    """Single-group (its) and controlled (cits) segmented regressions of one cohort."""
    cohort, rest = (cohort_series(sample, members) for members in (sample.treated, ~sample.treated))
    return {
        "its": segmented_regression(cohort.months, cohort.log_rate, protocol),
        "cits": segmented_regression(cohort.months, cohort.log_rate - rest.log_rate, protocol),
    }


def _only(sample: Sample, members: np.ndarray) -> Sample:
    """The units where ``members`` is true, with clusters numbered anew."""
    cluster = np.unique(sample.cluster[members], return_inverse=True)[1]
    return Sample(
        sample.units[members], sample.months, sample.counts[members], sample.population[members],
        sample.population_full[members], sample.treated[members], cluster,
    )  # fmt: skip


def _jobs(panel: pd.DataFrame, shifts: pd.DataFrame, protocol: Protocol) -> Iterator[Job]:
    units = panel[panel.geography.isin(ANALYSED)]
    for outcome in protocol.outcomes:
        rows = units[units.outcome == outcome.id]
        shifted = frozenset(shifts.unit[shifts.outcome == outcome.id])
        for specification in protocol.specifications:
            if runs_on(panel, specification):
                yield Job(rows, outcome, specification, protocol, shifted)


def _left_out(panel: pd.DataFrame, protocol: Protocol) -> list[tuple[str, ...]]:
    reason = "leaves out single CCGs, which this data set does not hold"
    missing = [s for s in protocol.specifications if not runs_on(panel, s)]
    return [(outcome.id, "all", s.id, "all", reason) for s in missing for outcome in protocol.outcomes]
