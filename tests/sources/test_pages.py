"""Looking for new files on the publisher's pages, on a site of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources.local_site import Site, serving

from analysis.core.errors import DataError, MachineError
from analysis.sources.pages import fetch_new

PAGE = b'<p>Years: <a href="/mar/2017-18/">2017-18</a> <a href="/other/">elsewhere</a> <a href="https://example.org/x.xls">x</a></p>'
YEAR = b'<a href="../files/April%2017.xls">April</a><A HREF="/mar/files/May.xlsx#top">May</A><a href="/mar/files/notes.pdf">notes</a>'


@pytest.fixture
def site() -> Site:
    files = {"/mar/": PAGE, "/mar/2017-18/": YEAR, "/mar/files/April%2017.xls": b"april", "/mar/files/May.xlsx": b"may"}
    with serving(files) as site:
        yield site


def every(name: str) -> bool:
    return True


def test_workbooks_of_a_page_and_of_those_below_it(site: Site, tmp_path: Path) -> None:
    found = fetch_new([f"{site.url}/mar/"], [], tmp_path, every)
    assert found == {
        "April 17.xls": f"{site.url}/mar/files/April%2017.xls",
        "May.xlsx": f"{site.url}/mar/files/May.xlsx",
    }
    assert (tmp_path / "April 17.xls").read_bytes() == b"april" and (tmp_path / "May.xlsx").read_bytes() == b"may"
    assert not any("other" in path for path, _ in site.requests), "a page that is not below was asked for"


def test_what_is_held_or_not_wanted_is_not_fetched(site: Site, tmp_path: Path) -> None:
    held = [f"{site.url}/mar/files/May.xlsx"]
    assert fetch_new([f"{site.url}/mar/"], held, tmp_path, lambda name: "April" not in name) == {}
    assert not list(tmp_path.iterdir())


LINKS = {
    "..%2F..%2F..%2Fdata_raw%2Fmar%2Fplanted.xls": "separator",
    "..%5C..%5Cplanted.xls": "separator",
    "%252e%252e%252fplanted.xls": "separator",
    "%25252e%25252e%25255cplanted.xls": "separator",
    "%2Ftmp%2Fplanted.xls": "separator",
    "C%3Aplanted.xls": "separator",
    "planted%00.xls": "cannot be seen",
    "April%0A17.xls": "cannot be seen",
    "April%E2%80%AElsx.xls": "cannot be seen",
    f"{'x' * 300}.xls": "more than 200 bytes",
}


@pytest.mark.cases(quick=4)
@pytest.mark.fault(
    "a link on the publisher's page whose last part decodes to `../../data_raw/mar/planted.xls`, once or twice",
    "refused; nothing is asked for or written",
)
@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_names_a_place(link: str, site: Site, tmp_path: Path) -> None:
    site.files["/mar/"] = f'<a href="/mar/files/{link}">April</a>'.encode()
    site.files[f"/mar/files/{link}"] = b"planted"
    folder = tmp_path / "a/b/c"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match=LINKS[link]) as refusal:
        fetch_new([f"{site.url}/mar/"], [], folder, every)
    assert "FROM=folder" in refusal.value.action
    assert [path for path, _ in site.requests] == ["/mar/"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_name_is_the_links_wherever_it_leads(site: Site, tmp_path: Path) -> None:
    site.files["/mar/"] = b'<a href="/mar/files/April%2B%252017.xls">April</a>'
    site.files["/mar/..%2Fother.xls"] = b"april"
    site.faults = [0.0, "to /mar/..%2Fother.xls"]
    assert list(fetch_new([f"{site.url}/mar/"], [], tmp_path, every)) == ["April+%2017.xls"]
    assert (tmp_path / "April+%2017.xls").read_bytes() == b"april"


def test_two_files_of_one_name(site: Site, tmp_path: Path) -> None:
    site.files["/mar/"] = b'<a href="/mar/2016/April.xls">2016</a><a href="/mar/2017/april.XLS">2017</a>'
    site.files |= {"/mar/2016/April.xls": b"2016", "/mar/2017/april.XLS": b"2017"}
    found = fetch_new([f"{site.url}/mar/"], [], tmp_path, every)
    assert [(tmp_path / name).read_bytes() for name in found] == [b"2016", b"2017"]
    assert [address.removeprefix(site.url) for address in found.values()] == [
        "/mar/2016/April.xls",
        "/mar/2017/april.XLS",
    ]


def test_links_that_are_no_addresses(site: Site, tmp_path: Path) -> None:
    site.files["/mar/"] = (
        b'<a href="https://[x/a.xls">a</a><a href="http://x:y/b.xls">b</a><a href="files/May.xlsx">May</a>'
    )
    assert list(fetch_new([f"{site.url}/mar/"], [], tmp_path, every)) == ["May.xlsx"]


def test_a_page_that_is_not_there(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="HTTP status 404"):
        fetch_new([f"{site.url}/gone/"], [], tmp_path, every)


def test_a_link_that_leads_to_another_site(site: Site, tmp_path: Path) -> None:
    site.files["/mar/"] = b'<a href="/mar/a.xls">a</a>'
    site.faults = [0.0, "to https://example.org/a.xls"]
    with pytest.raises(DataError, match="an address that leads to https://example"):
        fetch_new([f"{site.url}/mar/"], [], tmp_path, every)
    assert not list(tmp_path.iterdir())


def test_a_page_without_encryption(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="over https"):
        fetch_new(["http://www.example.org/"], [], tmp_path, every)


def test_a_site_that_cannot_be_reached(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"make refresh FROM=folder"):
        fetch_new(["http://127.0.0.1:9/"], [], tmp_path, every)
