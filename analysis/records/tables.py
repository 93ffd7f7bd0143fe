"""Exact counts → the tables by commissioner, by age and by network of practices, exact and as they may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.protocol.schema import Records
from analysis.records.counts import Counts, monthly
from analysis.records.definitions import ADMISSIONS
from analysis.records.disclosure import shown, suppressed_parts, suppressed_places
from analysis.records.episodes import NO_AGE
from analysis.records.memory import Memory
from analysis.records.networks import GROUP, NETWORK, REMAINDER, keys_of, linked_places, with_remainder

BY_COMMISSIONER, BY_AGE, BY_NETWORK = "by_commissioner.csv", "by_age.csv", "by_network.csv"
LABELS = {
    BY_COMMISSIONER: ["unit", "month"], BY_AGE: ["unit", "age_band", "month"], BY_NETWORK: [NETWORK, "month"],
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """``exact`` counts, which of them are ``suppressed``, and what is ``shown``: of one shape, an index of labels and a column an outcome."""

    exact: pd.DataFrame
    suppressed: pd.DataFrame
    shown: pd.DataFrame


def records_tables(
    counts: Counts, rules: Records, months: pd.DatetimeIndex, units: Sequence[str], network_of: Mapping[str, str],
    memory: Memory,
) -> dict[str, Table]:  # fmt: skip
    """The tables that are asked for, by file name; ``counts`` as ``placed`` gives them.

    Raises
    ------
    StudyError
        A network is a commissioner but for a few patients.
    """
    smallest, base = rules.smallest_count, rules.round_to

    def table(exact: pd.DataFrame, suppressed: pd.DataFrame) -> Table:
        return Table(exact, suppressed, shown(exact, suppressed, base))

    exact = monthly(counts, months, {"unit": units})
    totals = suppressed_places(exact, smallest, memory.suppressed(BY_COMMISSIONER, LABELS[BY_COMMISSIONER]))
    tables = {BY_COMMISSIONER: table(exact, totals)}
    if rules.by_age:
        by_age = _known_ages(monthly(counts, months, {"unit": units, "age_band": [*sorted(rules.age_bands), NO_AGE]}))
        earlier = memory.suppressed(BY_AGE, LABELS[BY_AGE])
        tables[BY_AGE] = table(by_age, suppressed_parts(by_age, totals, smallest, earlier))
    if rules.networks:
        by_network = monthly(counts, months, {NETWORK: sorted(set(network_of.values()))})
        earlier = memory.suppressed(BY_NETWORK, LABELS[BY_NETWORK])
        if earlier is not None:
            earlier = earlier.rename(index={key: name for name, key in keys_of(network_of).items()}, level=NETWORK)
        known = counts.arrivals[counts.arrivals.unit.isin(units)]
        suppressed = _of_networks(by_network, exact, totals, linked_places(known), smallest, earlier, rules.networks)
        tables[BY_NETWORK] = table(by_network, suppressed)
    return tables


def _known_ages(by_age: pd.DataFrame) -> pd.DataFrame:
    """Counts by age with the few patients of no known age in the largest band of their commissioner.

    As a band of their own they would be too few to show in any month, and every other band of the month would be suppressed with them.
    """
    unknown, known = by_age.xs(NO_AGE, level="age_band"), by_age.drop(NO_AGE, level="age_band")
    largest = known[ADMISSIONS].groupby(level=["unit", "age_band"]).sum().unstack().idxmax(axis=1)
    unit, month = (unknown.index.get_level_values(level) for level in ("unit", "month"))
    at = pd.MultiIndex.from_arrays([unit, largest[unit], month], names=known.index.names)
    return known.add(unknown.set_axis(at), fill_value=0).reindex(known.index).astype(int)


def to_remember(tables: Mapping[str, Table], network_of: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """What is suppressed, by table, with networks under a name that stays when they are called something else."""
    return {
        name: table.suppressed.rename(index=keys_of(network_of), level=NETWORK)
        if name == BY_NETWORK
        else table.suppressed
        for name, table in tables.items()
    }


def _of_networks(
    by_network: pd.DataFrame, by_unit: pd.DataFrame, totals: pd.DataFrame, group: pd.Series, smallest: int,
    earlier: pd.DataFrame | None, file: str,
) -> pd.DataFrame:  # fmt: skip
    """Which cells of networks may not be shown: those of a group of networks and commissioners together."""
    parts = with_remainder(by_network, by_unit, group, file)
    of_groups = totals.groupby(
        [group.reindex(totals.index.get_level_values("unit")).to_numpy(), totals.index.get_level_values("month")]
    ).any()
    if earlier is not None:
        earlier = earlier.reindex(parts.index.droplevel(GROUP)).set_axis(parts.index).astype("boolean").fillna(False)
    suppressed = suppressed_parts(parts, of_groups, smallest, earlier)
    return suppressed.drop(REMAINDER, level=NETWORK).droplevel(GROUP).reindex(by_network.index)
