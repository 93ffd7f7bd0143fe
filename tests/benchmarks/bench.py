"""Time the stages of a build and print each beside its limit, and what the vectorised inference saves.

Run by `make bench`. It asserts nothing: a busy machine is slow for reasons that are no fault of the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from synthdid import sc_estimate, synthdid_estimate

from analysis.core.parallel import run_jobs
from analysis.core.workspace import Workspace
from analysis.estimation.did.did import compare
from analysis.estimation.did.event_study import fit_event_study, placebo_event_studies
from analysis.estimation.did.specification_curve import curve_rows
from analysis.estimation.did.trend_sensitivity import trend_sensitivity
from analysis.estimation.evaluate import curve_jobs, known_of_units, model_jobs
from analysis.estimation.inference.bootstrap import bootstrap_statistics, cluster_bootstrap, draw_signs
from analysis.estimation.inference.clustered import cr1_std_error, cr3_std_error
from analysis.estimation.inference.randomisation import draw_assignments, randomisation_test
from analysis.estimation.its.groups import Groups
from analysis.estimation.its.job import interrupted_series
from analysis.estimation.its.pseudo_cohorts import PseudoCohorts
from analysis.estimation.its.segments import segments
from analysis.estimation.its.terms import CONTROLLED
from analysis.estimation.regression.job_results import Job, Record
from analysis.estimation.regression.regression import Comparison
from analysis.estimation.regression.sample import Sample, build_sample
from analysis.estimation.sites.sites import site_samples
from analysis.estimation.synthetic.synthetic import Pool, synthetic_designs
from analysis.estimation.synthetic.synthetic_fit import AS_PUBLISHED, SDID, SYNTHETIC_CONTROL, fit_synthetic
from analysis.panel.panel import ENGLAND, LOCAL_AUTHORITY
from analysis.protocol.protocol import load_protocol
from analysis.sources.manifest import locate, pins_of, read_manifest
from analysis.sources.mar import read_all_mar

ROOT = Path(__file__).resolve().parents[2]
REFITS = 20
SYNTHETIC_REFITS = 5
COHORT = "MCP+PACS"


def main() -> None:
    work = Workspace.from_environment()
    print(f"{'what':<58}{'seconds':>9}{'limit':>8}{'ratio':>8}")
    pins = pins_of(read_manifest(work.manifest), "mar")
    paths = {pin.month: path for pin in pins if pin.month and (path := locate(pin, [work.data_raw, work.mirror]))}
    if len(paths) == len(pins):
        show(f"read the {len(paths)} monthly returns", clock(lambda: read_all_mar(paths)), 3)
    with tempfile.TemporaryDirectory() as folder:
        build = {"BUILD": f"{folder}/build", **{name: os.environ.get(name, "") for name in ("DATA", "MIRROR")}}
        show("published files to panel", clock(lambda: run("-m", "analysis", "data", **build)), 5)
        results = clock(lambda: run("-m", "analysis", "results", **build))
        show("panel to estimates", results)
        reports = clock(lambda: run("-m", "analysis", "reports", **build))
        show("estimates to reports", reports)
        show("panel to both formats", results + reports, 60)
        one_sentence(folder)
    compare_inference(work)
    compare_synthetic(work)
    sceptic(work)
    time_series(work)


def one_sentence(folder: str) -> None:
    """A fresh copy of the repository: set-up, a whole build, nothing changed, one sentence changed."""
    copy = Path(folder) / "copy"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    mirror = {"MIRROR": str((ROOT / os.environ.get("MIRROR", "../shared/data")).resolve()), "BUILD": "build"}
    show("set-up", clock(lambda: make(copy, ".venv/.ready", **mirror)), 90)
    make(copy, "report", **mirror)
    show("make report, nothing changed", clock(lambda: make(copy, "report", **mirror)), 1.5)
    show("make verify", clock(lambda: make(copy, "verify", **mirror)), 5)
    index = copy / "build/reports/index.html"
    before = index.stat().st_mtime_ns
    source = copy / "reports/evaluation.qmd"
    source.write_text(source.read_text(encoding="utf-8") + "\nOne more sentence.\n", encoding="utf-8")
    seconds = clock(lambda: make(copy, "report", **mirror))
    show("make report, one sentence changed", seconds)
    print(f"  the other report was {'left alone' if index.stat().st_mtime_ns == before else 'rendered too'}")


def compare_inference(work: Workspace) -> None:
    """What each method takes on the CCG panel for one cohort, and what the same by a library's own loop would take."""
    protocol = load_protocol(work.protocol_file)
    outcome, primary = protocol.primary_outcomes[0].id, protocol.specification("primary")
    sample = build_sample(pd.read_parquet(work.panel), outcome, protocol.treated_cohorts[COHORT], primary, protocol)
    post = np.asarray(sample.months >= protocol.study.programme_start)
    comparison = compare(sample, primary, post)
    logs = compare(sample, protocol.specification("log_rate"), post)
    (estimate, error), (log_estimate, log_error) = (_estimate(each) for each in (comparison, logs))
    level, draws = protocol.study.conf_level, primary.draws

    def randomisation() -> None:
        assignments = draw_assignments(sample.cluster, sample.treated, draws, 1)
        randomisation_test(comparison, assignments, estimate, error, level)

    seconds = clock(randomisation)
    show(f"{draws:,} randomisation draws with interval", seconds, 3)
    faster("than refitting with pyfixest", pyfixest_refits(sample, post) * draws, seconds, 100)
    seconds = clock(lambda: cluster_bootstrap(logs, draws, 1, log_estimate, log_error, level))
    show(f"{draws:,} wild bootstrap draws with interval", seconds, 2)
    signs = draw_signs(logs.clusters, draws, 1)[0]
    alone = clock(lambda: bootstrap_statistics(logs, logs.null(), signs))
    faster("wild bootstrap test alone, than wildboottest", wildboottest_seconds(logs, draws), alone, 4)
    show(
        f"{draws:,} score bootstrap draws with interval",
        clock(lambda: cluster_bootstrap(comparison, draws, 1, estimate, error, level)),
    )
    show("CR3 by refits", clock(lambda: cr3_std_error(comparison, comparison.fit())), 1)


