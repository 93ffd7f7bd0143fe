"""The study's rules, read from ``protocol.toml`` and checked before anything else runs."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from analysis.errors import StudyError
from analysis.outside import printable
from analysis.workspace import PROTOCOL_FILE

POOLED_SEPARATOR = "+"  # joins the models in the name of the cohort that holds them all
REST = "rest"  # the cohort of everyone in no model
NO_MODEL = "none"
ENGLAND_COHORT = "england"  # everyone
MONTHS_A_YEAR = 12


def _month(value: Any) -> pd.Timestamp:
    if not isinstance(value, str):
        raise ValueError('a month is written "YYYY-MM"')
    try:
        return pd.Timestamp(dt.datetime.strptime(value, "%Y-%m"))
    except ValueError:
        raise ValueError(f'{value!r} is not a month; write "YYYY-MM"') from None


Month = Annotated[pd.Timestamp, BeforeValidator(_month)]
Window = tuple[Month, Month]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(gt=0)]


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]  # part of names of files, columns and anchors
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for name, value in self:
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and printable(text) != text:
                    raise ValueError(f"{name}: {text!r} holds a line break, or another character that cannot be seen")
        return self


class Study(_Table):
    title: str
    cohorts: str  # the table of who was in which model of which programme; this path and those of [report] start at the repository
    snapshot: bool = False  # data_raw/snapshot holds this programme's sites
    announced: dt.date
    start: Month
    end: Month
    programme_start: Month
    boundaries: dt.date
    outside_panel: list[str]
    conf_level: Share
    seed: int
    data_to: Month | None = None  # the last month in hand, where the study has more to come
    _planned_end: pd.Timestamp | None = PrivateAttr(None)

    @property
    def planned_end(self) -> pd.Timestamp:
        """The last month that the study is to have; ``end`` is the last that this edition has."""
        return self._planned_end or self.end

    @property
    def interim(self) -> bool:
        return self.end < self.planned_end

    @property
    def level(self) -> float:
        """The level of tests, 5% at 95%: a p-value of exactly that does not reject, as an interval holds its ends."""
        return round(1 - self.conf_level, 12)

    @model_validator(mode="after")
    def _in_order(self) -> Study:
        if not self.start < self.programme_start <= self.end:
            raise ValueError("start, programme_start and end must follow one another")
        if self.data_to and not self.programme_start <= self.data_to <= self.end:
            raise ValueError("data_to must lie between programme_start and end")
        return self

    def up_to(self, month: pd.Timestamp) -> Study:
        """The same study, ending earlier."""
        shorter = self.model_copy(update={"end": month})
        shorter._planned_end = self.planned_end
        return shorter


class Model(_Table):
    id: Id
    label: str
    name: str
    colour: Colour


class Pooled(_Table):
    """All models together, where there are several, and everyone else."""

    label: str = ""
    colour: Colour = ""
    rest_label: str
    rest_colour: Colour


class ProgrammeYear(_Table):
    id: Id
    label: str
    start: Month
    end: Month


class Outcome(_Table):
    id: Id
    label: str
    definition: str
    role: Literal["primary", "secondary", "negative_control"]
    plain: str = ""
    unit: str  # what is counted, in the plural
    measure: str
    source: Literal["mar", "dtoc"] = "mar"  # Monthly Activity Return, or delayed transfers of care by local authority
    working_days: bool = False  # its series follow the working days of a month, and Easter
    england_from: Month | None = None  # first month in which England's total is comparable with today's


class Quality(_Table):
    departure: Share
    agreement: Share
    longest_run: Count
    shortest_neighbour: Count
    neighbour_window: Count
    pending_months: Count
    lasting_shift: Share
    lasting_shift_months: Count


class Population(_Table):
    anchor: Month
    first_list: Month
    back_rate_months: Count


class Growth(_Table):
    id: Id
    label: str
    window: Window
    baseline: Window
    baseline_in_programme: bool
    published: str | None = None
    publication: str = ""  # how a sentence about these published figures begins

    @model_validator(mode="after")
    def _same_calendar_months(self) -> Growth:
        windows = [pd.date_range(*ends, freq="MS") for ends in (self.window, self.baseline)]
        if sorted(windows[0].month) != sorted(windows[1].month):
            raise ValueError("window and baseline must hold the same calendar months")
        return self


Design = Literal["did", "event_study", "trends", "group_time", "robustness", "synthetic", "sites", "growth", "its"]

HEADLINE_ONLY = {"trends", "synthetic", "sites"}  # designs of the first specification alone


class Specification(_Table):
    """Which data a model sees and how it is fitted. What each choice means stands in ``protocol.toml``."""

    id: Id
    label: str
    designs: list[Design] = ["did"]
    years: bool = False
    estimator: Literal["poisson", "log_rate"] = "poisson"
    masked: bool = True
    pending_masked: bool = False
    population: Literal["moving", "fixed", "flat_backfill"] = "moving"
    units: Literal["all", "no_lasting_shift"] = "all"
    controls: Literal["all", "similar", "no_other_programmes"] = "all"
    treatment: Literal["whole", "dose"] = "whole"
    also_treated: list[str] = []
    unit_effects: Literal["constant", "calendar_month", "trend"] = "constant"
    month_effects_by: list[str] = []
    weights: Literal["expected", "equal_sites"] = "expected"
    start_shift: int = 0
    departure: Share | None = None
    baseline: Count | None = None
    seasonality: Literal["harmonics", "calendar_months"] = "harmonics"
    phase_in: Annotated[int, Field(ge=0)] = 0
    known_breaks: bool = False
    fill_masked: bool = True
    draws: Count

    @property
    def choices(self) -> dict[str, Any]:
        """The fields by which it departs from the first specification: what it does to the data and the model."""
        said = self.model_fields_set - {"id", "label", "designs", "years", "draws"}
        return {name: getattr(self, name) for name in sorted(said)}


class SpecificationCurve(_Table):
    crossed: list[str]
    draws: Count


class Trends(_Table):
    relative_magnitudes: list[Annotated[float, Field(ge=0)]]
    smoothness: list[Annotated[float, Field(ge=0)]]


class Inference(_Table):
    power: Share
    event_study_base: Month
    event_study_draws: Count
    variant_draws: Count
    shortest_placebo: Count
    high_use_share: Share
    trends: Trends
    evaluability: dict[Id, Count]


class KnownBreak(_Table):
    unit: str
    month: Month
    outcomes: list[str]
    label: str
    source: str


class NationalCheck(_Table):
    """A national series from another source, against which England's total of an outcome is held."""

    id: Id
    label: str
    definition: str
    outcome: str
    source: Literal["ae"]
    measure: str
    start: Month


