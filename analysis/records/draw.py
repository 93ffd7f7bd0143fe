"""Persons, spells and episodes of a made-up extract in the layout of HES Admitted Patient Care, drawn at random. It is never data.

The emergency admissions of treated commissioners fall by a known share from a known month on, all of it in stays without a night, so that
bed days do not change; known dirt is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.records.definitions import AMBULATORY_CARE_SENSITIVE

ZERO_DAY_SHARE = 0.32  # of emergency spells
TRANSFERRED = 0.03  # of emergency spells with a night
PRACTICES = 30  # of a commissioner
# Standard deviations of log rates: of a commissioner's month, of its yearly trend.
MONTH_NOISE, TREND_NOISE = 0.02, 0.01

# Rows of each kind of dirt, as shares of all rows: added to what is drawn, never taken from it, so that the truth stays known.
DIRT = {
    "duplicate": 3e-3, "unfinished": 3e-3, "no_date": 3e-4, "runs_backwards": 2e-4, "outside_england": 2e-3,
    "unknown_commissioner": 1e-3,
}  # fmt: skip
NO_PERSON = 1e-3  # of the episodes of emergency spells with one: no person's token; they are counted

METHODS = ("21", "22", "23", "24", "28", "2A", "2D")
METHOD_SHARES = (0.70, 0.16, 0.01, 0.05, 0.01, 0.05, 0.02)
ELECTIVE_METHODS, ELECTIVE_SHARES = ("11", "12", "13", "31", "82"), (0.55, 0.20, 0.08, 0.09, 0.08)
OTHER_DIAGNOSES = (
    "R074", "N390", "J189", "R104", "S720", "I639", "A419", "R55X", "K802", "L031", "Z380", "H269", "C509", "M171",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """``units`` [ccg_code, population, treated], one row a commissioner; days from ``first`` to ``last``; the share by which admissions
    of the treated change from ``since`` on."""

    units: pd.DataFrame
    first: pd.Timestamp
    last: pd.Timestamp
    since: pd.Timestamp
    effect: float
    seed: int


def draw_episodes(plan: Plan, rows: int, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Exactly ``rows`` episodes: emergency spells, their sequels, dirt, and for the rest planned day cases and stays."""
    people = _people(plan, max(rows // 3, 1), rng)
    spells = _emergency_spells(plan, people, int(0.33 * rows), rng)
    sequels = _transfers(spells, len(plan.units), rng)
    emergency = _joined([_expanded(spells, rng), _expanded(sequels, rng)])
    # An episode of several without a person would fall out of its spell.
    lost = (rng.random(len(emergency["single"])) < NO_PERSON) & emergency["single"]
    emergency["TOKEN_PERSON_ID"][lost] = 0
    dirt = {kind: int(rng.binomial(rows, share)) for kind, share in DIRT.items()}
    dirty = _joined([_dirty(emergency, kind, count, rng) for kind, count in dirt.items()])
    planned = _planned(plan, people, rows - len(emergency["EPIORDER"]) - len(dirty["EPIORDER"]), rng)
    table = _joined([emergency, dirty, planned])
    del table["single"]
    return table, dirt | {"no_person": int(lost.sum())}


def _people(plan: Plan, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    share = plan.units.population.to_numpy() / plan.units.population.sum()
    unit = np.searchsorted(np.cumsum(share)[:-1], rng.random(count))
    return {
        "token": rng.integers(1, 2**63, size=(count, 2)).astype(np.uint64),
        "unit": unit,
        "practice": unit * PRACTICES + rng.integers(0, PRACTICES, count),
        "age": np.clip(rng.beta(1.5, 1.2, count) * 100, 0, 105).astype(np.int16),
        "sex": rng.integers(1, 3, count).astype(np.int8),
    }


def _emergency_spells(
    plan: Plan, people: dict[str, np.ndarray], count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Spells that are left after thinning to each commissioner's rate in each month."""
    person = (len(people["unit"]) * rng.random(count) ** 1.4).astype(np.int64)
    days = int((plan.last - plan.first).days) + 1
    day = rng.integers(0, days, count)
    admitted = np.datetime64(plan.first, "D") + day
    month = admitted.astype("datetime64[M]").astype(int)
    month -= month.min()
    unit = people["unit"][person]
    zero = rng.random(count) < ZERO_DAY_SHARE
    rates = _rates(plan, int(month.max()) + 1)
    treated = plan.units.treated.to_numpy()[unit] & (admitted >= np.datetime64(plan.since, "D"))
    kept = rates[unit, month] * np.where(treated & zero, 1 + plan.effect / ZERO_DAY_SHARE, 1.0)
    chosen = rng.random(count) < kept
    nights = np.where(zero, 0, 1 + np.minimum(rng.lognormal(1.3, 1.0, count), 120)).astype(np.int64)
    provider = np.where(rng.random(count) < 0.85, unit, rng.integers(0, len(plan.units), count))
    sensitive = rng.random(count) < 0.2
    codes = np.array([code.encode() for group in AMBULATORY_CARE_SENSITIVE.values() for code in group], dtype="S4")
    other = np.array([code.encode() for code in OTHER_DIAGNOSES], dtype="S4")
    diagnosis = np.where(
        sensitive, codes[rng.integers(0, len(codes), count)], other[rng.integers(0, len(other), count)]
    )
    method = np.array([code.encode() for code in METHODS], dtype="S2")[_drawn(METHOD_SHARES, count, rng)]
    spells = _described(plan, people, person, unit, admitted, nights, provider, method, diagnosis, b"19")
    return {name: values[chosen] for name, values in spells.items()}


def _rates(plan: Plan, months: int) -> np.ndarray:
    """Probability (units × months) that a drawn spell stays: season, a trend and noise of each commissioner; the same in every part."""
    rng = np.random.default_rng([plan.seed, 2**31])
    units = len(plan.units)
    at = np.arange(months)
    season = 0.04 * np.cos(2 * np.pi * (at + plan.first.month - 1) / 12)
    log = season + 0.015 * at / 12 + MONTH_NOISE * rng.standard_normal((units, months))
    log += TREND_NOISE * rng.standard_normal((units, 1)) * (at / 12)
    return np.exp(log - log.max())


def _transfers(spells: dict[str, np.ndarray], units: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Sequels at another provider, of spells with a night."""
    stayed = np.flatnonzero(spells["nights"] > 0)
    moved = stayed[rng.random(len(stayed)) < TRANSFERRED]
    count = len(moved)
    sequel = {name: values[moved].copy() for name, values in spells.items()}
    spells["DISDEST"][moved] = b"51"
    sequel["admitted"] = spells["admitted"][moved] + spells["nights"][moved] + rng.integers(0, 2, count)
    sequel["nights"] = rng.geometric(0.12, count)
    sequel["provider"] = (spells["provider"][moved] + rng.integers(1, units, count)) % units
    sequel["ADMIMETH"] = np.where(rng.random(count) < 0.7, b"81", b"2B").astype("S2")
    sequel["ADMISORC"] = np.full(count, b"51", dtype="S2")
    return sequel


def _described(
    plan: Plan, people: dict[str, np.ndarray], person: np.ndarray, unit: np.ndarray, admitted: np.ndarray, nights: np.ndarray,
    provider: np.ndarray, method: np.ndarray, diagnosis: np.ndarray, destination: bytes,
) -> dict[str, np.ndarray]:  # fmt: skip
    count = len(person)
    years = ((admitted - np.datetime64(plan.first, "D")).astype(int) // 365).astype(np.int16)
    return {
        "person": person, "unit": unit, "admitted": admitted, "nights": nights, "provider": provider, "token": people["token"][person],
        "practice": people["practice"][person], "STARTAGE": np.minimum(people["age"][person] + years, 105).astype(np.int16),
        "SEX": people["sex"][person], "ADMIMETH": method, "DIAG_01": diagnosis,
        "ADMISORC": np.full(count, b"19", dtype="S2"), "DISDEST": np.full(count, destination, dtype="S2"),
        "CCG_RESPONSIBILITY": plan.units.ccg_code.to_numpy().astype("S5")[unit],
    }  # fmt: skip


def _expanded(spells: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Spells → episodes: one in seven spells with enough nights has two or three."""
    count = len(spells["nights"])
    several = np.where(rng.random(count) < 0.2, rng.integers(2, 4, count), 1)
    episodes = np.minimum(several, 1 + spells["nights"])
    at = np.repeat(np.arange(count), episodes)
    order = np.arange(len(at)) - np.repeat(np.cumsum(episodes) - episodes, episodes)
    nights, of, admitted = spells["nights"][at], episodes[at], spells["admitted"][at]
    start, end = admitted + nights * order // of, admitted + nights * (order + 1) // of
    last = order + 1 == of
    return _row(
        {name: values[at] for name, values in spells.items()}, start, end, np.where(last, end, np.datetime64("NaT", "D")),
        order + 1, b"1", single=of == 1,
    )  # fmt: skip


def _row(
    spells: dict[str, np.ndarray], start: np.ndarray, end: np.ndarray, discharged: np.ndarray, order: np.ndarray, patient_class: bytes,
    single: np.ndarray,
) -> dict[str, np.ndarray]:  # fmt: skip
    count = len(start)
    number = spells["practice"]
    return {
        "TOKEN_PERSON_ID": spells["token"], "ADMIDATE": spells["admitted"], "DISDATE": discharged, "EPISTART": start, "EPIEND": end,
        "EPIORDER": order.astype(np.int16), "EPISTAT": np.full(count, 3, np.int8), "ADMIMETH": spells["ADMIMETH"],
        "ADMISORC": spells["ADMISORC"], "DISDEST": np.where(np.isnat(discharged), b"98", spells["DISDEST"]).astype("S2"),
        "CLASSPAT": np.full(count, patient_class, dtype="S1"), "PROCODE3": _codes("R", 2, spells["provider"]),
        "CCG_RESPONSIBILITY": spells["CCG_RESPONSIBILITY"], "GPPRAC": _codes("V", 5, number),
        "LSOA11": _codes("E01", 6, number), "STARTAGE": spells["STARTAGE"], "SEX": spells["SEX"], "DIAG_01": spells["DIAG_01"],
        "FILED": end, "single": single,
    }  # fmt: skip


def _codes(beginning: str, digits: int, numbers: np.ndarray) -> np.ndarray:
    """Codes of a letter and a number; in the last two places of a provider's, letters and digits."""
    signs = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
    highest = int(numbers.max(initial=0)) + 1
    texts = [
        f"{beginning}{signs[n // 34]}{signs[n % 34]}" if digits == 2 else f"{beginning}{n:0{digits}d}"
        for n in range(highest)
    ]
    return np.array(texts, dtype=f"S{len(beginning) + digits}")[numbers]


def _dirty(clean: dict[str, np.ndarray], kind: str, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows of one kind of dirt, made from copies of clean ones; only a duplicate is of a person who has other rows."""
    alone = np.flatnonzero(clean["single"] & (clean["ADMIMETH"] != b"81"))
    at = alone[rng.integers(0, len(alone), count)] if len(alone) else np.empty(0, int)
    if kind == "duplicate":
        at = rng.permutation(np.flatnonzero(clean["TOKEN_PERSON_ID"].any(axis=1)))[:count]  # each once
    rows = {name: values[at].copy() for name, values in clean.items()}
    if kind == "duplicate":
        return rows
    rows["TOKEN_PERSON_ID"] = rng.integers(1, 2**63, size=(len(at), 2)).astype(np.uint64)
    if kind == "unfinished":
        rows["EPISTAT"][:] = 1
        rows["DISDATE"][:] = rows["EPIEND"][:] = np.datetime64("NaT", "D")
    elif kind == "no_date":
        rows["ADMIDATE"][:] = np.datetime64("1800-01-01", "D")
    elif kind == "runs_backwards":
        rows["EPIEND"] = rows["EPISTART"] - rng.integers(1, 9, len(at))
    elif kind == "outside_england":
        rows["CCG_RESPONSIBILITY"][:] = b"7A3"
    else:
        rows["CCG_RESPONSIBILITY"][:] = b"Q99"
    return rows


def _planned(plan: Plan, people: dict[str, np.ndarray], count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Planned and maternity stays of one episode; three in four are day cases."""
    person = rng.integers(0, len(people["unit"]), count)
    unit = people["unit"][person]
    admitted = np.datetime64(plan.first, "D") + rng.integers(0, (plan.last - plan.first).days + 1, count)
    day_case = rng.random(count) < 0.75
    nights = np.where(day_case, 0, rng.geometric(0.3, count))
    method = np.array([code.encode() for code in ELECTIVE_METHODS], dtype="S2")[_drawn(ELECTIVE_SHARES, count, rng)]
    diagnosis = np.array([code.encode() for code in OTHER_DIAGNOSES], dtype="S4")[
        rng.integers(0, len(OTHER_DIAGNOSES), count)
    ]
    spells = _described(plan, people, person, unit, admitted, nights, unit, method, diagnosis, b"19")
    rows = _row(spells, admitted, admitted + nights, admitted + nights, np.ones(count), b"1", np.ones(count, bool))
    rows["CLASSPAT"] = np.where(day_case, b"2", b"1").astype("S1")
    return rows


def _drawn(shares: Sequence[float], count: int, rng: np.random.Generator) -> np.ndarray:
    return np.searchsorted(np.cumsum(shares)[:-1], rng.random(count))


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
