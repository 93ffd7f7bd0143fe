"""The interrupted time series of a sample: of its treated places, of the rest, and of the one against the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.estimation.did.robustness import slug
from analysis.estimation.its.estimates import Interrupted
from analysis.estimation.its.methods import METHODS
from analysis.estimation.its.pseudo_cohorts import Beside, PseudoCohorts
from analysis.estimation.its.segments import Break, Segments, admissible, segments
from analysis.estimation.its.terms import (
    CONTROLLED,
    KENWARD_ROGER,
    LEVEL,
    PLACEBO_START,
    PSEUDO_COHORTS,
    SINGLE,
    SLOPE,
    WITHOUT_SITE,
)
from analysis.estimation.regression.absorbed import NotIdentified
from analysis.estimation.regression.estimates import Rows, both_scales
from analysis.estimation.regression.sample import Sample
from analysis.estimation.regression.series import Series, cohort_series
from analysis.estimation.synthetic.synthetic import Pool, synthetic_series
from analysis.protocol.protocol import Protocol
from analysis.protocol.schema import Outcome, Specification


@dataclass(frozen=True)
class Groups:
    """What is asked of a ``sample``: the series of its treated places, by the rules of one specification.

    ``pseudo`` are the pseudo-cohorts among its controls; samples with the same controls share them.
    """

    sample: Sample
    outcome: Outcome
    specification: Specification
    protocol: Protocol
    pseudo: PseudoCohorts

    def of(self, kind: str, trends: bool = True) -> Interrupted:
        """The single-group or the controlled series; without ``trends``, with the step alone.

        Raises
        ------
        NotIdentified
            As ``cohort_series`` and ``segments``. Where the controls are too few for pseudo-cohorts the series is judged by
            models alone, and its notes say so.
        """
        doses = self.sample.dose[self.sample.treated]
        design = self._design(self.sample.treated, trends)
        notes = (
            ""
            if (doses == 1).all()
            else "places weighted by the share covered; the part not covered dilutes the effect"
        )
        if kind == SINGLE:
            return Interrupted(self.treated_series, design, notes=notes)
        series = self.treated_series.relative_to(self.rest_series.log_rate)
        try:
            placebos, said = self.pseudo.of(tuple(sorted(doses.tolist())))
        except NotIdentified as problem:
            return Interrupted(series, design, notes="; ".join(filter(None, [str(problem), notes])))
        return self._beside(series, placebos.log_rate, design, "; ".join(filter(None, [said, notes])))

    def rest(self) -> Interrupted:
        """The single-group series of the controls."""
        return Interrupted(self.rest_series, self._design(~self.sample.treated))

    def against_synthetic(self, pool: Pool) -> Interrupted:
        """The treated places against their synthetic control, beside those of the pool's placebos.

        Weights are chosen to meet the months before the start, so that errors from the residuals are too small: only the
        comparison with placebos, whose weights were chosen in the same way, is fair.
        """
        series, gaps, notes = synthetic_series(self.sample, pool)
        design = self._design(self.sample.treated)
        return self._beside(series, gaps, design, notes)

    def _beside(self, series: Series, placebos: np.ndarray, design: Segments, notes: str) -> Interrupted:
        judge = Beside(series.log_rate, placebos, design, self.protocol.study.conf_level)
        return Interrupted(series, design, judge, notes)

    @cached_property
    def treated_series(self) -> Series:
        return cohort_series(self.sample, self.sample.dose * self.sample.treated, self.specification.fill_masked)

    @cached_property
    def rest_series(self) -> Series:
        return cohort_series(self.sample, ~self.sample.treated, self.specification.fill_masked)

    def _design(self, members: np.ndarray, trends: bool = True) -> Segments:
        protocol, shift = self.protocol, self.specification.start_shift
        start = protocol.study.programme_start + pd.DateOffset(months=shift)
        months, specification = self.sample.months, self.specification
        breaks, refused = admissible(self.breaks(members), months, start, protocol.its, specification)
        if refused and not breaks:
            raise NotIdentified("; ".join(refused))
        design = segments(months, start, protocol.its, self.outcome, specification, breaks, trends)
        return replace(design, notes="; ".join(filter(None, [design.notes, *refused])))

    def breaks(self, members: np.ndarray) -> list[Break]:
        """The known breaks of the units where ``members`` is true, if the specification gives them a step of their own."""
        if not self.specification.known_breaks:
            return []
        units = set(self.sample.units[members])
        return [
            Break(known.month, known.label)
            for known in self.protocol.its.known_breaks
            if known.unit in units and self.outcome.id in known.outcomes
        ]


def leave_one_out(groups: Groups) -> Rows:
    """The controlled series' late departure without each treated site in turn, beside pseudo-cohorts of as many units as are left.

    Raises
    ------
    NotIdentified
        There is only one site, the months do not reach the late effect, or as ``Groups.of``.
    """
    sample, protocol = groups.sample, groups.protocol
    assert sample.site is not None
    sites = sorted(set(sample.site[sample.treated]))
    if len(sites) == 1:
        raise NotIdentified(f"nothing is left without {sites[0]}, the only site")
    late = f"effect_{protocol.its.effect_month}"
    rows: Rows = []
    for site in sites:
        without = sample.only(~(sample.treated & (sample.site == site)))
        one = replace(groups, sample=without).of(CONTROLLED)
        if one.judge is None or late not in one.design.contrasts:
            raise NotIdentified(
                one.notes if one.judge is None else f"the series ends before month {protocol.its.effect_month}"
            )
        found = one.judge(one.design.contrasts[late])
        rows += both_scales(
            f"{late}_without_{slug(site)}", PSEUDO_COHORTS, found.estimate, found.interval, std_error=found.std_error,
            p_value=found.p_value, design=WITHOUT_SITE, n_obs=len(one.series.counts), notes=f"without {site}; {one.notes}",
        )  # fmt: skip
    return rows


def placebo_starts(groups: Groups, draws: int, seed: int) -> Rows:
    """Level and slope changes of the controlled series at every admissible month before the start, from those months alone.

    Raises
    ------
    NotIdentified
        As ``Groups.of``; there are too few months before the start for any placebo start.
    """
    protocol, sample, rule = groups.protocol, groups.sample, groups.protocol.its
    before = sample.restrict(np.asarray(sample.months < protocol.study.programme_start))
    starts = before.months[rule.fewest_months : len(before.months) - rule.fewest_months + 1]
    if not len(starts):
        raise NotIdentified(
            f"{len(before.months)} months before the start: none has {rule.fewest_months} on either side"
        )
    pseudo = PseudoCohorts(before.only(~before.treated), draws, seed, groups.specification.fill_masked)
    earlier = replace(groups, sample=before, pseudo=pseudo)
    level = protocol.study.conf_level
    placebos, _ = pseudo.of(tuple(sorted(before.dose[before.treated].tolist())))
    series = earlier.treated_series.relative_to(earlier.rest_series.log_rate)
    rows: Rows = []
    for start in starts:
        try:
            design = segments(before.months, start, rule, groups.outcome, groups.specification)
        except NotIdentified:  # phasing in leaves too few months after this one
            continue
        fit = METHODS[KENWARD_ROGER](series, design, rule)
        for term in (LEVEL, SLOPE):
            contrast = design.contrasts[term]
            beside = Beside(series.log_rate, placebos.log_rate, design, level)(contrast)
            judged = (beside.estimate, beside.std_error, beside.interval, beside.p_value)
            for method, found in ((KENWARD_ROGER, fit.test(contrast, level)), (PSEUDO_COHORTS, judged)):
                estimate, error, interval, p_value = found
                rows += both_scales(
                    f"{term}_from_{start:%Y-%m}", method, estimate, interval, std_error=error, p_value=p_value,
                    design=PLACEBO_START, n_obs=len(series.counts),
                    notes=f"months before the programme only; placebo start {start:%B %Y}",
                )  # fmt: skip
    return rows
