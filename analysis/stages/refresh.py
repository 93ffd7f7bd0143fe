"""New files → the manifest; two editions → what moved, and why; an edition recorded."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.core.checkout import commit
from analysis.core.errors import MachineError, StudyError, UsageError
from analysis.core.files import atomic_path, sha256, write_together
from analysis.core.scratch import check_scratch
from analysis.core.tabular import read_table
from analysis.core.workspace import Workspace
from analysis.editions.archive import Archive, record, with_study_key
from analysis.editions.editions import (
    headline_changes,
    last_edition,
    read_editions,
    side_by_side,
    unacknowledged,
    with_edition,
)
from analysis.editions.ledger import refresh_ledger
from analysis.editions.offers import Offer, check_codes, find_offers, last_whole_month, with_offers
from analysis.estimation.verdict import headline_id
from analysis.panel.inputs import population_until, study_geography
from analysis.protocol.protocol import load_protocol, parse_protocol
from analysis.sources.manifest import Pin, locate, read_manifest, readable_text
from analysis.sources.pages import fetch_new
from analysis.stages.data import Say
from analysis.stages.rebuild import chain, changed_runs, differences
from analysis.stages.results import Progress
from analysis.stages.written import table_to_write


@dataclass(frozen=True)
class Intake:
    """New and revised monthly files, all of them sound: none is pinned yet."""

    offers: list[Offer]
    pins: list[Pin]  # of the manifest, superseded ones too


def take_in(work: Workspace, folder: Path | None, say: Say) -> list[Offer]:
    """Pin the new and revised monthly files of a folder, or of the publisher's pages, and move the window's end to where they reach.

    Every file is checked before the first is pinned. A revised file is pinned beside the earlier one, which stays in the manifest
    as superseded. The window never ends later than the protocol says, nor than the population is known.

    Raises
    ------
    DataError, StudyError
        A file is not sound, has a name that cannot be pinned, or commissioners that are not those of its month; nothing has been
        changed.
    MachineError
        The network or the disk failed.
    UsageError
        The folder is not there.
    """
    return pin_files(work, look(work, folder, say), say)


def look(work: Workspace, folder: Path | None, say: Say) -> Intake:
    """Find and check the new and revised monthly files; raises what ``take_in`` raises, and changes nothing."""
    if folder is not None and not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder. `make refresh FROM=folder` takes the one that holds the new files."
        )
    protocol = load_protocol(work.protocol_file)
    pins = read_manifest(work.manifest, superseded_too=True)
    addresses: dict[str, str] = {}
    if folder is None:
        folder, addresses = _from_site(work, pins)
    geography = study_geography(work, protocol)
    offers = find_offers(folder, pins, protocol.study.planned_end.date(), addresses, say)
    for offer in offers:
        check_codes(offer, geography, protocol.study.outside_panel, work.protocol_file)
        _there(work, offer)
    readable_text(with_offers(pins, offers, dt.date.today()), work.manifest)  # a name that it could not be read back with is refused
    return Intake(offers, pins)


def end_at_pinned(work: Workspace, say: Say) -> bool:
    """End the window of a protocol that has no earlier edition where the pinned files end; whether they make an edition at all."""
    pins = read_manifest(work.manifest)
    try:
        text = _with_window(work, pins, say)
    except StudyError as problem:
        say(f"no earlier edition can be built from the files that are pinned ({problem.column}: {problem.found})")
        return False
    if text != work.protocol_file.read_text(encoding="utf-8"):
        write_together({work.protocol_file.resolve(): text})  # a link to a protocol stays one
    return True


def pin_files(work: Workspace, intake: Intake, say: Say) -> list[Offer]:
    """Write the new files' rows of the manifest and the end of the window that they give; the files are kept where the study looks."""
    rows = with_offers(intake.pins, intake.offers, dt.date.today())
    text = _with_window(work, rows, say)
    manifest = readable_text(rows, work.manifest)
    for offer in intake.offers:
        if not _there(work, offer):
            with atomic_path(work.data_raw / offer.pin.file) as place:
                shutil.copyfile(offer.path, place)
        say(_described(offer, intake.pins))
    if intake.offers or text != work.protocol_file.read_text(encoding="utf-8"):
        write_together({work.manifest: manifest, work.protocol_file.resolve(): text})
    return intake.offers


def _with_window(work: Workspace, pins: Sequence[Pin], say: Say) -> str:
    """The protocol's text with a window that ends where these files do; never before that of the last edition.

    Raises
    ------
    StudyError
        There are too few months.
    """
    protocol = load_protocol(work.protocol_file)
    text, study = work.protocol_file.read_text(encoding="utf-8"), protocol.study
    sources = {outcome.source for outcome in protocol.without_records().outcomes}
    population_to = population_until(work, [pin for pin in pins if pin.superseded is None])
    reach = last_whole_month(pins, sources, study.start.date(), study.planned_end.date(), population_to.date())
    last = Archive(work.last_edition)
    ends = [study.end] if study.interim else [last.protocol.study.end] if last.there else []
    ends += [pd.Timestamp(reach.month)] if reach.month else []
    if not ends:
        raise StudyError(
            work.manifest, reach.why, f"a file for every month from {study.start:%B %Y} on",
            "Give the folder that holds the files (FROM=folder), or change study.start.", column="period",
        )  # fmt: skip
    end = min(max(ends), study.planned_end)
    if end == study.end:
        return text
    text = with_study_key(text, "data_to", f"{end:%Y-%m}" if end < study.planned_end else None)
    parse_protocol(text, work.protocol_file)
    say(f"the window now ends in {end:%B %Y}" + (f": {reach.why}" if end < study.planned_end else ""))
    return text


