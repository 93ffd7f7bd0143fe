"""Made-up studies for the reports: a build folder of numbers that are no result, read back as a report reads it.

Each world is a whole table of estimates, written with the project's own functions, so that a test can change one number and
read what the sentences, tables and figures make of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from analysis.core.files import write_table, write_text
from analysis.core.workspace import Workspace
from analysis.estimation.did.specification_curve import (
    CURVE,
    SEPARATOR,
    Combination,
    choices_that_move,
    curve_combinations,
)
from analysis.estimation.did.trend_sensitivity import CONDITIONAL, FIRST, FLCI, HYBRID
from analysis.estimation.did.trend_sensitivity import DESIGN as TRENDS
from analysis.estimation.did.trend_sensitivity import WHOLE as MEAN_AFTER
from analysis.estimation.inference.multiple import holm_rows
from analysis.estimation.its.methods_table import methods_table
from analysis.estimation.its.terms import (
    AGAINST_SYNTHETIC,
    AUTOREGRESSIVE,
    CONTROLLED,
    CUMULATIVE,
    HAC,
    JUDGED_BY,
    KENWARD_ROGER,
    LEVEL,
    MEAN,
    MODEL_BASED,
    PLACEBO_START,
    PSEUDO_COHORTS,
    REAL_PLACES,
    SINGLE,
    SLOPE,
    STEP,
    TREND,
    WITHOUT_SITE,
)
from analysis.estimation.regression.estimates import (
    COUNT,
    ID_PARTS,
    LOG_RATE,
    RATIO,
    STATISTIC,
    both_scales,
    estimates_table,
    minimum_detectable,
    single_scale,
)
from analysis.estimation.sites.sites import (
    ADHOC,
    DILUTED,
    KNAPP_HARTUNG,
    MASKED,
    PART,
    PLACEBO,
    REML,
    SMALLER,
    WHOLE,
    sites_table,
)
from analysis.estimation.synthetic.synthetic import SDID, SYNTHETIC_CONTROL
from analysis.estimation.verdict import verdict_table
from analysis.protocol.protocol import ENGLAND_COHORT, NO_MODEL, REST, Protocol
from analysis.reporting.results import Results

MINUS = "\N{MINUS SIGN}"
BASE_QUARTER = -1
QUARTERS = [quarter for quarter in range(-8, 12) if quarter != BASE_QUARTER]
PLACEBO_STARTS = ["2013-10", "2014-04", "2014-10"]
COUNTS = ["CR1", "CR3", "score_bootstrap", "randomisation"]
LOG_RATES = ["CR1", "CR3", "wild_bootstrap", "randomisation"]
PEOPLE = 250_000.0  # of every unit
SITES = ["West", "East", "North", "Half"]  # of each model; the last is covered in part
RATIOS = {"breakdown": 0.8, "same_sign": 1.0, "significant": 0.3, "i_squared": 0.2, "tau": 0.01, "heterogeneity": 0.4}
NORMAL = NormalDist()


@dataclass(frozen=True)
class Number:
    """One made-up estimate in log points: its value, its interval's half-width, and a p-value if not the usual one."""

    value: float
    half: float
    p: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        return self.value - self.half, self.value + self.half

    @property
    def p_value(self) -> float:
        return 2 * NORMAL.cdf(-abs(self.value) / self.half * NORMAL.inv_cdf(0.975)) if self.p is None else self.p

    @property
    def mirrored(self) -> Number:
        return replace(self, value=-self.value)


