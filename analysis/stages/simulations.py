"""Simulated error rates, which are committed: they take far longer than everything else."""

from __future__ import annotations

import pandas as pd

from analysis.core.checkout import commit
from analysis.core.files import write_together
from analysis.core.workspace import Workspace
from analysis.estimation.simulation.its_simulation import chunk_count as its_chunk_count
from analysis.estimation.simulation.its_simulation import simulate_its
from analysis.estimation.simulation.simulation import chunk_count, simulate
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.stages.results import Progress
from analysis.stages.written import table_to_write


def run_simulation(work: Workspace, progress: Progress, workers: int, draws: int) -> None:
    """Write the table of error rates, with the seed and the commit that made it, among the reports' sources."""
    work.require(work.panel, work.units)
    protocol = load_protocol(work.protocol_file)
    target = table_to_write(work, "simulation")
    panel, units = pd.read_parquet(work.panel), pd.read_csv(work.units)
    with progress(chunk_count(protocol, draws)) as tick:
        table = simulate(panel, units, protocol, draws, workers, tick)
    write_together({target: _signed(table, work, protocol)})


def run_its_simulation(work: Workspace, progress: Progress, workers: int, draws: int) -> None:
    """The same of the methods for interrupted time series."""
    work.require(work.panel)
    protocol = load_protocol(work.protocol_file)
    target = table_to_write(work, "its_simulation")
    with progress(its_chunk_count(protocol, draws)) as tick:
        table = simulate_its(pd.read_parquet(work.panel), protocol, draws, workers, tick)
    write_together({target: _signed(table, work, protocol)})


def _signed(table: pd.DataFrame, work: Workspace, protocol: Protocol) -> pd.DataFrame:
    """A simulated table with the seed and the commit that made it."""
    head, clean = commit(work.root)
    return table.assign(seed=protocol.study.seed, commit=head if clean else f"{head}, with changes")
