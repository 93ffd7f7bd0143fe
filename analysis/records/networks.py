"""Which practices make up which network, where counts are asked for by network, and which networks and commissioners are parts of one total."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.core.errors import StudyError
from analysis.core.tabular import read_table
from analysis.protocol.vocabulary import SMALLEST
from analysis.records.definitions import ADMISSIONS

PRACTICE, NETWORK = "practice_code", "network"
GROUP, REMAINDER = "group", ""  # no network of a table is without a name
# A commissioner has part in a network from this share of the admissions of either on. The few patients who moved, or are recorded under another commissioner
# than their practice's, would make all of England one group; nobody outside knows them, so that they blur what could be told.
PART = 0.05


def read_networks(path: Path) -> dict[str, str]:
    """Practice code → network, from a table [network, practice_code]; a single practice is a network of one.

    Raises
    ------
    StudyError
        There are no rows, a cell is empty, or a practice is listed twice.
    DataError
        As ``read_table`` raises it.
    """
    table = read_table(path, [NETWORK, PRACTICE])
    if table.empty:
        raise StudyError(
            path, "no rows", "a row for each practice", "Add them, or take `networks` out of the protocol."
        )
    for column in (NETWORK, PRACTICE):
        if (table[column] == "").any():
            row = int(table.index[table[column] == ""][0]) + 2
            raise StudyError(path, "an empty cell", f"a {column}", "Fill it in.", row=row, column=column)
    twice = table[table[PRACTICE].duplicated()]
    if len(twice):
        raise StudyError(
            path, f"practice {twice[PRACTICE].iloc[0]!r} again", "each practice in one network", "Keep one of the rows.",
            row=int(twice.index[0]) + 2, column=PRACTICE,
        )  # fmt: skip
    return dict(zip(table[PRACTICE], table[NETWORK], strict=True))


def keys_of(network_of: Mapping[str, str]) -> dict[str, str]:
    """Network → the first of its practices by code."""
    return {network_of[practice]: practice for practice in sorted(network_of, reverse=True)}


def practices_of(network_of: Mapping[str, str]) -> list[list[str]]:
    """The practices of every network, in order of code, whatever it is called."""
    practices = pd.Series(network_of).rename_axis(PRACTICE).reset_index(name=NETWORK)
    return sorted(sorted(codes) for _, codes in practices.groupby(NETWORK)[PRACTICE])


def linked_places(arrivals: pd.DataFrame) -> pd.Series:
    """Commissioner or network → the group of those that are parts of one total, a number.

    A network and the rest of its commissioner are two parts of a number that is known; where a network has patients of two commissioners, both and
    all their networks are one group. ``arrivals`` is [unit, network, admissions], null where a row is of none.
    """
    by_pair = arrivals.groupby(["network", "unit"]).admissions.sum()
    of_unit = arrivals.groupby("unit").admissions.sum().reindex(by_pair.index.get_level_values("unit")).to_numpy()
    of_network = by_pair.groupby(level="network").transform("sum")
    pairs = by_pair[(by_pair >= PART * of_network) | (by_pair >= PART * of_unit)].index.to_frame(index=False)
    places = pd.Index([*arrivals.unit.dropna().unique(), *arrivals.network.dropna().unique()]).unique()
    of, to = places.get_indexer(pairs.network), places.get_indexer(pairs.unit)
    links = coo_array((np.ones(len(pairs)), (of, to)), shape=(len(places), len(places)))
    return pd.Series(connected_components(links, directed=False)[1], places, name=GROUP)


def with_remainder(by_network: pd.DataFrame, by_unit: pd.DataFrame, group: pd.Series, file: str) -> pd.DataFrame:
    """The counts of networks [group, network, month], with what is left of their group's commissioners as a further network, ``REMAINDER``.

    Raises
    ------
    StudyError
        The networks of a group leave out so few of its admissions, of all months together, that none of its months could be shown.
    """
    networks = by_network.set_axis(_grouped(by_network, group))
    units = by_unit.set_axis(_grouped(by_unit, group)).groupby(level=[GROUP, "month"]).sum()
    rest = units.sub(networks.groupby(level=[GROUP, "month"]).sum()).dropna(how="all")
    left, within = (table[ADMISSIONS].groupby(level=GROUP).sum() for table in (rest, networks))
    few = left[(left < SMALLEST) & (within.reindex(left.index) > 0)]
    if len(few):
        names = [str(name) for name in networks.sort_index().loc[[few.index[0]]].index.unique(NETWORK)]
        units_of = ", ".join(
            map(str, by_unit.index.unique("unit")[group.reindex(by_unit.index.unique("unit")) == few.index[0]])
        )
        raise StudyError(
            file, f"{NETWORK} {', '.join(names)}, all of commissioner {units_of} but for fewer than {SMALLEST} admissions",
            "networks that leave out more of it",
            "The difference would tell the few, or the first few of a later edition: take a practice out of the networks.", column=NETWORK,
        )  # fmt: skip
    rest = pd.concat({REMAINDER: rest}, names=[NETWORK]).reorder_levels([GROUP, NETWORK, "month"])
    return pd.concat([networks, rest]).sort_index()


def _grouped(counts: pd.DataFrame, group: pd.Series) -> pd.MultiIndex:
    place, month = (counts.index.get_level_values(level) for level in range(2))
    return pd.MultiIndex.from_arrays([group.reindex(place).fillna(-1), place, month], names=[GROUP, NETWORK, "month"])
