"""An edition as it was recorded: what it was made from, and what it found."""

from __future__ import annotations

import json
import platform
import shutil
import tomllib
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tomlkit

from analysis.build.manifest import code, digest
from analysis.build.slices import RESULTS_RULES
from analysis.core.files import atomic_path, write_text
from analysis.core.scratch import scratch_folder
from analysis.core.workspace import Workspace
from analysis.protocol.protocol import Protocol, load_protocol
from analysis.sources.manifest import Pin, read_manifest

COHORTS = "cohorts.csv"
TABLES = (COHORTS, "ccg_changes.csv", "authority_changes.csv", "district_county.csv")  # of places
PROTOCOL, MANIFEST, CODE = "protocol.toml", "manifest.csv", "code.json"
NOT_RULES = {"seed", "data_to"}  # keys of [study] that are causes of their own


@dataclass(frozen=True)
class Archive:
    """``folder`` holds copies of the inputs and of the results of one edition."""

    folder: Path

    @property
    def there(self) -> bool:
        return (self.folder / CODE).is_file()  # written last

    @property
    def pins(self) -> list[Pin]:
        return read_manifest(self.folder / MANIFEST)

    @property
    def protocol(self) -> Protocol:
        return load_protocol(self.folder / PROTOCOL)

    @property
    def rules(self) -> dict[str, Any]:
        """The tables of the protocol that results depend on, without the keys that are causes of their own."""
        content = tomllib.loads((self.folder / PROTOCOL).read_text(encoding="utf-8"))
        study = {key: value for key, value in content["study"].items() if key not in NOT_RULES}
        return {name: content.get(name) for name in RESULTS_RULES} | {"study": study}

    @property
    def code(self) -> dict[str, str]:
        return dict(json.loads((self.folder / CODE).read_text(encoding="utf-8")))

    @property
    def places(self) -> dict[str, str]:
        # An edition of an earlier version lacks the tables that came later.
        return {name: digest(self.folder / name) for name in TABLES if (self.folder / name).is_file()}

    @property
    def estimates(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "estimates.parquet")

    @property
    def verdicts(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "verdicts.csv")

    @property
    def ledger(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "quality_ledger.csv", parse_dates=["month"], keep_default_na=False)

    @property
    def name(self) -> str:
        return (self.folder / "name").read_text(encoding="utf-8").strip()


def inputs_of(work: Workspace) -> dict[str, Path]:
    """Name in an archive → the file, of everything but code that results are made from."""
    cohorts = work.named(load_protocol(work.protocol_file).study.cohorts)
    tables = (cohorts, work.ccg_changes, work.authority_changes, work.district_county)
    places = dict(zip(TABLES, tables, strict=True))
    return {PROTOCOL: work.protocol_file, MANIFEST: work.manifest, **places}


def code_of(work: Workspace) -> dict[str, str]:
    """Module → SHA-256 of the code that makes results, the lock and Python."""
    parts = code(work.root, ["analysis.stages.data", "analysis.stages.results"])
    parts["requirements.lock"] = work.root / "requirements.lock"
    return {"Python": platform.python_version()} | {name: digest(path) for name, path in sorted(parts.items())}


def record(work: Workspace, name: str, folder: Path) -> Archive:
    """Copy the inputs and the results of a build, into a folder of a scratch folder; an archive that is not whole does not count as one."""
    scratch_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    results = {path.name: path for path in (work.estimates, work.table("verdicts"), work.ledger)}
    for file, path in (inputs_of(work) | results).items():
        with atomic_path(folder / file) as place:
            shutil.copyfile(path, place)
    write_text(f"{name}\n", folder / "name")
    write_text(json.dumps(code_of(work), indent=1) + "\n", folder / CODE)
    return Archive(folder)


def with_study_key(text: str, key: str, value: str | int | None) -> str:
    """A protocol's text with a key of [study] set, or taken out where ``value`` is None; all else stays as it is written."""
    document = tomlkit.parse(text)
    study = document["study"]
    assert isinstance(study, MutableMapping)
    if value is None:
        study.pop(key, None)
    else:
        study[key] = value
    return tomlkit.dumps(document)
