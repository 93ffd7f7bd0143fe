"""Rules that turn estimates into sentences. No report types a result: a change in the numbers changes the words."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from statsmodels.stats.multitest import multipletests

from analysis.protocol import REST
from analysis.results import Estimate, Results
from analysis.verdict import Evidence, Verdict, verdict

MINUS = "\N{MINUS SIGN}"
PROGRAMME = "att"


def signed(value: float, digits: int = 1) -> str:
    """+1.2%, −0.4%, 0.0%."""
    text = f"{value:+.{digits}f}".replace("-", MINUS)
    return f"{text[1:]}%" if float(f"{value:.{digits}f}") == 0 else f"{text}%"


def plain(value: float, digits: int = 1) -> str:
    """1.2%, −0.4%: a growth or a size, without a plus."""
    return signed(value, digits).removeprefix("+")


def interval(estimate: Estimate, level: float) -> str:
    return f"{level:.0%} interval {signed(estimate.low)} to {signed(estimate.high)}"


def p_text(p_value: float) -> str:
    return (
        "p < 0.001"
        if p_value < 0.001
        else "p > 0.99"
        if p_value > 0.99
        else f"p = {p_value:.3f}"
        if p_value < 0.1
        else f"p = {p_value:.2f}"
    )


def above_or_below(value: float) -> str:
    """Size and position: 1.2% below, 0.3% above, or 0.0% from."""
    size = f"{abs(value):.1f}%"
    return f"{size} from" if size == "0.0%" else f"{size} {'below' if value < 0 else 'above'}"


def in_sentence(label: str) -> str:
    """A label with a small first letter, unless it begins with an abbreviation: GP referrals."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def verdicts(results: Results, outcome: str) -> dict[str, Verdict]:
    """The verdict on each model, Holm-adjusted over the models."""
    models, level = results.protocol.model_ids, 1 - results.protocol.study.conf_level
    effects = [results.effect(outcome, model) for model in models]
    adjusted = multipletests([effect.p_value for effect in effects], method="holm")[1]
    controls = [o.id for o in results.protocol.outcomes if o.role == "negative_control"]
    return {
        model: verdict(
            Evidence(
                effect.value,
                float(p),
                control_p=min((results.effect(c, model).p_value for c in controls), default=None),
            ),
            level,
        )
        for model, effect, p in zip(models, effects, adjusted, strict=True)
    }


VERDICT_WORDS: dict[Verdict, str] = {
    "reduction supported": "The data support a reduction",
    "increase supported": "The data support an increase",
    "trends in doubt": "There is a difference, but the trends before the programme put it in doubt",
    "unconfirmed": "There is a difference, but not every check that the protocol asks for is part of this edition",
    "inconclusive": "Inconclusive",
}


def verdict_sentence(results: Results, outcome: str, cohort: str) -> str:
    """Direction, size, interval, p-value and certainty together; with nothing found, what could have been found."""
    effect, label = results.effect(outcome, cohort), results.protocol.cohort_labels[cohort]
    words = VERDICT_WORDS[verdicts(results, outcome)[cohort]]
    name = in_sentence(results.protocol.outcome(outcome).label)
    text = (
        f"**{label}: {in_sentence(words)}.** Over the programme, {name} per head stood {above_or_below(effect.value)} where "
        f"they would have been had they changed as in the rest of England "
        f"({interval(effect, results.protocol.study.conf_level)}, {p_text(effect.p_value)})."
    )
    if not effect.excludes_zero:
        missed = 1 - results.protocol.inference.power
        text += f" Even a true change of {results.detectable(outcome, cohort):.1f}% would have been missed {missed:.0%} of the time."
    return text


def headline(results: Results) -> list[str]:
    """Two plain lines for the end of a run."""
    outcome = results.protocol.primary_outcomes[0].id
    found = verdicts(results, outcome)
    lines = []
    for model, word in found.items():
        effect = results.effect(outcome, model)
        lines.append(
            f"{results.protocol.cohort_labels[model]}: {word}. {results.protocol.outcome(outcome).label} per head "
            f"{signed(effect.value)} against the rest of England ({interval(effect, results.protocol.study.conf_level)})."
        )
    return lines


def summary_answer(results: Results) -> str:
    """The one-sentence answer to the study's question."""
    outcome = results.protocol.primary_outcomes[0]
    found = verdicts(results, outcome.id)
    labels = results.protocol.cohort_labels
    name = in_sentence(outcome.label)
    by_word = {word: [labels[m] for m in found if found[m] == word] for word in dict.fromkeys(found.values())}
    clauses = {
        "inconclusive": "we cannot tell whether being {} changed {}",
        "reduction supported": "the data support a fall in {1} where there was {0}",
        "increase supported": "the data support a rise in {1} where there was {0}",
        "trends in doubt": "{1} changed where there was {0}, but trends from before the programme may explain it",
        "unconfirmed": "{1} changed where there was {0}, but further checks are still to be made",
    }
    parts = [clauses[word].format(_a_site(models), name) for word, models in by_word.items()]
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _a_site(models: Sequence[str]) -> str:
    return f"{'an' if models[0][0] in 'AEFHILMNORSX' else 'a'} {' or '.join(models)} site"


