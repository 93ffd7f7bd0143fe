"""A patient-level extract → exact counts in the private folder, and from them the panel and tables that may leave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from analysis.core.errors import DataError, UsageError
from analysis.core.files import write_together
from analysis.core.workspace import Workspace
from analysis.panel.inputs import study_geography
from analysis.panel.panel import ATTRIBUTES, CCG, Cleaned, clean, outcomes_from
from analysis.protocol.protocol import RECORDS, Protocol, load_protocol
from analysis.protocol.schema import Records
from analysis.records.addresses import is_address
from analysis.records.addresses import shown as address
from analysis.records.cells import cell
from analysis.records.counts import LATE, OF_USED, USED, Counts, ledger_of_rows, used_where
from analysis.records.definitions import ADMISSIONS, FIRST_DATE, MADE_UP, PATIENTS
from analysis.records.disclosure import shown, suppressed_list, with_length_of_stay
from analysis.records.engines import open_engine
from analysis.records.episodes import OF_ROWS
from analysis.records.extract import COLUMNS, DATE, Extract, find_extract
from analysis.records.instants import midnights_elsewhere
from analysis.records.memory import FORGOTTEN, Memory
from analysis.records.misread import long_by_year
from analysis.records.networks import practices_of, read_networks
from analysis.records.origin import is_made_up
from analysis.records.sampled import PERSONS, sample_of
from analysis.records.scan import scan
from analysis.records.shares import checked_counts
from analysis.records.spells import OF_SPELLS
from analysis.records.tables import BY_COMMISSIONER, LABELS, records_tables, to_remember
from analysis.records.trouble import engine_errors, place_of, refused_cell
from analysis.records.typed import read_episodes, tidy_codes, unreadable
from analysis.stages.data import Say, as_json

LEDGER = "ledger.csv"
SHARE_OF_EARLY = 0.01  # of the dates of admission: from here on they are told of where a month has none
WORTH_A_LOOK = 0.05  # of the nights, in stays of more than a year
OF_DATES = "Write every date as YYYY-MM-DD, by the hospital's clock and without a time zone"
OF_NUMBERS = "Write the column in one form"


def build_records(work: Workspace, place: str, engine_name: str, master: str, say: Say) -> list[Path]:
    """Count an extract and write the panel, the tables and the ledger of its rows as they may be shown; return these files.

    Everything that is written outside the private folder is made from what may be shown.

    Raises
    ------
    UsageError
        There is no extract, or it lies in the build folder; there is no such engine, the panel of published data is of another geography, or the tables would be cut in another way
        than those of an earlier run.
    DataError
        The extract is not sound, does not cover the window, or has rows that fall out in a way that nobody expects.
    """
    work.require(work.panel)
    if not is_address(place) and Path(place).resolve().is_relative_to(work.build.resolve()):
        raise UsageError(f"EXTRACT: the extract lies in {work.build}, and `make clean` would remove it with the build. Move it to another folder.")
    protocol = load_protocol(work.protocol_file)
    published = pd.read_parquet(work.panel)
    units = published[published.geography == CCG]
    if units.empty:
        raise UsageError(
            "Records are counted by commissioner, and this build holds the snapshot's areas. Supply the published files (MIRROR=folder)."
        )
    rules = protocol.records
    network_of = read_networks(work.named(rules.networks)) if rules.networks else {}
    counts, provenance, sample = _counted(work, protocol, place, engine_name, master, network_of, say)
    memory = _memory(work, protocol, network_of, provenance["made_up"])
    memory.check()
    if not memory.exists:
        say(FORGOTTEN.format(folder=memory.folder))
    tables = records_tables(
        counts, rules, protocol.months, sorted(units.unit.unique()), network_of, memory
    )
    ledger = ledger_of_rows(counts, protocol.months)
    in_shown = used_where(counts, ~tables[BY_COMMISSIONER].suppressed[ADMISSIONS])
    shown_ledger, hidden_reasons = safe_ledger(ledger | in_shown, rules, memory)
    cleaned = _panel(tables[BY_COMMISSIONER].shown, units, protocol)
    write_together(
        {
            **{work.private / name: table.exact.reset_index() for name, table in tables.items()},
            work.private / "ledger.csv": pd.DataFrame({"reason": list(ledger), "rows": list(ledger.values())}),
            work.private / PERSONS: sample,
        }
    )
    # The memory is written before the tables: a run that ends between the two has suppressed too much, not too little.
    write_together(memory.contents(to_remember(tables, network_of) | {LEDGER: hidden_reasons}))
    made: dict[Path, pd.DataFrame | str] = {
        work.records("panel.parquet"): cleaned.panel,
        work.records(LEDGER): shown_ledger,
        work.records("shifts.csv"): cleaned.shifts.round({"ratio": 2}),
        work.records("provenance.json"): as_json(provenance),
    }
    names = units.drop_duplicates("unit").set_index("unit").unit_name
    for name, table in tables.items():
        out = with_length_of_stay(table.shown).reset_index()
        if "unit" in out:
            out.insert(1, "unit_name", out.unit.map(names))
        out.insert(0, "source", MADE_UP if provenance["made_up"] else PATIENTS)
        made[work.records(name)] = out
    write_together(made)
    for name in set(LABELS) - set(tables):  # of an earlier run that was asked for more
        work.records(name).unlink(missing_ok=True)
    remarkable = of_unknown_codes(shown_ledger) + of_late_discharges(shown_ledger)
    remarkable += of_long_stays(long_by_year(counts, protocol.months), rules) + of_absent(tables[BY_COMMISSIONER].shown)
    for sentence in remarkable:
        say(sentence)
    say(f"{how_many(shown_ledger)}; why rows are left out: {work.records(LEDGER)}")
    return list(made)


def _memory(work: Workspace, protocol: Protocol, network_of: dict[str, str], made_up: bool) -> Memory:
    """What earlier runs of this build suppressed; of records that are made up and of patients' apart."""
    rules = protocol.records
    settings = {
        "boundaries": f"{protocol.study.boundaries}",
        "age_bands": sorted(rules.age_bands) if rules.by_age else None,
        "networks": practices_of(network_of) if network_of else None,
    }
    return Memory(work.suppressed / ("made-up" if made_up else "patients"), settings)


