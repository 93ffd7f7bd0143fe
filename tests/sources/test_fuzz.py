"""Thousands of spoilt inputs: each is read, or refused in the words of the project; none crashes, hangs or eats the memory.

`make check` tries the same few hundred every time, `make fuzz` five thousand new ones (``FUZZ`` says how many in all).
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st
from sources.fuzz import Reader, readers, spoilt_bytes, spoilt_sheets, write

from analysis.core.errors import EvaluationError

NAMES = ["mar", "dtoc", "ae", "ons", "ons of 2018", "cohorts", "protocol", "manifest"]
INPUTS = int(os.environ.get("FUZZ", "1000"))
SPARE = 2 << 30  # bytes that reading a file of some kilobytes may ask for, at the very most
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def every(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return readers(repository, tmp_path_factory.mktemp("good"))


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    earlier = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + SPARE, earlier[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, earlier)


def tries(share: int) -> settings:
    few = "FUZZ" not in os.environ
    return settings(
        max_examples=max(INPUTS // share, 1), derandomize=few, database=None, deadline=timedelta(seconds=5),
        suppress_health_check=list(HealthCheck), verbosity=Verbosity.normal, print_blob=True,
    )  # fmt: skip


def check(reader: Reader, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        reader.read(path)
    except EvaluationError as refusal:
        said = str(refusal)
        assert path.name in said and all(part in said for part in ("found:", "expected:", "to do:"))
        assert len(said) < 10_000


@pytest.mark.parametrize("name", NAMES)
def test_the_good_one_is_read(name: str, every: dict[str, Reader], tmp_path: Path) -> None:
    path = tmp_path / f"good{every[name].suffix}"
    path.write_bytes(every[name].good)
    every[name].read(path)


@pytest.mark.parametrize("name", NAMES)
def test_spoilt_bytes(name: str, every: dict[str, Reader], tmp_path: Path) -> None:
    reader = every[name]

    @tries(2 * len(NAMES))
    @given(content=spoilt_bytes(reader.good))
    def each(content: bytes) -> None:
        check(reader, tmp_path / f"spoilt{reader.suffix}", content)

    each()


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("mar", "dtoc", "ae", "ons")])
def test_spoilt_cells(name: str, every: dict[str, Reader], tmp_path: Path) -> None:
    reader = every[name]
    assert reader.sheets is not None

    @tries(8)
    @given(sheets=spoilt_sheets(reader.sheets))
    def each(sheets: dict[str, list[list[object]]]) -> None:
        check(reader, tmp_path / "spoilt.xls", write(sheets))

    each()


@pytest.mark.parametrize("name", ["cohorts", "manifest", "ons of 2018", "protocol"])
def test_spoilt_lines(name: str, every: dict[str, Reader], tmp_path: Path) -> None:
    """Text in the place of a cell or a value, whatever it is."""
    reader = every[name]
    lines = reader.good.decode().splitlines()
    mark = "=" if reader.suffix == ".toml" else ","
    places = [(at, part) for at, line in enumerate(lines) for part in range(line.count(mark) + 1) if mark in line]
    values = st.one_of(
        st.text(max_size=12),
        st.sampled_from(["", '""', '"', "0", "-1", "1e999", "nan", "[]", "{}", "true", '"2017-13"', "2015-02-30"]),
    )

    @tries(8)
    @given(place=st.sampled_from(places), value=values)
    def each(place: tuple[int, int], value: str) -> None:
        at, part = place
        parts = lines[at].split(mark)
        parts[part] = value
        text = "\n".join([*lines[:at], mark.join(parts), *lines[at + 1 :]]) + "\n"
        check(reader, tmp_path / f"spoilt{reader.suffix}", text.encode("utf-8", "surrogatepass"))

    each()
