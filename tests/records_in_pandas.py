"""The definitions of ``analysis/records`` written again in pandas, chunk by chunk: an oracle for tests, and what the bench compares with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis.protocol.vocabulary import EMERGENCY_METHODS
from analysis.records.counts import Counts
from analysis.records.definitions import (
    ADMISSION_METHODS,
    AMBULATORY_CARE_SENSITIVE,
    EPISODE_STATUSES,
    PATIENT_CLASSES,
    TRANSFER_METHODS,
    TRANSFER_SOURCES,
)
from analysis.records.extract import COLUMNS, IF_ASKED

CODES = tuple(code for group in AMBULATORY_CARE_SENSITIVE.values() for code in group)
DATES = ["ADMIDATE", "DISDATE", "EPISTART", "EPIEND"]
REASONS = ["unfinished", "no_date", "runs_backwards", "not_emergency", "other_class", "unknown_code"]
CODED = {"EPISTAT": EPISODE_STATUSES, "ADMIMETH": ADMISSION_METHODS, "CLASSPAT": PATIENT_CLASSES}
SPELL = ["person", "provider", "ADMIDATE"]


def counts_in_pandas(folder: Path) -> Counts:
    """What ``linked_counts`` gives for the Parquet files of a folder, neither by age nor by practice."""
    by_reason, chunks, total = np.zeros(len(REASONS), int), [], 0
    for chunk in _chunks(folder):
        reason = _reason(chunk)
        by_reason += np.bincount(reason[reason >= 0], minlength=len(REASONS))
        chunks.append(_episodes(chunk[reason < 0]))
        total += len(chunk)
    spells = _provider_spells(pd.concat(chunks, ignore_index=True))
    too_long = spells.ended - spells.ADMIDATE > 1826
    stays = _continuous_spells(spells[spells.code.notna() & ~too_long])
    rows = dict(zip(REASONS, by_reason.tolist(), strict=True))
    lost = {
        "no_first_episode": spells[spells.code.isna()], "too_long": spells[too_long & spells.code.notna()],
        "transfer_alone": stays[~stays.emergency],
    }  # fmt: skip
    rows |= {reason: int((table.rows - table.duplicates).sum()) for reason, table in lost.items()}
    rows["duplicate"] = int(spells.duplicates.sum())
    stays = stays[stays.emergency]
    stays = stays.assign(
        nights=stays.ended - stays.admitted, zero_day=stays.ended == stays.admitted, rows=stays.rows - stays.duplicates
    )
    arrivals = stays.groupby(["code", "admitted"]).agg(
        admissions=("nights", "size"), nights=("nights", "sum"), zero_day=("zero_day", "sum"), sensitive=("sensitive", "sum"),
        rows=("rows", "sum"), late=("late", "sum"),
    )  # fmt: skip
    departures = stays.groupby(["code", "ended"]).size().rename("departures")
    return Counts(
        arrivals.rename_axis(["code", "day"]).reset_index(), departures.rename_axis(["code", "day"]).reset_index(), pd.DataFrame([rows]), total,
    )  # fmt: skip


def _chunks(folder: Path) -> Iterator[pd.DataFrame]:
    columns = [column for column in COLUMNS if column not in IF_ASKED]
    for file in sorted(folder.rglob("*.parquet")):
        chunk = pq.read_table(file, columns=columns, partitioning=None).to_pandas(date_as_object=False)
        for name in DATES:
            chunk[name] = chunk[name].where(chunk[name].between("1930-01-01", "2030-03-31"))
        yield chunk


def _reason(chunk: pd.DataFrame) -> np.ndarray:
    """The place in ``REASONS`` of the first for which each row is left out, or -1; the last where its code is not known."""
    found = [
        chunk.EPISTAT != 3,
        chunk.ADMIDATE.isna() | chunk.EPISTART.isna() | chunk.EPIEND.isna(),
        (chunk.EPIEND < chunk.EPISTART) | (chunk.DISDATE < chunk.ADMIDATE) | (chunk.DISDATE < chunk.EPIEND) | (chunk.EPISTART < chunk.ADMIDATE),
        ~chunk.ADMIMETH.isin([*EMERGENCY_METHODS, *TRANSFER_METHODS]),
        (chunk.CLASSPAT != "1").fillna(True),
    ]
    first = np.select([condition.to_numpy(bool) for condition in found], range(len(found)), default=-1)
    unknown = np.zeros(len(chunk), bool)
    for place, (column, codes) in zip((0, 3, 4), CODED.items(), strict=True):
        unknown |= (first == place) & ~chunk[column].isin(codes).to_numpy(bool)
    return np.where(unknown, REASONS.index("unknown_code"), first)


def _episodes(chunk: pd.DataFrame) -> pd.DataFrame:
    days = {name: (chunk[name] - pd.Timestamp(0)).dt.days for name in DATES}
    return pd.DataFrame(
        {
            "person": chunk.TOKEN_PERSON_ID.fillna("episode " + chunk.EPIKEY.astype(str)), "provider": chunk.PROCODE3,
            "code": chunk.CCG_RESPONSIBILITY, "emergency": chunk.ADMIMETH.isin(EMERGENCY_METHODS),
            "transfer": chunk.ADMIMETH.isin(TRANSFER_METHODS) | chunk.ADMISORC.isin(TRANSFER_SOURCES),
            "sensitive": chunk.DIAG_01.str.startswith(CODES), "order": chunk.EPIORDER, **days,
        }
    )  # fmt: skip


def _provider_spells(episodes: pd.DataFrame) -> pd.DataFrame:
    once = episodes.groupby([*SPELL, "order", "EPISTART", "EPIEND"], as_index=False).agg(
        DISDATE=("DISDATE", "max"), code=("code", "min"), emergency=("emergency", "max"), transfer=("transfer", "max"),
        sensitive=("sensitive", "max"), rows=("emergency", "size"),
    )  # fmt: skip
    spells = once.groupby(SPELL).agg(
        ended=("EPIEND", "max"), left=("DISDATE", "max"), emergency=("emergency", "max"), transfer=("transfer", "max"), rows=("rows", "sum"), episodes=("rows", "size"),
    )  # fmt: skip
    firsts = once[once.order == 1].groupby(SPELL).agg(code=("code", "min"), sensitive=("sensitive", "max"))
    late = spells.episodes.where(spells.left > spells.ended + 1, 0)
    return spells.assign(duplicates=spells.rows - spells.episodes, late=late).join(firsts).reset_index()


def _continuous_spells(spells: pd.DataFrame) -> pd.DataFrame:
    spells = spells.sort_values(["person", "ADMIDATE", "ended", "provider"], ignore_index=True)
    before = spells.groupby("person").ended.cummax().groupby(spells.person).shift()
    goes_on = (before > spells.ADMIDATE) | (spells.transfer & (before + 2 >= spells.ADMIDATE))
    stays = spells.groupby((~goes_on).cumsum()).agg(
        code=("code", "first"), admitted=("ADMIDATE", "first"), ended=("ended", "max"), emergency=("emergency", "first"),
        sensitive=("sensitive", "first"), rows=("rows", "sum"), duplicates=("duplicates", "sum"),
        late=("late", "sum"),
    )  # fmt: skip
    return stays.astype({"ended": int, "sensitive": bool})
