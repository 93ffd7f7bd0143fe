"""A made-up extract with a known effect, from its rows to a sentence, through the commands that users run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from reports.built import visible
from scratch_project import Project, fewer, fingerprint
from synthetic import quicker

from analysis.core.workspace import Workspace
from analysis.publish.build import _titles
from analysis.reporting.data.records_words import records_paragraph
from analysis.reporting.results import load_results

NETWORKS = [  # of thirty practices a commissioner, of which one is in no network
    *(("North", number) for number in range(900) if number % 30), *(("South", number) for number in range(900, 1800) if number % 30),
    ("One practice", 1800),
]  # fmt: skip
EFFECT = -3.0  # percent, planted in admissions; none in bed days


def with_records(repository: Path, published: Path, folder: Path, rows: int) -> tuple[Project, Path]:
    """The project with a made-up extract of so many rows, counted by age and network; and the extract."""
    project = Project.copy(repository, published.resolve(), folder)
    rules = project.root / "analysis/protocol.toml"
    asked = '\n[records]\nby_age = true\nnetworks = "data_raw/networks.csv"\n'
    rules.write_text(fewer(quicker(rules.read_text(encoding="utf-8"))) + asked, encoding="utf-8")
    practices = "".join(f"{name},V{number:05d}\n" for name, number in NETWORKS)
    (project.root / "data_raw/networks.csv").write_text("network,practice_code\n" + practices, encoding="utf-8")
    assert project.run("data").code == 0
    extract = folder / "made-up"
    assert project.run("records", "synthesise", "--rows", str(rows), "--to", str(extract)).code == 0
    run = project.run("records", "--extract", str(extract))
    assert run.code == 0, run.err
    return project, extract


def check_that_a_leak_is_found(project: Project) -> None:
    """The scanner passes what the run made, and names a file with a small count."""
    scan = project.run("records", "scan")
    assert scan.code == 0, scan.out
    leak = project.root / "build/reports/leak.csv"
    leak.parent.mkdir(exist_ok=True)
    leak.write_text("outcome,value\nEmergency admissions,3\n", encoding="utf-8")
    scan = project.run("records", "scan")
    assert scan.code == 1 and "reports/leak.csv" in scan.out


@pytest.mark.slow
def test_a_small_extract_is_counted_and_nothing_leaks(repository: Path, published_folder: Path, tmp_path: Path) -> None:
    project, _ = with_records(repository, published_folder, tmp_path, 100_000)
    tables = {name: pd.read_csv(project.root / f"build/records/by_{name}.csv") for name in ("commissioner", "age", "network")}
    assert all(set(table.source) == {"made-up records, which are not data"} for table in tables.values())
    assert tables["commissioner"].emergency_admissions.isna().any(), "most months of so few rows are too small to show"
    check_that_a_leak_is_found(project)


@pytest.mark.nightly
def test_the_planted_effect_is_found_and_nothing_leaks(
    repository: Path, published_folder: Path, tmp_path: Path
) -> None:
    project, extract = with_records(repository, published_folder, tmp_path, 2_000_000)
    assert project.run("results").code == 0
    build = project.root / "build"
    safe = fingerprint(build / "records")
    memory = build / "suppressed/made-up"
    assert {path.name for path in memory.iterdir()} >= {"by_commissioner.parquet", "by_age.parquet", "by_network.parquet", "settings.json"}
    shutil.copytree(memory, tmp_path / "memory")
    hidden = pd.read_csv(build / "records/by_commissioner.csv", parse_dates=["month"])[["unit", "month"]].assign(emergency_admissions=True)
    hidden.to_parquet(memory / "by_commissioner.parquet")
    assert project.run("records", "--extract", str(extract)).code == 0
    assert pd.read_csv(build / "records/by_commissioner.csv").emergency_admissions.isna().all(), "what was suppressed stays so"
    shutil.rmtree(memory)
    shutil.copytree(tmp_path / "memory", memory)
    shutil.rmtree(build / "records")
    assert project.run("records", "--extract", str(extract)).code == 0
    assert fingerprint(build / "records") == safe
    whole, ages, networks = (
        pd.read_csv(build / f"records/by_{name}.csv") for name in ("commissioner", "age", "network")
    )
    assert len(ages) == 5 * len(whole) and {*networks.network} == {"North", "South", "One practice"}
    assert set(whole.source) == {"made-up records, which are not data"}
    shown = whole[whole.emergency_admissions > 0]
    assert (shown.emergency_bed_days / shown.emergency_admissions).round(2).equals(shown.mean_length_of_stay)
    both = ages.merge(whole, on=["unit", "month"], suffixes=("", "_all"))
    seen = both[both.emergency_admissions > 0]
    assert len(seen) and (seen.emergency_admissions <= seen.emergency_admissions_all + 4).all(), (
        "a part, but for rounding"
    )
    counts = networks.set_index(["network", "month"]).emergency_admissions
    assert counts["One practice"].isna().mean() > 0.5, "a single practice is mostly too small to show"
    assert counts["North"].notna().any() or counts["South"].notna().any(), "one of the two is hidden beside it"
    found = pd.read_parquet(build / "results/estimates.parquet").set_index("estimate_id")
    pooled = "MCP+PACS/primary/att_percent/randomisation"
    admissions, bed_days = (
        found.loc[f"did/{outcome}/{pooled}"] for outcome in ("emergency_admissions", "emergency_bed_days")
    )
    assert admissions.ci_low < EFFECT < admissions.ci_high < 0, "a fall, and the one that was planted"
    assert bed_days.ci_low < 0 < bed_days.ci_high
    assert set(found.dataset[found.outcome.str.startswith("emergency")]) == {"records"}
    work = Workspace(project.root, build, project.files, protocol_file=project.root / "analysis/protocol.toml")
    results = load_results(work)
    subtitle = _titles(results)["evaluation"]["subtitle"]
    assert subtitle.endswith("from public data, with made-up records, which are not data")
    said = visible(records_paragraph(results))
    assert "made-up records, which are not data" in said and "MCP: emergency admissions" in said
    check_that_a_leak_is_found(project)
    assert oct((build / "private").stat().st_mode)[-3:] == "700"
    assert project.run("data", DATA="snapshot").code == 0
    run = project.run("results", DATA="snapshot")
    assert run.code == 2 and "commissioners or cohorts differ" in run.err, (
        "records of commissioners, beside the snapshot's areas"
    )


@pytest.mark.slow
def test_without_an_extract(repository: Path, published_folder: Path, tmp_path: Path) -> None:
    project = Project.copy(repository, published_folder.resolve(), tmp_path)
    run = project.run("records")
    assert run.code == 2 and "make records EXTRACT=folder" in run.err
    run = project.run("records", "--extract", str(tmp_path / "nowhere"))
    assert run.code == 2 and "Run `make report`" in run.err, "the panel comes first"
