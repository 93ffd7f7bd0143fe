"""The counting of records as somebody would write it by hand today: in SQL for DuckDB, and in Polars' lazy expressions.

Both give the numbers of ``linked_counts`` for an extract in Parquet whose values need no cleaning: neither trims text, nor looks for values that
no dictionary has in columns other than the three that decide, nor for years and places in which rows are missing. The definitions are those of
``analysis/records`` (``tests/records_in_pandas.py`` has them in pandas).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from analysis.protocol.schema import Records
from analysis.protocol.vocabulary import EMERGENCY_METHODS
from analysis.records.definitions import (
    ADMISSION_METHODS,
    AMBULATORY_CARE_SENSITIVE,
    EPISODE_STATUSES,
    FINISHED,
    LATEST_DISCHARGE,
    LONGEST_GAP_DAYS,
    ORDINARY,
    PATIENT_CLASSES,
    TRANSFER_METHODS,
    TRANSFER_SOURCES,
)
from analysis.records.engines import MEMORY

Found = tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]  # arrivals and departures by commissioner and day; rows left out by reason
RULES = Records()
DATES = ("ADMIDATE", "DISDATE", "EPISTART", "EPIEND")
FIRST, LAST = "1930-01-01", f"{RULES.last_date:%Y-%m-%d}"
CONDITIONS = [code for group in AMBULATORY_CARE_SENSITIVE.values() for code in group]
REASONS = ("unfinished", "no_date", "runs_backwards", "not_emergency", "other_class", "unknown_code")


def listed(values: Any) -> str:
    return "(" + ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values) + ")"


ROWS = f"""
create temp table episodes as
with dated as (
    select * replace ({", ".join(f"case when {name} between date '{FIRST}' and date '{LAST}' then {name} end as {name}" for name in DATES)})
    from read_parquet('FOLDER/**/*.parquet')
), sorted as (
    select *, case
        when EPISTAT is distinct from {FINISHED} then 0
        when ADMIDATE is null or EPISTART is null or EPIEND is null then 1
        when EPIEND < EPISTART or DISDATE < ADMIDATE or DISDATE < EPIEND or EPISTART < ADMIDATE then 2
        when ADMIMETH is null or ADMIMETH not in {listed((*EMERGENCY_METHODS, *TRANSFER_METHODS))} then 3
        when CLASSPAT is distinct from '{ORDINARY}' then 4 end as first_reason
    from dated
)
select case
        when first_reason = 0 and (EPISTAT is null or EPISTAT not in {listed(EPISODE_STATUSES)}) then 5
        when first_reason = 3 and (ADMIMETH is null or ADMIMETH not in {listed(ADMISSION_METHODS)}) then 5
        when first_reason = 4 and (CLASSPAT is null or CLASSPAT not in {listed(PATIENT_CLASSES)}) then 5
        else first_reason end as reason,
    count(*) as n, null as person, null as provider, null as admitted, null as number, null as starts, null as ends, null as discharged,
    null as code, null as emergency, null as transfer, null as sensitive
from sorted where first_reason is not null group by 1
union all
select null, count(*), coalesce(TOKEN_PERSON_ID, 'episode ' || EPIKEY) as person, PROCODE3 as provider, ADMIDATE - date '1970-01-01' as admitted,
    EPIORDER as number, EPISTART as starts, EPIEND - date '1970-01-01' as ends, max(DISDATE) - date '1970-01-01', min(CCG_RESPONSIBILITY),
    bool_or(ADMIMETH in {listed(EMERGENCY_METHODS)}),
    bool_or(ADMIMETH in {listed(TRANSFER_METHODS)} or coalesce(ADMISORC in {listed(TRANSFER_SOURCES)}, false)),
    bool_or(coalesce({" or ".join(f"starts_with(DIAG_01, '{code}')" for code in CONDITIONS)}, false))