@dataclass(frozen=True)
class World:
    """What the made-up study found. Keys name as much of a number's address as matters; later keys win over ``plain``."""

    protocol: Protocol = field(repr=False)
    plain: Number = Number(-0.021, 0.05)
    numbers: dict[tuple[str, ...], Number] = field(default_factory=dict)
    without: frozenset[str] = frozenset()  # specifications that did not run
    absent: frozenset[str] = frozenset()  # outcomes that the data set does not hold
    dropped: frozenset[str] = frozenset()  # designs that could not be run
    dataset: str = "mar"
    # What has no sign: any of RATIOS, of one cohort or of all.
    ratios: dict[tuple[str, ...], float] = field(default_factory=dict)
    moves: dict[str, float] = field(default_factory=dict)  # choice → what it does in the curve, log points
    small: tuple[str, ...] = ()  # sites smaller than every placebo
    lost: dict[str, str] = field(default_factory=dict)  # site → why it has no estimate
    high_use: tuple[str, ...] = ()  # treated units whose use before the programme is above every control's
    # Scenario, cohort, method, true effect in percent → share that finds an effect, share whose interval holds the true one.
    simulated: tuple[tuple[str, str, str, float, float, float], ...] = ()
    # Autocorrelation (None: real places), method, term → share of series without a change in which one is found.
    its_simulated: tuple[tuple[float | None, str, str, float], ...] = ()
    diagnosed: dict[str, float] = field(default_factory=dict)  # what the residuals of every series are said to hold

    def number(self, *address: str) -> Number:
        """The most particular entry whose parts are all in the address."""
        fitting = [key for key in self.numbers if set(key) <= set(address)]
        return self.numbers[max(fitting, key=len)] if fitting else self.plain

    def ratio(self, name: str, cohort: str) -> float:
        return self.ratios.get((name, cohort), self.ratios.get((name,), RATIOS[name]))

    def mirrored(self) -> World:
        numbers = {key: number.mirrored for key, number in self.numbers.items()}
        moves = {choice: -move for choice, move in self.moves.items()}
        return replace(self, plain=self.plain.mirrored, numbers=numbers, moves=moves)

    def with_numbers(self, numbers: dict[tuple[str, ...], Number]) -> World:
        return replace(self, numbers={**self.numbers, **numbers})

    def with_ratios(self, **ratios: float) -> World:
        return replace(self, ratios={**self.ratios, **{(name,): value for name, value in ratios.items()}})


SYNTHETIC = ("synthetic_fit", "synthetic_weights", "synthetic_paths")

detectable_of = cache(minimum_detectable)


@dataclass(frozen=True)
class MadeWhenAsked(Workspace):
    """A build folder whose tables are written when their paths are first asked for: a sentence needs few of the twenty."""

    makers: dict[Path, Callable[[], pd.DataFrame]] = field(default_factory=dict)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._made(found) if isinstance(found, Path) else found

    def series(self, name: str) -> Path:
        return self._made(super().series(name))

    def table(self, name: str) -> Path:
        return self._made(super().table(name))

    def named(self, table: str) -> Path:
        return self._made(super().named(table))

    def _made(self, path: Path) -> Path:
        make = self.makers.pop(path, None)
        if make is not None:
            write_table(make(), path)
        return path


def write_world(world: World, folder: Path, repository: Path) -> Results:
    """The build folder of a world, read back as a report reads it."""
    root = folder / "root"
    root.mkdir(parents=True)
    (root / "data_raw").symlink_to(repository / "data_raw")
    plain, protocol = Workspace(root=root, build=folder / "build"), world.protocol
    estimates, curve, synthetic = cache(lambda: _table(world)), cache(lambda: _curve(world)), cache(lambda: _synthetic(world))
    series = {
        "its_series": lambda: _paths(world),
        "its_diagnostics": lambda: _diagnostics(world),
        "its_autocorrelation": lambda: _autocorrelation(world),
        "placebo_places": lambda: _draws(world),
        "evaluability": _sizes,
        **{name: lambda name=name: synthetic()[name] for name in SYNTHETIC if SDID not in world.dropped},
    }
    tables = {
        "specification_curve": curve,
        "curve_choices": lambda: choices_that_move(curve(), protocol),
        "verdicts": lambda: verdict_table(estimates(), curve(), protocol),
        "its_methods": lambda: methods_table(estimates(), protocol),
        "sites": lambda: _sites(world, estimates()),
    }
    simulations = {
        str(protocol.report.simulation): (world.simulated, _simulation),
        str(protocol.report.its_simulation): (world.its_simulated, _its_simulation),
    }
    makers = {
        plain.estimates: estimates,
        **{plain.series(name): make for name, make in series.items()},
        **{plain.table(name): make for name, make in tables.items()},
        plain.ledger: lambda: _ledger(world),
        plain.shifts: lambda: _shifts(world),
        plain.national: lambda: _national(world),
        plain.not_run: lambda: _not_run(world),
        plain.panel: lambda: _panel(world),
        **{plain.named(name): partial(make, world) for name, (asked, make) in simulations.items() if asked},
    }
    provenance = {"dataset": world.dataset, "reason": "A made-up reason.", "ccg_units": 200, "rows": 1, "files": []}
    write_text(json.dumps(provenance), plain.data_provenance)
    return Results(MadeWhenAsked(root=root, build=plain.build, makers=makers), protocol)


