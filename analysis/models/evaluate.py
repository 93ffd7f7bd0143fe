"""Every design on every outcome, cohort and specification: panel → the table of estimates and what figures need."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from analysis.cleaning.panel import ENGLAND, LOCAL_AUTHORITY
from analysis.inference.multiple import holm_rows
from analysis.inference.power import evaluability
from analysis.models.absorbed import NotIdentified
from analysis.models.did import difference_in_differences, effects
from analysis.models.estimates import estimates_table
from analysis.models.event_study import event_study
from analysis.models.group_time import group_time
from analysis.models.growth import growth_gap, growth_per_head
from analysis.models.its import cohort_series, segmented_regression
from analysis.models.robustness import high_use_placebo, leave_one_out, placebo_places, placebo_starts
from analysis.models.sample import Sample, UnitTables, build_sample, why_not
from analysis.parallel import run_jobs
from analysis.protocol import REST, Outcome, Protocol, Specification

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Results:
    """``estimates``; ``series``: tables that figures draw, by name; ``not_run``: what could not be estimated, and why."""

    estimates: pd.DataFrame
    series: dict[str, pd.DataFrame]
    not_run: pd.DataFrame


@dataclass(frozen=True)
class Job:
    """One outcome and cohort under one specification: small enough to run anywhere, so that workers never change a result."""

    panel: pd.DataFrame
    outcome: Outcome
    cohort: str
    specification: Specification
    protocol: Protocol
    tables: UnitTables


@dataclass
class Found:
    """What one job found: rows of the estimates table, series by name, and what could not be estimated."""

    rows: Rows = field(default_factory=list)
    series: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    absent: list[tuple[str, ...]] = field(default_factory=list)


def evaluate(
    panel: pd.DataFrame,
    shifts: pd.DataFrame,
    covariates: pd.DataFrame,
    similar: pd.DataFrame,
    protocol: Protocol,
    workers: int,
    tick: Callable[[], None],
) -> Results:
    """Run every job and collect the tables. ``tick`` is called as each job ends; ``workers`` never changes a result.

    ``shifts`` are lasting changes of level [outcome, unit, …], ``covariates`` one row a unit, ``similar`` [unit, rank, similar_unit].
    """
    jobs, absent = _jobs(panel, shifts, covariates, similar, protocol)
    parts: list[Found] = []
    for part in run_jobs(run_job, jobs, workers):
        parts.append(part)
        tick()
    rows = [row for part in parts for row in part.rows]
    rows += holm_rows(rows, protocol)
    names = sorted({name for part in parts for name in part.series})
    absent += [entry for part in parts for entry in part.absent]
    return Results(
        estimates=estimates_table(rows),
        series={
            name: pd.concat([table for part in parts for table in part.series.get(name, [])], ignore_index=True)
            for name in names
        },
        not_run=pd.DataFrame(absent, columns=["outcome", "cohort", "specification", "design", "reason"]),
    )


def job_count(panel: pd.DataFrame, protocol: Protocol) -> int:
    """How many jobs there are at most: the length of a progress bar."""
    held = set(panel.outcome)
    return sum(o.id in held for o in protocol.outcomes) * len(protocol.specifications) * len(protocol.treated_cohorts)


def run_job(job: Job) -> Found:
    """Every design of the job's specification, on its sample."""
    found = Found()
    protocol, specification, outcome, cohort = job.protocol, job.specification, job.outcome, job.cohort
    study = protocol.study
    window = f"{study.start:%Y-%m}/{study.end:%Y-%m}"
    dataset = job.panel.dataset.iloc[0]

    def add(rows: Rows, sample: Sample, cohort: str = cohort) -> None:
        context = {
            "outcome": outcome.id, "cohort": cohort, "specification": specification.id, "conf_level": study.conf_level,
            "n_units": len(sample.units), "n_treated": int(sample.treated.sum()), "window": window, "dataset": dataset,
        }  # fmt: skip
        found.rows.extend({**context, **row} for row in rows)

    def keep(name: str, table: pd.DataFrame, **labels: str) -> None:
        labels = {"outcome": outcome.id, "cohort": cohort, "specification": specification.id} | labels
        found.series.setdefault(name, []).append(table.assign(**labels))

    def not_run(design: str, reason: str) -> None:
        found.absent.append((outcome.id, cohort, specification.id, design, reason))

    def attempt(design: str, estimate: Callable[[], Rows], of: Sample | None = None, cohort: str = cohort) -> None:
        try:
            add(estimate(), of or sample, cohort)
        except NotIdentified as problem:
            not_run(design, str(problem))

    def places() -> Rows:
        rows, draws = placebo_places(sample, specification, seed, protocol)
        keep("placebo_places", draws)
        return rows

    def power_by_size() -> Rows:
        rows, curve = evaluability(sample, protocol)
        keep("evaluability", curve, cohort=REST)
        return rows

    models = protocol.treated_cohorts[cohort]
    sample = build_sample(job.panel, outcome.id, models, specification, protocol, job.tables)
    for reason in sample.left_out:
        not_run("unit", reason)
    if not sample.treated.any() or sample.treated.all():
        not_run("all", "no unit treated, or none untreated")
        return found
    seed = zlib.crc32(f"{study.seed}/{cohort}".encode())
    headline, main = specification.id == protocol.specifications[0].id, outcome.role != "negative_control"
    fewer = min(specification.draws, protocol.inference.variant_draws)
    variant = specification.model_copy(update={"draws": fewer})
    designs = set(specification.designs)
    if LOCAL_AUTHORITY in set(job.panel.geography):
        designs -= {"growth", "its", "robustness"}  # these describe places covered as a whole
    if "did" in designs:
        every_method = main and specification.draws > fewer
        drawn = specification if headline or outcome.role == "primary" else variant
        for effect in effects(sample.months, specification, protocol):
            estimate = partial(difference_in_differences, sample, drawn, seed, protocol, every_method, [effect])
            attempt("did" if effect.term == "att" else f"did {effect.term}", estimate)
    if "event_study" in designs:
        draws = protocol.inference.event_study_draws if headline and main else 0
        attempt("event_study", lambda: event_study(sample, specification, draws, seed, protocol))
    if "group_time" in designs and main:
        attempt("group_time", lambda: group_time(sample, protocol))
    if "robustness" in designs and main:
        attempt("leave_one_out", lambda: leave_one_out(sample, variant, seed, protocol))
        attempt("placebo_start", lambda: placebo_starts(sample, variant, seed, protocol))
        attempt("placebo_high_use", lambda: high_use_placebo(sample, specification, seed, protocol))
        attempt("placebo_places", places)
    treated, rest = sample.only(sample.treated), sample.only(~sample.treated)
    pooled = cohort == protocol.pooled_cohort
    if "robustness" in designs and main and pooled:
        attempt("power", power_by_size, rest, REST)
    if "growth" in designs:
        for rule in protocol.growth:
            add(growth_per_head(treated, rule, study.conf_level), treated)
            add(growth_gap(treated, rest, rule, study.conf_level), sample)
            if pooled:
                add(growth_per_head(rest, rule, study.conf_level), rest, REST)
    if "its" in designs:
        try:
            paths = _interrupted_series(sample, protocol)
        except NotIdentified as problem:
            not_run("its", str(problem))
        else:
            for design, (rows, path) in paths.items():
                add([{**row, "design": design} for row in rows], sample)
                keep("its_series", path, design=design)
    return found


