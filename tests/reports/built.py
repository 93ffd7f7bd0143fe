"""The reports as a reader gets them, built once from each data set there is; what the tests of them share.

Results are estimated with few placebo draws, which changes no sentence's form and saves minutes.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import pypdf
import pytest
from synthetic import quicker

from analysis.core.tabular import read_table
from analysis.core.untrusted import slug
from analysis.core.workspace import PROTOCOL_FILE, Workspace
from analysis.protocol.protocol import load_protocol
from analysis.publish.build import build_reports
from analysis.publish.quarto import find_quarto
from analysis.reporting.results import Results, load_results
from analysis.stages.data import build_data

REPOSITORY = Path(__file__).parents[2]
FLOATS = {
    "evaluation": [
        "fig-growth", "fig-rates", "fig-event-study", "fig-controlled-series", "fig-sites", "fig-choices", "tbl-sites", "tbl-ledger",
        "tbl-growth", "tbl-effects", "tbl-certainty", "tbl-outcomes", "tbl-its", "tbl-sources", "tbl-baseline",
    ],
    "appendix": [
        "fig-variants", "fig-event-study-all", "fig-leave-one-out", "fig-placebo-starts", "fig-placebo-places",
        "fig-evaluability", "tbl-methods-mcp", "tbl-methods-pacs", "tbl-methods-mcp-pacs", "tbl-variants", "tbl-joint-tests",
        "fig-curve", "fig-relative", "fig-smoothness", "fig-synthetic", "fig-forest", "fig-funnel", "tbl-verdicts", "tbl-moves",
        "tbl-trends", "tbl-trends-first", "tbl-synthetic", "tbl-donors", "tbl-pool", "tbl-sites-mcp", "tbl-sites-pacs",
        "tbl-placebos", "tbl-controls", "tbl-group-time", "tbl-delayed", "tbl-errors", "tbl-power", "tbl-evaluability",
        "tbl-absent", "tbl-its-all", "fig-single-series", "fig-series-methods", "tbl-series-mcp", "tbl-series-pacs", "tbl-series-mcp-pacs",
        "tbl-series-rest", "tbl-series-errors", "fig-autocorrelation", "tbl-residuals", "tbl-series-starts", "tbl-series-choices",
        "tbl-series-sites", "tbl-series-outcomes", "tbl-series-power", "tbl-england",
        "tbl-deviations", "tbl-guidelines",
    ],
    "data-quality": [
        "fig-masked", "tbl-masked", "tbl-runs-non-elective-admissions", "tbl-runs-elective-admissions", "tbl-runs-gp-referrals",
        "tbl-runs-first-outpatients", "tbl-thresholds", "tbl-shifts", "tbl-whole", "fig-national", "tbl-files",
    ],
    "reconciliation": ["tbl-compared", "tbl-apart"],
    "refresh": ["tbl-editions"],
    "index": ["tbl-briefs", "tbl-numbers"],
}  # fmt: skip
EVERY_FLOAT = [(page, identity) for page, identities in FLOATS.items() for identity in identities]
_COHORTS = read_table(REPOSITORY / "data_raw" / "vanguard_ccgs.csv", ["vanguard", "model"])
BRIEFS = [f"sites/{slug(site)}" for site in _COHORTS.vanguard[_COHORTS.model.isin(load_protocol().model_ids)].unique()]
PAGES = [*FLOATS, *BRIEFS]
LONG = ["evaluation", "appendix"]
# A push looks at the build of the published files that it made and that would ship; nights look at every kind.
KINDS = ["mar"] if os.environ.get("BUILT") else ["snapshot", "mar", *(["quarto"] if find_quarto() else [])]
BLOCK = re.compile(r"<(p|li|td|th|figcaption|dt|dd|h[1-6])\b[^>]*>(.*?)</\1>", re.DOTALL)


def visible(markup: str) -> str:
    """The text of a piece of HTML, with single blanks."""
    markup = re.sub(r"<(script|style|annotation)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    text = html.unescape(
        re.sub(r"<[^>]+>", "", re.sub(r"<(?:br|/p|/li|/td|/th|/div|/figcaption|/h\d)\b[^>]*>", " ", markup))
    )
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("\u2060", "")).strip()


def compact(text: str) -> str:
    """Text without blanks and invisible marks: what a line break cannot change."""
    return re.sub(r"[\s\u00ad\u200b\u2060\ufeff]+", "", text)


@dataclass(frozen=True)
class Built:
    """A build folder with its reports."""

    work: Workspace

    @cached_property
    def results(self) -> Results:
        return load_results(self.work)

    def html(self, name: str = "evaluation") -> str:
        return _html(*_as_it_is(self.work.reports / f"{name}.html"))

    def main(self, name: str = "evaluation") -> str:
        return _main(*_as_it_is(self.work.reports / f"{name}.html"))

    def section(self, identity: str) -> str:
        """From a section's heading to the next heading of the first level below the title."""
        return re.search(rf'<h2[^>]*id="{identity}".*?(?=<h2\b|</main>)', self.main(), re.DOTALL)[0]

    def floats(self, name: str) -> list[str]:
        """The page's figures and tables; those of what this data set or this edition does not hold are left out."""
        absent = set() if self.work.data == "mar" else {"tbl-delayed", "tbl-shifts"}
        absent |= set() if self.results.simulation is not None else {"tbl-errors", "tbl-power"}
        return [identity for identity in FLOATS[name] if identity not in absent]

    def figure(self, name: str, identity: str) -> str:
        """One figure or table with its caption, as markup; the test is passed over where the page rightly has none."""
        found = self.main(name).partition(f'<figure id="{identity}"')[2].partition("</figure>")[0]
        assert bool(found) == (identity in self.floats(name))
        if not found:
            pytest.skip("not of this data set or edition")
        return found

    def pdf(self, name: str = "evaluation") -> pypdf.PdfReader:
        return pypdf.PdfReader(self.work.reports / f"{name}.pdf")

    def pdf_pages(self, name: str = "evaluation") -> list[str]:
        """Each page's text without blanks, header and footer included."""
        return _compact(*_as_it_is(self.work.reports / f"{name}.pdf"))

    def pdf_texts(self, name: str = "evaluation") -> list[str]:
        return _texts(*_as_it_is(self.work.reports / f"{name}.pdf"))

    def pdf_body(self, name: str = "evaluation") -> str:
        """The whole text without blanks, and without what every page repeats."""
        return "".join(self.pdf_bodies(name))

    def pdf_bodies(self, name: str = "evaluation") -> list[str]:
        """The same, page by page."""
        title = compact(visible(re.search(r"<title>(.*?)</title>", self.html(name), re.DOTALL)[1]))
        head = compact(f"Data: {self.results.dataset_name}")
        foot = re.compile(r"Datato\w+·commit\w+?(\d+of\d+)")
        return [
            foot.sub("", page).replace(title, "", 1 if page.startswith(title) else 0).replace(head, "", 1)
            for page in self.pdf_pages(name)
        ]

    def is_printed(self, text: str, name: str = "evaluation") -> bool:
        """Whether the PDF has a text without blanks; where it goes on over a page, a figure may stand between its parts."""
        pages = self.pdf_bodies(name)
        if text in "".join(pages):
            return True
        most = [bisect(range(1, len(text) + 1), False, key=lambda end: text[:end] not in page) for page in pages]
        return any(text[begun:] in page for begun, page in zip(most, pages[1:], strict=False))


