"""The panel → the table of estimates, and what figures draw."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from analysis.build.slices import RESULTS_RULES
from analysis.core.errors import UsageError
from analysis.core.files import write_together
from analysis.core.workspace import Workspace
from analysis.estimation.evaluate import evaluate, job_count
from analysis.panel.national import read_national
from analysis.panel.panel import ATTRIBUTES, CCG, outcomes_from
from analysis.protocol.protocol import RECORDS, Protocol, load_protocol

Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]


def build_results(work: Workspace, progress: Progress, workers: int) -> list[Path]:
    """Write the estimates, the series that figures need, and the list of what could not be run; return these files."""
    work.require(work.panel, work.shifts, work.units, work.similar_units, work.national)
    protocol = load_protocol(work.protocol_file).only(RESULTS_RULES)
    panel = pd.read_parquet(work.panel)
    shifts, covariates, similar = (pd.read_csv(path) for path in (work.shifts, work.units, work.similar_units))
    if work.has_records:
        panel = pd.concat([panel, _records(work, panel, protocol)], ignore_index=True)
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


def _records(work: Workspace, published: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """The panel of a patient-level extract that was counted for this build.

    Raises
    ------
    UsageError
        It was counted for another one: for other commissioners, months, cohorts or outcomes.
    """
    records = pd.read_parquet(work.records("panel.parquet"))

    def places(panel: pd.DataFrame) -> pd.DataFrame:
        rows = panel[panel.geography == CCG].drop_duplicates("unit")
        return rows.set_index("unit")[ATTRIBUTES].sort_index()

    wanted = {outcome.id for outcome in outcomes_from(RECORDS, protocol)}
    differs = {
        "commissioners or cohorts": not places(records).equals(places(published)),
        "months": set(records.month) != set(protocol.months),
        "outcomes": set(records.outcome) != wanted,
    }
    if any(differs.values()):
        what = ", ".join(name for name, other in differs.items() if other)
        raise UsageError(
            f"{work.records('panel.parquet')} was counted for another study than this build's ({what} differ). Run `make records EXTRACT=…` again, "
            f"or remove {work.records('')} to do without records."
        )
    return records