def _panel(shown: pd.DataFrame, units: pd.DataFrame, protocol: Protocol) -> Cleaned:
    """The panel of the outcomes that the protocol takes from records, made from the counts that may be shown as that of published ones is."""
    wanted = {outcome.measure: outcome.id for outcome in outcomes_from(RECORDS, protocol)}
    once = units[units.outcome == units.outcome.iloc[0]]
    population = once[["unit", "month", "population_published"]].rename(columns={"population_published": "population"})
    attributes = once.drop_duplicates("unit")[["unit", "unit_name", *ATTRIBUTES]]
    long = shown[[*wanted]].rename(columns=wanted).rename_axis(columns="outcome")
    values = long.stack(future_stack=True).rename("value").reset_index()
    return clean(values, population, attributes, {}, protocol, source=RECORDS, smallest=protocol.records.smallest_count)


def safe_ledger(
    ledger: dict[str, int], rules: Records, memory: Memory | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """[reason, rows, note, what] as they may be shown – where ``rows`` is empty, ``note`` says that it is suppressed – and which rows are suppressed.

    Of ``OF_USED`` the ledger has the rows in cells that are shown. Where there is none, all are in others: a run that uses no row is refused.
    """
    what = OF_ROWS | OF_SPELLS | OF_USED
    exact = pd.Series(ledger).rename_axis("reason")
    earlier = memory.suppressed(LEDGER, ["reason"]) if memory else None
    hidden = suppressed_list(exact, rules.smallest_count, None if earlier is None else earlier.rows)
    used = exact.index.isin([*OF_USED])
    empty = hidden | (used & (exact[used].sum() == 0))
    table = pd.DataFrame({"reason": [*ledger], "rows": shown(exact, empty, rules.round_to).astype("Int64").array})
    note = ["suppressed" if suppressed else "" for suppressed in empty]
    return table.assign(note=note, what=[what[reason] for reason in ledger]), hidden.to_frame("rows")


def how_many(ledger: pd.DataFrame) -> str:
    """In words, how many of the counted rows are in admissions that are shown; ``ledger`` as ``safe_ledger`` gives it."""
    rows = ledger.set_index("reason").rows
    if pd.isna(rows[USED]):
        return "the number of counted episodes is suppressed"
    return f"about {rows[rows.index.isin([*OF_USED])].sum():,} episodes are in admissions that are shown, and any others are in suppressed counts"


def of_late_discharges(ledger: pd.DataFrame) -> list[str]:
    """What is said of stays whose discharge is late; nothing of fewer rows than may be shown. ``ledger`` as ``safe_ledger`` gives it."""
    return _of_rows(ledger, LATE, f"are {OF_USED[LATE]}")


def of_unknown_codes(ledger: pd.DataFrame) -> list[str]:
    """What is said of rows whose codes no dictionary has; nothing of fewer than may be shown. ``ledger`` as ``safe_ledger`` gives it."""
    return _of_rows(ledger, "unknown_code", f"are left out as unknown_code: {OF_ROWS['unknown_code']}")


def of_long_stays(by_year: pd.DataFrame, rules: Records) -> list[str]:
    """What is said of the nights of stays of more than a year, where they are many; ``by_year`` as ``long_by_year`` gives it."""
    stays, nights, of = by_year.sum()
    if stays < rules.smallest_count or nights < WORTH_A_LOOK * of:
        return []
    return [f"{nights / of:.0%} of the nights are of stays of more than a year: if that is more than you expect, look for wrong years in the dates"]


def of_absent(shown: pd.DataFrame) -> list[str]:
    """What is said of commissioners who have no admission; ``shown`` as ``records_tables`` has it of commissioners."""
    none = (shown[ADMISSIONS] == 0).groupby(level="unit").all()
    return [f"commissioners without an admission in the extract: {none.sum()} of {len(none)}; their counts are 0"] if none.any() else []


def _of_rows(ledger: pd.DataFrame, reason: str, what: str) -> list[str]:
    """The number alone: of how many rows it is a share, the ledger that is shown does not tell, as it leaves out those in suppressed cells."""
    rows = ledger.set_index("reason").rows[reason]
    return [] if pd.isna(rows) or rows == 0 else [f"about {rows:,} rows {what}"]


def _counted(
    work: Workspace, protocol: Protocol, place: str, engine_name: str, master: str, network_of: dict[str, str], say: Say
) -> tuple[Counts, dict[str, Any], pd.DataFrame]:
    """Exact counts of an extract, what they were made from, and a sample of its identifiers for the scanner."""
    rules = protocol.records
    asked = (["STARTAGE"] if rules.by_age else []) + (["GPPRAC"] if network_of else [])
    source = find_extract(place, rules.columns, asked, rules.missing)
    engine = open_engine(engine_name, work.private, master, url=source.url)
    say(f"{address(place)}: {len(source.files) or 1} files, on {engine.name}")
    for sentence in remarks(source):
        say(sentence)
    # Codes of every year: an extract has those that were in force when the patient was in hospital.
    unit_of = study_geography(work, protocol).unit_of
    with engine_errors(source, address(place), work.private):
        raw = engine.read(source)
        check_content(raw, source, protocol)
        made_up = is_made_up(raw, source)
        source = replace(source, codes=tidy_codes(raw, source))
        counts = checked_counts(
            engine, read_episodes(raw, source), source, address(place), rules, protocol.months, unit_of, network_of
        )
        sample = sample_of(raw, counts.total, rules.missing)
    return counts, {"engine": engine.name, "made_up": made_up, "files": len(source.files)}, sample


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
        file, row, refused = refused_cell(source, column, text)
        raise DataError(
            file, cell(column, refused), expected, f"{OF_DATES if COLUMNS[column] == DATE else OF_NUMBERS}; name markers of a missing value in [records] missing of the protocol.",
            row=row, column=source.column(column),
        )  # fmt: skip
    first, last = protocol.months[0], protocol.months[-1] + pd.offsets.MonthEnd()
    days = (first.date(), last.date())
    for at, part in enumerate(raw):
        for column, times in midnights_elsewhere(part, days, source.missing, protocol.records.smallest_count).items():
            raise DataError(
                place_of(replace(source, parts=source.parts[at : at + 1])), f"fixed times of day: {times}",
                "dates, or instants with the time zone in which they are midnights",
                "They seem to be midnights of another zone, such as 23:00 in UTC of British Summer Time, so that the day would be the one before. "
                "Write the column as dates of that zone, or with the zone.", column=source.column(column),
            )  # fmt: skip
    typed = read_episodes(raw, source)
    admitted = typed.ADMIDATE.name("day").as_table().distinct()
    inside = admitted.filter(admitted.day.between(*days)).to_pyarrow()["day"].to_pylist()
    absent = protocol.months.difference(pd.DatetimeIndex(inside).to_period("M").to_timestamp())
    if len(absent):
        first_known, action = ibis.date(FIRST_DATE), "Add the files that are missing, or shorten the window of the protocol."
        early = first_known > typed.ADMIDATE
        share, year = typed.aggregate(share=early.mean(), year=typed.ADMIDATE.year().mode(where=early)).to_pyarrow().to_pylist()[0].values()
        found = f"no admission in {absent[0]:%B %Y}"
        if share and share >= SHARE_OF_EARLY:
            found += f", and {share:.0%} of the dates are before {FIRST_DATE}, most often of the year {year:04d}"
            action = f"Correct the dates; where they are right: {action[0].lower()}{action[1:]}"
        raise DataError(
            place_of(source), found, f"admissions in every month from {first:%B %Y} to {last:%B %Y}", action, column=source.column("ADMIDATE")
        )


def check_safe(work: Workspace, say: Say) -> list[str]:
    """What must not leave, of the files of the build that may; say what could not be looked for."""
    outcomes = outcomes_from(RECORDS, load_protocol(work.protocol_file))
    found = scan(work.build, [name for outcome in outcomes for name in (outcome.id, outcome.label)])
    if not work.has_records:
        say("this build holds no records")
    elif not (work.private / PERSONS).is_file():
        say(f"identifiers of the extract itself were not looked for, as {work.private / PERSONS} is not there")
    return found
