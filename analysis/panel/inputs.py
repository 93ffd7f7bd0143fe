"""What a run starts from: the published files where they can be had, the embedded snapshot where not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.core.errors import StudyError
from analysis.core.tabular import read_table
from analysis.core.untrusted import unguarded
from analysis.core.workspace import Workspace
from analysis.panel import units as assemble
from analysis.panel.cohorts import read_cohorts
from analysis.panel.covariates import COVARIATES, SIMILAR, similar_units, unit_covariates
from analysis.panel.geography import Geography, build_geography, check_boundaries, members, read_changes
from analysis.panel.local_authorities import local_authority_rows
from analysis.panel.national import first_national_month, national_table, read_national
from analysis.panel.panel import Cleaned, Held, clean, england, outcomes_from, tidy
from analysis.panel.population import last_listed_month
from analysis.panel.snapshot import (
    NATIONAL_FILE,
    POPULATION,
    last_population_month,
    read_population,
    read_snapshot,
    read_unit_names,
)
from analysis.protocol.protocol import Protocol
from analysis.sources.acquire import acquire
from analysis.sources.ae import read_ae
from analysis.sources.dtoc import read_all_dtoc
from analysis.sources.gp_lists import read_gp_lists
from analysis.sources.imd import read_imd
from analysis.sources.lookup import read_lsoa_lookup, read_similar_ccgs
from analysis.sources.manifest import Pin, locate, pins_of, read_manifest, required_months
from analysis.sources.mar import check_organisations, read_all_mar
from analysis.sources.ons import read_mid2015

MID2015_FILE, LSOA_FILE, SIMILAR_FILE = "SAPE18DT5", "lsoa11", "ccg16"
LSOA_BOUNDARIES = pd.Timestamp("2018-04-01")  # the date whose CCGs and STPs the LSOA lookup gives
LISTS_BOUNDARIES = date(2019, 4, 1)  # the date whose CCGs the file of list sizes has, in every month


@dataclass(frozen=True)
class Reference:
    """Who the units are and how many people they have: ``unit_names`` by unit, ``population`` [unit, month, population].

    ``stp_of`` is [unit, stp_code, stp_name] and ``lsoas`` the lookup of LSOAs, both None where only the embedded tables are
    at hand; ``units`` (covariates) and ``similar_units`` have no rows then.
    """

    geography: Geography
    unit_names: pd.Series
    population: pd.DataFrame
    stp_of: pd.DataFrame | None
    lsoas: pd.DataFrame | None
    units: pd.DataFrame
    similar_units: pd.DataFrame


def published_files(work: Workspace, protocol: Protocol, for_snapshot: bool = False) -> dict[Pin, Path]:
    """A verified local file for each pin that the study needs.

    The monthly returns can be downloaded. The files behind population and names have no address of their own; where
    none of them is here, the embedded tables made from them stand in, so that the returns alone are enough.
    Further files are taken where they are at hand: earlier returns and the A&E series for England's totals and, unless the snapshot
    is to be made, delayed transfers and deprivation, where the lookups are there too.

    Raises
    ------
    SetUnavailable
        Nothing is here and nothing can be downloaded.
    DataError, MachineError
        As ``acquire`` raises them.
    """
    pins = read_manifest(work.manifest)
    months = required_months(pins, "mar", protocol.study.start.date(), protocol.study.end.date(), protocol.file)
    reference = _reference_pins(pins)
    folders = [work.data_raw, work.mirror]
    embedded = (work.snapshot / POPULATION).is_file() and not any(locate(pin, folders) for pin in reference)
    needed = [*months.values(), *([] if embedded else reference)]
    cache = work.downloads
    files = acquire(needed, work.data_raw, work.mirror, cache)
    further = _for_england(pins, protocol, folders)
    if not (embedded or for_snapshot):
        further += _further(pins, protocol, folders)
    return files | acquire(further, work.data_raw, work.mirror, cache)


def clean_published(
    work: Workspace, protocol: Protocol, files: dict[Pin, Path], held: Held | None = None
) -> tuple[Cleaned, Reference]:
    """The cleaned panel of CCGs, and of local authorities where their files are there, and the tables it rests on.

    ``held`` stands in for the data-quality rule in the months of an earlier edition.
    """
    reference = _published_reference(work, protocol, files) or _embedded_reference(work, protocol)
    geography = reference.geography
    cohorts = read_cohorts(work.named(protocol.study.cohorts), geography.known_codes, protocol.model_ids)
    known = geography.known_codes | set(protocol.study.outside_panel)
    paths = _by_month(files, "mar")
    returns = read_all_mar(paths, known)
    mar = [file for file in returns if pd.Timestamp(file.month) in protocol.months]
    for file in mar:
        check_organisations(file, geography.in_force(file.month) | set(protocol.study.outside_panel), paths[file.month])
    attributes = assemble.unit_attributes(cohorts, reference.unit_names, geography, protocol)
    _check_known_breaks(work, protocol, geography)
    cleaned = clean(
        counts=assemble.unit_counts(mar, geography, protocol),
        population=reference.population,
        attributes=attributes,
        notes=assemble.notes_by_month(mar),
        protocol=protocol,
        held=held,
    )
    ae = [read_ae(path) for pin, path in files.items() if pin.source == "ae"]
    cleaned = replace(cleaned, national=national_table(returns, ae[0] if ae else None, cleaned.ledger, protocol))
    delays = _by_month(files, "dtoc")
    if delays and reference.lsoas is not None:
        authorities = local_authority_rows(
            delays=read_all_dtoc(delays),
            changes=read_changes(work.authority_changes),
            lsoas=reference.lsoas,
            counties=read_table(work.district_county, ["lad18_code", "county"]),
            lookup_date=LSOA_BOUNDARIES,
            geography=geography,
            population=reference.population,
            attributes=attributes,
            protocol=protocol,
        )
        cleaned = replace(cleaned, panel=tidy(pd.concat([cleaned.panel, authorities, england(authorities)])))
    return cleaned, reference


def clean_snapshot(work: Workspace, protocol: Protocol) -> tuple[Cleaned, Reference, dict[str, Any]]:
    """The cleaned panel of areas from the embedded snapshot, the tables it rests on, and the provenance it came with.

    Raises
    ------
    StudyError
        The protocol or the cohort table is not the one that the snapshot was made with.
    """
    if not protocol.study.snapshot:
        raise StudyError(
            work.protocol_file,
            "no embedded snapshot of this programme: that in data_raw/snapshot is of another one's sites",
            "the published files",
            "Supply the published files (MIRROR=folder).",
            column="study.snapshot",
        )
    panel = read_snapshot(work.snapshot, protocol)
    reference = _embedded_reference(work, protocol)
    _check_snapshot_boundaries(work, protocol, reference.geography)
    cohorts = read_cohorts(work.named(protocol.study.cohorts), reference.geography.known_codes, protocol.model_ids)
    ours = cohorts[cohorts.model.isin(protocol.model_ids)]
    wanted, held = set(zip(ours.model, ours.vanguard, strict=True)), set(zip(panel.model, panel.site, strict=True))
    changed = sorted(site for _, site in wanted - held)
    if changed:
        raise StudyError(
            work.named(protocol.study.cohorts),
            f"site {changed[0]!r}, which the embedded snapshot does not hold",
            "the sites and models that the snapshot was made with",
            "Supply the published files (MIRROR=folder), or take the change back.",
            column="vanguard",
        )
    ledger = unguarded(pd.read_csv(work.snapshot / work.ledger.name, keep_default_na=False))
    shifts = pd.DataFrame(columns=["outcome", "unit", "unit_name", "month", "ratio"])
    made_from = json.loads((work.snapshot / work.data_provenance.name).read_text(encoding="utf-8"))
    return Cleaned(panel, ledger, shifts, read_national(work.snapshot / NATIONAL_FILE)), reference, made_from


def study_geography(work: Workspace, protocol: Protocol) -> Geography:
    """The commissioners of the study, from the embedded table of units."""
    codes = [code for unit in read_unit_names(work.snapshot).index for code in members(unit)]
    changes = read_changes(work.ccg_changes)
    check_boundaries(changes, protocol.study, work.protocol_file)
    return build_geography(changes, codes, protocol.study.boundaries)


def population_until(work: Workspace, pins: Sequence[Pin]) -> pd.Timestamp:
    """The last month of which the population is known: from the published lists where the reference files are at hand."""
    folders = [work.data_raw, work.mirror]
    if not any(locate(pin, folders) for pin in _reference_pins(pins)):
        return last_population_month(work.snapshot)
    lists = pins_of(pins, "gp_lists")
    files = acquire(lists, work.data_raw, work.mirror, work.downloads)
    return last_listed_month(assemble.registered_by_area(read_gp_lists(files[lists[0]])))


def _reference_pins(pins: Sequence[Pin]) -> list[Pin]:
    """The files behind population and names."""
    return [_pin(pins, "ons", MID2015_FILE), *pins_of(pins, "gp_lists"), *pins_of(pins, "lookup")]


def _published_reference(work: Workspace, protocol: Protocol, files: dict[Pin, Path]) -> Reference | None:
    pins = list(files)
    if not pins_of(pins, "lookup"):
        return None
    ccgs = read_similar_ccgs(files[_pin(pins, "lookup", SIMILAR_FILE)])
    lsoas = read_lsoa_lookup(files[_pin(pins, "lookup", LSOA_FILE)])
    changes = read_changes(work.ccg_changes)
    check_boundaries(changes, protocol.study, work.protocol_file)
    geography = build_geography(changes, sorted(ccgs.ccg_code.unique()), protocol.study.boundaries)
    mid2015 = read_mid2015(files[_pin(pins, "ons", MID2015_FILE)])
    lists = read_gp_lists(files[pins_of(pins, "gp_lists")[0]])
    imd = [read_imd(files[pin]) for pin in pins_of(pins, "imd")]
    stp_of = assemble.stp_of_units(lsoas, geography, LSOA_BOUNDARIES)
    return Reference(
        geography=geography,
        unit_names=assemble.unit_names(assemble.ccg_names(ccgs, lsoas, changes), geography),
        population=assemble.population_by_month(mid2015, ccgs, lists, LISTS_BOUNDARIES, geography, protocol),
        stp_of=stp_of,
        lsoas=lsoas,
        units=unit_covariates(stp_of, mid2015, imd[0] if imd else None, ccgs, geography),
        similar_units=similar_units(ccgs, geography),
    )


def _embedded_reference(work: Workspace, protocol: Protocol) -> Reference:
    """The embedded units, each carried to the one that it is or became part of by the study's boundaries."""
    geography = study_geography(work, protocol)
    names, population = read_unit_names(work.snapshot), read_population(work.snapshot, protocol)
    carried = {unit: geography.unit_of.get(members(unit)[0]) for unit in names.index}
    split = [unit for unit, into in carried.items() if into is None]
    if split:
        raise StudyError(
            work.protocol_file,
            f"{protocol.study.boundaries}; the embedded population is of later commissioners, such as {split[0]}",
            "boundaries on which the embedded commissioners are whole",
            "Set a later date, or supply the files of population and lookups (MIRROR=folder).",
            column="study.boundaries",
        )
    people = population.assign(unit=population.unit.map(carried)).groupby(["unit", "month"]).population.sum()
    changes = read_changes(work.ccg_changes)
    of_codes = changes.drop_duplicates("succ_code").set_index("succ_code").succ_name
    merged = assemble.unit_names(of_codes, geography, set(geography.units.unit) - set(names.index))
    empty = [pd.DataFrame(columns=columns) for columns in (COVARIATES, SIMILAR)]
    kept = names[names.index.isin(set(geography.units.unit))]
    return Reference(geography, pd.concat([kept, merged]), people.reset_index(), None, None, *empty)


