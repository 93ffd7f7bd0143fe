"""A made-up study of few places and few choices, estimated by the real stage in seconds: what a test leaves out of its rules is left out."""

from __future__ import annotations

import contextlib
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomlkit
from synthetic import attributes_of, cleaned_panel, two_way_counts

from analysis.core.files import write_table, write_text
from analysis.core.workspace import PROTOCOL_FILE, Workspace
from analysis.panel.panel import Cleaned
from analysis.protocol.protocol import load_protocol
from analysis.stages.results import build_results

Rules = dict[str, Any]

PLACES = {  # of one model, covered as a whole; names and codes are those of the table of cohorts
    "05C": ("MCP", "Dudley MCP", 1.0),
    "01W": ("MCP", "Stockport Together", 1.0),
    "08V": ("MCP", "Tower Hamlets Together", 1.0),
}
CONTROLS = 14
CHOICES = ("primary", "log_rate", "unmasked")


def rules() -> Rules:
    """The main protocol with one model, an outcome of each role that the return has, three choices and hardly any draws."""
    found: Rules = tomllib.loads(PROTOCOL_FILE.read_text(encoding="utf-8"))
    found["models"] = found["models"][:1]
    found["outcomes"] = found["outcomes"][:2]
    found["specifications"] = [choice for choice in found["specifications"] if choice["id"] in CHOICES]
    for choice in found["specifications"]:
        choice["draws"] = 39 if choice["id"] == "primary" else 19
    found["specification_curve"] = {"crossed": ["log_rate", "unmasked"], "draws": 19}
    found["inference"] |= {"event_study_draws": 39, "variant_draws": 39}
    found["its"] |= {"pseudo_cohorts": 39, "known_breaks": []}
    return found


def estimated(folder: Path, rules: Rules, places: dict[str, tuple[str, str, float | None]] = PLACES) -> Workspace:
    """The build folder of a study by these rules, with its estimates; counts are noise around a common path."""
    file = folder / "protocol.toml"
    file.write_text(tomlkit.dumps(rules), encoding="utf-8")
    work = Workspace(build=folder / "build", protocol_file=file, data="mar")
    protocol = load_protocol(file).without_records()
    units = [*places, *(f"C{number:02d}" for number in range(CONTROLS))]
    tables = {}
    for seed, outcome in enumerate(protocol.outcomes):
        noise = np.exp(np.random.default_rng(seed).normal(0, 0.03, (len(units), len(protocol.months))))
        path = two_way_counts(len(units), len(protocol.months)).set_axis(units, axis="index").rename_axis("unit")
        tables[outcome.id] = (path * noise).round()
    write_data(work, cleaned_panel(tables, attributes_of(units, places), protocol))
    build_results(work, lambda number: contextlib.nullcontext(lambda: None), workers=1)
    return work


def write_data(work: Workspace, cleaned: Cleaned) -> None:
    """What the stage before writes, of this panel."""
    units = cleaned.panel.unit.unique()
    sums = 1.02 * cleaned.panel.groupby(["outcome", "month"]).value_published.sum()
    national = sums.rename("value").reset_index().assign(missing=0.0)
    write_table(cleaned.panel, work.panel)
    write_table(cleaned.shifts, work.shifts)
    write_table(cleaned.ledger, work.ledger)
    write_table(pd.DataFrame({"unit": units, "share_75_plus": 0.08, "imd_average_score": 20.0}), work.units)
    write_table(pd.DataFrame(columns=["unit", "rank", "similar_unit"]), work.similar_units)
    write_table(national, work.national)
    file = {"file": "mar/a.xls", "month": "2013-04", "published": "2013-06-01", "revised": "", "sha256": "0" * 64}
    facts = {"dataset": "mar", "reason": "", "ccg_units": len(units), "rows": len(cleaned.panel), "files": [file]}
    write_text(json.dumps(facts), work.data_provenance)
