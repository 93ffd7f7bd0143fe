"""A copy of the project in which a test may spoil one thing, and the real command run in it.

The copy has its own folder of published files: links to the real ones, any of which a test may replace. ``Project.run``
is the command as users start it. ``Warm`` is the same in a process that has done the imports and forks for each call,
which saves most of the time; the code, the files, the output streams and the exit code are the real ones.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tomlkit
from sources.mar_workbook import MarWorkbook

from analysis.sources.mar import MEASURES, SHEET
from analysis.sources.workbook import open_workbook

PARTS = ("analysis", "data_raw", "reports", "requirements.lock", "_quarto.yml", "CHANGELOG.md")
MUTABLE = ("analysis/protocol.toml", "data_raw/manifest.csv", "data_raw/vanguard_ccgs.csv", "data_raw/ccg_changes.csv")
# A proxy at a port where nothing listens: no site can be reached, whatever network this machine has.
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")}
CHOICES = ("BUILD", "PROTOCOL", "MIRROR", "DATA", "RENDERER", "MAKELEVEL", "NO_PROXY", *NO_NETWORK)
OWN_MOUNTS = (
    shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
)

ON_SNAPSHOT = {"DATA": "snapshot", "RENDERER": "embedded", "SOURCE_DATE_EPOCH": "0"}
needs_own_mounts = pytest.mark.skipif(not OWN_MOUNTS, reason="this user may not mount in a namespace of its own")

FORKS = """
import json, os, sys, traceback
import analysis.__main__, analysis.stages.data, analysis.stages.results, analysis.publish.build
print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if not child:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.update(request["environment"])
        try:
            code = analysis.__main__.main(request["arguments"])
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.strip().splitlines()


@dataclass(frozen=True)
class Refusal:
    """An error message taken apart; building it fails unless the message has all of its parts."""

    kind: str
    place: str
    found: str
    expected: str
    to_do: str

    @classmethod
    def of(cls, run: Run) -> Refusal:
        shape = r"(\w+): (.+)\n  found:    (.+)\n  expected: (.+)\n  to do:    (.+)"
        match = re.fullmatch(shape, run.err.strip())
        assert match, f"not a message with every part:\n{run.err}"
        return cls(*match.groups())


@dataclass(frozen=True)
class Project:
    """``root`` is the copy, ``files`` its folder of published files, ``real_files`` where they really are."""

    root: Path
    files: Path
    real_files: Path
    originals: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def copy(cls, repository: Path, real_files: Path, folder: Path) -> Project:
        root = folder / "project"
        root.mkdir()
        for name in PARTS:
            source = repository / name
            if source.is_dir():
                shutil.copytree(source, root / name)
            else:
                shutil.copy2(source, root)
        project = cls(root, folder / "published", real_files, {name: (root / name).read_bytes() for name in MUTABLE})
        project.restore()
        return project

    def restore(self) -> None:
        """Undo whatever a test spoilt; the build stays."""
        for name, content in self.originals.items():
            if (self.root / name).read_bytes() != content:
                (self.root / name).write_bytes(content)
        for pin in self.pins():
            link, target = self.files / pin["file"], self.real_files / pin["file"]
            if target.is_file() and not (link.is_symlink() and link.resolve() == target.resolve()):
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(target.resolve())

    def pins(self) -> list[dict[str, str]]:
        with open(self.root / "data_raw/manifest.csv", encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle))

    def write_pins(self, pins: Sequence[Mapping[str, str]]) -> None:
        with open(self.root / "data_raw/manifest.csv", "w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(pins[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(pins)

    def pin_of(self, source: str, period: str = "", name: str = "") -> dict[str, str]:
        return next(p for p in self.pins() if p["source"] == source and p["period"] == period and name in p["file"])

    def replace(self, pin: Mapping[str, str], content: bytes, pinned: bool = True) -> None:
        """Put ``content`` in a published file's place and, unless told not to, its hash into the manifest."""
        path = self.files / pin["file"]
        path.unlink()
        path.write_bytes(content)
        if pinned:
            new = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": str(len(content))}
            self.write_pins([p | new if p["file"] == pin["file"] else p for p in self.pins()])

    def keep_only_returns(self) -> None:
        """Take the population and lookup files away: the embedded tables stand in, in a fraction of the time."""
        for pin in self.pins():
            if pin["source"] != "mar":
                (self.files / pin["file"]).unlink(missing_ok=True)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place where ``old`` stands in a text file of the project."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        (self.root / name).write_text(text.replace(old, new), encoding="utf-8")

    def append(self, name: str, line: str) -> None:
        with open(self.root / name, "a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def environment(self, **choices: str) -> dict[str, str]:
        """This process's environment with the project's choices; the network is out of reach unless told otherwise."""
        ours = {"MIRROR": str(self.files), "BUILD": "build", **NO_NETWORK, **choices}
        kept = {name: value for name, value in os.environ.items() if name.upper() not in CHOICES}
        return {**kept, "PYTHONPATH": str(self.root), **ours}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "analysis", *arguments]

    def start(self, *arguments: str, **choices: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments), cwd=self.root, env=self.environment(**choices), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, **choices: str) -> Run:
        return self.run_command(self.command(*arguments), **choices)

    def run_command(self, command: Sequence[str], **choices: str) -> Run:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(**choices), capture_output=True, text=True, timeout=900
        )
        return Run(done.returncode, done.stdout, done.stderr)


