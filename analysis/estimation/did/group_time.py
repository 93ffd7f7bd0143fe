"""Group-time average treatment effects: programmes that reached different places in different years.

ATT(g, t) is the effect in period t on the units first treated in period g: their change since the last period before g,
less that of the units not treated (Callaway & Sant'Anna 2021, Journal of Econometrics 225(2)). A two-way regression would
also compare with units treated earlier; this does not. The effects of the cells and their influence functions come from
``diff_diff``. They are averaged here as in R's ``did``, as the library has no average by calendar period.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.did.group_time_input import check_groups, check_panel, refusal
from analysis.estimation.inference.clustered import t_interval
from analysis.estimation.regression.estimates import both_scales
from analysis.estimation.regression.poisson import NotIdentified
from analysis.estimation.regression.sample import Sample
from analysis.protocol.protocol import Protocol

CS_ANALYTIC = "CS_analytic"
CONTROLS = ("never_treated", "not_yet_treated")
LONELY = "no standard error: a group or its comparison is a single cluster, whose own chance variation cannot be seen"
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Effect:
    """The effect in one (g, t) cell, or an average of such cells.

    ``influence`` (n units) is scaled so that the variance is its sum of squares. ``supported``: the treated and their
    comparison both hold two clusters in every cell. ``group`` and ``period`` of an average are those of its first cell.
    """

    group: float
    period: float
    estimate: float
    influence: np.ndarray
    supported: bool


def group_time_effects(
    table: pd.DataFrame,
    *,
    unit: str,
    period: str,
    first_period: str,
    outcome: str,
    cluster: str | None = None,
    weights: str | None = None,
    covariates: Sequence[str] = (),
    conf_level: float = 0.95,
    control: str = "never_treated",
) -> pd.DataFrame:
    """Effects and their averages: [term, estimate, std_error, ci_low, ci_high, p_value, notes], in the outcome's units.

    ``table`` has one row per unit and period, every unit in every period. Periods are whole numbers. ``first_period`` is
    the unit's first treated period: missing if it never is; one after the last period counts as never. ``weights`` and
    ``cluster`` are constant within a unit; ``covariates`` are taken at the base period, by doubly robust estimation.

    Terms: ``att_<g>_<t>``, each cell, where t before g is compared with the period before t; ``att``, mean of all
    cells from treatment on, by group size; ``group_<g>``, mean of a group's; ``dynamic_<±k>``, mean k periods from the
    start; ``calendar_<t>``, mean in a period; ``group``, ``dynamic`` and ``calendar``, means of those (by size, plain, plain).

    Standard errors come from the influence functions, without a bootstrap. With ``cluster`` they are summed within it,
    the variance is multiplied by G/(G − 1), and intervals use t with G − 1 degrees of freedom; without, the variance
    has no factor and intervals are normal, as in R's ``did``. With a group of one cluster they are NaN and ``notes`` says so.

    Raises
    ------
    DataError
        A column is missing or has gaps, rows repeat, a unit lacks a period or changes its group, cluster or weight.
    NotIdentified
        No unit is treated, none is never treated, or some are treated from the first period on.
    """
    if control not in CONTROLS:
        raise ValueError(f"control is one of {', '.join(CONTROLS)}, not {control!r}")
    fixed = [first_period, *filter(None, [cluster, weights])]
    check_panel(table, unit, period, fixed, [outcome, *covariates, *filter(None, [weights])])
    table = table.sort_values([unit, period], ignore_index=True)
    periods = np.unique(table[period])
    by_unit = table.iloc[:: len(periods)]
    groups = by_unit[first_period].to_numpy(float, na_value=np.nan)
    groups = np.where(groups <= periods[-1], groups, np.nan)
    check_groups(groups, by_unit[unit].to_numpy(), periods, control)
    clusters = pd.factorize(by_unit[cluster])[0] if cluster else np.arange(len(by_unit))
    weight = by_unit[weights].to_numpy(float) if weights else np.ones(len(by_unit))
    if (weight <= 0).any():
        raise refusal("a weight that is not above zero", "positive weights", "Leave out units of no weight.", weights)
    panel = table[[outcome, *covariates]].assign(
        # Units and periods go in by position, so that the library's answers do; 0 is its word for never treated.
        _unit=np.repeat(np.arange(len(by_unit)), len(periods)),
        _period=np.tile(np.arange(len(periods)) + 1, len(by_unit)),
        _first=np.repeat(np.where(np.isfinite(groups), np.searchsorted(periods, groups) + 1, 0), len(periods)),
        _weight=np.repeat(weight / weight.mean(), len(periods)),
    )
    cells = _cells(panel, periods, outcome, list(covariates), clusters, control, weighted=weights is not None)
    terms = _averages(cells, groups, weight)
    return pd.DataFrame(
        [_row(term, effect, clusters, cluster is not None, conf_level) for term, effect in terms.items()]
    )


def yearly_log_rates(sample: Sample, protocol: Protocol) -> tuple[pd.DataFrame, str]:
    """Log rates per head and month by unit and year, and a note of what was left out.

    Columns: unit, cluster, year (12 whole months, counted from the programme's start, by the calendar year in which the first
    of them lies), first_period, log_rate. A unit with a masked month or no count in some year is left out, as its years would not compare the same months.
    """
    start = protocol.study.programme_start
    since = (sample.months.year - start.year) * MONTHS_A_YEAR + sample.months.month - start.month
    block = np.asarray(since) // MONTHS_A_YEAR
    years, months = np.unique(block, return_counts=True)
    whole = years[months == MONTHS_A_YEAR]
    in_year = (block[:, None] == whole).astype(float)
    complete = np.isfinite(sample.counts) & np.isfinite(sample.population)
    counts = np.where(complete, sample.counts, 0.0) @ in_year
    people = np.where(complete, sample.population, 0.0) @ in_year
    kept = (complete @ in_year == MONTHS_A_YEAR).all(axis=1) & (counts > 0).all(axis=1)
    first = np.where(sample.treated, start.year, np.nan)
    table = pd.DataFrame(
        {
            "unit": np.repeat(sample.units[kept], len(whole)),
            "cluster": np.repeat(sample.cluster[kept], len(whole)),
            "year": np.tile(start.year + whole, int(kept.sum())),
            "first_period": np.repeat(first[kept], len(whole)),
            "log_rate": np.log(counts[kept] / people[kept]).ravel(),
        }
    )
    if kept.all():
        return table, ""
    gone = f"{(~kept).sum()} of {len(kept)} units ({(~kept & sample.treated).sum()} treated)"
    return table, f"without {gone} that lack a month or count nothing in a year"


def group_time(sample: Sample, protocol: Protocol) -> list[dict[str, Any]]:
    """Rows of the estimates table: the effect by years since the start and over all of them, in log points of the rate.

    Every unit counts the same, whatever its size. All start in one year, so groups and calendar years would say the same again.

    Raises
    ------
    NotIdentified
        A treated unit is treated in part, or what is left after masking holds no comparison.
    """
    if (sample.dose[sample.treated] < 1).any():
        raise NotIdentified("group-time effects are of units treated as a whole; some are treated in part")
    table, left_out = yearly_log_rates(sample, protocol)
    if table.empty:
        raise NotIdentified("no unit has a count in every month of every year")
    effects = group_time_effects(
        table, unit="unit", period="year", first_period="first_period", outcome="log_rate", cluster="cluster",
        conf_level=protocol.study.conf_level,
    )  # fmt: skip
    units = table.drop_duplicates("unit")
    context = {
        "design": "group_time", "n_obs": len(table),
        "n_units": len(units), "n_treated": int(units.first_period.notna().sum()),
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for row in effects[(effects.term == "att") | effects.term.str.startswith("dynamic_")].itertuples():
        before = row.term.startswith("dynamic_-")
        base = "the year before it" if before else "the last year before the programme"
        rows += both_scales(
            row.term, CS_ANALYTIC, row.estimate, (row.ci_low, row.ci_high), std_error=row.std_error, p_value=row.p_value,
            notes="; ".join(filter(None, [f"against {base}; each unit counts the same", row.notes, left_out])), **context,
        )  # fmt: skip
    return rows


def _cells(
    panel: pd.DataFrame,
    periods: np.ndarray,
    outcome: str,
    covariates: list[str],
    cluster: np.ndarray,
    control: str,
    weighted: bool,
) -> list[Effect]:
    """The library's effect of every cell that has a comparison."""
    from diff_diff import CallawaySantAnna, SurveyDesign  # a second to import, and only this design needs it

    with warnings.catch_warnings():
        # Cells that have no comparison are left out here too: not_yet_treated runs out of units.
        warnings.filterwarnings("ignore", message=".*could not be estimated")
        fit = CallawaySantAnna(control_group=control, estimation_method="dr").fit(
            panel, outcome=outcome, unit="_unit", time="_period", first_treat="_first", covariates=covariates or None,
            survey_design=SurveyDesign(weights="_weight") if weighted else None,
        )  # fmt: skip
    # The library keeps the cells' influence functions for its own averages, under this name only.
    parts = fit._aggregation_kit.influence if fit._aggregation_kit else {}
    cells = []
    for (g, t), part in parts.items():
        influence = np.zeros(len(cluster))
        influence[part["treated_idx"]] = part["treated_inf"]
        influence[part["control_idx"]] = part["control_inf"]
        supported = all(len(np.unique(cluster[part[side]])) > 1 for side in ("treated_idx", "control_idx"))
        group, period = float(periods[int(g) - 1]), float(periods[int(t) - 1])
        cells.append(Effect(group, period, fit.group_time_effects[g, t]["effect"], influence, supported))
    if not any(cell.period >= cell.group for cell in cells):
        raise NotIdentified("no period from treatment on has a comparison")
    return cells


