"""A report at fault stops the build, says where, and leaves the earlier edition whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from built import KINDS, REPOSITORY, Built, environment

from analysis.core.errors import EvaluationError
from analysis.core.files import write_table
from analysis.core.workspace import Workspace
from analysis.publish.build import build_reports
from analysis.publish.notebook import ReportError
from analysis.reporting.results import Results, load_results

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("built", KINDS[:1], indirect=True)]


@pytest.fixture()
def copy(built: Built, tmp_path: Path) -> Built:
    """A build of one's own, with sources of one's own."""
    root = tmp_path / "project"
    work = replace(built.work, root=root, build=tmp_path / "build")
    shutil.copytree(built.work.build, work.build)
    shutil.copytree(REPOSITORY / "reports", root / "reports")
    shutil.copytree(REPOSITORY / "data_raw", root / "data_raw")
    return Built(work)


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refusal(work: Workspace, *names: str) -> str:
    """What the build says when it stops; everything that was there stays as it was."""
    before = fingerprint(work.reports)
    with environment(work), pytest.raises(ReportError) as caught:
        build_reports(work, names, say=lambda message: None)
    assert fingerprint(work.reports) == before and len(before) > 150
    assert not work.staged.exists()
    return str(caught.value)


def without_rows(work: Workspace, lost: Callable[[pd.DataFrame], pd.Series]) -> None:
    table = pd.read_parquet(work.estimates)
    assert lost(table).any()
    write_table(table[~lost(table)], work.estimates)


def test_a_missing_estimate_is_named_with_its_report_cell_and_line(copy):
    outcome = copy.results.protocol.primary_outcomes[0].id
    model = copy.results.protocol.model_ids[0]
    lost = f"did/{outcome}/{model}/primary/att_year2_percent/randomisation"
    without_rows(copy.work, lambda table: table.estimate_id == lost)
    said = refusal(copy.work, "evaluation")
    source = (copy.work.root / "reports" / "evaluation.qmd").read_text().splitlines()
    line = int(said.partition("evaluation.qmd, line ")[2].split("\n")[0])
    assert "years_sentence" in source[line - 1] and "cell" in said and lost in said and "to do:" in said


def test_an_empty_cohort_is_named(copy):
    model = copy.results.protocol.model_ids[1]
    without_rows(copy.work, lambda table: table.cohort == model)
    said = refusal(copy.work, "evaluation")
    assert "evaluation.qmd, line" in said and "cell" in said and f"/{model}/" in said


@pytest.mark.parametrize("how", ["no estimate and no reason", "no row"])
def test_a_site_with_nothing_to_say_is_named(copy, how):
    """A site that could not be estimated has a reason, and a brief that gives it; one that has neither is a fault."""
    table = pd.read_csv(copy.work.table("sites"))
    site = table.site[table.estimate.notna()].iloc[0]
    if how == "no row":
        table = table[table.site != site]
    else:
        table.loc[table.site == site, ["estimate", "ci_low", "ci_high"]] = float("nan")
    write_table(table, copy.work.table("sites"))
    if how == "no row":
        with pytest.raises(EvaluationError, match=site):
            facts_of(load_results(copy.work), site)
        return
    said = refusal(copy.work, "brief")
    assert "brief.qmd, line" in said and "cell" in said and site in said and "sites.csv" in said


def facts_of(results: Results, site: str) -> pd.Series:
    from analysis.reporting.sites.site_words import facts

    return facts(results, results.protocol.primary_outcomes[0].id, site)


@pytest.mark.fault(
    "a fault in one report",
    "named with cell and line; the earlier edition stays whole",
)
@pytest.mark.cases(quick=0, push=2)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("See @fig-nowhere.", ["@fig-nowhere"]),
        ("As others say [@nobody1900].", ["@nobody1900"]),
        ("::: {.callout-alarm}\nMind!\n:::", [".callout-alarm"]),
        ("![A caption](../images/summary.png){#fig-new}", ["summary.png", "fig-alt"]),
        ("`{python} say(results.effect(outcome, 'nobody').value)`", ["nobody"]),
    ],
)
def test_a_fault_in_one_source_leaves_the_whole_edition(copy, text, words):
    """The other reports are sound, and are not put in their place either."""
    source = copy.work.root / "reports" / "reconciliation.qmd"
    lines = source.read_text(encoding="utf-8").splitlines()
    at = lines.index("# Figures that cannot {#sec-apart}")
    source.write_text("\n".join([*lines[: at + 1], "", text, "", *lines[at + 1 :]]), encoding="utf-8")
    said = refusal(copy.work, "data-quality", "reconciliation")
    assert f"reconciliation.qmd, line {at + 3}" in said and "cell" in said
    assert all(word in said for word in words)


def test_a_change_of_one_text_renders_that_report_alone(copy):
    source = copy.work.root / "reports" / "reconciliation.qmd"
    source.write_text(source.read_text(encoding="utf-8").replace("# In short", "# Short", 1), encoding="utf-8")
    before = fingerprint(copy.work.reports)
    with environment(copy.work):
        build_reports(copy.work, ["reconciliation"], say=lambda message: None)
    after = fingerprint(copy.work.reports)
    changed = {name for name in after if after[name] != before[name]} - {"headline.txt"}  # it names the folder
    assert changed == {f"reconciliation.{suffix}" for suffix in ("html", "ipynb", "pdf")}
    assert set(after) == set(before)
