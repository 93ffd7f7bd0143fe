"""The stages of a run, where everything is read and written: data, results, reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.cleaning.national import read_national
from analysis.cleaning.panel import CCG, Cleaned
from analysis.cleaning.snapshot import NATIONAL_FILE, summarise
from analysis.errors import MachineError
from analysis.files import write_together
from analysis.inputs import Reference, clean_published, clean_snapshot, published_files
from analysis.protocol import Protocol, load_protocol
from analysis.sources.acquire import SetUnavailable
from analysis.sources.manifest import Pin
from analysis.workspace import Workspace

Say = Callable[[str], None]
Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]


def build_data(work: Workspace, say: Say) -> None:
    """Write the panel, the tables of its units, the quality ledger and lasting shifts, and where the data came from."""
    protocol = load_protocol(work.protocol_file)
    cleaned, reference, provenance = _published_or_snapshot(work, protocol, say)
    write_together(
        {
            work.panel: cleaned.panel,
            work.units: reference.units,
            work.similar_units: reference.similar_units,
            work.data_provenance: _json(provenance),
            work.ledger: cleaned.ledger,
            work.shifts: cleaned.shifts,
            work.national: cleaned.national,
        }
    )


def build_results(work: Workspace, progress: Progress, workers: int) -> None:
    """Write the estimates, the series that figures need, and the list of what could not be run."""
    # Imported here because it takes seconds, and the data stage needs none of it.
    from analysis.models.evaluate import evaluate, job_count

    work.require(work.panel, work.shifts, work.units, work.similar_units, work.national)
    protocol = load_protocol(work.protocol_file)
    panel = pd.read_parquet(work.panel)
    shifts, covariates, similar = (pd.read_csv(path) for path in (work.shifts, work.units, work.similar_units))
    national = read_national(work.national)
    with progress(job_count(panel, protocol)) as tick:
        results = evaluate(panel, shifts, covariates, similar, national, protocol, workers, tick)
    write_together(
        {
            work.estimates: results.estimates,
            work.estimates.with_suffix(".csv"): results.estimates,
            work.not_run: results.not_run,
        }
        | {work.series(name): table for name, table in results.series.items()}
        | {work.table(name): table for name, table in results.tables.items()}
    )
    # A series of an earlier run that this one has nothing of would be drawn beside this one's numbers.
    for earlier in set(work.results.glob("*.parquet")) - {work.estimates, *map(work.series, results.series)}:
        earlier.unlink()


def run_simulation(work: Workspace, progress: Progress, workers: int, draws: int) -> None:
    """Write the table of error rates, with the seed and the commit that made it, among the reports' sources."""
    from analysis.inference.simulation import chunk_count, simulate

    work.require(work.panel, work.units)
    protocol = load_protocol(work.protocol_file)
    panel, units = pd.read_parquet(work.panel), pd.read_csv(work.units)
    with progress(chunk_count(protocol, draws)) as tick:
        table = simulate(panel, units, protocol, draws, workers, tick)
    write_together({work.simulation: _signed(table, work, protocol)})


def run_its_simulation(work: Workspace, progress: Progress, workers: int, draws: int) -> None:
    """The same of the methods for interrupted time series."""
    from analysis.inference.its_simulation import chunk_count, simulate_its

    work.require(work.panel)
    protocol = load_protocol(work.protocol_file)
    with progress(chunk_count(protocol, draws)) as tick:
        table = simulate_its(pd.read_parquet(work.panel), protocol, draws, workers, tick)
    write_together({work.its_simulation: _signed(table, work, protocol)})


def _signed(table: pd.DataFrame, work: Workspace, protocol: Protocol) -> pd.DataFrame:
    """A simulated table with the seed and the commit that made it."""
    from analysis.publish.provenance import commit

    head, clean = commit(work.root)
    return table.assign(seed=protocol.study.seed, commit=head if clean else f"{head}, with changes")


def write_snapshot(work: Workspace, say: Say) -> None:
    """Write the embedded snapshot from the full published data."""
    protocol = load_protocol(work.protocol_file)
    files = published_files(work, protocol, for_snapshot=True)
    cleaned, reference = clean_published(work, protocol, files)
    if reference.stp_of is None:
        raise SetUnavailable("The snapshot needs the lookups and population files as well as the monthly returns.")
    tables = summarise(cleaned.panel, reference.stp_of)
    tables |= {NATIONAL_FILE: cleaned.national, work.ledger.name: cleaned.ledger}
    provenance = _json(_provenance(cleaned, files))
    write_together(
        {work.snapshot / name: table for name, table in tables.items()}
        | {work.snapshot / work.data_provenance.name: provenance}
    )
    for name, table in tables.items():
        say(f"{name}: {len(table):,} rows")


def _published_or_snapshot(work: Workspace, protocol: Protocol, say: Say) -> tuple[Cleaned, Reference, dict[str, Any]]:
    reason = "DATA=snapshot was asked for."
    if work.data != "snapshot":
        try:
            files = published_files(work, protocol)
        except SetUnavailable as unavailable:
            if work.data == "mar":
                there = "" if work.mirror else ", which is not a folder"
                raise MachineError(
                    f"{unavailable} They were looked for in data_raw/ and in MIRROR={work.mirror_asked}{there}. "
                    "Put them there, or run with DATA=snapshot."
                ) from unavailable
            reason = str(unavailable)
            say(f"{reason} Using the embedded snapshot.")
        else:
            cleaned, reference = clean_published(work, protocol, files)
            return cleaned, reference, {"dataset": "mar", "reason": "", **_provenance(cleaned, files)}
    cleaned, reference, made_from = clean_snapshot(work, protocol)
    return cleaned, reference, {"dataset": "snapshot", "reason": reason, **made_from}


def _provenance(cleaned: Cleaned, files: dict[Pin, Path]) -> dict[str, Any]:
    """What the panel was made from, for the reports' provenance block."""
    records = [
        {
            "file": pin.file, "title": pin.title, "month": f"{pin.month:%Y-%m}" if pin.month else "", "publisher": pin.publisher,
            "published": str(pin.published or ""), "revised": str(pin.revised or ""), "sha256": pin.sha256, "licence": pin.licence,
        }
        for pin in files
    ]  # fmt: skip
    ccgs = cleaned.panel[cleaned.panel.geography == CCG]
    return {"ccg_units": int(ccgs.unit.nunique()), "rows": len(cleaned.panel), "files": records}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