def _averages(cells: list[Effect], groups: np.ndarray, weight: np.ndarray) -> dict[str, Effect]:
    """Every term and its effect."""

    def by_size(effects: list[Effect]) -> Effect:
        return _mean_by_size(effects, groups, weight)

    post = [cell for cell in cells if cell.period >= cell.group]
    group = {g: _mean(found) for g, found in _split(post, lambda cell: cell.group).items()}
    dynamic = {k: by_size(found) for k, found in _split(cells, lambda cell: cell.period - cell.group).items()}
    calendar = {t: by_size(found) for t, found in _split(post, lambda cell: cell.period).items()}
    return {
        "att": by_size(post),
        "group": by_size(list(group.values())),
        "dynamic": _mean([effect for k, effect in dynamic.items() if k >= 0]),
        "calendar": _mean(list(calendar.values())),
        **{f"group_{g:.0f}": effect for g, effect in group.items()},
        **{f"dynamic_{k:+.0f}": effect for k, effect in dynamic.items()},
        **{f"calendar_{t:.0f}": effect for t, effect in calendar.items()},
        **{f"att_{cell.group:.0f}_{cell.period:.0f}": cell for cell in cells},
    }


def _split(cells: list[Effect], key: Callable[[Effect], float]) -> dict[float, list[Effect]]:
    return {value: [cell for cell in cells if key(cell) == value] for value in sorted({key(cell) for cell in cells})}