TABLES: dict[tuple[Any, ...], pd.DataFrame] = {}  # the checked table of the first world of a shape


def _table(world: World) -> pd.DataFrame:
    """The table of estimates. Worlds of one shape differ in their numbers only, so the table is checked once a shape."""
    rows = _rows(world)
    shape = (world.without, world.absent, world.dropped, world.dataset, frozenset(world.lost))
    if shape not in TABLES:
        TABLES[shape] = estimates_table(rows)
    table = TABLES[shape]
    numbers = ["estimate", "ci_low", "ci_high", "p_value"]
    ids = ["/".join(row[part] for part in ID_PARTS) for row in rows]
    found = pd.DataFrame([[row[name] for name in numbers] for row in rows], index=ids, columns=numbers)
    return table.assign(**found.loc[table.estimate_id].set_index(table.index))


def _rows(world: World) -> list[dict[str, Any]]:
    protocol = world.protocol
    rows: list[dict[str, Any]] = []
    ran = [s.id for s in protocol.specifications if s.id not in world.without]
    terms = ["att", *[f"att_{year.id}" for year in protocol.programme_years]]

    def add(
        design: str, outcome: str, cohort: str, specification: str, term: str, inference: str,
        number: Number | None = None, notes: str = "",
    ) -> Number:  # fmt: skip
        number = number or world.number(design, outcome, cohort, specification, term, inference)
        context = {
            "outcome": outcome, "cohort": cohort, "specification": specification, "design": design, "conf_level": 0.95,
            "n_units": 9, "n_treated": 3, "n_obs": 90, "window": "2013-04/2018-03", "dataset": world.dataset,
        }  # fmt: skip
        rows.extend(
            both_scales(term, inference, number.value, number.interval, p_value=number.p_value, notes=notes, **context)
        )
        return number

    def lone(design: str, cohort: str, term: str, inference: str, scale: str, value: float, **more: Any) -> None:
        context = {
            "outcome": outcome, "cohort": cohort, "specification": "primary", "design": design, "conf_level": 0.95,
            "n_units": 9, "n_treated": 3, "n_obs": 90, "window": "2013-04/2018-03", "dataset": world.dataset,
        }  # fmt: skip
        rows.append(single_scale(term, inference, scale, value, **more, **context))

    def count(design: str, cohort: str, inference: str) -> None:
        number = world.number(design, outcome, cohort, "primary", CUMULATIVE, inference)
        ends = tuple(1e6 * end for end in number.interval)
        lone(design, cohort, CUMULATIVE, inference, COUNT, 1e6 * number.value, interval=ends, p_value=number.p_value)

    def effect(
        outcome: str, cohort: str, specification: str, term: str, methods: list[str], design: str = "did"
    ) -> None:
        for method in methods:
            found = add(design, outcome, cohort, specification, term, method)
            detectable = detectable_of(found.half, protocol.study.conf_level, protocol.inference.power)
            number = Number(detectable, math.nan, 0.5)
            add("power", outcome, cohort, specification, term.replace("att", "mde"), method, number)

    outcome = protocol.primary_outcomes[0].id
    held = [o for o in protocol.outcomes if o.id not in world.absent]
    for cohort in protocol.treated_cohorts:
        for specification in ran:
            if specification not in ("primary", "log_rate"):
                effect(outcome, cohort, specification, "att", ["CR1", "randomisation"])
        for one in held:
            if one.role == "negative_control":
                effect(one.id, cohort, "primary", "att", ["CR1", "randomisation"])
                continue
            for term in terms:
                effect(one.id, cohort, "primary", term, COUNTS)
                effect(one.id, cohort, "log_rate", term, LOG_RATES)
            for quarter in QUARTERS:
                for method in ("CR1", "simultaneous"):
                    add("event_study", one.id, cohort, "primary", f"quarter_{quarter:+d}", method)
            for method in ("CR1", "randomisation"):
                add("event_study", one.id, cohort, "primary", "pre_period", method)
        for rule in protocol.growth:
            add("growth", outcome, cohort, "primary", f"growth_gap_{rule.id}", "linearised")
        _interrupted(world, cohort, ran, add, count)
        for site in ("A", "B"):
            term = f"att_without_site_{site.lower()}"
            add(
                "leave_one_out",
                outcome,
                cohort,
                "primary",
                term,
                "randomisation",
                notes=f"without Site {site}; 199 draws",
            )
        for start in PLACEBO_STARTS:
            add("placebo_start", outcome, cohort, "primary", f"att_from_{start}", "randomisation")
        for design in ("placebo_places", "placebo_high_use"):
            add(design, outcome, cohort, "primary", "att", "placebo")
        for term in ("att", "dynamic_-1", "dynamic_+0", "dynamic_+1", "dynamic_+2"):
            add("group_time", outcome, cohort, "primary", term, "CS_analytic")
        _trends(world, cohort, add, lone)
        for design in (SDID, SYNTHETIC_CONTROL):
            add(design, outcome, cohort, "primary", "att", PLACEBO)
        for method, term in (
            (KNAPP_HARTUNG, "mean"),
            (ADHOC, "mean"),
            (KNAPP_HARTUNG, "prediction"),
            (ADHOC, "prediction"),
        ):
            add("site", outcome, cohort, "primary", term, method)
        lone("site", cohort, "tau", REML, LOG_RATE, world.ratio("tau", cohort))
        lone("site", cohort, "i_squared", REML, RATIO, world.ratio("i_squared", cohort))
        lone("site", cohort, "heterogeneity", REML, STATISTIC, 8.0, p_value=world.ratio("heterogeneity", cohort))
    for model in protocol.model_ids:
        for site in _names(model):
            if site not in world.lost:
                effect(outcome, site, "primary", "att", [PLACEBO], "site")
                add(SDID, outcome, site, "primary", "att", PLACEBO)
                if not site.startswith(SITES[-1]):
                    add("site", outcome, site, "primary", "att_shrunken", REML)
    for name, people in protocol.inference.evaluability.items():
        detectable = world.numbers.get(("size_model",), Number(30 / math.sqrt(people), math.nan, 0.5))
        add("power", outcome, REST, "primary", f"mde_{name}", "size_model", detectable)
    for cohort in [*protocol.treated_cohorts, REST]:
        for rule in protocol.growth:
            add("growth", outcome, cohort, "primary", f"growth_{rule.id}", "linearised")
    rows = [row for row in rows if row["design"] not in world.dropped]
    return rows + holm_rows(rows, protocol)


