"""The tables of ``protocol.toml``, each with its keys, their types, and what a table can check of itself."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from analysis.core.untrusted import printable
from analysis.protocol.vocabulary import BASE, EMERGENCY_METHODS, SMALLEST
from analysis.protocol.window import Contradiction


def _month(value: Any) -> pd.Timestamp:
    if not isinstance(value, str):
        raise ValueError('a month is written "YYYY-MM"')
    try:
        return pd.Timestamp(dt.datetime.strptime(value, "%Y-%m"))
    except ValueError:
        raise ValueError(f'{value!r} is not a month; write "YYYY-MM"') from None


def _day(value: Any) -> dt.date:
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise ValueError("a date is written without quotes, as 2018-04-01")
    return value


Month = Annotated[pd.Timestamp, BeforeValidator(_month)]
Day = Annotated[dt.date, BeforeValidator(_day)]
Window = tuple[Month, Month]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(gt=0)]


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]  # part of names of files, columns and anchors
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for name, value in self:
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and printable(text) != text:
                    raise ValueError(f"{name}: {text!r} holds a line break, or another character that cannot be seen")
        return self


class Study(Table):
    title: str
    cohorts: str  # the table of who was in which model of which programme; this path and those of [report] start at the repository and end there, or below the folder of the protocol
    snapshot: bool = False  # data_raw/snapshot holds this programme's sites
    announced: Day
    start: Month
    end: Month
    programme_start: Month
    boundaries: Day
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
        to_do = "Correct the months in [study] of the protocol."
        spread = f"{self.start:%Y-%m}, {self.programme_start:%Y-%m} and {self.end:%Y-%m}"
        if not self.start < self.programme_start <= self.end:
            raise Contradiction(
                "study.start", f"start, programme_start and end are {spread}", "months that follow one another", to_do
            )
        if self.data_to and not self.programme_start <= self.data_to <= self.end:
            within = f"a month from {self.programme_start:%Y-%m} to {self.end:%Y-%m}"
            raise Contradiction("study.data_to", f"{self.data_to:%Y-%m}", within, to_do)
        return self

    def up_to(self, month: pd.Timestamp) -> Study:
        """The same study, ending earlier."""
        shorter = self.model_copy(update={"end": month})
        shorter._planned_end = self.planned_end
        return shorter


class Model(Table):
    id: Id
    label: str
    name: str
    colour: Colour


class Pooled(Table):
    """All models together, where there are several, and everyone else."""

    label: str = ""
    colour: Colour = ""
    rest_label: str
    rest_colour: Colour


class ProgrammeYear(Table):
    id: Id
    label: str
    start: Month
    end: Month


class Outcome(Table):
    id: Id
    label: str
    definition: str
    role: Literal["primary", "secondary", "negative_control"]
    plain: str = ""
    unit: str  # what is counted, in the plural
    measure: str
    source: Literal["mar", "dtoc", "records"] = (
        "mar"  # Monthly Activity Return, delayed transfers of care by local authority, or a patient-level extract
    )
    working_days: bool = False  # its series follow the working days of a month, and Easter
    england_from: Month | None = None  # first month in which England's total is comparable with today's


class Quality(Table):
    departure: Share
    agreement: Share
    longest_run: Count
    shortest_neighbour: Count
    neighbour_window: Count
    pending_months: Count
    lasting_shift: Share
    lasting_shift_months: Count


class Population(Table):
    anchor: Month
    first_list: Month
    back_rate_months: Count


class Growth(Table):
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

    def within(self, month: pd.Timestamp) -> bool:
        """Whether data to this month hold all that is compared."""
        return max(self.window[1], self.baseline[1]) <= month


Design = Literal["did", "event_study", "trends", "group_time", "robustness", "synthetic", "sites", "growth", "its"]

HEADLINE_ONLY = {"trends", "synthetic", "sites"}  # designs of the first specification alone


class Specification(Table):
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


class SpecificationCurve(Table):
    crossed: list[str]
    draws: Count


class Trends(Table):
    relative_magnitudes: list[Annotated[float, Field(ge=0)]]
    smoothness: list[Annotated[float, Field(ge=0)]]


class Inference(Table):
    power: Share
    event_study_base: Month
    event_study_draws: Count
    variant_draws: Count
    shortest_placebo: Count
    high_use_share: Share
    trends: Trends
    evaluability: dict[Id, Count]


class KnownBreak(Table):
    unit: str
    month: Month
    outcomes: list[str]
    label: str
    source: str


class NationalCheck(Table):
    """A national series from another source, against which England's total of an outcome is held."""

    id: Id
    label: str
    definition: str
    outcome: str
    source: Literal["ae"]
    measure: str
    start: Month


class Its(Table):
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


class Records(Table):
    """How a patient-level extract is counted; what the codes mean stands in ``analysis/records/definitions.py``."""

    columns: dict[str, str] = {}  # HES column → its name in the extract, where it has another
    missing: list[str] = []  # markers of a missing value beside those that data_raw/README.md lists
    emergency_methods: list[str] = list(EMERGENCY_METHODS)
    age_bands: list[Annotated[int, Field(ge=0)]] = [0, 18, 65, 75, 85]  # the first age of each
    by_age: bool = False  # a table by age band too
    networks: str | None = None  # a table [network, practice_code]: count by network of practices too
    smallest_count: Count = 8  # a smaller one, but for none at all, is neither shown nor used
    round_to: Count = 5
    last_date: Day = dt.date(2030, 3, 31)  # a later one is none; fixed, so that a rerun in another year gives the same
    # In days, at one provider: what is longer than a study of five years is mostly a date that is wrong, and its nights outweigh a month of others.
    longest_stay: Count = 1826
    # Of the nights of all stays, or of those that begin in a year, in stays of more than a year. An assumption, which leaves room for wards of mental
    # health: a wrong year in one row of two hundred takes a third.
    long_stay_share: Share = 0.2
    unexpected_share: Share = (
        0.01  # of rows, in all or in a year, that fall out for one reason that no sound extract has often
    )
    share_change: Share = (
        0.1  # by which the share of rows that one reason takes may differ between a year and the others
    )
    # A value with more stays on one day, or at more providers in all, must be several people: it marks persons who are not known. Those who come most
    # often have up to hundreds of emergency admissions a year at a handful of providers; a transfer ends and begins stays on one day, at three or four of them.
    most_at_once: Count = 5
    most_providers: Count = 25

    @model_validator(mode="after")
    def _as_the_standard_asks(self) -> Records:
        if self.smallest_count < SMALLEST or self.round_to % BASE:
            raise ValueError(
                f"smallest_count is {SMALLEST} or more and round_to a multiple of {BASE}: the standard of the HES analysis guide may be tightened, not loosened"
            )
        if 2 * self.smallest_count < self.round_to:
            raise ValueError("round_to is at most twice smallest_count: a count that is shown would be rounded to none")
        return self


class Report(Table):
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


class Deviation(Table):
    date: Day
    what: str
    why: str
