"""What moved the numbers: everything that differs between two editions is changed one thing at a time, and the results rebuilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.core.files import write_text
from analysis.core.workspace import Workspace
from analysis.editions.archive import COHORTS, MANIFEST, PROTOCOL, TABLES, Archive, with_study_key
from analysis.editions.ledger import CAUSES, changed_runs
from analysis.panel.panel import Held
from analysis.sources.manifest import Pin
from analysis.stages.data import build_data
from analysis.stages.results import Progress, build_results

OF_DATA = ("revised", "new_months")


@dataclass(frozen=True)
class Chain:
    """Tables of estimates from the earlier edition to the later one, and what was changed from each to the next."""

    editions: list[pd.DataFrame]
    causes: list[str]


def differences(before: Archive, after: Archive) -> list[str]:
    """What differs between two editions, in the order in which it is changed: see ``ledger.CAUSES``."""
    old, new = before.protocol, after.protocol
    until = old.study.end
    differ = {
        "code": before.code != after.code,
        "tables": before.places != after.places,
        "protocol": before.rules != after.rules,
        "seed": old.study.seed != new.study.seed,
        "revised": _history(before.pins, until) != _history(after.pins, until),
        "new_months": old.study.end != new.study.end,
    }
    found = [cause for cause, there in differ.items() if there]
    looked_again = len(changed_runs(before.ledger, after.ledger, until)) > 0
    return [*found, "rule"] if looked_again and set(found) & set(OF_DATA) else found


def chain(
    work: Workspace, before: Archive, after: Archive, folder: Path, progress: Progress, say: Callable[[str], None]
) -> Chain:
    """Rebuild, below ``folder``, the results between two editions. The masking rule's verdict on earlier months is held while data change."""
    causes = differences(before, after)
    editions, ledger, done = [before.estimates], before.ledger, set[str]()
    for cause in causes[:-1]:
        done.add(cause)
        say(f"rebuilding with {_words(done)} as now, all else as in the last edition")
        held = Held(ledger, before.protocol.study.end) if cause in OF_DATA else None
        step = _rebuild(work, before, after, done, folder / cause, held, progress)
        editions.append(pd.read_parquet(step.estimates))
        if held is None:
            ledger = pd.read_csv(step.ledger, parse_dates=["month"], keep_default_na=False)
        shutil.rmtree(folder, ignore_errors=True)
    return Chain([*editions, after.estimates], causes)


def _rebuild(
    work: Workspace,
    before: Archive,
    after: Archive,
    done: set[str],
    folder: Path,
    held: Held | None,
    progress: Progress,
) -> Workspace:
    """A build with what is ``done`` from the later edition and all else from the earlier one."""

    def of(cause: str) -> Archive:
        return after if cause in done else before

    for name in TABLES:
        place = Path(of("protocol").protocol.study.cohorts).name if name == COHORTS else name
        edition = of("tables") if name in of("tables").places else after
        write_text((edition.folder / name).read_text(encoding="utf-8"), folder / place)
    # The later manifest holds the later months too; the window keeps them out where they are not done.
    files = after if done & set(OF_DATA) else before
    write_text((files.folder / MANIFEST).read_text(encoding="utf-8"), folder / MANIFEST)
    text = (of("protocol").folder / PROTOCOL).read_text(encoding="utf-8")
    text = with_study_key(text, "seed", of("seed").protocol.study.seed)
    window = of("new_months").protocol.study
    text = with_study_key(text, "data_to", f"{window.end:%Y-%m}" if window.interim else None)
    write_text(text, folder / PROTOCOL)
    if work.downloads.is_dir():
        (folder / "downloads").symlink_to(work.downloads.resolve())
    step = replace(work, build=folder, tables=folder, protocol_file=folder / PROTOCOL, data="mar")
    build_data(step, lambda line: None, held)
    build_results(step, progress, work.workers)
    return step


def _history(pins: list[Pin], until: pd.Timestamp) -> set[tuple[str, str]]:
    """The files of the months up to one, and those that are of no month."""
    return {(pin.source, pin.sha256) for pin in pins if pin.month is None or pin.month <= until.date()}


def _words(done: set[str]) -> str:
    return ", ".join(words for cause, words in CAUSES.items() if cause in done)