def _interrupted(world: World, cohort: str, ran: list[str], add: Any, count: Any) -> None:
    """Every kind of series of a cohort; of the rest, England and the sites with the pooled cohort."""
    protocol, outcome = world.protocol, world.protocol.primary_outcomes[0].id
    late = f"effect_{protocol.its.effect_month}"
    every = [LEVEL, SLOPE, late, MEAN, TREND, STEP]

    def series(kind: str, whose: str, methods: Sequence[str], terms: Sequence[str], of: str = outcome) -> None:
        for method in methods:
            for term in terms:
                add(kind, of, whose, "primary", term, method)

    def powered(kind: str, whose: str) -> None:
        for term in (LEVEL, SLOPE, late):
            half = world.number(kind, outcome, whose, "primary", term, JUDGED_BY[kind]).half
            detectable = detectable_of(half, protocol.study.conf_level, protocol.inference.power)
            add(
                "power",
                outcome,
                whose,
                "primary",
                f"mde_{kind}_{term}",
                JUDGED_BY[kind],
                Number(detectable, math.nan, 0.5),
            )

    kinds = {SINGLE: MODEL_BASED, CONTROLLED: (*MODEL_BASED, PSEUDO_COHORTS), AGAINST_SYNTHETIC: (HAC, PSEUDO_COHORTS)}
    for kind, methods in kinds.items():
        series(kind, cohort, methods, every)
        count(kind, cohort, JUDGED_BY[kind])
        powered(kind, cohort)
    for choice in protocol.specifications[1:]:
        if "its" in choice.designs and choice.id in ran:
            for term in (MEAN,) if choice.start_shift > 0 else (MEAN, late):  # a later start ends before the late month
                add(CONTROLLED, outcome, cohort, choice.id, term, PSEUDO_COHORTS)
    for site in ("A", "B"):
        add(
            WITHOUT_SITE,
            outcome,
            cohort,
            "primary",
            f"{late}_without_site_{site.lower()}",
            PSEUDO_COHORTS,
            notes=f"without Site {site}; placebos",
        )
    for start in PLACEBO_STARTS:
        for term in (LEVEL, SLOPE):
            for method in (KENWARD_ROGER, PSEUDO_COHORTS):
                add(PLACEBO_START, outcome, cohort, "primary", f"{term}_from_{start}", method)
    for other in protocol.outcomes:
        if other.id != outcome and other.id not in world.absent:
            series(CONTROLLED, cohort, (PSEUDO_COHORTS,), every, other.id)
    if cohort != protocol.pooled_cohort:
        return
    series(SINGLE, REST, MODEL_BASED, every)
    count(SINGLE, REST, JUDGED_BY[SINGLE])
    powered(SINGLE, REST)
    for check in protocol.its.national_checks:
        series(SINGLE, ENGLAND_COHORT, (KENWARD_ROGER,), every)
        if check.id not in world.absent:
            series(SINGLE, ENGLAND_COHORT, (KENWARD_ROGER,), every, check.id)
            series(CONTROLLED, ENGLAND_COHORT, (KENWARD_ROGER,), every)
        for choice in protocol.specifications:
            if "its" in choice.designs and choice.baseline and choice.id in ran:
                for term in every:
                    add(SINGLE, outcome, ENGLAND_COHORT, choice.id, term, KENWARD_ROGER)
    powered(SINGLE, ENGLAND_COHORT)
    for model in protocol.model_ids:
        for site in _names(model):
            if site not in world.lost:
                series(CONTROLLED, site, (PSEUDO_COHORTS,), every)


