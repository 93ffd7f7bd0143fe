"""Another programme by tables alone: a second protocol and its cohorts, end to end, and no line of Python changed."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from reports.built import visible
from scratch_project import Project, Run, fingerprint, make, with_make
from synthetic import smaller

from analysis.core.errors import StudyError
from analysis.core.untrusted import slug
from analysis.protocol.protocol import ENGLAND_COHORT, REST, Protocol, load_protocol

EHCH = "data_raw/ehch/protocol.toml"
READ = (".html", ".pdf", ".svg", ".csv", ".txt")
THIRD = '[[models]]\nid = "EHCH"\nlabel = "EHCH"\nname = "care-home vanguard"\ncolour = "#CC79A7"\n\n'

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def project(repository: Path, published_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with the Makefile, where fewer placebos are drawn."""
    project = Project.copy(repository, published_folder.resolve(), tmp_path_factory.mktemp("programmes"))
    with_make(project, repository)
    for protocol in (EHCH, "analysis/protocol.toml"):
        path = project.root / protocol
        path.write_text(smaller(path.read_text(encoding="utf-8")), encoding="utf-8")
    main = (project.root / "analysis/protocol.toml").read_text(encoding="utf-8")
    (project.root / "three.toml").write_text(shorter(main.replace("[pooled]", f"{THIRD}[pooled]")), encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, str]:
    return sources(project)


@pytest.fixture(scope="module")
def ehch(project: Project, before: dict[str, str]) -> Run:
    return make(project, "report", DATA="mar", PROTOCOL=EHCH, BUILD="elsewhere")


def sources(project: Project) -> dict[str, str]:
    """What the project itself holds: nothing that a build or Python leaves there."""
    return {
        name: digest
        for name, digest in fingerprint(project.root).items()
        if not name.startswith(("elsewhere/", "three/", ".venv/")) and "__pycache__" not in name
    }


def shorter(text: str) -> str:
    """A protocol's text with the choices about data and the estimator alone."""
    first, *choices = text.split("[[specifications]]")
    last, curve, rest = choices[-1].partition("# The curve crosses")
    kept = [each for each in [*choices[:-1], last] if '"growth"' in each or 'id = "log_rate"' in each]
    return "[[specifications]]".join([first, *kept]) + curve + rest


def text_of(path: Path) -> str:
    if path.suffix == ".pdf":
        return " ".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    text = path.read_text(encoding="utf-8")
    return visible(text) if path.suffix in (".html", ".svg") else text


def names_of(protocol: Protocol) -> re.Pattern[str]:
    names = [name for model in protocol.models for name in (model.id, model.name)]
    return re.compile("|".join(rf"\b{re.escape(name)}s?\b" for name in names), re.IGNORECASE)


@pytest.mark.nightly
def test_the_care_home_vanguards_are_evaluated(project, ehch, before):
    assert ehch.code == 0, ehch.err
    assert ehch.out.splitlines()[-2].startswith("EHCH: ")
    build, protocol = project.root / "elsewhere", load_protocol(project.root / EHCH)
    estimates = pd.read_csv(build / "results/estimates.csv", low_memory=False)
    sites = set(pd.read_csv(build / "results/sites.csv").site)
    assert set(estimates.cohort) == {*protocol.treated_cohorts, REST, ENGLAND_COHORT} | sites
    cohorts = pd.read_csv(project.root / protocol.study.cohorts)
    assert sites == set(cohorts.vanguard[cohorts.model == "EHCH"]) and len(sites) == 6
    assert {path.stem for path in (build / "reports/sites").glob("*.pdf")} == set(map(slug, sites))
    assert sources(project) == before, "the run changed the project"
    assert not (project.root / "build").exists()


@pytest.mark.nightly
def test_nothing_of_it_mentions_the_models_of_the_main_study(project, ehch, protocol):
    build = project.root / "elsewhere"
    files = [path for folder in ("reports", "results") for path in (build / folder).rglob("*") if path.suffix in READ]
    assert len(files) > 100
    for path in files:
        found = names_of(protocol).search(text_of(path))
        assert not found, f"{path.relative_to(build)}: {found[0]}"


@pytest.mark.nightly
def test_what_it_has_no_table_of_is_said_or_left_out(project, ehch):
    reports = project.root / "elsewhere/reports"
    evaluation, appendix, reconciliation = (
        visible((reports / f"{name}.html").read_text(encoding="utf-8"))
        for name in ("evaluation", "appendix", "reconciliation")
    )
    assert "Simulated error rates are not part of this edition." in evaluation
    assert "Panels were made around" not in appendix and "rule first written" not in appendix
    assert "NHS England reported" not in evaluation and "Neither can be told apart" not in evaluation
    assert "None of" not in reconciliation and "care-home sites (EHCH)" in reconciliation
    for wrong in ("both models", "two models", "neither model", "three groups", "other model", "one tests"):
        assert wrong not in evaluation + appendix, wrong


