"""Counting a made-up extract: rows, seconds and memory, beside what somebody would write by hand today (``by_hand.py``) and a mere scan.

Run by `make bench-records`; each figure is of a process of its own, and all ways must give the same counts. ``ROWS`` lists the sizes, in millions
(1 3 10 by default; 30 and 100 need 1.5 and 5 GB of disk).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import ibis.backends.duckdb  # noqa: F401 – as the next
import polars  # noqa: F401 – loaded before the clock starts

from analysis.protocol.schema import Records
from analysis.records.counts import Counts, linked_counts, unlinked_counts
from analysis.records.engines import MEMORY, open_engine
from analysis.records.episodes import classified
from analysis.records.extract import COLUMNS, IF_ASKED, find_extract
from analysis.records.typed import read_episodes, tidy_codes
from tests.benchmarks import by_hand

SUMMED = ["admissions", "nights", "zero_day", "sensitive", "rows", "late"]
RUNS = 2  # of which the faster counts


def scan(folder: Path, private: Path) -> None:
    """DuckDB reads the columns that are needed and counts them by commissioner and month, no more."""
    columns = ", ".join(f"count({column})" for column in COLUMNS if column not in ("EPIKEY", *IF_ASKED))
    engine = duckdb.connect(config={"memory_limit": MEMORY, "preserve_insertion_order": False})
    engine.execute(
        f"select CCG_RESPONSIBILITY, date_trunc('month', ADMIDATE), count(*), {columns} from read_parquet('{folder}/**/*.parquet') group by 1, 2"
    ).fetchall()


def outcomes(folder: Path, private: Path) -> None:
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", private)
    raw = engine.read(source)
    source = replace(source, codes=tidy_codes(raw, source))
    unlinked_counts(classified(read_episodes(raw, source), Records(), codes=source.codes))


def linked(folder: Path, private: Path) -> by_hand.Found:
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", private)
    raw = engine.read(source)
    source = replace(source, codes=tidy_codes(raw, source))
    counts: Counts = linked_counts(engine, classified(read_episodes(raw, source), Records(), codes=source.codes))
    return counts.arrivals, counts.departures, counts.rows


def sql(folder: Path, private: Path) -> by_hand.Found:
    return by_hand.in_sql(folder)


def polars_lazily(folder: Path, private: Path) -> by_hand.Found:
    return by_hand.in_polars(folder)


WAYS = {way.__name__: way for way in (scan, outcomes, linked, sql, polars_lazily)}


def digest(found: by_hand.Found | None) -> dict[str, int]:
    """What must be the same whoever counts."""
    if found is None:
        return {}
    arrivals, departures, rows = found
    sums = {name: int(arrivals[name].sum()) for name in SUMMED} | {"departures": int(departures.departures.sum())}
    # Sums alone would not see a day or a commissioner taken for another.
    places = {"places": int((arrivals.day * arrivals.admissions).sum() + (arrivals.code.map(len) * arrivals.nights).sum())}
    return sums | places | {reason: int(number) for reason, number in sorted(rows.items()) if number}


def make_up(rows: int, folder: Path) -> None:
    call = [sys.executable, "-m", "analysis", "records", "synthesise", "--rows", str(rows), "--to", str(folder)]
    subprocess.run(call, check=True, capture_output=True)


def measured(way: str, folder: Path, private: Path) -> tuple[float, int, dict[str, int]]:
    """Seconds and megabytes of one way in a process of its own, and the digest of what it found."""
    call = [sys.executable, "-m", "tests.benchmarks.records", way, str(folder), str(private)]
    runs = [json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout) for _ in range(RUNS)]
    return min(run[0] for run in runs), max(run[1] for run in runs), runs[0][2]


def main() -> None:
    if sys.argv[1:]:
        way, folder, private = sys.argv[1:]
        start = time.perf_counter()
        found = WAYS[way](Path(folder), Path(private))
        seconds = time.perf_counter() - start
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, digest(found)]))
        return
    print("| million rows | scan, s | outcomes alone, s | with full cleaning, s | µs a row | peak memory, MB | SQL by hand, s (ours ÷ it) | Polars, s (ours ÷ it) |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for size in map(int, (os.environ.get("ROWS") or "1 3 10").split()):
            folder = Path(place) / str(size)
            make_up(size * 1_000_000, folder)
            found = {way: measured(way, folder, Path(place) / "private") for way in WAYS}
            same = [found[way][2] for way in ("linked", "sql", "polars_lazily")]
            assert same[0] == same[1] == same[2], f"not the same counts: {same}"
            ours = found["linked"][0]
            others = [f"{found[way][0]:.1f} ({ours / found[way][0]:.2f})" for way in ("sql", "polars_lazily")]
            print(
                f"| {size} | {found['scan'][0]:.1f} | {found['outcomes'][0]:.1f} | {ours:.1f} | {ours / size:.2f} | {found['linked'][1]:,} | "
                f"{others[0]} | {others[1]} |", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
