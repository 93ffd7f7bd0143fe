"""Disclosure control, attacked: what is suppressed must not follow from totals, parts or an earlier edition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog
from synthetic import attributes_of

from analysis.cleaning.panel import CCG, ENGLAND, clean
from analysis.cleaning.quality import SMALL
from analysis.protocol import Protocol, load_protocol
from analysis.records.definitions import PARTS
from analysis.records.disclosure import protect, rounded, safe_counts, safe_panel, with_length_of_stay

SMALLEST, BASE = 8, 5
Cells = pd.Series


def cells_of(values: np.ndarray) -> Cells:
    """A table of any number of dimensions as a series."""
    levels = [[f"{axis}{n:02d}" for n in range(size)] for axis, size in zip("abcd", values.shape, strict=False)]
    return pd.Series(values.ravel(), pd.MultiIndex.from_product(levels, names=list("abcd")[: values.ndim]))


def attack(editions: list[tuple[Cells, Cells]], at: tuple[str, ...]) -> tuple[float, float]:
    """The least and the most that a suppressed cell of the first edition can be, for one who knows the rules, what every edition
    shows, and every true total.

    ``editions`` has what is shown and the counts. A shown cell is within 2 of what is shown; one of none is none; a suppressed one is at
    least 0. Of a later edition the attacker knows too that no count is lower than before.
    """
    size = len(editions[0][0])
    bounds, lines, totals = [], [], []
    for number, (shown, counts) in enumerate(editions):
        bounds += [
            (0.0, None) if np.isnan(value) else (0.0, 0.0) if value == 0 else (value - 2, value + 2) for value in shown
        ]
        places = pd.Series(np.arange(size), shown.index)
        for level in range(shown.index.nlevels):
            for members in places.groupby(shown.index.droplevel(level)):
                line = np.zeros(size * len(editions))
                line[number * size + members[1].to_numpy()] = 1
                lines.append(line)
                totals.append(counts.loc[members[1].index].sum())
    grows = np.hstack([np.eye(size), -np.eye(size)]) if len(editions) == 2 else None
    goal = np.zeros(size * len(editions))
    goal[editions[0][0].index.get_loc(at)] = 1
    found = [
        linprog(
            sign * goal, A_eq=np.array(lines), b_eq=totals, A_ub=grows, b_ub=None if grows is None else np.zeros(size), bounds=bounds,
            method="highs",
        ).fun
        for sign in (1, -1)
    ]  # fmt: skip
    return found[0], -found[1]


def small_cells(counts: Cells) -> list[tuple[str, ...]]:
    return [tuple(at) for at in counts.index[(counts > 0) & (counts < SMALLEST)]]


@pytest.mark.parametrize("seed", range(12))
def test_true_totals_recover_no_suppressed_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = cells_of(rng.poisson(rng.choice([6, 12, 30], (8, 1)), (8, 6)))
    shown = protect(counts, SMALLEST, BASE)
    for at in small_cells(counts):
        least, most = attack([(shown, counts)], at)
        assert np.isnan(shown[at]) and least <= 1 and most >= SMALLEST - 1, (at, least, most)


@pytest.mark.parametrize("seed", range(4))
def test_nor_in_three_dimensions(seed: int) -> None:
    """As of commissioners by age and month, with the true totals over each: the attacker cannot tell that the cell is small, nor narrow
    it to fewer values than 1 to 7."""
    rng = np.random.default_rng(seed)
    counts = cells_of(rng.poisson(rng.choice([7, 20, 40], (5, 3, 1)), (5, 3, 5)))
    shown = protect(counts, SMALLEST, BASE)
    for at in small_cells(counts):
        least, most = attack([(shown, counts)], at)
        assert np.isnan(shown[at]) and most >= SMALLEST and most - least >= SMALLEST - 2, (at, least, most)


@pytest.mark.parametrize("seed", range(4))
def test_nor_from_two_editions_at_once(seed: int) -> None:
    """The second holds a few records more; both true totals are known."""
    rng = np.random.default_rng(seed)
    first = cells_of(rng.poisson(rng.choice([6, 12, 30], (6, 1)), (6, 5)))
    second = first + rng.integers(0, 3, len(first))
    shown = protect(first, SMALLEST, BASE)
    again = protect(second, SMALLEST, BASE, shown.isna())
    assert (again.isna() | ~shown.isna()).all(), "what was suppressed stays so"
    for at in small_cells(first):
        least, most = attack([(shown, first), (again, second)], at)
        assert least <= 1 and most >= SMALLEST - 1, (at, least, most)


def test_the_attack_finds_a_lone_cell() -> None:
    """Without a second cell suppressed beside it, a total tells what it holds: the attack is no straw man."""
    counts = cells_of(np.array([[100, 100, 100], [100, 3, 100], [100, 100, 100]]))
    lone = counts.astype(float)
    lone["a01", "b01"] = np.nan
    least, most = attack([(lone, counts)], ("a01", "b01"))
    assert least > 0 or most < SMALLEST


def test_counts_that_are_shown_are_rounded_and_none_is_none() -> None:
    shown = protect(cells_of(np.array([[0, 8, 12], [13, 500, 22]])), SMALLEST, BASE)
    assert shown.to_list() == [0, 10, 10, 15, 500, 20]


def test_the_same_count_is_shown_again() -> None:
    first = cells_of(np.array([[7, 40, 50], [60, 70, 80]]))
    shown = protect(first, SMALLEST, BASE)
    later = first.copy()
    later["a00", "b00"] = 8
    again = protect(later, SMALLEST, BASE, shown.isna())
    assert np.isnan(again["a00", "b00"]), "a count that grows from 7 to 8 with one more record stays suppressed"
    held = shown.notna() & again.notna()
    assert held.any() and (shown[held] == again[held]).all()


def test_a_list_of_counts() -> None:
    assert rounded({"a": 3, "b": 1_002, "c": 0, "d": 40, "e": 77}, SMALLEST, BASE) == {
        "a": None,
        "b": 1000,
        "c": 0,
        "d": None,
        "e": 75,
    }


def outcomes(rng: np.random.Generator, mean: float) -> pd.DataFrame:
    """Every outcome of six units in five months, consistent with each other."""
    index = pd.MultiIndex.from_product([[f"{n:02d}A" for n in range(6)], range(5)], names=["unit", "month"])
    zero, longer = rng.poisson(mean / 3, len(index)), rng.poisson(mean, len(index))
    nights = longer * rng.integers(1, 9, len(index))
    return pd.DataFrame(
        {
            "emergency_admissions": zero + longer, "emergency_bed_days": nights, "emergency_zero_day": zero, "emergency_longer": longer,
            "ambulatory_care_sensitive": rng.binomial(zero + longer, 0.2), "emergency_bed_days_by_day": nights,
        }, index,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_outcomes_tell_nothing_of_each_other(seed: int) -> None:
    """Two parts of a sum, with the sum, and everything that is counted from a few admissions."""
    counts = outcomes(np.random.default_rng(seed), 15)
    shown = safe_counts(counts, SMALLEST, BASE)
    hidden = shown.isna()
    assert hidden.to_numpy().any() and not hidden.to_numpy().all()
    assert (hidden[PARTS[0]] == hidden[PARTS[1]]).all()
    assert hidden[hidden.emergency_admissions].all(axis=None)
    parts = counts[[*PARTS]].stack()
    for at in small_cells(parts):
        least, most = attack([(shown[[*PARTS]].stack(), parts)], at)
        assert least <= 1 and most >= SMALLEST - 1, (at, least, most)


def test_what_a_total_hides_no_part_shows() -> None:
    """Ages of a commissioner's month that is suppressed, and everything an earlier edition suppressed."""
    whole = outcomes(np.random.default_rng(1), 12)
    total = safe_counts(whole, SMALLEST, BASE)
    ages = pd.concat({band: whole * (1 + band // 20) for band in (0, 65)}, names=["age_band"]).reorder_levels(
        ["unit", "age_band", "month"]
    )
    shown = safe_counts(ages.sort_index(), SMALLEST, BASE, [total])
    for band in (0, 65):
        assert (shown.xs(band, level="age_band").isna() | total.notna()).to_numpy().all()
    again = safe_counts(whole * 10, SMALLEST, BASE, [total])
    assert (again.isna() | total.notna()).to_numpy().all()


def test_length_of_stay_is_made_from_what_is_shown() -> None:
    counts = pd.DataFrame({"emergency_admissions": [20.0, np.nan, 0], "emergency_bed_days": [105.0, np.nan, 0]})
    assert with_length_of_stay(counts).mean_length_of_stay.to_list()[0] == 5.25
    assert with_length_of_stay(counts).mean_length_of_stay.isna().to_list() == [False, True, True]


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    """With the outcomes of records."""
    return load_protocol()


@pytest.fixture(scope="module")
def exact(protocol: Protocol) -> pd.DataFrame:
    """The exact panel of six units, one of which is a small practice."""
    rng = np.random.default_rng(5)
    units = [f"{n:02d}A" for n in range(6)]
    means = np.array([9, 40, 300, 800, 2_000, 60])
    cells = pd.MultiIndex.from_product([units, protocol.months], names=["unit", "month"])
    counts = [
        pd.DataFrame({"value": rng.poisson(np.repeat(means, len(protocol.months))).astype(float)}, cells)
        .reset_index()
        .assign(outcome=outcome)
        for outcome in ("emergency_admissions", "emergency_bed_days")
    ]
    population = pd.DataFrame({"population": 10_000.0}, cells).reset_index()
    return clean(pd.concat(counts), population, attributes_of(units, {}), {}, protocol, source="records").panel


def safe_of(exact: pd.DataFrame) -> pd.DataFrame:
    """The panel that may be shown."""
    units = exact[exact.geography == CCG]
    shown = [
        protect(rows.set_index(["unit", "month"]).value_published, SMALLEST, BASE)
        .rename("value")
        .reset_index()
        .assign(outcome=outcome)
        for outcome, rows in units.groupby("outcome")
    ]
    return safe_panel(exact, pd.concat(shown).set_index(["unit", "month", "outcome"]).value, SMALLEST)


def test_the_safe_panel_holds_nothing_small(exact: pd.DataFrame) -> None:
    safe = safe_of(exact)
    units = safe[safe.geography == CCG]
    shown = units.value_published.dropna()
    assert ((shown == 0) | (shown >= SMALLEST)).all() and (shown % BASE == 0).all()
    assert (units.quality == SMALL).sum() > 30 and units.value_published[units.quality == SMALL].isna().all()
    assert (units.value.dropna() >= SMALLEST).all(), "models see no cell of fewer than eight"
    england = safe[safe.geography == ENGLAND].set_index(["outcome", "month"]).value_published
    assert england.eq(units.groupby(["outcome", "month"]).value_published.sum()).all(), (
        "totals are summed after rounding"
    )
