"""Disclosure control, attacked: what is suppressed must not follow from totals, parts or an earlier edition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog
from synthetic import attributes_of

from analysis.cleaning.panel import CCG, ENGLAND, clean
from analysis.cleaning.quality import SMALL
from analysis.protocol import Protocol, load_protocol
from analysis.records.disclosure import PARTS, protect, rounded, safe_panel
from analysis.records.scan import scan

SMALLEST, BASE = 8, 5


def table_of(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        values, [f"U{n}" for n in range(len(values))], pd.date_range("2014-04-01", periods=values.shape[1], freq="MS")
    )


def attack(shown: pd.DataFrame, counts: pd.DataFrame, at: tuple[int, int]) -> tuple[float, float]:
    """The least and the most that a suppressed cell can be, for one who knows the rules, what is shown, and every true total.

    A shown cell is within 2 of what is shown; one of none is none; a suppressed cell is at least 0.
    """
    rows, columns = counts.shape
    cells = np.arange(rows * columns).reshape(rows, columns)
    bounds = [
        (0.0, None) if np.isnan(value) else (0.0, 0.0) if value == 0 else (value - 2, value + 2)
        for value in shown.to_numpy().ravel()
    ]
    lines = [*cells, *cells.T]
    sums = np.zeros((len(lines), rows * columns))
    for line, members in enumerate(lines):
        sums[line, members] = 1
    totals = [*counts.sum(axis=1), *counts.sum(axis=0)]
    goal = np.zeros(rows * columns)
    goal[cells[at]] = 1
    found = [linprog(sign * goal, A_eq=sums, b_eq=totals, bounds=bounds, method="highs").fun for sign in (1, -1)]
    return found[0], -found[1]


@pytest.mark.parametrize("seed", range(12))
def test_true_totals_recover_no_suppressed_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = table_of(rng.poisson(rng.choice([6, 12, 30], (8, 1)), (8, 6)))
    shown = protect(counts, SMALLEST, BASE)
    small = np.argwhere((counts.to_numpy() > 0) & (counts.to_numpy() < SMALLEST))
    assert np.isnan(shown.to_numpy()[tuple(small.T)]).all()
    for row, column in small:
        least, most = attack(shown, counts, (row, column))
        assert least <= 1 and most >= SMALLEST - 1, (row, column, least, most)


def test_the_attack_finds_a_lone_cell() -> None:
    """Without a second cell suppressed beside it, a total tells what it holds: the attack is no straw man."""
    counts = table_of(np.array([[100, 100, 100], [100, 3, 100], [100, 100, 100]]))
    lone = counts.astype(float)
    lone.iloc[1, 1] = np.nan
    least, most = attack(lone, counts, (1, 1))
    assert least > 0 or most < SMALLEST


def test_counts_that_are_shown_are_rounded_and_none_is_none() -> None:
    shown = protect(table_of(np.array([[0, 8, 12], [13, 500, 22]])), SMALLEST, BASE)
    assert shown.to_numpy().tolist() == [[0, 10, 10], [15, 500, 20]]


def test_two_editions_tell_no_more_than_one() -> None:
    """A count that grows from 7 to 8 with one more record, or shrinks, stays suppressed."""
    first = table_of(np.array([[7, 40, 50], [60, 70, 80]]))
    later = first + np.array([[1, 0, 0], [0, 0, 0]])
    shown = protect(first, SMALLEST, BASE)
    again = protect(later, SMALLEST, BASE, shown.isna())
    assert (again.isna() | ~shown.isna()).to_numpy().all(), "what was suppressed stays so"
    held = shown.notna() & again.notna()
    assert (shown.where(held).fillna(0) == again.where(held).fillna(0)).to_numpy().all()


def test_a_list_of_counts() -> None:
    assert rounded({"a": 3, "b": 1_002, "c": 0, "d": 40, "e": 77}, SMALLEST, BASE) == {
        "a": None,
        "b": 1000,
        "c": 0,
        "d": None,
        "e": 75,
    }


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


def test_the_safe_panel_holds_nothing_small(exact: pd.DataFrame) -> None:
    safe = safe_panel(exact, SMALLEST, BASE)
    units = safe[safe.geography == CCG]
    shown = units.value_published.dropna()
    assert ((shown == 0) | (shown >= SMALLEST)).all() and (shown % BASE == 0).all()
    assert (units.quality == SMALL).sum() > 30 and units.value_published[units.quality == SMALL].isna().all()
    assert (units.value.dropna() >= SMALLEST).all(), "models see no cell of fewer than eight"
    england = safe[safe.geography == ENGLAND].set_index(["outcome", "month"]).value_published
    assert england.eq(units.groupby(["outcome", "month"]).value_published.sum()).all(), (
        "totals are summed after rounding"
    )


def test_parts_are_suppressed_together(exact: pd.DataFrame) -> None:
    renamed = exact.assign(outcome=exact.outcome.map(dict(zip(exact.outcome.unique(), PARTS[0], strict=True))))
    shown = safe_panel(renamed, SMALLEST, BASE)
    hidden = (
        shown[shown.geography == CCG].pivot(index=["unit", "month"], columns="outcome", values="value_published").isna()
    )
    assert hidden.to_numpy().any() and (hidden[PARTS[0][0]] == hidden[PARTS[0][1]]).all()


LEAKS = {
    "records/panel.parquet": pd.DataFrame({"dataset": ["records", "records"], "value_published": [120.0, 3.0]}),
    "results/series.csv": pd.DataFrame({"outcome": ["emergency_admissions"], "count": [123]}),
    "reports/csv/table.csv": pd.DataFrame({"outcome": ["Emergency bed days"], "value": [7]}),
    "results/person.csv": pd.DataFrame({"token_person_id": ["x"]}),
    "results/hidden.parquet": pd.DataFrame({"note": ["0f" * 16]}),
    "reports/page.html": "<td>9434765919</td><td>943 476 5919</td>",
    "reports/other.html": "<p>person 0123456789abcdef0123456789abcdef</p>",
}


@pytest.mark.parametrize("name", LEAKS)
def test_the_scanner_catches_a_planted_leak(name: str, exact: pd.DataFrame, tmp_path: Path) -> None:
    for folder in ("records", "results", "reports/csv"):
        (tmp_path / folder).mkdir(parents=True)
    safe_panel(exact, SMALLEST, BASE).to_parquet(tmp_path / "records/safe.parquet")
    (tmp_path / "reports/safe.html").write_text("<p>SHA-256 " + "0f" * 32 + ", 30 of 207 places</p>")
    assert scan(tmp_path, SMALLEST, BASE) == []
    leak = LEAKS[name]
    if isinstance(leak, str):
        (tmp_path / name).write_text(leak)
    elif name.endswith("csv"):
        leak.to_csv(tmp_path / name, index=False)
    else:
        leak.to_parquet(tmp_path / name)
    (fault,) = scan(tmp_path, SMALLEST, BASE)
    assert fault.startswith(name)