def compare_synthetic(work: Workspace) -> None:
    """Synthetic designs of the cohorts and of every site with all placebos, and what synthdid-py's own loop would take."""
    protocol = load_protocol(work.protocol_file)
    panel = pd.read_parquet(work.panel)
    panel = panel[~panel.geography.isin([ENGLAND, LOCAL_AUTHORITY])]
    outcome, primary = protocol.primary_outcomes[0].id, protocol.specification("primary")
    cohorts = [build_sample(panel, outcome, models, primary, protocol) for models in protocol.treated_cohorts.values()]
    sites, controls = site_samples(panel, outcome, primary, protocol)
    placebos: dict[tuple[str, int], int] = {}

    def every() -> None:
        for number, sample in enumerate(cohorts):
            placebos["cohort", number] = synthetic_designs(sample, 1, protocol)[1].placebos[0]
        pool = Pool(controls, 1, protocol)
        for sample in sites.values():
            placebos["sites of", sample.treated.sum()] = synthetic_designs(sample, 1, protocol, pool)[1].placebos[0]

    seconds = clock(every)
    show(f"synthetic designs, {len(cohorts)} cohorts, {len(sites)} sites, all placebos", seconds, 30)
    pool = Pool(controls, 1, protocol)
    values, before = pool.series.log_rate, pool.before

    def loop() -> None:
        for unit in range(SYNTHETIC_REFITS):
            order = [*range(unit), *range(unit + 1, len(values)), unit]
            synthdid_estimate(values[order], len(values) - 1, before)
            sc_estimate(values[order], len(values) - 1, before)

    total, each = sum(placebos.values()), clock(loop) / SYNTHETIC_REFITS
    said = f"than synthdid-py's loop over the same {total:,} placebos (from {SYNTHETIC_REFITS} of them)"
    faster(said, each * total, seconds, 10)
    donors = ~np.eye(len(values), dtype=bool)
    steps = clock(lambda: fit_synthetic(values, values, donors, before, SDID, solver=AS_PUBLISHED))
    steps += clock(lambda: fit_synthetic(values, values, donors, before, SYNTHETIC_CONTROL, solver=AS_PUBLISHED))
    faster("the library's own steps, all single placebos at once", each * len(values), steps, 10)


