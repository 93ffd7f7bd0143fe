"""Sentences of the reports that describe the study and the build, made from the protocol and the provenance."""

from __future__ import annotations

from IPython.display import Markdown

from analysis.panel.panel import ANALYSED
from analysis.protocol.protocol import NO_MODEL, REST
from analysis.reporting.about.provenance import edition_details
from analysis.reporting.absent import estimated, or_reason
from analysis.reporting.certainty.error_rates_words import simulated_power
from analysis.reporting.growth.words import growth_of, published_growth
from analysis.reporting.results import Results
from analysis.reporting.verdicts.words import QUOTED
from analysis.reporting.wording import counted, duration_text, headed, in_no_model, listed, missed_text, plain


def dataset_callout(results: Results) -> Markdown:
    """Callouts at the top: built on the snapshot, not on the published files; an interim edition; made-up records. Nothing where none holds."""
    return Markdown("\n\n".join([*_of_snapshot(results), *_of_interim(results), *_of_records(results)]))


def _of_snapshot(results: Results) -> list[str]:
    if results.dataset != "snapshot":
        return []
    return [
        '::: {.callout-important title="Built on the embedded snapshot"}\n'
        f"{_reason(results)} The figures are real, summed to the {_site_count(results)} sites and, elsewhere, STP areas: "
        "fewer, larger units than CCGs.\n:::"
    ]


def _of_interim(results: Results) -> list[str]:
    study = results.protocol.study
    if not study.interim:
        return []
    return [
        '::: {.callout-important title="Interim edition"}\n'
        f"The data end in {study.end:%B %Y}; the study runs to {study.planned_end:%B %Y}. What later months will show is not in it, nor are comparisons that need them, "
        "nor simulated error rates, which are of the whole study.\n:::"
    ]


def _of_records(results: Results) -> list[str]:
    if not results.records_made_up:
        return []
    return [
        '::: {.callout-important title="With made-up records"}\n'
        "Emergency admissions and bed days were counted from a made-up extract, to try the method: their figures say nothing of any place.\n:::"
    ]


def background(results: Results) -> str:
    """The programme in numbers, from the table of programme facts and its sources where the protocol names one."""
    announced = f"{results.protocol.study.announced:%-d %B %Y}"
    sites = f"{_site_count(results)} {listed(_labels(results))} sites that this report is about"
    facts = results.facts("applications", "vanguards in all", "direct funding", "central support")
    if facts is None:
        return f"The {sites} were named on {announced}."
    applied, named, direct, central = facts
    return (
        f"{applied:,} groups applied to become vanguards; in the end there were {named:,}. On "
        f"{announced} NHS England named the first of them, among them the {sites}. Direct funding over three years came to £{direct:,} million, with "
        f"£{central:,} million more for central support."
    )


def models_named(results: Results) -> str:
    """What the short names of the models stand for."""
    return f"{listed([f'{model.label} is short for {model.name}' for model in results.protocol.models])}."


def source(results: Results) -> str:
    """Which files, which months."""
    study = results.protocol.study
    returns = [file for file in results.provenance["files"] if file["file"].startswith("mar/")]
    files = [file for file in returns if file["month"] >= f"{study.start:%Y-%m}"]
    earlier = len(returns) - len(files)
    more = f" England's totals of {counted(earlier)} earlier months serve its own time series." if earlier else ""
    return (
        f"The Monthly Activity Return that NHS England publishes by commissioner: {len(files)} monthly files, "
        f"{study.start:%B %Y} to {study.end:%B %Y}, in their latest revision held (see @sec-provenance).{more}"
    )


