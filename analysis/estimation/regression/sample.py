"""What a model sees: units × months of counts and population for one outcome, cohort and specification."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.panel.panel import CCG, ENGLAND, LOCAL_AUTHORITY
from analysis.panel.quality import PENDING
from analysis.protocol.protocol import NO_MODEL, Protocol
from analysis.protocol.schema import Specification

# Of each unit, in every row of it.
ATTRIBUTES = ["geography", "unit_name", "model", "site", "covered_share", "other_programmes"]


@dataclass(frozen=True)
class UnitTables:
    """What is known of CCG units beside the panel; empty where the data set does not hold it.

    ``shifted``: units with a lasting shift of level. ``covariates``: one row per unit, indexed by it. ``similar``:
    [unit, rank, similar_unit]. ``flagged``: what the masking rule would mask at other departures, by departure: [unit, month].
    """

    shifted: frozenset[str] = frozenset()
    covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    similar: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["unit", "rank", "similar_unit"]))
    flagged: dict[float, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """``counts`` and ``population`` are units × months, NaN where masked; ``population_full`` is that with nobody masked.

    ``cluster`` numbers the sites (a control is its own), ``site`` names them. ``share`` (n) is the part of each unit that is treated, where not all
    of it is; ``covariates`` (n × q) are standardised; ``left_out`` says which units could not be used, and why.
    """

    units: pd.Index
    months: pd.DatetimeIndex
    counts: np.ndarray
    population: np.ndarray
    population_full: np.ndarray
    treated: np.ndarray
    cluster: np.ndarray
    share: np.ndarray | None = None
    covariates: np.ndarray | None = None
    site: np.ndarray | None = None
    left_out: tuple[str, ...] = ()

    @property
    def observed(self) -> np.ndarray:
        return np.isfinite(self.counts)

    @property
    def dose(self) -> np.ndarray:
        """Treated part of each unit (n): 1 or 0, or its share."""
        return self.treated.astype(float) if self.share is None else self.share

    def restrict(self, months: np.ndarray) -> Sample:
        """The same units in the months where the mask is true."""
        return replace(
            self, months=self.months[months], counts=self.counts[:, months], population=self.population[:, months],
            population_full=self.population_full[:, months],
        )  # fmt: skip

    def only(self, members: np.ndarray) -> Sample:
        """The units where ``members`` is true, with clusters numbered anew."""
        return replace(
            self, units=self.units[members], counts=self.counts[members], population=self.population[members],
            population_full=self.population_full[members], treated=self.treated[members],
            cluster=np.unique(self.cluster[members], return_inverse=True)[1],
            share=None if self.share is None else self.share[members],
            covariates=None if self.covariates is None else self.covariates[members],
            site=None if self.site is None else self.site[members],
        )  # fmt: skip


def why_not(cells: UnitMonths, specification: Specification, tables: UnitTables) -> str | None:
    """Why the specification cannot be run on this outcome; None where it can."""
    held = set(cells.attributes.geography)
    about_returns = (
        not specification.masked
        or specification.pending_masked
        or specification.units != "all"
        or specification.controls != "all"
        or specification.month_effects_by
        or specification.treatment != "whole"
        or specification.also_treated
        or specification.departure
        or specification.known_breaks
    )
    if LOCAL_AUTHORITY in held:
        return "a rule for commissioners; this outcome is by local authority" if about_returns else None
    if specification.pending_masked and not cells.equal("quality", PENDING).any():
        return "the last months hold no doubtful value of this outcome"
    if CCG not in held and (specification.units != "all" or specification.controls != "all"):
        return "leaves out single CCGs, which this data set does not hold"
    if CCG not in held and specification.departure:
        return "masks single CCGs, which this data set does not hold"
    if CCG not in held and specification.known_breaks:
        return "gives single CCGs a step of their own, which this data set does not hold"
    if not set(specification.also_treated) <= set(cells.attributes.index):
        return "treats a single CCG, which this data set does not hold"
    if specification.controls == "similar" and tables.similar.empty:
        return "needs the list of similar CCGs, which this data set does not hold"
    wanted = list(specification.month_effects_by)
    held_covariates = tables.covariates.reindex(columns=wanted)
    if wanted and (held_covariates.empty or held_covariates.isna().to_numpy().any()):
        return "needs covariates of single CCGs, which this data set does not hold"
    return None


def build_sample(
    panel: pd.DataFrame | UnitMonths,
    outcome: str,
    models: list[str],
    specification: Specification,
    protocol: Protocol,
    tables: UnitTables | None = None,
) -> Sample:
    """The treated units of ``models`` and the units of no model, as arrays.

    Treated are the units covered as a whole; where the specification takes the covered share as a dose, or the outcome
    is by local authority, all whose share is known. Units of other models are in neither group. ``panel`` may be its ``unit_months``: whoever
    builds several samples of an outcome makes them once.
    """
    tables = tables or UnitTables()
    rows = panel if isinstance(panel, UnitMonths) else unit_months(panel, outcome)
    units = rows.attributes
    dosed = specification.treatment == "dose" or LOCAL_AUTHORITY in units.geography.unique()
    ours = units.model.isin(models)
    also = ours & units.index.isin(specification.also_treated)
    share = units.covered_share.where(~also, 1.0)
    treated = ours & (share > 0 if dosed else share == 1)
    unknown = sorted(units.unit_name[ours & share.isna()]) if dosed else []
    control = units.model == NO_MODEL
    excluded = _excluded(units, treated, control, specification, tables)
    kept = ((treated | control) & ~units.index.isin(excluded)).to_numpy()
    counts, people, everyone = (values[kept] for values in _as_specified(rows, specification, protocol, tables))
    units, share = units[kept], share[kept]
    names = units.site.where(units.model != NO_MODEL, units.index.to_series())
    covariates = specification.month_effects_by
    sample = Sample(
        units=units.index,
        months=rows.months,
        counts=counts,
        population=people,
        population_full=everyone,
        treated=(units.model != NO_MODEL).to_numpy(),
        cluster=pd.factorize(names)[0],
        share=share.to_numpy(float) if dosed else None,
        covariates=_standardised(tables.covariates.loc[units.index, covariates]) if covariates else None,
        site=names.to_numpy(str),
    )
    empty = np.nansum(sample.counts, axis=1) <= 0
    reasons = [f"{name}: share covered not known, or of more than one model" for name in unknown]
    reasons += [f"{name}: no known count above zero in any month used" for name in units.unit_name[empty]]
    return replace(sample.only(~empty) if empty.any() else sample, left_out=tuple(reasons))


def unit_months(panel: pd.DataFrame, outcome: str) -> UnitMonths:
    """The rows of units of one outcome."""
    theirs = ((panel.geography != ENGLAND) & (panel.outcome == outcome)).to_numpy()
    return UnitMonths(panel if theirs.all() else panel[theirs])


class UnitMonths:
    """One outcome's rows of a panel as matrices, units × months: ``of`` a column. ``attributes`` is one row a unit."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self._unit, names = pd.factorize(rows.unit, sort=True)
        self._month, months = pd.factorize(rows.month, sort=True)
        first = np.unique(self._unit, return_index=True)[1]
        # Python's own texts: in columns of a few hundred, what is asked hundreds of times takes a fraction of Arrow's time.
        attributes = rows[ATTRIBUTES].iloc[first].set_axis(pd.Index(names, name="unit", dtype=object))
        self.attributes = attributes.astype(dict.fromkeys(attributes.select_dtypes("str"), object))
        self.months = pd.DatetimeIndex(months, name="month")

    def of(self, column: str) -> np.ndarray:
        return self._matrix(self.rows[column].to_numpy(float), np.nan)

    def where(self, rows: np.ndarray | pd.Series) -> np.ndarray:
        """Booleans, false where there is no row."""
        return self._matrix(np.asarray(rows, dtype=bool), False)

    def equal(self, column: str, value: str) -> np.ndarray:
        return self.where(self.rows[column] == value)

    def listed(self, pairs: pd.DataFrame) -> np.ndarray:
        """Whether a cell is among these [unit, month]."""
        return self.where(pd.MultiIndex.from_frame(self.rows[["unit", "month"]]).isin(pd.MultiIndex.from_frame(pairs)))

    def _matrix(self, values: np.ndarray, nothing: float | bool) -> np.ndarray:
        table = np.full((len(self.attributes), len(self.months)), nothing)
        table[self._unit, self._month] = values
        return table


