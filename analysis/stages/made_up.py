"""A made-up extract of patient-level records for this study, to try and measure the counting with. It is never data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.core.errors import UsageError
from analysis.core.scratch import MARK, scratch_folder
from analysis.core.workspace import Workspace
from analysis.panel.geography import members
from analysis.panel.snapshot import read_population
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.records.draw import Plan
from analysis.records.synthesise import PARTITION, TRUTH, synthesise
from analysis.stages.data import Say


def make_up(work: Workspace, rows: int, folder: Path, effect: float, seed: int, say: Say) -> None:
    """Write a made-up extract whose treated commissioners are the study's, with a known effect on admissions.

    Raises
    ------
    UsageError
        The folder holds something else.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else [""] if folder.exists() else []
    if any(name not in (TRUTH, MARK) and not name.startswith(PARTITION) for name in names):
        raise UsageError(f"{folder} holds something else. Name a folder that is not there yet.")
    scratch_folder(folder, anew=True)
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
    population = read_population(work.snapshot, protocol)
    persons = population.groupby("unit").population.mean()
    cohorts = pd.read_csv(work.named(protocol.study.cohorts))
    whole = set(cohorts.ccg_code[cohorts.model.isin(protocol.model_ids) & (cohorts.coverage == "whole")])
    rows = [
        (code, persons[unit] / len(members(unit)), code in whole) for unit in persons.index for code in members(unit)
    ]
    return pd.DataFrame(rows, columns=["ccg_code", "population", "treated"])
