"""Every design on every outcome, cohort and specification: panel → the table of estimates and what figures need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.core.parallel import run_jobs
from analysis.estimation.did.specification_curve import (
    CurveJob,
    choices_that_move,
    curve_combinations,
    curve_rows,
    curve_table,
)
from analysis.estimation.inference.multiple import holm_rows
from analysis.estimation.its.england import national_series
from analysis.estimation.its.methods_table import methods_table
from analysis.estimation.job import run_job
from analysis.estimation.regression.estimates import estimates_table
from analysis.estimation.regression.job_results import Found, Job, Rows
from analysis.estimation.regression.sample import UnitMonths, UnitTables, unit_months, why_not
from analysis.estimation.sites.sites import SITES
from analysis.estimation.verdict import verdict_table
from analysis.panel.panel import CCG
from analysis.panel.quality import PENDING, assess
from analysis.protocol.protocol import Protocol


@dataclass(frozen=True)
class Results:
    """``estimates``; ``series``: tables that figures draw, and ``tables``: those that people read, by name; ``not_run``: what
    could not be estimated, and why."""

    estimates: pd.DataFrame
    series: dict[str, pd.DataFrame]
    tables: dict[str, pd.DataFrame]
    not_run: pd.DataFrame


def evaluate(
    panel: pd.DataFrame,
    shifts: pd.DataFrame,
    covariates: pd.DataFrame,
    similar: pd.DataFrame,
    national: pd.DataFrame,
    protocol: Protocol,
    workers: int,
    tick: Callable[[], None],
) -> Results:
    """Run every job and collect the tables. ``tick`` is called as each job ends; ``workers`` never changes a result.

    ``shifts`` are lasting changes of level [outcome, unit, …], ``covariates`` one row a unit, ``similar`` [unit, rank, similar_unit],
    ``national`` England's totals [outcome, month, value, missing].
    """
    known = known_of_units(panel, shifts, covariates, similar, protocol)
    jobs, absent = model_jobs(panel, known, protocol)
    parts: list[Found] = []
    for part in run_jobs(run_job, jobs, workers):
        parts.append(part)
        tick()
    combined: Rows = []
    for found in run_jobs(curve_rows, curve_jobs(panel, known, protocol), workers):
        combined += found
        tick()
    curve = curve_table(combined)
    england, paths, missing = national_series(national, str(panel.dataset.iloc[0]), protocol)
    parts.append(Found(england, {"its_series": [paths]} if len(paths) else {}, absent=missing))
    rows = [row for part in parts for row in part.rows]
    rows += holm_rows(rows, protocol)
    estimates = estimates_table(rows)
    sites = [table for part in parts for table in part.sites]
    names = sorted({name for part in parts for name in part.series})
    absent += [entry for part in parts for entry in part.absent]
    return Results(
        estimates=estimates,
        series={
            name: pd.concat([table for part in parts for table in part.series.get(name, [])], ignore_index=True)
            for name in names
        },
        tables={
            "specification_curve": curve,
            "curve_choices": choices_that_move(curve, protocol),
            "sites": pd.concat(sites, ignore_index=True) if sites else pd.DataFrame(columns=["outcome", *SITES]),
            "its_methods": methods_table(estimates, protocol),
            "verdicts": verdict_table(estimates, curve, protocol),
        },
        not_run=pd.DataFrame(absent, columns=["outcome", "cohort", "specification", "design", "reason"]),
    )


def job_count(panel: pd.DataFrame, protocol: Protocol) -> int:
    """How many jobs there are at most: the length of a progress bar."""
    held = set(panel.outcome)
    models = sum(o.id in held for o in protocol.outcomes) * len(protocol.specifications) * len(protocol.treated_cohorts)
    return models + sum(o.id in held for o in protocol.primary_outcomes) * len(curve_combinations(protocol))


def known_of_units(
    panel: pd.DataFrame, shifts: pd.DataFrame, covariates: pd.DataFrame, similar: pd.DataFrame, protocol: Protocol
) -> dict[str, UnitTables]:
    """Outcome → what is known of its units beside the panel."""
    by_unit = covariates.set_index("unit")
    departures = {s.departure for s in protocol.specifications if s.departure}
    return {
        outcome.id: UnitTables(
            shifted=frozenset(shifts.unit[shifts.outcome == outcome.id]),
            covariates=by_unit,
            similar=similar,
            flagged=_flagged(panel[panel.outcome == outcome.id], departures, protocol),
        )
        for outcome in protocol.outcomes
    }


def _flagged(rows: pd.DataFrame, departures: set[float], protocol: Protocol) -> dict[float, pd.DataFrame]:
    """What the masking rule would mask of an outcome's CCGs at other departures: [unit, month] by departure.

    Units with a suppressed month are not looked at, and of a small extract all may have one: then nothing is masked.
    """
    units = rows[rows.geography == CCG]
    counts = units.pivot(index="unit", columns="month", values="value_published").dropna()
    if counts.empty:
        return {departure: units.loc[:, ["unit", "month"]].head(0) for departure in departures}
    rules = {
        departure: protocol.quality.model_copy(update={"departure": departure}) for departure in sorted(departures)
    }
    found = {departure: assess(counts, rule) for departure, rule in rules.items()}
    return {departure: table.loc[table.rule != PENDING, ["unit", "month"]] for departure, table in found.items()}


def model_jobs(
    panel: pd.DataFrame, known: dict[str, UnitTables], protocol: Protocol
) -> tuple[list[Job], list[tuple[str, ...]]]:
    """The jobs, and what the data set at hand rules out from the start."""
    jobs: list[Job] = []
    absent: list[tuple[str, ...]] = []
    cells_of = _cells_of_outcomes(panel, protocol)
    for specification in protocol.specifications:
        for outcome in protocol.outcomes:
            cells, tables = cells_of.get(outcome.id), known[outcome.id]
            reason = why_not(cells, specification, tables) if cells else "not in this data set"
            if reason or cells is None:
                absent.append((outcome.id, "all", specification.id, "all", str(reason)))
                continue
            model_of = cells.attributes.model
            for cohort, models in protocol.treated_cohorts.items():
                if specification.also_treated and not model_of[specification.also_treated].isin(models).any():
                    absent.append((outcome.id, cohort, specification.id, "all", "its units are of another model"))
                    continue
                jobs.append(Job(cells.rows, outcome, cohort, specification, protocol, tables, cells))
    return jobs, absent


def curve_jobs(panel: pd.DataFrame, known: dict[str, UnitTables], protocol: Protocol) -> list[CurveJob]:
    """One job for each primary outcome that is held and each combination of choices."""
    cells_of = _cells_of_outcomes(panel, protocol)
    return [
        CurveJob(cells_of[outcome.id], outcome, combination, protocol, known[outcome.id])
        for outcome in protocol.primary_outcomes
        if outcome.id in cells_of
        for combination in curve_combinations(protocol)
    ]


def _cells_of_outcomes(panel: pd.DataFrame, protocol: Protocol) -> dict[str, UnitMonths]:
    """The outcomes that are held → their cells, one object however many jobs read it: hundreds of copies would be gigabytes."""
    found = {outcome.id: unit_months(panel, outcome.id) for outcome in protocol.outcomes if (panel.outcome == outcome.id).any()}
    return {outcome: cells for outcome, cells in found.items() if len(cells.attributes)}
