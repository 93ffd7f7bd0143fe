"""The last arrow: results → reports, with their index."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from analysis.errors import UsageError
from analysis.files import write_text
from analysis.narrative.places import sites
from analysis.narrative.site import slug
from analysis.narrative.verdicts import headline
from analysis.publish.provenance import edition, edition_date
from analysis.publish.render import choose, render_report, renderer_versions
from analysis.publish.session import Session
from analysis.results import Results, load_results
from analysis.workspace import Workspace

HEADLINE = "headline.txt"
BRIEF, SITES = "brief", "sites"  # one source, a document for each site


def build_reports(work: Workspace, names: Sequence[str], say: Callable[[str], None]) -> str:
    """Render the named reports, or all, as HTML and PDF; return the headline and where to look.

    Raises
    ------
    UsageError
        There is no report of that name.
    """
    folder = work.root / "reports"
    sources = {
        source.stem: source for source in [*sorted(folder.glob("*.qmd")), *sorted((folder / SITES).glob("*.qmd"))]
    }
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
    os.environ["RENDERER_USED"] = f"{renderer} ({versions})"  # for the kernel, which prints it
    metadata = {"dataset-name": results.dataset_name, "edition": edition(results), "date": edition_date()}
    with Session() as session:
        for name in names or sources:
            seconds = 0.0
            for place, more, parameters in _documents(name, results):
                html, pdf = (work.reports / f"{place}.{suffix}" for suffix in ("html", "pdf"))
                shutil.rmtree(work.staged, ignore_errors=True)
                made = render_report(
                    sources[name], html, pdf, session=session, renderer=renderer, metadata=metadata | more, parameters=parameters
                )  # fmt: skip
                _move_all(work.staged, work.reports)
                seconds += made.seconds
            say(f"{name}: {renderer}, {seconds:.1f} s")
    text = "\n".join([*headline(results), f"Open {_shown(work.reports / 'index.html')}"])
    write_text(text + "\n", work.reports / HEADLINE)
    return text


def _documents(name: str, results: Results) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """The documents of a source: where each goes, its own metadata, and its parameters."""
    if name != BRIEF:
        yield name, {}, {}
        return
    for site in sites(results, results.protocol.primary_outcomes[0].id).site:
        yield f"{SITES}/{slug(site)}", {"title": site}, {"site": site}


def _move_all(source: Path, target: Path) -> None:
    """Move every file below ``source`` to the same place below ``target``."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, place)
    shutil.rmtree(source, ignore_errors=True)


def _shown(path: Path) -> str:
    return os.path.relpath(path)
