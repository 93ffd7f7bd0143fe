"""The scanner, tried: leaks of every kind that are planted one by one in a clean build, and harmless things that look like them."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import ibis
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pypdf
import pytest
import typst

from analysis.build.manifest import MANIFEST
from analysis.core.errors import UsageError
from analysis.panel.panel import PANEL
from analysis.records.definitions import OUTCOMES
from analysis.records.released import RELEASED
from analysis.records.sampled import PERSONS, sample_of
from analysis.records.scan import scan

NHS = "943 476 5919"  # the NHS Data Dictionary's example
DIGITS = NHS.replace(" ", "")
TOKEN = "0123456789abcdef" * 2
PATIENT = "KX7-00042q"  # an identifier of no form that anything knows
Content = bytes | Callable[[Path], bytes]


def csv_of(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def parquet_of(table: pd.DataFrame, metadata: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    written = pa.Table.from_pandas(table)
    pq.write_table(written.replace_schema_metadata({**(written.schema.metadata or {}), **(metadata or {})}), out)
    return out.getvalue()


def pdf_of(source: str = "A report.") -> Callable[[Path], bytes]:
    def compiled(folder: Path) -> bytes:
        (folder / "source.typ").write_text(source, encoding="utf-8")
        return bytes(typst.compile(str(folder / "source.typ")))

    return compiled


def pdf_with(change: Callable[[pypdf.PdfWriter], object]) -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def zip_of(*members: tuple[str, bytes], comment: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = comment.encode()
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def tar_of(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def workbook_of(*cells: tuple[str, object], hidden: bool = False) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    sheet = book.create_sheet("cells")
    sheet.sheet_state = "hidden" if hidden else "visible"
    for place, value in cells:
        sheet[place] = value
    book.save(out)
    return out.getvalue()


def page(body: str, head: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>".encode()


def drawing(body: str) -> bytes:
    return f'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">{body}</svg>'.encode()


def address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def places(**changes: object) -> pd.DataFrame:
    """``by_commissioner.csv`` of two months, the second wholly suppressed, with some columns changed."""
    table = pd.DataFrame(
        {
            "source": "patient-level records",
            "unit": "00A",
            "unit_name": "NHS A CCG",
            "month": ["2015-04-01", "2015-05-01"],
        }
    )
    for name in OUTCOMES:
        table[name] = [100, None]
    return table.assign(**{"mean_length_of_stay": [1.0, None], **changes})


def panel(**changes: object) -> pd.DataFrame:
    base: dict[str, object] = {
        "geography": "ccg", "unit": "00A", "unit_name": "NHS A CCG", "month": pd.to_datetime(["2015-04-01", "2015-05-01"]), "outcome": "emergency_admissions",
        "value_published": [100.0, None], "population_published": 123_457.0, "value": [100.0, None], "population": [123_457.0, None], "quality": ["ok", "small_count"],
        "days": 30, "model": "MCP", "site": "A site", "covered_share": 1.0, "other_programmes": "", "dataset": "records",
    }  # fmt: skip
    return pd.DataFrame(
        {**base, **changes}, columns=[*PANEL.columns, *(name for name in changes if name not in PANEL.columns)]
    )


ESTIMATES = pd.DataFrame(
    {"estimate_id": ["a", "b"], "outcome": ["emergency_admissions", "gp_referrals"], "estimate": [3.0, -0.02], "n_units": [7, 203], "rank": [1, 2], "dataset": "records"}
)  # fmt: skip
NOTED = ESTIMATES.copy()
NOTED.attrs = {"emergency_admissions": {"00A": 3}}
PERSONS_OF = pd.DataFrame({"TOKEN_PERSON_ID": [PATIENT, "4000000123", None], "EPIKEY": ["510000000017", "2", "3"]})


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build as the steps write one, with everything that may be in it and nothing that may not leave."""
    build = tmp_path_factory.mktemp("clean")
    private = parquet_of(sample_of([ibis.memtable(PERSONS_OF)], len(PERSONS_OF)))
    files: dict[str, bytes] = {
        "records/panel.parquet": parquet_of(panel()), "records/by_commissioner.csv": csv_of(places()),
        "records/ledger.csv": b"reason,rows,note,what\nused,1000,,counted\nno_date,,suppressed,no date\n",
        "records/shifts.csv": b"outcome,unit,unit_name,month,ratio\nemergency_admissions,00A,NHS A CCG,2016-01-01,1.37\n",
        "records/provenance.json": b'{"engine": "duckdb", "made_up": false, "files": 6}',
        "results/estimates.parquet": parquet_of(ESTIMATES), "results/estimates.csv": csv_of(ESTIMATES),
        "editions/last/quality_ledger.csv": b"outcome,unit,month,published_value\ngp_referrals,00A,2015-04-01,3\n",
        "editions/last/manifest.csv": b"file,title,bytes\nae.xls,A&E attendances and emergency admissions,123457\n",
        "data/national.csv": b"outcome,month,value,missing\ngp_referrals,2015-04-01,123457,3\nae_emergency_admissions,2015-04-01,3,1\n",
        "reports/page.html": page("<h1>A report</h1><p>SHA-256 " + "0f" * 32 + ", 30 of 207 places.</p><table><tr><th>Outcome<th>p<tr><td>GP referrals<td>1</table>"),
        "reports/figures/growth.svg": drawing(f'<path d="M 943 476 5919 L {DIGITS} 2"/><text>2015</text>'),
        "reports/page.pdf": pdf_of("= A report\n#image(\"figure.svg\")")(_with_figure(tmp_path_factory.mktemp("pdf"))),
        "private/persons.parquet": private, "private/panel.parquet": parquet_of(panel(value=3.0)), "downloads/page.html": NHS.encode(), ".lock": b"",
    }  # fmt: skip
    for name, content in files.items():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_bytes(content)
    outputs = {
        name: {"sha256": "0f" * 32, "step": name.split("/")[0]}
        for name in files
        if name.split("/")[0] not in ("private", "downloads", "editions", ".lock")
    }
    (build / MANIFEST).write_text(json.dumps({"steps": {"data": {"SOURCE_DATE_EPOCH": "0"}}, "outputs": outputs}))
    return build