class Its(_Table):
    harmonics: Count
    hac_lags: Count
    effect_months: Annotated[list[Count], Field(min_length=1)]
    fewest_months: Count
    fewest_months_between: Count
    pseudo_cohorts: Count
    diagnostic_lags: Count
    largest_size: Share
    size_up_to: Share
    newey_west_first: bool = False  # a deviation took Newey–West errors' place
    known_breaks: list[KnownBreak] = []
    national_checks: list[NationalCheck] = []

    @property
    def effect_month(self) -> int:
        """The month at which the effect is read off the model where one is named."""
        return max(self.effect_months)


class Report(_Table):
    agree_within: Annotated[float, Field(gt=0)]
    name: str
    mar: str
    snapshot: str = ""  # the embedded snapshot's name, where it holds this programme
    # What is of this programme alone: tables, and what no table can say. What is left out, the reports do without.
    published: str | None = None  # what others found
    reconciliation: str | None = None  # what to set beside each of them
    facts: str | None = None
    simulation: str | None = None  # where `make simulation` writes
    its_simulation: str | None = None
    editions: str | None = None  # the headlines of every edition, where a refresh records them
    subtitle: str = ""
    fixed: str = ""  # when the rules were fixed, and what was known by then
    introduction: str = ""
    published_before: str = ""  # who published what of it
    controlled_study: str = ""  # how the sentence about a published controlled study of all sites begins
    other_studies: str = ""
    planned_care: str = "Planned care was not what the programme set out to change."
    at_the_same_time: str = ""  # what else began when the programme did
    limits: list[str] = []

    @model_validator(mode="after")
    def _published_and_ours(self) -> Report:
        if (self.published is None) != (self.reconciliation is None):
            raise ValueError("published and reconciliation go together: what others found, and what to set beside it")
        return self


