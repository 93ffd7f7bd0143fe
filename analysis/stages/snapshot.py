"""The embedded snapshot, from the full published data."""

from __future__ import annotations

from analysis.core.errors import UsageError
from analysis.core.files import write_together
from analysis.core.workspace import Workspace
from analysis.panel.inputs import clean_published, published_files
from analysis.panel.snapshot import NATIONAL_FILE, summarise
from analysis.protocol.protocol import load_protocol
from analysis.sources.acquire import SetUnavailable
from analysis.stages.data import Say, as_json, provenance_of


def write_snapshot(work: Workspace, say: Say) -> None:
    """Write the embedded snapshot from the full published data."""
    protocol = load_protocol(work.protocol_file)
    if not protocol.study.snapshot:
        raise UsageError(
            f"data_raw/snapshot is not of this programme: {work.protocol_file} does not say snapshot = true under [study]."
        )
    files = published_files(work, protocol, for_snapshot=True)
    cleaned, reference = clean_published(work, protocol, files)
    if reference.stp_of is None:
        raise SetUnavailable("The snapshot needs the lookups and population files as well as the monthly returns.")
    tables = summarise(cleaned.panel, reference.stp_of)
    tables |= {NATIONAL_FILE: cleaned.national, work.ledger.name: cleaned.ledger}
    provenance = as_json(provenance_of(cleaned, files))
    write_together(
        {work.snapshot / name: table for name, table in tables.items()}
        | {work.snapshot / work.data_provenance.name: provenance}
    )
    for name, table in tables.items():
        say(f"{name}: {len(table):,} rows")
