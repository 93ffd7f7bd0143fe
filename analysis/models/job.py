"""One outcome and cohort under one specification: every design that the specification asks for, on its sample."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from analysis.cleaning.panel import LOCAL_AUTHORITY
from analysis.inference.power import evaluability
from analysis.models.absorbed import NotIdentified
from analysis.models.did import difference_in_differences, effects
from analysis.models.event_study import event_study, fit_event_study, placebo_event_studies
from analysis.models.group_time import group_time
from analysis.models.growth import growth_gap, growth_per_head
from analysis.models.its import cohort_series, segmented_regression
from analysis.models.robustness import high_use_placebo, leave_one_out, placebo_places, placebo_starts
from analysis.models.sample import Sample, UnitTables, build_sample
from analysis.models.sites import SITES, site_estimates, site_samples, sites_table
from analysis.models.synthetic import Pool, synthetic_designs
from analysis.models.trend_sensitivity import trend_sensitivity
from analysis.protocol import REST, Outcome, Protocol, Specification

Rows = list[dict[str, Any]]


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
    """What one job found: rows of the estimates table, series by name, tables of sites, and what could not be estimated."""

    rows: Rows = field(default_factory=list)
    series: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    sites: list[pd.DataFrame] = field(default_factory=list)
    absent: list[tuple[str, ...]] = field(default_factory=list)


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

    def not_run(design: str, reason: str, cohort: str = cohort) -> None:
        found.absent.append((outcome.id, cohort, specification.id, design, reason))

    def attempt(design: str, estimate: Callable[[], Rows], of: Sample | None = None, cohort: str = cohort) -> None:
        try:
            add(estimate(), of or sample, cohort)
        except NotIdentified as problem:
            not_run(design, str(problem), cohort)

    def places() -> Rows:
        rows, draws = placebo_places(sample, specification, seed, protocol)
        keep("placebo_places", draws)
        return rows

    def quarters() -> Rows:
        study = fit_event_study(sample, specification, protocol)
        if not (headline and main):
            return event_study(study, None, protocol)
        draws = protocol.inference.event_study_draws
        placebos = placebo_event_studies(study.comparison, study.shapes, study.before, draws, seed)
        if "trends" in designs and outcome.role == "primary":
            attempt("trend_sensitivity", lambda: trend_sensitivity(study, placebos, protocol))
        return event_study(study, placebos, protocol)

    def synthetic(of: Sample, pool: Pool | None = None, cohort: str = cohort) -> Rows:
        rows, fit, weights, paths = synthetic_designs(of, seed, protocol, pool)
        for name, table in (("fit", fit), ("weights", weights), ("paths", paths)):
            keep(f"synthetic_{name}", table, cohort=cohort)
        return rows

    def sites() -> Rows:
        rows, facts = site_estimates(job.panel, outcome.id, specification, protocol, job.tables)
        samples, controls = site_samples(job.panel, outcome.id, specification, protocol, job.tables)
        before = len(found.rows)
        try:
            pool = Pool(controls, seed, protocol)
        except NotIdentified as problem:
            not_run("synthetic", str(problem), "sites")
        else:
            for site, each in samples.items():
                attempt("synthetic", partial(synthetic, each, pool, site), each, site)
        table = sites_table(facts, rows + found.rows[before:])
        found.sites.append(table.assign(outcome=outcome.id)[["outcome", *SITES]])
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
        attempt("event_study", quarters)
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
    if "synthetic" in designs and outcome.role == "primary":
        attempt("synthetic", lambda: synthetic(sample))
    if "sites" in designs and outcome.role == "primary" and pooled:
        attempt("sites", sites)
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
