"""A patient-level extract → a private panel, and from it the safe one that every later step reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from analysis.cleaning.panel import ATTRIBUTES, CCG, clean, outcomes_from
from analysis.errors import DataError, UsageError
from analysis.files import write_together
from analysis.inputs import study_geography
from analysis.protocol import RECORDS, Protocol, load_protocol
from analysis.records.counts import USED, Counts, ledger_of_rows, monthly
from analysis.records.databases import shown
from analysis.records.definitions import MADE_UP, PATIENTS
from analysis.records.disclosure import rounded, safe_counts, safe_panel, with_length_of_stay
from analysis.records.engines import open_engine
from analysis.records.episodes import NO_AGE, OF_ROWS
from analysis.records.extract import Extract, find_extract
from analysis.records.instants import midnights_elsewhere
from analysis.records.networks import read_networks
from analysis.records.scan import scan
from analysis.records.shares import checked_counts
from analysis.records.spells import OF_SPELLS
from analysis.records.synthesise import TRUTH
from analysis.records.trouble import engine_errors, place_of
from analysis.records.typed import read_episodes, tidy_columns, unreadable
from analysis.rules import Records
from analysis.stages.data import Say, as_json
from analysis.workspace import Workspace

BY_COMMISSIONER, BY_AGE, BY_NETWORK = "by_commissioner.csv", "by_age.csv", "by_network.csv"
TABLES = {
    BY_COMMISSIONER: ["unit", "month"], BY_AGE: ["unit", "age_band", "month"], BY_NETWORK: ["network", "month"],
}  # fmt: skip


def build_records(work: Workspace, place: str, engine_name: str, master: str, say: Say) -> list[Path]:
    """Count an extract and write the safe panel and the safe ledger of its rows; return these files.

    The exact panel, and what the data-quality rule says of it, stay in the private folder.

    Raises
    ------
    UsageError
        There is no extract, no such engine, or the panel of published data is of another geography.
    DataError
        The extract is not sound, does not cover the window, or has rows that fall out in a way that nobody expects.
    """
    work.require(work.panel)
    protocol = load_protocol(work.protocol_file)
    published = pd.read_parquet(work.panel)
    units = published[published.geography == CCG]
    if units.empty:
        raise UsageError(
            "Records are counted by commissioner, and this build holds the snapshot's areas. Supply the published files (MIRROR=folder)."
        )
    rules = protocol.records
    network_of = read_networks(work.named(rules.networks)) if rules.networks else {}
    counts, provenance = _counted(work, protocol, place, engine_name, master, network_of, say)
    ledger = ledger_of_rows(counts, protocol.months)
    # What was suppressed before is kept apart for made-up records and for patients', also of tables that are not asked for now.
    memory = work.private / ("shown-made-up" if provenance["made_up"] else "shown")
    earlier = _earlier(memory)
    exact, shown = _tables(counts, protocol, earlier, sorted(units.unit.unique()), network_of)
    wanted = {outcome.measure: outcome.id for outcome in outcomes_from(RECORDS, protocol)}
    once = units[units.outcome == units.outcome.iloc[0]]
    population = once[["unit", "month", "population_published"]].rename(columns={"population_published": "population"})
    attributes = once.drop_duplicates("unit")[["unit", "unit_name", *ATTRIBUTES]]
    in_panel = exact[BY_COMMISSIONER][[*wanted]].rename(columns=wanted).rename_axis(columns="outcome")
    long = in_panel.stack().rename("value").reset_index().astype({"value": float})
    cleaned = clean(long, population, attributes, {}, protocol, source=RECORDS)
    safe = shown[BY_COMMISSIONER][[*wanted]].rename(columns=wanted).rename_axis(columns="outcome").stack()
    panel = safe_panel(cleaned.panel, safe, rules.smallest_count)
    table = safe_ledger(ledger, rules)
    write_together(
        {
            work.private / "panel.parquet": cleaned.panel, work.private / "quality_ledger.csv": cleaned.ledger,
            **{memory / name: of_labels.reset_index() for name, of_labels in shown.items()},
            work.private / "ledger.csv": pd.DataFrame({"reason": list(ledger), "rows": list(ledger.values())}),
        }
    )  # fmt: skip
    made: dict[Path, pd.DataFrame | str] = {
        work.records("panel.parquet"): panel,
        work.records("ledger.csv"): table,
        work.records("shifts.csv"): cleaned.shifts.round({"ratio": 2}),
        work.records("provenance.json"): as_json(provenance),
    }
    names = attributes.set_index("unit").unit_name
    for name, of_labels in shown.items():
        out = with_length_of_stay(of_labels).reset_index()
        if "unit" in out:
            out.insert(1, "unit_name", out.unit.map(names))
        out.insert(0, "source", MADE_UP if provenance["made_up"] else PATIENTS)
        made[work.records(name)] = out
    write_together(made)
    for name in set(TABLES) - set(shown):  # of an earlier run that was asked for more
        work.records(name).unlink(missing_ok=True)
    for sentence in of_unknown_codes(ledger, rules):
        say(sentence)
    say(f"{how_many(table)}; why the others are not: {work.records('ledger.csv')}")
    return list(made)


def safe_ledger(ledger: dict[str, int], rules: Records) -> pd.DataFrame:
    """[reason, rows, note, what] as they may be shown; where ``rows`` is empty, ``note`` says that it is suppressed."""
    what = OF_ROWS | OF_SPELLS | {USED: "of the emergency spells that are counted"}
    rows = pd.array(list(rounded(ledger, rules.smallest_count, rules.round_to).values()), dtype="Int64")
    note = ["suppressed" if hidden else "" for hidden in rows.isna()]
    return pd.DataFrame({"reason": [*ledger], "rows": rows, "note": note, "what": [what[reason] for reason in ledger]})


def how_many(ledger: pd.DataFrame) -> str:
    """The rows that are counted, in words; ``ledger`` as ``safe_ledger`` gives it."""
    used = ledger.set_index("reason").rows[USED]
    return "how many episodes are counted is suppressed" if pd.isna(used) else f"about {used:,} episodes are counted"


def of_unknown_codes(ledger: dict[str, int], rules: Records) -> list[str]:
    """What is said of rows whose codes no dictionary has; nothing of fewer than may be shown."""
    rows, total = ledger["unknown_code"], sum(ledger.values())
    if rows < rules.smallest_count:
        return []
    share = f"{rows / total:.0%}" if rows >= 0.01 * total else "less than 1%"
    return [f"{share} of the rows are left out as unknown_code: {OF_ROWS['unknown_code']}"]


def _counted(
    work: Workspace, protocol: Protocol, place: str, engine_name: str, master: str, network_of: dict[str, str], say: Say
) -> tuple[Counts, dict[str, Any]]:
    """Exact counts of an extract, and what they were made from."""
    rules = protocol.records
    asked = (["STARTAGE"] if rules.by_age else []) + (["GPPRAC"] if network_of else [])
    source = find_extract(place, rules.columns, asked, rules.missing)
    engine = open_engine(engine_name, work.private, master, url=source.url)
    say(f"{shown(place)}: {len(source.files) or 1} files, on {engine.name}")
    for sentence in remarks(source):
        say(sentence)
    # Codes of every year: an extract has those that were in force when the patient was in hospital.
    unit_of = study_geography(work, protocol).unit_of
    with engine_errors(source, shown(place)):
        raw = engine.read(source)
        check_content(raw, source, protocol)
        source = replace(source, tidy=tidy_columns(raw, source))
        counts = checked_counts(
            engine, read_episodes(raw, source), source, shown(place), rules, protocol.months, unit_of, network_of
        )
    made_up = not source.url and (Path(place) / TRUTH).is_file()
    return counts, {"engine": engine.name, "made_up": made_up, "files": len(source.files)}


def _tables(
    counts: Counts, protocol: Protocol, earlier: dict[str, pd.DataFrame], units: list[str], network_of: dict[str, str]
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The tables that are asked for, by file name, exact and as they may be shown."""
    rules = protocol.records
    bands = [*sorted(rules.age_bands), NO_AGE]
    labels: dict[str, dict[str, list[Any]]] = {BY_COMMISSIONER: {"unit": units}}
    if rules.by_age:
        labels[BY_AGE] = {"unit": units, "age_band": bands}
    if network_of:
        labels[BY_NETWORK] = {"network": sorted(set(network_of.values()))}
    exact: dict[str, pd.DataFrame] = {}
    shown: dict[str, pd.DataFrame] = {}
    for name, by in labels.items():
        exact[name] = monthly(counts, protocol.months, by)
        safe = [earlier[name]] if name in earlier else []
        totals = [shown[BY_COMMISSIONER]] if name == BY_AGE else []
        shown[name] = safe_counts(exact[name], rules.smallest_count, rules.round_to, safe + totals)
    return exact, shown


