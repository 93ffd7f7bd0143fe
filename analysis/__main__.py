"""Command line: ``python -m analysis STAGE``. ``make`` runs the stages in order, each of them only where something changed."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from analysis.build import steps
from analysis.build.folder import BETWEEN, check_build_folder, clean, may_clean
from analysis.build.manifest import Manifest, Step, digest
from analysis.core.checkout import set_source_date
from analysis.core.errors import EvaluationError, UsageError
from analysis.core.files import only_one_run
from analysis.core.scratch import check_scratch, is_scratch
from analysis.core.workspace import Workspace


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a call without the password of an address in it."""

    def error(self, message: str) -> NoReturn:
        from analysis.records.addresses import without_addresses

        super().error(without_addresses(message))


def main(arguments: list[str]) -> int:
    """Run one stage; return the exit code (0 done, 1 data or study wrong, 2 call wrong, 3 machine failed)."""
    parser = _Parser(prog="python -m analysis", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    data = stages.add_parser("data", help="published files → the panel")
    results = stages.add_parser("results", help="the panel → the table of estimates")
    reports = stages.add_parser("reports", help="the estimates → HTML and PDF")
    reports.add_argument("names", nargs="*", help="reports to render, by name; all of them by default")
    for stage in (data, results, reports):
        stage.add_argument("--if-changed", action="store_true", help="only what is not as it was written down")
    why = stages.add_parser("why", help="say what would run again, or ran last, and what triggered it")
    why.add_argument("target", nargs="?", help="a step, a report or a file that one of them makes; all by default")
    stages.add_parser("verify", help="check every file of a build against its manifest")
    refresh = stages.add_parser("refresh", help="new files → the manifest, the results, what moved and why")
    refresh.add_argument(
        "--from", dest="folder", type=Path, help="the folder with new files (the mirror, else the publisher's pages)"
    )
    stages.add_parser("edition", help="record the build's headlines in the protocol's table of editions")
    stages.add_parser("headlines", help="fail where a headline changed without an entry in the changelog")
    simulation = stages.add_parser("simulation", help="simulated error rates → the table that the protocol names")
    simulation.add_argument("--draws", type=int, default=5000, help="panels for each case (5000)")
    of_series = stages.add_parser("its-simulation", help="the same for time series → the table that the protocol names")
    of_series.add_argument("--draws", type=int, default=2000, help="series for each autocorrelation (2000)")
    stages.add_parser("snapshot", help="write the embedded snapshot from the full published data")
    records = stages.add_parser(
        "records", help="a patient-level extract → counts that may be shown; or a made-up extract"
    )
    records.add_argument("action", nargs="?", choices=["count", "synthesise", "scan"], default="count")
    records.add_argument("--extract", help="a file or folder of Parquet or CSV, or URL#table of a database (count)")
    records.add_argument("--rows", type=int, default=1_000_000, help="episodes to make up (synthesise)")
    records.add_argument(
        "--to", type=Path, default=Path("build/made-up-extract"), help="the folder for them (synthesise)"
    )
    records.add_argument("--effect", type=float, default=-0.03, help="the effect on admissions to plant (synthesise)")
    records.add_argument("--seed", type=int, default=1, help="another seed, another extract (synthesise)")
    stages.add_parser("clean", help="empty the build folder, but for its downloads")
    stages.add_parser("doctor", help="say what is there, what is not, and what follows")
    choice = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a screen that cannot show a dash is no reason to stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        work = Workspace.from_environment()
        set_source_date(work.root)
        return _run(choice, work)
    except EvaluationError as problem:
        print(f"\n{type(problem).__name__}: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("\nStopped. Earlier outputs are untouched.", file=sys.stderr)
        return UsageError.exit_code


def _run(choice: argparse.Namespace, work: Workspace) -> int:
    # The stages are imported where they run: a wrong call, or one that has nothing to do, answers at once.
    if choice.stage == "doctor":
        from analysis.publish.quarto import find_quarto
        from analysis.stages.doctor import examine

        print(examine(work, find_quarto()))
        return 0
    if choice.stage == "why":
        from analysis.build.explain import why

        print(why(work, choice.target))
        return 0
    if choice.stage == "verify":
        from analysis.build.explain import verify

        text, right = verify(work)
        print(text)
        return 0 if right else 1
    if choice.stage == "headlines":
        from analysis.stages.refresh import check_headlines

        text, right = check_headlines(work, _dataset(work))
        print(text)
        return 0 if right else 1
    if choice.stage == "records" and choice.action == "scan":
        from analysis.stages.records import check_safe

        faults = check_safe(work, _say)
        print("\n".join(faults) or "Nothing that must not leave was found.")
        return 1 if faults else 0
    check_build_folder(work.build, work.root)
    if choice.stage == "clean" and not may_clean(work.build):  # before the lock is written, which is a run's mark
        print(f"{work.build}: there is nothing to remove.")
        return 0
    with only_one_run(work.build):
        _write(choice, work)
    return 0


def _write(choice: argparse.Namespace, work: Workspace) -> None:
    if choice.stage == "clean":
        print(clean(work.build))
    elif choice.stage == "data":
        _data(work, choice.if_changed)
    elif choice.stage == "results":
        _results(work, choice.if_changed)
    elif choice.stage == "reports":
        _reports(work, choice)
    elif choice.stage == "refresh":
        _refresh(work, choice.folder)
    elif choice.stage == "records":
        _records(work, choice)
    elif choice.stage == "edition":
        from analysis.stages.refresh import record_edition

        _say(f"edition {record_edition(work, _dataset(work))} is recorded")
    elif choice.stage == "snapshot":
        from analysis.stages.snapshot import write_snapshot

        with _timed("Snapshot: summing the panel to sites and STP areas"):
            write_snapshot(work, _say)
    else:
        from analysis.stages import simulations

        if choice.stage == "simulation":
            with _timed("Simulation: how often each method errs"):
                simulations.run_simulation(work, _progress, work.workers, choice.draws)
        else:
            with _timed("Simulation: how often each method for interrupted time series errs"):
                simulations.run_its_simulation(work, _progress, work.workers, choice.draws)


def _data(work: Workspace, if_changed: bool) -> None:
    def data() -> list[Path]:
        from analysis.stages.data import build_data

        return build_data(work, _say)

    title = "Data: reading, checking and cleaning the published files"
    _make(work, steps.data_step(work), if_changed, title, data)


def _results(work: Workspace, if_changed: bool) -> None:
    def results() -> list[Path]:
        from analysis.stages.results import build_results

        return build_results(work, _progress, work.workers)

    _make(work, steps.results_step(work), if_changed, "Results: models and inference", results)


def _refresh(work: Workspace, folder: Path | None) -> None:
    """The last edition as it stands, what came in, the new edition, and what moved between the two."""
    from analysis.editions.archive import Archive, record
    from analysis.editions.editions import last_name
    from analysis.stages.refresh import end_at_pinned, explain, look, pin_files, record_edition
    from analysis.stages.written import table_to_write

    if work.data == "snapshot":
        raise UsageError("DATA=snapshot: a refresh works on the published files. Leave DATA away, or say DATA=mar.")
    work = replace(work, data="mar")
    editions = table_to_write(work, "editions")
    check_scratch(work.last_edition.parent)  # before hours of work
    last = Archive(work.last_edition)
    for left in filter(is_scratch, work.build.glob(f"{BETWEEN}*")):  # by a refresh that was killed
        shutil.rmtree(left, ignore_errors=True)
    with _timed("Refresh: looking for new and revised files"):
        intake = look(work, folder or work.mirror, _say)
        if not intake.offers:
            _say("there is none")
    # Before the new files are pinned: an edition can be compared with the one before it alone.
    if not last.there and end_at_pinned(work, _say):
        _data(work, if_changed=True)
        _results(work, if_changed=True)
        last = record(work, last_name(editions, _dataset(work)), work.last_edition)
    pin_files(work, intake, _say)
    _data(work, if_changed=True)
    _results(work, if_changed=True)
    if not last.there:
        _say(f"edition {record_edition(work, _dataset(work))} is recorded, the first of this study")
        return
    with _timed(f"Refresh: what moved since edition {last.name}, and why"):
        with TemporaryDirectory(dir=work.build, prefix=BETWEEN) as place:
            files = explain(work, last, Path(place), _progress, _say)
        if files is None:
            _say("nothing differs")
            return
        made = Manifest.read(work.build)
        made.note(
            Step(steps.REFRESH, {str(work.estimates.relative_to(work.build)): digest(work.estimates)}),
            files,
            ["it was asked for"],
        )
        made.save()
        _say(f"edition {record_edition(work, _dataset(work))} is recorded")


def _records(work: Workspace, choice: argparse.Namespace) -> None:
    """Count an extract, or make one up."""
    extract = (
        choice.extract or os.environ.get("EXTRACT") or ""
    )  # in the arguments, other users of the machine could read it
    if choice.action == "count" and not extract:
        raise UsageError("Name the extract: make records EXTRACT=folder.")
    if choice.action == "synthesise":
        if choice.rows < 1:
            raise UsageError(f"--rows {choice.rows}: it must be 1 or more.")
        from analysis.stages.made_up import make_up

        with _timed("Records: making up an extract, which is not data"):
            make_up(work, choice.rows, choice.to, choice.effect, choice.seed, _say)
        return
    from analysis.records.addresses import shown
    from analysis.records.private import kept_private
    from analysis.stages.records import build_records

    engine = os.environ.get("ENGINE") or "duckdb"
    with _timed("Records: counting a patient-level extract"):
        with kept_private(work.private):
            files = build_records(work, extract, engine, os.environ.get("SPARK_MASTER") or "local[*]", _say)
        made = Manifest.read(work.build)
        made.note(Step(steps.RECORDS, {"ENGINE": engine, "EXTRACT": shown(extract)}), files, ["it was asked for"])
        made.save()


def _dataset(work: Workspace) -> str:
    work.require(work.data_provenance, work.table("verdicts"))
    return str(json.loads(work.data_provenance.read_text(encoding="utf-8"))["dataset"])


def _make(work: Workspace, step: Step, if_changed: bool, title: str, run: Callable[[], list[Path]]) -> None:
    """Run a step, if it has to run, and write down what it was made from and what it made."""
    made = Manifest.read(work.build)
    reasons = made.changes(step)
    if if_changed and not reasons:
        return
    with _timed(title):
        _because(if_changed, reasons)
        files = run()
    if step.name == steps.DATA:  # what it downloaded is at hand now, and which data it used is known
        now = steps.data_step(work).made_from
        step = replace(step, made_from={**now, **step.made_from, "DATA": now["DATA"]})
    made.note(step, files, reasons or ["it was asked for"])
    if step.name == steps.RESULTS:
        made.forget({steps.REFRESH})  # it is of other results
    made.save()


def _reports(work: Workspace, choice: argparse.Namespace) -> None:
    _render(work, choice)
    print(work.headline.read_text(encoding="utf-8").rstrip())


def _render(work: Workspace, choice: argparse.Namespace) -> None:
    made = Manifest.read(work.build)
    every = steps.report_steps(work, made)
    reasons = {name: made.changes(step) for name, step in every.items()}
    gone = {step for step in made.steps if step.startswith(f"{steps.REPORTS}/")} - {
        step.name for step in every.values()
    }
    names = choice.names or [name for name in every if gone or reasons[name] or not choice.if_changed]
    if not names:
        return
    from analysis.publish.build import build_reports

    with _timed("Reports: HTML and PDF"):
        lost = [f"{step} has no source any more" for step in sorted(gone)]
        _because(choice.if_changed, lost + [reason for name in names for reason in reasons.get(name, [])])
        written = build_reports(work, [] if set(names) == set(every) else names, _say)
    every |= {steps.INDEX: steps.report_steps(work, made)[steps.INDEX]}  # it depends on what the others hold by now
    for name, files in written.items():
        made.note(every[name], files, reasons[name] or ["it was asked for"])
    made.forget(gone)
    made.save()


def _because(if_changed: bool, reasons: list[str]) -> None:
    different = list(dict.fromkeys(reasons))
    if if_changed and different:
        more = f" (and {len(different) - 1} more: make why)" if len(different) > 1 else ""
        _say(f"since {different[0]}{more}")


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


@contextmanager
def _timed(title: str) -> Iterator[None]:
    print(f"{title} …", flush=True)
    start = time.perf_counter()
    yield
    print(f"  done in {time.perf_counter() - start:.1f} s", flush=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar that is silent when nobody watches."""
    from tqdm import tqdm

    with tqdm(total=total, disable=not sys.stderr.isatty(), leave=False) as bar:
        yield lambda: bar.update(1) and None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
