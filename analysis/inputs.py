"""What a run starts from: the published files where they can be had, the embedded snapshot where not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.cleaning import assemble
from analysis.cleaning.cohorts import read_cohorts
from analysis.cleaning.geography import Geography, build_geography, read_ccg_changes
from analysis.cleaning.panel import Cleaned, clean
from analysis.cleaning.snapshot import POPULATION, read_population, read_snapshot
from analysis.errors import StudyError
from analysis.protocol import Protocol
from analysis.sources.acquire import acquire
from analysis.sources.gp_lists import read_gp_lists
from analysis.sources.lookup import read_lsoa_lookup, read_similar_ccgs
from analysis.sources.manifest import Pin, locate, pins_of, read_manifest, required_months
from analysis.sources.mar import check_organisations, read_all_mar
from analysis.sources.ons import read_mid2015
from analysis.workspace import Workspace

MID2015_FILE, LSOA_FILE, SIMILAR_FILE = "SAPE18DT5", "lsoa11", "ccg16"
LSOA_BOUNDARIES = pd.Timestamp("2018-04-01")  # the date whose CCGs and STPs the LSOA lookup gives


@dataclass(frozen=True)
class Reference:
    """Who the units are and how many people they have: ``unit_names`` by unit, ``population`` [unit, month, population].

    ``stp_of`` is [unit, stp_code, stp_name], None where only the embedded tables are at hand.
    """

    geography: Geography
    unit_names: pd.Series
    population: pd.DataFrame
    stp_of: pd.DataFrame | None


def published_files(work: Workspace, protocol: Protocol) -> dict[Pin, Path]:
    """A verified local file for each pin that the study needs.

    The monthly returns can be downloaded. The files behind population and names have no address of their own; where
    none of them is here, the embedded tables made from them stand in, so that the returns alone are enough.

    Raises
    ------
    SetUnavailable
        Nothing is here and nothing can be downloaded.
    DataError, MachineError
        As ``acquire`` raises them.
    """
    pins = read_manifest(work.manifest)
    months = required_months(pins, "mar", protocol.study.start.date(), protocol.study.end.date())
    reference = [_pin(pins, "ons", MID2015_FILE), *pins_of(pins, "gp_lists"), *pins_of(pins, "lookup")]
    folders = [work.data_raw, work.mirror]
    embedded = (work.snapshot / POPULATION).is_file() and not any(locate(pin, folders) for pin in reference)
    needed = [*months.values(), *([] if embedded else reference)]
    return acquire(needed, work.data_raw, work.mirror, work.build / "downloads")


def clean_published(work: Workspace, protocol: Protocol, files: dict[Pin, Path]) -> tuple[Cleaned, Reference]:
    """The cleaned panel of CCGs from published files, and the reference tables it rests on."""
    reference = _published_reference(work, protocol, files) or _embedded_reference(work, protocol)
    geography = reference.geography
    cohorts = read_cohorts(work.cohorts, geography.known_codes, protocol.model_ids)
    known = geography.known_codes | set(protocol.study.outside_panel)
    paths = {pin.month: path for pin, path in files.items() if pin.source == "mar" and pin.month}
    mar = read_all_mar(paths, known)
    for file in mar:
        check_organisations(file, geography.in_force(file.month) | set(protocol.study.outside_panel), paths[file.month])
    cleaned = clean(
        counts=assemble.unit_counts(mar, geography, protocol),
        population=reference.population,
        attributes=assemble.unit_attributes(cohorts, reference.unit_names, geography, protocol),
        notes=assemble.notes_by_month(mar),
        protocol=protocol,
    )
    return cleaned, reference


def clean_snapshot(work: Workspace, protocol: Protocol) -> tuple[Cleaned, dict[str, Any]]:
    """The cleaned panel of areas from the embedded snapshot, and the provenance it came with.

    Raises
    ------
    StudyError
        The protocol or the cohort table is not the one that the snapshot was made with.
    """
    panel = read_snapshot(work.snapshot, protocol)
    geography = _embedded_reference(work, protocol).geography
    cohorts = read_cohorts(work.cohorts, geography.known_codes, protocol.model_ids)
    ours = cohorts[cohorts.model.isin(protocol.model_ids)]
    wanted, held = set(zip(ours.model, ours.vanguard, strict=True)), set(zip(panel.model, panel.site, strict=True))
    changed = sorted(site for _, site in wanted - held)
    if changed:
        raise StudyError(
            work.cohorts,
            f"site {changed[0]!r}, which the embedded snapshot does not hold",
            "the sites and models that the snapshot was made with",
            "Supply the published files (MIRROR=folder), or take the change back.",
            column="vanguard",
        )
    ledger = pd.read_csv(work.snapshot / work.ledger.name, keep_default_na=False)
    shifts = pd.DataFrame(columns=["outcome", "unit", "unit_name", "month", "ratio"])
    made_from = json.loads((work.snapshot / work.data_provenance.name).read_text(encoding="utf-8"))
    return Cleaned(panel, ledger, shifts), made_from


def _published_reference(work: Workspace, protocol: Protocol, files: dict[Pin, Path]) -> Reference | None:
    pins = list(files)
    if not pins_of(pins, "lookup"):
        return None
    ccgs = read_similar_ccgs(files[_pin(pins, "lookup", SIMILAR_FILE)])
    lsoas = read_lsoa_lookup(files[_pin(pins, "lookup", LSOA_FILE)])
    changes = read_ccg_changes(work.ccg_changes)
    geography = build_geography(changes, sorted(ccgs.ccg_code.unique()), protocol.study.boundaries)
    mid2015 = read_mid2015(files[_pin(pins, "ons", MID2015_FILE)])
    lists = read_gp_lists(files[pins_of(pins, "gp_lists")[0]])
    return Reference(
        geography=geography,
        unit_names=assemble.unit_names(assemble.ccg_names(ccgs, lsoas, changes), geography),
        population=assemble.population_by_month(mid2015, ccgs, lists, geography, protocol),
        stp_of=assemble.stp_of_units(lsoas, geography, LSOA_BOUNDARIES),
    )


def _embedded_reference(work: Workspace, protocol: Protocol) -> Reference:
    unit_names, population = read_population(work.snapshot, protocol)
    codes = [code for unit in unit_names.index for code in assemble.members(unit)]
    geography = build_geography(read_ccg_changes(work.ccg_changes), codes, protocol.study.boundaries)
    return Reference(geography, unit_names, population, None)


def _pin(pins: Sequence[Pin], source: str, name: str) -> Pin:
    return next(pin for pin in pins_of(pins, source) if name in pin.file)
