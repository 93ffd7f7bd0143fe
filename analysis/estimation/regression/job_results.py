"""One outcome and cohort under one specification, and what is found of it: what every design of a job writes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.estimation.regression.absorbed import NotIdentified, not_identified_where_singular
from analysis.estimation.regression.estimates import Rows
from analysis.estimation.regression.sample import Sample, UnitMonths, UnitTables
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Outcome, Specification


@dataclass(frozen=True)
class Job:
    """One outcome and cohort under one specification: small enough to run anywhere, so that workers never change a result."""

    panel: pd.DataFrame
    outcome: Outcome
    cohort: str
    specification: Specification
    protocol: Protocol
    tables: UnitTables
    cells: UnitMonths | None = None  # of the panel, where they were made for several jobs

    @property
    def headline(self) -> bool:
        """Whether this is the first specification, which every design and method is run with."""
        return self.specification.id == self.protocol.specifications[0].id

    @property
    def pooled(self) -> bool:
        return self.cohort == self.protocol.pooled_cohort


@dataclass
class Found:
    """What one job found: rows of the estimates table, series by name, tables of sites, and what could not be estimated."""

    rows: Rows = field(default_factory=list)
    series: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    sites: list[pd.DataFrame] = field(default_factory=list)
    absent: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """Writes to ``found`` under the labels of ``job``. A ``cohort`` that is not named is the job's."""

    job: Job
    found: Found = field(default_factory=Found)

    def add(self, rows: Rows, sample: Sample, cohort: str | None = None) -> None:
        """Rows of the estimates table, of a ``sample`` that says how many units they compare."""
        study = self.job.protocol.study
        context = self._labels(cohort) | {
            "conf_level": study.conf_level, "n_units": len(sample.units), "n_treated": int(sample.treated.sum()),
            "window": f"{study.start:%Y-%m}/{study.end:%Y-%m}", "dataset": self.job.panel.dataset.iloc[0],
        }  # fmt: skip
        self.found.rows.extend({**context, **row} for row in rows)

    def keep(self, name: str, table: pd.DataFrame, cohort: str | None = None, **labels: str) -> None:
        """A piece of the series of this name."""
        self.found.series.setdefault(name, []).append(table.assign(**self._labels(cohort), **labels))

    def not_run(self, design: str, reason: str, cohort: str | None = None) -> None:
        job = self.job
        self.found.absent.append((job.outcome.id, cohort or job.cohort, job.specification.id, design, reason))

    def attempt(self, design: str, estimate: Callable[[], Rows], sample: Sample, cohort: str | None = None) -> None:
        """Add what ``estimate`` gives, or say why it gives nothing."""
        try:
            with not_identified_where_singular():
                rows = estimate()
            self.add(rows, sample, cohort)
        except NotIdentified as problem:
            self.not_run(design, str(problem), cohort)

    def _labels(self, cohort: str | None) -> dict[str, Any]:
        job = self.job
        return {"outcome": job.outcome.id, "cohort": cohort or job.cohort, "specification": job.specification.id}
