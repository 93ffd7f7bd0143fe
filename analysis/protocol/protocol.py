"""The study's rules, read from ``protocol.toml`` and checked before anything else runs. Its tables stand in ``rules.py``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from analysis.core.errors import StudyError
from analysis.core.workspace import PROTOCOL_FILE
from analysis.protocol.schema import (
    HEADLINE_ONLY,
    Deviation,
    Growth,
    Inference,
    Its,
    Model,
    Outcome,
    Pooled,
    Population,
    ProgrammeYear,
    Quality,
    Records,
    Report,
    Specification,
    SpecificationCurve,
    Study,
    Table,
)
from analysis.protocol.window import Contradiction, check_window

POOLED_SEPARATOR = "+"  # joins the models in the name of the cohort that holds them all
REST = "rest"  # the cohort of everyone in no model
NO_MODEL = "none"
ENGLAND_COHORT = "england"  # everyone
MONTHS_A_YEAR = 12
RECORDS = "records"  # the source of outcomes that a patient-level extract is counted for


class Protocol(Table):
    study: Study
    models: list[Model]
    pooled: Pooled
    programme_years: Annotated[list[ProgrammeYear], Field(min_length=1)]
    outcomes: list[Outcome]
    quality: Quality
    population: Population
    growth: list[Growth]
    specifications: list[Specification]
    specification_curve: SpecificationCurve
    inference: Inference
    its: Its
    records: Records = Field(default_factory=Records)
    report: Report
    deviations: list[Deviation] = Field(default_factory=list)
    _file: Path = PrivateAttr(PROTOCOL_FILE)

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        if not self.models:
            raise ValueError("[[models]] names no model")
        if len(self.models) > 1 and not (self.pooled.label and self.pooled.colour):
            raise ValueError("with several models, [pooled] needs a label and a colour for all of them together")
        published = [rule.id for rule in self.growth if rule.published]
        if published and self.report.published is None:
            raise ValueError(f"growth {published[0]} has published figures, but [report] names no table of them")
        for name in ("models", "programme_years", "outcomes", "growth", "specifications"):
            ids = [item.id for item in getattr(self, name)]
            if len(set(ids)) != len(ids):
                raise ValueError(f"two entries of [[{name}]] share an id")
        if not self.specifications or self.specifications[0].id != "primary":
            raise ValueError('the first of [[specifications]] must have the id "primary"')
        if not any(outcome.role == "primary" and outcome.source != RECORDS for outcome in self.outcomes):
            raise ValueError("no outcome has the role primary, but for those of records, which not everyone has")
        if pd.Timestamp(self.records.last_date) < self.study.end + pd.offsets.MonthEnd(0):
            raise ValueError("records.last_date lies before the end of the study's window")
        self._check_curve()
        self._check_its()
        for specification in self.specifications[1:]:
            for design in sorted(HEADLINE_ONLY.intersection(specification.designs)):
                raise ValueError(f"specification {specification.id!r} asks for {design}, which only the first may")
        check_window(self)
        early = self.study.data_to and self.growth and not any(rule.within(self.study.data_to) for rule in self.growth)
        if early:
            raise ValueError(
                "data_to is too early: an interim edition has to hold the months of at least one of [[growth]]"
            )
        return self

    def _check_its(self) -> None:
        after = int((self.months >= self.study.programme_start).sum())
        for month in self.its.effect_months:
            if month > after:
                raise ValueError(
                    f"its.effect_months has {month}; the programme has {after} months in the study's window"
                )
        named = [("its.national_checks", check.id, [check.outcome]) for check in self.its.national_checks]
        named += [("its.known_breaks", known.label, known.outcomes) for known in self.its.known_breaks]
        for where, what, outcomes in named:
            for id in outcomes:
                if id not in [outcome.id for outcome in self.outcomes]:
                    raise ValueError(f"{where}: {what!r} is of {id!r}, which is no outcome")

    def _check_curve(self) -> None:
        taken: dict[str, str] = {}
        for id in self.specification_curve.crossed:
            if id not in [s.id for s in self.specifications[1:]]:
                raise ValueError(f"specification_curve.crossed names {id!r}, which is no specification but the first")
            for name in self.specification(id).choices:
                if name in taken:
                    raise ValueError(f"specification_curve.crossed: {taken[name]!r} and {id!r} both set {name}")
                taken[name] = id

    @property
    def file(self) -> Path:
        """Where it was read from, for messages."""
        return self._file

    @property
    def months(self) -> pd.DatetimeIndex:
        """Every month of the window, as first days."""
        return pd.date_range(self.study.start, self.study.end, freq="MS")

    @property
    def model_ids(self) -> list[str]:
        return [model.id for model in self.models]

    @property
    def pooled_cohort(self) -> str:
        return POOLED_SEPARATOR.join(self.model_ids)

    @property
    def treated_cohorts(self) -> dict[str, list[str]]:
        """Cohort name → the models whose wholly covered units it holds; each model, then all together, which one alone is already."""
        return {id: [id] for id in self.model_ids} | {self.pooled_cohort: self.model_ids}

    @property
    def cohort_labels(self) -> dict[str, str]:
        labels = {model.id: model.label for model in self.models}
        together = {self.pooled_cohort: self.pooled.label} if len(self.models) > 1 else {}
        return labels | together | {REST: self.pooled.rest_label}

    @property
    def cohort_colours(self) -> dict[str, str]:
        colours = {model.id: model.colour for model in self.models}
        together = {self.pooled_cohort: self.pooled.colour} if len(self.models) > 1 else {}
        return colours | together | {REST: self.pooled.rest_colour}

    @property
    def months_before(self) -> int:
        """Months of the window before the programme."""
        return int((self.months < self.study.programme_start).sum())

    @property
    def primary_outcomes(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.role == "primary"]

    def without_records(self) -> Protocol:
        """The same where no patient-level extract was counted: without the outcomes that need one."""
        return self.model_copy(update={"outcomes": [outcome for outcome in self.outcomes if outcome.source != RECORDS]})

    def up_to(self, month: pd.Timestamp) -> Protocol:
        """The protocol of an interim edition, with data to ``month``: what its window does not hold yet is left out.

        A programme year in which the data end is cut there, and its label says so.
        """
        growth = [rule for rule in self.growth if rule.within(month)]
        years = [
            year
            if year.end <= month
            else year.model_copy(update={"end": month, "label": f"{year.label} to {month:%B}"})
            for year in self.programme_years
            if year.start <= month
        ]
        study = self.study.up_to(month)
        after = len(pd.date_range(study.programme_start, month, freq="MS"))
        its = {
            "effect_months": [months for months in self.its.effect_months if months <= after] or [after],
            "known_breaks": [known for known in self.its.known_breaks if known.month <= month],
        }
        update = {"study": study, "growth": growth, "programme_years": years, "its": self.its.model_copy(update=its)}
        return self.model_copy(update=update)

    def only(self, tables: Iterable[str]) -> Protocol:
        """The same with every other table withheld: a step that looks at one fails, so that none is forgotten in ``slices.py``."""
        return self.model_copy(update={name: _Withheld() for name in set(type(self).model_fields) - set(tables)})

    def outcome(self, id: str) -> Outcome:
        return _by_id(self.outcomes, id)

    def growth_rule(self, id: str) -> Growth:
        return _by_id(self.growth, id)

    def specification(self, id: str) -> Specification:
        return _by_id(self.specifications, id)


class _Withheld:
    """In the place of a table that a step did not say it needs."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: of a table of the protocol that analysis/build/slices.py does not give this step")

    def _refuse(self, *_: object) -> Any:
        raise TypeError("a table of the protocol that analysis/build/slices.py does not give this step")

    __iter__ = __len__ = __bool__ = __contains__ = __getitem__ = _refuse


