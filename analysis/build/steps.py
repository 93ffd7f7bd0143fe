"""The graph of a build: what each step is made from. What it is made from has changed, or what it made: it runs again.

Steps are ``data``, ``results`` and ``reports/NAME`` for each source of reports, in this order.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from analysis.build.manifest import Manifest, Step, code, digest
from analysis.build.slices import DATA_RULES, RESULTS_RULES
from analysis.core.checkout import commit
from analysis.core.errors import DataError
from analysis.core.workspace import Workspace
from analysis.sources.manifest import locate, read_manifest

DATA, RESULTS, REPORTS = "data", "results", "reports"
RECORDS = "records"  # a patient-level extract: counted when it is asked for alone
REFRESH = "refresh"  # what moved since the last edition: made when it is asked for alone
INDEX = "index"  # lists what the others hold, and so comes last
NAMED = {
    "study": ["cohorts"],
    "report": ["published", "reconciliation", "facts", "simulation", "its_simulation", "editions"],
}
BRIEF, SITES = "brief", "sites"  # one source, a document for each site


def data_step(work: Workspace) -> Step:
    """Published files, where they are at hand, the tables of ``data_raw`` and the snapshot."""
    tables = [
        work.manifest,
        work.ccg_changes,
        work.authority_changes,
        work.district_county,
        *sorted(work.snapshot.glob("*")),
    ]
    return Step(
        DATA,
        {"DATA": data_choice(work)}
        | _digests({f"published {name}": path for name, path in _published(work).items()})
        | _digests(_in_repository(work, tables) | _named(work, {"study": ["cohorts"]}))
        | _rules(work, DATA_RULES)
        | _programs(work, code(work.root, ["analysis.stages.data"])),
    )


def data_choice(work: Workspace) -> str:
    """The choice of data, where "auto" is "mar" as long as the published files were used: a refresh, which asks for them, and a
    report, which does not, are then made from the same."""
    if work.data != "auto":
        return work.data
    try:
        used = json.loads(work.data_provenance.read_text(encoding="utf-8")).get("dataset")
    except (OSError, ValueError, AttributeError):
        return work.data  # the step runs, as one of its outputs is not there
    return "mar" if used == "mar" else work.data


def results_step(work: Workspace) -> Step:
    """The panel and the tables beside it."""
    tables = [work.panel, work.shifts, work.units, work.similar_units, work.national]
    if work.has_records:
        tables += [work.records("panel.parquet"), work.records("shifts.csv")]
    return Step(
        RESULTS,
        _digests({str(path.relative_to(work.build)): path for path in tables})
        | _rules(work, RESULTS_RULES)
        | _programs(work, code(work.root, ["analysis.stages.results"])),
    )


def report_steps(work: Workspace, made: Manifest) -> dict[str, Step]:
    """Name of each source of reports → its step; ``made`` says which tables the steps before made."""
    tables = {file: work.build / file for step in (DATA, RECORDS, RESULTS, REFRESH) for file in made.of(step)}
    files = [work.root / "_quarto.yml", work.root / "reports/references.bib", work.guidelines, work.ccg_changes]
    files += sorted(file for file in (work.root / "analysis/publish").glob("*.*") if file.suffix != ".py")
    # Whether the tree is clean does not count: what a report was made from is as in the commit unless it is listed as changed.
    head, _ = commit(work.root)
    shared = {
        "RENDERER": f"{work.renderer}, {'with' if shutil.which('quarto') else 'without'} Quarto on the path",
        "commit": head,
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "0"),
    }
    shared |= _digests(tables) | _digests(_in_repository(work, files) | _named(work, NAMED)) | _rules(work, None)
    found = {}
    for name, source in report_sources(work).items():
        text = source.read_text(encoding="utf-8")
        own = _digests({str(source.relative_to(work.root)): source})
        if name == INDEX:
            own |= _digests({"reports/contents.csv": work.contents})
        parts = code(work.root, ["analysis.publish.build"], [text])
        found[name] = Step(f"{REPORTS}/{name}", shared | own | _programs(work, parts))
    return found


def report_sources(work: Workspace) -> dict[str, Path]:
    """Name → source of each report, the longest first: the others fit in beside it."""
    folder = work.root / "reports"
    found = [*folder.glob("*.qmd"), *(folder / SITES).glob("*.qmd")]
    return {source.stem: source for source in sorted(found, key=lambda source: (-source.stat().st_size, source.name))}


def _published(work: Workspace) -> dict[str, Path]:
    """The pinned files that are at hand, wherever they are."""
    if work.data == "snapshot":
        return {}
    folders = [work.data_raw, work.mirror, work.downloads]
    try:
        pins = read_manifest(work.manifest)
    except DataError:
        return {}  # the step itself says what is wrong
    return {pin.file: path for pin in pins if (path := locate(pin, folders))}


def _rules(work: Workspace, tables: Iterable[str] | None) -> dict[str, str]:
    """The protocol's tables, all of them by default, each as a digest of its values: comments and order of keys do not count."""
    content = _protocol(work)
    if content is None:
        return _digests({work.protocol_file.name: work.protocol_file})  # the step itself says what is wrong
    wanted = list(content) if tables is None else tables
    texts = {table: json.dumps(content.get(table), sort_keys=True, default=str) for table in wanted}
    return {f"protocol [{table}]": hashlib.sha256(text.encode()).hexdigest() for table, text in texts.items()}


def _named(work: Workspace, keys: Mapping[str, Iterable[str]]) -> dict[str, Path]:
    """The tables that the protocol names under these keys, as it names them."""
    content = _protocol(work) or {}
    names = [content[table].get(key) for table in keys if isinstance(content.get(table), dict) for key in keys[table]]
    return {name: work.named(name) for name in names if isinstance(name, str)}


def _protocol(work: Workspace) -> dict[str, Any] | None:
    """The protocol as it is written; None where it cannot be read."""
    try:
        return tomllib.loads(work.protocol_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _programs(work: Workspace, parts: Mapping[str, Path]) -> dict[str, str]:
    lock = work.root / "requirements.lock"
    return {"Python": platform.python_version()} | _digests({lock.name: lock, **parts})


def _in_repository(work: Workspace, files: Iterable[Path]) -> dict[str, Path]:
    return {str(file.relative_to(work.root)): file for file in files}


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: digest(path) if path.is_file() else "missing" for name, path in files.items()}