def _trends(world: World, cohort: str, add: Any, lone: Any) -> None:
    """Confidence sets of both targets, wider the larger the departure allowed, and breakdown values."""
    protocol, outcome = world.protocol, world.protocol.primary_outcomes[0].id
    bounds = protocol.inference.trends
    kinds = [
        ("relative", method, bounds.relative_magnitudes, RATIO) for method in (CONDITIONAL, HYBRID)
    ] + [("smoothness", FLCI, bounds.smoothness, LOG_RATE)]  # fmt: skip
    for target in (MEAN_AFTER, FIRST):
        for kind, method, magnitudes, scale in kinds:
            for place, magnitude in enumerate(magnitudes):
                term = f"{target}_{kind}_{magnitude:g}"
                found = world.number(TRENDS, outcome, cohort, target, kind, term, method)
                add(TRENDS, outcome, cohort, "primary", term, method, replace(found, half=found.half * (1 + place)))
            lone(TRENDS, cohort, f"{target}_breakdown_{kind}", method, scale, world.ratio("breakdown", cohort))


def _names(model: str) -> list[str]:
    return [f"{name} {model}" for name in SITES]


COMBINATIONS: dict[int, list[Combination]] = {}  # of a protocol, by its identity: it is one a session


def _curve(world: World) -> pd.DataFrame:
    """Every combination of choices: the cohort's effect and what each choice adds; the share of signs and p-values as asked."""
    protocol, outcome = world.protocol, world.protocol.primary_outcomes[0].id
    if id(protocol) not in COMBINATIONS:
        COMBINATIONS[id(protocol)] = curve_combinations(protocol)
    combinations = COMBINATIONS[id(protocol)]
    tables = []
    for cohort in protocol.treated_cohorts:
        effect = world.number("did", outcome, cohort, "primary", "att", "randomisation").value
        rows = []
        for made in combinations:
            reason = "needs single units" if world.without & set(made.departures) else ""
            estimate = effect + sum(world.moves.get(choice, 0.0) for choice in made.departures)
            rows.append((outcome, cohort, made.specification.id, made.specification.label, SEPARATOR.join(made.departures),
                         made.crossed, estimate, 100 * math.expm1(estimate), 0.5, 9, 3, reason))  # fmt: skip
        table = pd.DataFrame(rows, columns=CURVE)
        lost = table.reason != ""
        table.loc[lost, ["estimate", "percent", "p_value"]] = math.nan
        ran = table.index[~lost]
        turned = ran[round(world.ratio("same_sign", cohort) * len(ran)) :]
        table.loc[turned, ["estimate", "percent"]] *= -1
        table.loc[ran[len(ran) - round(world.ratio("significant", cohort) * len(ran)) :], "p_value"] = 0.01
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _sites(world: World, estimates: pd.DataFrame) -> pd.DataFrame:
    """Three whole sites and one covered in part of each model, of growing size."""
    rows = []
    for model in world.protocol.model_ids:
        for place, site in enumerate(_names(model)):
            part = site.startswith(SITES[-1])
            rows.append(
                {
                    "site": site, "model": model, "units": 1, "unit_names": f"NHS {site} CCG", "population": PEOPLE * (1 + place),
                    "covered_share": 0.5 if part else 1.0, "coverage": PART if part else WHOLE, "masked_months": 3 * place,
                    "lasting_shift": False, "in_pool": not part and site not in world.lost, "reason": world.lost.get(site, ""),
                    "flags": ";".join([DILUTED] * part + [MASKED] * (place > 0) + [SMALLER] * (site in world.small)),
                }
            )  # fmt: skip
    outcome = world.protocol.primary_outcomes[0].id
    table = sites_table(pd.DataFrame(rows), estimates[estimates.outcome == outcome])
    table.insert(0, "outcome", outcome)
    return table.iloc[:0] if "site" in world.dropped else table