def _with_figure(folder: Path) -> Path:
    (folder / "figure.svg").write_bytes(drawing('<path d="M 1 2"/>'))
    return folder


# Leak → its file in the build, its content, and a part of the place or of what is said.
LEAKS: dict[str, tuple[str, Content, str]] = {
    # Counts in released tables
    "a count of 3 in the panel": ("records/panel.parquet", parquet_of(panel(value_published=[3.0, None])), "column value_published, row 1"),
    "a count of 5, which is a multiple of 5": ("records/panel.parquet", parquet_of(panel(value=[5.0, None])), "a count of 1 to 7 (column value"),
    "a count that is not rounded": ("records/by_commissioner.csv", csv_of(places(emergency_admissions=[103, None])), "not rounded to 5 (column emergency_admissions"),
    "a count of 7 beside safe ones": ("records/by_commissioner.csv", csv_of(places(emergency_longer=[7, None])), "column emergency_longer, row 2"),
    "a count as text": ("records/by_commissioner.csv", csv_of(places(emergency_longer=["'3", None])), "a count of 1 to 7"),
    "a count below a sign": ("records/by_commissioner.csv", csv_of(places(emergency_longer=["<5", None])), "neither a count nor an empty cell"),
    "a negative count": ("records/by_commissioner.csv", csv_of(places(emergency_longer=[-10, None])), "not rounded"),
    "a column under another header": ("records/by_commissioner.csv", csv_of(places(x=[3, None])), "column that the released table does not have (x"),
    "a column without a header": ("records/by_commissioner.csv", csv_of(places()).replace(b",1.0", b",1.0,3"), "column that the released table does not have"),
    "a length of stay beside suppressed counts": ("records/by_commissioner.csv", csv_of(places(mean_length_of_stay=[1.0, 4.5])), "row 3"),
    "a small count in the ledger": ("records/ledger.csv", b"reason,rows,note,what\nused,1000,,\nno_date,3,,\n", "column rows, row 3"),
    "a count among the shifts": ("records/shifts.csv", b"outcome,unit,unit_name,month,ratio,before\nemergency_admissions,00A,A,2016-01-01,1.37,3\n", "(before)"),
    "a number in the provenance": ("records/provenance.json", b'{"engine": "duckdb", "made_up": false, "files": 6, "persons": 3}', "(persons)"),
    "a file of no released name": ("records/exact.csv", b"unit,rows\n00A,100\n", "a file that no released table is called"),
    "a hidden file": ("records/.by_age.csv", b"unit\n00A\n", "a file that no released table is called"),
    "a count in the metadata of Parquet": ("records/panel.parquet", parquet_of(panel(), {"exact": '{"emergency_admissions": [3, 100]}'}), "metadata exact"),
    "a count in attributes of a frame": ("results/estimates.parquet", parquet_of(NOTED), "metadata of pandas"),
    # Counts elsewhere
    "a count by outcome under any header": ("results/table.csv", b"outcome,month,zz\nemergency_admissions,2015-04-01,123\n", "column zz, row 2"),
    "a count by an outcome's label": ("reports/csv/table.csv", b"outcome,value\nEmergency bed days,7\n", "column value, row 2"),
    "a new column of the estimates": ("results/estimates.csv", csv_of(ESTIMATES.assign(zz=[6, 6])), "column zz, row 2"),
    "a table that nothing is known of": ("reports/csv/tbl-x.csv", b"place;n\nA site;3\n", "column n, row 2"),
    "a table in tabs, as text": ("results/x.txt", b"emergency_admissions\tmonth\n3\t2015-04\n15\t2015-05\n", "column emergency_admissions, row 2"),
    "a table in a workbook": ("reports/x.xlsx", workbook_of(("A1", "place"), ("B1", "stays"), ("A2", "A"), ("B2", 3)), "sheet cells: a count of 1 to 7 (column stays"),
    "a table in a page": ("reports/page.html", page("<table><tr><th>Outcome<th>Stays<tr><td>Emergency admissions<td><b>3</b></table>"), "table 1"),
    "a table printed in a page": ("reports/page.html", page("<pre>unit  emergency_admissions\n00A  3\n00B  25</pre>"), "block 1 of text"),
    "a count in JSON": ("reports/x.json", b'{"by month": {"emergency_admissions": {"2015-04": 3}}}', "column emergency_admissions"),
    "a count in rows of JSON": ("reports/x.json", b'[{"outcome": "emergency_bed_days", "n": 12}]', "column n, row 1"),
    "a count in a log": ("refresh/run.log", b"read 6 files\ncounted emergency_admissions: 3 of 00A\n", "a count of 1 to 7"),
    "a count in a sentence": ("reports/headline.txt", b"There were 4 emergency admissions in May.", "a count of 1 to 7"),
    "a count below a longer header": ("reports/page.html", page("<table><tr><th>Place<th>Emergency admissions (n)<tr><td>A<td>3</table>"), "Emergency admissions (n), row 2"),
    "a count of a longer label": ("results/estimates.csv", csv_of(ESTIMATES.assign(outcome="Emergency bed days: MCP", zz=4)), "column zz, row 2"),
    "a count of stays in JSON that no step made": ("reports/x.json", b'{"00A": {"stays": 3}}', "column stays"),
    "a count of people in a drawing": ("reports/figures/growth.svg", drawing("<title>2 people in May</title>"), "a count of 1 to 7"),
    # NHS numbers
    "an NHS number in a page": ("reports/page.html", page(f"<td>{NHS}</td>"), "text: an NHS number (943…)"),
    "one without blanks": ("reports/page.html", page(f"<td>{DIGITS}</td>"), "text: an NHS number"),
    "one with hyphens": ("reports/notes.md", NHS.replace(" ", "-").encode(), "an NHS number"),
    "one with no-break hyphens": ("reports/notes.md", NHS.replace(" ", "\u2011").encode(), "an NHS number"),
    "one with no-break blanks": ("reports/notes.md", NHS.replace(" ", "\u00a0").encode(), "an NHS number"),
    "one with references to blanks": ("reports/page.html", page(NHS.replace(" ", "&nbsp;")), "an NHS number"),
    "one with blanks of no width": ("reports/notes.md", NHS.replace(" ", "\u200b").encode(), "an NHS number"),
    "one in digits of full width": ("reports/notes.md", DIGITS.translate({ord("0") + n: ord("０") + n for n in range(10)}).encode(), "an NHS number"),
    "one split by markup": ("reports/page.html", page("<p>943<b>476</b><span>5919</span></p>"), "an NHS number"),
    "one split in Markdown": ("reports/notes.md", b"943**476**5919", "an NHS number"),
    "one digit by digit": ("reports/notes.md", " ".join(DIGITS).encode(), "an NHS number"),
    "one in an attribute": ("reports/page.html", page(f'<td data-sort="{DIGITS}">A</td>'), "markup: an NHS number"),
    "one in a comment": ("reports/page.html", page(f"<!-- {NHS} -->"), "markup: an NHS number"),
    "one in a script": ("reports/page.html", page("", f'<script>var id = "{DIGITS}";</script>'), "an NHS number"),
    "one in an address": ("reports/page.html", page(f'<a href="?id={NHS.replace(" ", "%20")}">A</a>'), "an NHS number"),
    "one in a page within a page": ("reports/page.html", page(f'<iframe src="{address("text/html", page(NHS))}">'), "embedded text/html 1"),
    "one in a drawing": ("reports/figures/growth.svg", drawing("<text><tspan>943</tspan><tspan>476</tspan><tspan>5919</tspan></text>"), "an NHS number"),
    "one in a drawing's description": ("reports/figures/growth.svg", drawing(f"<metadata><![CDATA[{NHS}]]></metadata>"), "an NHS number"),
    "one in JSON, escaped": ("reports/x.json", json.dumps({"note": NHS.replace(" ", "\u00a0")}).encode(), "an NHS number"),
    "one as a number of JSON": ("reports/x.json", f'{{"k": [{DIGITS}]}}'.encode(), "an NHS number"),
    "one in a CSV": ("results/x.csv", f'a,b\n0.5,"{NHS}"\n'.encode(), "column b: an NHS number"),
    "one as a whole number of Parquet": ("results/x.parquet", parquet_of(pd.DataFrame({"k": [int(DIGITS)]})), "column k: an NHS number"),
    "one as a fraction of Parquet": ("results/x.parquet", parquet_of(pd.DataFrame({"k": [float(DIGITS), 0.5]})), "column k: an NHS number"),
    "one in a list of Parquet": ("results/x.parquet", parquet_of(pd.DataFrame({"k": [[NHS]]})), "column k: an NHS number"),
    "one as a column's name": ("results/x.parquet", parquet_of(pd.DataFrame({DIGITS: ["a"]})), "an NHS number"),
    "one in a log of another encoding": ("refresh/run.log", f"read £5 of {NHS}".encode("cp1252"), "an NHS number"),
    "one in UTF-16": ("refresh/run.log", f"read {NHS}".encode("utf-16"), "an NHS number"),
    "one in the name of a file": (f"reports/{DIGITS}.txt", b"nothing", "name: an NHS number"),
    # PDF
    "a number in a PDF": ("reports/page.pdf", pdf_of(NHS), "page 1: an NHS number"),
    "one as a PDF's title": ("reports/page.pdf", pdf_with(lambda pdf: pdf.add_metadata({"/Title": NHS})), "objects: an NHS number"),
    "one as a bookmark": ("reports/page.pdf", pdf_with(lambda pdf: pdf.add_outline_item(title=NHS, page_number=0)), "objects: an NHS number"),
    "a file attached to a PDF": ("reports/page.pdf", pdf_with(lambda pdf: pdf.add_attachment("rows.csv", f"a\n{NHS}\n".encode())), "attachment"),
    "an encrypted PDF": ("reports/page.pdf", pdf_with(lambda pdf: pdf.encrypt("secret", algorithm="RC4-128")), "it is encrypted"),
    # Other identifiers
    "a pseudonym": ("reports/page.html", page(f"<p>person {TOKEN}</p>"), "a person's token (012…)"),
    "a pseudonym in capitals": ("results/x.csv", f"note\n{TOKEN.upper()}\n".encode(), "a person's token"),
    "a UUID": ("reports/notes.md", b"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "a person's token"),
    "a pseudonym in base 64": ("reports/notes.md", b"HuU8ZJFhTAyGtmr4vnjcKQ==", "a person's token"),
    "an identifier of the extract": ("reports/page.html", page(f"<p>{PATIENT}</p>"), "an identifier of the extract (kx7…)"),
    "a number of the extract": ("results/x.parquet", parquet_of(pd.DataFrame({"k": [4000000123]})), "an identifier of the extract (400…)"),
    "the key of an episode": ("refresh/run.log", b"row 510000000017 was left out", "an identifier of the extract (510…)"),
    "a postcode": ("reports/page.html", page("<p>SW1A&nbsp;1AA</p>"), "a postcode (SW1…)"),
    "a postcode without a blank": ("results/x.csv", b"place\nLS29JT\n", "a postcode"),
    "a postcode in small letters": ("reports/notes.md", b"he lived at m1 1ae", "a postcode"),
    "a date of birth": ("reports/page.html", page("<p>Date of birth: <b>3 February 1950</b></p>"), "a date of birth"),
    "a date of birth in a log": ("refresh/run.log", b"DOB=1950-02-03", "a date of birth"),
    "a column of dates of birth": ("results/x.csv", b"Date of Birth,estimate\n,0.5\n", "a column of patients (Date of Birth)"),
    "a column of patients": ("results/x.csv", b"token_person_id\nx\n", "a column of patients (token_person_id)"),
    "a column of patients, in another case": ("results/x.parquet", parquet_of(pd.DataFrame({"Nhs Number": ["x"]})), "a column of patients (Nhs Number)"),
    "a column of patients, in a longer name": ("results/x.csv", b"patient_dob,estimate\n,0.5\n", "a column of patients (patient_dob)"),
    "a column of a page": ("reports/page.html", page("<table><tr><th>AdmiDate<th>p<tr><td>x<td>0.5</table>"), "a column of patients (AdmiDate)"),
    "a key of JSON": ("reports/x.json", b'[{"LocalPatID": "x"}]', "a column of patients (LocalPatID)"),
    "the name of a column in a log": ("refresh/run.log", b"column EPIKEY has 12 values", "the name of a column of patients (EPIKEY)"),
    # Files within files
    "in a zip archive": ("reports/x.zip", zip_of(("a/rows.txt", NHS.encode())), "a/rows.txt, text: an NHS number"),
    "in a zip in a zip": ("reports/x.zip", zip_of(("in.zip", zip_of(("rows.txt", NHS.encode())))), "in.zip, rows.txt, text: an NHS number"),
    "in a zip of another name": ("reports/x.txt", zip_of(("rows.txt", NHS.encode())), "rows.txt, text: an NHS number"),
    "in the comment of a zip": ("reports/x.zip", zip_of(("a.txt", b"a"), comment=NHS), "comment: an NHS number"),
    "in a tar archive": ("reports/x.tar.gz", tar_of("rows.txt", NHS.encode()), "rows.txt, text: an NHS number"),
    "in gzip": ("reports/x.csv.gz", gzip.compress(b"outcome,n\nemergency_admissions,3\n"), "x.csv: a count of 1 to 7"),
    "in bzip2": ("reports/x.txt.bz2", bz2.compress(NHS.encode()), "x.txt, text: an NHS number"),
    "in xz": ("reports/x.txt.xz", lzma.compress(NHS.encode()), "x.txt, text: an NHS number"),
    "in a hidden sheet": ("reports/x.xlsx", workbook_of(("A1", "a"), ("A2", NHS), hidden=True), "an NHS number"),
    "in a document of Word": ("reports/x.docx", zip_of(("word/document.xml", b"<?xml version='1.0'?><w:p><w:r><w:t>943</w:t></w:r><w:r><w:t>4765919</w:t></w:r></w:p>")), "an NHS number"),
    "before an archive": ("reports/x.zip", NHS.encode() + zip_of(("a.txt", b"a")), "before the archive, text: an NHS number"),
    "after a PDF": ("reports/page.pdf", lambda folder: pdf_of()(folder) + NHS.encode(), "after the document, text: an NHS number"),
    # Files that cannot be looked into
    "a broken PDF": ("reports/page.pdf", b"%PDF-1.7\nnothing", "cannot be looked into"),
    "a broken Parquet file": ("results/estimates.parquet", parquet_of(ESTIMATES)[:-20], "cannot be looked into"),
    "a broken zip archive": ("reports/x.zip", zip_of(("a.txt", b"a" * 100))[:60], "cannot be looked into"),
    "a picture": ("reports/x.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture of pixels"),
    "a picture in a page": ("reports/page.html", page(f'<img src="{address("image/png", bytes([137]) + b"PNG" + bytes(9))}">'), "a picture of pixels"),
    "a database": ("results/x.db", b"SQLite format 3\x00" + bytes(100), "no kind that is known"),
    # Wherever it is in the build
    "in the folder of published data": ("data/x.csv", f"a\n{NHS}\n".encode(), "an NHS number"),
    "in what a refresh wrote": ("refresh/x.csv", f"a\n{NHS}\n".encode(), "an NHS number"),
    "in a recorded edition": ("editions/last/x.csv", f"a\n{NHS}\n".encode(), "an NHS number"),
    "in the folder itself": ("notes.txt", NHS.encode(), "an NHS number"),
    "in a folder of a known name, but below": ("reports/private/x.txt", NHS.encode(), "an NHS number"),
}  # fmt: skip


@pytest.fixture
def build(clean: Path, tmp_path: Path) -> Path:
    """A part of the clean build, which a test adds to: what else is in it is looked at once, by the test of a clean build."""
    build = tmp_path / "build"
    for name in (MANIFEST, f"private/{PERSONS}", "private/panel.parquet", "records/ledger.csv", "downloads/page.html"):
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(clean / name, build / name)
    return build


def put(build: Path, name: str, content: Content, scratch: Path) -> None:
    (build / name).parent.mkdir(parents=True, exist_ok=True)
    (build / name).unlink(missing_ok=True)
    (build / name).write_bytes(content if isinstance(content, bytes) else content(scratch))


@pytest.mark.slow
def test_a_clean_build_has_nothing(clean: Path) -> None:
    assert scan(clean) == []


@pytest.mark.fault(
    "an identifier or a small count stands anywhere in what a build releases",
    "the scanner names the file and the place",
)
@pytest.mark.parametrize("leak", LEAKS)
def test_the_scanner_finds(leak: str, build: Path, tmp_path: Path) -> None:
    name, content, said = LEAKS[leak]
    put(build, name, content, tmp_path)
    found = scan(build)
    assert any(sentence.startswith(f"{name}: ") and said in sentence for sentence in found), found
    assert all(sentence.startswith(f"{name}: ") for sentence in found), "and nothing else"
    assert not any(
        DIGITS in sentence.removeprefix(name) or NHS in sentence or TOKEN in sentence for sentence in found
    ), "an identifier is never shown in full"


HARMLESS: dict[str, tuple[str, Content]] = {
    "a number without a valid check digit": ("reports/notes.md", b"943 476 5918 and 9434765918"),
    "eleven digits": ("reports/notes.md", b"19434765919 94347659191"),
    "decimals": ("reports/notes.md", b"0.9434765919, 1.9434765919 and -3.9434765919e-05"),
    "decimals in a table": ("results/x.csv", b"estimate,p_value\n0.9434765919,3\n-0.4000000123,1\n"),
    "coordinates": ("reports/figures/x.svg", drawing(f'<path d="M943 476 5919 {DIGITS}"/><g transform="translate(943 476)" id="p9434765919"/>')),
    "digests of files and a commit": ("reports/notes.md", ("a1" * 32 + " " + "9434765919" * 4).encode()),
    "digits within a digest": ("reports/notes.md", b"a9434765919b and 0fa9434765919"),
    "names of columns of the panel": ("results/x.parquet", parquet_of(panel(value_published=None, value=None, days=None))),
    "labels, ranks and numbers of places": ("results/x.csv", b"site,month,rank,n_units,n_treated,quarter\nA,2015-04-01,3,7,2,-4\n"),
    "safe counts by outcome": ("results/x.csv", b"outcome,value\nemergency_admissions,120\nemergency_admissions,0\nemergency_admissions,\n"),
    "a p-value of 1 of a released outcome": ("results/x.csv", b"outcome,p_value\nemergency_admissions,1\n"),
    "codes of places and practices": ("reports/notes.md", b"E38000001, 00C, A81001, E01000001 and J189"),
    "names of published files": ("data/sources.json", b'{"mar/MAR_Comm-Web-file-Oct-17_tN447v.xls": "2017-10-01"}'),
    "a telephone number and a long word": ("reports/notes.md", b"020 7946 0123; NewCareModelVanguardEvaluation2018"),
    "months and windows": ("reports/notes.md", b"2013-04-01 2018-03-31, 2013-04/2018-03, on 2015-04-01 12:00"),
    "words about dates of birth": ("reports/page.html", page("<p>No date of birth is read, nor 12 July 2015 as one.</p>")),
    "a ninety-five per cent interval of admissions": ("reports/page.html", page("<p>Emergency admissions -1.2% (-7.2 to +5.3) in 3 sites, 1&ndash;7 suppressed</p>")),
    "a table of a page, of published outcomes": ("reports/page.html", page("<table><tr><th>Outcome<th>n<tr><td>GP referrals<td>3</table>")),
    "numbers of a document": ("reports/page.pdf", pdf_of("943 476 5918")),
    "a page within a page": ("reports/page.html", page(f'<iframe src="{address("text/html", page("nothing"))}">')),
    "an archive of safe files": ("reports/x.zip", zip_of(("results/x.csv", b"site,rank\nA,3\n"), ("notes.txt", b"nothing"))),
    "an empty file": ("reports/empty.txt", b""),
    "a made-up extract": ("made-up-extract/truth.json", b'{"made_up": true, "token": "%s"}' % TOKEN.encode()),
}  # fmt: skip


@pytest.mark.cases(quick=15)
@pytest.mark.parametrize("thing", HARMLESS)
def test_the_scanner_passes(thing: str, build: Path, tmp_path: Path) -> None:
    put(build, *HARMLESS[thing], tmp_path)
    assert scan(build) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "safe"),
    [(0, True), (1, False), (5, False), (7, False), (8, False), (10, True), (12, False), (15, True), (1_000, True)],
)
def test_the_standard_is_fixed(count: int, safe: bool, build: Path, tmp_path: Path) -> None:
    """No setting of a protocol comes into it."""
    put(build, "records/panel.parquet", parquet_of(panel(value_published=float(count))), tmp_path)
    assert (scan(build) == []) is safe