def _found(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "a key that the protocol does not know"
    if problem["type"] == "missing":
        return "nothing"
    whole = isinstance(problem["input"], (dict, Table))  # a table, of which no single key is at fault
    return "keys that do not go together" if whole else repr(problem["input"])[:200]


def _by_id(items: Iterable[Any], id: str) -> Any:
    return next(item for item in items if item.id == id)


def load_protocol(path: Path = PROTOCOL_FILE) -> Protocol:
    """Read and check the protocol.

    Raises
    ------
    StudyError
        The file is not TOML, or has an unknown key, an impossible date, or rules that contradict each other.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise StudyError(path, str(problem.strerror), "the study's protocol", "Restore the file.") from problem
    except UnicodeDecodeError as problem:
        raise StudyError(path, str(problem), "a TOML file in UTF-8", "Save the file as UTF-8 text.") from problem
    return parse_protocol(text, path)


def parse_protocol(text: str, path: Path) -> Protocol:
    """Check a protocol's text, which stands in ``path`` or is to be written there; raises what ``load_protocol`` raises."""
    try:
        protocol = Protocol.model_validate(tomllib.loads(text))
        protocol._file = path
        return protocol.up_to(protocol.study.data_to) if protocol.study.data_to else protocol
    except tomllib.TOMLDecodeError as problem:
        raise StudyError(path, str(problem), "a TOML file", "Mend the line that the message names.") from problem
    except ValidationError as problem:
        # A misspelt key is also a missing one: the misspelling is what the reader can see.
        first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
        reason = first.get("ctx", {}).get("error")
        if isinstance(reason, Contradiction):
            raise StudyError(path, reason.found, reason.expected, reason.action, column=reason.key) from problem
        key = ".".join(str(part) for part in first["loc"]) or "the protocol as a whole"
        unknown = first["type"] == "extra_forbidden"
        raise StudyError(
            file=path,
            column=key,
            found=_found(first),
            expected="one of the keys in analysis/protocol/schema.py" if unknown else first["msg"].removeprefix("Value error, "),
            action="Correct or remove this key; analysis/protocol/schema.py lists every key and its type.",
        ) from problem