def units(results: Results) -> str:
    """How many units of which kind are compared."""
    rows = results.panel[results.panel.geography.isin(ANALYSED)].drop_duplicates("unit")
    whole = rows[rows.covered_share == 1]
    labels = results.protocol.cohort_labels
    cohorts = [f"{(whole.model == m).sum()} {labels[m]}" for m in results.protocol.model_ids]
    partly = ((rows.model != NO_MODEL) & (rows.covered_share != 1)).sum()
    kind = (
        "CCGs on the boundaries of April 2017"
        if results.dataset == "mar"
        else "areas: vanguard sites, and STP areas for the rest"
    )
    kind = kind.replace("April 2017", f"{results.protocol.study.boundaries:%B %Y}")
    return (
        f"The {len(rows)} units are {kind}: {listed(cohorts)} units covered as a whole, {partly} covered in part, and "
        f"{(rows.model == NO_MODEL).sum()} {in_no_model(results.protocol.models)}. Merged CCGs are summed back through time; two that exchanged practices are "
        "one pooled unit. The direct commissioning of NHS England has no population of its own and is left out."
    )


@or_reason
def baselines(results: Results, outcome: str) -> str:
    """How far growth in each cohort moves with the baseline."""
    rules, labels = results.protocol.growth, results.protocol.cohort_labels
    parts = []
    found, lost = estimated(
        results,
        [*results.protocol.model_ids, REST],
        lambda cohort: [growth_of(results, outcome, cohort, rule.id).value for rule in rules],
    )
    for cohort, values in found.items():
        name = f"the {labels[cohort]}" if cohort == REST else labels[cohort]
        parts.append(f"from {plain(min(values))} to {plain(max(values))} for {name}")
    return " ".join([f"Across the {counted(len(rules))} comparisons growth runs {listed(parts)}.", *lost])


def published_versions(results: Results, rule_id: str | None) -> str:
    """What else NHS England published: the note on its first figures, and its later ones; nothing where it published none."""
    labels, said = results.protocol.cohort_labels, []
    for rule in results.protocol.growth:
        if not rule.published:
            continue
        note = results.published.note[results.published.id.str.startswith(rule.published)].iloc[0]
        if rule.id == rule_id:
            about = results.published[results.published.id.str.startswith(rule.published)].iloc[0]
            said.append(
                f"NHS England's figures stand here as they were reported, of {about.window} on the {about.baseline}. {note}."
            )
        elif rule.publication:
            found = published_growth(results, rule.published)
            parts = [
                f"{plain(value)} for {f'the {labels[c]}' if c == REST else labels[c]}" for c, value in found.items()
            ]
            said.append(f"{rule.publication} {listed(parts)}.")
    return " ".join(said)


@or_reason
def detectable(results: Results, outcome: str) -> str:
    """How small a change these sites and years could have shown."""
    labels, models = results.protocol.cohort_labels, results.protocol.model_ids
    simulated = {model: dict(simulated_power(results, outcome, model)) for model in models}
    if all(simulated.values()):
        said = []
        for effect in list(simulated[models[0]])[-QUOTED:]:
            found = [f"{simulated[model][effect]:.0%} of cases for {labels[model]}" for model in models]
            said.append(f"a true change of {plain(effect)} is found in {listed(found)}")
        return f"In simulations with these sites and years, {', and '.join(said)}."
    falls, lost = estimated(results, models, lambda model: results.detectable(outcome, model)[0])
    parts = [f"{fall:.1f}% for {labels[model]}" for model, fall in falls.items()]
    if lost:
        return " ".join(
            [
                f"By the width of the interval, a true fall of {listed(parts)} would be missed {missed_text(results.protocol.inference.power)}.",
                *lost,
            ]
        )
    return f"By the width of the intervals, true falls of {listed(parts)} would be missed {missed_text(results.protocol.inference.power)}."


def inference(results: Results) -> str:
    primary, models = results.protocol.specification("primary"), len(results.protocol.models)
    holm = (
        f" p-values of the {counted(models)} models are adjusted by Holm's method for the verdict."
        if models > 1
        else ""
    )
    return (
        f"Primary p-values and intervals compare the studentised estimate with {primary.draws:,} random assignments of as many sites "
        f"({min(s.draws for s in results.protocol.specifications):,} in the sensitivity analyses); the CCGs of a site move together, "
        f"and the interval holds every effect that the test does not reject.{holm} The same assignments serve every outcome and data choice. The band of the event study and the test of its "
        f"quarters before the start compare with {results.protocol.inference.event_study_draws:,} assignments. The other methods stand in the appendix."
    )


