"""The interrupted time series of one job: the cohort, the rest and every site, single-group and controlled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from analysis.estimation.its.checks import autocorrelation, diagnostics
from analysis.estimation.its.estimates import FEWER_METHODS, Interrupted, its_path, its_rows
from analysis.estimation.its.groups import Groups, leave_one_out, placebo_starts
from analysis.estimation.its.methods import METHODS
from analysis.estimation.its.pseudo_cohorts import PseudoCohorts
from analysis.estimation.its.segments import within_baseline
from analysis.estimation.its.terms import AGAINST_SYNTHETIC, CONTROLLED, PLACEBO_START, SINGLE, WITHOUT_SITE
from analysis.estimation.regression.job_results import Record, Rows
from analysis.estimation.regression.sample import Sample
from analysis.estimation.sites.sites import site_samples
from analysis.estimation.synthetic.synthetic import Pool
from analysis.protocol.protocol import REST


def interrupted_series(
    record: Record, whole: Sample, seed: int, pool: Callable[[], Pool] | None, sites: bool
) -> None:
    """Record every series of the job's sample. ``pool``, of its controls: the cohort against its synthetic control too; ``sites``: each site."""
    job, draws = record.job, record.job.protocol.its.pseudo_cohorts
    used = within_baseline(whole.months, job.specification, job.protocol)
    sample = whole.restrict(used)
    rest = sample.only(~sample.treated)
    pseudo = PseudoCohorts(rest, draws, seed, job.specification.fill_masked)
    groups = Groups(sample, job.outcome, job.specification, job.protocol, pseudo)
    _both_kinds(record, groups)
    if job.pooled and not job.specification.known_breaks:
        record.attempt(SINGLE, lambda: _series(record, SINGLE, groups.rest, REST), rest, REST)
    if job.headline and job.outcome.role != "negative_control":
        record.attempt(PLACEBO_START, lambda: placebo_starts(groups, draws, seed), sample)
    if job.headline and job.outcome.role == "primary":
        record.attempt(WITHOUT_SITE, lambda: leave_one_out(groups), sample)
    if pool:

        def against_synthetic() -> Interrupted:
            return groups.against_synthetic(pool() if used.all() else Pool(sample, seed, job.protocol))

        record.attempt(AGAINST_SYNTHETIC, lambda: _series(record, AGAINST_SYNTHETIC, against_synthetic), sample)
    if sites:
        samples, controls = site_samples(job.panel, job.outcome.id, job.specification, job.protocol, job.tables)
        among = PseudoCohorts(controls, draws, seed, job.specification.fill_masked)
        for site, each in samples.items():
            _both_kinds(record, replace(groups, sample=each, pseudo=among), site)


def _both_kinds(record: Record, groups: Groups, cohort: str | None = None) -> None:
    """The single-group and the controlled series; where known breaks are asked for, only of those who have one."""
    if record.job.specification.known_breaks and not groups.breaks(groups.sample.treated):
        return
    for kind in (SINGLE, CONTROLLED):

        def with_trends(kind: str = kind) -> Rows:
            return _series(record, kind, lambda: groups.of(kind), cohort)

        def step_alone(kind: str = kind) -> Rows:
            return its_rows(groups.of(kind, trends=False), kind, FEWER_METHODS, record.job.protocol)

        record.attempt(kind, with_trends, groups.sample, cohort)
        if record.job.headline:
            record.attempt(f"{kind} without trends", step_alone, groups.sample, cohort)


def _series(record: Record, kind: str, build: Callable[[], Interrupted], cohort: str | None = None) -> Rows:
    """One series by every method; where a choice is tried, by few of them."""
    one, protocol = build(), record.job.protocol
    rows = its_rows(one, kind, METHODS if record.job.headline else FEWER_METHODS, protocol)
    record.keep("its_series", its_path(one, protocol), cohort, design=kind)
    if record.job.headline:
        record.keep("its_diagnostics", diagnostics(one, protocol.its), cohort, design=kind)
        record.keep("its_autocorrelation", autocorrelation(one, protocol.its), cohort, design=kind)
    return rows
