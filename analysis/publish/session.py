"""One Python kernel that runs many reports, each in a clean namespace.

A fresh kernel costs seconds, most of them imports; a reused one costs about a second a report.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from analysis.core.errors import MachineError
from analysis.publish.notebook import INLINE_CODE, ReportError, cell_options, map_prose
from analysis.publish.outputs import tidy

PROJECT = Path(__file__).resolve().parents[2]
EXPRESSION = re.compile(r"\{python\}\s+(.+)", re.DOTALL)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
CELL_LINE = re.compile(r"Cell In\[\d+\], line (\d+)")
# The address of a Unix socket has 108 bytes, the last of them zero: unix(7).
KERNEL_FOLDER, SOCKET, LONGEST_ADDRESS = "kernel-", "connection-ipc-5", 107
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~^$@\"'-])")

# Run before each report, whose names are its own: modules stay loaded, and none of this project's keeps anything of a report.
RESET = """
get_ipython().reset(new_session=True)
import os as _os, random as _random, sys as _sys
_os.chdir({cwd!r})
_random.seed(0)
if "numpy" in _sys.modules:
    _sys.modules["numpy"].random.seed(0)
if "matplotlib.pyplot" in _sys.modules:
    _sys.modules["matplotlib.pyplot"].close("all")
if "matplotlib" in _sys.modules:
    _sys.modules["matplotlib"].rcdefaults()

def _as_svg(figure):
    import io, matplotlib
    with matplotlib.rc_context({{"svg.hashsalt": "vanguards", "svg.fonttype": "none"}}), io.StringIO() as text:
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={{"Date": None}})
        return text.getvalue()

get_ipython().display_formatter.formatters["image/svg+xml"].for_type_by_name(
    "matplotlib.figure", "Figure", _as_svg)
"""


class Session:
    """A kernel for a run of reports; use it as a context manager.

    The kernel is this interpreter, so no kernel needs to be installed for the user, and everything that it writes for
    itself goes to a temporary folder. Its environment pins what would otherwise change from run to run.
    """

    def __init__(self, timeout: int = 900) -> None:
        try:
            self._scratch = tempfile.TemporaryDirectory(prefix=KERNEL_FOLDER, dir=_folder_for_sockets())
        except OSError as problem:
            raise MachineError(
                f"No folder for temporary files can be used: {problem}. Set TMPDIR to one that can."
            ) from problem
        self._manager = AsyncKernelManager(kernel_spec_manager=_ThisPython(), kernel_name="python3")
        self._manager.transport = "ipc"  # sockets in the scratch folder: no port is opened
        self._manager.connection_file = str(Path(self._scratch.name) / "connection.json")
        self._client = NotebookClient(
            NotebookNode(cells=[], metadata={}), km=self._manager, timeout=timeout, record_timing=False
        )

    def __enter__(self) -> Session:
        try:
            run_sync(self._client.async_start_new_kernel)(cwd=str(PROJECT), env=_environment(self._scratch.name))
            run_sync(self._client.async_start_new_kernel_client)()
        except (OSError, RuntimeError) as problem:
            self.__exit__()
            raise MachineError(f"The Python kernel that runs the reports did not start: {problem}") from problem
        return self

    def __exit__(self, *_: object) -> None:
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        if self._manager.has_kernel:
            run_sync(self._manager.shutdown_kernel)(now=True)
        self._scratch.cleanup()

    def execute(self, notebook: NotebookNode, cwd: Path, source_name: str | Path) -> NotebookNode:
        """Run a report's cells and inline expressions in order; its outputs and text are filled in, in place.

        Each `` `{python} expression` `` in a Markdown cell becomes the expression's text: Markdown objects as markup,
        strings and numbers as the plain characters they are made of. The raw results stay in
        ``cell.metadata["user_expressions"]``, where Quarto looks for them.

        Raises
        ------
        ReportError
            A cell or an expression failed; it names the report, the line and the end of the traceback.
        MachineError
            The kernel died.
        """
        self._client.nb = notebook
        self._client.reset_execution_trackers()
        try:
            self._evaluate(RESET.format(cwd=str(cwd)), {}, source_name, [])
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type == "code" and cell_options(cell.source).get("eval", True):
                    self._run_cell(cell, index, source_name)
                elif cell.cell_type == "markdown":
                    self._fill_in(cell, source_name)
        except DeadKernelError as problem:
            raise MachineError(f"{source_name}: the Python kernel died while running this report.") from problem
        return tidy(notebook)

    def _run_cell(self, cell: NotebookNode, index: int, source_name: str | Path) -> None:
        try:
            self._client.execute_cell(cell, index)
        except CellExecutionError as problem:
            if problem.ename == MachineError.__name__:  # a full disk is no fault of the report
                raise MachineError(problem.evalue) from problem
            traceback = ANSI.sub("", problem.traceback)
            inside = CELL_LINE.search(traceback)
            line = cell.metadata["line"] + (int(inside[1]) - 1 if inside else 0)
            tail = "\n            ".join(traceback.strip().splitlines()[-6:])
            label = cell_options(cell.source).get("label", cell.id)
            raise ReportError(source_name, line, f"cell {label} failed\n            {tail}", "correct it") from problem
        except CellTimeoutError as problem:
            raise ReportError(source_name, cell.metadata["line"], str(problem), "make the cell faster") from problem

    def _fill_in(self, cell: NotebookNode, source_name: str | Path) -> None:
        """Evaluate a Markdown cell's inline expressions in one request, then write their text into it."""
        found: list[tuple[str, int]] = []

        def collect(text: str, first: int) -> str:
            for code in INLINE_CODE.finditer(text):
                if len(code[1]) == 1 and (match := EXPRESSION.fullmatch(code[2])):
                    line = cell.metadata["line"] + first + text.count("\n", 0, code.start())
                    found.append((match[1].strip(), line))
            return text

        def replace(text: str, _: int) -> str:
            return INLINE_CODE.sub(
                lambda code: next(texts) if len(code[1]) == 1 and EXPRESSION.fullmatch(code[2]) else code[0], text
            )

        map_prose(cell.source, collect)
        if not found:
            return
        results = self._evaluate("", {str(i): e for i, (e, _) in enumerate(found)}, source_name, found, cell.id)
        cell.metadata["user_expressions"] = [
            {"expression": e, "result": results[str(i)]} for i, (e, _) in enumerate(found)
        ]
        texts = iter([_as_markdown(results[str(i)]["data"], e, line, source_name) for i, (e, line) in enumerate(found)])
        cell.metadata["written"] = cell.source  # whose lines are those of the file
        cell.source = map_prose(cell.source, replace)

    def _evaluate(
        self,
        code: str,
        expressions: dict[str, str],
        source_name: str | Path,
        places: list[tuple[str, int]],
        cell: str = "",
    ) -> dict[str, Any]:
        """Run code, then expressions, which stand in ``cell`` at these ``places`` (expression, line)."""
        kernel = self._client.kc
        assert isinstance(kernel, AsyncKernelClient)
        reply = run_sync(_request)(kernel, code, expressions)
        if reply["status"] != "ok":
            tail = "\n            ".join(ANSI.sub("", line) for line in reply.get("traceback", ["the kernel stopped"]))
            raise ReportError(source_name, None, tail, "this is a fault of the renderer or of the working folder")
        for name, result in reply["user_expressions"].items():
            if result["status"] != "ok":
                expression, line = places[int(name)]
                found = f"cell {cell}: `{expression}` failed\n            {result['ename']}: {result['evalue']}"
                raise ReportError(source_name, line, found, "correct the inline expression")
        return dict(reply["user_expressions"])


