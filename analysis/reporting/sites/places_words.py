"""The sites one by one and pooled: numbers and sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis.estimation.sites.sites import ADHOC, DESIGN, KNAPP_HARTUNG, LEFT_OUT, REML, SMALLER, WHOLE
from analysis.reporting.results import PRIMARY, Estimate, Results
from analysis.reporting.wording import counted, headed, in_sentence, interval, listed, p_text, signed, span


@dataclass(frozen=True)
class Pool:
    """Random effects over the sites covered as a whole: effects in percent, ``tau`` in log points, I² as a share.

    ``cautious``: the mean with an error that may not fall below the classical one, from which ``prediction`` follows.
    """

    sites: int
    mean: Estimate
    cautious: Estimate
    prediction: Estimate
    tau: float
    i_squared: float
    heterogeneity_p: float


def sites(results: Results, outcome: str) -> pd.DataFrame:
    """The table of sites of one outcome, by model and name, never by estimate: it is no league table."""
    table = results.sites
    table = table[table.outcome == outcome]
    order = table.model.map(results.protocol.model_ids.index)
    return table.assign(order=order).sort_values(["order", "site"], ignore_index=True).drop(columns="order")


def pool(results: Results, outcome: str, cohort: str) -> Pool | None:
    """The pooled effect of a model's sites, or of all; None where it could not be made."""
    mean = results.find(DESIGN, outcome, cohort, "mean", KNAPP_HARTUNG)
    cautious, prediction = (results.find(DESIGN, outcome, cohort, term, ADHOC) for term in ("mean", "prediction"))
    if mean is None or prediction is None or cautious is None or math.isnan(mean.low):
        return None

    def number(term: str, column: str) -> float:
        return float(results.estimates.loc[f"{DESIGN}/{outcome}/{cohort}/{PRIMARY}/{term}/{REML}", column])

    table = sites(results, outcome)
    pooled = table[table.in_pool & table.model.isin(results.protocol.treated_cohorts[cohort])]
    spread = (number("tau", "estimate"), number("i_squared", "estimate"), number("heterogeneity", "p_value"))
    return Pool(len(pooled), mean, cautious, prediction, *spread)


def pool_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The mean of the sites, where one more site would lie, and whether the sites differ by more than chance."""
    label, level = results.protocol.cohort_labels[cohort], results.protocol.study.conf_level
    found = pool(results, outcome, cohort)
    if found is None:
        return f"{label}: too few sites covered as a whole have an estimate to pool them."
    narrower = ""
    if found.cautious.low < found.mean.low and found.cautious.high > found.mean.high:
        narrower = f"; {span(found.mean)} by Knapp and Hartung's error alone, which here falls below the classical one"
    more = f"One more such site would be expected within {span(found.prediction)}."
    if found.tau == 0:
        more = (
            f"For one more such site that gives {span(found.prediction)}, no more than the mean's own interval, because the estimated spread between the "
            "sites is zero; with so few sites a real spread can easily be estimated as zero."
        )
    differ = "by more than chance explains" if found.heterogeneity_p < 1 - level else "no more than chance explains"
    return (
        f"{label}: the mean over {counted(found.sites)} sites is {signed(found.mean.value)} ({interval(found.cautious, level)}, {p_text(found.cautious.p_value)}{narrower}). "
        f"{more} The sites differ {differ} "
        f"({p_text(found.heterogeneity_p)}; I² {found.i_squared:.0%})."
    )


def single_sites_sentence(results: Results, outcome: str) -> str:
    """How many sites have an estimate, and how many of the intervals leave out zero, beside what chance alone would give."""
    table, level = sites(results, outcome), results.protocol.study.level
    if table.empty:
        return "No site could be estimated by itself on this data set."
    made = table[table.estimate.notna()]
    clear = made[(made.ci_low > 0) | (made.ci_high < 0)]
    text = f"Of the {len(table)} sites, {'all' if len(made) == len(table) else len(made)} have a difference-in-differences of their own"
    if clear.empty:
        text += "; every interval includes zero."
    else:
        names = ", ".join(f"{row.site} ({signed(row.estimate)})" for row in clear.itertuples())
        text += f"; the interval leaves out zero for {counted(len(clear))}, where chance alone would give {len(made) * level:.1f}: {names}."
        small = int(clear["flags"].str.contains(SMALLER).sum())
        if small:
            text += f" Of these, {counted(small)} {'is' if small == 1 else 'are'} smaller than every placebo site, so that chance is understated there."
    return text


def synthetic_sites_sentence(results: Results, outcome: str) -> str:
    """The same count for the sites' synthetic counterfactuals, so that neither design is picked."""
    table, level = sites(results, outcome), results.protocol.study.level
    made = table[table.synthetic.notna()]
    clear = made[(made.synthetic_low > 0) | (made.synthetic_high < 0)]
    if made.empty:
        return "No site has a synthetic counterfactual."
    text = f"By synthetic difference-in-differences, {len(made)} sites have an estimate"
    if clear.empty:
        return f"{text}; every interval includes zero."
    names = ", ".join(f"{row.site} ({signed(row.synthetic)})" for row in clear.itertuples())
    return f"{text}; the interval leaves out zero for {counted(len(clear))}, where chance alone would give {len(made) * level:.1f}: {names}."


