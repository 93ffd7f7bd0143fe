"""What a report may read: the artefacts of a build, what they are called, and a way to pick one number from them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import get_args

import pandas as pd

from analysis.core.errors import DataError, EvaluationError
from analysis.core.untrusted import cited, outside
from analysis.core.workspace import Workspace
from analysis.estimation.regression.estimates import PERCENT, PERCENT_SUFFIX, fall_of_equal_size
from analysis.protocol.protocol import RECORDS, REST, load_protocol
from analysis.protocol.schema import Design, Outcome
from analysis.records.definitions import MADE_UP, PATIENTS
from analysis.reporting.artefacts import Artefacts

PRIMARY = "primary"
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


@dataclass
class NotEstimated(EvaluationError):
    """An estimate that this build does not hold, and why: the reason recorded when models were fitted."""

    design: str
    outcome: str
    cohort: str
    why: str


@dataclass(frozen=True)
class Results(Artefacts):
    """A build's artefacts, with its estimates one by one."""

    @property
    def dataset(self) -> str:
        return str(self.provenance["dataset"])

    @property
    def dataset_name(self) -> str:
        return self.protocol.report.snapshot if self.dataset == "snapshot" else self.protocol.report.mar

    def source_of(self, outcome: str) -> str:
        """What an outcome was counted from."""
        other = {"dtoc": "NHS England, Delayed Transfers of Care", RECORDS: self.records_name}
        return other.get(self.protocol.outcome(outcome).source, self.dataset_name)

    @property
    def edition_name(self) -> str:
        """What every page names: the published data, and records where they were counted."""
        return f"{self.dataset_name}; {self.records_name}" if self.work.has_records else self.dataset_name

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
        NotEstimated
            It could not be made, and the reason was recorded.
        DataError
            The table of estimates does not hold it, and no reason was recorded.
        """
        key = "/".join([design, outcome, cohort, specification, term + PERCENT_SUFFIX, inference])
        if key not in self.ids:
            why = self._why_absent(design, outcome, cohort, term, specification)
            if why:
                raise NotEstimated("did" if design == "power" else design, outcome, cohort, why)
            raise DataError(
                self.work.estimates,
                f"no estimate {key}",
                "a row for it",
                "Run `make report`; see build/results/not_run.csv.",
            )
        row = self.estimates.loc[key]
        return Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)

    def _why_absent(self, design: str, outcome: str, cohort: str, term: str, specification: str) -> str | None:
        """The recorded reason why an estimate is not in the table; None where nothing was recorded."""
        choice = next((choice for choice in self.protocol.specifications if choice.id == specification), None)
        design = "did" if design == "power" else design  # both come from one fit
        if choice is None:
            return "the protocol does not list this choice"
        if design in get_args(Design) and design not in choice.designs:
            return "the protocol does not ask for it"
        year = term.replace("mde", "att")
        if year.startswith("att_year") and not choice.years:
            return "the protocol does not ask for single years"
        # The rest of England's own numbers are made with those of all models together.
        whose = {cohort, "all"} | ({self.protocol.pooled_cohort} if cohort == REST else set())
        rows = self.not_run[(self.not_run.outcome == outcome) & (self.not_run.specification == specification)]
        rows = rows[rows.cohort.isin(whose) & rows.design.isin([design, f"{design} {year}", "all"])]
        return None if rows.empty else str(rows.reason.iloc[0])

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
        NotEstimated
            There is no estimate to judge, for a recorded reason.
        DataError
            The table does not hold it.
        """
        found = self.verdicts[(self.verdicts.outcome == outcome) & (self.verdicts.cohort == model)]
        if found.empty:
            if why := self._why_absent("did", outcome, model, "att", PRIMARY):
                raise NotEstimated("did", outcome, model, why)
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

    def find_effect(
        self, outcome: str, cohort: str, term: str = "att", specification: str = PRIMARY
    ) -> Estimate | None:
        """The same as ``effect``, or None where it could not be made on this data set."""
        return self.find("did", outcome, cohort, term, HEADLINE_INFERENCE, specification)

    def effect(self, outcome: str, cohort: str, term: str = "att", specification: str = PRIMARY) -> Estimate:
        """The difference-in-differences estimate with the protocol's primary inference."""
        return self.percent("did", outcome, cohort, term, HEADLINE_INFERENCE, specification)

    def fall_found(self, outcome: str, cohort: str, term: str = "mde") -> tuple[float, float]:
        """The same as ``detectable``; NaN where there is no estimate, or where no change of any size could have been found."""
        held = self.find_effect(outcome, cohort, term.replace("mde", "att"))
        fall, rise = self.detectable(outcome, cohort, term) if held else (math.nan, math.nan)
        return (fall, rise) if math.isfinite(rise) else (math.nan, math.nan)

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
        of chance: where simulations were made, the reports quote those (``reporting/certainty/error_rates_words.py``).
        """
        rise = self.percent("power", outcome, cohort, term, inference, specification).value
        return fall_of_equal_size(rise), rise


def load_results(work: Workspace | None = None) -> Results:
    """A build's artefacts; without an argument, as documents ask, those of the environment's build.

    These are read once in a process: the twenty briefs that a kernel makes one after the other share their tables.
    """
    return _load(work) if work else _load_once(Workspace.from_environment())


@lru_cache(maxsize=1)
def _load_once(work: Workspace) -> Results:
    return _load(work)


def _load(work: Workspace) -> Results:
    protocol = outside(load_protocol(work.protocol_file))
    if not work.has_records:
        protocol = protocol.without_records()
    works = re.findall(r"(?m)^@\w+\{([^,\s]+),", work.references.read_text(encoding="utf-8"))
    prose = {name: cited(text, works) for name, text in protocol.report if isinstance(text, str)}
    return Results(work, protocol.model_copy(update={"report": protocol.report.model_copy(update=prose)}))
