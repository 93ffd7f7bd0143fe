"""The folder for temporary files where its name is long, or where it is full."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from acceptance.scratch_project import needs_own_mounts

from analysis.core.errors import MachineError
from analysis.publish import session
from analysis.publish.session import LONGEST_ADDRESS, Session

RENDER = """
import sys, nbformat
from pathlib import Path
from analysis.core.errors import MachineError
from analysis.publish import embedded
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_raw_cell("---\\ntitle: T\\n---"), nbformat.v4.new_markdown_cell("word " * 50_000)])
target = Path(sys.argv[1])
try:
    embedded.render_html(notebook, target, base=target.parent, source_name="report.qmd", metadata={})
except MachineError as problem:
    print(problem)
"""


@pytest.mark.slow
@pytest.mark.fault(
    "TMPDIR with a name of 80 letters or more, too long for sockets", "sockets are put elsewhere; reports are made"
)
@pytest.mark.parametrize("letters", [80, 200])
def test_a_kernel_runs_where_the_name_of_the_folder_is_long(
    letters: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("l" * letters)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    cell = nbformat.v4.new_code_cell("print(6 * 7)", metadata={"line": 1})
    with Session() as running:
        notebook = running.execute(nbformat.v4.new_notebook(cells=[cell]), tmp_path, "report.qmd")
    assert notebook.cells[0].outputs[0].text == "42\n"


def test_no_folder_with_a_short_name_is_an_error_that_names_tmpdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("l" * 120)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(session, "SHORT_FOLDERS", ())
    with pytest.raises(MachineError, match=f"TMPDIR={place}.*at most [5-8][0-9] bytes"):
        Session()


@pytest.mark.slow
def test_the_longest_name_of_the_folder_that_is_used_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit the kernel runs in TMPDIR itself: the limit is that of the system, and not less."""
    within = len(f"/{session.KERNEL_FOLDER}{'x' * 8}/{session.SOCKET}")
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        place = Path(short) / ("l" * (LONGEST_ADDRESS - within - len(short) - 1))
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with Session():
            assert [path.name[:7] for path in place.iterdir()] == [session.KERNEL_FOLDER]


@pytest.mark.slow
@pytest.mark.fault("a full disk under TMPDIR", "exit code 3 and a sentence that names TMPDIR")
@needs_own_mounts
def test_a_full_folder_is_named_by_its_own_name(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    script = 'mount -t tmpfs -o size=64k none "$TMPDIR" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", RENDER, str(tmp_path / "report.html")]
    environment = {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert f"TMPDIR={tmp_path / 'tmp'}: the folder for temporary files cannot be used (No space left" in done.stdout, (
        done
    )
    assert not (tmp_path / "report.html").exists()
