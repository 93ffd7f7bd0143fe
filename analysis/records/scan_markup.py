"""Pages, drawings and other markup → their texts as a reader sees them, what is written in the markup itself, and tables."""

from __future__ import annotations

import base64
import binascii
import re
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import pandas as pd

from analysis.records.scan_pieces import Packed, Pieces, Table, Text

# Elements that stand within a line; all others end it. Those of office documents have a prefix.
_INLINE = """
    a abbr b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strong sub sup time tspan tt u var wbr
    r t rpr w:r w:t w:rpr a:r a:t a:rpr text:span
"""
INLINE = frozenset(_INLINE.split())
# Attributes of drawings that hold coordinates and sizes, not texts.
_GEOMETRY = (
    "d points transform gradienttransform patterntransform viewbox x y x1 x2 y1 y2 cx cy dx dy r rx ry width height"
)
GEOMETRY = frozenset(_GEOMETRY.split())
COORDINATES = re.compile(
    r"[\s\d.,eE+\-MmLlHhVvCcSsQqTtAaZz]*|(\s*(matrix|translate|scale|rotate|skew[XY])\([\s\d.,eE+\-]*\)\s*)*"
)
DATA_ADDRESS = re.compile(r"data:([\w/+.\-]*)((?:;[\w=.\-]+)*),([^\"')<>\s]*)")
# Numbers of documents that are made anew each time, in the metadata of a PDF; they are of no person.
OF_DOCUMENTS = frozenset(("xmpmm:documentid", "xmpmm:instanceid", "xmpmm:originaldocumentid"))


def html_pieces(text: str) -> Pieces:
    return _pieces(_Parser(), text)


def xml_pieces(text: str) -> Pieces:
    """Likewise of XML, where no element's content is a script."""
    parser = _Parser()
    parser.CDATA_CONTENT_ELEMENTS = ()  # type: ignore[misc]
    return _pieces(parser, text)


def _pieces(parser: _Parser, text: str) -> Pieces:
    parser.feed(text)
    parser.close()
    yield Text("text", "".join(parser.shown))
    yield Text("markup", "\n".join(parser.hidden))
    for number, (kind, content) in enumerate(parser.addresses, 1):
        yield Packed(f"embedded {kind or 'file'} {number}", content)
    for number, rows in enumerate(parser.tables, 1):
        width = max(map(len, rows), default=0)
        filled = [row + [""] * (width - len(row)) for row in rows]
        if len(filled) > 1:
            yield Table(f"table {number}", pd.DataFrame(filled[1:], columns=filled[0], index=range(2, len(filled) + 1)))
    for number, block in enumerate(parser.blocks, 1):
        if block.count("\n") > 1:
            yield Packed(f"block {number} of text", block.encode())


class _Parser(HTMLParser):
    """Collects what is ``shown``, what is ``hidden`` in attributes and comments, ``tables`` as rows of cells, preformatted ``blocks``, and the files in
    ``data:`` addresses."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.hidden: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.blocks: list[str] = []
        self.addresses: list[tuple[str, bytes]] = []
        self._open: list[list[list[str]]] = []  # tables within tables
        self._cell: list[str] | None = None
        self._block: list[str] | None = None
        self._passed = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._passed = tag in OF_DOCUMENTS
        if tag not in INLINE:
            self._say("\n")
        for name, value in attrs:
            if value and not (name in GEOMETRY and COORDINATES.fullmatch(value)):
                self.hidden.append(f"{name}={self._without_data(value)}")
        if tag == "table":
            self._open.append([])
        elif tag == "tr" and self._open:
            self._end_cell()
            self._open[-1].append([])
        elif tag in ("td", "th") and self._open:
            self._end_cell()
            if not self._open[-1]:
                self._open[-1].append([])
            self._cell = []
        elif tag == "pre":
            self._block = []

    def handle_endtag(self, tag: str) -> None:
        self._passed = False
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()
        if tag == "table" and self._open:
            self.tables.append([row for row in self._open.pop() if row])
        if tag == "pre" and self._block is not None:
            self.blocks.append("".join(self._block))
            self._block = None
        if tag not in INLINE:
            self._say("\n")

    def handle_data(self, data: str) -> None:
        if not self._passed:
            self._say(self._without_data(data) if "data:" in data else data)

    def handle_comment(self, data: str) -> None:
        self.hidden.append(data)

    def handle_decl(self, decl: str) -> None:
        self.hidden.append(decl)

    def unknown_decl(self, data: str) -> None:
        self._say(data.removeprefix("CDATA["))

    def handle_pi(self, data: str) -> None:
        if not data.startswith("xpacket"):  # which has a constant for an id
            self.hidden.append(data)

    def _say(self, text: str) -> None:
        self.shown.append(text)
        for part in (self._cell, self._block):
            if part is not None:
                part.append(text)

    def _end_cell(self) -> None:
        if self._cell is not None and self._open and self._open[-1]:
            self._open[-1][-1].append(" ".join("".join(self._cell).split()))
        self._cell = None

    def _without_data(self, text: str) -> str:
        """The text without the files that ``data:`` addresses in it hold, which are kept."""

        def kept(found: re.Match[str]) -> str:
            content = unquote_to_bytes(found[3])
            if "base64" in found[2]:
                try:
                    content = base64.b64decode(content + b"==")
                except binascii.Error:
                    return found[0]
            self.addresses.append((found[1], content))
            return f"data:{found[1]}"

        return DATA_ADDRESS.sub(kept, text) if "data:" in text else text
