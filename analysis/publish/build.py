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
from threading import Lock

from analysis.build.steps import BRIEF, INDEX, SITES, report_sources
from analysis.core.errors import MachineError, UsageError
from analysis.core.files import write_table, write_text
from analysis.core.scratch import MARK, scratch_folder
from analysis.core.untrusted import plain, slug
from analysis.core.workspace import Workspace
from analysis.publish.contents import contents, merged
from analysis.publish.render import Document, Renderer, choose, execute, renderer_versions, write
from analysis.publish.session import Session
from analysis.reporting.about.provenance import edition, edition_date
from analysis.reporting.results import Results, load_results
from analysis.reporting.sites.places_words import sites
from analysis.reporting.verdicts.words import headline

Rows = list[dict[str, str]]
KERNELS = 4  # at most; another one costs more seconds of imports than it saves


@dataclass(frozen=True)
class _Task:
    """A document, the report that it belongs to, and its place below the folder of reports."""

    report: str
    place: str
    document: Document


def build_reports(work: Workspace, names: Sequence[str], say: Callable[[str], None]) -> dict[str, list[Path]]:
    """Render the named reports, or all, as HTML and PDF; write the headline and where to look; return the files of each.

    All of them are made before the first is put in its place, so that a fault leaves the earlier edition whole. What an earlier
    edition had and this one has not leaves the build with the manifest. The index follows where another report's figures and tables changed.

    Raises
    ------
    UsageError
        There is no report of that name, or the stages before did not run.
    MachineError
        A file cannot be written.
    ReportError
        A document is at fault; it names the source, the cell and the line.
    """
    sources = report_sources(work)
    unknown = sorted(set(names) - set(sources))
    if unknown:
        raise UsageError(f"There is no report {unknown[0]!r}. There are: {', '.join(sources)}.")
    tables = ("verdicts", "sites", "specification_curve", "curve_choices", "its_methods")
    work.require(
        work.panel,
        work.units,
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
    chosen = list(dict.fromkeys(names)) or list(sources)
    tasks = [task for name in chosen if name != INDEX for task in _tasks(name, sources[name], results)]

    def index(held: dict[str, Rows]) -> list[_Task]:
        """The index, once what the others hold is known; none where it would be as it is."""
        rows = [row for task in tasks for row in held[task.place]]
        table = merged(work.contents if names else None, rows, [task.place for task in tasks])
        write_table(table, work.staged_contents)
        same = work.contents.is_file() and work.contents.read_bytes() == work.staged_contents.read_bytes()
        return [] if same and INDEX not in chosen else list(_tasks(INDEX, sources[INDEX], results))

    scratch_folder(work.staged, anew=True)
    try:
        held = _make(tasks, index, renderer, work.workers, say)
        _move_all(work.staged, work.reports)
    finally:
        shutil.rmtree(work.staged, ignore_errors=True)
    text = "\n".join([*headline(results), f"Open {_shown(work.reports / 'index.html')}"])
    write_text(plain(text) + "\n", work.headline)
    made: dict[str, list[Path]] = {}
    for report, place in [*((task.report, task.place) for task in tasks), *([(INDEX, INDEX)] if INDEX in held else [])]:
        files = [
            f"{place}.html",
            f"{place}.pdf",
            f"{place}.ipynb",
            *(row[kind] for row in held[place] for kind in ("numbers", "picture")),
        ]
        made.setdefault(report, []).extend(work.reports / file for file in dict.fromkeys(files) if file)
    if INDEX in made:
        made[INDEX] += [work.contents, work.headline]
    return made


def _tasks(name: str, source: Path, results: Results) -> Iterator[_Task]:
    """The documents of a source: where each goes, its own metadata, and its parameters."""
    metadata = {"dataset-name": results.edition_name, "edition": edition(results), "date": edition_date()}

    def task(place: str, more: dict[str, str], parameters: dict[str, str]) -> _Task:
        html, pdf = (results.work.staged / f"{place}.{suffix}" for suffix in ("html", "pdf"))
        return _Task(name, place, Document(source, html, pdf, metadata | more, parameters))

    if name != BRIEF:
        yield task(name, _titles(results).get(name, {}), {})
        return
    for site in sites(results, results.protocol.primary_outcomes[0].id).site:
        yield task(f"{SITES}/{slug(site)}", {"title": site}, {"site": site})


def _titles(results: Results) -> dict[str, dict[str, str]]:
    """What the protocol calls the study, for the reports that are called so; the subtitle says it where records were counted too."""
    protocol = results.protocol
    evaluation = {"title": protocol.study.title}
    if protocol.report.subtitle:
        counted = f", with {results.records_name}" if results.work.has_records else ""
        evaluation["subtitle"] = protocol.report.subtitle + counted
    return {"evaluation": evaluation, INDEX: {"title": protocol.report.name}}


def _make(
    tasks: Sequence[_Task],
    then: Callable[[dict[str, Rows]], Sequence[_Task]],
    renderer: Renderer,
    workers: int,
    say: Callable[[str], None],
) -> dict[str, Rows]:
    """Make the documents, several kernels at once, then those that ``then`` asks for, told what each place holds; return that.

    After a fault no other document is begun.
    """
    waiting: SimpleQueue[_Task] = SimpleQueue()
    started, lock = time.monotonic(), Lock()
    left: list[str] = []  # reports of the documents that are not made yet
    held: dict[str, Rows] = {}
    last = [then]

    def put(more: Sequence[_Task]) -> None:
        for task in more:
            left.append(task.report)
            waiting.put(task)

    def done(task: _Task, rows: Rows) -> None:
        held[task.place] = rows
        left.remove(task.report)
        if task.report not in left:
            say(f"{task.report}: {renderer}, ready after {time.monotonic() - started:.1f} s")
        if last and not left:
            put(last.pop()(held))

    def serve() -> None:
        try:
            with Session() as session:
                while task := _next(waiting):
                    notebook = execute(task.document, session)
                    write(notebook, task.document, renderer)
                    with lock:
                        done(task, contents(notebook, task.place))
        except BaseException:
            _empty(waiting)  # nobody takes another
            raise

    put(tasks or last.pop()(held))
    kernels = min(workers, KERNELS, len(left))
    with ThreadPoolExecutor(kernels) as pool:
        served = [pool.submit(serve) for _ in range(kernels)]
        try:
            for future in served:
                future.result()
        finally:
            _empty(waiting)  # nor after an interruption
    return held


def _next(waiting: SimpleQueue[_Task]) -> _Task | None:
    try:
        return waiting.get_nowait()
    except Empty:
        return None


def _empty(waiting: SimpleQueue[_Task]) -> None:
    while _next(waiting):
        pass


def _move_all(source: Path, target: Path) -> None:
    """Move every file below ``source`` to the same place below ``target``."""
    files = [file for file in sorted(source.rglob("*")) if file.is_file() and file != source / MARK]
    places = {file: target / file.relative_to(source) for file in files}
    try:
        for file, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, place)
    except OSError as problem:
        raise MachineError(
            f"{target}: cannot be written ({problem.strerror}). What was not put in its place yet is as it was. "
            "Check the folder's permissions and run again."
        ) from problem


def _shown(path: Path) -> str:
    return os.path.relpath(path)