from sorted where first_reason is null group by person, provider, admitted, number, starts, ends
"""
SPELLS = f"""
create temp table spells as
select person, provider, admitted, max(ends) as ended, bool_or(emergency) as emergency, bool_or(transfer) as transfer, sum(n) as n,
    count(*) as episodes, min(code) filter (number = 1) as code, coalesce(bool_or(sensitive) filter (number = 1), false) as sensitive,
    case when max(discharged) > max(ends) + {LATEST_DISCHARGE} then count(*) else 0 end as late
from episodes where reason is null group by person, provider, admitted
"""
STAYS = f"""
create temp table stays as
with following as (
    select *, max(ended) over (partition by person order by admitted, ended, provider rows between unbounded preceding and 1 preceding) as before
    from spells where code is not null and ended - admitted <= {RULES.longest_stay}
), numbered as (
    select *, sum(case when coalesce(before > admitted or (transfer and before + {LONGEST_GAP_DAYS} >= admitted), false) then 0 else 1 end)
        over (partition by person order by admitted, ended, provider rows between unbounded preceding and current row) as stay
    from following
)
select arg_min(code, (admitted, ended, provider)) as code, min(admitted) as admitted, max(ended) as ended,
    arg_min(emergency, (admitted, ended, provider)) as emergency, arg_min(sensitive, (admitted, ended, provider)) as sensitive,
    sum(episodes) as episodes, sum(late) as late
from numbered group by person, stay
"""
ARRIVALS = """
select code, admitted as day, count(*) as admissions, sum(ended - admitted) as nights, count(*) filter (ended = admitted) as zero_day,
    count(*) filter (sensitive) as sensitive, sum(episodes) as rows, sum(late) as late
