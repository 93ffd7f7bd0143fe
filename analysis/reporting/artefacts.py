"""A build's tables as reports read them: each once, and every text in them marked as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.core.tabular import read_table
from analysis.core.untrusted import outside, plain, unguarded
from analysis.core.workspace import Workspace
from analysis.editions.editions import read_editions
from analysis.estimation.regression.estimates import estimate_ids
from analysis.panel.cohorts import COHORT_COLUMNS
from analysis.panel.national import read_national
from analysis.protocol.protocol import Protocol

PUBLISHED = [
    "id",
    "cohort",
    "outcome",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "window",
    "baseline",
    "scale",
    "source",
    "note",
]


@dataclass(frozen=True)
class Artefacts:
    """A build's artefacts. Tables are as the data dictionary describes them, their texts marked as data (``analysis/core/untrusted.py``)."""

    work: Workspace
    protocol: Protocol

    @cached_property
    def panel(self) -> pd.DataFrame:
        """Published data and, where an extract was counted, what disclosure control lets of it."""
        parts = [file for file in (self.work.panel, self.work.records("panel.parquet")) if file.is_file()]
        return outside(pd.concat([pd.read_parquet(file) for file in parts], ignore_index=True))

    @cached_property
    def estimates(self) -> pd.DataFrame:
        table = outside(pd.read_parquet(self.work.estimates).drop(columns="estimate_id"))
        # Of marked parts, as those who ask for an estimate have them.
        table.insert(0, "estimate_id", estimate_ids(table))
        return table.set_index("estimate_id", drop=False)

    def series(self, name: str) -> pd.DataFrame:
        """A table that figures draw; without rows where nothing of the kind could be run."""
        file = self.work.series(name)
        return outside(pd.read_parquet(file)) if file.is_file() else pd.DataFrame()

    @cached_property
    def curve(self) -> pd.DataFrame:
        """The specification curve, one row a cohort and combination of choices."""
        return self._table("specification_curve")

    @cached_property
    def curve_choices(self) -> pd.DataFrame:
        return self._table("curve_choices")

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        return self._table("verdicts")

    @cached_property
    def sites(self) -> pd.DataFrame:
        return self._table("sites")

    @cached_property
    def its_methods(self) -> pd.DataFrame:
        """Every series by every method, and whether the methods disagree."""
        return self._table("its_methods")

    def _table(self, name: str) -> pd.DataFrame:
        text = {"departures": str, "reason": str, "control": str, "flags": str, "unit_names": str}
        return _read(self.work.table(name), dtype=text).fillna(dict.fromkeys(text, ""))

    @cached_property
    def its_series(self) -> pd.DataFrame:
        return self.series("its_series")

    @cached_property
    def ledger(self) -> pd.DataFrame:
        table = _read(self.work.ledger, keep_default_na=False)
        return table.assign(month=pd.to_datetime(table.month))  # a date where there is no row, too

    @cached_property
    def shifts(self) -> pd.DataFrame:
        """Units with a lasting change of level."""
        table = _read(self.work.shifts)
        return table.assign(month=pd.to_datetime(table.month))

    @cached_property
    def units(self) -> pd.DataFrame:
        """Covariates of the CCG units; without rows on the snapshot."""
        return _read(self.work.units)

    @cached_property
    def national(self) -> pd.DataFrame:
        """England's published totals by month."""
        return read_national(self.work.national)

    @cached_property
    def not_run(self) -> pd.DataFrame:
        return _read(self.work.not_run)

    @cached_property
    def editions(self) -> pd.DataFrame:
        """The headlines of every edition that was recorded, the oldest first."""
        name = self.protocol.report.editions
        return outside(unguarded(read_editions(self._named(name) if name else None)))

    def refreshed(self, name: str) -> pd.DataFrame:
        """A table of what moved since the last edition; without rows and columns where no refresh made one."""
        file = self.work.refresh(name)
        return _read(file, keep_default_na=False, na_values=[""]) if file.is_file() else pd.DataFrame()

    @cached_property
    def simulation(self) -> pd.DataFrame | None:
        """Error rates of the inference methods, with the seed and commit that made them; None where they were not made, as for
        the shorter window of an interim edition."""
        return self._signed_table(self.protocol.report.simulation)

    @cached_property
    def its_simulation(self) -> pd.DataFrame | None:
        """The same of the methods for interrupted time series."""
        return self._signed_table(self.protocol.report.its_simulation)

    def _signed_table(self, name: str | None) -> pd.DataFrame | None:
        """A table with the commit that made it, which may be all digits, or digits with an e between them, and is text."""
        file = self._named(name) if name else None
        there = file is not None and file.is_file() and not self.protocol.study.interim
        return pd.read_csv(file, dtype={"commit": str}) if there else None

    def _named(self, table: str) -> Path:
        """A table that the protocol names."""
        return self.work.named(plain(table))

    def facts_of(self, name: str, columns: list[str]) -> pd.DataFrame:
        """A table of facts that the protocol names."""
        return outside(read_table(self._named(name), columns))

    @cached_property
    def provenance(self) -> dict[str, Any]:
        return outside(dict(json.loads(self.work.data_provenance.read_text(encoding="utf-8"))))

    @cached_property
    def contents(self) -> pd.DataFrame:
        """What figures and tables the reports hold: those in the making, or else those that stand."""
        made = self.work.staged_contents
        return _read(made if made.is_file() else self.work.contents, keep_default_na=False)

    @cached_property
    def published(self) -> pd.DataFrame:
        """What others found of this programme, one row a figure; without rows where the protocol names no such table."""
        columns = ["id", "cohort", "outcome", "value", "window", "source"]
        name = self.protocol.report.published
        table = self.facts_of(name, columns) if name else pd.DataFrame(columns=PUBLISHED, dtype=str)
        numbers = ["value", "ci_low", "ci_high"]
        return table.assign(**{name: pd.to_numeric(table[name]) for name in numbers})

    @cached_property
    def cohort_table(self) -> pd.DataFrame:
        """Who was in which model of which programme, as the protocol's table of cohorts says."""
        return self.facts_of(self.protocol.study.cohorts, COHORT_COLUMNS)

    def facts(self, *beginnings: str) -> list[int] | None:
        """The programme's facts whose names begin so; None where the protocol names no table of them."""
        if self.protocol.report.facts is None:
            return None
        table = self.facts_of(self.protocol.report.facts, ["fact", "value", "source"])
        found = [table.value[table.fact.str.startswith(beginning)] for beginning in beginnings]
        return [int(value) for (value,) in found]


def _read(file: Path, **options: Any) -> pd.DataFrame:
    """A CSV of the build."""
    return outside(unguarded(pd.read_csv(file, **options)))