@pytest.mark.nightly
def test_another_protocol_on_the_same_build_runs_what_depends_on_it(project, ehch):
    assert "done in" not in make(project, "report", DATA="mar", PROTOCOL=EHCH, BUILD="elsewhere").out
    why = make(project, "why", DATA="mar", BUILD="elsewhere").out
    for step in ("data", "results", "reports/evaluation"):
        assert f"{step}: will run, since" in why
    assert "protocol [models] has changed" in why


@SLOW
def test_without_published_files_the_run_stops(project, before):
    run = make(project, "report", DATA="snapshot", PROTOCOL=EHCH, BUILD="nowhere")
    assert run.code != 0 and "no embedded snapshot of this programme" in run.err
    run = make(project, "report", DATA="auto", MIRROR="/nonexistent", PROTOCOL=EHCH, BUILD="nowhere")
    assert run.code != 0 and "this programme has no embedded snapshot" in run.err
    assert not list((project.root / "nowhere").rglob("*.html"))


@pytest.mark.nightly
def test_three_models_are_evaluated(project, before):
    run = make(project, "report", DATA="mar", PROTOCOL="three.toml", BUILD="three")
    assert run.code == 0, run.err
    protocol = load_protocol(project.root / "three.toml")
    estimates = pd.read_csv(project.root / "three/results/estimates.csv", low_memory=False)
    assert set(protocol.treated_cohorts) <= set(estimates.cohort) and len(protocol.treated_cohorts) == 4
    evaluation = visible((project.root / "three/reports/evaluation.html").read_text(encoding="utf-8"))
    assert "neither model" not in evaluation and "two models" not in evaluation
    assert "of none of the models" in evaluation


def test_no_file_of_the_package_or_the_reports_names_a_model(repository, protocol):
    """Every file, whatever its kind; the main study's protocol is where its models are named."""
    folders = [(repository / "analysis").rglob("*"), (repository / "reports").rglob("*.qmd")]
    files = [path for folder in folders for path in folder if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 150
    for path in files:
        if path != repository / "analysis/protocol.toml":
            found = names_of(protocol).search(path.read_bytes().decode("utf-8", errors="replace"))
            assert not found, f"{path.relative_to(repository)}: {found[0]}"


def test_the_rules_of_the_second_study_are_those_of_the_main_one(repository, protocol):
    other = load_protocol(repository / EHCH)
    for name in ("programme_years", "outcomes", "quality", "population"):
        assert getattr(other, name) == getattr(protocol, name)
    own = {"title", "snapshot"}
    assert other.study.model_dump(exclude=own) == protocol.study.model_dump(exclude=own)
    of_the_programme = {"pooled_unit_treated", "part_unit_treated", "known_breaks"}
    ours, theirs = ([s for s in study.specifications if s.id not in of_the_programme] for study in (other, protocol))
    assert ours == theirs
    own = {"evaluability"}
    assert other.inference.model_dump(exclude=own) == protocol.inference.model_dump(exclude=own)
    own = {"known_breaks", "newey_west_first"}
    assert other.its.model_dump(exclude=own) == protocol.its.model_dump(exclude=own)
    own = {"published", "publication"}
    assert [g.model_dump(exclude=own) for g in other.growth] == [g.model_dump(exclude=own) for g in protocol.growth]


def test_a_protocol_that_is_not_there_is_a_wrong_call(copied_project):
    run = copied_project.run("data", PROTOCOL="data_raw/nowhere.toml")
    assert run.code == 2 and "PROTOCOL=data_raw/nowhere.toml: there is no such file." in run.err


TABLES = 'published = "data_raw/ehch/published_results.csv"\nreconciliation = "data_raw/ehch/reconciliation.csv"\n'
DURING = "baseline_in_programme = true\n"
PROBLEMS = {
    "published and reconciliation go together": [(TABLES.partition("\n")[0], "")],
    "but [report] names no table of them": [(TABLES, ""), (DURING, f'{DURING}published = "a"\n')],
    "[pooled] needs a label and a colour": [("[pooled]", f"{THIRD.replace('EHCH', 'OTHER')}[pooled]")],
}


@pytest.mark.parametrize("said", PROBLEMS)
def test_what_a_protocol_says_of_its_programme_is_checked(repository, tmp_path, said):
    text = (repository / EHCH).read_text(encoding="utf-8")
    for old, new in PROBLEMS[said]:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "protocol.toml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=re.escape(said)):
        load_protocol(tmp_path / "protocol.toml")


def test_a_protocol_may_leave_out_what_others_published(repository, tmp_path):
    text = (repository / EHCH).read_text(encoding="utf-8")
    (tmp_path / "protocol.toml").write_text(text.replace(TABLES, ""), encoding="utf-8")
    assert load_protocol(tmp_path / "protocol.toml").report.published is None
