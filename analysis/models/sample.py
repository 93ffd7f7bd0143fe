"""What a model sees: units × months of counts and population for one outcome, cohort and specification."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.cleaning.panel import CCG, ENGLAND, LOCAL_AUTHORITY
from analysis.cleaning.quality import PENDING
from analysis.protocol import NO_MODEL, Protocol
from analysis.rules import Specification

USED = [  # of the panel's columns
    "geography", "unit", "unit_name", "month", "value_published", "population_published", "value", "population", "quality",
    "model", "site", "covered_share", "other_programmes",
]  # fmt: skip


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


def why_not(panel: pd.DataFrame, specification: Specification, tables: UnitTables) -> str | None:
    """Why the specification cannot be run on this outcome's rows; None where it can."""
    # unique() first, here and below: a set of a column of text walks over every row in Python.
    held = set(panel.geography.unique())
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
    if specification.pending_masked and not (panel.quality == PENDING).any():
        return "the last months hold no doubtful value of this outcome"
    if CCG not in held and (specification.units != "all" or specification.controls != "all"):
        return "leaves out single CCGs, which this data set does not hold"
    if CCG not in held and specification.departure:
        return "masks single CCGs, which this data set does not hold"
    if CCG not in held and specification.known_breaks:
        return "gives single CCGs a step of their own, which this data set does not hold"
    if not set(specification.also_treated) <= set(panel.unit.unique()):
        return "treats a single CCG, which this data set does not hold"
    if specification.controls == "similar" and tables.similar.empty:
        return "needs the list of similar CCGs, which this data set does not hold"
    wanted = list(specification.month_effects_by)
    held_covariates = tables.covariates.reindex(columns=wanted)
    if wanted and (held_covariates.empty or held_covariates.isna().to_numpy().any()):
        return "needs covariates of single CCGs, which this data set does not hold"
    return None


def build_sample(
    panel: pd.DataFrame,
    outcome: str,
    models: list[str],
    specification: Specification,
    protocol: Protocol,
    tables: UnitTables | None = None,
) -> Sample:
    """The treated units of ``models`` and the units of no model, as arrays.

    Treated are the units covered as a whole; where the specification takes the covered share as a dose, or the outcome
    is by local authority, all whose share is known. Units of other models are in neither group.
    """
    tables = tables or UnitTables()
    rows = panel.loc[(panel.geography != ENGLAND) & (panel.outcome == outcome), USED]
    dosed = specification.treatment == "dose" or LOCAL_AUTHORITY in rows.geography.unique()
    ours = rows.model.isin(models)
    also = ours & rows.unit.isin(specification.also_treated)
    share = rows.covered_share.where(~also, 1.0)
    rows = rows.assign(covered_share=share)
    treated = ours & (share > 0 if dosed else share == 1)
    unknown = sorted(rows.unit_name[ours & share.isna()].unique()) if dosed else []
    control = rows.model == NO_MODEL
    excluded = _excluded(rows, treated, control, specification, tables)
    rows = rows[(treated | control) & ~rows.unit.isin(excluded)]
    rows = apply_specification(rows, specification, protocol, tables)
    wide = rows.pivot(index="unit", columns="month", values=["y", "people", "everyone"]).sort_index()
    attributes = rows.drop_duplicates("unit").set_index("unit").loc[wide.index]
    names = attributes.site.where(attributes.model != NO_MODEL, attributes.index.to_series())
    covariates = specification.month_effects_by
    sample = Sample(
        units=wide.index,
        months=pd.DatetimeIndex(wide["y"].columns),
        counts=wide["y"].to_numpy(float),
        population=wide["people"].to_numpy(float),
        population_full=wide["everyone"].to_numpy(float),
        treated=(attributes.model != NO_MODEL).to_numpy(),
        cluster=pd.factorize(names)[0],
        share=attributes.covered_share.to_numpy(float) if dosed else None,
        covariates=_standardised(tables.covariates.loc[wide.index, covariates]) if covariates else None,
        site=names.to_numpy(str),
    )
    empty = np.nansum(sample.counts, axis=1) <= 0
    reasons = [f"{name}: share covered not known, or of more than one model" for name in unknown]
    reasons += [f"{name}: no known count above zero in any month used" for name in attributes.unit_name[empty]]
    return replace(sample.only(~empty) if empty.any() else sample, left_out=tuple(reasons))


def _excluded(
    rows: pd.DataFrame, treated: pd.Series, control: pd.Series, specification: Specification, tables: UnitTables
) -> set[str]:
    """Units that the specification leaves out; ``treated`` and ``control`` say which rows are whose."""
    excluded: set[str] = set(tables.shifted) if specification.units == "no_lasting_shift" else set()
    if specification.controls == "no_other_programmes":
        excluded |= set(rows.unit[control & (rows.other_programmes != "")].unique())
    if specification.controls == "similar":
        compared = set(rows.unit[treated].unique()) - excluded
        similar = tables.similar.similar_unit[tables.similar.unit.isin(compared)]
        excluded |= set(rows.unit[control].unique()) - set(similar)
    return excluded


def _standardised(values: pd.DataFrame) -> np.ndarray:
    return ((values - values.mean()) / values.std(ddof=0)).to_numpy(float)


def apply_specification(
    rows: pd.DataFrame, specification: Specification, protocol: Protocol, tables: UnitTables
) -> pd.DataFrame:
    """Add ``y`` (count, NaN where masked), ``people`` (its population) and ``everyone`` (population with nobody masked).

    Where an area has masked members, ``people`` is the share of them who remain of whichever population is wanted.
    """
    if specification.masked and specification.departure:
        flagged = pd.MultiIndex.from_frame(tables.flagged[specification.departure][["unit", "month"]])
        kept = ~pd.MultiIndex.from_frame(rows[["unit", "month"]]).isin(flagged)
        y, people = rows.value_published.where(kept), rows.population_published.where(kept)
    elif specification.masked:
        y, people = rows.value, rows.population
    else:
        y, people = rows.value_published, rows.population_published
    if specification.masked and specification.pending_masked:
        pending = rows.quality == PENDING
        y, people = y.mask(pending), people.mask(pending)
    everyone = _everyone(rows, specification, protocol)
    return rows.assign(y=y, people=people / rows.population_published * everyone, everyone=everyone)


def _everyone(rows: pd.DataFrame, specification: Specification, protocol: Protocol) -> pd.Series:
    """Population with nobody masked: as it moved, held at the anchor month, or held flat before the first lists."""
    if specification.population == "moving":
        return rows.population_published
    if specification.population == "fixed":
        return rows.unit.map(_at(rows, protocol.population.anchor))
    first = protocol.population.first_list
    return rows.population_published.where(rows.month >= first, rows.unit.map(_at(rows, first)))


def _at(rows: pd.DataFrame, month: pd.Timestamp) -> pd.Series:
    return rows[rows.month == month].set_index("unit").population_published
