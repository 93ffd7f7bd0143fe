"""Where files are taken from, and what happens when the set is not whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest
from local_site import Site, serving

from analysis.core.errors import DataError
from analysis.sources.acquire import SetUnavailable, acquire
from analysis.sources.manifest import Pin

APRIL, MAY = date(2017, 4, 1), date(2017, 5, 1)
CONTENT = {APRIL: b"April's figures", MAY: b"May's figures"}


@dataclass(frozen=True)
class Places:
    data_raw: Path
    mirror: Path
    cache: Path

    def put(self, folder: Path, pin: Pin, content: bytes | None = None) -> Path:
        path = folder / pin.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[pin.month] if content is None else content)
        return path

    def acquire(self, pins: list[Pin]) -> dict[Pin, Path]:
        return acquire(pins, self.data_raw, self.mirror, self.cache)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "data_raw", tmp_path / "mirror", tmp_path / "downloads")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({f"/{month:%Y-%m}.xls": content for month, content in CONTENT.items()}) as site:
        yield site


@pytest.fixture
def pins(site: Site) -> list[Pin]:
    return [
        Pin(
            source="mar",
            month=month,
            file=f"mar/{month:%Y-%m}.xls",
            url=f"{site.url}/{month:%Y-%m}.xls",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            publisher="NHS England",
            title="",
            published=None,
            revised=None,
            licence="OGL v3.0",
        )
        for month, content in CONTENT.items()
    ]


def offline(pins: list[Pin]) -> list[Pin]:
    """The pins at a port where nothing listens."""
    return [replace(pin, url="http://127.0.0.1:9/file.xls") for pin in pins]


def test_the_order_of_places(places: Places, pins: list[Pin], site: Site) -> None:
    april, may = pins
    downloaded = places.acquire(pins)
    assert downloaded == {pin: places.cache / pin.file for pin in pins}
    assert len(site.requests) == 2
    places.put(places.mirror, april)
    assert places.acquire(pins) == {april: places.mirror / april.file, may: places.cache / may.file}
    places.put(places.data_raw, april)
    places.put(places.data_raw, may)
    assert places.acquire(pins) == {pin: places.data_raw / pin.file for pin in pins}
    assert len(site.requests) == 2  # what is here is not downloaded again


def test_only_what_is_missing_is_downloaded(places: Places, pins: list[Pin], site: Site) -> None:
    places.put(places.mirror, pins[0])
    assert list(places.acquire(pins)) == pins
    assert [path for path, _ in site.requests] == ["/2017-05.xls"]


def test_nothing_here_and_no_network(places: Places, pins: list[Pin]) -> None:
    with pytest.raises(SetUnavailable) as unavailable:
        places.acquire(offline(pins))
    message = str(unavailable.value)
    assert message.startswith("None of the 2 published files is at hand") and message.endswith(
        "127.0.0.1:9 cannot be reached."
    )
    assert "\n" not in message


def test_nothing_here_and_one_file_without_an_address(places: Places, pins: list[Pin], site: Site) -> None:
    with pytest.raises(SetUnavailable, match=r"mar/2017-05.xls \(May 2017\) has no address"):
        places.acquire([pins[0], replace(pins[1], url="")])
    assert site.requests == []


def test_a_mirror_that_is_not_set(places: Places, pins: list[Pin]) -> None:
    with pytest.raises(SetUnavailable, match="cannot be reached"):
        acquire(offline(pins), places.data_raw, None, places.cache)


def test_some_here_and_the_rest_out_of_reach(places: Places, pins: list[Pin]) -> None:
    pins = offline(pins)
    places.put(places.data_raw, pins[0])
    with pytest.raises(DataError) as refusal:
        places.acquire(pins)
    error = refusal.value
    assert error.file == "mar/2017-05.xls"
    assert "1 of the 2 files missing: mar/2017-05.xls (May 2017)" in error.found
    assert "cannot be reached" in error.found
    assert all(str(folder) in error.expected for folder in (places.data_raw, places.mirror, places.cache))
    assert "DATA=snapshot" in error.action and str(places.data_raw) in error.action


@pytest.mark.cases(quick=1)
@pytest.mark.fault(
    "a spoilt file in `data_raw/`, the mirror or the cache",
    "refused with both SHA-256; never passed over",
)
@pytest.mark.parametrize("folder", ["data_raw", "mirror", "cache"])
def test_a_wrong_file_is_never_passed_over(folder: str, places: Places, pins: list[Pin]) -> None:
    path = places.put(getattr(places, folder), pins[0])
    assert places.acquire(pins)[pins[0]] == path
    path.write_bytes(b"other figures")
    with pytest.raises(DataError, match=pins[0].sha256) as refusal:
        places.acquire(pins)
    assert refusal.value.file == path
    shutil.rmtree(path.parents[1])
    assert places.acquire(pins)


def test_a_wrong_download_is_never_passed_over(places: Places, pins: list[Pin], site: Site) -> None:
    site.faults = [b"<html>"]
    with pytest.raises(DataError, match="a log-in page of the network"):
        places.acquire(pins)
    assert not (places.cache / pins[0].file).exists()