class _ThisPython(KernelSpecManager):
    """Finds one kernel: the interpreter that runs this process."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python", interrupt_mode="signal")


def _folder_for_sockets() -> str:
    """The folder for temporary files, or a common one with a shorter name where its own is too long for the address of a socket.

    Raises
    ------
    MachineError
        No such folder can be written.
    """
    usual = tempfile.gettempdir()
    within = f"/{KERNEL_FOLDER}{'x' * 8}/{SOCKET}"
    for folder in (usual, *SHORT_FOLDERS):
        if len(os.fsencode(folder + within)) <= LONGEST_ADDRESS and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise MachineError(
        f"TMPDIR={usual}: the name of this folder has {len(os.fsencode(usual))} bytes, too many for the sockets of the Python kernel, "
        f"and no common folder with a shorter name can be written. Set TMPDIR to a folder with a name of at most {LONGEST_ADDRESS - len(within)} bytes."
    )


def _environment(scratch: str) -> dict[str, str]:
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "SOURCE_DATE_EPOCH": "0",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        **dict.fromkeys(("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"), scratch),
        "JUPYTER_RUNTIME_DIR": scratch,
    }


async def _request(kernel: AsyncKernelClient, code: str, expressions: dict[str, str]) -> dict[str, Any]:
    message = kernel.execute(code, silent=not expressions, store_history=False, user_expressions=expressions)
    while True:
        reply = await kernel.get_shell_msg(timeout=120)
        if reply["parent_header"].get("msg_id") == message:
            return dict(reply["content"])


def _as_markdown(data: dict[str, str], expression: str, line: int, source_name: str | Path) -> str:
    if "text/markdown" in data:
        return data["text/markdown"].strip()
    text = data["text/plain"]
    if text[:1] in "'\"":
        text = str(ast.literal_eval(text))
    if " at 0x" in text or text.startswith("np."):
        action = "give it a readable form, such as a formatted string or Markdown(…)"
        raise ReportError(source_name, line, f"`{expression}` shows as {text}", action)
    return MARKDOWN_SPECIAL.sub(r"\\\1", text)
