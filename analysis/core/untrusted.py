"""Text that comes from outside the code: names, notes, the protocol's words. It is data, and never markup.

``outside`` marks it where the reports load it: each character that could be markup somewhere is carried as a private-use
character, which means nothing to any language. Every place that writes puts the characters back in its own way: ``references``
in Markdown, HTML and XML, ``plain`` where nothing is markup, ``spreadsheet`` in a CSV. A place that forgets shows private-use
characters, which a test looks for in everything that a build writes.

What an ordinary name holds (a hyphen, an apostrophe, an ampersand, parentheses) is no markup where it stands, and stays itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel

Content = TypeVar("Content")

PRIVATE = 0xE000  # a character is carried as the one so far above it
CARRIED = re.compile("[\ue021-\ue07e]")
CITATION = re.compile("\ue05b\ue040([A-Za-z][A-Za-z0-9]*)\ue05d")  # [@key], carried
# Markup of Markdown, HTML, Typst, TeX, matplotlib's mathematics and Quarto's shortcodes; no name of a column, a term or a choice has any.
MARKUP = re.compile(
    r"""^\(?\w{1,9}[.)](?=\s|$)|^%"""  # 1. or (a) or a percent sign at the beginning: an item of a list, a title
    r"""|[\\`*<>\[\]{}^~$@|"]"""
    r"""|(?<![^\W_])_|_(?![\w+-])"""  # but not inside a word, as in att_year1 or quarter_+0
    r"""|\#(?!\w)"""  # a heading; a colour is none
    r"""|&(?=\#?\w+;)"""  # a character reference
    r"""|(?<!\S)[-+:](?=\s|$)|:(?=[:/])"""  # an item of a list, a caption, a fence, an address
    r"""|-(?=-)|(?<=-)-|\.(?=\.)|(?<=\.)\."""  # what becomes a dash, a rule or an ellipsis
)
BLANKS = re.compile(r"[ \t\n\r\v\f\x1c-\x1f\x85\u2028\u2029]+")
# Control characters, marks of direction and others that nobody sees, and what is no character: private use, halves, ends of planes.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\uf8ff\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
# How a cell begins that a spreadsheet takes for a formula, or that is guarded already
FORMULA = re.compile(r"'*[=+\-@＝＋－＠]")
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE)
GUARD = "'"


def mark(text: str) -> str:
    """Text on one line, its markup carried."""
    return MARKUP.sub(lambda found: "".join(map(_carried, found[0])), printable(text))


def outside(content: Content) -> Content:
    """The same with every text marked: in a table, a model of the protocol, a list, or the values of a dictionary."""
    found: Any = content
    if isinstance(found, str):
        found = mark(found)
    elif isinstance(found, pd.DataFrame):
        found = _each_text(found, mark)
    elif isinstance(found, BaseModel):
        found = found.model_copy(update={name: outside(value) for name, value in found})
    elif isinstance(found, dict):
        found = {key: outside(value) for key, value in found.items()}
    elif isinstance(found, list):
        found = [outside(value) for value in found]
    return found


def printable(text: str) -> str:
    """Text on one line, without what cannot be seen."""
    return UNPRINTABLE.sub("", BLANKS.sub(" ", text)).strip(" ")


def plain(text: str) -> str:
    """Carried characters as themselves."""
    return CARRIED.sub(lambda found: chr(ord(found[0]) - PRIVATE), text)


def references(text: str) -> str:
    """Carried characters as numeric references, which Markdown, HTML and XML read as the characters and never as markup."""
    return CARRIED.sub(lambda found: f"&#{ord(found[0]) - PRIVATE};", text)


def cited(text: str, keys: Collection[str]) -> str:
    """A marked text that may cite: [@key] of a known work is read as a citation."""
    return CITATION.sub(lambda found: f"[@{found[1]}]" if found[1] in keys else found[0], text)


def spreadsheet(table: pd.DataFrame) -> pd.DataFrame:
    """A table for a CSV, which may be opened in a spreadsheet: a text that would be a formula there begins with an apostrophe."""
    return _each_text(table, lambda text: _guarded(plain(text)))


def unguarded(table: pd.DataFrame) -> pd.DataFrame:
    """A table read back from such a CSV, its texts as they were."""
    return _each_text(table, lambda text: text[1:] if text[:1] == GUARD and FORMULA.match(text) else text)


def slug(name: str) -> str:
    """The name of a site's files."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _carried(character: str) -> str:
    return character if character.isalnum() else chr(PRIVATE + ord(character))


def _guarded(text: str) -> str:
    return GUARD + text if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """The table with its texts changed. Most repeat, and most stay: each is looked at once, and a column without a change is left alone."""
    changed: dict[Any, pd.Series] = {}
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
            continue
        texts = [value for value in column.dropna().unique() if isinstance(value, str)]
        new = {text: other for text in texts if (other := change(text)) != text}
        if new:
            changed[name] = column.map(lambda value, new=new: new.get(value, value), na_action="ignore")
    return table.assign(**changed) if changed else table
