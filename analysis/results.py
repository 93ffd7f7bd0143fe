"""What a report may read: the artefacts of a build, and a way to pick one number from them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.cleaning.cohorts import COHORT_COLUMNS
from analysis.cleaning.national import read_national
from analysis.errors import DataError
from analysis.models.estimates import PERCENT, PERCENT_SUFFIX, estimate_ids, fall_of_equal_size
from analysis.outside import cited, outside, plain, unguarded
from analysis.protocol import Protocol, load_protocol
from analysis.records.definitions import MADE_UP, PATIENTS
from analysis.refresh.editions import read_editions
from analysis.rules import Outcome
from analysis.tabular import read_table
from analysis.workspace import Workspace

PRIMARY = "primary"
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
HEADLINE_INFERENCE = "randomisation"


@dataclass(frozen=True)
class Estimate:
    """One number in percent, with its interval and p-value."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Results:
    """A build's artefacts. Tables are as the data dictionary describes them, their texts marked as data (``analysis/outside.py``)."""

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
        return _read(self.work.ledger, parse_dates=["month"], keep_default_na=False)

    @cached_property
    def shifts(self) -> pd.DataFrame:
        """Units with a lasting change of level."""
        return _read(self.work.shifts, parse_dates=["month"])

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

    @property
    def dataset(self) -> str:
        return str(self.provenance["dataset"])

    @property
    def dataset_name(self) -> str:
        return self.protocol.report.snapshot if self.dataset == "snapshot" else self.protocol.report.mar

    @property
    def edition_name(self) -> str:
        """What every page names: the published data, and records where they were counted."""
        if not self.work.records("panel.parquet").is_file():
            return self.dataset_name
        return f"{self.dataset_name}; {self.records_name}"

    @property
    def records_name(self) -> str:
        return MADE_UP if self.records_made_up else PATIENTS

    @cached_property
    def records_made_up(self) -> bool:
        """Whether the extract that was counted is a made-up one."""
        file = self.work.records("provenance.json")
        return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8"))["made_up"])

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The protocol's outcomes that this data set holds."""
        held = set(self.estimates.outcome)
        return [outcome for outcome in self.protocol.outcomes if outcome.id in held]

    def holds(self, outcome: str) -> bool:
        return any(held.id == outcome for held in self.outcomes)

    def percent(
        self, design: str, outcome: str, cohort: str, term: str, inference: str, specification: str = PRIMARY
    ) -> Estimate:
        """One estimate on the percent scale.

        Raises
        ------
        DataError
            The table of estimates does not hold it.
        """
        key = "/".join([design, outcome, cohort, specification, term + PERCENT_SUFFIX, inference])
        if key not in self.ids:
            raise DataError(
                self.work.estimates,
                f"no estimate {key}",
                "a row for it",
                "Run `make report`; see build/results/not_run.csv.",
            )
        row = self.estimates.loc[key]
        return Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)

    def find(
        self, design: str, outcome: str, cohort: str, term: str, inference: str, specification: str = PRIMARY
    ) -> Estimate | None:
        """One estimate on the percent scale, or None where it could not be made on this data set."""
        key = "/".join([design, outcome, cohort, specification, term + PERCENT_SUFFIX, inference])
        return self.percent(design, outcome, cohort, term, inference, specification) if key in self.ids else None

    def count(self, design: str, outcome: str, cohort: str, term: str, inference: str) -> Estimate:
        """One number of the primary specification that is counted, not a change in percent."""
        row = self.estimates.loc["/".join([design, outcome, cohort, PRIMARY, term, inference])]
        return Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)

    @cached_property
    def ids(self) -> frozenset[str]:
        return frozenset(self.estimates.index)

    def verdict(self, outcome: str, model: str) -> pd.Series:
        """The row of the table of verdicts: the verdict, and what the rule looked at.

        Raises
        ------
        DataError
            The table does not hold it.
        """
        found = self.verdicts[(self.verdicts.outcome == outcome) & (self.verdicts.cohort == model)]
        if found.empty:
            table = self.work.table("verdicts")
            raise DataError(table, f"no verdict on {outcome} of {model}", "a row for it", "Run `make report`.")
        return found.iloc[0]

    def rows(self, design: str, outcome: str, cohort: str, inference: str) -> pd.DataFrame:
        """Rows of the estimates table on the percent scale, for the primary specification, in order of term."""
        table = self.estimates
        found = table[
            (table.design == design) & (table.outcome == outcome) & (table.cohort == cohort)
            & (table.specification == PRIMARY) & (table.inference == inference) & (table.scale == PERCENT)
        ]  # fmt: skip
        return found.assign(term=found.term.str.removesuffix(PERCENT_SUFFIX))

    def effect(self, outcome: str, cohort: str, term: str = "att", specification: str = PRIMARY) -> Estimate:
        """The difference-in-differences estimate with the protocol's primary inference."""
        return self.percent("did", outcome, cohort, term, HEADLINE_INFERENCE, specification)

    def detectable(
        self,
        outcome: str,
        cohort: str,
        term: str = "mde",
        inference: str = HEADLINE_INFERENCE,
        specification: str = PRIMARY,
    ) -> tuple[float, float]:
        """Smallest fall and smallest rise, in percent, that would mostly be found, by the width of the estimate's own interval.

        They have the same size in log points; "mostly" is the protocol's power. With few sites that width is itself a matter
        of chance: where simulations were made, the reports quote those (``narrative/error_rates.py``).
        """
        rise = self.percent("power", outcome, cohort, term, inference, specification).value
        return fall_of_equal_size(rise), rise


def _read(file: Path, **options: Any) -> pd.DataFrame:
    """A CSV of the build."""
    return outside(unguarded(pd.read_csv(file, **options)))


def load_results(work: Workspace | None = None) -> Results:
    work = work or Workspace.from_environment()
    protocol = outside(load_protocol(work.protocol_file))
    if not work.records("panel.parquet").is_file():
        protocol = protocol.without_records()
    works = re.findall(r"(?m)^@\w+\{([^,\s]+),", work.references.read_text(encoding="utf-8"))
    prose = {name: cited(text, works) for name, text in protocol.report if isinstance(text, str)}
    return Results(work, protocol.model_copy(update={"report": protocol.report.model_copy(update=prose)}))