def part_sentence(results: Results, outcome: str) -> str:
    """Which sites are diluted, smaller than any placebo, or without an estimate, with the reason."""
    table = sites(results, outcome)
    if table.empty:
        return ""
    made = table[table.estimate.notna()]
    part, small = made[made.coverage != WHOLE], made[made["flags"].str.contains(SMALLER)]
    lost = table[table.estimate.isna()]
    said = []
    if len(part):
        said.append(
            f"{_sites_are(len(part))} covered in part: an estimate there is of all people, is diluted, and stays out of the pool."
        )
    if len(small):
        said.append(
            f"{_sites_are(len(small))} smaller than every placebo site ({listed(list(small.site))}): an interval there may be too narrow."
        )
    said.append(left_out_sentence(results, outcome))
    if len(lost):
        said.append(f"Without an estimate: {listed([f'{row.site} ({row.reason})' for row in lost.itertuples()])}.")
    return " ".join(filter(None, said))


def left_out(results: Results, outcome: str, site: str) -> list[str]:
    """The commissioners of a site that its own estimate does not use."""
    table = results.cohort_table
    names = table.ccg_name[table.vanguard == site]
    row = sites(results, outcome).set_index("site").loc[site]
    used = str(row.unit_names).casefold()
    lost = [name for name in names if name.casefold() not in used] if LEFT_OUT in str(row["flags"]) else []
    return [name.removeprefix("NHS ").removesuffix(" CCG").title() for name in lost]


def left_out_sentence(results: Results, outcome: str) -> str:
    """Of which sites a commissioner is left out; nothing where none is."""
    table = sites(results, outcome)
    found = {site: left_out(results, outcome, site) for site in table.site}
    parts = [f"{site} without {listed(names)}" for site, names in found.items() if names]
    return (
        f"Where only a part of its commissioners could be used a site's numbers are of these: {listed(parts)}."
        if parts
        else ""
    )


def masked_sentence(results: Results, outcome: str) -> str:
    """In how many of the sites that the main analysis treats the data-quality rule masks months."""
    table = sites(results, outcome)
    table = table[table.coverage == WHOLE]
    if table.empty:
        return ""
    parts = []
    for model in results.protocol.model_ids:
        theirs = table[table.model == model]
        masked = theirs[theirs.masked_months > 0]
        names = "; ".join(f"{row.site}, {counted(row.masked_months)} months" for row in masked.itertuples())
        of = f"{counted(len(theirs))} {results.protocol.cohort_labels[model]} sites"
        parts.append(f"{counted(len(masked))} of {of} ({names})" if len(masked) else f"none of {of}")
    name = in_sentence(results.protocol.outcome(outcome).label)
    return f"Of the sites covered as a whole, masking of {name} touches {listed(parts)}; the other masked months are of places they are compared with, or covered in part."


def sites_summary(results: Results, outcome: str) -> str:
    """The pooled means of the models in one sentence."""
    labels = results.protocol.cohort_labels
    found = {model: pool(results, outcome, model) for model in results.protocol.model_ids}
    parts = [
        f"{signed(p.mean.value)} ({span(p.cautious)}) over {p.sites} {labels[m]} sites" for m, p in found.items() if p
    ]
    if not parts:
        return "The sites could not be pooled on this data set."
    return f"Estimated one by one and pooled by random effects, the mean effect is {listed(parts)}. {single_sites_sentence(results, outcome)}"


def _sites_are(number: int) -> str:
    return f"{headed(counted(number))} site{' is' if number == 1 else 's are'}"