def sceptic(work: Workspace) -> None:
    """Sensitivity to parallel trends of every cohort, and the specification curve on as many workers as a build has."""
    protocol = load_protocol(work.protocol_file)
    panel = pd.read_parquet(work.panel)
    outcome, primary = protocol.primary_outcomes[0].id, protocol.specification("primary")
    samples = [build_sample(panel, outcome, models, primary, protocol) for models in protocol.treated_cohorts.values()]
    studies = [fit_event_study(sample, primary, protocol) for sample in samples]
    draws = protocol.inference.event_study_draws
    placebos = [placebo_event_studies(s.comparison, s.shapes, s.before, draws, 1) for s in studies]

    def trends() -> None:
        for study, drawn in zip(studies, placebos, strict=True):
            trend_sensitivity(study, drawn, protocol)

    show(f"sensitivity to parallel trends, {len(studies)} cohorts", clock(trends), 20)
    tables = [pd.read_csv(path) for path in (work.shifts, work.units, work.similar_units)]
    known = known_of_units(panel, *tables, protocol)
    jobs, workers = curve_jobs(panel, known, protocol), os.cpu_count() or 1
    show(
        f"specification curve, {len(jobs)} combinations, {workers} workers",
        clock(lambda: list(run_jobs(curve_rows, jobs, workers))),
        60,
    )


def time_series(work: Workspace) -> None:
    """Every series of every outcome, by every method and under every choice; and the pseudo-cohorts by themselves."""
    protocol, workers = load_protocol(work.protocol_file), os.cpu_count() or 1
    panel = pd.read_parquet(work.panel)
    known = known_of_units(
        panel, *[pd.read_csv(path) for path in (work.shifts, work.units, work.similar_units)], protocol
    )
    jobs = [job for job in model_jobs(panel, known, protocol)[0] if "its" in job.specification.designs]
    seconds = clock(lambda: list(run_jobs(every_series, jobs, workers)))
    show(f"interrupted time series: all series, methods, outcomes, {workers} workers", seconds, 30)
    outcome, primary = protocol.primary_outcomes[0], protocol.specification("primary")
    cohorts = protocol.treated_cohorts.values()
    samples = [build_sample(panel, outcome.id, models, primary, protocol) for models in cohorts]
    draws = protocol.its.pseudo_cohorts

    def pseudo() -> None:
        for sample in samples:
            among = PseudoCohorts(sample.only(~sample.treated), draws, 1)
            one = Groups(sample, outcome, primary, protocol, among).of(CONTROLLED)
            assert one.judge is not None
            for contrast in one.design.contrasts.values():
                one.judge(contrast)

    seconds = clock(pseudo)
    show(f"{draws:,} pseudo-cohorts of each of {len(samples)} cohorts", seconds, 20)
    sample = samples[-1]
    placebos, _ = PseudoCohorts(sample.only(~sample.treated), draws, 1).of((1.0,) * int(sample.treated.sum()))
    start = protocol.study.programme_start
    design = segments(sample.months, start, protocol.its, outcome, primary)

    def loop() -> None:
        for series in placebos.log_rate[:REFITS]:
            fit = sm.OLS(series, design.matrix).fit()
            for contrast in design.contrasts.values():
                fit.t_test(contrast)

    faster("than a statsmodels loop over them", clock(loop) / REFITS * draws * len(samples), seconds, 10)