def _earlier(memory: Path) -> dict[str, pd.DataFrame]:
    """The safe tables of earlier runs that the folder holds, by file name."""
    found = {}
    for name, labels in TABLES.items():
        if (memory / name).is_file():
            table = pd.read_csv(memory / name, dtype={"unit": str, "network": str}, parse_dates=["month"])
            found[name] = table.set_index(labels)
    return found


def remarks(source: Extract) -> list[str]:
    """What the user should know of the files before they are counted: documents that are not read, and persons under several names."""
    said = [f"not read, since it is a document: {file}" for file in source.not_read]
    said += [f"not read, since it is hidden or temporary, though it holds rows: {file}" for file in source.skipped]
    persons = source.persons() if source.files else {}
    if len(persons) > 1:
        columns = ", ".join(f"{column} in {files} files" for column, files in persons.items())
        said.append(
            f"the person is {columns}: where a patient has another pseudonym in each, a stay from one file to the other counts as two"
        )
    return said


def check_content(raw: Sequence[ir.Table], source: Extract, protocol: Protocol) -> None:
    """Look at dates and numbers before long work begins; ``raw`` is what the engine reads of ``source``.

    Raises
    ------
    DataError
        A value is no date, number or code of a known form; dates seem to be a day early; or the window has a
        month without admissions.
    """
    for column, (text, expected) in unreadable(raw, source).items():
        file, row = place_of(source, column, text)
        raise DataError(
            file, repr(text), expected, "Write the column in one form; name markers of a missing value in [records] missing of the protocol.",
            row=row, column=source.column(column),
        )  # fmt: skip
    first, last = protocol.months[0], protocol.months[-1] + pd.offsets.MonthEnd()
    days = (first.date(), last.date())
    for at, part in enumerate(raw):
        for column, times in midnights_elsewhere(part, days, source.missing, protocol.records.smallest_count).items():
            raise DataError(
                place_of(replace(source, parts=source.parts[at : at + 1]))[0], f"fixed times of day: {times}",
                "dates, or instants with the time zone in which they are midnights",
                "They seem to be midnights of another zone, such as 23:00 in UTC of British Summer Time, so that the day would be the one before. "
                "Write the column as dates of that zone, or with the zone.", column=source.column(column),
            )  # fmt: skip
    admitted = read_episodes(raw, source).ADMIDATE
    inside = admitted.between(*days)
    months = admitted.name("day").as_table().filter(inside).select(month=lambda t: t.day.truncate("M")).distinct()
    absent = protocol.months.difference(pd.DatetimeIndex(months.to_pyarrow()["month"].to_pylist()))
    if len(absent):
        raise DataError(
            place_of(source)[0], f"no admission in {absent[0]:%B %Y}", f"admissions in every month from {first:%B %Y} to {last:%B %Y}",
            "Add the files that are missing, or shorten the window of the protocol.", column=source.column("ADMIDATE"),
        )  # fmt: skip


def check_safe(work: Workspace) -> list[str]:
    """What is not safe in the files that leave the build."""
    rules = load_protocol(work.protocol_file).records
    return scan(work.build, rules.smallest_count, rules.round_to)
