"""Downloads, from a real server on this machine: resumed, retried, and never leaving a wrong file in place."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from local_site import Site, serving

from analysis.core.errors import DataError, MachineError
from analysis.sources.fetch import download, site_reachable
from analysis.sources.manifest import Pin

CONTENT = bytes(range(256)) * 400  # 102,400 bytes, about the size of a return
NAME = "mar/MAR-Apr-17.xls"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({"/MAR-Apr-17.xls": CONTENT}) as site:
        yield site


@pytest.fixture
def pin(site: Site) -> Pin:
    return Pin(
        source="mar",
        month=date(2017, 4, 1),
        file=NAME,
        url=f"{site.url}/MAR-Apr-17.xls",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
        publisher="NHS England",
        title="",
        published=None,
        revised=None,
        licence="OGL v3.0",
    )


def fetch(pin: Pin, folder: Path) -> Path:
    return download(pin, folder, backoff=0.01, timeout=2)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_whole_file(site: Site, pin: Pin, tmp_path: Path) -> None:
    assert fetch(pin, tmp_path) == tmp_path / NAME
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert files_in(tmp_path) == ["MAR-Apr-17.xls"]
    assert len(site.requests) == 1


@pytest.mark.fault(
    "a connection that breaks",
    "the rest is asked for, from where it broke",
)
def test_a_dropped_connection_is_resumed_where_it_broke(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = ["drop", "drop"]
    fetch(pin, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == [None, "bytes=51200-", "bytes=76800-"]


@pytest.mark.fault(
    "a run that ends in the middle of a download",
    "the next run asks for the rest",
)
def test_an_interrupted_run_is_resumed_by_the_next(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = ["drop"]
    with pytest.raises(MachineError, match="the next run resumes"):
        download(pin, tmp_path, attempts=1)
    assert files_in(tmp_path) == ["MAR-Apr-17.xls.part"]
    fetch(pin, tmp_path)
    assert site.requests[-1][1] == "bytes=51200-"
    assert files_in(tmp_path) == ["MAR-Apr-17.xls"]


def test_a_site_without_byte_ranges(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = ["drop", "ignore range"]
    fetch(pin, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.fault(
    "a beginning of other bytes, left by an earlier run",
    "thrown away; the file is asked for anew",
)
def test_a_beginning_from_another_issue_is_thrown_away(site: Site, pin: Pin, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    fetch(pin, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == ["bytes=1000-", None]


@pytest.mark.fault(
    "a site that answers 503, 429 or 500, then 200",
    "asked again, ever later",
)
def test_a_busy_site_is_asked_again(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = [503, 429, 500]
    fetch(pin, tmp_path)
    assert len(site.requests) == 4


@pytest.mark.fault(
    "a site that stays busy",
    "exit code 3 after four attempts, with the address",
)
def test_a_site_that_stays_busy(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = [503] * 9
    with pytest.raises(MachineError, match=r"4 attempts.*503") as failure:
        fetch(pin, tmp_path)
    assert failure.value.exit_code == 3
    assert len(site.requests) == 4
    assert files_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.fault(
    "a site that stalls in the middle of a file",
    "the rest is asked for",
)
def test_a_site_that_stalls_is_asked_for_the_rest(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = [1.0]
    download(pin, tmp_path, backoff=0.01, timeout=0.2)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == [None, "bytes=51200-"]


def test_a_file_that_moved_on_its_site_is_followed(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.files["/moved.xls"] = CONTENT
    site.faults = ["to /moved.xls"]
    fetch(pin, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.fault(
    "a site that redirects in a loop",
    "refused with its address; nothing stays",
)
def test_a_site_that_leads_in_circles(site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = ["to /MAR-Apr-17.xls"] * 99
    with pytest.raises(DataError, match="from one address to the next without end"):
        fetch(pin, tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.fault(
    "a site that redirects to another, or to clear text",
    "refused before anything is asked there",
)
@pytest.mark.parametrize("elsewhere", ["http://www.england.nhs.uk/file.xls", "https://example.org/file.xls"])
def test_a_site_that_leads_elsewhere(elsewhere: str, site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = [f"to {elsewhere}"]
    with pytest.raises(DataError, match=f"leads to {elsewhere}, which is not a site of the manifest over https"):
        download(pin, tmp_path, hosts=["www.england.nhs.uk"], backoff=0.01, timeout=2)
    assert files_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.fault(
    "a site that no longer has the file",
    "refused with its address; nothing stays",
)
@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_file_that_is_not_there_is_not_asked_for_again(status: int, site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = [status]
    with pytest.raises(DataError, match=f"{NAME}\n.*HTTP status {status} from {pin.url}") as failure:
        fetch(pin, tmp_path)
    assert "DATA=snapshot" in failure.value.action
    assert len(site.requests) == 1
    assert files_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.fault(
    "other bytes than pinned: a log-in page with status 200, one byte changed, longer, without end",
    "refused with both SHA-256; nothing stays",
)
@pytest.mark.parametrize(
    "wrong",
    [b"<html>Log in to the network</html>", CONTENT[:-1] + b"!", CONTENT + b"more", CONTENT[1:] + b"!" * 99_999],
    ids=["log-in page", "one byte", "longer", "endless"],
)
def test_wrong_bytes_are_refused_and_not_kept(wrong: bytes, site: Site, pin: Pin, tmp_path: Path) -> None:
    site.faults = [wrong]
    with pytest.raises(DataError, match=f"SHA-256 [0-9a-f]{{64}}.*from {pin.url}\n.*{pin.sha256}"):
        fetch(pin, tmp_path)
    assert files_in(tmp_path) == []
    assert len(site.requests) == 1


def test_a_folder_that_cannot_be_made(pin: Pin, tmp_path: Path) -> None:
    (tmp_path / "mar").write_text("a file where the folder should be")
    with pytest.raises(MachineError, match="cannot be written"):
        fetch(pin, tmp_path)


def test_a_reachable_site(site: Site, pin: Pin) -> None:
    assert site_reachable(pin.url)


@pytest.mark.slow
def test_sites_that_do_not_answer(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        start = time.monotonic()
        assert not site_reachable(f"http://127.0.0.1:{port}/", timeout=0.5)
        assert time.monotonic() - start < 2
    assert not site_reachable(f"http://127.0.0.1:{port}/")  # refused, now that nothing listens
    start = time.monotonic()
    assert not site_reachable("https://no-such-site.invalid/file.xls")
    assert time.monotonic() - start < 10
