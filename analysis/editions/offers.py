"""New and revised monthly files in a folder: which months they are of, whether they are sound, and their rows of the manifest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath

import pandas as pd

from analysis.core.errors import DataError, StudyError
from analysis.core.files import sha256
from analysis.editions.folder import NotTaken, files_below, shown
from analysis.panel.geography import Geography
from analysis.sources import dtoc, mar
from analysis.sources.manifest import Pin, name_problem
from analysis.sources.workbook import WORKBOOK_NAMES, day_in, is_workbook, month_in, open_workbook

SHEETS = {"mar": mar.SHEET, "dtoc": dtoc.SHEET}  # that tell a publication


@dataclass(frozen=True)
class Offer:
    """A sound monthly file that is not pinned yet: its row of the manifest, and where its bytes are."""

    pin: Pin
    path: Path


def find_offers(
    folder: Path, pins: Sequence[Pin], end: date, addresses: Mapping[str, str], say: Callable[[str], None]
) -> list[Offer]:
    """The monthly files below ``folder`` that no row of the manifest pins, by source and month.

    Files are known by their content, not by their names. ``pins`` are all rows, superseded ones too; ``addresses`` gives the
    address of files that were downloaded, by name. Every file that is not taken is named to ``say`` with the reason: it is no
    workbook, or of another publication, or of a month after the study's ``end``, whose layout and commissioners may be others.
    Files that are pinned are counted.

    Raises
    ------
    DataError
        A workbook cannot be read, is of a month that cannot be told, is not sound, or has a name that cannot be pinned; or two
        files are of one month.
    """
    held = {pin.sha256 for pin in pins}
    offers: dict[tuple[str, date], Offer] = {}
    pinned = 0
    for path in files_below(folder, say):
        try:
            digest = _digest(path)
            if digest in held:
                pinned += 1
                continue
            title = _title(path, end)
        except NotTaken as reason:
            say(f"{shown(folder, path)} {reason}: passed over")
            continue
        key = (title.source, title.month)
        if key in offers and offers[key].pin.sha256 == digest:
            say(f"{shown(folder, path)} has the bytes of {shown(folder, offers[key].path)}: passed over")
            continue
        if key in offers:
            raise DataError(
                path,
                f"a second new file of {title.source} for {title.month:%B %Y}, beside {offers[key].path.name}",
                "one new file a month",
                "Keep the one that the publisher lists now, and take the other out of the folder.",
            )
        taken = [*pins, *(offer.pin for offer in offers.values())]
        offers[key] = Offer(_pin(path, title, digest, taken, addresses.get(path.name, "")), path)
    if pinned:
        say("1 file is pinned already" if pinned == 1 else f"{pinned} files are pinned already")
    return [offers[key] for key in sorted(offers)]


def check_codes(offer: Offer, geography: Geography, outside: Collection[str], protocol_file: Path) -> None:
    """Check that a return has the commissioners that its month should have; ``protocol_file`` gives the study's boundaries.

    Raises
    ------
    StudyError
        It is of later boundaries than the study's: the message says which date to set.
    DataError
        A code is unknown, missing or extra; the message says what to add where.
    """
    month = offer.pin.month
    if offer.pin.source != "mar" or month is None or month < mar.FIRST_CCG_MONTH:
        return
    due = geography.later[geography.later.effective <= pd.Timestamp(month)]
    if len(due):
        raise StudyError(
            protocol_file,
            f"boundaries before {due.effective.max():%-d %B %Y}, when {due.pred_name.iloc[-1]} merged into {due.succ_name.iloc[-1]}",
            f"boundaries in force in {month:%B %Y}, the month of {offer.path.name}",
            f"Set boundaries = {due.effective.max():%Y-%m-%d} in [study]: earlier months are then summed to the merged commissioners.",
            column="study.boundaries",
        )
    found = mar.read_mar(offer.path, month)
    mar.check_organisations(found, geography.in_force(month) | set(outside), offer.path)


def with_offers(pins: Sequence[Pin], offers: Sequence[Offer], today: date) -> list[Pin]:
    """The manifest's rows with the new ones after those of their source up to their month; a month's earlier file is kept, superseded."""
    rows = list(pins)
    for offer in offers:
        new = offer.pin
        same = [at for at, pin in enumerate(rows) if pin.source == new.source and pin.month == new.month]
        for at in same:
            if rows[at].superseded is None:
                rows[at] = replace(rows[at], superseded=today)
        before = [
            at
            for at, pin in enumerate(rows)
            if pin.source == new.source and pin.month and new.month and pin.month <= new.month
        ]
        rows.insert(max(before, default=len(rows) - 1) + 1, new)
    return rows


@dataclass(frozen=True)
class Reach:
    """The last month to which the data of a study go, and what ends there; None where they do not hold its first month."""

    month: date | None
    why: str


def last_whole_month(
    pins: Sequence[Pin], sources: Collection[str], start: date, end: date, population_to: date
) -> Reach:
    """The last month up to ``end`` that has people, and to which every source has a file for each month from ``start``."""
    held = {(pin.source, pin.month) for pin in pins if pin.superseded is None}
    month, last = start, None
    while month <= end:
        absent = sorted(source for source in sources if (source, month) not in held)
        if absent:
            return Reach(last, f"there is no file of {absent[0]} for {month:%B %Y}")
        if month > population_to:
            return Reach(last, f"population is known to {population_to:%B %Y}")
        last = month
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return Reach(last, "")


@dataclass(frozen=True)
class _Title:
    """What a monthly workbook says of itself."""

    source: str
    month: date
    published: date | None
    revised: date | None


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as problem:
        raise NotTaken(f"cannot be read ({problem.strerror})") from problem


def _title(path: Path, end: date) -> _Title:
    """What a file of one of the monthly publications says of itself.

    Raises
    ------
    NotTaken
        It is something else, or of a month after ``end``.
    DataError
        Its name says that it is a workbook, which it is not; or its month cannot be told.
    """
    if not is_workbook(path) and path.suffix.lower() not in WORKBOOK_NAMES:
        raise NotTaken("is no workbook, the form in which the publisher gives every month")
    try:
        workbook = open_workbook(path)
    except DataError as problem:
        if path.suffix.lower() in WORKBOOK_NAMES:
            raise
        raise NotTaken(f"is {problem.found}") from problem
    named = {name.lower(): name for name in workbook.sheet_names}
    source = next((source for source, sheet in SHEETS.items() if sheet.lower() in named), None)
    if source is None:
        provider = "is the return by provider, which the study does not use"
        raise NotTaken(provider if "provider" in named else "is of another publication than those of the study")
    sheet = workbook.sheet(named[SHEETS[source].lower()])
    if source == "mar" and "commissioner" not in str(sheet.title_value("Basis:") or "commissioner").lower():
        raise NotTaken("is the return on another basis than by commissioner")
    month = month_in(sheet.title_value("Period:"))
    if month is None:
        raise sheet.error(
            found=f"Period: {sheet.title_value('Period:')!r} in the title block",
            expected="a month, such as April 2017",
            action="take the file out of the folder, or fetch it again",
            column="Period:",
        )
    if month > end:
        raise NotTaken(f"is of {month:%B %Y}, after the study's end")
    return _Title(source, month, day_in(sheet.title_value("Published:")), day_in(sheet.title_value("Revised:")))


def _pin(path: Path, title: _Title, digest: str, pins: Sequence[Pin], url: str) -> Pin:
    """The row of a sound file; the publisher, title and licence are those of the others of its publication."""
    file = PurePosixPath(title.source, path.name)
    if str(file).casefold() in {pin.file.casefold() for pin in pins}:  # another file under the same name
        file = file.with_name(f"{path.stem}.{digest[:8]}{path.suffix}")
    problem = name_problem(path.name) or name_problem(file.name)
    if problem:
        raise DataError(
            path.parent,
            f"a file named {path.name!r}, which {problem}",
            "a name that the manifest can hold",
            "Rename the file and run again.",
        )
    (mar.read_mar if title.source == "mar" else dtoc.read_dtoc)(path, title.month)  # raises where it is not sound
    like = next(pin for pin in reversed(pins) if pin.source == title.source)
    return replace(
        like,
        month=title.month,
        file=str(file),
        url=url,
        sha256=digest,
        bytes=path.stat().st_size,
        published=title.published,
        revised=title.revised,
        superseded=None,
    )
