"""Downloading a pinned file: resumed, retried, checked, and put in place only when it is whole and right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

import httpx

from analysis.core.errors import DataError, MachineError
from analysis.core.files import sha256
from analysis.sources.manifest import Pin, permitted

# Uncompressed, so that a byte range counts the bytes of the file itself.
HEADERS = {"User-Agent": "vanguard-evaluation", "Accept-Encoding": "identity"}
TRANSIENT = frozenset({408, 425, 429})  # and every 5xx
BLOCKED = frozenset({401, 403, 407, 451})


class _Transient(Exception):
    """The attempt failed in a way that another attempt may not."""


def site_reachable(url: str, timeout: float = 8.0) -> bool:
    """Whether the site of ``url`` answers within ``timeout`` seconds, name look-up and proxy included.

    One attempt, in a thread of its own: the system's name look-up cannot be interrupted and may take half a minute.
    Any answer below 500 counts, since it shows that the site can be spoken to, except those of a network that asks for a
    log-in or blocks the way.
    """
    answered = threading.Event()

    def ask() -> None:
        try:
            status = httpx.head(url, timeout=timeout, headers=HEADERS).status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return
        if status < 500 and status not in BLOCKED:
            answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()


def download(
    pin: Pin,
    target_folder: Path,
    hosts: Collection[str] = (),
    attempts: int = 4,
    backoff: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Download ``pin`` to its place below ``target_folder`` and return its path.

    Nothing is asked of a site but the pin's own and ``hosts``, wherever an answer leads, and nothing in clear text.

    Bytes arrive in a `.part` file beside the target, which a later attempt, or a later run, resumes. Transient failures
    (no connection, a time-out, a dropped connection, a 5xx answer) are tried ``attempts`` times in all, with pauses
    of ``backoff`` seconds that double each time. ``timeout`` is in seconds without a byte.

    Raises
    ------
    DataError
        The site has no such file, or its bytes do not match the pin, or it leads elsewhere; nothing is left in place.
    MachineError
        The network failed at every attempt, or the disk cannot be written.
    """
    target = target_folder / pin.file
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        what = "which is not a site of the manifest over https"
        look = only_sites(
            {httpx.URL(pin.url).host, *hosts}, lambda url: _refused(pin, f"{pin.url} leads to {url}, {what}")
        )
        hooks = {"request": [look]}
        with httpx.Client(timeout=timeout, headers=HEADERS, follow_redirects=True, event_hooks=hooks) as client:
            for attempt in range(attempts):
                time.sleep(backoff * 2 ** (attempt - 1) if attempt else 0)
                try:
                    resumed = _receive(client, pin, part)
                    if resumed and not _matches(part, pin):
                        # The beginning may have come from an earlier issue of the file: once more, all of it.
                        part.unlink()
                        _receive(client, pin, part)
                except (_Transient, httpx.TransportError) as error:
                    problem = f"{error}" or type(error).__name__
                    continue
                except httpx.TooManyRedirects as error:
                    raise _refused(pin, f"{pin.url} leads from one address to the next without end") from error
                _accept(part, pin)
                part.replace(target)
                return target
    except OSError as error:
        raise MachineError(
            f"{target}: cannot be written ({error.strerror}). Free some space or check the permissions, and run again."
        ) from error
    raise MachineError(
        f"{pin.url}: {attempts} attempts to download it failed, the last with: {problem}. "
        "What has arrived is kept; the next run resumes it. Check the network, put the file into data_raw by hand, "
        "or run with DATA=snapshot."
    )


def only_sites(hosts: Collection[str], refused: Callable[[str], DataError]) -> Callable[[httpx.Request], None]:
    """Looks at every request before it is made, those that an answer led to included; ``refused`` makes the error of an address."""

    def look(request: httpx.Request) -> None:
        if request.url.host not in hosts or not permitted(str(request.url)):
            raise refused(str(request.url))

    return look


def _receive(client: httpx.Client, pin: Pin, part: Path) -> bool:
    """Receive what ``part`` still lacks; True if it was resumed, not started."""
    have = part.stat().st_size if part.exists() else 0
    if have >= pin.bytes:
        part.unlink(missing_ok=True)
        have = 0
    with client.stream("GET", pin.url, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
        if answer.status_code >= 500 or answer.status_code in TRANSIENT:
            raise _Transient(f"HTTP status {answer.status_code}")
        if answer.status_code == 416:
            part.unlink()
            raise _Transient("the site refused to resume")
        if answer.status_code not in (200, 206):
            raise _refused(pin, f"HTTP status {answer.status_code} from {answer.url}")
        resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise _Transient("the site resumed at another place than asked")
        size = have if resumed else 0
        with open(part, "ab" if resumed else "wb") as handle:
            for block in answer.iter_raw():
                handle.write(block)
                size += len(block)
                if size > pin.bytes:
                    break  # longer than the pinned file, so it will be refused, however much more would come
    return resumed


def _matches(part: Path, pin: Pin) -> bool:
    return part.stat().st_size == pin.bytes and sha256(part) == pin.sha256


def _accept(part: Path, pin: Pin) -> None:
    if _matches(part, pin):
        return
    found = f"SHA-256 {sha256(part)} ({part.stat().st_size:,} bytes) from {pin.url}"
    part.unlink()
    raise _refused(pin, found)


def _refused(pin: Pin, found: str) -> DataError:
    return DataError(
        file=pin.file,
        found=found,
        expected=f"SHA-256 {pin.sha256} ({pin.bytes:,} bytes), as data_raw/manifest.csv pins it",
        action="open the address in a browser: a log-in page of the network answers like this, and so does a file that "
        "the publisher moved or re-issued; put the pinned file into data_raw by hand, or run with DATA=snapshot",
    )
