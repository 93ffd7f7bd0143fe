"""Command line: ``python -m analysis STAGE``. The Makefile decides which stages are needed."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from analysis.errors import EvaluationError, UsageError
from analysis.files import only_one_run
from analysis.workspace import Workspace


def main(arguments: list[str]) -> int:
    """Run one stage; return the exit code (0 done, 1 data or study wrong, 2 call wrong, 3 machine failed)."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    stages.add_parser("data", help="published files → the panel")
    stages.add_parser("results", help="the panel → the table of estimates")
    reports = stages.add_parser("reports", help="the estimates → HTML and PDF")
    reports.add_argument("names", nargs="*", help="reports to render, by name; all of them by default")
    simulation = stages.add_parser("simulation", help="simulated error rates → reports/simulation.csv")
    simulation.add_argument("--draws", type=int, default=5000, help="panels for each case (5000)")
    of_series = stages.add_parser("its-simulation", help="the same for time series → reports/its_simulation.csv")
    of_series.add_argument("--draws", type=int, default=2000, help="series for each autocorrelation (2000)")
    stages.add_parser("snapshot", help="write the embedded snapshot from the full published data")
    stages.add_parser("doctor", help="say what is there, what is not, and what follows")
    choice = parser.parse_args(arguments)
    try:
        _run(choice, Workspace.from_environment())
    except EvaluationError as problem:
        print(f"\n{type(problem).__name__}: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("\nStopped. Earlier outputs are untouched.", file=sys.stderr)
        return UsageError.exit_code
    return 0


def _run(choice: argparse.Namespace, work: Workspace) -> None:
    # Imported here so that `--help` and a wrong call answer at once.
    if choice.stage == "doctor":
        from analysis.doctor import examine

        print(examine(work))
        return
    with only_one_run(work.build):
        from analysis import stages

        if choice.stage == "data":
            with _timed("Data: reading, checking and cleaning the published files"):
                stages.build_data(work, _say)
        elif choice.stage == "results":
            with _timed("Results: models and inference"):
                stages.build_results(work, _progress, workers=os.cpu_count() or 1)
        elif choice.stage == "simulation":
            with _timed("Simulation: how often each method errs"):
                stages.run_simulation(work, _progress, os.cpu_count() or 1, choice.draws)
        elif choice.stage == "its-simulation":
            with _timed("Simulation: how often each method for interrupted time series errs"):
                stages.run_its_simulation(work, _progress, os.cpu_count() or 1, choice.draws)
        elif choice.stage == "snapshot":
            with _timed("Snapshot: summing the panel to sites and STP areas"):
                stages.write_snapshot(work, _say)
        else:
            from analysis.publish.build import build_reports

            with _timed("Reports: HTML and PDF"):
                headline = build_reports(work, choice.names, _say)
            if "MAKELEVEL" not in os.environ:  # make prints it, whether or not anything had to be built
                print(headline)


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