from stays where emergency group by all
"""
DEPARTURES = "select code, ended as day, count(*) as departures from stays where emergency group by all"


def in_sql(folder: Path) -> Found:
    engine = duckdb.connect(config={"memory_limit": MEMORY, "preserve_insertion_order": False})
    for query in (ROWS.replace("FOLDER", str(folder)), SPELLS, STAYS):
        engine.execute(query)

    def number(query: str) -> int:
        return int(engine.execute(query).fetchall()[0][0] or 0)

    lost = dict(engine.sql("select reason, sum(n) from episodes where reason is not null group by 1").fetchall())
    rows = {reason: int(lost.get(place, 0)) for place, reason in enumerate(REASONS)} | {
        "no_first_episode": number("select sum(episodes) from spells where code is null"),
        "too_long": number(f"select sum(episodes) from spells where code is not null and ended - admitted > {RULES.longest_stay}"),
        "transfer_alone": number("select sum(episodes) from stays where not emergency"),
        "duplicate": number("select sum(n - episodes) from spells"),
    }
    return engine.sql(ARRIVALS).df(), engine.sql(DEPARTURES).df(), rows


def in_polars(folder: Path) -> Found:
    """By Polars' streaming engine where it has one for a step."""
    import polars as pl

    c = pl.col
    dated = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=False).with_columns(
        pl.when(c(name).is_between(pl.lit(FIRST).str.to_date(), pl.lit(LAST).str.to_date())).then(c(name)) for name in DATES
    )
    backwards = pl.any_horizontal(
        (c(a) < c(b)).fill_null(False)
        for a, b in (("EPIEND", "EPISTART"), ("DISDATE", "ADMIDATE"), ("DISDATE", "EPIEND"), ("EPISTART", "ADMIDATE"))
    )
    emergency, transfer = c("ADMIMETH").is_in(EMERGENCY_METHODS), c("ADMIMETH").is_in(TRANSFER_METHODS)
    first = (
        pl.when(c("EPISTAT").ne_missing(FINISHED)).then(0)
        .when(pl.any_horizontal(c(name).is_null() for name in ("ADMIDATE", "EPISTART", "EPIEND"))).then(1)
        .when(backwards).then(2)
        .when(~(emergency | transfer).fill_null(False)).then(3)
        .when(c("CLASSPAT").ne_missing(ORDINARY)).then(4)
    )  # fmt: skip
    unknown = pl.any_horizontal(
        (c("first") == place) & ~c(column).is_in(codes).fill_null(False)
        for place, column, codes in ((0, "EPISTAT", EPISODE_STATUSES), (3, "ADMIMETH", ADMISSION_METHODS), (4, "CLASSPAT", PATIENT_CLASSES))
    ).fill_null(False)
    rows = dated.with_columns(first=first).with_columns(reason=pl.when(unknown).then(5).otherwise(c("first")))
    lost = rows.filter(c("reason").is_not_null()).group_by("reason").len()

    def day(name: str) -> Any:
        return c(name).cast(pl.Int32)

    spell = ["person", "provider", "admitted"]
    once = (
        rows.filter(c("reason").is_null())
        .select(
            person=c("TOKEN_PERSON_ID").fill_null(pl.concat_str(pl.lit("episode "), c("EPIKEY"))), provider="PROCODE3", admitted=day("ADMIDATE"),
            number="EPIORDER", starts=day("EPISTART"), ends=day("EPIEND"), discharged=day("DISDATE"), code="CCG_RESPONSIBILITY", emergency=emergency,
            transfer=transfer | c("ADMISORC").is_in(TRANSFER_SOURCES).fill_null(False),
            sensitive=pl.any_horizontal(c("DIAG_01").str.head(n).is_in([code for code in CONDITIONS if len(code) == n]) for n in (3, 4)).fill_null(False),
        )
        .group_by([*spell, "number", "starts", "ends"])
        .agg(c("discharged").max(), c("code").min(), c("emergency").any(), c("transfer").any(), c("sensitive").any(), n=pl.len())
    )  # fmt: skip
    firsts = c("number") == 1
    spells = once.group_by(spell).agg(
        c("emergency").any(), c("transfer").any(), c("n").sum(), ended=c("ends").max(), episodes=pl.len(),
        code=c("code").filter(firsts).min(), sensitive=c("sensitive").filter(firsts).any(),
        late=pl.when(c("discharged").max() > c("ends").max() + LATEST_DISCHARGE).then(pl.len()).otherwise(0),
    ).collect(engine="streaming")  # fmt: skip
    too_long = c("ended") - c("admitted") > RULES.longest_stay
    before = c("ended").cum_max().shift().over("person")
    goes_on = (c("before") > c("admitted")) | (c("transfer") & (c("before") + LONGEST_GAP_DAYS >= c("admitted")))
    stays = (
        spells.lazy().filter(c("code").is_not_null() & ~too_long).sort("person", "admitted", "ended", "provider")
        .with_columns(before=before).with_columns(stay=(~goes_on.fill_null(False)).cast(pl.Int32).cum_sum())
        .group_by("stay").agg(
            c("code", "admitted", "emergency", "sensitive").first(), c("ended").max(), c("episodes", "late").sum()
        )
        .collect(engine="streaming")
    )  # fmt: skip
    counted = stays.lazy().filter("emergency").with_columns(nights=c("ended") - c("admitted"))
    arrivals = counted.group_by("code", day="admitted").agg(
        c("nights", "sensitive").sum(), admissions=pl.len(), zero_day=(c("nights") == 0).sum(), rows=c("episodes").sum(), late=c("late").sum()
    )
    departures = counted.group_by("code", day="ended").agg(departures=pl.len())
    by_reason = dict(lost.collect(engine="streaming").iter_rows())

    def number(table: Any, *conditions: Any) -> int:
        return int(table.filter(*conditions)["episodes"].sum())

    found = {reason: int(by_reason.get(place, 0)) for place, reason in enumerate(REASONS)} | {
        "no_first_episode": number(spells, c("code").is_null()), "too_long": number(spells, c("code").is_not_null(), too_long),
        "transfer_alone": number(stays, ~c("emergency")), "duplicate": int((spells["n"] - spells["episodes"]).sum()),
    }  # fmt: skip
    return arrivals.collect().to_pandas(), departures.collect().to_pandas(), found
