"""What a build was made from: which modules count, what counts as a change, what is written down."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance.scratch_project import PARTS

from analysis.build import steps
from analysis.build.manifest import Manifest, Step, code
from analysis.build.slices import DATA_RULES, RESULTS_RULES
from analysis.core.workspace import Workspace


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("lineage")
    for name in PARTS:
        (shutil.copytree if (repository / name).is_dir() else shutil.copy2)(repository / name, root / name)
    return root


@pytest.fixture
def work(copy: Path) -> Workspace:
    return Workspace(copy, copy / "build", data="snapshot", protocol_file=copy / "analysis/protocol.toml")


def every_step(work: Workspace) -> dict[str, Step]:
    found = [
        steps.data_step(work),
        steps.results_step(work),
        *steps.report_steps(work, Manifest.read(work.build)).values(),
    ]
    return {step.name: step for step in found}


def changed(work: Workspace, file: str, old: str, new: str) -> set[str]:
    """The steps that another text of a file would make again."""
    path = work.root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    before = every_step(work)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        return {name for name, step in every_step(work).items() if step.made_from != before[name].made_from}
    finally:
        path.write_text(text, encoding="utf-8")


REPORTS = {
    f"reports/{name}"
    for name in ("evaluation", "appendix", "data-quality", "reconciliation", "refresh", "brief", "index")
}


@pytest.mark.cases(quick=1, push=2)
@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("reports/reconciliation.qmd", "published", "printed", {"reports/reconciliation"}),
        ("reports/sites/brief.qmd", "title", "titel", {"reports/brief"}),
        ("analysis/publish/style.css", "color", "colour", REPORTS),
        ("analysis/reporting/choices/curve_figures.py", "import", " import", {"reports/appendix"}),
        ("analysis/estimation/its/autoregression.py", "import", " import", {"results"}),
        ("analysis/sources/dtoc.py", "import", " import", {"data"}),
        ("analysis/core/errors.py", "import", " import", {"data", "results", *REPORTS}),
        ("analysis/protocol.toml", "# The study", "# A study", set()),
        ("analysis/protocol.toml", "agree_within = ", "agree_within = 1", REPORTS),
        ("analysis/protocol.toml", "power = 0.80", "power = 0.90", {"results", *REPORTS}),
        ("analysis/protocol.toml", "departure = 0.30", "departure = 0.35", {"data", "results", *REPORTS}),
        ("data_raw/programme_facts.csv", "vanguards", "Vanguards", REPORTS),
        ("data_raw/vanguard_ccgs.csv", "Calderdale", "Calder", {"data", *REPORTS}),
        ("data_raw/district_county.csv", "county", "County", {"data"}),
        ("data_raw/ehch/published_results.csv", "2020", "2021", set()),  # another study's
        ("requirements.lock", "pandas", "Pandas", {"data", "results", *REPORTS}),
    ],
)
def test_a_step_depends_on_what_it_uses_and_on_nothing_else(work, file, old, new, expected):
    assert changed(work, file, old, new) == expected


@pytest.mark.slow
def test_a_step_depends_on_the_tables_that_its_protocol_names(work):
    other = replace(work, protocol_file=work.root / "data_raw/ehch/protocol.toml")
    assert changed(other, "data_raw/ehch/published_results.csv", "2020", "2021") == REPORTS
    assert changed(other, "data_raw/published_results.csv", "2020", "2021") == set()
    ours, theirs = every_step(work), every_step(other)
    assert {name for name, step in theirs.items() if step.made_from != ours[name].made_from} == set(ours)


@pytest.mark.slow
def test_times_and_the_order_of_keys_are_no_change(work):
    before = every_step(work)
    for path in work.root.rglob("*"):
        os.utime(path, (2e9, 2e9))
    rules = work.protocol_file.read_text(encoding="utf-8")
    work.protocol_file.write_text(rules.replace("departure = 0.30 ", "departure =  0.3 "), encoding="utf-8")
    assert every_step(work) == before
    work.protocol_file.write_text(rules, encoding="utf-8")


@pytest.mark.slow
def test_another_commit_is_a_change_of_every_report_and_an_uncommitted_edit_is_not(work, monkeypatch):
    def reports(head: str, clean: bool) -> dict[str, Step]:
        monkeypatch.setattr(steps, "commit", lambda root: (head, clean))
        return steps.report_steps(work, Manifest.read(work.build))

    assert reports("abc", True) == reports("abc", False)
    assert all(step != reports("abc", True)[name] for name, step in reports("def", True).items())


def test_reports_are_made_from_the_tables_of_every_step_before(work):
    tables = {f"{step}/table.csv": {"sha256": "0", "step": step} for step in (steps.DATA, steps.RECORDS, steps.RESULTS, steps.REFRESH)}
    for step in steps.report_steps(work, Manifest(work.build, outputs=tables)).values():
        assert set(tables) <= set(step.made_from)


def test_published_files_count_wherever_they_are(work, tmp_path):
    file = "dtoc/April_13.xls"
    absent = steps.data_step(replace(work, data="auto", mirror_asked=tmp_path))
    (tmp_path / "dtoc").mkdir()
    (tmp_path / file).write_bytes(b"one")
    there = steps.data_step(replace(work, data="auto", mirror_asked=tmp_path))
    assert set(there.made_from) - set(absent.made_from) == {f"published {file}"}
    assert f"published {file}" not in steps.data_step(replace(work, mirror_asked=tmp_path)).made_from


def test_a_protocol_that_cannot_be_read_is_a_change(work):
    text = work.protocol_file.read_text(encoding="utf-8")
    before = steps.data_step(work)
    work.protocol_file.write_text("[study\n", encoding="utf-8")
    assert steps.data_step(work).made_from != before.made_from
    work.protocol_file.write_text(text, encoding="utf-8")


def test_a_step_cannot_look_at_a_table_that_it_does_not_name(protocol):
    mine = protocol.only(DATA_RULES)
    assert mine.months.equals(protocol.months) and mine.model_ids == protocol.model_ids
    with pytest.raises(TypeError, match="does not give this step"):
        list(mine.growth)
    with pytest.raises(TypeError, match="does not give this step"):
        _ = bool(mine.deviations)
    with pytest.raises(AttributeError, match="does not give this step"):
        _ = mine.inference.power
    with pytest.raises(AttributeError, match="does not give this step"):
        _ = protocol.only(RESULTS_RULES).report.name


def test_modules_are_found_wherever_they_are_imported(tmp_path):
    package = tmp_path / "analysis"
    (package / "part").mkdir(parents=True)
    texts = {
        "__init__.py": "",
        "part/__init__.py": "",
        "first.py": "from analysis.part import (\n    second,  # a remark\n    name,\n)\n",
        "part/second.py": "def f():\n    import analysis.third\n",
        "third.py": "from analysis.part.second import f\nimport os\n",
        "fourth.py": "",
    }
    for name, text in texts.items():
        (package / name).write_text(text)
    assert set(code(tmp_path, ["analysis.first"])) == {f"analysis/{name}" for name in set(texts) - {"fourth.py"}}
    assert set(code(tmp_path, [], ["from analysis.fourth import x\n"])) == {
        "analysis/__init__.py",
        "analysis/fourth.py",
    }


@pytest.fixture
def made(tmp_path: Path) -> Manifest:
    """Two files that a step made from one input."""
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text(name)
    manifest = Manifest.read(tmp_path)
    step = Step("step", {"input": "a"})
    assert manifest.changes(step) == ["it was not made here yet"]
    manifest.note(step, [tmp_path / "one.csv", tmp_path / "two.csv"], ["it was not made here yet"])
    manifest.save()
    return Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("made_from", "reason"),
    [
        ({"input": "b"}, "input has changed"),
        ({"input": "a", "other": "c"}, "other is new"),
        ({}, "input is gone"),
    ],
)
def test_a_changed_input_is_named(made, made_from, reason):
    assert made.changes(Step("step", {"input": "a"})) == []
    assert made.changes(Step("step", made_from)) == [reason]


def test_a_changed_output_is_named(made):
    (made.build / "one.csv").write_text("spoilt")
    (made.build / "two.csv").unlink()
    reasons = made.changes(Step("step", {"input": "a"}))
    assert reasons == ["one.csv is not as it was made", "two.csv is missing"]


def test_what_a_step_makes_no_longer_leaves_the_build(made):
    step = Step("step", {"input": "b"})
    made.note(step, [made.build / "one.csv"], ["input has changed"])
    made.note(Step("another", {}), [made.build / "two.csv"], ["it was not made here yet"])
    made.save()
    assert made.of("step") == ["one.csv"] and (made.build / "two.csv").exists(), "another step makes it now"
    made.forget(["another"])
    made.save()
    assert made.of("step") == ["one.csv"] and not (made.build / "two.csv").exists()
    made.forget(["step"])
    made.save()
    assert not made.outputs and not made.steps and not (made.build / "one.csv").exists()


@pytest.mark.fault(
    "a spoilt `manifest.json`",
    "everything is made again",
)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "\xff",
        '{"steps": [], "outputs": {}}',
        '{"steps": {"step": {"input": "a"}}, "outputs": {"one.csv": 1}}',
        '{"steps": {"step": {"input": "a"}}, "outputs": {"../one.csv": {"sha256": "", "step": "step"}}}',
    ],
)
def test_a_manifest_that_cannot_be_read_says_nothing(made, content):
    (made.build / "manifest.json").write_text(content, encoding="latin-1")
    assert Manifest.read(made.build).changes(Step("step", {"input": "a"})) == ["it was not made here yet"]


@pytest.mark.slow
@pytest.mark.parametrize(("used", "same"), [("mar", True), ("snapshot", False)])
def test_a_report_after_a_refresh_is_made_from_the_same_data(work: Workspace, used: str, same: bool) -> None:
    """A refresh asks for the published files, a report for whatever is there: the step runs again only if that was the snapshot."""
    work.data_provenance.parent.mkdir(parents=True, exist_ok=True)
    work.data_provenance.write_text(f'{{"dataset": "{used}"}}', encoding="utf-8")
    try:
        auto, mar = (steps.data_step(replace(work, data=choice)).made_from for choice in ("auto", "mar"))
        assert (auto == mar) is same
    finally:
        work.data_provenance.unlink()