class Warm:
    """The command in a process that has done its imports; one call at a time.

    Where this user may, the process has its own mounts, so that a test can give it a small or a read-only disk.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self._project = project
        self._out, self._err = folder / "out", folder / "err"
        self._process = subprocess.Popen(
            [*(["unshare", "-m"] if OWN_MOUNTS else []), sys.executable, "-c", FORKS], cwd=project.root, text=True,
            env=project.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._answer() == "ready"

    def run(self, *arguments: str, **choices: str) -> Run:
        request = {
            "arguments": arguments, "environment": self._project.environment(**choices),
            "out": str(self._out), "err": str(self._err),
        }  # fmt: skip
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._answer())
        return Run(code, self._out.read_text(encoding="utf-8"), self._err.read_text(encoding="utf-8"))

    def mount(self, *arguments: str) -> None:
        """Run `mount` for this process alone."""
        subprocess.run(["nsenter", "-t", str(self._process.pid), "-m", "mount", *arguments], check=True)

    def sees(self, path: Path) -> Path:
        """A folder as this process sees it, its mounts included."""
        return Path(f"/proc/{self._process.pid}/root", *path.parts[1:])

    @contextmanager
    def largest_file(self, size: int) -> Iterator[None]:
        """No file that this process writes may grow past ``size`` bytes."""
        earlier = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, earlier[1]))
        try:
            yield
        finally:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, earlier)

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def fingerprint(folder: Path) -> dict[str, str]:
    """Path → SHA-256 of every file below ``folder``, left-over temporary files included, the lock and what git is told left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (".lock", ".gitignore", ".why.json")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fewer(protocol: str) -> str:
    """A protocol's text with its primary outcomes and first specification alone: results take a fraction of the time, but make no report."""
    document = tomlkit.parse(protocol)
    for at in reversed(range(len(document["outcomes"]))):
        if document["outcomes"][at]["role"] != "primary":
            del document["outcomes"][at]
    del document["specifications"][1:]
    document["specification_curve"]["crossed"] = []
    return tomlkit.dumps(document)


def real_return(path: Path) -> MarWorkbook:
    """A published return as a workbook that a test can spoil and write again, its rows where they were."""
    sheet = open_workbook(path).sheet(SHEET)
    header = sheet.find_row("Org Code", "the header")
    first = sheet.columns(header, ["Year"])["Year"]
    last = first + 6 + len(MEASURES)
    rows = [list(row[first:last]) for row in sheet.rows]
    return MarWorkbook(
        period=str(sheet.title_value("Period:")),
        header=[str(cell) for cell in rows[header]],
        rows=[row for row in rows[header + 3 :] if row[4] != ""],
        england=list(rows[header + 1][6:]),
        notes=[],
    )


def with_make(project: Project, repository: Path) -> None:
    """The Makefile in the project, with nothing left to set up."""
    for name in ("Makefile", "pyproject.toml"):
        (project.root / name).write_bytes((repository / name).read_bytes())
    (project.root / ".venv/bin").mkdir(parents=True)
    (project.root / ".venv/bin/python").symlink_to(sys.executable)
    (project.root / ".venv/.ready").touch()


def make(project: Project, *arguments: str, **more: str) -> Run:
    """The real Makefile's targets, on the snapshot and with this Python."""
    environment = project.environment(**ON_SNAPSHOT) | more
    command = ["make", *arguments, f"RUN={sys.executable} -m analysis"]
    done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=600)
    return Run(done.returncode, done.stdout, done.stderr)