def _check_known_breaks(work: Workspace, protocol: Protocol, geography: Geography) -> None:
    units = set(geography.units.unit)
    for known in protocol.its.known_breaks:
        if known.unit not in units:
            now = geography.unit_of.get(known.unit)
            raise StudyError(
                work.protocol_file,
                f"{known.unit!r}, which " + (f"is part of {now}" if now else "is no commissioner"),
                f"a commissioner on the study's boundaries of {protocol.study.boundaries}",
                f"Name {now}, if its series breaks too, or take the break out." if now else "Correct the code.",
                column="its.known_breaks.unit",
            )


def _check_snapshot_boundaries(work: Workspace, protocol: Protocol, geography: Geography) -> None:
    """The snapshot's sites and areas are sums of the commissioners of one date, and cannot be carried to those of another."""
    embedded, ours = set(read_unit_names(work.snapshot).index), set(geography.units.unit)
    if embedded != ours:
        codes = [code for unit in embedded for code in members(unit)]
        since = geography.mergers.effective[geography.mergers.succ_code.isin(codes)].max()
        raise StudyError(
            work.protocol_file,
            f"{protocol.study.boundaries}, where the commissioners are not those of the embedded snapshot: "
            f"{sorted(embedded ^ ours)[0]} is in only one of the two",
            f"the boundaries that the embedded snapshot was made with: {since:%Y-%m-%d}",
            f"Supply the published files (MIRROR=folder), or set boundaries = {since:%Y-%m-%d}.",
            column="study.boundaries",
        )


