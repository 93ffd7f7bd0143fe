"""Time the stages of a build and print each beside its limit, and what the vectorised inference saves.

Run by `make bench`. It asserts nothing: a busy machine is slow for reasons that are no fault of the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.inference.clustered import cr1_covariance
from analysis.inference.randomisation import assignment_matrix, draw_assignments, statistics
from analysis.models.poisson import fit_poisson
from analysis.models.sample import build_sample
from analysis.protocol import load_protocol
from analysis.sources.manifest import locate, pins_of, read_manifest
from analysis.sources.mar import read_all_mar
from analysis.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
REFITS = 30


def main() -> None:
    work = Workspace.from_environment()
    print(f"{'what':<58}{'seconds':>9}{'limit':>8}{'ratio':>8}")
    pins = pins_of(read_manifest(work.manifest), "mar")
    paths = {pin.month: path for pin in pins if pin.month and (path := locate(pin, [work.data_raw, work.mirror]))}
    if len(paths) == len(pins):
        show(f"read the {len(paths)} monthly returns", clock(lambda: read_all_mar(paths)), 3)
    with tempfile.TemporaryDirectory() as folder:
        build = {"BUILD": f"{folder}/build", **{name: os.environ.get(name, "") for name in ("DATA", "MIRROR")}}
        show("published files to panel", clock(lambda: run("-m", "analysis", "data", **build)), 5)
        results = clock(lambda: run("-m", "analysis", "results", **build))
        show("panel to estimates", results)
        reports = clock(lambda: run("-m", "analysis", "reports", **build))
        show("estimates to reports", reports)
        show("panel to both formats", results + reports, 60)
        one_sentence(folder)
    compare_inference(work)


def one_sentence(folder: str) -> None:
    """A fresh copy of the repository: set-up, a whole build, nothing changed, one sentence changed."""
    copy = Path(folder) / "copy"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    mirror = {"MIRROR": str((ROOT / os.environ.get("MIRROR", "../shared/data")).resolve()), "BUILD": "build"}
    show("set-up", clock(lambda: make(copy, ".venv/.ready", **mirror)), 90)
    make(copy, "report", **mirror)
    show("make report, nothing changed", clock(lambda: make(copy, "report", **mirror)), 1.5)
    index = copy / "build/reports/index.html"
    before = index.stat().st_mtime_ns
    source = copy / "reports/evaluation.qmd"
    source.write_text(source.read_text(encoding="utf-8") + "\nOne more sentence.\n", encoding="utf-8")
    seconds = clock(lambda: make(copy, "report", **mirror))
    show("make report, one sentence changed", seconds)
    print(f"  the other report was {'left alone' if index.stat().st_mtime_ns == before else 'rendered too'}")


def compare_inference(work: Workspace) -> None:
    """Seconds for one placebo assignment: one column of a matrix product, against a full refit."""
    protocol = load_protocol(work.protocol_file)
    outcome, primary = protocol.primary_outcomes[0].id, protocol.specification("primary")
    sample = build_sample(pd.read_parquet(work.panel), outcome, protocol.model_ids, primary, protocol)
    post = np.asarray(sample.months >= protocol.study.programme_start)
    matrix = assignment_matrix(draw_assignments(sample.cluster, sample.treated, primary.draws, 1), sample.cluster)
    vectorised = clock(lambda: statistics(sample, post, matrix, 0.0)) / matrix.shape[1]

    def refit() -> None:
        for column in range(REFITS):
            placebo = np.outer(matrix[:, [column]].toarray()[:, 0], post)[None]
            fit = fit_poisson(sample.counts, sample.population, placebo)
            cr1_covariance(fit.bread, fit.unit_scores, sample.cluster)

    refitted = clock(refit) / REFITS
    print(
        f"one placebo assignment: {vectorised * 1e6:.0f} µs vectorised, {refitted * 1e6:.0f} µs refitted, ratio {refitted / vectorised:.0f}"
    )


def clock(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def show(what: str, seconds: float, limit: float | None = None) -> None:
    print(
        f"{what:<58}{seconds:>9.2f}{f'{limit:g}' if limit else '':>8}{f'{seconds / limit:.2f}' if limit else '':>8}",
        flush=True,
    )


def run(*arguments: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL
    )


def make(folder: Path, target: str, **environment: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(
        [shutil.which("make") or "make", target],
        cwd=folder, env=clean | environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    main()
