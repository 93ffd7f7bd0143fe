"""The definitions of ``analysis/records`` written again in pandas, chunk by chunk: an oracle for tests, and what the bench compares with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from analysis.records.definitions import (
    AMBULATORY_CARE_SENSITIVE,
    EMERGENCY_METHODS,
    TRANSFER_METHODS,
    TRANSFER_SOURCES,
)
from analysis.records.extract import COLUMNS, IF_ASKED

CODES = tuple(code for group in AMBULATORY_CARE_SENSITIVE.values() for code in group)
DATES = ["ADMIDATE", "DISDATE", "EPISTART", "EPIEND"]


def arrivals_in_pandas(folder: Path) -> pd.DataFrame:
    """[code, day, admissions, nights, zero_day, sensitive] by day of admission, of linked emergency spells."""
    kept = pd.concat([_kept(chunk) for chunk in _chunks(folder)], ignore_index=True)
    once = kept.groupby(["person", "provider", "ADMIDATE", "EPIORDER", "EPISTART", "EPIEND"], as_index=False).agg(
        DISDATE=("DISDATE", "max"),
        code=("code", "min"),
        emergency=("emergency", "max"),
        transfer=("transfer", "max"),
        sensitive=("sensitive", "max"),
    )
    once["first"] = once.EPIORDER == 1
    once["ended"] = once[["EPIEND", "DISDATE"]].max(axis=1)
    firsts = once[once["first"]]
    keys = ["person", "provider", "ADMIDATE"]
    spells = once.groupby(keys).agg(
        ended=("ended", "max"), emergency=("emergency", "max"), transfer=("transfer", "max")
    )
    spells = spells.join(
        firsts.groupby(keys).agg(code=("code", "min"), sensitive=("sensitive", "max")), how="inner"
    ).reset_index()
    spells = spells.sort_values(["person", "ADMIDATE", "ended", "provider"], ignore_index=True)
    before = spells.groupby("person").ended.cummax().groupby(spells.person).shift()
    goes_on = (before > spells.ADMIDATE) | (spells.transfer & (before + pd.Timedelta(days=2) >= spells.ADMIDATE))
    spells["number"] = (~goes_on).cumsum()
    stays = spells.groupby("number").agg(
        code=("code", "first"),
        admitted=("ADMIDATE", "first"),
        ended=("ended", "max"),
        emergency=("emergency", "first"),
        sensitive=("sensitive", "first"),
    )
    stays = stays[stays.emergency]
    stays["nights"] = (stays.ended - stays.admitted).dt.days
    stays["zero_day"] = stays.nights == 0
    stays["day"] = (stays.admitted - pd.Timestamp(0)).dt.days
    grouped = stays.groupby(["code", "day"])
    return grouped.agg(
        admissions=("nights", "size"),
        nights=("nights", "sum"),
        zero_day=("zero_day", "sum"),
        sensitive=("sensitive", "sum"),
    ).reset_index()


def _chunks(folder: Path) -> Iterator[pd.DataFrame]:
    columns = [column for column in COLUMNS if column not in IF_ASKED]
    for file in sorted(folder.rglob("*.parquet")):
        yield pq.read_table(file, columns=columns, partitioning=None).to_pandas(date_as_object=False)


def _kept(chunk: pd.DataFrame) -> pd.DataFrame:
    chunk = chunk[
        (chunk.EPISTAT == 3) & (chunk.CLASSPAT == "1") & chunk.ADMIMETH.isin([*EMERGENCY_METHODS, *TRANSFER_METHODS])
    ].copy()
    for name in DATES:
        chunk[name] = chunk[name].where(chunk[name] >= pd.Timestamp("1930-01-01")).astype("datetime64[s]")
    chunk = chunk.dropna(subset=["ADMIDATE", "EPISTART", "EPIEND"])
    backwards = (chunk.EPIEND < chunk.EPISTART) | (chunk.DISDATE < chunk.ADMIDATE) | (chunk.EPISTART < chunk.ADMIDATE)
    chunk = chunk[~backwards]
    return pd.DataFrame(
        {
            "person": chunk.TOKEN_PERSON_ID.fillna("episode " + chunk.EPIKEY.astype(str)), "provider": chunk.PROCODE3,
            "code": chunk.CCG_RESPONSIBILITY, "emergency": chunk.ADMIMETH.isin(EMERGENCY_METHODS),
            "transfer": chunk.ADMIMETH.isin(TRANSFER_METHODS) | chunk.ADMISORC.isin(TRANSFER_SOURCES),
            "sensitive": chunk.DIAG_01.str.startswith(CODES), "EPIORDER": chunk.EPIORDER, **{name: chunk[name] for name in DATES},
        }
    )  # fmt: skip
