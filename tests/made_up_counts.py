"""Small made-up counts of records, consistent with each other: stays drawn one by one, most cells of a few persons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.core.files import write_together
from analysis.protocol.schema import Records
from analysis.records.counts import Counts
from analysis.records.memory import Memory
from analysis.records.networks import practices_of
from analysis.records.tables import Table, records_tables, to_remember

MONTHS = pd.date_range("2015-04-01", periods=4, freq="MS")
UNITS = ["00A", "00B", "01C"]
NETWORK_OF = {"P1": "North", "P2": "South", "P3": "East", "P4": "West", "P5": "Both"}
GROUPS = {0: (["00A", "00B"], ["North", "South", "East", "Both"]), 1: (["01C"], ["West"])}
OF_UNIT = {"00A": ["P1", "P2", "P5", "none"], "00B": ["P3", "P5", "none"], "01C": ["P4", "none"]}
DAYS_TO_1970 = np.datetime64("1970-01-01", "D")


@dataclass(frozen=True)
class Stays:
    """[code, unit, network, practice, age_band, day, nights, sensitive], a row a stay."""

    table: pd.DataFrame

    @classmethod
    def drawn(cls, rng: np.random.Generator, mean: float) -> Stays:
        """Cells of commissioner, practice, age band and month with some ``mean`` of persons, from none to many times it."""
        rows = []
        for unit, practices in OF_UNIT.items():
            for practice in practices:
                for age in (0, 65, -1):
                    level = mean * rng.choice([0, 0.1, 0.5, 1, 3]) * (0.05 if age == -1 else 1)
                    if practice == "none" and age == 0:
                        level = max(level, 4)  # a remainder of fewer in all months is refused
                    sensitive, nights = rng.choice([0.1, 0.5, 0.97]), rng.choice([0.3, 2.0, 20.0])
                    for month in MONTHS:
                        for _ in range(rng.poisson(level)):
                            day = int((np.datetime64(month, "D") - DAYS_TO_1970).astype(int)) + int(rng.integers(28))
                            rows.append((unit, practice, age, day, int(rng.poisson(nights)), rng.random() < sensitive))
        table = pd.DataFrame(rows, columns=["unit", "practice", "age_band", "day", "nights", "sensitive"])
        return cls(table.assign(code=table.unit, network=table.practice.map(NETWORK_OF)))

    def with_more(self, rng: np.random.Generator, share: float) -> Stays:
        """The same and a few stays more, as of a later edition of the extract."""
        more = self.table.sample(frac=share, random_state=rng)
        return Stays(pd.concat([self.table, more], ignore_index=True))

    def counts(self) -> Counts:
        """As ``counts.placed`` gives them."""
        keys = ["code", "unit", "network", "practice", "age_band", "day"]
        t = self.table.assign(admissions=1, zero_day=self.table.nights == 0, rows=1)
        measures = ["admissions", "nights", "zero_day", "sensitive", "rows"]
        arrivals = t.groupby(keys, dropna=False)[measures].sum().reset_index()
        left = t.assign(day=t.day + t.nights).groupby(keys, dropna=False).admissions.sum().rename("departures").reset_index()
        return Counts(arrivals, left, pd.DataFrame(), len(t))


def released(
    stays: Stays, memory: Path, rules: Records | None = None, network_of: Mapping[str, str] = NETWORK_OF
) -> dict[str, Table]:
    """All tables that can be asked for, of a build with this memory, which takes in what they suppress."""

    rules = rules or Records(by_age=True, age_bands=[0, 65], networks="networks.csv")
    memory = Memory(memory, {"age_bands": sorted(rules.age_bands), "networks": practices_of(network_of)})
    memory.check()
    tables = records_tables(stays.counts(), rules, MONTHS, UNITS, network_of, memory)
    write_together(memory.contents(to_remember(tables, network_of)))
    return tables
