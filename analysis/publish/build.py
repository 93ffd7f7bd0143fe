"""The last arrow: results → reports, with their index."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from analysis.errors import UsageError
from analysis.files import write_table, write_text
from analysis.narrative.places import sites
from analysis.narrative.site import slug
from analysis.narrative.verdicts import headline
from analysis.publish.contents import contents, merged
from analysis.publish.provenance import edition, edition_date
from analysis.publish.render import Document, Renderer, choose, execute, renderer_versions, write
from analysis.publish.session import Session
from analysis.results import Results, load_results
from analysis.workspace import Workspace

HEADLINE = "headline.txt"
INDEX = "index"  # lists what the others hold, and so comes last
BRIEF, SITES = "brief", "sites"  # one source, a document for each site
KERNELS = 4  # at most; another one costs more seconds of imports than it saves


@dataclass(frozen=True)
class _Task:
    """A document, the report that it belongs to, and its place below the folder of reports."""

    report: str
    place: str
    document: Document


def build_reports(work: Workspace, names: Sequence[str], say: Callable[[str], None]) -> str:
    """Render the named reports, or all, as HTML and PDF; return the headline and where to look.

    All of them are made before the first is put in its place, so that a fault leaves the earlier edition whole. The index
    follows where another report's figures and tables changed.

    Raises
    ------
    UsageError
        There is no report of that name, or the stages before did not run.
    ReportError
        A document is at fault; it names the source, the cell and the line.
    """
    sources = _sources(work)
    unknown = sorted(set(names) - set(sources))
    if unknown:
        raise UsageError(f"There is no report {unknown[0]!r}. There are: {', '.join(sources)}.")
    tables = ("verdicts", "sites", "specification_curve", "curve_choices", "its_methods")
    work.require(
        work.panel,
        work.national,
        work.shifts,
        work.data_provenance,
        work.estimates,
        *(work.table(name) for name in tables),
    )
    results = load_results(work)
    renderer = choose(work.renderer)
    versions = ", ".join(f"{name} {number}" for name, number in renderer_versions(renderer).items())
    os.environ["RENDERER_USED"] = f"{renderer} ({versions})"  # for the kernels, which print it
    chosen = list(names) or list(sources)
    shutil.rmtree(work.staged, ignore_errors=True)
    try:
        tasks = [task for name in chosen if name != INDEX for task in _tasks(name, sources[name], results)]
        rows = _make(tasks, renderer, say)
        table = merged(work.contents, rows, [task.place for task in tasks])
        before = work.contents.read_bytes() if work.contents.is_file() else b""
        write_table(table, work.staged_contents)
        if INDEX in chosen or work.staged_contents.read_bytes() != before:
            _make(list(_tasks(INDEX, sources[INDEX], results)), renderer, say)
        _move_all(work.staged, work.reports)
    finally:
        shutil.rmtree(work.staged, ignore_errors=True)
    text = "\n".join([*headline(results), f"Open {_shown(work.reports / 'index.html')}"])
    write_text(text + "\n", work.reports / HEADLINE)
    return text


def _sources(work: Workspace) -> dict[str, Path]:
    """Name → source of each report, the longest first: the others fit in beside it."""
    folder = work.root / "reports"
    found = [*folder.glob("*.qmd"), *(folder / SITES).glob("*.qmd")]
    return {source.stem: source for source in sorted(found, key=lambda source: (-source.stat().st_size, source.name))}


def _tasks(name: str, source: Path, results: Results) -> Iterator[_Task]:
    """The documents of a source: where each goes, its own metadata, and its parameters."""
    metadata = {"dataset-name": results.dataset_name, "edition": edition(results), "date": edition_date()}

    def task(place: str, more: dict[str, str], parameters: dict[str, str]) -> _Task:
        html, pdf = (results.work.staged / f"{place}.{suffix}" for suffix in ("html", "pdf"))
        return _Task(name, place, Document(source, html, pdf, metadata | more, parameters))

    if name != BRIEF:
        yield task(name, {}, {})
        return
    for site in sites(results, results.protocol.primary_outcomes[0].id).site:
        yield task(f"{SITES}/{slug(site)}", {"title": site}, {"site": site})


def _make(tasks: Sequence[_Task], renderer: Renderer, say: Callable[[str], None]) -> list[dict[str, str]]:
    """Make the documents, several kernels at once, and return what they hold; the first fault stops all."""
    waiting: SimpleQueue[_Task] = SimpleQueue()
    for task in tasks:
        waiting.put(task)
    started, left = time.monotonic(), [task.report for task in tasks]

    def serve() -> dict[str, list[dict[str, str]]]:
        held = {}
        with Session() as session:
            while task := _next(waiting):
                notebook = execute(task.document, session)
                write(notebook, task.document, renderer)
                held[task.place] = contents(notebook, task.place)
                left.remove(task.report)
                if task.report not in left:
                    say(f"{task.report}: {renderer}, ready after {time.monotonic() - started:.1f} s")
        return held

    kernels = min(os.cpu_count() or 1, KERNELS, len(tasks))
    with ThreadPoolExecutor(max(kernels, 1)) as pool:
        served = [pool.submit(serve) for _ in range(kernels)]
        try:
            held = {place: rows for future in served for place, rows in future.result().items()}
        finally:
            while _next(waiting):  # after a fault, nobody takes another
                pass
    return [row for task in tasks for row in held[task.place]]


def _next(waiting: SimpleQueue[_Task]) -> _Task | None:
    try:
        return waiting.get_nowait()
    except Empty:
        return None


def _move_all(source: Path, target: Path) -> None:
    """Move every file below ``source`` to the same place below ``target``."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)


def _shown(path: Path) -> str:
    return os.path.relpath(path)