def explain(work: Workspace, before: Archive, now: Path, progress: Progress, say: Say) -> list[Path] | None:
    """Write what moved since the edition ``before`` and why; return these files, or None where nothing differs.

    ``now`` is a folder for the present edition's archive and for the rebuilds between the two.
    """
    after = record(work, "", now / "edition")
    causes = differences(before, after)
    if not causes:
        return None
    links = chain(work, before, after, now / "between", progress, say)
    ledger = refresh_ledger(links.editions, links.causes)
    until = before.protocol.study.end
    runs = changed_runs(before.ledger, after.ledger, until)
    made: dict[Path, pd.DataFrame | str] = {
        work.refresh("ledger"): ledger,
        work.refresh("headlines"): _headlines(before, after, ledger),
        work.refresh("masks"): runs,
        work.refresh("files"): _files(before.pins, after.pins),
        work.refresh("causes"): pd.DataFrame({"cause": links.causes}).assign(since=before.name),
    }
    write_together(made)
    return list(made)


def record_edition(work: Workspace, dataset: str) -> str:
    """Add the build's headlines to the table of editions, keep what it was made from, and return the edition's name."""
    protocol = load_protocol(work.protocol_file)
    path = table_to_write(work, "editions")
    check_scratch(work.last_edition.parent)
    verdicts = pd.read_csv(work.table("verdicts"))
    head, clean = commit(work.root)
    code = head if clean else f"{head}, with changes"
    today = dt.date.today().isoformat()
    table = with_edition(read_editions(path), verdicts, dataset, f"{protocol.study.end:%Y-%m}", today, code)
    name = str(table.edition.iloc[-1])
    write_together({path: table})  # first: an edition that is not in the table would be lost
    record(work, name, work.last_edition)
    return name


def check_headlines(work: Workspace, dataset: str) -> tuple[str, bool]:
    """Whether every headline that changed from one edition to the next, or since the last, is acknowledged in the changelog."""
    protocol = load_protocol(work.protocol_file)
    level = protocol.study.level
    editions = read_editions(table_to_write(work, "editions"))
    changelog = work.changelog.read_text(encoding="utf-8")
    lines = unacknowledged(editions, changelog, level)
    last = last_edition(editions, dataset)
    if last.empty:
        return f"No edition of {dataset} is recorded, so that there is nothing to hold this build against.", not lines
    both = side_by_side(last, pd.read_csv(work.table("verdicts")))
    lines += [
        f"this build ({dataset}), `{headline}`: {', '.join(what)} since edition {last.edition.iloc[0]}, and no edition records it"
        for headline, what in headline_changes(both, level).items()
    ]
    if not lines:
        return f"No headline changed without an entry in {work.changelog.name}.", True
    to_do = (
        f"Find out why (`make refresh` records an edition and explains it), and acknowledge each in {work.changelog.name}, in an "
        "entry that names the edition and the headline, such as: - Edition 2018-03: `outcome/cohort` …, since …"
    )
    return "\n".join([*lines, to_do]), False


def _from_site(work: Workspace, pins: Sequence[Pin]) -> tuple[Path, dict[str, str]]:
    """The folder into which the publisher's new files were fetched, and the address of each."""
    pages = list(read_table(work.data_raw / "publication_pages.csv", ["source", "url"]).url)
    folder = work.downloads / "offered"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = {Path(pin.file).name for pin in pins if not pin.url}  # their addresses were never written down
    found = fetch_new(pages, {pin.url for pin in pins}, folder, lambda name: name not in names and "Prov" not in name)
    return folder, found


def _there(work: Workspace, offer: Offer) -> bool:
    """Whether a new file is where the study looks for it already."""
    held = locate(offer.pin, [work.data_raw, work.mirror])
    if held is not None and sha256(held) == offer.pin.sha256:
        return True
    if held is not None and held.is_relative_to(work.data_raw):
        raise MachineError(f"{held} is in the way of {offer.path}, which has other bytes. Move it away and run again.")
    return False


def _described(offer: Offer, pins: Iterable[Pin]) -> str:
    pin = offer.pin
    assert pin.month is not None
    held = next((p for p in pins if p.source == pin.source and p.month == pin.month and p.superseded is None), None)
    what = f"revised, beside {held.file}" if held else "new"
    return f"{pin.file} ({pin.source}, {pin.month:%B %Y}): {what}"


def _headlines(before: Archive, after: Archive, ledger: pd.DataFrame) -> pd.DataFrame:
    """Each headline in both editions, with what moved it."""
    both = side_by_side(before.verdicts, after.verdicts)
    ids = [headline_id(row.outcome, row.cohort) for row in both.itertuples()]
    parts = ledger.set_index("estimate_id").reindex(ids).reset_index(drop=True)
    columns = ["moved", "moved_in_se", "cause", *[name for name in parts if name.startswith("by_")]]
    return both.join(parts[columns])


def _files(before: Sequence[Pin], after: Sequence[Pin]) -> pd.DataFrame:
    """Files that one edition was made from and the other not [source, month, file, sha256, what]."""
    old, new = ({pin.sha256: pin for pin in pins} for pins in (before, after))
    rows = [(pin, "came") for digest, pin in new.items() if digest not in old]
    rows += [(pin, "went") for digest, pin in old.items() if digest not in new]
    table = pd.DataFrame(
        [(pin.source, f"{pin.month:%Y-%m}" if pin.month else "", pin.file, pin.sha256, what) for pin, what in rows],
        columns=["source", "month", "file", "sha256", "what"],
    )
    return table.sort_values(["source", "month", "what"], ignore_index=True)