class Deviation(_Table):
    date: dt.date
    what: str
    why: str


class Protocol(_Table):
    study: Study
    models: list[Model]
    pooled: Pooled
    programme_years: list[ProgrammeYear]
    outcomes: list[Outcome]
    quality: Quality
    population: Population
    growth: list[Growth]
    specifications: list[Specification]
    specification_curve: SpecificationCurve
    inference: Inference
    its: Its
    report: Report
    deviations: list[Deviation] = []

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
        if not any(outcome.role == "primary" for outcome in self.outcomes):
            raise ValueError("no outcome has the role primary")
        if self.inference.event_study_base not in self.months:
            raise ValueError("inference.event_study_base does not lie inside the study's window")
        self._check_curve()
        self._check_its()
        for specification in self.specifications[1:]:
            for design in sorted(HEADLINE_ONLY.intersection(specification.designs)):
                raise ValueError(f"specification {specification.id!r} asks for {design}, which only the first may")
        windows = [(f"growth {g.id}", *w) for g in self.growth for w in (g.window, g.baseline)]
        windows += [(f"programme year {y.id}", y.start, y.end) for y in self.programme_years]
        for what, first, last in windows:
            if not self.study.start <= first <= last <= self.study.end:
                raise ValueError(f"{what} does not lie inside the study's window")
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
    def years_before(self) -> int:
        """Whole years of the window before the programme."""
        before = self.study.programme_start.to_period("M") - self.study.start.to_period("M")
        return int(before.n) // 12

    @property
    def primary_outcomes(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.role == "primary"]

    def up_to(self, month: pd.Timestamp) -> Protocol:
        """The protocol of an interim edition, with data to ``month``: what its window does not hold yet is left out.

        A programme year in which the data end is cut there, and its label says so.

        Raises
        ------
        ValueError
            No comparison of growth is left.
        """
        growth = [rule for rule in self.growth if max(rule.window[1], rule.baseline[1]) <= month]
        if not growth:
            raise ValueError("an interim edition has to hold the months of at least one of [[growth]]")
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
        raise AttributeError(f"{name}: of a table of the protocol that analysis/slices.py does not give this step")

    def _refuse(self, *_: object) -> Any:
        raise TypeError("a table of the protocol that analysis/slices.py does not give this step")

    __iter__ = __len__ = __bool__ = __contains__ = __getitem__ = _refuse


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
        protocol = Protocol.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        try:
            return protocol.up_to(protocol.study.data_to) if protocol.study.data_to else protocol
        except ValueError as problem:
            found, action = (
                f"{protocol.study.data_to:%Y-%m}",
                "Put the files of later months beside these, or take data_to out.",
            )
            raise StudyError(path, found, str(problem), action, column="study.data_to") from problem
    except tomllib.TOMLDecodeError as problem:
        raise StudyError(path, str(problem), "a TOML file", "Mend the line that the message names.") from problem
    except OSError as problem:
        raise StudyError(path, str(problem.strerror), "the study's protocol", "Restore the file.") from problem
    except UnicodeDecodeError as problem:
        raise StudyError(path, str(problem), "a TOML file in UTF-8", "Save the file as UTF-8 text.") from problem
    except ValidationError as problem:
        # A misspelt key is also a missing one: the misspelling is what the reader can see.
        first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"]) or "the protocol as a whole"
        unknown = first["type"] == "extra_forbidden"
        raise StudyError(
            file=path,
            column=key,
            found="a key that the protocol does not know" if unknown else repr(first["input"])[:200],
            expected="one of the keys in analysis/protocol.py"
            if unknown
            else first["msg"].removeprefix("Value error, "),
            action="Correct or remove this key; analysis/protocol.py lists every key and its type.",
        ) from problem