def _synthetic(world: World) -> dict[str, pd.DataFrame]:
    """Fits, weights and paths of both synthetic designs of each cohort."""
    outcome, months = world.protocol.primary_outcomes[0].id, world.protocol.months
    labels = [
        {"outcome": outcome, "cohort": cohort, "specification": "primary", "design": design}
        for cohort in world.protocol.treated_cohorts
        for design in (SDID, SYNTHETIC_CONTROL)
    ]
    fit = pd.DataFrame(
        {"rank": [40], "placebos": [99], "pre_period_rmse": [0.01], "effective_donors": [4.2], "ratio_p": [0.3]}
    )
    weights = pd.DataFrame(
        {"kind": ["unit", "unit", "month"], "name": ["C01", "C02", "2015-03"], "weight": [0.25, 0.75, 1.0]}
    )
    tables = {"synthetic_fit": fit, "synthetic_weights": weights}
    found = {name: pd.concat([table.assign(**label) for label in labels]) for name, table in tables.items()}
    flat = pd.DataFrame({"month": months, "observed": math.log(0.01 / 30)})
    effects = [world.number(*label.values(), "att", PLACEBO).value for label in labels]
    paths = [flat.assign(synthetic=flat.observed - e, **label) for e, label in zip(effects, labels, strict=True)]
    return found | {"synthetic_paths": pd.concat(paths)}


