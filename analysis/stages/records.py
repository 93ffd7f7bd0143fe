"""A patient-level extract → a private panel, and from it the safe one that every later step reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd

from analysis.cleaning.assemble import members
from analysis.cleaning.panel import ATTRIBUTES, CCG, clean
from analysis.cleaning.snapshot import read_population
from analysis.errors import DataError, UsageError
from analysis.files import write_together
from analysis.inputs import study_geography
from analysis.protocol import Protocol, load_protocol
from analysis.records.counts import USED, linked_counts, monthly
from analysis.records.disclosure import rounded, safe_panel
from analysis.records.engines import open_engine
from analysis.records.episodes import OF_ROWS, classified, read_episodes, unreadable
from analysis.records.extract import Extract, column_names, find_extract
from analysis.records.scan import scan
from analysis.records.spells import OF_SPELLS
from analysis.records.synthesise import TRUTH, Plan, synthesise
from analysis.stages.data import Say, as_json
from analysis.workspace import Workspace


def build_records(work: Workspace, place: str, engine_name: str, master: str, say: Say) -> list[Path]:
    """Count an extract and write the safe panel and the safe ledger of its rows; return these files.

    The exact panel, and what the data-quality rule says of it, stay in the private folder.

    Raises
    ------
    UsageError
        There is no extract, no such engine, or the panel of published data is of another geography.
    DataError
        The extract is not sound, or does not cover the window.
    """
    work.require(work.panel)
    protocol = load_protocol(work.protocol_file)
    published = pd.read_parquet(work.panel)
    units = published[published.geography == CCG]
    if units.empty:
        raise UsageError(
            "Records are counted by commissioner, and this build holds the snapshot's areas. Supply the published files (MIRROR=folder)."
        )
    # Codes of every year: an extract has those that were in force when the patient was in hospital.
    unit_of = study_geography(work, protocol).unit_of
    source = find_extract(place, protocol.records.columns)
    engine = open_engine(engine_name, work.private, master, url=source.url)
    raw = engine.read(source)
    if source.table:
        source = Extract(
            (),
            source.kind,
            column_names(f"table {source.table}", raw.columns, protocol.records.columns),
            source.url,
            source.table,
        )
    check_content(raw, source, protocol)
    say(f"{place}: {len(source.files) or 1} files, on {engine.name}")
    counts = linked_counts(engine, classified(read_episodes(raw, source), protocol.records))
    long, ledger = monthly(counts, unit_of, protocol.months)
    wanted = {outcome.measure: outcome.id for outcome in protocol.outcomes if outcome.source == "records"}
    long = long[long.outcome.isin(wanted)].assign(outcome=long.outcome.map(wanted))
    once = units[units.outcome == units.outcome.iloc[0]]
    population = once[["unit", "month", "population_published"]].rename(columns={"population_published": "population"})
    attributes = once.drop_duplicates("unit")[["unit", "unit_name", *ATTRIBUTES]]
    cleaned = clean(long, population, attributes, {}, protocol, source="records")
    rules = protocol.records
    before = pd.read_parquet(work.records("panel.parquet")) if work.records("panel.parquet").is_file() else None
    safe = safe_panel(cleaned.panel, rules.smallest_count, rules.round_to, before)
    said = OF_ROWS | OF_SPELLS | {USED: "of the emergency spells that are counted"}
    shown = rounded(ledger, rules.smallest_count, rules.round_to)
    table = pd.DataFrame(
        [(reason, shown[reason], said[reason]) for reason in ledger], columns=["reason", "rows", "what"]
    )
    made_up = (Path(place) / TRUTH).is_file() if not source.url else False
    provenance = {"engine": engine.name, "made_up": made_up, "files": len(source.files)}
    write_together(
        {
            work.private / "panel.parquet": cleaned.panel, work.private / "quality_ledger.csv": cleaned.ledger,
            work.private / "ledger.csv": pd.DataFrame({"reason": list(ledger), "rows": list(ledger.values())}),
        }
    )  # fmt: skip
    made: dict[Path, pd.DataFrame | str] = {
        work.records("panel.parquet"): safe,
        work.records("ledger.csv"): table,
        work.records("shifts.csv"): cleaned.shifts.round({"ratio": 2}),
        work.records("provenance.json"): as_json(provenance),
    }
    write_together(made)
    say(f"about {shown[USED] or 0:,} episodes are counted; why the others are not: {work.records('ledger.csv')}")
    return list(made)


def check_content(raw: ir.Table, source: Extract, protocol: Protocol) -> None:
    """Look at dates before long work begins.

    Raises
    ------
    DataError
        A text is no date or number, or the window has a month without admissions.
    """
    example = unreadable(raw, source).to_pyarrow().to_pylist()[0]
    where = source.files[0].parent if source.files else source.table
    for column, text in example.items():
        if text is not None:
            raise DataError(
                where, repr(text), "dates as YYYY-MM-DD and numbers in digits, in every row", "Write the column in one form.",
                column=source.names.get(column, column),
            )  # fmt: skip
    admitted = read_episodes(raw, source).ADMIDATE
    months = admitted.truncate("M").name("month").as_table().distinct().to_pyarrow().column(0).to_pylist()
    absent = protocol.months.difference(pd.DatetimeIndex([month for month in months if month is not None]))
    if len(absent):
        raise DataError(
            where, f"no admission in {absent[0]:%B %Y}", f"admissions in every month from {protocol.months[0]:%B %Y} to {protocol.months[-1]:%B %Y}",
            "Add the files that are missing, or shorten the window of the protocol.", column=source.names.get("ADMIDATE", "ADMIDATE"),
        )  # fmt: skip


def check_safe(work: Workspace) -> list[str]:
    """What is not safe in the files that leave the build."""
    rules = load_protocol(work.protocol_file).records
    return scan(work.build, rules.smallest_count, rules.round_to)


def make_up(work: Workspace, rows: int, folder: Path, effect: float, seed: int, say: Say) -> None:
    """Write a made-up extract whose treated commissioners are the study's, with a known effect on admissions.

    Raises
    ------
    UsageError
        The folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / TRUTH).is_file():
        raise UsageError(f"{folder} holds something else. Name a folder that is not there yet.")
    shutil.rmtree(folder, ignore_errors=True)
    protocol = load_protocol(work.protocol_file)
    plan = Plan(
        study_units(work, protocol),
        protocol.study.start,
        protocol.study.end + pd.offsets.MonthEnd(0),
        protocol.study.programme_start,
        effect,
        seed,
    )
    done = 0
    for part in synthesise(plan, rows, folder, work.workers):
        done += part
        if done % 10_000_000 == 0 or done == rows:
            say(f"{done:,} of {rows:,} episodes")


def study_units(work: Workspace, protocol: Protocol) -> pd.DataFrame:
    """[ccg_code, population, treated] of every commissioner, from the embedded population and the protocol's cohorts."""
    _, population = read_population(work.snapshot, protocol)
    persons = population.groupby("unit").population.mean()
    cohorts = pd.read_csv(work.named(protocol.study.cohorts))
    whole = set(cohorts.ccg_code[cohorts.model.isin(protocol.model_ids) & (cohorts.coverage == "whole")])
    rows = [
        (code, persons[unit] / len(members(unit)), code in whole) for unit in persons.index for code in members(unit)
    ]
    return pd.DataFrame(rows, columns=["ccg_code", "population", "treated"])
