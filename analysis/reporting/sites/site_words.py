"""Sentences of one site's brief: where it is, what was found there, what blurs it, and what could have been seen."""

from __future__ import annotations

import math
import re

import pandas as pd

from analysis.core.errors import DataError
from analysis.estimation.its.terms import CONTROLLED, PSEUDO_COHORTS
from analysis.estimation.regression.estimates import PLACEBO
from analysis.estimation.sites.sites import DILUTED, LEFT_OUT, MASKED, SHIFTED, SMALLER
from analysis.protocol.protocol import REST
from analysis.reporting.results import Estimate, Results
from analysis.reporting.series.words import known_breaks, late_term
from analysis.reporting.sites.places_words import left_out, sites
from analysis.reporting.wording import (
    above_or_below,
    certainty,
    counted,
    headed,
    interval,
    listed,
    p_text,
    signed,
    span,
)


def facts(results: Results, outcome: str, site: str) -> pd.Series:
    """The site's row of the table of sites.

    Raises
    ------
    DataError
        The table does not hold it, or it has neither an estimate nor a reason why there is none.
    """
    rows = sites(results, outcome)
    rows = rows[rows.site == site]
    if rows.empty or (pd.isna(rows.iloc[0].estimate) and not rows.iloc[0].reason):
        found = f"no row of {site}" if rows.empty else f"no estimate of {site}, and no reason why"
        raise DataError(results.work.table("sites"), found, "an estimate, or a reason", "Run `make report`.")
    return rows.iloc[0]


def where_sentence(results: Results, outcome: str, site: str) -> str:
    """Model, commissioners, people, and what part of them is covered."""
    row, protocol = facts(results, outcome, site), results.protocol
    model = next(model for model in protocol.models if model.id == row.model)
    names = [re.sub(r"\bNHS | CCG\b", "", name) for name in row.unit_names.split(";")]
    area = (
        "" if row.unit_names == site else f" in the area of {listed(names)}"
    )  # the snapshot's unit is the site itself
    people = (
        "" if pd.isna(row.population) else f", with {row.population:,.0f} people in {protocol.population.anchor:%B %Y}"
    )
    covered = {
        "whole": "It covers all of them.",
        "part": f"It covers {row.covered_share:.0%} of them, so that an effect there is diluted.",
    }.get(row.coverage, "It covers a part of them that is not known, so that an effect there is diluted.")
    return f"{site} is a {model.name} ({model.label}){area}{people}. {covered}"


def finding_sentence(results: Results, outcome: str, site: str) -> str:
    """The difference-in-differences of the site, with a certainty word, and what could have been found."""
    row, protocol = facts(results, outcome, site), results.protocol
    label = protocol.outcome(outcome).label
    if row.reason:
        return f"No estimate could be made: {row.reason}."
    found = Estimate(row.estimate, row.ci_low, row.ci_high, row.p_value)
    could = ""
    if results.find("power", outcome, site, "mde", PLACEBO) is not None:
        fall, rise = results.detectable(outcome, site, inference=PLACEBO)
        could = (
            f" By the width of this interval, a true fall of {fall:.1f}%, or rise of {rise:.1f}%, would have been found "
            f"{protocol.inference.power:.0%} of the time."
        )
    return (
        f"**{headed(certainty(found))}.** {label} per head were {above_or_below(found.value)} what one would expect had they changed as in the rest of England "
        f"({interval(found, protocol.study.conf_level)}, {p_text(found.p_value)}), over the whole programme.{could}"
    )


def others_sentence(results: Results, outcome: str, site: str) -> str:
    """What the other designs find there, and where the mean of the model's sites lies."""
    row, month = facts(results, outcome, site), results.protocol.its.effect_month
    parts = []
    if not math.isnan(row.synthetic):
        found = Estimate(row.synthetic, row.synthetic_low, row.synthetic_high, math.nan)
        parts.append(f"synthetic difference-in-differences gives {signed(found.value)} ({span(found)})")
    late = results.find(CONTROLLED, outcome, site, late_term(results), PSEUDO_COHORTS)
    if late is not None:
        parts.append(f"the interrupted time series {signed(late.value)} in month {month} ({span(late)})")
    if not math.isnan(row.shrunken):
        theirs = sites(results, outcome)
        alike = theirs.shrunken[theirs.model == row.model].round(6).nunique() == 1
        why = ", the mean itself, as every such site's is: they show no spread beyond chance" if alike else ""
        parts.append(f"drawn towards the mean of its model's sites the estimate is {signed(row.shrunken)}{why}")
    return f"{headed('; '.join(parts))}." if parts else "No other design could be used there."


def growth(results: Results, outcome: str, site: str) -> pd.DataFrame:
    """[compared, site, rest]: growth per head in percent on each of the protocol's comparisons, where it could be worked out."""
    rows = []
    for rule in results.protocol.growth:
        ours, rest = (
            results.find("growth", outcome, whose, f"growth_{rule.id}", "linearised") for whose in (site, REST)
        )
        if ours is not None and rest is not None:
            rows.append((rule.label, ours.value, rest.value))
    return pd.DataFrame(rows, columns=["compared", "site", "rest"])


def growth_sentence(results: Results, outcome: str, site: str) -> str:
    """How far growth per head moves with what is compared, beside that of the rest."""
    found = growth(results, outcome, site)
    if found.empty:
        return "Growth per head could not be worked out for this site on this data set."
    ours, rest = (f"from {signed(found[whose].min())} to {signed(found[whose].max())}" for whose in ("site", "rest"))
    return (
        f"On {counted(len(found))} comparisons of one year with another, growth per head runs {ours}; in the rest of England it runs {rest}. "
        "One place has no interval for its growth."
    )


def cautions(results: Results, outcome: str, site: str) -> list[str]:
    """What blurs the picture of this site, one sentence each."""
    row = facts(results, outcome, site)
    flags = set(row["flags"].split(";")) - {""}
    said = {
        DILUTED: "Only a part of its commissioners' people is covered: what happened to the others is in every number here.",
        MASKED: f"{headed(counted(int(row.masked_months)))} of its months are masked, since they depart from those around them as if a return were missing or counted twice.",
        SHIFTED: "Its level changed at some time and stayed so to the end of the data, which may or may not be the programme.",
        LEFT_OUT: f"Not used, for want of knowing what part is covered, or of counts: {listed(left_out(results, outcome, site) or ['one of its commissioners'])}.",
        SMALLER: "It is smaller than any place that it could be compared with, so that its interval may be too narrow.",
    }
    found = [text for flag, text in said.items() if flag in flags]
    found += [
        f"A known break in its returns, which may or may not be the programme: {known.label}, from {known.month:%B %Y}."
        for known in known_breaks(results, outcome, site)
    ]
    return [
        *found,
        "One place says little: a hospital's change of practice, or of counting, moves it more than most programmes could.",
    ]