def _excluded(
    units: pd.DataFrame, treated: pd.Series, control: pd.Series, specification: Specification, tables: UnitTables
) -> set[str]:
    """Units that the specification leaves out; ``treated`` and ``control`` say which of ``units`` are whose."""
    excluded: set[str] = set(tables.shifted) if specification.units == "no_lasting_shift" else set()
    if specification.controls == "no_other_programmes":
        excluded |= set(units.index[control & (units.other_programmes != "")])
    if specification.controls == "similar":
        compared = set(units.index[treated]) - excluded
        similar = tables.similar.similar_unit[tables.similar.unit.isin(compared)]
        excluded |= set(units.index[control]) - set(similar)
    return excluded


def _standardised(values: pd.DataFrame) -> np.ndarray:
    return ((values - values.mean()) / values.std(ddof=0)).to_numpy(float)


def _as_specified(
    rows: UnitMonths, specification: Specification, protocol: Protocol, tables: UnitTables
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three matrices, units × months: the counts, NaN where masked; their population; and the population before masking.

    Where an area has masked members, the second is the share of them who remain of whichever population is wanted.
    """
    published = rows.of("population_published")
    if specification.masked and not specification.departure:
        counts, people = rows.of("value"), rows.of("population")
    else:
        counts, people = rows.of("value_published"), published
    if specification.masked and specification.departure:
        masked = rows.listed(tables.flagged[specification.departure])
        counts, people = np.where(masked, np.nan, counts), np.where(masked, np.nan, people)
    if specification.masked and specification.pending_masked:
        pending = rows.equal("quality", PENDING)
        counts, people = np.where(pending, np.nan, counts), np.where(pending, np.nan, people)
    everyone = _everyone(published, rows.months, specification, protocol)
    return counts, people / published * everyone, everyone


def _everyone(
    published: np.ndarray, months: pd.DatetimeIndex, specification: Specification, protocol: Protocol
) -> np.ndarray:
    """Population with nobody masked: as it moved, held at the anchor month, or held flat before the first lists."""
    if specification.population == "moving":
        return published
    held_at = protocol.population.anchor if specification.population == "fixed" else protocol.population.first_list
    held = published[:, months == held_at] if held_at in months else np.full((len(published), 1), np.nan)
    return np.where(specification.population == "fixed" or months < held_at, held, published)
