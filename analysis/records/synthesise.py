"""Files of a made-up extract, with a known effect and known dirt. It is never data.

It is drawn (``draw``) and written part by part, each part from a seed of its own, so that the same call gives the same files whatever the
number of workers, and memory does not grow with the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.core.files import atomic_path, write_text
from analysis.core.parallel import run_jobs
from analysis.records.definitions import MARK
from analysis.records.draw import DIRT, Plan, draw_episodes

PART_ROWS = 1_000_000
TRUTH = "truth.json"
PARTITION = "FYEAR="  # the beginning of the names of folders, one a financial year
HEX = np.array([f"{byte:02x}".encode() for byte in range(256)], dtype="S2")
SCHEMA_TEXT = (
    "ADMIMETH", "ADMISORC", "DISDEST", "CLASSPAT", "PROCODE3", "CCG_RESPONSIBILITY", "GPPRAC", "LSOA11", "DIAG_01",
)  # fmt: skip


@dataclass(frozen=True)
class _Part:
    plan: Plan
    number: int
    rows: int
    folder: Path


def synthesise(plan: Plan, rows: int, folder: Path, workers: int) -> Iterator[int]:
    """Write ``rows`` episodes as Parquet files by financial year below ``folder``; yield the rows of each part as it is done.

    ``truth.json`` in the same folder has the planted effect and, by kind, the rows of dirt; what marks an extract as made up are its persons.
    """
    sizes = [PART_ROWS] * (rows // PART_ROWS) + ([rows % PART_ROWS] if rows % PART_ROWS else [])
    dirt = dict.fromkeys([*DIRT, "no_person"], 0)
    parts = [_Part(plan, number, size, folder) for number, size in enumerate(sizes)]
    for part, found in zip(parts, run_jobs(_write_part, parts, workers), strict=True):
        dirt = {kind: count + found[kind] for kind, count in dirt.items()}
        yield part.rows
    truth = {
        "made_up": True,
        "rows": rows,
        "effect_on_admissions": plan.effect,
        "effect_on_bed_days": 0.0,
        "dirt": dirt,
    }
    write_text(json.dumps(truth, indent=1) + "\n", folder / TRUTH)


def _write_part(part: _Part) -> dict[str, int]:
    rng = np.random.default_rng([part.plan.seed, part.number])
    table, dirt = draw_episodes(part.plan, part.rows, rng)
    ended = table.pop("FILED")
    years = (
        ended.astype("datetime64[M]").astype(int) // 12 + 1970 - (ended.astype("datetime64[M]").astype(int) % 12 < 3)
    )
    table["EPIKEY"] = np.int64(part.number) * PART_ROWS + rng.permutation(part.rows) + 1
    for year in np.unique(years):
        chosen = np.flatnonzero(years == year)
        chosen = chosen[np.argsort(table["EPIKEY"][chosen])]
        name = f"{PARTITION}{year % 100:02d}{(year + 1) % 100:02d}/part-{part.number:05d}.parquet"
        with atomic_path(part.folder / name) as place:
            pq.write_table(
                _arrow(table, chosen), place, compression="snappy", use_dictionary=[*SCHEMA_TEXT, "STARTAGE", "SEX"]
            )
    return dirt


def _arrow(table: dict[str, np.ndarray], chosen: np.ndarray) -> pa.Table:
    columns = {}
    for name, values in table.items():
        picked = values[chosen]
        if name == "TOKEN_PERSON_ID":
            columns[name] = _token_strings(picked)
        elif name in SCHEMA_TEXT:
            texts, codes = np.unique(picked, return_inverse=True)
            codes = pa.array(codes.astype(np.int32), mask=picked == b"")
            columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array([text.decode() for text in texts])).cast(
                pa.string()
            )
        elif values.dtype.kind == "M":
            columns[name] = pa.array(picked.astype("datetime64[D]"), type=pa.date32())
        else:
            columns[name] = pa.array(picked)
    order = ["EPIKEY", "TOKEN_PERSON_ID", *[name for name in columns if name not in ("EPIKEY", "TOKEN_PERSON_ID")]]
    return pa.table({name: columns[name] for name in order})


def _token_strings(tokens: np.ndarray) -> pa.Array:
    """(n × 2) unsigned integers → the mark and 24 hexadecimal digits, as long as the tokens of patients; null where both are zero."""
    count = len(tokens)
    text = HEX[tokens.astype(">u8").view(np.uint8).reshape(count, 16)]
    text[:, : len(MARK) // 2] = np.frombuffer(MARK.encode(), dtype="S2")
    offsets = np.arange(0, 32 * (count + 1), 32, dtype=np.int32)
    missing = ~tokens.any(axis=1)
    strings = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)))
    return pa.compute.if_else(pa.array(missing), pa.scalar(None, pa.string()), strings) if missing.any() else strings
