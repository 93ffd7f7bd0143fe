"""Counting a made-up extract: rows, seconds and memory, beside DuckDB merely scanning the columns, and beside pandas by chunks.

Run by `make bench-records`; each figure is of a process of its own. ``ROWS`` lists the sizes, in millions (1 3 10 by default; 30 and 100 need
1.5 and 5 GB of disk).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import ibis.backends.duckdb  # noqa: F401 – loaded before the clock starts, as pandas is

from analysis.records.counts import linked_counts, unlinked_counts
from analysis.records.engines import MEMORY, open_engine
from analysis.records.episodes import classified
from analysis.records.extract import COLUMNS, IF_ASKED, find_extract
from analysis.records.typed import read_episodes, tidy_codes
from analysis.rules import Records
from tests.records_in_pandas import counts_in_pandas

PANDAS_ROWS = 10  # millions at most: pandas needs far more memory
WAYS = ("scan", "outcomes", "linked", "pandas")


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


def linked(folder: Path, private: Path) -> None:
    source, engine = find_extract(str(folder), {}), open_engine("duckdb", private)
    raw = engine.read(source)
    source = replace(source, codes=tidy_codes(raw, source))
    linked_counts(engine, classified(read_episodes(raw, source), Records(), codes=source.codes))


def pandas(folder: Path, private: Path) -> None:
    counts_in_pandas(folder)


def make_up(rows: int, folder: Path) -> None:
    call = [sys.executable, "-m", "analysis", "records", "synthesise", "--rows", str(rows), "--to", str(folder)]
    subprocess.run(call, check=True, capture_output=True)


def measured(way: str, folder: Path, private: Path) -> tuple[float, int]:
    """Seconds and megabytes of one way in a process of its own, the least of two runs."""
    runs = []
    for _ in range(1 if way == "pandas" else 2):
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.records", way, str(folder), str(private)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds, megabytes = done.stdout.split()
        runs.append((float(seconds), int(megabytes)))
    return min(seconds for seconds, _ in runs), max(megabytes for _, megabytes in runs)


def main() -> None:
    if sys.argv[1:]:
        way, folder, private = sys.argv[1:]
        start = time.perf_counter()
        globals()[way](Path(folder), Path(private))
        print(f"{time.perf_counter() - start:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")
        return
    print(
        "| million rows | scan, s | outcomes alone, s (times the scan) | with full cleaning, s (times the scan) | µs a row | peak memory, MB | pandas by chunks, s (times ours) |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for size in map(int, (os.environ.get("ROWS") or "1 3 10").split()):
            folder = Path(place) / str(size)
            make_up(size * 1_000_000, folder)
            found = {
                way: measured(way, folder, Path(place) / "private")
                for way in WAYS
                if way != "pandas" or size <= PANDAS_ROWS
            }
            base, ours = found["scan"][0], found["linked"][0]
            slow = f"{found['pandas'][0]:.1f} ({found['pandas'][0] / ours:.1f})" if "pandas" in found else ""
            print(
                f"| {size} | {base:.1f} | {found['outcomes'][0]:.1f} ({found['outcomes'][0] / base:.1f}) | {ours:.1f} ({ours / base:.1f}) | "
                f"{ours / size:.2f} | {max(found[way][1] for way in ('outcomes', 'linked')):,} | {slow} |", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