def every_series(job: Job) -> int:
    """The interrupted time series of one job, and nothing else of it; how many rows there are."""
    record, specification, outcome = Record(job), job.specification, job.outcome
    models = job.protocol.treated_cohorts[job.cohort]
    sample = build_sample(job.panel, outcome.id, models, specification, job.protocol, job.tables)
    if sample.treated.any() and not sample.treated.all():
        commissioners = LOCAL_AUTHORITY not in set(job.panel.geography)
        sites = job.pooled and commissioners and ("sites" in specification.designs or specification.known_breaks)
        synthetic = "synthetic" in specification.designs and outcome.role == "primary"
        pool = partial(Pool, sample, 1, job.protocol) if synthetic else None
        interrupted_series(record, sample, 1, pool, sites)
    return len(record.found.rows)


def _estimate(comparison: Comparison) -> tuple[float, float]:
    fit = comparison.fit()
    return float(fit.coefficients[0]), cr1_std_error(comparison, fit)


def pyfixest_refits(sample: Sample, post: np.ndarray) -> float:
    """Seconds of one placebo assignment's fit by pyfixest, CR1 included."""
    import pyfixest

    units, months = sample.counts.shape
    long = pd.DataFrame(
        {
            "y": sample.counts.ravel(),
            "offset": np.log(sample.population).ravel(),
            "unit": np.repeat(np.arange(units), months),
            "month": np.tile(np.arange(months), units),
            "site": np.repeat(sample.cluster, months),
            "d": np.outer(sample.treated, post).ravel().astype(float),
        }
    ).dropna()

    def loop() -> None:
        for _ in range(REFITS):
            pyfixest.fepois("y ~ d | unit + month", data=long, vcov={"CRV1": "site"}, offset="offset")

    clock(loop)  # what is compiled on first use
    return clock(loop) / REFITS


def wildboottest_seconds(logs: Comparison, draws: int) -> float:
    """Seconds of wildboottest for the same test: unit means taken off first, month effects as its regressors."""
    import statsmodels.api as sm
    from wildboottest.wildboottest import wildboottest

    observed = logs.model.observed
    values = np.where(observed, logs.model.values, np.nan)  # type: ignore[attr-defined]
    units, months = values.shape
    columns = [logs.treatment, *(np.tile(np.arange(months) == month, (units, 1)) for month in range(1, months))]
    within = [np.where(observed, column, np.nan).astype(float) for column in [values, *columns]]
    taken = np.column_stack([(each - np.nanmean(each, axis=1, keepdims=True))[observed] for each in within])
    names = ["d", *(f"m{month}" for month in range(1, months))]
    model = sm.OLS(taken[:, 0], pd.DataFrame(taken[:, 1:], columns=names))
    cluster = pd.Series(np.broadcast_to(logs.cluster[:, None], observed.shape)[observed])

    def test() -> None:
        wildboottest(
            model, param="d", cluster=cluster, B=draws, bootstrap_type="11", impose_null=True, show=False, seed=1
        )

    clock(test)  # what is compiled on first use
    return clock(test)


def faster(what: str, theirs: float, ours: float, wanted: float) -> None:
    print(
        f"  {what}: {theirs:.1f} s against {ours:.2f} s, {theirs / ours:.0f} times (at least {wanted:g} wanted)",
        flush=True,
    )


def clock(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def show(what: str, seconds: float, limit: float | None = None) -> None:
    print(
        f"{what:<58}{seconds:>9.2f}{f'{limit:g}' if limit else '':>8}{f'{seconds / limit:.2f}' if limit else '':>8}",
        flush=True,
    )


def run(*arguments: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL
    )


def make(folder: Path, target: str, **environment: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(
        [shutil.which("make") or "make", target],
        cwd=folder, env=clean | environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    main()