def growth_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Our growth per head on one baseline, cohort by cohort, with intervals."""
    rule = next(rule for rule in results.protocol.growth if rule.id == rule_id)
    cohorts = [*results.protocol.model_ids, REST]
    found = {c: results.percent("growth", outcome, c, f"growth_{rule_id}", "linearised") for c in cohorts}
    labels = results.protocol.cohort_labels
    parts = [
        f"{plain(e.value)} in {_the(labels[c], c)} ({signed(e.low)} to {signed(e.high)})" for c, e in found.items()
    ]
    name = in_sentence(results.protocol.outcome(outcome).label)
    return f"Comparing {rule.label}, {name} per head grew by {listed(parts)}."


def published_sentence(results: Results, rule_id: str) -> str:
    """What NHS England reported on the same windows."""
    rule = next(rule for rule in results.protocol.growth if rule.id == rule_id)
    values = published_growth(results, rule.published or "")
    labels = results.protocol.cohort_labels
    parts = [f"{plain(value)} in {_the(labels[c], c)}" for c, value in values.items()]
    return f"NHS England reported growth in emergency admissions per head of {listed(parts)}."


def published_growth(results: Results, prefix: str) -> dict[str, float]:
    """Cohort → published growth in percent, for rows of published_results.csv whose id starts with ``prefix``."""
    rows = results.published[results.published.id.str.startswith(f"{prefix}-")].set_index("cohort").value
    names = {model: model for model in results.protocol.model_ids} | {REST: results.protocol.pooled.rest_label}
    return {cohort: float(rows[name]) for cohort, name in names.items() if name in rows.index}


def _the(label: str, cohort: str) -> str:
    return f"the {label}" if cohort == REST else f"{label} sites"


def gap_sentence(results: Results, rule_id: str, outcome: str) -> str:
    """Whether the growth of each model differs from the rest's by more than chance allows."""
    level = results.protocol.study.conf_level
    parts, clear = [], []
    for model in results.protocol.model_ids:
        gap = results.percent("growth", outcome, model, f"growth_gap_{rule_id}", "linearised")
        label = results.protocol.cohort_labels[model]
        parts.append(f"{signed(gap.value)} for {label} ({interval(gap, level)})")
        clear += [label] if gap.excludes_zero else []
    ending = (
        f"Chance alone would not easily explain the difference for {listed(clear)}."
        if clear
        else "Chance alone could explain this."
    )
    return f"Relative to the rest of England, the change was {listed(parts)}. {ending}"


def years_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The effect year by year, and whether any year stands out."""
    parts, clear = [], []
    for year in results.protocol.programme_years:
        effect = results.effect(outcome, cohort, f"att_{year.id}")
        parts.append(f"{signed(effect.value)} in {year.label} ({signed(effect.low)} to {signed(effect.high)})")
        clear += [year.label] if effect.excludes_zero else []
    label = results.protocol.cohort_labels[cohort]
    ending = f"The interval leaves out zero in {listed(clear)}." if clear else "Every interval holds zero."
    return f"Year by year, the estimates for {label} are {listed(parts)}. {ending}"


def event_study_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How the cohort moved against the rest before the programme."""
    rows = event_path(results, outcome, cohort)
    before = rows[(rows.event_time < 0) & rows.ci_low.notna()]
    off = int(((before.ci_low > 0) | (before.ci_high < 0)).sum())
    label = results.protocol.cohort_labels[cohort]
    text = (
        f"{label}: in {off} of the {len(before)} earlier quarters the pointwise interval leaves out zero; on average they lie "
        f"{above_or_below(before.estimate.mean())} the quarter they are measured from."
    )
    return text + (" That is a warning about the trends before the programme." if off else "")


def event_path(results: Results, outcome: str, cohort: str, specification: str = "primary") -> pd.DataFrame:
    """[event_time, estimate, ci_low, ci_high] in percent by quarter; the base quarter is zero without an interval."""
    rows = results.estimates.query(
        "design == 'event_study' and outcome == @outcome and cohort == @cohort and specification == @specification and scale == 'percent'"
    )
    times = rows.term.str.extract(r"quarter_([+-]\d+)_", expand=False).astype(int)
    path = rows.assign(event_time=times)[["event_time", "estimate", "ci_low", "ci_high"]]
    (base,) = set(range(path.event_time.min(), path.event_time.max() + 1)) - set(path.event_time)
    zero = pd.DataFrame({"event_time": [base], "estimate": [0.0], "ci_low": [float("nan")], "ci_high": [float("nan")]})
    return pd.concat([path, zero]).sort_values("event_time", ignore_index=True)


