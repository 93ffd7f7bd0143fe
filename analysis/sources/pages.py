"""The publisher's pages: the workbooks that they link to, fetched into a folder where they are checked before anything is pinned."""

from __future__ import annotations

from collections.abc import Callable, Collection
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from analysis.core.errors import DataError, MachineError
from analysis.core.files import atomic_path
from analysis.sources.fetch import HEADERS, only_sites
from analysis.sources.limits import LARGEST
from analysis.sources.manifest import name_problem
from analysis.sources.workbook import WORKBOOK_NAMES

PAGES = "data_raw/publication_pages.csv"
TIMEOUT = 30.0  # seconds without a byte


def fetch_new(
    pages: Collection[str], held: Collection[str], folder: Path, wanted: Callable[[str], bool]
) -> dict[str, str]:
    """Fetch every workbook that the pages, or pages below them, link to and whose address is not ``held``; name → address.

    ``wanted`` says by its name whether a workbook is of interest. Only the pages' own sites are asked, over https.

    Raises
    ------
    DataError
        A page leads to another site, or not over https; a page is not there; a link's last part is no name of a file; a file is
        far too large.
    MachineError
        The network failed, or the disk cannot be written.
    """
    hosts = {urlsplit(page).hostname or "" for page in pages}

    def refused(url: str) -> DataError:
        expected = f"one of {', '.join(sorted(hosts))}, over https"
        return DataError(
            PAGES, f"an address that leads to {url}", expected, "Correct the page's address.", column="url"
        )

    found: dict[str, str] = {}
    try:
        with httpx.Client(
            timeout=TIMEOUT,
            headers=HEADERS,
            follow_redirects=True,
            event_hooks={"request": [only_sites(hosts, refused)]},
        ) as client:
            for address in _workbooks(client, pages, hosts):
                name = _name(address)
                if address not in held and wanted(name):
                    if name.casefold() in {each.casefold() for each in found}:  # another page has a file of this name
                        name = f"{len(found)}-{name}"
                    _receive(client, address, folder / name)
                    found[name] = address
    except (httpx.TransportError, httpx.TooManyRedirects) as problem:
        raise MachineError(
            f"{', '.join(pages)}: cannot be read ({problem or type(problem).__name__}). "
            "Check the network, or put the new files into a folder and run `make refresh FROM=folder`."
        ) from problem
    return found


def _workbooks(client: httpx.Client, pages: Collection[str], hosts: Collection[str]) -> list[str]:
    """Addresses of workbooks on the pages and on those below them, each once, in the order in which they stand."""
    found: dict[str, None] = {}
    for page in pages:
        links = _links(client, page)
        below = [link for link in links if link.startswith(page) and link.rstrip("/") != page.rstrip("/")]
        inner = [link for each in dict.fromkeys(below) if not _is_workbook(each) for link in _links(client, each)]
        found |= {link: None for link in [*links, *inner] if _is_workbook(link) and urlsplit(link).hostname in hosts}
    return list(found)


def _links(client: httpx.Client, page: str) -> list[str]:
    answer = client.get(page)
    if answer.status_code >= 400:
        raise DataError(
            PAGES,
            f"HTTP status {answer.status_code} from {answer.url}",
            "a page of the publisher that lists the monthly files",
            "Correct the page's address, or put the new files into a folder and run `make refresh FROM=folder`.",
            column="url",
        )
    parser = _Links()
    parser.feed(answer.text)
    return [address for link in parser.found if (address := _address(str(answer.url), link))]


def _address(page: str, link: str) -> str | None:
    """The address that a link leads to; None where it is no address at all."""
    try:
        address = urljoin(page, link).partition("#")[0]
        httpx.URL(address)
    except (ValueError, httpx.InvalidURL):
        return None
    return address


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _is_workbook(address: str) -> bool:
    return urlsplit(address).path.lower().endswith(WORKBOOK_NAMES)


def _name(address: str) -> str:
    """The name that a link's last part gives its file. The link is a stranger's text: decoded, it must name a file, not a place."""
    name = decoded = unquote(PurePosixPath(urlsplit(address).path).name).strip()
    problem = name_problem(name)
    while not problem and (again := unquote(decoded)) != decoded:  # encoded twice or more
        decoded, problem = again, name_problem(again)
    if problem:
        raise DataError(
            address,
            f"a link to a file {decoded!r}, which {problem}",
            "a link whose last part is the name of a workbook",
            "Open the page in a browser; put the files that it should have into a folder and run `make refresh FROM=folder`.",
        )
    return name


def _receive(client: httpx.Client, address: str, target: Path) -> None:
    with client.stream("GET", address) as answer, atomic_path(target) as place, open(place, "wb") as handle:
        size = 0
        for block in answer.iter_raw():
            size += len(block)
            if answer.status_code >= 400 or size > LARGEST:
                break
            handle.write(block)
        if answer.status_code >= 400 or size > LARGEST:
            what = f"HTTP status {answer.status_code}" if answer.status_code >= 400 else f"over {LARGEST:,} bytes"
            raise DataError(address, what, "a monthly workbook", "Open the page in a browser and look at the link.")
