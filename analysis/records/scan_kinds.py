"""A file → the texts and tables in it, whatever it is packed in. What a file is, its content says and not its name."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import pyarrow as pa

from analysis.records.scan_documents import parquet_pieces, pdf_pieces, workbook_pieces
from analysis.records.scan_markup import html_pieces, xml_pieces
from analysis.records.scan_pieces import Closed, Packed, Pieces, Table, Text, Unreadable
from analysis.records.scan_texts import json_pieces, plain_pieces

LARGEST = 2_000_000_000  # bytes of a file, unpacked
DEEPEST = 6  # files within files
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
MARKUP = re.compile(r"\s*<[!?\w]")
PAGE = re.compile(r"<!doctype html|<html|<(body|table|div|p|span|td|h\d)\b", re.IGNORECASE)


def pieces(name: str, content: bytes, place: str = "", depth: int = 0) -> Iterator[Text | Table | Closed]:
    """The texts and tables of a file, with those of the files in it; and what of it cannot be looked into, whatever the reason."""
    try:
        for piece in _reader(name, content)(content):
            if isinstance(piece, Packed):
                there = _joined(place, piece.name)
                if depth == DEEPEST:
                    yield Closed(there, f"more than {DEEPEST} files are packed in one another")
                    continue
                yield Text(there, piece.name)
                yield from pieces(piece.name, piece.content, there, depth + 1)
            else:
                yield replace(piece, place=_joined(place, piece.place))
    except Unreadable as problem:
        yield Closed(place, str(problem))
    except (
        Exception
    ) as problem:  # whatever a reader raises of a broken file: it was not looked into, which its owner has to know
        yield Closed(place, f"it cannot be read ({type(problem).__name__})")


def _joined(*places: str) -> str:
    return ", ".join(filter(None, places))


def _reader(name: str, content: bytes) -> Callable[[bytes], Pieces]:
    begin = content[:1024]
    if not content.strip():
        return lambda content: iter(())
    if begin.startswith(b"PAR1"):
        return parquet_pieces
    if b"%PDF-" in begin:
        return pdf_pieces
    if zipfile.is_zipfile(io.BytesIO(content)):
        return zip_pieces
    for magic, codec in COMPRESSED.items():
        if begin.startswith(magic):
            return partial(_decompressed, name, codec)
    if content[257:262] == b"ustar":
        return tar_pieces
    if begin.startswith(PICTURES) or (begin[:4] == b"RIFF" and begin[8:12] == b"WEBP"):
        raise Unreadable("a picture of pixels")
    return _reader_of_text(name, _decoded(content))


def _reader_of_text(name: str, text: str) -> Callable[[bytes], Pieces]:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".html", ".htm", ".xhtml"):
        return lambda content: html_pieces(text)
    if suffix in (".svg", ".xml") or MARKUP.match(text[:2000]):
        return lambda content: (html_pieces if PAGE.search(text[:5000]) and "<svg" not in text[:500] else xml_pieces)(
            text
        )
    if suffix in (".json", ".ipynb", ".geojson", ".jsonl", ".ndjson") or text.lstrip()[:1] in ("{", "["):
        return lambda content: json_pieces(text)
    return lambda content: plain_pieces(text, suffix)


def _decoded(content: bytes) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\x00" in content:
        raise Unreadable("a file of no kind that is known here")
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    text = content.decode("cp1252", errors="replace")
    strange = sum(character < " " and character not in "\t\n\r\f" for character in text) + text.count("\ufffd")
    if strange > 0.001 * len(text):
        raise Unreadable("a file of no kind that is known here")
    return text


def zip_pieces(content: bytes) -> Pieces:
    """The members of an archive; of a workbook its sheets too, and of any office document its parts."""
    begin = content.find(b"PK")
    if begin > 0:
        yield Packed("what stands before the archive", content[:begin])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.comment:
            yield Text("comment", archive.comment.decode("utf-8", "replace"))
        members = archive.infolist()
        if sum(member.file_size for member in members) > LARGEST:
            raise Unreadable("more than 2 GB unpacked")
        for member in members:
            if member.comment:
                yield Text(f"comment of {member.filename}", member.comment.decode("utf-8", "replace"))
            if member.flag_bits & 1:
                yield Closed(member.filename, "it is encrypted")
            elif not member.is_dir():
                yield Packed(member.filename, archive.read(member))
    if any(member.filename.startswith("xl/") for member in members):
        yield from workbook_pieces(content)


def tar_pieces(content: bytes) -> Pieces:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            yield Text(
                member.name,
                "\n".join([member.uname, member.gname, member.linkname, *map(str, member.pax_headers.values())]),
            )
            if (packed := archive.extractfile(member) if member.isfile() else None) is not None:
                yield Packed(member.name, packed.read())


def _decompressed(name: str, codec: str, content: bytes) -> Pieces:
    """The one file in a compressed one; the header of gzip may have a name and a comment."""
    if codec == "gzip" and content[3] & 0x18:
        yield Text("header", content[10:512].split(b"\x00\x00")[0].decode("latin-1").replace("\x00", "\n"))
    packed = io.BytesIO(content)
    with lzma.LZMAFile(packed) if codec == "xz" else pa.CompressedInputStream(packed, codec) as stream:
        yield Packed(PurePosixPath(name).stem, _bounded(stream.read))


def _bounded(read: Callable[[int], bytes]) -> bytes:
    content = read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Unreadable("more than 2 GB unpacked")
    return content