def _as_it_is(path: Path) -> tuple[Path, int]:
    """A file and the time of its last change: what was read of it is kept until it changes."""
    return path, path.stat().st_mtime_ns


@cache
def _html(path: Path, changed: int) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _main(path: Path, changed: int) -> str:
    return re.search(r"<main\b.*?</main>", _html(path, changed), re.DOTALL)[0]


@cache
def _compact(path: Path, changed: int) -> list[str]:
    return [compact(page) for page in _texts(path, changed)]


@cache
def _texts(path: Path, changed: int) -> list[str]:
    """Each page's text: by Poppler where it is installed, which takes a fraction of pypdf's time and gives the same text."""
    if shutil.which("pdftotext") is None:
        return [page.extract_text() for page in pypdf.PdfReader(path).pages]
    read = subprocess.run(["pdftotext", "-raw", "-enc", "UTF-8", path, "-"], capture_output=True, text=True, check=True)
    return read.stdout.split("\f")[:-1]


@contextmanager
def environment(work: Workspace) -> Iterator[None]:
    """The choices that the reports' kernel reads, which stands in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUILD", str(work.build))
        patch.setenv("DATA", work.data)
        yield


def build(work: Workspace, folder: Path) -> None:
    rules = folder / "protocol.toml"
    rules.write_text(quicker(PROTOCOL_FILE.read_text(encoding="utf-8")), encoding="utf-8")
    assert {s.draws for s in load_protocol(rules).specifications} == {199, 99}
    with pytest.MonkeyPatch.context() as offline:
        # What a machine says that has neither the files nor a network is longer than what one says that asked for the snapshot.
        offline.setattr("analysis.sources.acquire.site_reachable", lambda url: False)
        asked = "auto" if work.data == "snapshot" else work.data
        build_data(replace(work, data=asked), say=lambda message: None)
    # In a process of its own: there the package comes before numpy, and holds its libraries to one thread a worker.
    program = (
        "import analysis.stages.results as s, contextlib as c, pathlib as p, sys, analysis.core.workspace as w\n"
        "work = w.Workspace(build=p.Path(sys.argv[1]), protocol_file=p.Path(sys.argv[2]))\n"
        "if __name__ == '__main__': s.build_results(work, lambda n: c.nullcontext(lambda: None), workers=int(sys.argv[3]))"
    )
    arguments = [str(work.build), str(rules), str(os.cpu_count() or 1)]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, cwd=REPOSITORY)
    with environment(work):
        build_reports(work, [], say=lambda message: None)
