"""Addresses of databases without what must not be shown: user names, passwords, tokens and options."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote

HIDDEN = "…"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# A host, a port and a path; what follows, such as options behind a question mark or a semicolon, is not shown.
PLACE = re.compile(r"(?P<host>[^/:?;&#@=]*)(:\d+(?=/|$))?(?P<path>(/[^:?;&#@=]*)?)")
TABLE = re.compile(r"[\w .$\"\[\]-]+")
# What no path is, but an address that was written in another way may be.
CREDENTIALS = re.compile(r"(?i)[:=].*@|\b\w*(pass|pwd|secret|token)\w*\s*[=:]|^\w+:/[^/]|^(jdbc|odbc):")
ADDRESS = re.compile(r"[^\s'\"]*://.*", re.DOTALL)
NAMES_OF_OPTIONS = re.compile(r"(?<=[?&;])[\w .-]+(?==)")
SEPARATORS = re.compile(r"[/:?#&=;@]+")


def is_address(place: str) -> bool:
    return "://" in place


def shown(place: str) -> str:
    """An address as messages and the build's manifest show it: kind, host, database and table; a path is not changed.

    Passwords hold any character. Where it is not certain what is the password's, no more than the kind is shown.
    """
    if not is_address(place):
        return place if os.path.exists(place) or not CREDENTIALS.search(place) else HIDDEN
    scheme, _, rest = place.partition("://")
    url, _, table = rest.rpartition("#") if "#" in rest else (rest, "", "")
    before, _, after = url.rpartition("@")
    kind = scheme if SCHEME.fullmatch(scheme) else HIDDEN
    match = PLACE.match(after)
    if match is None or re.search(r"[?;#]", before):
        return f"{kind}://{HIDDEN}"
    where = f"{kind}://{match['host']}{match['path']}"
    if match.end() < len(after):  # so that what stands after a # may be of a password too
        return where + HIDDEN
    return where + (f"#{table}" if TABLE.fullmatch(table) else "")


def without_addresses(text: str) -> str:
    """A message in which addresses are as ``shown`` gives them."""
    return ADDRESS.sub(lambda match: shown(match[0]), text)


def without_secrets(text: str, url: str) -> str:
    """A driver's message without the parts of an address that ``shown`` leaves out, however the driver writes them."""
    options = set(NAMES_OF_OPTIONS.findall(url))
    known = {*SEPARATORS.split(shown(url)), *options}
    secrets = {part for form in (url, unquote(url)) for part in SEPARATORS.split(form)} - known - {""}
    forms = {form for part in secrets for form in (part, unquote(part), quote(unquote(part), safe=""))}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text