def _interrupted_series(sample: Sample, protocol: Protocol) -> dict[str, tuple[Rows, pd.DataFrame]]:
    """Single-group (its) and controlled (cits) segmented regressions of one cohort."""
    cohort, rest = (cohort_series(sample, members) for members in (sample.treated, ~sample.treated))
    return {
        "its": segmented_regression(cohort.months, cohort.log_rate, protocol),
        "cits": segmented_regression(cohort.months, cohort.log_rate - rest.log_rate, protocol),
    }


def _jobs(
    panel: pd.DataFrame, shifts: pd.DataFrame, covariates: pd.DataFrame, similar: pd.DataFrame, protocol: Protocol
) -> tuple[list[Job], list[tuple[str, ...]]]:
    """The jobs, and what the data set at hand rules out from the start."""
    jobs: list[Job] = []
    absent: list[tuple[str, ...]] = []
    by_unit = covariates.set_index("unit")
    units = panel[panel.geography != ENGLAND]
    for specification in protocol.specifications:
        for outcome in protocol.outcomes:
            rows = units[units.outcome == outcome.id]
            shifted = frozenset(shifts.unit[shifts.outcome == outcome.id])
            tables = UnitTables(shifted, by_unit, similar)
            reason = "not in this data set" if rows.empty else why_not(rows, specification, tables)
            if reason:
                absent.append((outcome.id, "all", specification.id, "all", reason))
                continue
            for cohort, models in protocol.treated_cohorts.items():
                theirs = rows[rows.unit.isin(specification.also_treated) & rows.model.isin(models)]
                if specification.also_treated and theirs.empty:
                    absent.append((outcome.id, cohort, specification.id, "all", "its units are of another model"))
                    continue
                jobs.append(Job(rows, outcome, cohort, specification, protocol, tables))
    return jobs, absent
