"""Writing: whole or not at all, on a disk that is really full; and one run at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from analysis.core.errors import MachineError
from analysis.core.files import atomic_path, only_one_run, sha256, write_table, write_text

ROOT = Path(__file__).parents[2]
ROOM = 256 * 1024  # bytes on the tiny disk

# Writes a file of each kind, fills the disk with a second version, and says what happened; ends with the error's code.
FILL = """
import json, resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from analysis.core.errors import EvaluationError
from analysis.core.files import write_table, write_text
folder = Path(sys.argv[1])
noise = pd.DataFrame({"x": np.random.default_rng(1).random(400_000)})
old = pd.DataFrame({"x": [1.0]})
kinds = {"text": (write_text, "old", "x" * 4_000_000), "csv": (write_table, old, noise), "parquet": (write_table, old, noise)}
for kind, (write, small, _) in kinds.items():
    write(small, folder / f"result.{kind}")
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))
found, code = {}, 0
for kind, (write, _, large) in kinds.items():
    target = folder / f"result.{kind}"
    before = target.read_bytes()
    try:
        write(large, target)
    except EvaluationError as problem:
        code = problem.exit_code
        found[kind] = {"error": type(problem).__name__, "message": str(problem), "whole": target.read_bytes() == before}
print(json.dumps({"found": found, "left": sorted(p.name for p in folder.iterdir())}))
sys.exit(code)
"""


@cache
def _can_mount() -> bool:
    """Whether this process may mount a disk of its own, which only root in most containers may."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    return tried.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("full", ["disk", "limit"])
def test_a_full_disk_ends_with_exit_code_three_and_the_old_file_whole(tmp_path: Path, full: str) -> None:
    """On a tiny tmpfs (else, where none may be mounted, under a limit of file size) no half a file is left."""
    full = full if _can_mount() else "limit"
    python = [sys.executable, "-c", FILL.replace("ROOM", str(ROOM)), str(tmp_path), full]
    on_tiny_disk = f'mount -t tmpfs -o size={ROOM} tmpfs "{tmp_path}" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", on_tiny_disk, "sh", *python] if full == "disk" else python
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert ran.returncode == 3, ran.stderr
    report = json.loads(ran.stdout)
    assert set(report["found"]) == {"text", "csv", "parquet"}
    for kind, outcome in report["found"].items():
        assert outcome["error"] == "MachineError", kind
        assert "no room left" in outcome["message"], kind
        assert outcome["whole"], kind
    assert report["left"] == ["result.csv", "result.parquet", "result.text"]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    """An error half way through writing keeps what was there before."""
    target = tmp_path / "table.csv"
    write_text("old", target)
    with pytest.raises(ZeroDivisionError), atomic_path(target) as path:
        path.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_the_target_changes_only_when_the_block_ends(tmp_path: Path) -> None:
    """A reader sees the old file until the new one is whole, and the temporary file keeps the suffix."""
    target = tmp_path / "new folder" / "table.csv"
    write_text("old", target)
    with atomic_path(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
        assert path.suffix == ".csv"
        assert path.parent == target.parent
    assert target.read_text() == "new"


def test_a_file_where_a_folder_should_be_is_a_machine_error(tmp_path: Path) -> None:
    """A path that cannot be made is told as such, not as a traceback."""
    (tmp_path / "build").write_text("in the way")
    with pytest.raises(MachineError, match="build"):
        write_text("text", tmp_path / "build" / "results" / "table.csv")


def test_tables_are_written_alike_every_time(tmp_path: Path) -> None:
    """Two writes give the same bytes; dates are ISO, line ends Unix, twelve digits kept."""
    table = pd.DataFrame({"month": pd.to_datetime(["2013-04-01"]), "x": [1 / 3], "name": ["é"]})
    for write, name in ((write_table, "t.csv"), (write_table, "t.parquet")):
        write(table, tmp_path / "one" / name)
        write(table, tmp_path / "two" / name)
        assert sha256(tmp_path / "one" / name) == sha256(tmp_path / "two" / name)
    assert (tmp_path / "one/t.csv").read_bytes() == "month,x,name\n2013-04-01,0.333333333333,é\n".encode()


HOLD = """
import sys, time
from pathlib import Path
from analysis.core.files import only_one_run
with only_one_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_killed_one_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """While another process holds the folder this one gets exit code 3; once it is killed, the folder is free."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(MachineError, match="another run") as problem, only_one_run(tmp_path):
            pass
        assert problem.value.exit_code == 3
        with only_one_run(tmp_path / "elsewhere"):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with only_one_run(tmp_path):
        pass