def _ledger(world: World) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unit": ["A", "A", "B", "C"], "unit_name": ["NHS A CCG", "NHS A CCG", "NHS B CCG", "NHS C CCG"],
            "month": pd.to_datetime(["2016-01-01", "2016-02-01", "2014-05-01", "2018-03-01"]),
            "outcome": world.protocol.primary_outcomes[0].id, "ratio": [0.1, 0.2, 0.5, 0.6],
            "rule": ["missing_return", "missing_return", "missing_return", "pending"], "note": "",
        }
    )  # fmt: skip


def _shifts(world: World) -> pd.DataFrame:
    """Three units of the primary outcome with a lasting change, one of them downwards."""
    return pd.DataFrame(
        {
            "outcome": world.protocol.primary_outcomes[0].id, "unit": ["10A", "10B", "10C"],
            "unit_name": ["NHS TEN A CCG", "NHS TEN B CCG", "NHS TEN C CCG"],
            "month": pd.to_datetime(["2016-01-01", "2014-05-01", "2017-09-01"]), "ratio": [1.5, 1.25, 0.7],
        }
    )  # fmt: skip


def _national(world: World) -> pd.DataFrame:
    """England's totals of the primary outcome: 2% more than the units add up to."""
    sums = _panel(world).groupby(["outcome", "month"]).value_published.sum() * 1.02
    return sums.rename("value").reset_index().assign(missing=0.0)


def _not_run(world: World) -> pd.DataFrame:
    absent = [
        (outcome.id, "all", s, "all", "needs single units")
        for outcome in world.protocol.outcomes
        for s in sorted(world.without)
    ]
    absent += [
        (o, "all", s.id, "all", "not in this data set")
        for o in sorted(world.absent)
        for s in world.protocol.specifications
    ]
    absent += [
        ("delayed_days", cohort, "primary", "unit", "Somewhere: share covered not known")
        for cohort in world.protocol.model_ids
    ]
    primary = world.protocol.primary_outcomes[0].id
    absent += [(primary, site, "primary", "synthetic", reason) for site, reason in world.lost.items()]
    return pd.DataFrame(absent, columns=["outcome", "cohort", "specification", "design", "reason"])


def _paths(world: World) -> pd.DataFrame:
    """Paths for the ITS figures; their shape is not looked at."""
    flat = pd.DataFrame({"month": world.protocol.months}).assign(
        observed=0.01, fitted=0.0, counterfactual=0.02, counterfactual_low=0.0, counterfactual_high=0.04
    )
    keys = {"outcome": world.protocol.primary_outcomes[0].id, "specification": "primary"}
    wanted = [(c, kind) for c in world.protocol.treated_cohorts for kind in (SINGLE, CONTROLLED)] + [(REST, SINGLE)]
    return pd.concat([flat.assign(cohort=cohort, design=kind, **keys) for cohort, kind in wanted])


def _wanted(world: World) -> list[tuple[str, str]]:
    return [(cohort, kind) for cohort in world.protocol.treated_cohorts for kind in JUDGED_BY] + [(REST, SINGLE)]


def _diagnostics(world: World) -> pd.DataFrame:
    """What every series' residuals hold, the same for all."""
    said = {
        "phi": 0.3, "durbin_watson": 1.5, "ljung_box_p": 0.5, "innovations_ljung_box_p": 0.5, "dispersion": 2.0, "influence": -0.01,
        "influence_errors": 0.5, "adf_p": 0.001, "kpss_p": 0.1, "influential_month": "2014-06",
    } | world.diagnosed  # fmt: skip
    keys = {"outcome": world.protocol.primary_outcomes[0].id, "specification": "primary"}
    return pd.DataFrame([keys | said | {"cohort": cohort, "design": kind} for cohort, kind in _wanted(world)])


def _autocorrelation(world: World) -> pd.DataFrame:
    keys = {"outcome": world.protocol.primary_outcomes[0].id, "specification": "primary"}
    lags = pd.DataFrame({"lag": range(1, 13), "acf": 0.2, "pacf": 0.1, "bound": 0.25})
    return pd.concat([lags.assign(cohort=cohort, design=kind, **keys) for cohort, kind in _wanted(world)])


