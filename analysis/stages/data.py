"""Published files, or the embedded snapshot → the panel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.build.slices import DATA_RULES
from analysis.core.errors import MachineError
from analysis.core.files import write_together
from analysis.core.workspace import Workspace
from analysis.panel.inputs import Reference, clean_published, clean_snapshot, published_files
from analysis.panel.panel import CCG, Cleaned, Held
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.sources.acquire import SetUnavailable
from analysis.sources.manifest import Pin

Say = Callable[[str], None]


def build_data(work: Workspace, say: Say, held: Held | None = None) -> list[Path]:
    """Write the panel, the tables of its units, the quality ledger and lasting shifts, and where the data came from; return these files.

    ``held`` stands in for the data-quality rule in the months of an earlier edition.
    """
    protocol = load_protocol(work.protocol_file).only(DATA_RULES)
    cleaned, reference, provenance = _published_or_snapshot(work, protocol, say, held)
    made = {
        work.panel: cleaned.panel,
        work.units: reference.units,
        work.similar_units: reference.similar_units,
        work.data_provenance: as_json(provenance),
        work.ledger: cleaned.ledger,
        work.shifts: cleaned.shifts,
        work.national: cleaned.national,
    }
    write_together(made)
    return list(made)


def _published_or_snapshot(
    work: Workspace, protocol: Protocol, say: Say, held: Held | None
) -> tuple[Cleaned, Reference, dict[str, Any]]:
    reason = "DATA=snapshot was asked for."
    if work.data != "snapshot":
        try:
            files = published_files(work, protocol)
        except SetUnavailable as unavailable:
            if work.data == "mar" or not protocol.study.snapshot:
                or_snapshot = (
                    ", or run with DATA=snapshot"
                    if protocol.study.snapshot
                    else ": this programme has no embedded snapshot"
                )
                there = "" if work.mirror else ", which is not a folder"
                raise MachineError(
                    f"{unavailable} They were looked for in data_raw/ and in MIRROR={work.mirror_asked}{there}. "
                    f"Put them there{or_snapshot}."
                ) from unavailable
            reason = str(unavailable)
            say(f"{reason} Using the embedded snapshot.")
        else:
            cleaned, reference = clean_published(work, protocol, files, held)
            return cleaned, reference, {"dataset": "mar", "reason": "", **provenance_of(cleaned, files)}
    cleaned, reference, made_from = clean_snapshot(work, protocol)
    return cleaned, reference, {"dataset": "snapshot", "reason": reason, **made_from}


def provenance_of(cleaned: Cleaned, files: dict[Pin, Path]) -> dict[str, Any]:
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


def as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
