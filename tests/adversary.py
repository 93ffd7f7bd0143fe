"""An attacker who has only what is released of records, and the rules: how far can each suppressed count be narrowed?

For every month and group of places that are parts of one total, the released tables are a system of linear equations over whole numbers: totals and
their parts, outcomes that add up, and what rounding leaves open. The least and the greatest value of each suppressed cell are found by
linear programs (HiGHS, through SciPy) and rounded inwards; SciPy's mixed-integer programs find some of these systems infeasible that are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.sparse import csr_array

from analysis.records.definitions import ADMISSIONS, BED_DAYS, PARTS, SENSITIVE
from analysis.records.networks import GROUP
from analysis.records.tables import BY_AGE, BY_COMMISSIONER, BY_NETWORK, Table

MEASURES = (ADMISSIONS, *PARTS, SENSITIVE, BED_DAYS)
FEWEST_VALUES = 5  # of a suppressed count: what is pinned to fewer is recovered
MOST = 1e6
WHOLE = 1e-6  # by which a whole number may be missed
Cell = tuple[str, object, str]  # table, label, outcome


@dataclass
class System:
    """Variables, each with its bounds, and linear constraints between them."""

    bounds: dict[tuple[object, ...], tuple[float, float]] = field(default_factory=dict)
    rows: list[tuple[dict[tuple[object, ...], float], float, float]] = field(default_factory=list)

    def equal(self, total: tuple[object, ...], parts: Sequence[tuple[object, ...]]) -> None:
        self.rows.append(({total: 1.0, **{part: -1.0 for part in parts}}, 0.0, 0.0))

    def at_most(self, lower: tuple[object, ...], upper: tuple[object, ...]) -> None:
        self.rows.append(({upper: 1.0, lower: -1.0}, 0.0, np.inf))

    def ranges(self, wanted: Sequence[tuple[object, ...]]) -> Iterator[tuple[float, float]]:
        """The least and the greatest value of each wanted variable."""
        at = {name: place for place, name in enumerate(self.bounds)}
        entries = [(row, at[name], value) for row, (terms, _, _) in enumerate(self.rows) for name, value in terms.items()]
        of, to, values = zip(*entries, strict=True)
        matrix = csr_array((values, (of, to)), shape=(len(self.rows), len(at)))
        lower, upper = np.array([*self.bounds.values()], dtype=float).T
        low, high = (np.array([row[end] for row in self.rows]) for end in (1, 2))
        even = low == high
        for name in wanted:
            goal = np.zeros(len(at))
            goal[at[name]] = 1
            found = [
                linprog(
                    sign * goal, A_eq=matrix[even], b_eq=low[even], A_ub=-matrix[~even], b_ub=-low[~even],
                    bounds=np.column_stack([lower, upper]), method="highs",
                )
                for sign in (1, -1)
            ]  # fmt: skip
            assert all(one.success for one in found), f"no counts have these tables, at {name}: {found[0].message}"
            # Counts are whole numbers.
            yield float(np.ceil(found[0].fun - WHOLE)), float(np.floor(-found[1].fun + WHOLE))


def of_shown(value: float, smallest: int, base: int) -> tuple[float, float]:
    """The counts that are shown as ``value``."""
    if np.isnan(value):
        return 0.0, MOST
    if value == 0:
        return 0.0, 0.0
    return max(float(smallest), value - base // 2), value + (base - 1) // 2


def add_release(
    system: System, edition: int, tables: Mapping[str, Table], month: pd.Timestamp, units: Sequence[str], networks: Sequence[str],
    smallest: int, base: int,
) -> None:  # fmt: skip
    """What one release says of a month: the ``units`` of a group with the ``networks`` that are parts of them."""
    labels: dict[str, list[object]] = {BY_COMMISSIONER: [*units]}
    if BY_AGE in tables:
        ages = tables[BY_AGE].shown.index.unique("age_band")
        labels[BY_AGE] = [(unit, age) for unit in units for age in ages]
    if BY_NETWORK in tables and networks:
        labels[BY_NETWORK] = [*networks]
    for name, of_table in labels.items():
        shown = tables[name].shown.xs(month, level="month")
        for label in of_table:
            for outcome in MEASURES:
                system.bounds[edition, name, label, outcome] = of_shown(shown.loc[label, outcome], smallest, base)
            _add_outcomes(system, edition, name, label)
            if shown.loc[label, BED_DAYS] > 0:  # by the rules, enough people stayed
                longer = (edition, name, label, PARTS[1])
                system.bounds[longer] = (max(float(smallest), system.bounds[longer][0]), system.bounds[longer][1])
    if BY_AGE in tables:
        for unit in units:
            for outcome in MEASURES:
                of_unit = [(edition, BY_AGE, label, outcome) for label in labels[BY_AGE] if label[0] == unit]  # type: ignore[index]
                system.equal((edition, BY_COMMISSIONER, unit, outcome), of_unit)
    if BY_NETWORK in labels:
        for outcome in MEASURES:
            rest = (edition, GROUP, "rest", outcome)
            system.bounds[rest] = (0.0, MOST)
            whole = (edition, GROUP, "whole", outcome)
            system.bounds[whole] = (0.0, MOST)
            system.equal(whole, [(edition, BY_COMMISSIONER, unit, outcome) for unit in units])
            system.equal(whole, [rest, *((edition, BY_NETWORK, network, outcome) for network in networks)])
        _add_outcomes(system, edition, GROUP, "rest")


def _add_outcomes(system: System, edition: int, table: str, label: object) -> None:
    """Outcomes of one place: two add up to admissions, another is some of them, and who stays has a night or more."""
    zero_day, longer = ((edition, table, label, part) for part in PARTS)
    system.equal((edition, table, label, ADMISSIONS), [zero_day, longer])
    system.at_most((edition, table, label, SENSITIVE), (edition, table, label, ADMISSIONS))
    system.at_most(longer, (edition, table, label, BED_DAYS))


def recovered(
    editions: Sequence[Mapping[str, Table]], groups: Mapping[int, tuple[list[str], list[str]]], smallest: int = 8, base: int = 5
) -> list[str]:  # fmt: skip
    """The suppressed counts of 1 to 7, and those of the remainder of networks, that the editions together pin to fewer than five values, in words.

    ``groups`` has the units and the networks of every group. Of a later edition the attacker knows that no count is lower than before.
    """
    found = []
    months = editions[0][BY_COMMISSIONER].exact.index.unique("month")
    for units, networks in groups.values():
        for month in months:
            system = System()
            for edition, tables in enumerate(editions):
                add_release(system, edition, tables, month, units, networks, smallest, base)
            for number, table, label, outcome in [*system.bounds]:
                if number and (0, table, label, outcome) in system.bounds:
                    system.at_most((0, table, label, outcome), (number, table, label, outcome))
            small = [*_small_cells(editions, month, system, smallest)]
            for (name, value), (least, most) in zip(small, system.ranges([name for name, _ in small]), strict=True):
                assert least <= value <= most, f"the attacker's system is wrong: {name} is {value}, not {least} to {most}"
                if most - least + 1 < FEWEST_VALUES:
                    found.append(f"{name[1:]} of {month:%B %Y}, edition {name[0]}: {value:g} is between {least:g} and {most:g}")
    return found


def _small_cells(
    editions: Sequence[Mapping[str, Table]], month: pd.Timestamp, system: System, smallest: int
) -> Iterator[tuple[tuple[object, ...], float]]:  # fmt: skip
    exact = [{name: table.exact.xs(month, level="month") for name, table in tables.items()} for tables in editions]
    for edition, name, label, outcome in system.bounds:
        if name == GROUP:
            if label == "whole" or outcome == BED_DAYS:
                continue
            units = [key[2] for key in system.bounds if key[:2] == (edition, BY_COMMISSIONER) and key[3] == outcome]
            networks = [key[2] for key in system.bounds if key[:2] == (edition, BY_NETWORK) and key[3] == outcome]
            value = exact[edition][BY_COMMISSIONER].loc[units, outcome].sum() - exact[edition][BY_NETWORK].loc[networks, outcome].sum()  # type: ignore[index]
        else:
            value = exact[edition][name].loc[label, outcome]  # type: ignore[index]
        if 0 < value < smallest:
            yield (edition, name, label, outcome), float(value)