def its_sentence(results: Results, outcome: str, cohort: str) -> str:
    """The controlled series: level, slope, and the departure late in the programme."""
    month = results.protocol.its.effect_month
    level, slope, late = (
        results.percent("cits", outcome, cohort, term, "HAC") for term in ("level", "slope", f"effect_{month}")
    )
    label = results.protocol.cohort_labels[cohort]
    return (
        f"{label}: a step of {signed(level.value)} at the start ({signed(level.low)} to {signed(level.high)}) and a change of "
        f"slope of {signed(slope.value, 2)} a month ({signed(slope.low, 2)} to {signed(slope.high, 2)}), which together put the "
        f"series {above_or_below(late.value)} its counterfactual in month {month} "
        f"({interval(late, results.protocol.study.conf_level)}, {p_text(late.p_value)})."
    )


def designs_agree_sentence(results: Results, outcome: str) -> str:
    """Whether the two designs tell the same story, and what to make of it where they do not."""
    month, labels = results.protocol.its.effect_month, results.protocol.cohort_labels
    split = [
        labels[model]
        for model in results.protocol.model_ids
        if results.percent("cits", outcome, model, f"effect_{month}", "HAC").excludes_zero
        != results.effect(outcome, model).excludes_zero
    ]
    if not split:
        return "For both models the two designs agree on whether there is a difference."
    return (
        f"For {listed(split)} the two designs disagree. They ask different questions of the months before: "
        "difference-in-differences takes their average level as what would have continued, the segmented regression their "
        "trend. Two years are a short time to learn a trend from, and the Newey–West interval knows nothing of the "
        "uncertainty in choosing it. The protocol's verdict rests on the difference-in-differences; a disagreement is a "
        "warning about the trends before the programme, not a second finding."
    )


def sensitivity_sentence(results: Results, outcome: str, cohort: str) -> str:
    """How far the choices about the data move the estimate, against how far the sites' number blurs it."""
    label = results.protocol.cohort_labels[cohort]
    primary = results.effect(outcome, cohort)
    parts = []
    for identifier, change in (("unmasked", "masking nothing"), ("fixed_population", "holding population at mid-2015")):
        other = results.effect(outcome, cohort, specification=identifier)
        parts.append(f"{change} gives {signed(other.value)}")
    both = results.effect(outcome, cohort, specification="unmasked_fixed_population")
    return (
        f"{label}: the primary estimate is {signed(primary.value)}; {listed(parts)}; doing both gives {signed(both.value)} "
        f"(95% interval {signed(both.low)} to {signed(both.high)})."
    ).replace("95%", f"{results.protocol.study.conf_level:.0%}")


def controls_sentence(results: Results, cohort: str) -> str:
    """Whether an outcome that the programme was not meant to move moved all the same."""
    level = results.protocol.study.conf_level
    parts, moved = [], []
    for outcome in results.protocol.outcomes:
        if outcome.role != "negative_control":
            continue
        effect = results.effect(outcome.id, cohort)
        parts.append(
            f"{in_sentence(outcome.label)} {signed(effect.value)} ({signed(effect.low)} to {signed(effect.high)})"
        )
        moved += [in_sentence(outcome.label)] if effect.excludes_zero else []
    label = results.protocol.cohort_labels[cohort]
    ending = (
        f"The interval leaves out zero for {listed(moved)}: the comparison may be picking up something other than the programme."
        if moved
        else "None of the intervals leaves out zero."
    )
    return f"{label}: {listed(parts)}, each with its {level:.0%} interval. {ending}"


def quality_sentence(results: Results, outcome: str) -> str:
    """How much was masked, where most of it lies."""
    rows = results.ledger[(results.ledger.outcome == outcome) & (results.ledger.rule != "pending")]
    units = rows.unit.nunique()
    total = rows.groupby("unit_name").size().sort_values(ascending=False, kind="stable")
    share = len(rows) / (results.provenance["ccg_units"] * len(results.protocol.months))
    return (
        f"{len(rows)} of the CCG-months ({share:.2%}) are masked, in {units} CCGs; the longest gaps are "
        f"{listed([f'{name} ({count} months)' for name, count in total.head(4).items()])}."
    )


def morciano_sentence(results: Results, outcome: str) -> str:
    """The published study of both models together, beside our pooled estimate."""
    row = results.published.set_index("id").loc["morciano2020-adm-pop-years1-3"]
    pooled = results.effect(outcome, results.protocol.pooled_cohort)
    return (
        f"The one published study of these sites pooled both models and found {signed(100 * row.value)} for emergency admissions "
        f"({signed(100 * row.ci_low)} to {signed(100 * row.ci_high)}) over the three years [@morciano2020]; our pooled estimate for "
        f"non-elective admissions is {signed(pooled.value)} ({interval(pooled, results.protocol.study.conf_level)})."
    )