def test_every_finding_of_a_file_is_named(build: Path, tmp_path: Path) -> None:
    put(build, "reports/page.html", page(f"<p>{NHS}, 401 023 2137 and {TOKEN}</p><!-- SW1A 1AA -->"), tmp_path)
    assert scan(build) == [
        "reports/page.html: text: an NHS number (401…), and 1 more",
        "reports/page.html: text: what looks like a person's token (012…)",
        "reports/page.html: markup: a postcode (SW1…)",
    ]


def test_links_lead_nowhere_unseen(build: Path) -> None:
    (build / "reports").mkdir()
    (build / "reports/panel.parquet").symlink_to(build / "private/panel.parquet")
    (build / "reports/all").symlink_to(build / "private")
    (build / "reports/gone").symlink_to(build / "nowhere")
    os.mkfifo(build / "reports/pipe")
    found = scan(build)
    assert any(sentence.startswith("reports/panel.parquet: a count of 1 to 7") for sentence in found)
    for name in ("all", "gone", "pipe"):
        assert any(sentence.startswith(f"reports/{name}: cannot be looked into") for sentence in found), name


@pytest.mark.fault(
    "the scanner is called for a folder that is not there, or holds no records and no build",
    "it says so, and not that nothing was found",
)
def test_a_folder_without_a_build_is_a_wrong_call(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        scan(tmp_path / "nowhere")
    (tmp_path / "other/results").mkdir(parents=True)
    (tmp_path / "other/results/x.csv").write_text("a\n")
    with pytest.raises(UsageError, match="holds no records"):
        scan(tmp_path / "other")
    with pytest.raises(UsageError, match="there is no such folder"):
        scan(clean / MANIFEST)


def test_a_build_without_records_has_nothing(build: Path) -> None:
    shutil.rmtree(build / "records")
    assert scan(build) == []


def test_records_without_a_manifest_are_looked_at(build: Path) -> None:
    (build / MANIFEST).unlink()
    assert [sentence for sentence in scan(build) if sentence.startswith("records/")] == []


def test_the_names_of_a_study_are_known(build: Path, tmp_path: Path) -> None:
    put(build, "reports/page.html", page("<table><tr><th>Outcome<th>Stays<tr><td>Zero days<td>3</table>"), tmp_path)
    assert scan(build) == []
    assert scan(build, ["zero_day", "Zero days"]) == [
        "reports/page.html: table 1: a count of 1 to 7 (column Stays, row 2)"
    ]


def test_the_sample_shows_no_identifier(clean: Path) -> None:
    content = (clean / "private" / PERSONS).read_bytes()
    table = pd.read_parquet(clean / "private" / PERSONS)
    assert len(table) == 3, "those that are too short to tell are left out"
    assert not any(word.encode() in content for word in (PATIENT, PATIENT.lower(), "4000000123", "510000000017"))


def test_a_sample_of_many_rows_is_small() -> None:
    rows = 100_000
    extract = pd.DataFrame({"TOKEN_PERSON_ID": [f"person-{n // 2:08d}" for n in range(rows)], "EPIKEY": range(rows)})
    table = sample_of([ibis.memtable(extract)], rows)
    assert 4_000 < len(table) < 6_000 and set(table.length) == {15}, (
        "about five thousand rows, whose episodes have numbers that are too short"
    )


def test_the_registry_has_every_column_that_is_written(clean: Path) -> None:
    assert {*places().columns} | {"age_band", "network"} == RELEASED["records/by_age.csv"].counts | RELEASED[
        "records/by_age.csv"
    ].others
    assert {*PANEL.columns} == RELEASED["records/panel.parquet"].counts | RELEASED["records/panel.parquet"].others