def _its_simulation(world: World) -> pd.DataFrame:
    rows = [
        {
            "scenario": REAL_PLACES if phi is None else AUTOREGRESSIVE, "phi": phi, "method": method, "term": term, "draws": 1000,
            "true_effect": 0.0, "size_or_power": share, "coverage": 1 - share, "monte_carlo_se": 0.005, "seed": 1, "commit": "abc",
        }
        for phi, method, term, share in world.its_simulated
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _draws(world: World) -> pd.DataFrame:
    """Estimates of placebo places, the actual first."""
    outcome = world.protocol.primary_outcomes[0].id
    tables = []
    for cohort in world.protocol.treated_cohorts:
        actual = world.number("did", outcome, cohort, "primary", "att", "randomisation").value
        estimates = np.r_[actual, [0.03 * NORMAL.inv_cdf(share) for share in np.linspace(0.01, 0.99, 99)]]
        table = pd.DataFrame({"draw": range(100), "estimate": estimates, "statistic": estimates / 0.03})
        tables.append(table.assign(outcome=outcome, cohort=cohort, specification="primary"))
    return pd.concat(tables, ignore_index=True)


def _sizes() -> pd.DataFrame:
    """Units of 100,000 people and more, and the curve of detectable changes by size."""
    people = np.geomspace(300, 1e6, 21)
    units = pd.DataFrame({"kind": "unit", "population": [1e5, 3e5], "change": [0.01, -0.01]})
    curve = pd.DataFrame({"kind": "curve", "population": people, "detectable": 30 / np.sqrt(people)})
    return pd.concat([units, curve], ignore_index=True)


def _panel(world: World) -> pd.DataFrame:
    """Four units of each model and twelve controls, the last three of which use most, in the year before and at the anchor."""
    protocol = world.protocol
    treated = [(f"{model}{i}", model, f"Site {model}", 1.0, 0) for model in protocol.model_ids for i in range(4)]
    controls = [(f"C{i:02d}", NO_MODEL, None, 0.0, i) for i in range(12)]
    units = pd.DataFrame([*treated, *controls], columns=["unit", "model", "site", "covered_share", "rate"])
    units.loc[units.unit.isin(world.high_use), "rate"] = 100
    months = [
        *pd.date_range(end=protocol.study.programme_start, periods=13, freq="MS")[:-1],
        protocol.population.anchor,
    ]
    rows = units.merge(pd.DataFrame({"month": months}), how="cross")
    return rows.assign(
        geography="ccg", unit_name="NHS " + rows.unit + " CCG", outcome=protocol.primary_outcomes[0].id, value=1000.0 + rows.rate, population=PEOPLE,
        value_published=1000.0 + rows.rate,
        population_published=PEOPLE,
    )  # fmt: skip


def _simulation(world: World) -> pd.DataFrame:
    names = ["scenario", "cohort", "method", "true_effect_percent", "size_or_power", "coverage"]
    table = pd.DataFrame(world.simulated, columns=names)
    return table.assign(
        true_effect=np.log1p(table.true_effect_percent / 100), n_treated_sites=9, draws=1000, mean_mde=0.09, monte_carlo_se=0.007,
        seed=world.protocol.study.seed, commit="abcdef0123",
    )  # fmt: skip


def directions(text: str) -> list[int]:
    """−1 or +1 for each word of direction and each signed number, in order; intervals that hold zero are left out."""
    text = re.sub(rf"{MINUS}\d[\d.,]*%? to \+?\d[\d.,]*%?", "", text)
    text = re.sub(r"[Aa] true fall of [\d.]+%(,? or rise of [\d.]+%)?", "", text)
    below, above = (
        rf"{MINUS}\d|\b(?:below|lower|fell|fall|falls|reduction)\b",
        r"\+\d|\b(?:above|higher|rose|rise|rises|grew|increase)\b",
    )
    return [-1 if re.fullmatch(below, found) else 1 for found in re.findall(f"{below}|{above}", text)]