def _mean(effects: list[Effect], share: np.ndarray | None = None) -> Effect:
    """Mean by ``share`` (which adds to 1), or the plain mean."""
    share = np.full(len(effects), 1 / len(effects)) if share is None else share
    return Effect(
        effects[0].group,
        effects[0].period,
        float(share @ [effect.estimate for effect in effects]),
        share @ np.stack([effect.influence for effect in effects]),
        all(effect.supported for effect in effects),
    )


def _mean_by_size(effects: list[Effect], groups: np.ndarray, weight: np.ndarray) -> Effect:
    """Mean by the size of the effects' groups. The sizes are estimates too, and add to the influence function."""
    members = weight * np.stack([groups == effect.group for effect in effects])
    size = members.sum(axis=1)
    mean = _mean(effects, size / size.sum())
    off_mean = np.array([effect.estimate - mean.estimate for effect in effects])
    return replace(mean, influence=mean.influence + off_mean @ members / size.sum())


def _row(term: str, effect: Effect, cluster: np.ndarray, clustered: bool, conf_level: float) -> dict[str, Any]:
    scores, std_error = np.bincount(cluster, effect.influence), float("nan")
    others = len(scores) - 1
    if effect.supported:
        std_error = float(np.sqrt(scores @ scores * (len(scores) / others if clustered else 1)))
    interval, p_value = t_interval(effect.estimate, std_error, others if clustered else np.inf, conf_level)
    return {
        "term": term, "estimate": effect.estimate, "std_error": std_error,
        "ci_low": interval[0], "ci_high": interval[1], "p_value": p_value,
        "notes": "" if effect.supported else LONELY,
    }  # fmt: skip
