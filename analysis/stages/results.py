"""The panel → the table of estimates, and what figures draw."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from analysis.cleaning.national import read_national
from analysis.files import write_together
from analysis.models.evaluate import evaluate, job_count
from analysis.protocol import load_protocol
from analysis.slices import RESULTS_RULES
from analysis.workspace import Workspace

Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]


def build_results(work: Workspace, progress: Progress, workers: int) -> list[Path]:
    """Write the estimates, the series that figures need, and the list of what could not be run; return these files."""
    work.require(work.panel, work.shifts, work.units, work.similar_units, work.national)
    protocol = load_protocol(work.protocol_file).only(RESULTS_RULES)
    panel = pd.read_parquet(work.panel)
    shifts, covariates, similar = (pd.read_csv(path) for path in (work.shifts, work.units, work.similar_units))
    if work.records("panel.parquet").is_file():
        panel = pd.concat([panel, pd.read_parquet(work.records("panel.parquet"))], ignore_index=True)
        shifts = pd.concat([shifts, pd.read_csv(work.records("shifts.csv"))], ignore_index=True)
    else:
        protocol = protocol.without_records()
    national = read_national(work.national)
    with progress(job_count(panel, protocol)) as tick:
        results = evaluate(panel, shifts, covariates, similar, national, protocol, workers, tick)
    made = (
        {
            work.estimates: results.estimates,
            work.estimates.with_suffix(".csv"): results.estimates,
            work.not_run: results.not_run,
        }
        | {work.series(name): table for name, table in results.series.items()}
        | {work.table(name): table for name, table in results.tables.items()}
    )
    write_together(made)
    return list(made)
