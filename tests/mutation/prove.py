"""What the quick tests notice: each fault of ``mutations.toml`` is put into a copy of the package, alone, and the test that fails is written down.

``python tests/mutation/prove.py`` takes about an hour on two cores, with ``--fast`` some ten minutes, and writes the table of ``tests/README.md``. First
the whole quick suite runs once, to see which tests run which lines; then, for each fault, those that run its lines, or else its module, the quickest
first, until one fails. Where none does, the whole quick suite runs: a test may look at what another one's set-up made, or run the package as a command.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
OWN = "tests/unit/test_mutations.py"  # notices every fault, and proves nothing
QUICK = ["-m", "not slow and not spark and not nightly", "--dist", "worksteal", f"--ignore={OWN}"]
FAULTS = HERE / "mutations.toml"
TABLE = ROOT / "tests/README.md"
ENDLESS = 1800  # seconds after which a fault counts as noticed: whoever runs the tests sees that they do not end
BEGINNING, END = "<!-- mutations: written by tests/mutation/prove.py -->\n", "<!-- end of mutations -->\n"


@dataclass(frozen=True)
class Fault:
    """``old`` becomes ``new`` in ``file``. ``reason``: why no test can, or should, notice it."""

    name: str
    area: str
    file: str
    old: str
    new: str
    reason: str = ""

    def lines(self) -> range:
        """Numbers of the lines that it changes."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        first = text[: text.index(self.old)].count("\n") + 1
        return range(first, first + self.old.count("\n") + 1)


def faults() -> list[Fault]:
    return [Fault(**each) for each in tomllib.loads(FAULTS.read_text(encoding="utf-8"))["mutation"]]


def copy_of_the_checkout(folder: Path) -> Path:
    """The files that git tracks, as they are now, with the same environment."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def pytest(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    mirror = os.environ.get("MIRROR") or str(ROOT / "../shared/data")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=ENDLESS, env=os.environ | {"MIRROR": str((ROOT / mirror).resolve())}
    )  # fmt: skip


def measured(checkout: Path, workers: int) -> tuple[dict[str, float], dict[tuple[str, int], set[str]]]:
    """Seconds of every quick test, and (file, line) → the tests that run it, or whose set-up does."""
    from coverage import CoverageData

    report = checkout / "report.xml"
    run = pytest(
        checkout, *QUICK, "-n", str(workers), "--cov=analysis", "--cov-context=test", "--cov-report=", "-o", "junit_family=xunit1", f"--junitxml={report}"
    )  # fmt: skip
    if run.returncode:
        raise SystemExit(f"The quick tests must pass before faults are put in:\n{run.stdout[-3000:]}")
    cases = ElementTree.parse(report).iter("testcase")
    seconds = {f"{case.get('file')}::{case.get('name')}": float(case.get("time") or 0) for case in cases}
    data = CoverageData(str(checkout / ".coverage"))
    data.read()
    ran: dict[tuple[str, int], set[str]] = {}
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            place = Path(file).relative_to(checkout.resolve()).as_posix(), line
            ran[place] = {name.rpartition("|")[0] for name in contexts} & set(seconds)
    return seconds, ran


def caught_by(fault: Fault, checkout: Path, tests: list[str], whole: bool) -> str:
    """The first test that fails with the fault in the package, of ``tests`` or else of the ``whole`` quick suite; nothing where none does."""
    file, listed = checkout / fault.file, checkout / "tests.txt"
    sound = file.read_text(encoding="utf-8")
    file.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
    listed.write_text("\n".join(tests), encoding="utf-8")
    try:
        found = first_failure(pytest(checkout, "-x", "-rfE", f"@{listed}")) if tests else ""
        return found or (first_failure(pytest(checkout, "-x", "-rfE", *QUICK, "-n", "1")) if whole else "")
    except subprocess.TimeoutExpired:
        return "the tests do not end"
    finally:
        file.write_text(sound, encoding="utf-8")


def first_failure(run: subprocess.CompletedProcess[str]) -> str:
    for line in run.stdout.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ", 1)[1].partition(" - ")[0]
    return "" if run.returncode == 0 else "the tests cannot begin"


def proved(chosen: list[Fault], workers: int, whole: bool) -> Iterator[tuple[Fault, str]]:
    with tempfile.TemporaryDirectory() as folder:
        checkouts: Queue[Path] = Queue()
        for number in range(workers):
            checkouts.put(copy_of_the_checkout(Path(folder) / str(number)))
        first = checkouts.get()
        seconds, ran = measured(first, workers)
        checkouts.put(first)

        def prove(fault: Fault) -> str:
            tests = set().union(*(ran.get((fault.file, line), set()) for line in fault.lines()))
            if not tests:  # lines that run when the module is imported: a table of names, say
                tests = set().union(*(names for (file, _), names in ran.items() if file == fault.file))
            checkout = checkouts.get()
            try:
                return caught_by(fault, checkout, sorted(tests, key=lambda test: seconds[test]), whole)
            finally:
                checkouts.put(checkout)

        with ThreadPoolExecutor(workers) as pool:
            yield from zip(chosen, pool.map(prove, chosen), strict=True)


def table(found: list[tuple[Fault, str]]) -> str:
    noticed = [f"`{test}`" if test else f"**none** {fault.reason}".strip() for fault, test in found]
    rows = [f"| {fault.area} | {fault.name} | {said} |\n" for (fault, _), said in zip(found, noticed, strict=True)]
    caught = sum(bool(test) for _, test in found)
    return f"Caught: {caught} of {len(found)}.\n\n| where | what is wrong | caught by |\n|---|---|---|\n" + "".join(rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options.add_argument("--only", default="", help="faults whose name, area or file holds this; the table is printed, not written")
    options.add_argument("--fast", action="store_true", help="never run the whole quick suite for a fault: the table may then name none though one notices")
    asked = options.parse_args()
    chosen = [fault for fault in faults() if asked.only in f"{fault.name} {fault.area} {fault.file}"]
    found = []
    for fault, test in proved(chosen, asked.workers, whole=not asked.fast):
        print(f"{'caught' if test else 'MISSED'}  {fault.name}: {test or fault.reason}", flush=True)
        found.append((fault, test))
    if asked.only:
        return
    text = TABLE.read_text(encoding="utf-8")
    head, rest = text.partition(BEGINNING)[0], text.partition(END)[2]
    TABLE.write_text(head + BEGINNING + "\n" + table(found) + "\n" + END + rest, encoding="utf-8")


if __name__ == "__main__":
    main()
