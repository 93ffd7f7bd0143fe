"""The stages of a run, where everything is read and written: data, results, reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.cleaning import assemble
from analysis.cleaning.cohorts import read_cohorts
from analysis.cleaning.geography import build_geography, read_ccg_changes
from analysis.cleaning.panel import CCG, Cleaned, clean
from analysis.cleaning.snapshot import read_snapshot, summarise
from analysis.files import write_csv, write_parquet, write_text
from analysis.models.evaluate import evaluate, job_count
from analysis.protocol import Protocol, load_protocol
from analysis.sources.acquire import SetUnavailable, acquire
from analysis.sources.gp_lists import read_gp_lists
from analysis.sources.lookup import read_lsoa_lookup, read_similar_ccgs
from analysis.sources.manifest import Pin, pins_of, read_manifest, required_months
from analysis.sources.mar import read_all_mar
from analysis.sources.ons import read_mid2015
from analysis.workspace import Workspace

Say = Callable[[str], None]
Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]

MID2015_FILE = "SAPE18DT5"
LSOA_FILE, SIMILAR_FILE = "lsoa11", "ccg16"
LSOA_BOUNDARIES = pd.Timestamp("2018-04-01")  # the date whose CCGs and STPs the LSOA lookup gives


def build_data(work: Workspace, say: Say) -> None:
    """Write the panel, the quality ledger, the list of lasting shifts, and where the data came from."""
    protocol = load_protocol(work.protocol_file)
    cleaned, provenance = _clean_mar_or_snapshot(work, protocol, say)
    write_csv(cleaned.ledger, work.ledger)
    write_csv(cleaned.shifts, work.shifts)
    _write_json(provenance, work.data_provenance)
    write_parquet(cleaned.panel, work.panel)


def build_results(work: Workspace, progress: Progress, workers: int) -> None:
    """Write the estimates, the series that figures need, and the list of what could not be run."""
    protocol = load_protocol(work.protocol_file)
    panel = pd.read_parquet(work.panel)
    shifts = pd.read_csv(work.shifts)
    with progress(job_count(panel, protocol)) as tick:
        results = evaluate(panel, shifts, protocol, workers, tick)
    write_parquet(results.its_series, work.its_series)
    write_csv(results.not_run, work.not_run)
    write_csv(results.estimates, work.estimates.with_suffix(".csv"))
    write_parquet(results.estimates, work.estimates)


def write_snapshot(work: Workspace, say: Say) -> None:
    """Write the embedded snapshot from the full published data."""
    protocol = load_protocol(work.protocol_file)
    files = acquire(_needed(work, protocol), work.data_raw, work.mirror, work.build / "downloads")
    cleaned, stp_of = _clean_mar(work, protocol, files)
    for name, table in summarise(cleaned.panel, stp_of).items():
        write_csv(table, work.snapshot / name)
        say(f"{work.snapshot / name}: {len(table):,} rows")
    write_csv(cleaned.ledger, work.snapshot / work.ledger.name)
    _write_json(_provenance(cleaned, files), work.snapshot / work.data_provenance.name)


def _clean_mar_or_snapshot(work: Workspace, protocol: Protocol, say: Say) -> tuple[Cleaned, dict[str, Any]]:
    reason = "DATA=snapshot was asked for."
    if work.data != "snapshot":
        try:
            files = acquire(_needed(work, protocol), work.data_raw, work.mirror, work.build / "downloads")
        except SetUnavailable as unavailable:
            if work.data == "mar":
                raise
            reason = str(unavailable)
            say(f"{reason} Using the embedded snapshot.")
        else:
            cleaned, _ = _clean_mar(work, protocol, files)
            return cleaned, {"dataset": "mar", "reason": "", **_provenance(cleaned, files)}
    panel = read_snapshot(work.snapshot)
    ledger = pd.read_csv(work.snapshot / work.ledger.name, keep_default_na=False)
    shifts = pd.DataFrame(columns=["outcome", "unit", "unit_name", "month", "ratio"])
    made_from = json.loads((work.snapshot / work.data_provenance.name).read_text(encoding="utf-8"))
    return Cleaned(panel, ledger, shifts), {"dataset": "snapshot", "reason": reason, **made_from}


def _needed(work: Workspace, protocol: Protocol) -> list[Pin]:
    pins = read_manifest(work.manifest)
    window = required_months(pins, "mar", protocol.study.start.date(), protocol.study.end.date())
    return [*window.values(), _pin(pins, "ons", MID2015_FILE), *pins_of(pins, "gp_lists"), *pins_of(pins, "lookup")]


def _clean_mar(work: Workspace, protocol: Protocol, files: dict[Pin, Path]) -> tuple[Cleaned, pd.DataFrame]:
    """The cleaned panel from published files, and the STP of every unit."""
    pins = list(files)
    ccgs = read_similar_ccgs(files[_pin(pins, "lookup", SIMILAR_FILE)])
    lsoas = read_lsoa_lookup(files[_pin(pins, "lookup", LSOA_FILE)])
    changes = read_ccg_changes(work.data_raw / "ccg_changes.csv")
    geography = build_geography(changes, sorted(ccgs.ccg_code.unique()), protocol.study.boundaries)
    cohorts = read_cohorts(work.data_raw / "vanguard_ccgs.csv", geography.known_codes, protocol.model_ids)
    known = geography.known_codes | set(protocol.study.outside_panel)
    mar = read_all_mar({pin.month: path for pin, path in files.items() if pin.source == "mar" and pin.month}, known)
    names = assemble.ccg_names(ccgs, lsoas, changes)
    cleaned = clean(
        counts=assemble.unit_counts(mar, geography, protocol),
        population=assemble.population_by_month(
            read_mid2015(files[_pin(pins, "ons", MID2015_FILE)]),
            ccgs,
            read_gp_lists(files[pins_of(pins, "gp_lists")[0]]),
            geography,
            protocol,
        ),
        attributes=assemble.unit_attributes(cohorts, names, geography, protocol),
        notes=assemble.notes_by_month(mar),
        protocol=protocol,
    )
    return cleaned, assemble.stp_of_units(lsoas, geography, LSOA_BOUNDARIES)


def _pin(pins: list[Pin], source: str, name: str) -> Pin:
    return next(pin for pin in pins_of(pins, source) if name in pin.file)


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


def _write_json(content: dict[str, Any], target: Path) -> None:
    write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", target)