def _for_england(pins: Sequence[Pin], protocol: Protocol, folders: Sequence[Path | None]) -> list[Pin]:
    """The A&E series, and the returns of the months before the study if all of them are at hand."""
    first, last = first_national_month(protocol), protocol.study.start - pd.DateOffset(months=1)
    earlier = [pin for pin in pins_of(pins, "mar") if pin.month and first.date() <= pin.month <= last.date()]
    whole = len(earlier) == len(pd.date_range(first, last, freq="MS")) and all(locate(pin, folders) for pin in earlier)
    return [pin for pin in pins_of(pins, "ae") if locate(pin, folders)] + (earlier if whole else [])


def _further(pins: Sequence[Pin], protocol: Protocol, folders: Sequence[Path | None]) -> list[Pin]:
    """Deprivation if it is at hand; delayed transfers of every month of the study if any month of it is."""
    start, end = protocol.study.start.date(), protocol.study.end.date()
    held = [pin for pin in pins if locate(pin, folders) and (pin.month is None or start <= pin.month <= end)]
    delays = outcomes_from("dtoc", protocol) and pins_of(held, "dtoc")
    return pins_of(held, "imd") + (
        list(required_months(pins, "dtoc", start, end, protocol.file).values()) if delays else []
    )


def _by_month(files: dict[Pin, Path], source: str) -> dict[date, Path]:
    return {pin.month: path for pin, path in files.items() if pin.source == source and pin.month}


def _pin(pins: Sequence[Pin], source: str, name: str) -> Pin:
    return next(pin for pin in pins_of(pins, source) if name in pin.file)
