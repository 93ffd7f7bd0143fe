"""One outcome and cohort under one specification: every design that the specification asks for, on its sample."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache, partial

from analysis.estimation.did.did import difference_in_differences, effects
from analysis.estimation.did.event_study import event_study, fit_event_study, placebo_event_studies
from analysis.estimation.did.group_time import group_time
from analysis.estimation.did.growth import growth_gap, growth_per_head
from analysis.estimation.did.robustness import high_use_placebo, leave_one_out, placebo_places, placebo_starts
from analysis.estimation.did.trend_sensitivity import trend_sensitivity
from analysis.estimation.inference.power import evaluability
from analysis.estimation.its.job import interrupted_series
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.job_results import Found, Job, Record, Rows
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.estimation.sites.sites import SITES, site_estimates, site_samples, sites_table
from analysis.estimation.synthetic.synthetic import Pool, synthetic_designs
from analysis.panel.panel import LOCAL_AUTHORITY
from analysis.protocol.protocol import REST


def run_job(job: Job) -> Found:
    """Every design of the job's specification, on its sample."""
    record = Record(job)
    protocol, specification, outcome, cohort = job.protocol, job.specification, job.outcome, job.cohort
    study = protocol.study

    def attempt(design: str, estimate: Callable[[], Rows], of: Sample | None = None, cohort: str | None = None) -> None:
        record.attempt(design, estimate, of or sample, cohort)

    def places() -> Rows:
        rows, draws = placebo_places(sample, specification, seed, protocol)
        record.keep("placebo_places", draws)
        return rows

    def quarters() -> Rows:
        study = fit_event_study(sample, specification, protocol)
        if not (job.headline and main):
            return event_study(study, None, protocol)
        draws = protocol.inference.event_study_draws
        placebos = placebo_event_studies(study.comparison, study.shapes, study.before, draws, seed)
        if "trends" in designs and outcome.role == "primary":
            attempt("trend_sensitivity", lambda: trend_sensitivity(study, placebos, protocol))
        return event_study(study, placebos, protocol)

    @cache
    def own_pool() -> Pool:
        return Pool(sample, seed, protocol)

    def synthetic(of: Sample, pool: Pool, cohort: str | None = None) -> Rows:
        rows, fit, weights, paths = synthetic_designs(of, seed, protocol, pool)
        for name, table in (("fit", fit), ("weights", weights), ("paths", paths)):
            record.keep(f"synthetic_{name}", table, cohort)
        return rows

    def sites() -> Rows:
        rows, facts = site_estimates(job.panel, outcome.id, specification, protocol, job.tables)
        samples, controls = site_samples(job.panel, outcome.id, specification, protocol, job.tables)
        before = len(record.found.rows)
        try:
            pool = Pool(controls, seed, protocol)
        except NotIdentified as problem:
            record.not_run("synthetic", str(problem), "sites")
        else:
            for site, each in samples.items():
                attempt("synthetic", partial(synthetic, each, pool, site), each, site)
        table = sites_table(facts, rows + record.found.rows[before:])
        record.found.sites.append(table.assign(outcome=outcome.id)[["outcome", *SITES]])
        return rows

    def power_by_size() -> Rows:
        rows, curve = evaluability(sample, protocol)
        record.keep("evaluability", curve, REST)
        return rows

    models = protocol.treated_cohorts[cohort]
    sample = build_sample(job.cells or job.panel, outcome.id, models, specification, protocol, job.tables)
    for reason in sample.left_out:
        record.not_run("unit", reason)
    if not sample.treated.any() or sample.treated.all():
        record.not_run("all", "no unit treated, or none untreated")
        return record.found
    seed = zlib.crc32(f"{study.seed}/{cohort}".encode())
    main = outcome.role != "negative_control"
    fewer = min(specification.draws, protocol.inference.variant_draws)
    variant = specification.model_copy(update={"draws": fewer})
    designs = set(specification.designs)
    by_commissioner = LOCAL_AUTHORITY not in job.panel.geography.unique()
    if not by_commissioner:
        designs -= {"growth", "robustness"}  # these describe places covered as a whole
    if "did" in designs:
        every_method = main and specification.draws > fewer
        drawn = specification if job.headline or outcome.role == "primary" else variant
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
    pooled = job.pooled
    if "robustness" in designs and main and pooled:
        attempt("power", power_by_size, rest, REST)
    if "synthetic" in designs and outcome.role == "primary":
        attempt("synthetic", lambda: synthetic(sample, own_pool()))
    if "sites" in designs and outcome.role == "primary" and pooled:
        attempt("sites", sites)
    if "growth" in designs:
        for rule in protocol.growth:
            attempt("growth", partial(growth_per_head, treated, rule, study.conf_level), treated)
            attempt("growth", partial(growth_gap, treated, rest, rule, study.conf_level))
            if pooled:
                attempt("growth", partial(growth_per_head, rest, rule, study.conf_level), rest, REST)
    if "growth" in designs and "sites" in designs and outcome.role == "primary" and pooled:
        samples, _ = site_samples(job.panel, outcome.id, specification, protocol, job.tables)
        for site, each in samples.items():
            theirs = each.only(each.treated)
            for rule in protocol.growth:
                attempt("growth", partial(growth_per_head, theirs, rule, study.conf_level), theirs, site)
    if "its" in designs:
        of_sites = pooled and by_commissioner and ("sites" in designs or specification.known_breaks)
        synthetic_too = "synthetic" in designs and outcome.role == "primary"
        interrupted_series(record, sample, seed, own_pool if synthetic_too else None, of_sites)
    return record.found
