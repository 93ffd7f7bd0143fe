"""Where official files come from: `data_raw`, the mirror, earlier downloads, the publisher's site, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from analysis.core.errors import DataError, EvaluationError
from analysis.sources.fetch import download, site_reachable
from analysis.sources.manifest import Pin, locate, verify


class SetUnavailable(EvaluationError):
    """None of the files is here and the set cannot be downloaded; the message is one sentence for the reader."""


def acquire(pins: Sequence[Pin], data_raw: Path, mirror: Path | None, cache: Path) -> dict[Pin, Path]:
    """A verified local file for every pin, in the order of ``pins``.

    Downloads go below ``cache``. The network is not touched while a missing file has no address, since then
    the set could not become whole.

    Raises
    ------
    SetUnavailable
        No file of the set is present, and it cannot be downloaded: the embedded snapshot is the way on.
    DataError
        Some files are present and others are neither present nor to be downloaded; or a file, wherever it came
        from, is not the pinned one.
    MachineError
        The network failed during a download.
    """
    folders = [data_raw, mirror, cache]
    found = {pin: verify(path, pin) for pin in pins if (path := locate(pin, folders))}
    missing = [pin for pin in pins if pin not in found]
    obstacle = _obstacle(missing)
    if obstacle and not found:
        raise SetUnavailable(f"None of the {len(pins)} published files is at hand, and {obstacle}.")
    if obstacle:
        raise DataError(
            file=missing[0].file,
            found=f"{len(missing)} of the {len(pins)} files missing: {'; '.join(map(_name, missing))}; {obstacle}",
            expected=f"each of them in {_places(folders)}, or at its address",
            action=f"put {'it' if len(missing) == 1 else 'them'} into {data_raw}, or run with DATA=snapshot",
        )
    hosts = {urlsplit(pin.url).hostname or "" for pin in missing}
    found |= {pin: download(pin, cache, hosts) for pin in missing}
    return {pin: found[pin] for pin in pins}


def _obstacle(missing: Sequence[Pin]) -> str | None:
    """Why the missing files cannot be downloaded, as a clause; None if they can, or none is missing."""
    without = [pin for pin in missing if not pin.url]
    if without:
        return f"{_name(without[0])} has no address to download it from"
    for site, url in {urlsplit(pin.url).netloc: pin.url for pin in missing}.items():
        if not site_reachable(url):
            return f"{site} cannot be reached"
    return None


def _name(pin: Pin) -> str:
    return f"{pin.file} ({pin.month:%B %Y})" if pin.month else pin.file


def _places(folders: Sequence[Path | None]) -> str:
    data_raw, mirror, cache = folders
    return f"{data_raw}, {mirror or 'the mirror folder (MIRROR is not set)'} or {cache}"