def not_run(results: Results) -> str:
    """Which of the protocol's choices could not be made for the primary outcome on this data set, and why."""
    table = results.not_run
    primary = {outcome.id for outcome in results.protocol.primary_outcomes}
    rows = table[table.outcome.isin(primary) & (table.design == "all") & (table.cohort == "all")]
    if rows.empty:
        return "Every choice that the protocol file lists was run; the [statistical appendix](appendix.html) has those about model, controls and start."
    labels = {s.id: f"“{s.label}”" for s in results.protocol.specifications}
    parts = [
        f"{listed(list(dict.fromkeys(group.specification.map(labels))))} ({reason})"
        for reason, group in rows.groupby("reason", sort=False)
    ]
    return f"Not run on this data set: {'; '.join(parts)}. The [statistical appendix](appendix.html) has the choices about model, controls and start."


def simulation_source(results: Results) -> str:
    """What the simulated error rates were made with."""
    table = results.simulation
    if table is None:
        return (
            "To make them: `make simulation`, then `make report`, with this protocol."
            if results.protocol.report.simulation
            else ""
        )
    (seed,), (commit,) = table.seed.unique(), table.commit.unique()
    return (
        f"Up to {table.draws.max():,} panels a case, made by `make simulation` with seed {seed} from commit {commit}."
    )


def counts(results: Results) -> dict[str, str]:
    """Numbers that the text of the report needs in words."""
    return {
        "before": duration_text(results.protocol.months_before),
        "after": counted(len(results.protocol.programme_years)),
    }


def deviations(results: Results) -> str:
    """How many deviations from the protocol are recorded."""
    number = len(results.protocol.deviations)
    if not number:
        return "No deviation from them is recorded."
    return f"{headed(counted(number))} deviation{'s are' if number > 1 else ' is'} recorded, each with its date and reason."


def protocol_history(results: Results) -> str:
    """When the rules were fixed, and what was changed afterwards."""
    changed = deviations(results)
    if results.protocol.deviations:
        number = len(results.protocol.deviations)
        several = "changes were made afterwards, some of them after estimates had been seen; each is listed with its date and reason"
        changed = f"{headed(counted(number))} {several if number > 1 else 'change was made afterwards; it is listed with its date and reason'}."
    return f"{results.protocol.report.fixed} {changed}".strip()


def rules_file(results: Results) -> str:
    """Where the study's rules stand."""
    file, root = results.work.protocol_file, results.work.root
    return f"`{file.relative_to(root) if file.is_relative_to(root) else file.name}`"


def statement(results: Results) -> str:
    """What the reports are not, and where everything in them comes from."""
    report = results.protocol.report
    tables = [f"`{name}`" for name in (report.published, report.facts) if name]
    others = f"; other people's figures come from {listed(tables)}, with their sources" if tables else ""
    simulated = results.simulation is not None or results.its_simulation is not None
    errors = "; simulated error rates were made by the commits named beside them" if simulated else ""
    return (
        "This is not an official statistic and is not endorsed by the NHS. It holds public sector information licensed under "
        f"the Open Government Licence v3.0. Every estimate is computed from the listed files by this edition's code{errors}{others}."
    )


def provenance_list(results: Results) -> Markdown:
    """The build's identity as a definition list."""
    details = {"Data set": results.edition_name} | edition_details(results)
    return Markdown("\n\n".join(f"{name}\n:   {value}" for name, value in details.items()))


def _reason(results: Results) -> str:
    asked = "DATA=snapshot" in results.provenance["reason"]
    return "The snapshot was chosen (`DATA=snapshot`)." if asked else str(results.provenance["reason"])


def _labels(results: Results) -> list[str]:
    return [results.protocol.cohort_labels[model] for model in results.protocol.model_ids]


def _site_count(results: Results) -> int:
    rows = results.panel[results.panel.model != NO_MODEL]
    return int(rows.site.nunique())
